/* String views: equality, trimming, splitting, strict numbers, host:port, UTF-8, copies. */
#include "test/unit/support/fixture.h"

static void test_from_and_equality(void **state)
{
    (void)state;
    struct sv none = sv_from(NULL);

    assert_null(none.ptr);
    assert_int_equal(none.len, 0);
    assert_true(sv_eq(none, SV("")));
    assert_true(sv_eq_str(none, ""));
    assert_true(sv_eq(SV("ab"), sv_from("ab")));
    assert_false(sv_eq(SV("ab"), SV("aB")));
    assert_false(sv_eq(SV("ab"), SV("abc")));
    assert_false(sv_eq_str(SV("a\0b"), "a"));
    assert_true(sv_eq_nocase(SV("RePlica"), "rEpLICA"));
    assert_true(sv_eq_nocase(none, ""));
    assert_false(sv_eq_nocase(SV("replica"), "replicas"));
    assert_false(sv_eq_nocase(SV("replicas"), "replica"));
    assert_false(sv_eq_nocase(SV("master"), "mister"));
}

static void test_starts_with(void **state)
{
    (void)state;
    assert_true(sv_starts_with(SV("slave0"), "slave"));
    assert_true(sv_starts_with(SV("slave"), "slave"));
    assert_true(sv_starts_with(SV("slave"), ""));
    assert_true(sv_starts_with(sv_from(NULL), ""));
    assert_false(sv_starts_with(SV("slav"), "slave"));
    assert_false(sv_starts_with(SV("Slave"), "slave"));
    assert_false(sv_starts_with(sv_from(NULL), "s"));
}

static void test_trim(void **state)
{
    (void)state;
    assert_sv_equal(sv_trim(SV(" \t\r\nrole:master \r\n")), "role:master");
    assert_sv_equal(sv_trim(SV("a b")), "a b");
    assert_sv_equal(sv_trim(SV(" \r\n\t")), "");
    assert_sv_equal(sv_trim(SV("")), "");
    assert_sv_equal(sv_trim(sv_from(NULL)), "");
    assert_sv_equal(sv_trim(SV("\va\f")), "\va\f");
}

static void test_split_visits_every_part_once(void **state)
{
    (void)state;
    struct sv rest = SV("a,,b,");

    assert_sv_equal(sv_split(&rest, ','), "a");
    assert_sv_equal(sv_split(&rest, ','), "");
    assert_sv_equal(sv_split(&rest, ','), "b");
    assert_non_null(rest.ptr);
    assert_sv_equal(sv_split(&rest, ','), "");
    assert_null(rest.ptr);
    assert_int_equal(rest.len, 0);

    rest = SV("alone");
    assert_sv_equal(sv_split(&rest, ','), "alone");
    assert_null(rest.ptr);

    rest = SV("");
    assert_sv_equal(sv_split(&rest, ','), "");
    assert_null(rest.ptr);

    rest = sv_from(NULL);
    assert_sv_equal(sv_split(&rest, ','), "");
    assert_null(rest.ptr);
}

static void assert_no_u64(struct sv v)
{
    uint64_t n = 77;

    if (sv_to_u64(v, &n)) {
        fail_msg("'%.*s' was taken for a number", SV_ARG(v));
    }
    assert_int_equal(n, 77);
}

static void test_u64_is_strict(void **state)
{
    (void)state;
    uint64_t n = 1;

    assert_true(sv_to_u64(SV("0"), &n));
    assert_int_equal(n, 0);
    assert_true(sv_to_u64(SV("007"), &n));
    assert_int_equal(n, 7);
    assert_true(sv_to_u64(SV("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);
    assert_no_u64(SV("18446744073709551616"));
    assert_no_u64(SV("18446744073709551620"));
    assert_no_u64(SV("99999999999999999999999999"));
    assert_no_u64(SV(""));
    assert_no_u64(sv_from(NULL));
    assert_no_u64(SV("-1"));
    assert_no_u64(SV("+1"));
    assert_no_u64(SV(" 1"));
    assert_no_u64(SV("1 "));
    assert_no_u64(SV("1\n"));
    assert_no_u64(SV("0x10"));
    assert_no_u64(SV("1e3"));
    assert_no_u64(SV("1\0"));
    assert_no_u64(SV("12a"));
    assert_no_u64(SV("/"));
    assert_no_u64(SV(":"));
}

static void test_i64_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "-", "--1", "+1", "- 1", "9223372036854775808", "-9223372036854775809", "1-", "-a",
    };
    int64_t n = 1;

    assert_true(sv_to_i64(SV("-1"), &n));
    assert_true(n == -1);
    assert_true(sv_to_i64(SV("-0"), &n));
    assert_true(n == 0);
    assert_true(sv_to_i64(SV("9223372036854775807"), &n));
    assert_true(n == INT64_MAX);
    assert_true(sv_to_i64(SV("-9223372036854775808"), &n));
    assert_true(n == INT64_MIN);
    n = 77;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (sv_to_i64(sv_from(bad[i]), &n)) {
            fail_msg("'%s' was taken for a number", bad[i]);
        }
    }
    assert_false(sv_to_i64(sv_from(NULL), &n));
    assert_int_equal(n, 77);
}

static void assert_host_port(const char *text, const char *host, uint16_t port)
{
    struct sv got = SV("unset");
    uint16_t got_port = 0;

    if (!sv_to_host_port(sv_from(text), &got, &got_port)) {
        fail_msg("'%s' was refused", text);
    }
    assert_sv_equal(got, host);
    assert_int_equal(got_port, port);
}

