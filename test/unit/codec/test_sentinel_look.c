/* What a candidate asks and says: votes, peers, replicas, the hello that it writes. */
#include "test/unit/support/fixture.h"
#include "test/unit/support/resp_decode.h"

#include "lib/codec/sentinel_reply.h"

#define ID "52f93660999e507abefa4365e00ce45764090531"
#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct look_case {
    struct resp_decoded d;
    char *bytes;
};

static void open_text(struct look_case *c, const char *text)
{
    c->bytes = bytes_dup(sv_from(text));
    if (!resp_decode(&c->d, (struct sv){c->bytes, strlen(text)})) {
        fail_msg("the test's own text is not RESP: %s", text);
    }
}

static void open_file(struct look_case *c, const char *path)
{
    size_t len;

    c->bytes = data_read(path, &len);
    if (!resp_decode(&c->d, (struct sv){c->bytes, len})) {
        fail_msg("%s is not RESP", path);
    }
}

static void close_case(struct look_case *c)
{
    resp_decoded_free(&c->d);
    free(c->bytes);
}

static struct sentinel_vote vote_of(const char *path)
{
    struct look_case c;
    struct sentinel_vote v = {.epoch = 77};
    struct err e;

    open_file(&c, path);
    if (sentinel_vote_parse(&v, c.d.nodes, &e) != 0) {
        fail_msg("%s: %s", path, e.msg);
    }
    close_case(&c);
    return v;
}

static void test_captured_votes(void **state)
{
    (void)state;
    static const struct {
        const char *path, *leader;
        uint64_t epoch;
    } rows[] = {
        {"sentinel/vote_granted.resp", ID_A, 100}, /* asked by a */
        {"sentinel/vote_other.resp", ID_A, 100},   /* asked by b, at the same epoch */
        {"sentinel/vote_unknown_addr.resp", "", 0},
        {"sentinel/vote_restarted.resp", "", 100}, /* it has kept the epoch, not for whom */
        {"sentinel/vote_question.resp", "", 4},    /* +switch-master has cleared the leader */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sentinel_vote v = vote_of(rows[i].path);
        assert_string_equal(v.leader_id, rows[i].leader);
        assert_int_equal(v.epoch, rows[i].epoch);
        assert_false(v.down);
    }
}

static void test_vote_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {
        {"*3\r\n:1\r\n$40\r\n" ID "\r\n:9223372036854775807\r\n", true},
        {"*3\r\n:1\r\n$1\r\n*\r\n:0\r\n", true},
        {"*3\r\n:2\r\n$1\r\n*\r\n:0\r\n", false},
        {"*3\r\n:-1\r\n$1\r\n*\r\n:0\r\n", false},
        {"*3\r\n$-1\r\n$1\r\n*\r\n:0\r\n", false},
        {"*3\r\n:1\r\n$0\r\n\r\n:0\r\n", false},
        {"*3\r\n:1\r\n$2\r\n**\r\n:0\r\n", false},
        {"*3\r\n:1\r\n$-1\r\n:0\r\n", false},
        {"*3\r\n:1\r\n$39\r\n52f93660999e507abefa4365e00ce4576409053\r\n:1\r\n", false},
        {"*3\r\n:1\r\n$40\r\n" ID "\r\n:-1\r\n", false},
        {"*3\r\n:1\r\n$40\r\n" ID "\r\n$1\r\nx\r\n", false},
        {"*2\r\n:1\r\n$40\r\n" ID "\r\n", false},
        {"*0\r\n", false},
        {"$-1\r\n", false},
        {":1\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct look_case c;
        struct err e = {.code = ERR_NONE};
        struct sentinel_vote v = {.epoch = 77};
        open_text(&c, rows[i].text);
        int rc = sentinel_vote_parse(&v, c.d.nodes, &e);
        if (!rows[i].ok) {
            assert_err(rc, &e, ERR_PROTO);
            assert_true(v.epoch == 77 && !v.down && v.leader_id[0] == '\0');
        } else {
            assert_int_equal(rc, 0);
            assert_true(v.down);
            assert_string_equal(v.leader_id, i == 0 ? ID : "");
            assert_true(v.epoch == (i == 0 ? INT64_MAX : 0));
        }
        close_case(&c);
    }
}

