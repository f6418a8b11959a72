/* What a Sentinel answers and says in its hello: captured, refused, malformed, cut. */
#include "lib/codec/sentinel_reply.h"

#include "lib/base/buf.h"
#include "test/unit/support/fixture.h"
#include "test/unit/support/resp_decode.h"

#define ID "52f93660999e507abefa4365e00ce45764090531"

static struct resp_decoded decode(struct sv bytes)
{
    struct resp_decoded d;

    if (!resp_decode(&d, bytes)) {
        fail_msg("the test's own text is not RESP: %.*s", SV_ARG(bytes));
    }
    return d;
}

static int parse_master(struct sentinel_master *ret, struct sv bytes, struct err *e)
{
    struct resp_decoded d = decode(bytes);
    int rc = sentinel_master_parse(ret, d.nodes, e);

    resp_decoded_free(&d);
    return rc;
}

static struct sentinel_master parse_master_file(const char *path)
{
    struct sentinel_master m;
    struct err e;
    size_t len;
    char *bytes = data_read(path, &len);

    if (parse_master(&m, (struct sv){bytes, len}, &e) != 0) {
        fail_msg("%s: %s", path, e.msg);
    }
    free(bytes);
    return m;
}

static void test_captured_master(void **state)
{
    (void)state;
    struct sentinel_master m = parse_master_file("sentinel/master.resp");

    assert_string_equal(m.addr.host, "127.0.0.1");
    assert_true(m.addr.port > 0);
    assert_int_equal(strlen(m.run_id), RUN_ID_LEN);
    assert_int_equal(m.flags, 0);
    assert_int_equal(m.config_epoch, 0);
    assert_int_equal(m.num_slaves, 2);
    assert_int_equal(m.num_other_sentinels, 2);
    assert_int_equal(m.quorum, 2);
    assert_int_equal(m.down_after_ms, 800);
    assert_int_equal(m.failover_timeout_ms, 4000);
}

static void test_captured_failover(void **state)
{
    (void)state;
    struct sentinel_master before = parse_master_file("sentinel/master.resp");
    struct sentinel_master m = parse_master_file("sentinel/master_failover.resp");

    assert_true(addr_eq(&m.addr, &before.addr));
    assert_string_equal(m.run_id, before.run_id);
    assert_int_equal(m.flags, 1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_O_DOWN |
                                  1U << SENTINEL_FLAG_DISCONNECTED | 1U << SENTINEL_FLAG_FAILOVER);
}

/* A SENTINEL MASTER of [key, value] pairs; `skip` leaves one key out. */
static void write_master(struct buf *out, const char *const (*pairs)[2], size_t count, size_t skip)
{
    buf_addf(out, "*%zu\r\n", 2 * (count - (skip < count ? 1 : 0)));
    for (size_t i = 0; i < count; i++) {
        if (i != skip) {
            buf_addf(out, "$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(pairs[i][0]), pairs[i][0],
                     strlen(pairs[i][1]), pairs[i][1]);
        }
    }
}

static int parse_pairs(struct sentinel_master *ret, const char *const (*pairs)[2], size_t count,
                       size_t skip, struct err *e)
{
    AUTO_BUF struct buf text;

    buf_init(&text, 4096);
    write_master(&text, pairs, count, skip);
    return parse_master(ret, buf_sv(&text), e);
}

static const char *const full[][2] = {
    {"ip", "redis-0"},
    {"port", "6379"},
    {"flags", "master"},
    {"config-epoch", "7"},
    {"quorum", "2"},
    {"num-other-sentinels", "4"},
    {"runid", ID},
    {"num-slaves", "3"},
    {"failover-timeout", "180000"},
    {"down-after-milliseconds", "5000"},
};
#define REQUIRED_COUNT 6 /* the first of them must be there */

static void test_which_fields_must_be_there(void **state)
{
    (void)state;
    for (size_t skip = 0; skip <= ARRAY_LEN(full); skip++) {
        struct sentinel_master m = {.quorum = 77};
        struct err e = {.code = ERR_NONE};
        int rc = parse_pairs(&m, full, ARRAY_LEN(full), skip, &e);
        if (skip < REQUIRED_COUNT) {
            assert_err(rc, &e, ERR_PROTO);
            assert_int_equal(m.quorum, 77);
        } else {
            assert_int_equal(rc, 0);
            assert_int_equal(m.config_epoch, 7);
            assert_int_equal(m.num_other_sentinels, 4);
        }
    }
}

