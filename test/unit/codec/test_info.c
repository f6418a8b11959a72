/* INFO: replies of Redis 7, Redis 8 and Valkey 9, lines in any order, what does not parse. */
#include "lib/codec/info.h"

#include "lib/base/buf.h"
#include "test/unit/support/fixture.h"

#define ID_A "0123456789abcdef0123456789abcdef01234567"
#define ID_B "0000000000000000000000000000000000000001"

static struct info parse(struct sv text)
{
    struct info info;
    struct err e;

    if (info_parse(&info, text, &e) != 0) {
        fail_msg("%s", e.msg);
    }
    return info;
}

static struct info parse_file(const char *path)
{
    size_t len;
    char *text = data_read(path, &len);
    struct info info = parse((struct sv){text, len});

    free(text);
    return info;
}

static void test_redis7_master(void **state)
{
    (void)state;
    struct info info = parse_file("info/redis7-master.txt");

    assert_string_equal(info.run_id, "c512f612636c1f9b8ec81570e7ff676c243c14b9");
    assert_string_equal(info.version, "7.0.15");
    assert_string_equal(info.mode, "standalone");
    assert_int_equal(info.role, REDIS_ROLE_MASTER);
    assert_int_equal(info.replica_count, 2);
    assert_int_equal(info.replicas_kept, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(info.replicas[i].addr.host, "127.0.0.1");
        assert_int_equal(info.replicas[i].addr.port, i == 0 ? 16381 : 16380);
        assert_true(info.replicas[i].online);
        assert_true(info.replicas[i].offset == 1017274);
        assert_int_equal(info.replicas[i].lag_s, 1);
    }
    assert_true(info_has(&info, INFO_MASTER_OFFSET));
    assert_true(info.master_offset >= info.replicas[0].offset);
    assert_true(info_has(&info, INFO_REPLID));
    assert_true(info_has(&info, INFO_LOADING) && !info.loading);
    assert_true(info_has(&info, INFO_BGSAVE) && !info.bgsave);
    assert_true(info_has(&info, INFO_CLUSTER) && !info.cluster_enabled);
    assert_false(info_has(&info, INFO_MASTER));
    assert_false(info_has(&info, INFO_LINK_UP));
    assert_false(info_has(&info, INFO_PRIORITY));
    assert_false(info_has(&info, INFO_REPLID2) || info_has(&info, INFO_SECOND_OFFSET));
    assert_string_equal(info.replid2, "");
    assert_true(info.second_offset == -1);
}

static void test_promoted_replica(void **state)
{
    (void)state;
    struct info info = parse_file("sentinel/info_promoted.txt");

    assert_int_equal(info.role, REDIS_ROLE_MASTER);
    assert_true(info_has(&info, INFO_REPLID) && info_has(&info, INFO_REPLID2));
    assert_int_equal(strlen(info.replid2), RUN_ID_LEN);
    assert_string_not_equal(info.replid, info.replid2);
    assert_true(info_has(&info, INFO_SECOND_OFFSET) && info.second_offset > 0);
    assert_true(info.second_offset <= info.master_offset);
}

static void assert_replica(const char *path, const char *version, uint16_t port, int64_t offset)
{
    struct info info = parse_file(path);

    assert_string_equal(info.version, version);
    assert_int_equal(info.role, REDIS_ROLE_SLAVE);
    assert_true(info_has(&info, INFO_MASTER));
    assert_string_equal(info.master.host, "127.0.0.1");
    assert_int_equal(info.master.port, port);
    assert_true(info_has(&info, INFO_LINK_UP) && info.link_up);
    assert_true(info_has(&info, INFO_SYNC) && !info.sync_in_progress);
    assert_true(info_has(&info, INFO_SLAVE_OFFSET) && info.slave_offset == offset);
    assert_true(info_has(&info, INFO_SLAVE_READ_OFFSET));
    assert_true(info.slave_read_offset == offset);
    assert_true(info_has(&info, INFO_PRIORITY) && info.priority == 100);
    assert_false(info_has(&info, INFO_LINK_DOWN_S));
}

static void test_replicas(void **state)
{
    (void)state;
    assert_replica("info/redis7-replica.txt", "7.0.15", 16379, 1017274);
    assert_replica("info/redis8-replica.txt", "8.0.6", 18379, 1005929);
}

static void test_other_modes(void **state)
{
    (void)state;
    struct info info = parse_file("info/redis7-cluster.txt");

    assert_true(info_has(&info, INFO_CLUSTER) && info.cluster_enabled);
    assert_string_equal(info.mode, "cluster");

    info = parse_file("info/redis7-sentinel.txt");
    assert_string_equal(info.mode, "sentinel");
    assert_false(info_has(&info, INFO_ROLE));
    assert_true(info_has(&info, INFO_RUN_ID));

    info = parse_file("info/valkey9-standalone.txt");
    assert_true(info_has(&info, INFO_MODE));
    assert_string_equal(info.mode, "standalone");
    assert_int_equal(info.role, REDIS_ROLE_MASTER);
}