static void assert_all_refuse(struct look_case *c, enum err_code code)
{
    struct sentinel_vote v;
    struct sentinel_look look = {.peer_count = 77, .replica_count = 78};
    struct err e = {.code = ERR_NONE};

    assert_err(sentinel_vote_parse(&v, c->d.nodes, &e), &e, code);
    assert_err(sentinel_peers_parse(&look, c->d.nodes, &e), &e, code);
    assert_err(sentinel_replicas_parse(&look, c->d.nodes, &e), &e, code);
    assert_int_equal(look.peer_count, 77);
    assert_int_equal(look.replica_count, 78);
    close_case(c);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
    } rows[] = {
        {"-NOAUTH Authentication required.\r\n", ERR_DENIED},
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", ERR_DENIED},
        {"-ERR unknown subcommand 'x'. Try SENTINEL HELP.\r\n", ERR_DENIED},
        {"-ERR Unknown sentinel subcommand 'x'\r\n", ERR_DENIED},
        {"-ERR Unknown subcommand or wrong number of arguments for 'x'.\r\n", ERR_DENIED},
        {"-ERR unknown option\r\n", ERR_PROTO},
        {"-LOADING x\r\n", ERR_PROTO},
        {"-\r\n", ERR_PROTO},
        {"+OK\r\n", ERR_PROTO},
        {"$-1\r\n", ERR_PROTO},
    };
    struct look_case c;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        open_text(&c, rows[i].text);
        assert_all_refuse(&c, rows[i].code);
    }
    open_file(&c, "sentinel/vote_noperm.resp");
    assert_all_refuse(&c, ERR_DENIED);
    open_file(&c, "sentinel/vote_no_sentinel.resp");
    assert_all_refuse(&c, ERR_DENIED);
    open_file(&c, "sentinel/peers_unknown.resp");
    assert_all_refuse(&c, ERR_NOTFOUND);
}

static const struct sentinel_instance *read_peers(struct sentinel_look *look, const char *path)
{
    struct look_case c;
    struct err e;

    open_file(&c, path);
    *look = (struct sentinel_look){.replica_count = 77};
    if (sentinel_peers_parse(look, c.d.nodes, &e) != 0) {
        fail_msg("%s: %s", path, e.msg);
    }
    assert_int_equal(look->replica_count, 77);
    close_case(&c);
    return look->peers;
}

static const struct sentinel_instance *read_replicas(struct sentinel_look *look, const char *path)
{
    struct look_case c;
    struct err e;

    open_file(&c, path);
    *look = (struct sentinel_look){.peer_count = 77};
    if (sentinel_replicas_parse(look, c.d.nodes, &e) != 0) {
        fail_msg("%s: %s", path, e.msg);
    }
    assert_int_equal(look->peer_count, 77);
    close_case(&c);
    return look->replicas;
}

static void assert_instances(const struct sentinel_instance *list, size_t count)
{
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(list[i].addr.host, "127.0.0.1");
        assert_true(list[i].addr.port != 0);
    }
    assert_false(addr_eq(&list[0].addr, &list[1].addr));
    assert_string_not_equal(list[0].run_id, list[1].run_id);
}

static void test_captured_peers(void **state)
{
    (void)state;
    struct sentinel_look look;
    const struct sentinel_instance *list = read_peers(&look, "sentinel/peers.resp");

    assert_instances(list, look.peer_count);
    assert_int_equal(strlen(list[0].run_id), RUN_ID_LEN);
    assert_int_equal(strlen(list[1].run_id), RUN_ID_LEN);
    assert_int_equal(list[0].flags, 1U << SENTINEL_FLAG_DISCONNECTED);
    assert_int_equal(list[1].flags, 0);
    list = read_peers(&look, "sentinel/peers_down.resp");
    assert_instances(list, look.peer_count);
    assert_int_equal(list[0].flags, 0);
    assert_int_equal(list[1].flags, 1U << SENTINEL_FLAG_S_DOWN);
}

static void test_captured_replicas(void **state)
{
    (void)state;
    struct sentinel_look look;
    const struct sentinel_instance *list = read_replicas(&look, "sentinel/replicas.resp");

    assert_instances(list, look.replica_count);
    assert_int_equal(list[0].flags | list[1].flags, 0);
    assert_int_equal(strlen(list[0].run_id), RUN_ID_LEN);
    list = read_replicas(&look, "sentinel/replicas_down.resp");
    assert_instances(list, look.replica_count);
    assert_int_equal(list[0].flags, 0);
    assert_int_equal(list[1].flags, 1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_DISCONNECTED);
    assert_string_equal(list[1].run_id, ""); /* it died before its first INFO as a replica */
}

static void write_instance(struct buf *out, const char *host, const char *port)
{
    buf_addf(out, "*6\r\n$2\r\nip\r\n$%zu\r\n%s\r\n$4\r\nport\r\n$%zu\r\n%s\r\n", strlen(host),
             host, strlen(port), port);
    buf_add_str(out, "$5\r\nflags\r\n$6\r\ns_down\r\n");
}