static void test_values_that_do_not_parse(void **state)
{
    (void)state;
    static const struct {
        size_t field;
        const char *value;
        bool ok;
    } rows[] = {
        {0, "", false},      {0, "a b", false}, {1, "0", false},
        {1, "65536", false}, {1, "x", false},   {2, "", true},
        {3, "-1", false},    {3, "1.5", false}, {4, "", false},
        {5, "none", false},  {6, "", true},     {6, "short", true},
        {7, "x", true},      {9, "-5", true},   {3, "18446744073709551615", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *pairs[ARRAY_LEN(full)][2];
        struct sentinel_master m = {.quorum = 0};
        memcpy(pairs, full, sizeof(full));
        pairs[rows[i].field][1] = rows[i].value;
        int rc = parse_pairs(&m, pairs, ARRAY_LEN(full), SIZE_MAX, NULL);
        if ((rc == 0) != rows[i].ok) {
            fail_msg("%s '%s'", pairs[rows[i].field][0], rows[i].value);
        }
        if (rc == 0) {
            assert_string_equal(m.run_id, rows[i].field == 6 ? "" : ID);
            assert_int_equal(m.num_slaves, rows[i].field == 7 ? 0 : 3);
            assert_int_equal(m.down_after_ms, rows[i].field == 9 ? 0 : 5000);
            assert_int_equal(m.failover_timeout_ms, 180000);
        }
    }
}

static void test_flags(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t flags;
    } rows[] = {
        {"master", 0},
        {"s_down,master", 1U << SENTINEL_FLAG_S_DOWN},
        {"master,o_down", 1U << SENTINEL_FLAG_O_DOWN},
        {"master,failover_in_progress,force_failover",
         1U << SENTINEL_FLAG_FAILOVER | 1U << SENTINEL_FLAG_FORCE},
        {"disconnected,master_down",
         1U << SENTINEL_FLAG_DISCONNECTED | 1U << SENTINEL_FLAG_MASTER_DOWN},
        {"s_down2,xs_down,S_DOWN, s_down", 0},
        {",,s_down,,", 1U << SENTINEL_FLAG_S_DOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *pairs[ARRAY_LEN(full)][2];
        struct sentinel_master m;
        memcpy(pairs, full, sizeof(full));
        pairs[2][1] = rows[i].text;
        assert_int_equal(parse_pairs(&m, pairs, ARRAY_LEN(full), SIZE_MAX, NULL), 0);
        assert_int_equal(m.flags, rows[i].flags);
    }
    assert_string_equal(sentinel_flag_name(SENTINEL_FLAG_FAILOVER), "failover_in_progress");
}

static const struct {
    const char *text;
    enum err_code code;
} refusals[] = {
    {"-ERR No such master with that name\r\n", ERR_NOTFOUND},
    {"-NOAUTH Authentication required.\r\n", ERR_DENIED},
    {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", ERR_DENIED},
    {"-NOPERM this user has no permissions to run the 'sentinel|master' command\r\n", ERR_DENIED},
    {"-ERR unknown command 'SENTINEL'\r\n", ERR_DENIED},
    {"-LOADING Redis is loading the dataset in memory\r\n", ERR_PROTO},
    {"-BUSY x\r\n", ERR_PROTO},
    {"-MASTERDOWN x\r\n", ERR_PROTO},
    {"-\r\n", ERR_PROTO},
    {"+OK\r\n", ERR_PROTO},
    {":1\r\n", ERR_PROTO},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct resp_decoded d = decode(sv_from(refusals[i].text));
        struct sentinel_master m;
        struct addr a = {.port = 77};
        char id[RUN_ID_LEN + 1] = "kept";
        struct err e = {.code = ERR_NONE};
        assert_err(sentinel_master_parse(&m, d.nodes, &e), &e, refusals[i].code);
        assert_err(sentinel_addr_parse(&a, d.nodes, &e), &e, refusals[i].code);
        assert_err(sentinel_myid_parse(id, d.nodes, &e), &e, refusals[i].code);
        assert_int_equal(a.port, 77);
        assert_string_equal(id, "kept");
        resp_decoded_free(&d);
    }
    struct err e;
    size_t len;
    char *bytes = data_read("sentinel/master_unknown.resp", &len);
    struct sentinel_master m;
    assert_err(parse_master(&m, (struct sv){bytes, len}, &e), &e, ERR_NOTFOUND);
    free(bytes);
    assert_err(parse_master(&m, SV("$-1\r\n"), &e), &e, ERR_PROTO);
    assert_err(parse_master(&m, SV("*0\r\n"), &e), &e, ERR_PROTO);
}

static int parse_addr(struct addr *ret, struct sv bytes, struct err *e)
{
    struct resp_decoded d = decode(bytes);
    int rc = sentinel_addr_parse(ret, d.nodes, e);

    resp_decoded_free(&d);
    return rc;
}

static void test_addr(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "*0\r\n",
        "*1\r\n$1\r\nh\r\n",
        "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
        "*2\r\n$1\r\nh\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\nh\r\n$1\r\nx\r\n",
        "*2\r\n$-1\r\n$1\r\n1\r\n",
        "*2\r\n$1\r\nh\r\n$-1\r\n",
    };
    struct addr a = {.port = 77};
    struct err e = {.code = ERR_NONE};
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_err(parse_addr(&a, sv_from(bad[i]), &e), &e, ERR_PROTO);
        assert_int_equal(a.port, 77);
    }
    char *bytes = data_read("sentinel/addr_unknown.resp", &len);
    assert_err(parse_addr(&a, (struct sv){bytes, len}, &e), &e, ERR_NOTFOUND);
    free(bytes);
    bytes = data_read("sentinel/addr.resp", &len);
    assert_int_equal(parse_addr(&a, (struct sv){bytes, len}, &e), 0);
    free(bytes);
    struct sentinel_master m = parse_master_file("sentinel/master.resp");
    assert_true(addr_eq(&a, &m.addr));
    assert_int_equal(parse_addr(&a, SV("*2\r\n$5\r\nfd::1\r\n:6379\r\n"), NULL), 0);
    assert_string_equal(a.host, "fd::1");
}

