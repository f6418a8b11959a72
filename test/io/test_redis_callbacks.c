/* Stop, close and the like in every state and from inside every callback: each accepted
 * command has one callback, nothing fires from inside a call, the loop ends empty. */
#include "lib/io/redis_conn.h"

#include "test/io/fake_dns.h"
#include "test/io/redis_peer.h"

#define SUBSCRIBED "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
#define MESSAGE "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"

static int setup(void **state)
{
    int rc = fixture_setup(state);
    struct fixture *x = *state;

    fake_dns_set("redis.test", "127.0.0.1");
    x->cfg.command_timeout_ms = 100;
    x->cfg.ping_idle_ms = 100;
    return rc;
}

static const char *act_name(enum client_act act)
{
    static const char *const names[] = {"none", "stop", "restart", "close", "kick", "command"};

    return names[act];
}

/* --- after every number of turns -------------------------------------------------------------- */

/* Walks through all states by interrupting the same course one turn of the loop later each
 * time: waiting, resolving, connecting, authenticating, up, with commands, lost, up again. */
static void interrupt_at(struct fixture *x, unsigned turns, enum client_act act, const char *host)
{
    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER_TIMES("ROLE", "+role\r\n", 1),
                ANSWER_THEN("ROLE", NULL, REDIS_PEER_RESET));
    x->cfg.host = host;
    client_open(&x->client, &x->bed, &x->cfg);
    client_start(&x->client);
    for (unsigned i = 0; i < turns; i++) {
        if (x->client.accepted < 3) {
            client_send(&x->client, "ROLE");
        }
        fixture_turn(x, 1);
    }
    client_act(&x->client, act);
    fixture_turn(x, turns % 7);
    client_act(&x->client, act == ACT_RESTART ? ACT_STOP : ACT_NONE);
    fixture_turn(x, turns % 5);
    client_close(&x->client);
    assert_int_equal(x->client.replies, x->client.accepted);
    redis_peer_forget(&x->peer, "");
}

static void test_acts_in_every_state(void **state)
{
    struct fixture *x = *state;
    static const enum client_act acts[] = {ACT_STOP, ACT_RESTART, ACT_CLOSE, ACT_KICK};
    unsigned ups = 0, downs = 0;

    for (size_t a = 0; a < ARRAY_LEN(acts); a++) {
        for (unsigned turns = 0; turns < 60; turns++) {
            interrupt_at(x, turns, acts[a], turns % 2 == 0 ? "127.0.0.1" : "redis.test");
            ups += x->client.ups;
            downs += x->client.down_by[REDIS_DOWN_EOF];
        }
    }
    assert_true(ups > 60); /* the course really went that far */
    assert_true(downs > 20);
}

static void test_close_at_once(void **state)
{
    struct fixture *x = *state;

    client_open(&x->client, &x->bed, &x->cfg);
    client_close(&x->client); /* never started */
    client_open(&x->client, &x->bed, &x->cfg);
    client_start(&x->client);
    client_start(&x->client); /* idempotent */
    client_close(&x->client);
    assert_int_equal(x->client.ups + x->client.downs, 0);
}

static void test_close_while_the_look_up_hangs(void **state)
{
    struct fixture *x = *state;

    x->cfg.host = "redis.test";
    fake_dns_hang(true);
    client_open(&x->client, &x->bed, &x->cfg);
    client_start(&x->client);
    BED_RUN_UNTIL(&x->bed, fake_dns_running() == 1);
    client_act(&x->client, ACT_STOP);
    client_act(&x->client, ACT_RESTART);
    fixture_turn(x, 5);
    client_close(&x->client);
    assert_int_equal(fake_dns_running(), 1);
    assert_int_equal(x->client.downs, 0);
    fake_dns_hang(false);
    BED_RUN_UNTIL(&x->bed, x->bed.loop.active_reqs.count == 0);
}

