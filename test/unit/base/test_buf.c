/* The growable buffer: its maximum, its terminator, what overflow leaves behind. */
#include "lib/base/buf.h"

#include "test/unit/support/fixture.h"

static void test_empty_buffer(void **state)
{
    (void)state;
    struct buf b;

    buf_init(&b, 10);
    assert_null(b.data);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_sv(&b).len, 0);
    buf_reset(&b);
    buf_consume(&b, 0);
    buf_release(&b);
    buf_release(&b);
    assert_int_equal(b.max_bytes, 10);
}

static void test_adds_of_every_kind(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;

    buf_init(&b, 100);
    assert_true(buf_add(&b, "ab", 2));
    assert_true(buf_add_str(&b, "cd"));
    assert_true(buf_add_sv(&b, SV("ef")));
    assert_true(buf_add_char(&b, 'g'));
    assert_true(buf_addf(&b, "%d-%s", 7, "h"));
    assert_true(buf_add(&b, NULL, 0));
    assert_true(buf_add_sv(&b, sv_from(NULL)));
    assert_true(buf_addf(&b, "%s", ""));
    assert_string_equal(buf_str(&b), "abcdefg7-h");
    assert_sv_equal(buf_sv(&b), "abcdefg7-h");
    assert_false(b.overflow);
}

static void test_maximum_is_exact(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;

    buf_init(&b, 5);
    assert_true(buf_add_str(&b, "12345"));
    assert_false(b.overflow);
    assert_false(buf_add_char(&b, '6'));
    assert_true(b.overflow);
    assert_string_equal(buf_str(&b), "12345");
    assert_true(buf_add_str(&b, ""));
    assert_true(b.overflow);
    buf_reset(&b);
    assert_false(b.overflow);
    assert_string_equal(buf_str(&b), "");
    assert_false(buf_addf(&b, "%s", "123456"));
    assert_string_equal(buf_str(&b), "");
    assert_true(buf_addf(&b, "%s", "abcde"));
    assert_string_equal(buf_str(&b), "abcde");
    assert_false(buf_add(&b, "x", SIZE_MAX));
    assert_string_equal(buf_str(&b), "abcde");
}

static void test_zero_maximum(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;

    buf_init(&b, 0);
    assert_true(buf_add_str(&b, ""));
    assert_false(buf_add_char(&b, 'x'));
    assert_string_equal(buf_str(&b), "");
}

static void test_grows_byte_by_byte(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;

    buf_init(&b, 5000);
    for (size_t i = 0; i < 5000; i++) {
        assert_true(buf_add_char(&b, (char)('a' + i % 26)));
        assert_int_equal(b.data[b.len], '\0');
    }
    for (size_t i = 0; i < 5000; i++) {
        assert_int_equal(b.data[i], 'a' + (int)(i % 26));
    }
    assert_false(buf_add_char(&b, 'x'));
    char *memory = b.data;
    buf_reset(&b);
    assert_true(buf_add_str(&b, "again"));
    assert_ptr_equal(b.data, memory);
}

static void consume_too_much(void *arg)
{
    buf_consume(arg, 4);
}

static void test_consume(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;

    buf_init(&b, 10);
    assert_true(buf_add_str(&b, "abcdef"));
    buf_consume(&b, 2);
    assert_string_equal(buf_str(&b), "cdef");
    buf_consume(&b, 0);
    assert_string_equal(buf_str(&b), "cdef");
    buf_consume(&b, 1);
    assert_aborts(consume_too_much, &b);
    buf_consume(&b, 3);
    assert_string_equal(buf_str(&b), "");
    assert_true(buf_add_str(&b, "0123456789"));
    assert_false(b.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_buffer),       cmocka_unit_test(test_adds_of_every_kind),
        cmocka_unit_test(test_maximum_is_exact),   cmocka_unit_test(test_zero_maximum),
        cmocka_unit_test(test_grows_byte_by_byte), cmocka_unit_test(test_consume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