static int parse_myid(char ret[static RUN_ID_LEN + 1], struct sv bytes, struct err *e)
{
    struct resp_decoded d = decode(bytes);
    int rc = sentinel_myid_parse(ret, d.nodes, e);

    resp_decoded_free(&d);
    return rc;
}

static void test_myid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "$-1\r\n",
        "*0\r\n",
        "$0\r\n\r\n",
        "$39\r\n52f93660999e507abefa4365e00ce4576409053\r\n",
        "$41\r\n" ID "0\r\n",
        "$40\r\n52f93660999e507abefa4365e00ce4576409053x\r\n",
    };
    char id[RUN_ID_LEN + 1] = "kept";
    struct err e = {.code = ERR_NONE};
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_err(parse_myid(id, sv_from(bad[i]), &e), &e, ERR_PROTO);
        assert_string_equal(id, "kept");
    }
    assert_int_equal(parse_myid(id, SV("$40\r\n" ID "\r\n"), &e), 0);
    assert_string_equal(id, ID);
    char *bytes = data_read("sentinel/myid.resp", &len);
    assert_int_equal(parse_myid(id, (struct sv){bytes, len}, &e), 0);
    assert_int_equal(strlen(id), RUN_ID_LEN);
    free(bytes);
}

static void test_captured_hellos(void **state)
{
    (void)state;
    size_t len;
    char *bytes = data_read("sentinel/hellos.txt", &len);
    struct sv rest = {bytes, len};
    unsigned count = 0, first_epoch = 0;

    while (rest.ptr != NULL && rest.len > 0) {
        struct sv payload = sv_split(&rest, '\n');
        struct sentinel_hello h;
        struct err e;
        assert_sv_equal(sv_split(&payload, '\t'), "__sentinel__:hello");
        if (sentinel_hello_parse(&h, payload, &e) != 0) {
            fail_msg("%s", e.msg);
        }
        assert_string_equal(h.master_name, "mymaster");
        assert_string_equal(h.sentinel.host, "127.0.0.1");
        assert_string_equal(h.master.host, "127.0.0.1");
        assert_false(addr_eq(&h.sentinel, &h.master));
        assert_int_equal(strlen(h.sentinel_id), RUN_ID_LEN);
        assert_true(h.current_epoch == h.master_epoch); /* as it was in this capture */
        first_epoch += h.master_epoch == 1;
        count++;
    }
    assert_true(count >= 12);
    assert_true(first_epoch >= 6 && first_epoch < count);
    free(bytes);
}