/* Over the wire lines end in CRLF; the files have been through a terminal. */
static void test_line_ends_do_not_matter(void **state)
{
    (void)state;
    size_t len;
    char *text = data_read("info/redis7-replica.txt", &len);
    AUTO_BUF struct buf wire;
    struct info lf = parse((struct sv){text, len});

    buf_init(&wire, 1 << 20);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) {
            buf_add_char(&wire, '\r');
        }
        buf_add_char(&wire, text[i]);
    }
    struct info crlf = parse(buf_sv(&wire));
    assert_int_equal(lf.has, crlf.has);
    assert_string_equal(lf.run_id, crlf.run_id);
    assert_string_equal(lf.master.host, crlf.master.host);
    assert_true(lf.slave_offset == crlf.slave_offset);
    free(text);
}

struct row {
    const char *line;
    enum info_field field;
    bool has;
};

static void test_each_field(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"run_id:" ID_A, INFO_RUN_ID, true},
        {"run_id:" ID_A "8", INFO_RUN_ID, false},
        {"run_id:", INFO_RUN_ID, false},
        {"run_id:0123456789abcdef0123456789abcdef0123456g", INFO_RUN_ID, false},
        {"run_id:0123456789ABCDEF0123456789ABCDEF01234567", INFO_RUN_ID, false},
        {"redis_version:7.0.15", INFO_VERSION, true},
        {"redis_version:", INFO_VERSION, false},
        {"redis_version:12345678901234567890123456789012", INFO_VERSION, false},
        {"uptime_in_seconds:0", INFO_UPTIME, true},
        {"uptime_in_seconds:-1", INFO_UPTIME, false},
        {"role:master", INFO_ROLE, true},
        {"role:slave", INFO_ROLE, true},
        {"role:replica", INFO_ROLE, false},
        {"role:", INFO_ROLE, false},
        {"master_host:redis-0", INFO_MASTER, false},
        {"master_port:6379", INFO_MASTER, false},
        {"master_host:redis-0\nmaster_port:6379", INFO_MASTER, true},
        {"master_port:6379\nmaster_host:redis-0", INFO_MASTER, true},
        {"master_host:redis-0\nmaster_port:0", INFO_MASTER, false},
        {"master_host:redis-0\nmaster_port:65536", INFO_MASTER, false},
        {"master_host:redis-0\nmaster_port:x", INFO_MASTER, false},
        {"master_host:redis-0\nmaster_port:6379\nmaster_port:x", INFO_MASTER, false},
        {"master_host:\nmaster_port:6379", INFO_MASTER, false},
        {"master_host:a b\nmaster_port:6379", INFO_MASTER, false},
        {"master_link_status:up", INFO_LINK_UP, true},
        {"master_link_status:down", INFO_LINK_UP, true},
        {"master_link_status:half", INFO_LINK_UP, false},
        {"master_link_down_since_seconds:12", INFO_LINK_DOWN_S, true},
        {"master_link_down_since_seconds:-1", INFO_LINK_DOWN_S, false},
        {"master_sync_in_progress:1", INFO_SYNC, true},
        {"master_sync_in_progress:2", INFO_SYNC, false},
        {"master_sync_in_progress:yes", INFO_SYNC, false},
        {"slave_repl_offset:-1", INFO_SLAVE_OFFSET, true},
        {"slave_repl_offset:9223372036854775808", INFO_SLAVE_OFFSET, false},
        {"slave_read_repl_offset:5", INFO_SLAVE_READ_OFFSET, true},
        {"master_repl_offset:5", INFO_MASTER_OFFSET, true},
        {"master_repl_offset:", INFO_MASTER_OFFSET, false},
        {"master_replid:" ID_A, INFO_REPLID, true},
        {"master_replid:0", INFO_REPLID, false},
        {"master_replid2:" ID_A, INFO_REPLID2, true},
        {"master_replid2:0000000000000000000000000000000000000000", INFO_REPLID2, false},
        {"master_replid2:" ID_A "\nmaster_replid2:0", INFO_REPLID2, false},
        {"master_replid2:" ID_A "8", INFO_REPLID2, false},
        {"master_replid2:", INFO_REPLID2, false},
        {"second_repl_offset:0", INFO_SECOND_OFFSET, true},
        {"second_repl_offset:4212", INFO_SECOND_OFFSET, true},
        {"second_repl_offset:-1", INFO_SECOND_OFFSET, false},
        {"second_repl_offset:-2", INFO_SECOND_OFFSET, false},
        {"second_repl_offset:4212\nsecond_repl_offset:x", INFO_SECOND_OFFSET, false},
        {"slave_priority:0", INFO_PRIORITY, true},
        {"slave_priority:-1", INFO_PRIORITY, false},
        {"connected_slaves:3", INFO_REPLICAS, true},
        {"connected_slaves:many", INFO_REPLICAS, false},
        {"loading:0", INFO_LOADING, true},
        {"loading:2", INFO_LOADING, false},
        {"rdb_bgsave_in_progress:1", INFO_BGSAVE, true},
        {"cluster_enabled:1", INFO_CLUSTER, true},
        {"cluster_enabled:", INFO_CLUSTER, false},
        {"redis_mode:cluster", INFO_CLUSTER, true},
        {"redis_mode:standalone", INFO_MODE, true},
        {"server_mode:standalone", INFO_MODE, true},
        {"redis_mode:", INFO_MODE, false},
        {"redis_mode:0123456789abcdef", INFO_MODE, false},
        {" role:master ", INFO_ROLE, true},
        {"Role:master", INFO_ROLE, false},
        {"#role:master", INFO_ROLE, false},
        {"role", INFO_ROLE, false},
        {":master", INFO_ROLE, false},
        {"role:master\nrole:garbage", INFO_ROLE, false},
        {"role:garbage\nrole:slave", INFO_ROLE, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        /* A second field that is known, so that the text as a whole is INFO. */
        const char *known =
            rows[i].field == INFO_BGSAVE ? "role:master" : "rdb_bgsave_in_progress:0";
        (void)snprintf(text, sizeof(text), "%s\r\n%s\r\n", rows[i].line, known);
        struct info info = parse(sv_from(text));
        if (info_has(&info, rows[i].field) != rows[i].has) {
            fail_msg("%s", rows[i].line);
        }
        assert_int_equal(info.replid2[0] != '\0', info_has(&info, INFO_REPLID2));
        assert_int_equal(info.second_offset != -1, info_has(&info, INFO_SECOND_OFFSET));
    }
}

