/* The JSON writer: commas, escapes, numbers, and that misuse aborts. */
#include "lib/base/jsonw.h"

#include <math.h>

#include "test/unit/support/fixture.h"

static void test_every_kind_of_value(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;
    struct jsonw w;

    buf_init(&b, 1000);
    jsonw_init(&w, &b);
    jsonw_open_object(&w, NULL);
    jsonw_str(&w, "s", "x");
    jsonw_str(&w, "absent", NULL);
    jsonw_sv(&w, "v", SV("y"));
    jsonw_sv(&w, "empty", sv_from(NULL));
    jsonw_u64(&w, "u", UINT64_MAX);
    jsonw_i64(&w, "i", INT64_MIN);
    jsonw_f64(&w, "f", 0.5);
    jsonw_bool(&w, "t", true);
    jsonw_bool(&w, "n", false);
    jsonw_null(&w, "z");
    jsonw_open_array(&w, "a");
    jsonw_u64(&w, NULL, 1);
    jsonw_open_object(&w, NULL);
    jsonw_close(&w);
    jsonw_open_array(&w, NULL);
    jsonw_close(&w);
    jsonw_str(&w, NULL, "e");
    jsonw_close(&w);
    jsonw_open_object(&w, "o");
    jsonw_u64(&w, "k", 0);
    jsonw_close(&w);
    jsonw_close(&w);
    assert_int_equal(w.depth, 0);
    assert_string_equal(buf_str(&b), "{\"s\":\"x\",\"absent\":null,\"v\":\"y\",\"empty\":\"\","
                                     "\"u\":18446744073709551615,\"i\":-9223372036854775808,"
                                     "\"f\":0.5,\"t\":true,\"n\":false,\"z\":null,"
                                     "\"a\":[1,{},[],\"e\"],\"o\":{\"k\":0}}");
}

static void assert_written(struct sv value, const char *wanted)
{
    AUTO_BUF struct buf b;
    struct jsonw w;

    buf_init(&b, 1000);
    jsonw_init(&w, &b);
    jsonw_sv(&w, NULL, value);
    assert_string_equal(buf_str(&b), wanted);
}

static void test_escapes(void **state)
{
    (void)state;
    assert_written(SV("\"\\/"), "\"\\\"\\\\/\"");
    assert_written(SV("\n\t\r\b\x1f\x7f"), "\"\\u000a\\u0009\\u000d\\u0008\\u001f\\u007f\"");
    assert_written(SV("a\0b"), "\"a\\u0000b\"");
    assert_written(SV("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82"),
                   "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82\"");
    assert_written(SV("\xc0\xaf"), "\"\\ufffd\\ufffd\"");
    assert_written(SV("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
    assert_written(SV("x\xc3"), "\"x\\ufffd\"");
    assert_written(SV("\xff\xc3\xbc"), "\"\\ufffd\xc3\xbc\"");
}

static void test_keys_are_escaped(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;
    struct jsonw w;

    buf_init(&b, 1000);
    jsonw_init(&w, &b);
    jsonw_open_object(&w, NULL);
    jsonw_u64(&w, "a\"b\n", 1);
    jsonw_close(&w);
    assert_string_equal(buf_str(&b), "{\"a\\\"b\\u000a\":1}");
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-1.5, "-1.5"},
        {1e21, "1e+21"},
        {0.1, "0.1"},
        {(double)NAN, "null"},
        {(double)INFINITY, "null"},
        {-(double)INFINITY, "null"},
        {1e-7, "1e-07"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf b;
        struct jsonw w;
        buf_init(&b, 100);
        jsonw_init(&w, &b);
        jsonw_f64(&w, NULL, rows[i].value);
        assert_string_equal(buf_str(&b), rows[i].text);
    }
}

static void test_overflow_is_told_by_the_buffer(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;
    struct jsonw w;

    buf_init(&b, 10);
    jsonw_init(&w, &b);
    jsonw_open_object(&w, NULL);
    jsonw_str(&w, "key", "value");
    jsonw_close(&w);
    assert_true(b.overflow);
    assert_true(b.len <= 10);
}

static void test_deepest_level(void **state)
{
    (void)state;
    AUTO_BUF struct buf b;
    struct jsonw w;

    buf_init(&b, 100);
    jsonw_init(&w, &b);
    for (int i = 0; i < JSONW_DEPTH_MAX; i++) {
        jsonw_open_array(&w, NULL);
    }
    for (int i = 0; i < JSONW_DEPTH_MAX; i++) {
        jsonw_close(&w);
    }
    assert_string_equal(buf_str(&b), "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]");
}

static void too_deep(void *arg)
{
    for (int i = 0; i < JSONW_DEPTH_MAX + 1; i++) {
        jsonw_open_array(arg, NULL);
    }
}

static void key_missing(void *arg)
{
    jsonw_open_object(arg, NULL);
    jsonw_u64(arg, NULL, 1);
}

static void key_too_many(void *arg)
{
    jsonw_open_array(arg, NULL);
    jsonw_u64(arg, "k", 1);
}

static void key_at_top(void *arg)
{
    jsonw_open_object(arg, "k");
}

static void close_too_many(void *arg)
{
    jsonw_open_object(arg, NULL);
    jsonw_close(arg);
    jsonw_close(arg);
}

static void test_misuse_aborts(void **state)
{
    (void)state;
    static void (*const misuses[])(void *arg) = {too_deep, key_missing, key_too_many, key_at_top,
                                                 close_too_many};
    for (size_t i = 0; i < ARRAY_LEN(misuses); i++) {
        AUTO_BUF struct buf b;
        struct jsonw w;
        buf_init(&b, 100);
        jsonw_init(&w, &b);
        assert_aborts(misuses[i], &w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_value),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_keys_are_escaped),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_overflow_is_told_by_the_buffer),
        cmocka_unit_test(test_deepest_level),
        cmocka_unit_test(test_misuse_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
