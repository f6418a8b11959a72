/* What the port asks of a Sentinel and tells it, against a scripted peer. */
#include "agent/shell/sentinel_port.h"
#include "lib/base/mem.h"
#include "test/io/port_log.h"
#include "test/io/redis_peer.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define B(len, text) "$" len "\r\n" text "\r\n"
#define MASTER(epoch)                                                                         \
    "*14\r\n" B("4", "name") B("8", "mymaster") B("2", "ip") B("7", "redis-0") B("4", "port") \
        B("4", "6379") B("5", "flags") B("6", "master") B("12", "config-epoch") B("1", epoch) \
            B("6", "quorum") B("1", "2") B("19", "num-other-sentinels") B("1", "2")
#define NAMED "*2\r\n" B("7", "redis-0") B("4", "6379")
#define MYID B("40", ID_A)
#define INSTANCE(host, port)                                                                     \
    "*8\r\n" B("2", "ip") host B("4", "port") port B("5", "runid") B("40", ID_B) B("5", "flags") \
        B("5", "slave")
#define PEERS "*1\r\n" INSTANCE(B("9", "127.0.0.2"), B("5", "26379"))
#define REPLICAS                                           \
    "*2\r\n" INSTANCE(B("9", "127.0.0.3"), B("4", "6379")) \
        INSTANCE(B("9", "127.0.0.4"), B("4", "6379"))
#define VOTED(id, epoch) "*3\r\n:0\r\n" B("40", id) ":" epoch "\r\n"
#define QUESTION "SENTINEL IS-MASTER-DOWN-BY-ADDR redis-0 6379 0 "
#define VOTE "SENTINEL IS-MASTER-DOWN-BY-ADDR redis-9 6380 7 " ID_B

/* PING and what every slot asks once it is up, before the rules of a test. */
#define SLOT_RULES                                       \
    ANSWER("PING", PONG), ANSWER("SENTINEL MYID", MYID), \
        ANSWER("SENTINEL GET-MASTER-ADDR-BY-NAME mymaster", NAMED)

struct ask_fixture {
    struct bed bed;
    struct redis_peer peer;
    struct config *cfg;
    struct port_counters counters;
    struct port_log *log;
    struct sentinel_port port;
};

static int setup(void **state)
{
    struct ask_fixture *f = xcalloc(1, sizeof *f);
    f->cfg = xcalloc(1, sizeof *f->cfg);
    f->log = xcalloc(1, sizeof *f->log);
    bed_open(&f->bed);
    assert_true(redis_peer_open(&f->peer, &f->bed, "127.0.0.1", 0));
    f->cfg->mode = CORE_MODE_SENTINEL;
    f->cfg->sentinel_master = "mymaster";
    f->cfg->sentinel_names = f->cfg->sentinel_count = 1;
    assert_true(addr_set(&f->cfg->sentinels[0], sv_from("127.0.0.1"), f->peer.port));
    sentinel_port_init(&f->port, &f->bed.loop, f->cfg, port_log_sink(f->log), &f->counters);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct ask_fixture *f = *state;
    bool closed = false;
    sentinel_port_close(&f->port, bed_on_closed, &closed);
    BED_RUN_UNTIL(&f->bed, closed);
    redis_peer_close(&f->peer);
    bed_close(&f->bed);
    free(f->log);
    free(f->cfg);
    free(f);
    return 0;
}

#define ASK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void start_until_up(struct ask_fixture *f)
{
    sentinel_port_start(&f->port);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_SENTINEL_UP, 0) == 1);
}

static const struct port_told *until_told(struct ask_fixture *f, enum core_event_type type,
                                          uint64_t op)
{
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, type, op) > 0);
    assert_int_equal(port_log_count(f->log, type, op), 1);
    return port_log_last(f->log, type, op);
}

static struct core_action action(enum core_act type, uint64_t op)
{
    struct core_action a = {.type = type, .op = op, .epoch = 7, .id = ID_B};
    assert_true(addr_set(&a.addr, sv_from("redis-9"), 6380));
    assert_true(addr_set(&a.as, sv_from("127.0.0.2"), 26379));
    return a;
}

/* --- looks ------------------------------------------------------------------------------------ */