static void test_hello_forms(void **state)
{
    (void)state;
    struct sentinel_hello h;

    assert_int_equal(
        sentinel_hello_parse(&h, SV("fd00::1,26379," ID ",8,my-master,redis-0.redis,6379,7"), NULL),
        0);
    assert_string_equal(h.sentinel.host, "fd00::1");
    assert_int_equal(h.sentinel.port, 26379);
    assert_string_equal(h.sentinel_id, ID);
    assert_int_equal(h.current_epoch, 8);
    assert_string_equal(h.master_name, "my-master");
    assert_string_equal(h.master.host, "redis-0.redis");
    assert_int_equal(h.master.port, 6379);
    assert_int_equal(h.master_epoch, 7);
}

static void test_malformed_hellos(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        ",,,,,,,",
        "h,1," ID ",1,m,h,1",
        "h,1," ID ",1,m,h,1,1,1",
        "h,1," ID ",1,m,h,1,1,",
        ",1," ID ",1,m,h,1,1",
        "h,0," ID ",1,m,h,1,1",
        "h,x," ID ",1,m,h,1,1",
        "h,1," ID "0,1,m,h,1,1",
        "h,1,52f93660999e507abefa4365e00ce4576409053X,1,m,h,1,1",
        "h,1,,1,m,h,1,1",
        "h,1," ID ",-1,m,h,1,1",
        "h,1," ID ",1,,h,1,1",
        "h,1," ID ",1,m,,1,1",
        "h,1," ID ",1,m,h,65536,1",
        "h,1," ID ",1,m,h,x,1",
        "h,1," ID ",1,m,h,1,",
        "h,1," ID ",1,m,h,1,1 ",
        "h,1," ID ",1,m,h,1,18446744073709551616",
        "h i,1," ID ",1,m,h,1,1",
    };
    struct sentinel_hello h = {.master_epoch = 77};
    struct err e = {.code = ERR_NONE};
    char text[512], name[200];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (sentinel_hello_parse(&h, sv_from(bad[i]), &e) == 0) {
            fail_msg("'%s' was taken", bad[i]);
        }
        assert_err(-1, &e, ERR_PROTO);
    }
    assert_int_equal(sentinel_hello_parse(&h, SV("h,1," ID ",1,m\0x,h,1,1"), NULL), -1);
    for (size_t len = 127; len <= 128; len++) {
        memset(name, 'm', len);
        name[len] = '\0';
        (void)snprintf(text, sizeof(text), "h,1," ID ",1,%s,h,1,1", name);
        if (len == 128) {
            assert_int_equal(h.master_epoch, 1);
        } else {
            assert_int_equal(h.master_epoch, 77);
        }
        assert_int_equal(sentinel_hello_parse(&h, sv_from(text), NULL), len == 127 ? 0 : -1);
    }
}

static void test_every_cut_of_a_hello(void **state)
{
    (void)state;
    static const char text[] = "10.0.0.1,26379," ID ",8,mymaster,10.0.0.2,6379,7";

    for (size_t cut = 0; cut < sizeof(text); cut++) {
        char *exact = bytes_dup((struct sv){text, cut});
        struct sentinel_hello h;
        assert_int_equal(sentinel_hello_parse(&h, (struct sv){exact, cut}, NULL),
                         cut == sizeof(text) - 1 ? 0 : -1);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_master),
        cmocka_unit_test(test_captured_failover),
        cmocka_unit_test(test_which_fields_must_be_there),
        cmocka_unit_test(test_values_that_do_not_parse),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_addr),
        cmocka_unit_test(test_myid),
        cmocka_unit_test(test_captured_hellos),
        cmocka_unit_test(test_hello_forms),
        cmocka_unit_test(test_malformed_hellos),
        cmocka_unit_test(test_every_cut_of_a_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
