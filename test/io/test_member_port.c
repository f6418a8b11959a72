/* The connections to the members, against scripted peers. */
#include "agent/shell/member_port.h"

#include "lib/base/mem.h"
#include "test/io/port_log.h"
#include "test/io/redis_peer.h"

#define BULK(len, text) "$" len "\r\n" text "\r\n"
#define INFO_SERVER BULK("30", "# Server\nredis_version:7.0.15\n")
#define INFO_REPLICATION BULK("40", "role:master\r\nmaster_repl_offset:1234567\n")
#define INFO_PERSISTENCE BULK("11", "loading:0\r\n")
#define MASTER_ROLE "*3\r\n$6\r\nmaster\r\n:7\r\n*0\r\n"
#define SLAVE_ROLE "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:7\r\n"

struct member_fixture {
    struct bed bed;
    struct redis_peer peer;
    struct config *cfg;
    struct port_counters counters;
    struct port_log *log;
    struct member_port port;
    uint64_t op;
};

static struct addr addr_of(const struct redis_peer *p)
{
    struct addr a;
    assert_true(addr_set(&a, sv_from("127.0.0.1"), p->port));
    return a;
}

static void open_slot(struct member_fixture *f, size_t slot)
{
    struct addr a = addr_of(&f->peer);
    member_port_open(&f->port, slot, &a);
}

static int setup(void **state)
{
    struct member_fixture *f = xcalloc(1, sizeof *f);
    f->cfg = xcalloc(1, sizeof *f->cfg);
    f->log = xcalloc(1, sizeof *f->log);
    bed_open(&f->bed);
    assert_true(redis_peer_open(&f->peer, &f->bed, "127.0.0.1", 0));
    member_port_init(&f->port, &f->bed.loop, f->cfg, port_log_sink(f->log), &f->counters);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct member_fixture *f = *state;
    bool closed = false;
    member_port_close(&f->port, bed_on_closed, &closed);
    BED_RUN_UNTIL(&f->bed, closed);
    redis_peer_close(&f->peer);
    bed_close(&f->bed);
    free(f->log);
    free(f->cfg);
    free(f);
    return 0;
}

#define MEMBER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void open_until_up(struct member_fixture *f, size_t slot)
{
    size_t before = port_log_count(f->log, CORE_MEMBER_UP, 0);
    open_slot(f, slot);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_UP, 0) == before + 1);
    assert_int_equal(port_log_last(f->log, CORE_MEMBER_UP, 0)->ev.slot, slot);
}

static enum local_down last_down(const struct member_fixture *f)
{
    return port_log_last(f->log, CORE_MEMBER_DOWN, 0)->ev.u.down;
}

/* --- connections ------------------------------------------------------------------------------ */

static void test_every_refused_attempt_is_told(void **state)
{
    struct member_fixture *f = *state;
    redis_peer_stop_listening(&f->peer);
    open_slot(f, 3);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_DOWN, 0) == 1);
    for (size_t n = 2; n < 5; n++) {
        member_port_kick(&f->port, 3);
        BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_DOWN, 0) == n);
    }
    assert_int_equal(last_down(f), LOCAL_DOWN_REFUSED);
    assert_int_equal(port_log_last(f->log, CORE_MEMBER_DOWN, 0)->ev.slot, 3);
    assert_int_equal(f->counters.downs[PORT_MEMBER][REDIS_DOWN_REFUSED], 4);
}

static void test_a_cut_connection_is_told_and_made_again(void **state)
{
    struct member_fixture *f = *state;
    REDIS_RULES(&f->peer, ANSWER("PING", PONG));
    open_until_up(f, 0);
    redis_peer_then(&f->peer, REDIS_PEER_CLOSE);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_UP, 0) == 2);
    assert_int_equal(port_log_count(f->log, CORE_MEMBER_DOWN, 0), 1);
    assert_int_equal(last_down(f), LOCAL_DOWN_CLOSED);
}

