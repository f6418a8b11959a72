/* Addresses: which hosts are taken, and which two are the same. */
#include "lib/codec/addr.h"

#include "test/unit/support/fixture.h"

static struct addr make(const char *host, uint64_t port)
{
    struct addr a = {.port = 0};

    if (!addr_set(&a, sv_from(host), port)) {
        fail_msg("%s:%u was refused", host, (unsigned)port);
    }
    return a;
}

static void test_set(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "127.0.0.1", "::1", "fe80::1%eth0", "redis-0.redis-headless.ns.svc", "my_host", "A", "?x",
    };
    struct addr a = {.host = "kept", .port = 7};
    char longest[HOST_MAX + 2];

    for (size_t i = 0; i + 1 < ARRAY_LEN(hosts); i++) {
        make(hosts[i], 6379);
    }
    assert_false(addr_set(&a, sv_from(hosts[ARRAY_LEN(hosts) - 1]), 6379));
    assert_false(addr_set(&a, sv_from(NULL), 6379));
    assert_false(addr_set(&a, SV(""), 6379));
    assert_false(addr_set(&a, SV("h"), 0));
    assert_false(addr_set(&a, SV("h"), 65536));
    assert_false(addr_set(&a, SV("h"), UINT64_MAX));
    memset(longest, 'h', sizeof(longest));
    assert_false(addr_set(&a, (struct sv){longest, HOST_MAX + 1}, 1));
    assert_string_equal(a.host, "kept");
    assert_int_equal(a.port, 7);
    assert_true(addr_set(&a, (struct sv){longest, HOST_MAX}, 65535));
    assert_int_equal(strlen(a.host), HOST_MAX);
}

static void test_every_byte_of_a_host(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char host[3] = {'h', (char)c, 'h'};
        struct addr a;
        bool wanted = c != 0 && strchr("-._:%0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
                                       (int)c) != NULL;
        if (addr_set(&a, (struct sv){host, 3}, 1) != wanted) {
            fail_msg("byte %#x", c);
        }
    }
}

static void test_is_set(void **state)
{
    (void)state;
    struct addr none = {.port = 0};
    struct addr some = make("h", 1);

    assert_false(addr_is_set(&none));
    assert_true(addr_is_set(&some));
}

static void test_equality(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"redis-0", "redis-0", true},
        {"redis-0", "REDIS-0", true},
        {"redis-0", "redis-1", false},
        {"redis-0", "redis-0.redis", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"::1", "0:0:0:0:0:0:0:1", true},
        {"::1", "0000:0000:0000:0000:0000:0000:0000:0001", true},
        {"2001:DB8::A", "2001:db8:0:0::a", true},
        {"2001:db8::a", "2001:db8::b", false},
        {"1.2.3.4", "::ffff:1.2.3.4", true},
        {"::FFFF:102:304", "1.2.3.4", true},
        {"1.2.3.4", "::1.2.3.4", false}, /* the deprecated compatible form is another address */
        {"1.2.3.4", "redis-0", false},
        {"redis-0", "::1", false},
        {"127.0.0.1", "127.1", false}, /* a name here: inet_pton does not take it */
        {"127.0.0.1", "127.0.0.01", false},
        {"fe80::1%eth0", "FE80::1%eth0", true},
        {"fe80::1%eth0", "fe80::1%eth1", false},
        {"fe80::1%eth0", "fe80::1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a = make(rows[i].a, 6379);
        struct addr b = make(rows[i].b, 6379);
        if (addr_eq(&a, &b) != rows[i].equal || addr_eq(&b, &a) != rows[i].equal) {
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        }
        b.port = 6380;
        assert_false(addr_eq(&a, &b));
    }
}

static void test_none_equals_only_none(void **state)
{
    (void)state;
    struct addr none = {.port = 0}, other = {.port = 0}, some = make("h", 1);

    assert_true(addr_eq(&none, &other));
    assert_false(addr_eq(&none, &some));
    assert_false(addr_eq(&some, &none));
}

static void assert_round_trip(const char *text, const char *wanted)
{
    struct addr a;
    char out[ADDR_TEXT_MAX];

    if (!addr_parse(&a, sv_from(text))) {
        fail_msg("%s was refused", text);
    }
    assert_ptr_equal(addr_text(&a, out), out);
    assert_string_equal(out, wanted);
}

static void test_parse_and_text(void **state)
{
    (void)state;
    struct addr a = {.host = "kept", .port = 7};
    char text[ADDR_TEXT_MAX];

    assert_round_trip("127.0.0.1:6379", "127.0.0.1:6379");
    assert_round_trip("[::1]:26379", "[::1]:26379");
    assert_round_trip("redis-0.redis:1", "redis-0.redis:1");
    assert_round_trip("[redis]:1", "redis:1");
    assert_false(addr_parse(&a, SV("redis")));
    assert_false(addr_parse(&a, SV("::1:6379")));
    assert_false(addr_parse(&a, SV("re dis:6379")));
    assert_false(addr_parse(&a, SV("")));
    assert_string_equal(a.host, "kept");
    memset(a.host, ':', HOST_MAX);
    a.port = 65535;
    assert_int_equal(strlen(addr_text(&a, text)), ADDR_TEXT_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_every_byte_of_a_host),
        cmocka_unit_test(test_is_set),
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_none_equals_only_none),
        cmocka_unit_test(test_parse_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
