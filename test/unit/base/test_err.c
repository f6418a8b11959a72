/* The error object: codes, wrapping from the inside out, cutting, NULL. */
#include "lib/base/err.h"

#include <errno.h>

#include "test/unit/support/fixture.h"

static void test_set(void **state)
{
    (void)state;
    struct err e = {.code = ERR_SYS, .sys = 5, .msg = "old"};

    assert_int_equal(err_set(&e, ERR_TIMEOUT, "no reply in %d ms", 500), -1);
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_int_equal(e.sys, 0);
    assert_string_equal(e.msg, "no reply in 500 ms");
}

static void test_set_errno(void **state)
{
    (void)state;
    struct err e = {.code = ERR_NONE};
    char text[200];

    assert_int_equal(err_set_errno(&e, ENOENT, "open %s", "token"), -1);
    assert_int_equal(e.code, ERR_SYS);
    assert_int_equal(e.sys, ENOENT);
    (void)snprintf(text, sizeof(text), "open token: %s", strerror(ENOENT));
    assert_string_equal(e.msg, text);
}

static void test_wrap_reads_outer_to_inner(void **state)
{
    (void)state;
    struct err e;

    err_set_errno(&e, ECONNREFUSED, "connect");
    char inner[sizeof(e.msg)];
    memcpy(inner, e.msg, sizeof(inner));
    assert_int_equal(err_wrap(&e, "INFO from %s", "redis-0"), -1);
    assert_int_equal(e.code, ERR_SYS);
    assert_int_equal(e.sys, ECONNREFUSED);
    assert_int_equal(strncmp(e.msg, "INFO from redis-0: connect: ", 28), 0);
    assert_string_equal(e.msg + strlen("INFO from redis-0: "), inner);
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    struct err e;
    char text[400];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&e, ERR_PROTO, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    err_wrap(&e, "outer");
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    assert_int_equal(strncmp(e.msg, "outer: xxx", 10), 0);
    err_wrap(&e, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    err_set_errno(&e, EPERM, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
    assert_int_equal(e.sys, EPERM);
}

static void test_null_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_PROTO, "x"), -1);
    assert_int_equal(err_set_errno(NULL, EPERM, "x"), -1);
    assert_int_equal(err_wrap(NULL, "x"), -1);
}

static void test_every_code_has_a_name(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_CODE_COUNT; a++) {
        const char *name = err_code_name((enum err_code)a);
        assert_true(name != NULL && name[0] != '\0');
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(name, err_code_name((enum err_code)b));
        }
    }
    assert_string_equal(err_code_name(ERR_NOTFOUND), "not found");
    assert_string_equal(err_code_name(ERR_CODE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_errno),
        cmocka_unit_test(test_wrap_reads_outer_to_inner),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_null_is_allowed),
        cmocka_unit_test(test_every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