static void test_a_slot_can_be_opened_again_at_once(void **state)
{
    struct member_fixture *f = *state;
    REDIS_RULES(&f->peer, ANSWER("PING", PONG));
    open_until_up(f, 0);
    open_slot(f, 0); /* closes the first, which is still closing … */
    open_slot(f, 0); /* … and the second, which was never up */
    member_port_shut(&f->port, 0);
    open_slot(f, 0);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_UP, 0) == 2);
    bed_run_for_ms(&f->bed, 30);
    assert_int_equal(port_log_count(f->log, CORE_MEMBER_UP, 0), 2);
    assert_int_equal(port_log_count(f->log, CORE_MEMBER_DOWN, 0), 0);
}

static void test_a_closed_slot_refuses(void **state)
{
    struct member_fixture *f = *state;
    struct core_action a = {.type = ACT_ORDER, .op = 1, .slot = 2, .order = ORDER_PROMOTE};
    assert_false(member_port_read(&f->port, 2, 1));
    assert_false(member_port_order(&f->port, &a));
    member_port_kick(&f->port, 2);
    member_port_shut(&f->port, 2);
    open_slot(f, 2); /* not up yet */
    assert_false(member_port_read(&f->port, 2, 1));
    assert_false(member_port_order(&f->port, &a));
    member_port_shut(&f->port, 2);
    bed_run_for_ms(&f->bed, 10);
    assert_int_equal(f->log->count, 0);
}

/* --- reads ------------------------------------------------------------------------------------ */

static void read_until_told(struct member_fixture *f)
{
    assert_true(member_port_read(&f->port, 0, ++f->op));
    assert_int_equal(port_log_count(f->log, CORE_MEMBER_INFO, f->op), 0);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_INFO, f->op) == 1);
}

static void test_info(void **state)
{
    struct member_fixture *f = *state;
    REDIS_RULES(&f->peer, ANSWER("PING", PONG), ANSWER("INFO server", INFO_SERVER),
                ANSWER("INFO replication", INFO_REPLICATION),
                ANSWER("INFO persistence", INFO_PERSISTENCE));
    open_until_up(f, 0);
    read_until_told(f);
    const struct port_told *t = port_log_last(f->log, CORE_MEMBER_INFO, f->op);
    assert_true(t->has);
    assert_string_equal(t->copy.info.version, "7.0.15");
    assert_int_equal(t->copy.info.master_offset, 1234567);
    assert_true(info_has(&t->copy.info, INFO_LOADING));
    assert_int_equal(t->ev.slot, 0);
}

static void test_two_reads_at_once_keep_their_answers(void **state)
{
    struct member_fixture *f = *state;
    REDIS_RULES(&f->peer, ANSWER("PING", PONG), ANSWER("INFO server", INFO_SERVER),
                ANSWER_TIMES("INFO replication", "-NOPERM no\r\n", 1),
                ANSWER("INFO replication", INFO_REPLICATION),
                ANSWER("INFO persistence", INFO_PERSISTENCE));
    open_until_up(f, 0);
    assert_true(member_port_read(&f->port, 0, 8));
    assert_true(member_port_read(&f->port, 0, 9));
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_INFO, 0) == 2);
    assert_false(port_log_last(f->log, CORE_MEMBER_INFO, 8)->has);
    assert_true(port_log_last(f->log, CORE_MEMBER_INFO, 9)->has);
}

static void test_a_lost_read_is_told_before_the_loss(void **state)
{
    struct member_fixture *f = *state;
    REDIS_RULES(&f->peer, ANSWER("PING", PONG), ANSWER("INFO server", INFO_SERVER),
                ANSWER_THEN("INFO replication", NULL, REDIS_PEER_CLOSE));
    open_until_up(f, 0);
    read_until_told(f);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_DOWN, 0) == 1);
    assert_int_equal(port_log_count(f->log, CORE_MEMBER_INFO, 0), 1);
    assert_false(port_log_last(f->log, CORE_MEMBER_INFO, 0)->has);
    assert_int_equal(f->log->told[1].ev.type, CORE_MEMBER_INFO);
}