static void test_stop_tells_once(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    client_open(&x->client, &x->bed, &x->cfg);
    for (unsigned i = 1; i <= 3; i++) {
        client_start(&x->client);
        BED_RUN_UNTIL(&x->bed, x->client.ups == i);
        assert_true(client_send(&x->client, "ROLE"));
        client_act(&x->client, ACT_RESTART); /* up again after the old one was told down */
        client_act(&x->client, ACT_STOP);
        BED_RUN_UNTIL(&x->bed, x->client.down_by[REDIS_DOWN_STOPPED] == i);
        assert_int_equal(x->client.replies, i);
    }
    fixture_turn(x, 20);
    assert_int_equal(x->client.downs, 3);
    client_close(&x->client);
}

/* --- from inside every callback --------------------------------------------------------------- */

struct course {
    const char *name;
    size_t hook; /* offset of the hook in struct client */
    bool subscribed;
};

static const struct course courses[] = {
    {"up", offsetof(struct client, in_up), false},
    {"up, subscribed", offsetof(struct client, in_up), true},
    {"reply", offsetof(struct client, in_reply), false},
    {"down", offsetof(struct client, in_down), false},
    {"down, subscribed", offsetof(struct client, in_down), true},
    {"message", offsetof(struct client, in_message), true},
};

/* Commands that are answered, refused, never answered and cut off, then a reset. */
static void run_course(struct fixture *x, const struct course *course, enum client_act act)
{
    static const char *const channel[] = {"a"};

    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("SUBSCRIBE", SUBSCRIBED MESSAGE MESSAGE),
                ANSWER("GET", "+one\r\n"), ANSWER_THEN("DEL", "-ERR no\r\n", REDIS_PEER_RESET));
    client_open(&x->client, &x->bed, &x->cfg);
    if (course->subscribed) {
        redis_conn_subscribe(x->client.conn, channel, 1, false);
    }
    *(enum client_act *)(void *)((char *)&x->client + course->hook) = act;
    client_start(&x->client);
    for (int i = 0; i < 40 && x->client.conn != NULL; i++) {
        if (x->client.accepted < 12) {
            client_send(&x->client, "GET a");
            client_send(&x->client, "SILENT");
            client_send(&x->client, "DEL a");
        }
        if (i % 10 == 9 && x->peer.wire != NULL) {
            redis_peer_then(&x->peer, REDIS_PEER_RESET);
        }
        fixture_turn(x, 2);
    }
    client_act(&x->client, ACT_CLOSE);
    BED_RUN_UNTIL(&x->bed, x->client.closed);
    assert_int_equal(x->client.replies, x->client.accepted);
}

static void test_acts_inside_every_callback(void **state)
{
    struct fixture *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(courses); i++) {
        for (enum client_act act = ACT_NONE; act <= ACT_COMMAND; act++) {
            run_course(x, &courses[i], act);
            if (x->client.ups == 0) {
                fail_msg("%s, %s: never up", courses[i].name, act_name(act));
            }
            redis_peer_forget(&x->peer, "");
        }
    }
}

/* A timeout and the cancelling of what waits behind it, each with an act inside. */
static void test_acts_inside_callbacks_of_a_loss(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    for (enum client_act act = ACT_NONE; act <= ACT_COMMAND; act++) {
        x->cfg.command_timeout_ms = 20;
        client_open(&x->client, &x->bed, &x->cfg);
        client_start(&x->client);
        BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
        x->client.in_reply = act;
        for (int i = 0; i < 5; i++) {
            assert_true(client_send(&x->client, "SILENT"));
        }
        BED_RUN_UNTIL(&x->bed, x->client.replies >= 5);
        client_close(&x->client);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_acts_in_every_state),           TEST(test_close_at_once),
        TEST(test_close_while_the_look_up_hangs), TEST(test_stop_tells_once),
        TEST(test_acts_inside_every_callback),    TEST(test_acts_inside_callbacks_of_a_loss),
    };

    return cmocka_run_group_tests_name("redis_callbacks", tests, NULL, NULL);
}
