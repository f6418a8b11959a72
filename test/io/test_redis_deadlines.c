/* Silence: what is found out, when, and what is not taken for it. */
#include "lib/io/redis_conn.h"

#include "test/io/redis_peer.h"

static void test_silent_command(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("SET", "+OK\r\n"));
    x->cfg.command_timeout_ms = 60;
    fixture_start_until_up(x);
    assert_true(client_send(&x->client, "SET a b"));
    assert_true(client_send(&x->client, "ROLE"));
    assert_true(client_send(&x->client, "SET a b")); /* answered, but RESP has no ids */
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_TIMEOUT);
    assert_int_equal(x->client.replies, 3);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 2);
}

static void test_silence_after_accept(void **state)
{
    struct fixture *x = *state;

    x->cfg.command_timeout_ms = 30;
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 2);
    assert_int_equal(x->client.down_by[REDIS_DOWN_TIMEOUT], 2);
    assert_int_equal(x->client.ups, 0);
}

static void test_ping_keeps_and_finds(void **state)
{
    struct fixture *x = *state;
    uint64_t lost_us;

    REDIS_RULES(&x->peer, ANSWER_TIMES("PING", PONG, 5));
    x->cfg.command_timeout_ms = 60;
    x->cfg.ping_idle_ms = 40;
    fixture_start_until_up(x);
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "PING") == 5);
    assert_int_equal(x->client.downs, 0);
    lost_us = loop_now_us();
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_TIMEOUT);
    assert_in_range(loop_now_us() - lost_us, 80 * 1000, 1000 * 1000);
}

/* The idle time counts from the last reply, however far the deadlines of commands are. */
static void test_ping_does_not_wait_for_a_deadline(void **state)
{
    struct fixture *x = *state;
    uint64_t before_us;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("ROLE", "+role\r\n"));
    x->cfg.command_timeout_ms = 60000;
    x->cfg.ping_idle_ms = 50;
    fixture_start_until_up(x);
    assert_true(client_send(&x->client, "ROLE"));
    before_us = loop_now_us();
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "PING") == 5);
    assert_in_range(loop_now_us() - before_us, 4 * 45 * 1000, 5 * 1000 * 1000);
}

static void test_no_ping_while_replies_come(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("ROLE", "+role\r\n"));
    x->cfg.ping_idle_ms = 300;
    fixture_start_until_up(x);
    for (unsigned i = 1; i <= 18; i++) {
        assert_true(client_send(&x->client, "ROLE"));
        BED_RUN_UNTIL(&x->bed, x->client.replies == i);
        bed_run_for_ms(&x->bed, 60);
    }
    assert_in_range(redis_peer_count(&x->peer, "PING"), 1, 2); /* one more on a slow machine */
}

/* Bytes that never make a reply are no sign of life. */
static void test_drip_without_end(void **state)
{
    struct fixture *x = *state;
    char drip[4096];

    memset(drip, 'x', sizeof(drip) - 1);
    drip[0] = '+';
    drip[sizeof(drip) - 1] = '\0';
    REDIS_RULES(&x->peer, ANSWER_TIMES("PING", PONG, 1));
    x->cfg.command_timeout_ms = 60;
    x->cfg.ping_idle_ms = 40;
    fixture_start_until_up(x);
    const struct redis_rule rule = ANSWER_THEN("PING", drip, REDIS_PEER_DRIP);
    redis_peer_rules(&x->peer, &rule, 1);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_TIMEOUT);
}

static void stall(struct redis_peer *p, const char *command)
{
    struct fixture *x = p->arg;

    if (sv_eq_str(sv_from(command), "ROLE")) {
        redis_peer_send_str(p, "+in time\r\n");
        uint64_t end_us = loop_now_us() + (x->cfg.command_timeout_ms + 20) * 1000;
        while (loop_now_us() < end_us) { /* the loop stands still, the answer lies there */
        }
    }
}

static void test_stall_of_this_process(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    x->peer.on_command = stall;
    x->peer.arg = x;
    x->cfg.command_timeout_ms = 40;
    fixture_start_until_up(x);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(client_send(&x->client, "ROLE"));
        BED_RUN_UNTIL(&x->bed, x->client.replies == i);
        assert_string_equal(x->client.reply, "in time");
    }
    assert_int_equal(x->client.downs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_silent_command),
        FIXTURE_TEST(test_silence_after_accept),
        FIXTURE_TEST(test_ping_keeps_and_finds),
        FIXTURE_TEST(test_ping_does_not_wait_for_a_deadline),
        FIXTURE_TEST(test_no_ping_while_replies_come),
        FIXTURE_TEST(test_drip_without_end),
        FIXTURE_TEST(test_stall_of_this_process),
    };

    return cmocka_run_group_tests_name("redis_deadlines", tests, NULL, NULL);
}