static void test_a_read_of_a_shut_slot_ends_all_the_same(void **state)
{
    struct member_fixture *f = *state;
    REDIS_RULES(&f->peer, ANSWER("PING", PONG));
    open_until_up(f, 0);
    assert_true(member_port_read(&f->port, 0, 5));
    open_slot(f, 0);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_MEMBER_INFO, 5) == 1);
    assert_false(port_log_last(f->log, CORE_MEMBER_INFO, 5)->has);
}

/* --- orders ----------------------------------------------------------------------------------- */

static const struct core_event *order(struct member_fixture *f, enum order what, uint64_t value)
{
    struct core_action a = {.type = ACT_ORDER, .op = ++f->op, .order = what, .value = value};
    assert_true(addr_set(&a.addr, sv_from("redis-1.example"), 6380));
    assert_true(member_port_order(&f->port, &a));
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_ORDER_DONE, f->op) > 0);
    assert_int_equal(port_log_count(f->log, CORE_ORDER_DONE, f->op), 1);
    return &port_log_last(f->log, CORE_ORDER_DONE, f->op)->ev;
}

static void test_what_is_sent(void **state)
{
    struct member_fixture *f = *state;
    static const struct {
        enum order order;
        const char *command;
    } rows[] = {
        {ORDER_PAUSE, "CLIENT PAUSE 2000 WRITE"},
        {ORDER_UNPAUSE, "CLIENT UNPAUSE"},
        {ORDER_FOLLOW, "REPLICAOF redis-1.example 6380"},
        {ORDER_KILL_NORMAL, "CLIENT KILL TYPE normal SKIPME yes"},
        {ORDER_REWRITE, "CONFIG REWRITE"},
        {ORDER_SET_FENCE, "CONFIG SET min-replicas-to-write 2000"},
        {ORDER_FAILOVER, "FAILOVER TO redis-1.example 6380 TIMEOUT 2000"},
    };
    REDIS_RULES(&f->peer, ANSWER("PING", PONG), ANSWER("CLIENT KILL", ":3\r\n"),
                ANSWER("REPLICAOF", "+OK Already connected to specified master\r\n"),
                ANSWER("", "+OK\r\n"));
    open_until_up(f, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        redis_peer_forget(&f->peer, "");
        assert_int_equal(order(f, rows[i].order, 2000)->u.order.outcome, OUTCOME_OK);
        assert_int_equal(redis_peer_count(&f->peer, rows[i].command), 1);
    }
}

struct answer_case {
    enum order order;
    const char *first, *second;
    enum redis_peer_then then;
    enum outcome outcome;
};