static void test_a_look_asks_about_the_master_of_the_view(void **state)
{
    struct ask_fixture *f = *state;
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER("SENTINEL MASTER", MASTER("3")),
                ANSWER(QUESTION, VOTED(ID_A, "5")), ANSWER("SENTINEL SENTINELS mymaster", PEERS),
                ANSWER("SENTINEL REPLICAS mymaster", REPLICAS));
    start_until_up(f);
    assert_false(sentinel_port_look(&f->port, 0, 1)); /* whose master? */
    assert_true(sentinel_port_read(&f->port, 0, 2));
    assert_true(until_told(f, CORE_SENTINEL_VIEW, 2)->has);
    assert_true(sentinel_port_look(&f->port, 0, 3));
    const struct port_told *t = until_told(f, CORE_SENTINEL_LOOK, 3);
    assert_true(t->has);
    assert_string_equal(t->copy.look.vote.leader_id, ID_A);
    assert_int_equal(t->copy.look.vote.epoch, 5);
    assert_int_equal(t->copy.look.peer_count, 1);
    assert_int_equal(t->copy.look.replica_count, 2);
    assert_string_equal(t->copy.look.replicas[1].addr.host, "127.0.0.4");
    assert_int_equal(port_log_count(f->log, CORE_SENTINEL_LOOK, 0), 1);
    /* "*" would not be told the vote. */
    assert_int_equal(redis_peer_count(&f->peer, QUESTION "*"), 0);
}

static void test_one_refused_part_spoils_a_look(void **state)
{
    struct ask_fixture *f = *state;
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER("SENTINEL MASTER", MASTER("3")),
                ANSWER(QUESTION, VOTED(ID_A, "5")), ANSWER("SENTINEL SENTINELS", "-NOPERM no\r\n"),
                ANSWER("SENTINEL REPLICAS", REPLICAS));
    start_until_up(f);
    assert_true(sentinel_port_read(&f->port, 0, 2));
    (void)until_told(f, CORE_SENTINEL_VIEW, 2);
    assert_true(sentinel_port_look(&f->port, 0, 3));
    assert_false(until_told(f, CORE_SENTINEL_LOOK, 3)->has);
}

static void test_a_look_waits_for_the_view_of_this_connection(void **state)
{
    struct ask_fixture *f = *state;
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER("SENTINEL MASTER", MASTER("3")),
                ANSWER_THEN(QUESTION, NULL, REDIS_PEER_CLOSE));
    start_until_up(f);
    assert_true(sentinel_port_read(&f->port, 0, 2));
    (void)until_told(f, CORE_SENTINEL_VIEW, 2);
    assert_true(sentinel_port_look(&f->port, 0, 3));
    assert_false(until_told(f, CORE_SENTINEL_LOOK, 3)->has);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_SENTINEL_UP, 0) == 2);
    assert_false(sentinel_port_look(&f->port, 0, 4));
}

/* --- views ------------------------------------------------------------------------------------ */

static void test_a_torn_view_is_none(void **state)
{
    struct ask_fixture *f = *state;
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER_TIMES("SENTINEL MASTER", MASTER("3"), 1),
                ANSWER("SENTINEL MASTER", MASTER("4")));
    start_until_up(f);
    size_t hints = port_log_count(f->log, CORE_SENTINEL_HINT, 0);
    assert_true(sentinel_port_read(&f->port, 0, 2));
    assert_false(until_told(f, CORE_SENTINEL_VIEW, 2)->has);
    assert_int_equal(port_log_count(f->log, CORE_SENTINEL_HINT, 0), hints + 1);
    assert_false(sentinel_port_look(&f->port, 0, 3));
}

static void test_two_reads_at_once_keep_their_answers(void **state)
{
    struct ask_fixture *f = *state;
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER_TIMES("SENTINEL MASTER", MASTER("3"), 2),
                ANSWER("SENTINEL MASTER", MASTER("4")));
    start_until_up(f);
    assert_true(sentinel_port_read(&f->port, 0, 2));
    assert_true(sentinel_port_read(&f->port, 0, 3));
    assert_int_equal(until_told(f, CORE_SENTINEL_VIEW, 3)->copy.view.epoch, 4);
    assert_int_equal(until_told(f, CORE_SENTINEL_VIEW, 2)->copy.view.epoch, 3);
}

/* --- votes, announcements, forced failovers ------------------------------------------------ */