/* Of `count` elements; the one at `odd` has a host that no address has. */
static int parse_many(struct sentinel_look *look, size_t count, size_t odd, bool peers)
{
    AUTO_BUF struct buf text;
    struct look_case c;
    struct err e;

    buf_init(&text, 1 << 16);
    buf_addf(&text, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        char port[8];
        (void)snprintf(port, sizeof port, "%zu", i + 1);
        write_instance(&text, i == odd ? "a b" : "h", port);
    }
    open_text(&c, buf_str(&text));
    int rc = peers ? sentinel_peers_parse(look, c.d.nodes, &e)
                   : sentinel_replicas_parse(look, c.d.nodes, &e);
    close_case(&c);
    return rc;
}

static void test_how_many_are_kept(void **state)
{
    (void)state;
    struct sentinel_look look;

    for (size_t count = 0; count <= SENTINEL_REPLICAS_MAX + 2; count++) {
        look = (struct sentinel_look){.peer_count = 99, .replica_count = 99};
        assert_int_equal(parse_many(&look, count, SIZE_MAX, true), 0);
        assert_int_equal(parse_many(&look, count, SIZE_MAX, false), 0);
        assert_int_equal(look.peer_count, u64_min(count, SENTINEL_PEERS_MAX));
        assert_int_equal(look.replica_count, u64_min(count, SENTINEL_REPLICAS_MAX));
        if (count > 0) {
            assert_int_equal(look.peers[look.peer_count - 1].addr.port, look.peer_count);
            assert_int_equal(look.replicas[look.replica_count - 1].addr.port, look.replica_count);
        }
    }
    assert_int_equal(parse_many(&look, 3, 1, true), 0);
    assert_int_equal(look.peer_count, 2);
    assert_int_equal(look.peers[1].addr.port, 3);
    assert_int_equal(look.peers[1].flags, 1U << SENTINEL_FLAG_S_DOWN);
    assert_string_equal(look.peers[1].run_id, "");
}

static void test_elements_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "*1\r\n*0\r\n",
        "*1\r\n$1\r\nx\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n*4\r\n$2\r\nip\r\n$1\r\nh\r\n$5\r\nflags\r\n$1\r\nx\r\n",
        "*1\r\n*4\r\n$4\r\nport\r\n$1\r\n1\r\n$5\r\nflags\r\n$1\r\nx\r\n",
        "*1\r\n*4\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$1\r\n1\r\n",
        "*1\r\n*6\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$1\r\nx\r\n$5\r\nflags\r\n$1\r\nx\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct look_case c;
        open_text(&c, bad[i]);
        assert_all_refuse(&c, ERR_PROTO);
    }
}

static struct sentinel_hello hello_of(const char *text)
{
    struct sentinel_hello h;
    struct err e;

    if (sentinel_hello_parse(&h, sv_from(text), &e) != 0) {
        fail_msg("%s", e.msg);
    }
    return h;
}

#define HELLO "fd00::1,26379," ID ",8,my-master,redis-0.redis,6379,18446744073709551615"

static void test_hello_is_written_as_it_is_read(void **state)
{
    (void)state;
    struct sentinel_hello h = hello_of(HELLO);

    for (size_t max = 0; max <= strlen(HELLO); max++) {
        AUTO_BUF struct buf out;
        buf_init(&out, max);
        bool fits = max == strlen(HELLO);
        assert_int_equal(sentinel_hello_write(&out, &h), fits);
        assert_string_equal(buf_str(&out), fits ? HELLO : "");
    }
    size_t len;
    char *bytes = data_read("sentinel/hellos.txt", &len);
    struct sv rest = {bytes, len};
    while (rest.ptr != NULL && rest.len > 0) {
        struct sv payload = sv_split(&rest, '\n');
        AUTO_BUF struct buf out;
        buf_init(&out, 512);
        (void)sv_split(&payload, '\t');
        assert_int_equal(sentinel_hello_parse(&h, payload, NULL), 0);
        assert_true(sentinel_hello_write(&out, &h));
        assert_true(sv_eq(buf_sv(&out), payload));
    }
    free(bytes);
}

static void test_hellos_that_are_not_written(void **state)
{
    (void)state;
    struct sentinel_hello bad[7];
    AUTO_BUF struct buf out;

    buf_init(&out, 1024);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bad[i] = hello_of(HELLO);
    }
    bad[0].sentinel.host[0] = '\0';
    bad[1].master.host[0] = '\0';
    bad[2].master_name[0] = '\0';
    bad[3].master_name[2] = ',';
    bad[4].sentinel_id[0] = '\0';
    bad[5].sentinel_id[39] = '\0';
    bad[6].sentinel_id[0] = 'G';
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(sentinel_hello_write(&out, &bad[i]));
        assert_int_equal(out.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_votes),
        cmocka_unit_test(test_vote_forms),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_captured_peers),
        cmocka_unit_test(test_captured_replicas),
        cmocka_unit_test(test_how_many_are_kept),
        cmocka_unit_test(test_elements_that_are_none),
        cmocka_unit_test(test_hello_is_written_as_it_is_read),
        cmocka_unit_test(test_hellos_that_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