static void test_what_answers_mean(void **state)
{
    struct member_fixture *f = *state;
    static const struct answer_case rows[] = {
        {ORDER_PROMOTE, "+OK\r\n", MASTER_ROLE, REDIS_PEER_KEEP, OUTCOME_OK},
        {ORDER_PROMOTE, "+OK\r\n", SLAVE_ROLE, REDIS_PEER_KEEP, OUTCOME_REFUSED},
        {ORDER_PROMOTE, "+OK\r\n", "-NOPERM x\r\n", REDIS_PEER_KEEP, OUTCOME_UNKNOWN},
        {ORDER_PROMOTE, "-NOPERM x\r\n", MASTER_ROLE, REDIS_PEER_KEEP, OUTCOME_DENIED},
        {ORDER_PROMOTE, "-LOADING x\r\n", SLAVE_ROLE, REDIS_PEER_KEEP, OUTCOME_REFUSED},
        {ORDER_PROMOTE, "+OK\r\n", NULL, REDIS_PEER_CLOSE, OUTCOME_UNKNOWN},
        {ORDER_PROMOTE, "-ERR x\r\n", NULL, REDIS_PEER_CLOSE, OUTCOME_REFUSED},
        {ORDER_PAUSE, NULL, NULL, REDIS_PEER_RESET, OUTCOME_UNKNOWN},
        {ORDER_PAUSE, "-ERR x\r\n", NULL, REDIS_PEER_KEEP, OUTCOME_REFUSED},
        {ORDER_FAILOVER, "-ERR unknown command\r\n", NULL, REDIS_PEER_KEEP, OUTCOME_DENIED},
        {ORDER_UNPAUSE, "$1\r\nx\r\n", NULL, REDIS_PEER_KEEP, OUTCOME_UNKNOWN},
        {ORDER_GET_FENCE, "*0\r\n", "*0\r\n", REDIS_PEER_KEEP, OUTCOME_DENIED},
        {ORDER_GET_FENCE, "-NOPERM x\r\n", "-NOPERM x\r\n", REDIS_PEER_KEEP, OUTCOME_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct answer_case *r = &rows[i];
        /* The second rule answers the second command, where the order has two. */
        struct redis_rule rules[] = {
            ANSWER("PING", PONG),
            {.command = "", .reply = r->first, .times = 1},
            {.command = "", .reply = r->second, .then = r->then, .times = 1},
        };
        if (r->order != ORDER_PROMOTE && r->order != ORDER_GET_FENCE) {
            rules[1].then = r->then;
        }
        redis_peer_rules(&f->peer, rules, ARRAY_LEN(rules));
        open_until_up(f, 0);
        const struct core_event *ev = order(f, r->order, 1);
        if (ev->u.order.outcome != r->outcome) {
            fail_msg("row %zu: %s", i, outcome_name(ev->u.order.outcome));
        }
        assert_int_equal(ev->u.order.is_master,
                         r->order == ORDER_PROMOTE && r->outcome == OUTCOME_OK);
        member_port_shut(&f->port, 0);
    }
}

static void test_many_orders_at_once(void **state)
{
    struct member_fixture *f = *state;
    struct core_action a = {.type = ACT_ORDER, .value = 5};
    REDIS_RULES(&f->peer, ANSWER("PING", PONG), ANSWER("CLIENT PAUSE", "+OK\r\n"),
                ANSWER("REPLICAOF NO ONE", "+OK\r\n"), ANSWER("ROLE", MASTER_ROLE),
                ANSWER("CONFIG REWRITE", "-ERR no file\r\n"),
                ANSWER_THEN("CLIENT UNPAUSE", NULL, REDIS_PEER_CLOSE));
    static const struct {
        enum order order;
        enum outcome outcome;
    } rows[] = {{ORDER_PAUSE, OUTCOME_OK},
                {ORDER_PROMOTE, OUTCOME_OK},
                {ORDER_REWRITE, OUTCOME_REFUSED},
                {ORDER_UNPAUSE, OUTCOME_UNKNOWN},
                {ORDER_PROMOTE, OUTCOME_UNKNOWN}};
    open_until_up(f, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        a.op = 100 + i;
        a.order = rows[i].order;
        assert_true(member_port_order(&f->port, &a));
    }
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_ORDER_DONE, 0) == ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(port_log_last(f->log, CORE_ORDER_DONE, 100 + i)->ev.u.order.outcome,
                         rows[i].outcome);
    }
    assert_int_equal(port_log_count(f->log, CORE_MEMBER_DOWN, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMBER_TEST(test_every_refused_attempt_is_told),
        MEMBER_TEST(test_a_cut_connection_is_told_and_made_again),
        MEMBER_TEST(test_a_slot_can_be_opened_again_at_once),
        MEMBER_TEST(test_a_closed_slot_refuses),
        MEMBER_TEST(test_info),
        MEMBER_TEST(test_two_reads_at_once_keep_their_answers),
        MEMBER_TEST(test_a_lost_read_is_told_before_the_loss),
        MEMBER_TEST(test_a_read_of_a_shut_slot_ends_all_the_same),
        MEMBER_TEST(test_what_is_sent),
        MEMBER_TEST(test_what_answers_mean),
        MEMBER_TEST(test_many_orders_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