static void test_values(void **state)
{
    (void)state;
    struct info info = parse(SV("role:slave\nmaster_host:redis-1.redis\nmaster_port:6380\n"
                                "master_link_status:down\nmaster_link_down_since_seconds:7\n"
                                "master_sync_in_progress:1\nslave_repl_offset:-1\n"
                                "slave_read_repl_offset:11\nslave_priority:0\n"
                                "master_repl_offset:9223372036854775807\nconnected_slaves:0\n"
                                "loading:1\nrdb_bgsave_in_progress:1\nuptime_in_seconds:99\n"
                                "master_replid:" ID_A "\nmaster_replid2:" ID_B "\n"
                                "second_repl_offset:9223372036854775807\n"));

    assert_int_equal(info.role, REDIS_ROLE_SLAVE);
    assert_string_equal(info.master.host, "redis-1.redis");
    assert_int_equal(info.master.port, 6380);
    assert_false(info.link_up);
    assert_int_equal(info.link_down_s, 7);
    assert_true(info.sync_in_progress);
    assert_true(info.slave_offset == -1);
    assert_true(info.slave_read_offset == 11);
    assert_int_equal(info.priority, 0);
    assert_true(info.master_offset == INT64_MAX);
    assert_true(info.loading);
    assert_true(info.bgsave);
    assert_int_equal(info.uptime_s, 99);
    assert_string_equal(info.replid, ID_A);
    assert_string_equal(info.replid2, ID_B);
    assert_true(info.second_offset == INT64_MAX);
    assert_false(info_has(&info, INFO_CLUSTER));
}

static void test_async_loading_counts_as_loading(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has, loading;
    } rows[] = {
        {"loading:0\nasync_loading:1\n", true, true},
        {"async_loading:1\nloading:0\n", true, true},
        {"loading:1\nasync_loading:0\n", true, true},
        {"loading:0\nasync_loading:0\n", true, false},
        {"role:slave\nasync_loading:0\n", false, false},
        {"role:slave\nasync_loading:2\n", false, false},
        {"role:slave\nasync_loading:1\n", true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct info info = parse(sv_from(rows[i].text));
        assert_int_equal(info_has(&info, INFO_LOADING), rows[i].has);
        assert_int_equal(info.loading, rows[i].loading);
    }
}

static void test_cluster_from_either_key(void **state)
{
    (void)state;
    struct info info = parse(SV("redis_mode:cluster\ncluster_enabled:0\n"));
    assert_true(info_has(&info, INFO_CLUSTER) && info.cluster_enabled);
    info = parse(SV("redis_mode:standalone\n"));
    assert_false(info_has(&info, INFO_CLUSTER));
}

