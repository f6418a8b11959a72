/* ROLE: captured replies, every malformed form, each element of the wrong type. */
#include "lib/codec/role_reply.h"

#include "test/unit/support/fixture.h"
#include "test/unit/support/resp_decode.h"

static int parse(struct role_reply *ret, struct sv bytes, struct err *e)
{
    struct resp_decoded d;

    if (!resp_decode(&d, bytes)) {
        fail_msg("the test's own text is not RESP: %.*s", SV_ARG(bytes));
    }
    int rc = role_reply_parse(ret, d.nodes, e);
    resp_decoded_free(&d);
    return rc;
}

static struct role_reply parse_file(const char *path)
{
    struct role_reply role;
    struct err e;
    size_t len;
    char *bytes = data_read(path, &len);

    if (parse(&role, (struct sv){bytes, len}, &e) != 0) {
        fail_msg("%s: %s", path, e.msg);
    }
    free(bytes);
    return role;
}

static void test_captured(void **state)
{
    (void)state;
    struct role_reply role = parse_file("sentinel/role_master.resp");

    assert_int_equal(role.role, REDIS_ROLE_MASTER);
    assert_int_equal(role.replica_count, 2);
    assert_true(role.offset > 0);
    assert_false(addr_is_set(&role.master));
    assert_int_equal(role.link, REPL_LINK_NONE);

    role = parse_file("sentinel/role_slave.resp");
    assert_int_equal(role.role, REDIS_ROLE_SLAVE);
    assert_int_equal(role.link, REPL_LINK_CONNECTED);
    assert_string_equal(role.master.host, "127.0.0.1");
    assert_true(role.master.port > 0);
    assert_true(role.offset > 0);

    role = parse_file("sentinel/role_slave_link_down.resp");
    assert_int_equal(role.role, REDIS_ROLE_SLAVE);
    assert_int_equal(role.link, REPL_LINK_CONNECT);
    assert_true(role.offset == -1);

    role = parse_file("sentinel/role_sentinel.resp");
    assert_int_equal(role.role, REDIS_ROLE_SENTINEL);
}

static void test_every_link_state(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum repl_link link;
    } rows[] = {
        {"connect", REPL_LINK_CONNECT},     {"connecting", REPL_LINK_CONNECTING},
        {"handshake", REPL_LINK_HANDSHAKE}, {"sync", REPL_LINK_SYNC},
        {"connected", REPL_LINK_CONNECTED}, {"none", REPL_LINK_NONE},
        {"unknown", REPL_LINK_NONE},        {"", REPL_LINK_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[128];
        struct role_reply role;
        int len = snprintf(text, sizeof(text),
                           "*5\r\n$5\r\nslave\r\n$3\r\n::1\r\n:6379\r\n$%zu\r\n%s\r\n:0\r\n",
                           strlen(rows[i].word), rows[i].word);
        assert_int_equal(parse(&role, (struct sv){text, (size_t)len}, NULL), 0);
        assert_int_equal(role.link, rows[i].link);
        assert_string_equal(role.master.host, "::1");
    }
    assert_string_equal(repl_link_name(REPL_LINK_HANDSHAKE), "handshake");
    assert_string_equal(redis_role_name(REDIS_ROLE_SLAVE), "slave");
}

static void test_other_forms_that_are_taken(void **state)
{
    (void)state;
    struct role_reply role;

    assert_int_equal(parse(&role, SV("*3\r\n+master\r\n:0\r\n*0\r\n"), NULL), 0);
    assert_int_equal(role.replica_count, 0);
    /* Elements that a later version may add. */
    assert_int_equal(parse(&role, SV("*4\r\n$6\r\nmaster\r\n:9\r\n*0\r\n:1\r\n"), NULL), 0);
    assert_true(role.offset == 9);
    assert_int_equal(parse(&role, SV("*1\r\n$8\r\nsentinel\r\n"), NULL), 0);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "+OK\r\n",
        "$6\r\nmaster\r\n",
        ":1\r\n",
        "$-1\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$6\r\nMASTER\r\n",
        "*1\r\n$6\r\nleader\r\n",
        "*1\r\n$6\r\nmaster\r\n",
        "*2\r\n$6\r\nmaster\r\n:1\r\n",
        "*3\r\n$6\r\nmaster\r\n$1\r\n1\r\n*0\r\n",
        "*3\r\n$6\r\nmaster\r\n:1\r\n:2\r\n",
        "*3\r\n$6\r\nmaster\r\n:1\r\n$-1\r\n",
        "*3\r\n$6\r\nmaster\r\n:1\r\n*1\r\n:1\r\n",
        "*3\r\n$6\r\nmaster\r\n:1\r\n*1\r\n*2\r\n$1\r\nh\r\n$1\r\n1\r\n",
        "*1\r\n$5\r\nslave\r\n",
        "*4\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n",
        "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:1\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\n \r\n:1\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n:1\r\n:1\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:0\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:-1\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:65536\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n$1\r\nx\r\n$9\r\nconnected\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n:1\r\n:1\r\n",
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n$1\r\n1\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct role_reply role = {.offset = 77};
        struct err e = {.code = ERR_NONE};
        if (parse(&role, sv_from(bad[i]), &e) == 0) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_err(-1, &e, ERR_PROTO);
        assert_true(role.offset == 77);
        assert_int_equal(parse(&role, sv_from(bad[i]), NULL), -1);
    }
}

/* Captured replies with the last elements missing, at the top and in the list of replicas. */
static void test_every_cut(void **state)
{
    (void)state;
    static const char *const files[] = {"sentinel/role_master.resp", "sentinel/role_slave.resp"};

    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        size_t len;
        char *bytes = data_read(files[f], &len);
        struct resp_decoded d;
        struct role_reply role;
        assert_true(resp_decode(&d, (struct sv){bytes, len}));
        for (size_t whole = d.nodes[0].count; d.nodes[0].count > 0;) {
            int rc = role_reply_parse(&role, d.nodes, NULL);
            assert_int_equal(rc, d.nodes[0].count == whole ? 0 : -1);
            d.nodes[0].count--;
        }
        resp_decoded_free(&d);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured),
        cmocka_unit_test(test_every_link_state),
        cmocka_unit_test(test_other_forms_that_are_taken),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