static void test_host_port(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",         "redis",     ":6379",    "redis:",      "redis:0",      "redis:65536",
        "redis:-1", "redis:+1",  "redis: 1", "redis:6379 ", "::1:6379",     "a:b:1",
        "[::1]",    "[::1]6379", "[::1]:",   "[::1]:0",     "[]:6379",      "[::1:6379",
        "[",        "[]",        "[::1]::1", "[::1] :1",    "redis:6379:1", "redis:1e3",
    };
    struct sv host = SV("kept");
    uint16_t port = 7;

    assert_host_port("127.0.0.1:6379", "127.0.0.1", 6379);
    assert_host_port("redis-0.redis.svc:1", "redis-0.redis.svc", 1);
    assert_host_port("h:65535", "h", 65535);
    assert_host_port("[::1]:26379", "::1", 26379);
    assert_host_port("[fe80::1%eth0]:1", "fe80::1%eth0", 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (sv_to_host_port(sv_from(bad[i]), &host, &port)) {
            fail_msg("'%s' was taken", bad[i]);
        }
    }
    assert_sv_equal(host, "kept");
    assert_int_equal(port, 7);
}

static void test_host_port_reads_no_byte_too_many(void **state)
{
    (void)state;
    static const char *const texts[] = {"[fe80::1]:6379", "127.0.0.1:6379"};

    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        for (size_t len = 0; len <= strlen(texts[t]); len++) {
            char *cut = bytes_dup((struct sv){texts[t], len});
            struct sv host;
            uint16_t port;

            (void)!sv_to_host_port((struct sv){cut, len}, &host, &port);
            free(cut);
        }
    }
}

/* The expected length is what Unicode's table 3-7 (well-formed byte sequences) says. */
static size_t table_3_7(const unsigned char *p, size_t len)
{
    static const struct {
        unsigned char lead[2], second[2];
        size_t len;
    } rows[] = {
        {{0x00, 0x7F}, {0x00, 0xFF}, 1}, {{0xC2, 0xDF}, {0x80, 0xBF}, 2},
        {{0xE0, 0xE0}, {0xA0, 0xBF}, 3}, {{0xE1, 0xEC}, {0x80, 0xBF}, 3},
        {{0xED, 0xED}, {0x80, 0x9F}, 3}, {{0xEE, 0xEF}, {0x80, 0xBF}, 3},
        {{0xF0, 0xF0}, {0x90, 0xBF}, 4}, {{0xF1, 0xF3}, {0x80, 0xBF}, 4},
        {{0xF4, 0xF4}, {0x80, 0x8F}, 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (p[0] < rows[i].lead[0] || p[0] > rows[i].lead[1] || len < rows[i].len) {
            continue;
        }
        bool ok = rows[i].len == 1 || (p[1] >= rows[i].second[0] && p[1] <= rows[i].second[1]);
        for (size_t k = 2; k < rows[i].len; k++) {
            ok = ok && p[k] >= 0x80 && p[k] <= 0xBF;
        }
        return ok ? rows[i].len : 0;
    }
    return 0;
}

static void test_utf8_every_two_bytes(void **state)
{
    (void)state;
    static const unsigned char tails[][2] = {{0x80, 0x80},
                                             {0xBF, 0xBF},
                                             {0x80, 0x7F},
                                             {0xC0, 0x80}};

    assert_int_equal(sv_utf8_len(SV("")), 0);
    assert_int_equal(sv_utf8_len(sv_from(NULL)), 0);
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
                const unsigned char p[4] = {(unsigned char)first, (unsigned char)second,
                                            tails[t][0], tails[t][1]};
                for (size_t len = 1; len <= 4; len++) {
                    struct sv v = {(const char *)p, len};
                    assert_int_equal(sv_utf8_len(v), table_3_7(p, len));
                }
            }
        }
    }
}

static void test_copy_never_cuts(void **state)
{
    (void)state;
    char out[4] = "old";

    assert_true(str_copy(out, sizeof(out), SV("abc")));
    assert_string_equal(out, "abc");
    assert_false(str_copy(out, sizeof(out), SV("abcd")));
    assert_string_equal(out, "");
    assert_true(str_copy(out, sizeof(out), sv_from(NULL)));
    assert_string_equal(out, "");
    assert_true(str_copy(out, 1, SV("")));
    assert_false(str_copy(out, 1, SV("a")));
}

static void test_defs(void **state)
{
    (void)state;
    assert_int_equal(u64_min(1, 2), 1);
    assert_int_equal(u64_min(2, 1), 1);
    assert_int_equal(u64_max(1, 2), 2);
    assert_int_equal(u64_max(2, 1), 2);
    assert_int_equal(u64_since(5, 3), 2);
    assert_int_equal(u64_since(3, 3), 0);
    assert_int_equal(u64_since(3, 5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_and_equality),
        cmocka_unit_test(test_starts_with),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_split_visits_every_part_once),
        cmocka_unit_test(test_u64_is_strict),
        cmocka_unit_test(test_i64_is_strict),
        cmocka_unit_test(test_host_port),
        cmocka_unit_test(test_host_port_reads_no_byte_too_many),
        cmocka_unit_test(test_utf8_every_two_bytes),
        cmocka_unit_test(test_copy_never_cuts),
        cmocka_unit_test(test_defs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
