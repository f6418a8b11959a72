/* Allocation: zero sizes give memory too, out of memory ends the process, scopes free. */
#include "lib/base/mem.h"

#include "lib/base/check.h"
#include "test/unit/support/fixture.h"

/* Sanitizers answer an impossible size with an error of their own, unless told otherwise. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_zero_sizes_give_memory(void **state)
{
    (void)state;
    AUTO_FREE void *a = xmalloc(0);
    AUTO_FREE void *b = xcalloc(0, 0);
    AUTO_FREE void *c = xrealloc(NULL, 0);
    AUTO_FREE char *d = xstrndup("abc", 0);

    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_string_equal(d, "");
}

static void test_copies(void **state)
{
    (void)state;
    AUTO_FREE char *whole = xstrdup("abc");
    AUTO_FREE char *part = xstrndup("abc", 2);
    AUTO_FREE char *zeroed = xcalloc(3, 5);

    assert_string_equal(whole, "abc");
    assert_string_equal(part, "ab");
    for (int i = 0; i < 15; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    whole = xrealloc(whole, 1000);
    assert_string_equal(whole, "abc");
}

static void overflow_product(void *arg)
{
    (void)arg;
    /* volatile: compilers refuse a constant size that cannot be. */
    volatile size_t count = SIZE_MAX / 2;
    free(xcalloc(count, 4));
}

static void test_out_of_memory_aborts(void **state)
{
    (void)state;
    assert_aborts(overflow_product, NULL);
}

static void require_false(void *arg)
{
    REQUIRE(arg != NULL);
}

static void test_require(void **state)
{
    (void)state;
    REQUIRE(state != NULL);
    assert_aborts(require_false, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_sizes_give_memory),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_out_of_memory_aborts),
        cmocka_unit_test(test_require),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