static void test_replica_lines(void **state)
{
    (void)state;
    struct info info = parse(
        SV("role:master\nconnected_slaves:4\n"
           "slave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=0\n"
           "slave1:ip=fd00::3,port=6380,state=wait_bgsave,offset=0,lag=0\n"
           "slave2:ip=redis-3,port=6379,state=send_bulk,offset=x,lag=-1,later=1\n"
           "slave3:ip=,port=6379,state=online,offset=1,lag=0\n"
           "slave4:ip=h,port=0,state=online,offset=1,lag=0\n"
           "slave5:ip=h,port=99999999999999999999,state=online\n"
           "slave6:\nslave7:,,=,\nslave:ip=h,port=1\nslavex:ip=h,port=1\nslave-1:ip=h,port=1\n"
           "slave8:port=7,ip=minimal\n"));

    assert_int_equal(info.replica_count, 4);
    assert_int_equal(info.replicas_kept, 4);
    assert_string_equal(info.replicas[0].addr.host, "10.0.0.2");
    assert_true(info.replicas[0].online);
    assert_true(info.replicas[0].offset == 42);
    assert_int_equal(info.replicas[0].lag_s, 0);
    assert_string_equal(info.replicas[1].addr.host, "fd00::3");
    assert_int_equal(info.replicas[1].addr.port, 6380);
    assert_false(info.replicas[1].online);
    assert_true(info.replicas[2].offset == 0);
    assert_true(info.replicas[2].lag_s == UINT64_MAX); /* not known is not "none" */
    assert_string_equal(info.replicas[3].addr.host, "minimal");
}

static void test_replicas_beyond_the_limit(void **state)
{
    (void)state;
    AUTO_BUF struct buf text;

    buf_init(&text, 1 << 16);
    buf_addf(&text, "role:master\nconnected_slaves:%d\n", INFO_REPLICAS_MAX + 5);
    for (int i = 0; i < INFO_REPLICAS_MAX + 5; i++) {
        buf_addf(&text, "slave%d:ip=10.0.0.%d,port=6379,state=online,offset=1,lag=0\n", i, i + 1);
    }
    struct info info = parse(buf_sv(&text));
    assert_int_equal(info.replica_count, INFO_REPLICAS_MAX + 5);
    assert_int_equal(info.replicas_kept, INFO_REPLICAS_MAX);
    assert_string_equal(info.replicas[INFO_REPLICAS_MAX - 1].addr.host, "10.0.0.32");
}

static void test_no_line_known(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     "\n\n", "# Server\r\n",         "x:y\n", "role:\n", "hello",
        "role", ":",    "slave0:ip=h,port=1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct info info = {.uptime_s = 77};
        struct err e = {.code = ERR_NONE};
        assert_err(info_parse(&info, sv_from(bad[i]), &e), &e, ERR_PROTO);
        assert_int_equal(info.uptime_s, 77);
    }
    assert_int_equal(info_parse(&(struct info){.has = 0}, sv_from(NULL), NULL), -1);
}

static void test_length_limit_is_exact(void **state)
{
    (void)state;
    AUTO_BUF struct buf text;
    struct info info;
    struct err e;

    buf_init(&text, INFO_TEXT_MAX + 1);
    buf_add_str(&text, "role:master\n");
    while (text.len < INFO_TEXT_MAX) {
        buf_add_char(&text, 'x');
    }
    assert_int_equal(info_parse(&info, buf_sv(&text), &e), 0);
    buf_add_char(&text, 'x');
    assert_err(info_parse(&info, buf_sv(&text), &e), &e, ERR_LIMIT);
}

static void test_every_cut(void **state)
{
    (void)state;
    size_t len;
    char *text = data_read("info/redis7-replica.txt", &len);
    struct info whole = parse((struct sv){text, len});

    for (size_t cut = 0; cut <= len; cut++) {
        char *exact = bytes_dup((struct sv){text, cut});
        struct info info;
        if (info_parse(&info, (struct sv){exact, cut}, NULL) == 0) {
            assert_int_equal(info.has & ~whole.has, 0);
        }
        free(exact);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis7_master),
        cmocka_unit_test(test_promoted_replica),
        cmocka_unit_test(test_replicas),
        cmocka_unit_test(test_other_modes),
        cmocka_unit_test(test_line_ends_do_not_matter),
        cmocka_unit_test(test_each_field),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_async_loading_counts_as_loading),
        cmocka_unit_test(test_cluster_from_either_key),
        cmocka_unit_test(test_replica_lines),
        cmocka_unit_test(test_replicas_beyond_the_limit),
        cmocka_unit_test(test_no_line_known),
        cmocka_unit_test(test_length_limit_is_exact),
        cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
