/* Secrets: set, compare, forget; the bytes are overwritten before they are freed. */
#include "lib/base/secret.h"

#include "lib/base/mem.h"
#include "test/unit/support/fixture.h"

/* Stands in for libc's, so that a test sees what was overwritten. */
static size_t wiped_bytes;

void explicit_bzero(void *bytes, size_t len)
{
    memset(bytes, 0, len);
    wiped_bytes += len;
}

/* What the call becomes with _FORTIFY_SOURCE. */
void __explicit_bzero_chk(void *bytes, size_t len, size_t room);

void __explicit_bzero_chk(void *bytes, size_t len, size_t room)
{
    assert_true(len <= room);
    explicit_bzero(bytes, len);
}

static void test_old_bytes_are_wiped(void **state)
{
    (void)state;
    struct secret s = {NULL, 0};

    wiped_bytes = 0;
    secret_set(&s, SV("password"));
    assert_int_equal(wiped_bytes, 0);
    secret_set(&s, SV("next"));
    assert_int_equal(wiped_bytes, 8);
    secret_clear(&s);
    assert_int_equal(wiped_bytes, 12);
}

static void test_set_and_compare(void **state)
{
    (void)state;
    struct secret s = {NULL, 0};

    assert_false(secret_is_set(&s));
    assert_true(secret_eq(&s, SV("")));
    secret_set(&s, SV("pass\0word"));
    assert_true(secret_is_set(&s));
    assert_true(secret_eq(&s, SV("pass\0word")));
    assert_false(secret_eq(&s, SV("pass")));
    assert_false(secret_eq(&s, SV("pass\0worD")));
    assert_int_equal(secret_reveal(&s).len, 9);
    secret_set(&s, SV("next"));
    assert_sv_equal(secret_reveal(&s), "next");
    secret_clear(&s);
    assert_false(secret_is_set(&s));
    assert_null(s.hidden);
    secret_clear(&s);
}

static void test_empty_is_not_set(void **state)
{
    (void)state;
    struct secret s = {NULL, 0};

    secret_set(&s, sv_from(NULL));
    assert_false(secret_is_set(&s));
    secret_set(&s, SV(""));
    assert_false(secret_is_set(&s));
    secret_clear(&s);
}

static void test_copy_is_its_own(void **state)
{
    (void)state;
    char bytes[] = "token";
    struct secret s = {NULL, 0};

    secret_set(&s, (struct sv){bytes, 5});
    memset(bytes, 'x', sizeof(bytes));
    assert_true(secret_eq(&s, SV("token")));
    secret_clear(&s);
}

static void set_too_long(void *arg)
{
    char *bytes = xcalloc(1, SECRET_MAX_BYTES + 1);

    secret_set(arg, (struct sv){bytes, SECRET_MAX_BYTES + 1});
}

static void test_limit(void **state)
{
    (void)state;
    struct secret s = {NULL, 0};
    AUTO_FREE char *bytes = xcalloc(1, SECRET_MAX_BYTES);

    secret_set(&s, (struct sv){bytes, SECRET_MAX_BYTES});
    assert_int_equal(secret_reveal(&s).len, SECRET_MAX_BYTES);
    assert_aborts(set_too_long, &s);
    secret_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_bytes_are_wiped),
        cmocka_unit_test(test_set_and_compare),
        cmocka_unit_test(test_empty_is_not_set),
        cmocka_unit_test(test_copy_is_its_own),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
