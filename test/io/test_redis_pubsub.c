/* A connection with subscriptions. */
#include "lib/io/redis_conn.h"

#include "test/io/redis_peer.h"

#define CONFIRM(kind_len, kind, name, n) \
    "*3\r\n$" kind_len "\r\n" kind "\r\n$1\r\n" name "\r\n:" n "\r\n"
#define SUB_A CONFIRM("9", "subscribe", "a", "1")
#define SUB_B CONFIRM("9", "subscribe", "b", "2")
#define PSUB CONFIRM("10", "psubscribe", "*", "3")
#define MESSAGE(channel, payload) \
    "*3\r\n$7\r\nmessage\r\n$1\r\n" channel "\r\n$2\r\n" payload "\r\n"
#define PMESSAGE(channel, payload) \
    "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\n" channel "\r\n$2\r\n" payload "\r\n"

static void start(struct fixture *x, bool patterns)
{
    char a[] = "a", b[] = "b";
    const char *const channels[] = {a, b};
    const char *const all[] = {"*"};

    client_open(&x->client, &x->bed, &x->cfg);
    redis_conn_subscribe(x->client.conn, channels, 2, false);
    if (patterns) {
        redis_conn_subscribe(x->client.conn, all, 1, true);
    }
    a[0] = b[0] = '?'; /* names are copied */
    client_start(&x->client);
}

static void test_up_when_all_is_confirmed(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    start(x, true);
    BED_RUN_UNTIL(&x->bed, x->peer.commands_count == 3);
    assert_string_equal(x->peer.commands[0], "PING");
    assert_string_equal(x->peer.commands[1], "SUBSCRIBE a b");
    assert_string_equal(x->peer.commands[2], "PSUBSCRIBE *");
    redis_peer_send_str(&x->peer, SUB_A MESSAGE("a", "no") SUB_B); /* too early to be told */
    bed_run_for_ms(&x->bed, 20);
    assert_int_equal(x->client.ups, 0);
    redis_peer_send_str(&x->peer, PSUB MESSAGE("a", "m1") PMESSAGE("c", "m2") MESSAGE("b", "m3"));
    BED_RUN_UNTIL(&x->bed, x->client.messages_count == 3);
    assert_int_equal(x->client.ups, 1);
    assert_string_equal(x->client.messages, "a=m1;c=m2;b=m3;");
    assert_false(client_send(&x->client, "ROLE"));
    assert_int_equal(x->client.reply_err, ERR_INVAL);
}

static void test_dripped(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG),
                ANSWER_THEN("SUBSCRIBE", SUB_A SUB_B MESSAGE("a", "m1") MESSAGE("b", "m2"),
                            REDIS_PEER_DRIP));
    start(x, false);
    BED_RUN_UNTIL(&x->bed, x->client.messages_count == 2);
    assert_string_equal(x->client.messages, "a=m1;b=m2;");
}

static void test_subscribed_again_after_reconnect(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("SUBSCRIBE", SUB_A SUB_B));
    start(x, false);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
    redis_peer_then(&x->peer, REDIS_PEER_RESET);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 2);
    assert_int_equal(x->client.downs, 1);
    assert_int_equal(redis_peer_count(&x->peer, "SUBSCRIBE a b"), 2);
}

static void test_ping_on_a_subscribed_connection(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER_TIMES("PING", PONG, 1), ANSWER("SUBSCRIBE", SUB_A SUB_B),
                ANSWER_TIMES("PING", MESSAGE("a", "m1") SUBSCRIBED_PONG, 4));
    x->cfg.ping_idle_ms = 30;
    x->cfg.command_timeout_ms = 50;
    start(x, false);
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "PING") == 6);
    assert_int_equal(x->client.ups, 1);
    assert_int_equal(x->client.downs, 0);
    assert_int_equal(x->client.messages_count, 4);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1); /* the sixth had no answer */
    assert_int_equal(x->client.why, REDIS_DOWN_TIMEOUT);
}

static void test_silence_to_subscribe(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("SUBSCRIBE", SUB_A));
    x->cfg.command_timeout_ms = 40;
    start(x, false);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_TIMEOUT);
    assert_int_equal(x->client.ups, 0);
}

static const struct {
    const char *reply; /* to SUBSCRIBE */
    enum redis_down why;
} refusals[] = {
    {"-NOPERM this user has no permissions to access one of the channels\r\n", REDIS_DOWN_AUTH},
    {"-ERR unknown command 'SUBSCRIBE'\r\n", REDIS_DOWN_AUTH},
    {"+OK\r\n", REDIS_DOWN_PROTO},
    {"*3\r\n:1\r\n:2\r\n:3\r\n", REDIS_DOWN_PROTO},
    {"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n", REDIS_DOWN_PROTO},
    {"*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n", REDIS_DOWN_PROTO},
    {"*3\r\n$9\r\nsubscribe\r\n*0\r\n*0\r\n" SUB_A SUB_A, REDIS_DOWN_PROTO}, /* one too many */
};

static void test_refusals(void **state)
{
    struct fixture *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        const struct redis_rule rules[] = {
            ANSWER("PING", PONG),
            ANSWER("SUBSCRIBE", refusals[i].reply),
        };
        redis_peer_rules(&x->peer, rules, ARRAY_LEN(rules));
        start(x, false);
        BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
        assert_int_equal(x->client.why, refusals[i].why);
        if (i + 1 < ARRAY_LEN(refusals)) {
            client_close(&x->client);
        }
    }
}

static void test_half_open(void **state)
{
    struct fixture *x = *state;
    uint64_t silent_us;

    REDIS_RULES(&x->peer, ANSWER_TIMES("PING", PONG, 1), ANSWER("SUBSCRIBE", SUB_A SUB_B));
    x->cfg.ping_idle_ms = 100;
    x->cfg.command_timeout_ms = 100;
    start(x, false);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
    silent_us = loop_now_us();
    redis_peer_deafen(&x->peer);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_TIMEOUT);
    assert_in_range(loop_now_us() - silent_us, 190 * 1000, 1500 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_up_when_all_is_confirmed),
        FIXTURE_TEST(test_dripped),
        FIXTURE_TEST(test_subscribed_again_after_reconnect),
        FIXTURE_TEST(test_ping_on_a_subscribed_connection),
        FIXTURE_TEST(test_silence_to_subscribe),
        FIXTURE_TEST(test_refusals),
        FIXTURE_TEST(test_half_open),
    };

    return cmocka_run_group_tests_name("redis_pubsub", tests, NULL, NULL);
}