static void test_a_vote_does_not_wait_for_a_read(void **state)
{
    struct ask_fixture *f = *state;
    struct core_action a = action(ACT_VOTE, 9);
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER("SENTINEL MASTER", MASTER("3")),
                ANSWER_TIMES(VOTE, VOTED(ID_B, "7"), 1), ANSWER_TIMES(VOTE, "-NOPERM no\r\n", 1),
                ANSWER_TIMES(VOTE, "-ERR no\r\n", 1), ANSWER_THEN(VOTE, NULL, REDIS_PEER_CLOSE));
    start_until_up(f);
    assert_true(sentinel_port_read(&f->port, 0, 2));
    for (; a.op < 13; a.op++) {
        assert_true(sentinel_port_vote(&f->port, &a));
    }
    const struct core_event *ev = &until_told(f, CORE_SENTINEL_VOTE, 9)->ev;
    assert_int_equal(ev->u.vote.outcome, OUTCOME_OK);
    assert_string_equal(ev->u.vote.vote.leader_id, ID_B);
    assert_int_equal(ev->u.vote.vote.epoch, 7);
    assert_true(until_told(f, CORE_SENTINEL_VIEW, 2)->has);
    assert_int_equal(until_told(f, CORE_SENTINEL_VOTE, 10)->ev.u.vote.outcome, OUTCOME_DENIED);
    assert_int_equal(until_told(f, CORE_SENTINEL_VOTE, 11)->ev.u.vote.outcome, OUTCOME_REFUSED);
    assert_int_equal(until_told(f, CORE_SENTINEL_VOTE, 12)->ev.u.vote.outcome, OUTCOME_UNKNOWN);
}

static void test_an_announcement_is_a_hello(void **state)
{
    struct ask_fixture *f = *state;
    struct core_action a = action(ACT_ANNOUNCE, 1);
    static const char hello[] =
        "PUBLISH __sentinel__:hello 127.0.0.2,26379," ID_B ",7,mymaster,redis-9,6380,7";
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER_TIMES(hello, ":1\r\n", 1),
                ANSWER("PUBLISH", "-ERR unknown command 'PUBLISH'\r\n"));
    start_until_up(f);
    assert_true(sentinel_port_announce(&f->port, &a));
    assert_int_equal(until_told(f, CORE_SENTINEL_DONE, 1)->ev.u.outcome, OUTCOME_OK);
    a.op = 2;
    assert_true(sentinel_port_announce(&f->port, &a));
    assert_int_equal(until_told(f, CORE_SENTINEL_DONE, 2)->ev.u.outcome, OUTCOME_DENIED);
    a.id[0] = '\0'; /* in nobody's name */
    assert_false(sentinel_port_announce(&f->port, &a));
}

static void test_a_forced_failover(void **state)
{
    struct ask_fixture *f = *state;
    REDIS_RULES(&f->peer, SLOT_RULES, ANSWER_TIMES("SENTINEL FAILOVER mymaster", "+OK\r\n", 1),
                ANSWER("SENTINEL FAILOVER mymaster", "-INPROG Failover already in progress\r\n"));
    assert_false(sentinel_port_force(&f->port, 0, 1));
    start_until_up(f);
    assert_true(sentinel_port_force(&f->port, 0, 2));
    assert_true(sentinel_port_force(&f->port, 0, 3));
    assert_int_equal(until_told(f, CORE_SENTINEL_DONE, 2)->ev.u.outcome, OUTCOME_OK);
    assert_int_equal(until_told(f, CORE_SENTINEL_DONE, 3)->ev.u.outcome, OUTCOME_REFUSED);
}

static void test_without_a_connection_all_is_refused(void **state)
{
    struct ask_fixture *f = *state;
    struct core_action vote = action(ACT_VOTE, 1);
    struct core_action announce = action(ACT_ANNOUNCE, 2);
    REDIS_RULES(&f->peer, ANSWER("nothing", PONG));
    sentinel_port_start(&f->port);
    for (size_t slot = 0; slot < 2; slot++) { /* one that connects, one that is free */
        vote.slot = announce.slot = slot;
        assert_false(sentinel_port_read(&f->port, slot, 3));
        assert_false(sentinel_port_look(&f->port, slot, 4));
        assert_false(sentinel_port_vote(&f->port, &vote));
        assert_false(sentinel_port_announce(&f->port, &announce));
        assert_false(sentinel_port_force(&f->port, slot, 5));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASK_TEST(test_a_look_asks_about_the_master_of_the_view),
        ASK_TEST(test_one_refused_part_spoils_a_look),
        ASK_TEST(test_a_look_waits_for_the_view_of_this_connection),
        ASK_TEST(test_a_torn_view_is_none),
        ASK_TEST(test_two_reads_at_once_keep_their_answers),
        ASK_TEST(test_a_vote_does_not_wait_for_a_read),
        ASK_TEST(test_an_announcement_is_a_hello),
        ASK_TEST(test_a_forced_failover),
        ASK_TEST(test_without_a_connection_all_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
