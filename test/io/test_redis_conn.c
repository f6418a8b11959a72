/* The Redis connection: what is told when it comes up, goes down and comes back. */
#include "lib/io/redis_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/fake_dns.h"
#include "test/io/redis_peer.h"

/* --- up, commands, down --------------------------------------------------------------------- */

static void test_commands(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG),
                ANSWER("ROLE", "*4\r\n$6\r\nmaster\r\n:-7\r\n*2\r\n*0\r\n*1\r\n$0\r\n\r\n$-1\r\n"),
                ANSWER("SET", "+OK\r\n"), ANSWER("GET", "-ERR no such key\r\n"));
    fixture_start_until_up(x);
    assert_true(redis_conn_is_up(x->client.conn));
    assert_true(client_send(&x->client, "ROLE"));
    BED_RUN_UNTIL(&x->bed, x->client.replies == 1);
    assert_string_equal(x->client.reply, "['master' -7 [[] ['']] nil]");
    assert_true(client_send(&x->client, "GET a"));
    assert_true(client_send(&x->client, "SET a b"));
    BED_RUN_UNTIL(&x->bed, x->client.replies == 2);
    assert_string_equal(x->client.reply, "(ERR no such key)"); /* an error reply is a reply */
    assert_int_equal(x->client.reply_err, ERR_NONE);
    BED_RUN_UNTIL(&x->bed, x->client.replies == 3);
    assert_string_equal(x->client.reply, "OK");
    client_act(&x->client, ACT_STOP);
    assert_false(redis_conn_is_up(x->client.conn));
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_STOPPED);
    assert_int_equal(x->client.err.code, ERR_CANCELED);
    bed_run_for_ms(&x->bed, 30);
    assert_int_equal(x->peer.accepted, 1);
    assert_int_equal(x->client.downs, 1);
}

static void test_refused_commands(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    client_open(&x->client, &x->bed, &x->cfg);
    assert_false(client_send(&x->client, "ROLE"));
    assert_int_equal(x->client.reply_err, ERR_UNAVAILABLE);
    client_start(&x->client);
    assert_false(client_send(&x->client, "ROLE"));
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
    assert_false(client_send(&x->client, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"));
    assert_int_equal(x->client.reply_err, ERR_INVAL);
    for (unsigned i = 0; i < REDIS_CONN_PENDING_MAX; i++) {
        assert_true(client_send(&x->client, "ROLE"));
    }
    assert_false(client_send(&x->client, "ROLE"));
    assert_int_equal(x->client.reply_err, ERR_LIMIT);
    client_act(&x->client, ACT_STOP);
    assert_false(client_send(&x->client, "ROLE"));
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.errors, REDIS_CONN_PENDING_MAX);
    assert_int_equal(x->client.reply_err, ERR_CANCELED);
}

/* More than a socket buffer takes, to a peer that does not read for a while. */
static void test_long_commands(void **state)
{
    struct fixture *x = *state;
    size_t size = 8 * 1024 * 1024;
    AUTO_FREE char *text = xmalloc(size);

    memset(text, 'x', size - 1);
    text[size - 1] = '\0';
    REDIS_RULES(&x->peer, ANSWER("PING", PONG), ANSWER("xxx", "+OK\r\n"));
    fixture_start_until_up(x);
    redis_peer_deafen(&x->peer);
    assert_true(client_send(&x->client, text));
    assert_true(client_send(&x->client, text));
    fixture_turn(x, 20);
    assert_int_equal(x->client.replies, 0);
    redis_peer_hear(&x->peer);
    BED_RUN_UNTIL(&x->bed, x->client.replies == 2);
    assert_string_equal(x->client.reply, "OK");
    assert_int_equal(strlen(x->peer.commands[1]), size - 1);
}

/* --- losing an established connection -------------------------------------------------------- */

static const struct {
    enum redis_peer_then then;
    bool pending;
} losses[] = {
    {REDIS_PEER_HALF_CLOSE, false}, {REDIS_PEER_HALF_CLOSE, true}, {REDIS_PEER_CLOSE, false},
    {REDIS_PEER_CLOSE, true},       {REDIS_PEER_RESET, false},     {REDIS_PEER_RESET, true},
};

static void test_loss_is_told_and_repaired_at_once(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    fixture_start_until_up(x);
    for (unsigned i = 0; i < ARRAY_LEN(losses); i++) {
        bed_run_for_ms(&x->bed, 110); /* long enough up not to be flapping */
        unsigned errors = x->client.errors;
        if (losses[i].pending) {
            assert_true(client_send(&x->client, "ROLE"));
            assert_true(client_send(&x->client, "ROLE"));
        }
        redis_peer_then(&x->peer, losses[i].then);
        BED_RUN_UNTIL(&x->bed, x->client.downs == i + 1);
        assert_int_equal(x->client.why, REDIS_DOWN_EOF);
        assert_int_equal(x->client.err.code, ERR_UNAVAILABLE);
        assert_int_equal(x->client.errors, errors + (losses[i].pending ? 2 : 0));
        fixture_turn(x, 20);
        assert_int_equal(x->peer.accepted, i + 2);
        BED_RUN_UNTIL(&x->bed, x->client.ups == i + 2);
    }
}

/* What the peer had said before it reset the connection is heard. */
static void test_reply_before_reset(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG),
                ANSWER_THEN("ROLE", "+last words\r\n", REDIS_PEER_CLOSE));
    fixture_start_until_up(x);
    assert_true(client_send(&x->client, "ROLE"));
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.errors, 0);
    assert_string_equal(x->client.reply, "last words");
}

static void test_flapping_peer_is_not_hammered(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER_THEN("PING", PONG, REDIS_PEER_CLOSE));
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 4); /* up and lost four times: at once each */
    bed_run_for_ms(&x->bed, 100);
    assert_in_range(x->peer.accepted, 4, 14);
}

static void test_peer_that_only_accepts_is_not_hammered(void **state)
{
    struct fixture *x = *state;

    x->peer.on_accept = REDIS_PEER_RESET;
    fixture_start(x);
    bed_run_for_ms(&x->bed, 100);
    assert_in_range(x->client.downs, 1, 10);
    assert_int_equal(x->client.down_by[REDIS_DOWN_EOF], x->client.downs);
    assert_int_equal(x->client.ups, 0);
}

/* --- attempts that fail ----------------------------------------------------------------------- */

static void test_refused_then_back(void **state)
{
    struct fixture *x = *state;
    uint64_t before_us = loop_now_us();

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    redis_peer_stop_listening(&x->peer);
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 4);
    assert_int_equal(x->client.down_by[REDIS_DOWN_REFUSED], 4);
    assert_int_equal(x->client.err.code, ERR_UNAVAILABLE);
    assert_int_equal(x->client.err.sys, ECONNREFUSED);
    assert_true(loop_now_us() - before_us >= 3 * 9000); /* three waits of at least 10 ms */
    redis_peer_listen(&x->peer);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
}

static void test_kick_ends_the_wait(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    redis_peer_stop_listening(&x->peer);
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 3);
    redis_peer_listen(&x->peer);
    client_act(&x->client, ACT_KICK);
    fixture_turn(x, 20);
    assert_int_equal(x->peer.accepted, 1);
    assert_int_equal(x->client.ups, 1);
}

static void reset_every_other_ping(struct redis_peer *p, const char *command)
{
    (void)command;
    if (redis_peer_count(p, "PING") % 2 == 0) {
        redis_peer_then(p, REDIS_PEER_RESET);
    }
}

/* Also one that comes while the socket is still being closed. */
static void test_kick_from_a_failed_command(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    x->peer.on_command = reset_every_other_ping;
    client_open(&x->client, &x->bed, &x->cfg);
    x->client.in_up = ACT_COMMAND;
    x->client.in_reply = ACT_KICK;
    client_start(&x->client);
    for (unsigned i = 0; i < 12; i++) { /* it would wait from the fourth on */
        fixture_turn(x, 40);
        assert_true(x->client.ups > i);
    }
}

/* A listener whose queue is full drops what comes in: the connect hangs. */
struct stuck_listener {
    int listener;
    int fillers[3];
    uint16_t port;
};

static void stuck_open(struct stuck_listener *s)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(s->listener, 0), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&in, &len), 0);
    s->port = ntohs(in.sin_port);
    for (size_t i = 0; i < ARRAY_LEN(s->fillers); i++) {
        s->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(s->fillers[i], (struct sockaddr *)&in, len);
    }
}

static void stuck_close(struct stuck_listener *s)
{
    close(s->listener);
    for (size_t i = 0; i < ARRAY_LEN(s->fillers); i++) {
        close(s->fillers[i]);
    }
}

static void test_connect_timeout(void **state)
{
    struct fixture *x = *state;
    struct stuck_listener stuck;

    stuck_open(&stuck);
    x->cfg.port = stuck.port;
    x->cfg.connect_timeout_ms = 50;
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 2);
    assert_int_equal(x->client.down_by[REDIS_DOWN_UNREACHABLE], 2);
    stuck_close(&stuck);
}

/* --- names and addresses ---------------------------------------------------------------------- */

static void test_name_that_does_not_exist(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    x->cfg.host = "redis.test";
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 2);
    assert_int_equal(x->client.down_by[REDIS_DOWN_RESOLVE], 2);
    fake_dns_set("redis.test", "127.0.0.1");
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
}

static void test_name_hangs(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    x->cfg.host = "redis.test";
    x->cfg.connect_timeout_ms = 30;
    fake_dns_set("redis.test", "127.0.0.1");
    fake_dns_hang(true);
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 2);
    assert_int_equal(x->client.down_by[REDIS_DOWN_RESOLVE], 2);
    client_act(&x->client, ACT_RESTART);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 3);
    client_close(&x->client); /* without waiting for it */
    assert_int_equal(fake_dns_running(), 1);
    fake_dns_hang(false);
    BED_RUN_UNTIL(&x->bed, x->bed.loop.active_reqs.count == 0);
}

static void test_second_address(void **state)
{
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    x->cfg.host = "redis.test";
    fake_dns_set("redis.test", "127.0.0.2,127.0.0.3,127.0.0.1"); /* two refuse */
    fixture_start_until_up(x);
    assert_int_equal(x->client.downs, 0);
    redis_peer_stop_listening(&x->peer);
    bed_run_for_ms(&x->bed, 110);
    redis_peer_then(&x->peer, REDIS_PEER_CLOSE);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 2);
    assert_int_equal(x->client.down_by[REDIS_DOWN_EOF], 1);
    assert_int_equal(x->client.down_by[REDIS_DOWN_REFUSED], 1); /* told once for all three */
}

/* An address that has answered is the right one: what follows is no reason to try the next. */
static void test_loss_is_told_with_addresses_left(void **state)
{
    struct fixture *x = *state;
    struct redis_peer other;

    assert_true(redis_peer_open(&other, &x->bed, "127.0.0.2", x->peer.port));
    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    REDIS_RULES(&other, ANSWER("PING", PONG));
    x->cfg.host = "redis.test";
    fake_dns_set("redis.test", "127.0.0.1,127.0.0.2");
    fixture_start_until_up(x);
    redis_peer_then(&x->peer, REDIS_PEER_CLOSE);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 2);
    assert_int_equal(x->client.downs, 1);
    assert_int_equal(x->client.why, REDIS_DOWN_EOF);
    assert_int_equal(other.accepted, 0);
    client_close(&x->client);
    redis_peer_close(&other);
}

static void run_against(struct fixture *x, struct redis_peer *p)
{
    REDIS_RULES(p, ANSWER("PING", PONG), ANSWER("ROLE", "+here\r\n"));
    x->cfg = client_config(p);
    fixture_start_until_up(x);
    assert_true(client_send(&x->client, "ROLE"));
    BED_RUN_UNTIL(&x->bed, x->client.replies == 1);
    assert_string_equal(x->client.reply, "here");
    assert_int_equal(x->peer.accepted, 0);
}

static void test_ipv6(void **state)
{
    struct fixture *x = *state;
    struct redis_peer six;

    if (!redis_peer_open(&six, &x->bed, "::1", 0)) {
        print_message("skipped: this machine has no ::1\n");
        skip();
    }
    run_against(x, &six);
    client_close(&x->client);
    redis_peer_close(&six);
}

static void test_unix_socket(void **state)
{
    struct fixture *x = *state;
    struct redis_peer local;
    char dir[] = "/tmp/redis-conn.XXXXXX";
    char path[64];

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/redis.sock", dir);
    assert_true(redis_peer_open(&local, &x->bed, path, 0));
    run_against(x, &local);
    redis_peer_stop_listening(&local); /* uv removes the file */
    bed_run_for_ms(&x->bed, 110);
    redis_peer_then(&local, REDIS_PEER_CLOSE);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 3);
    assert_int_equal(x->client.down_by[REDIS_DOWN_EOF], 1);
    assert_int_equal(x->client.down_by[REDIS_DOWN_REFUSED], 2);
    redis_peer_listen(&local);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 2);
    client_close(&x->client);
    redis_peer_close(&local);
    assert_int_equal(rmdir(dir), 0);
}

static volatile sig_atomic_t sigpipes;

static void on_sigpipe(int sig)
{
    (void)sig;
    sigpipes++;
}

/* A write that meets a closed socket is an error, later, and never a signal. */
static void test_write_to_a_closed_socket(void **state)
{
    struct fixture *x = *state;
    struct redis_peer local;
    char path[] = "/tmp/redis-conn.XXXXXX";

    assert_int_equal(close(mkstemp(path)), 0);
    assert_true(redis_peer_open(&local, &x->bed, path, 0));
    REDIS_RULES(&local, ANSWER("PING", PONG));
    x->cfg = client_config(&local);
    fixture_start_until_up(x);
    signal(SIGPIPE, on_sigpipe);
    redis_peer_then(&local, REDIS_PEER_CLOSE);
    assert_true(client_send(&x->client, "ROLE"));
    assert_true(client_send(&x->client, "ROLE"));
    assert_int_equal(x->client.replies, 0);
    signal(SIGPIPE, SIG_IGN);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_EOF);
    assert_int_equal(x->client.errors, 2);
    assert_int_equal(sigpipes, 0);
    client_close(&x->client);
    redis_peer_close(&local);
}

static void test_unix_path_too_long(void **state)
{
    struct fixture *x = *state;
    char path[200];

    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    x->cfg.host = NULL;
    x->cfg.unix_path = path;
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 1);
    assert_int_equal(x->client.why, REDIS_DOWN_UNREACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_commands),
        FIXTURE_TEST(test_refused_commands),
        FIXTURE_TEST(test_long_commands),
        FIXTURE_TEST(test_loss_is_told_and_repaired_at_once),
        FIXTURE_TEST(test_reply_before_reset),
        FIXTURE_TEST(test_flapping_peer_is_not_hammered),
        FIXTURE_TEST(test_peer_that_only_accepts_is_not_hammered),
        FIXTURE_TEST(test_refused_then_back),
        FIXTURE_TEST(test_kick_ends_the_wait),
        FIXTURE_TEST(test_kick_from_a_failed_command),
        FIXTURE_TEST(test_connect_timeout),
        FIXTURE_TEST(test_name_that_does_not_exist),
        FIXTURE_TEST(test_name_hangs),
        FIXTURE_TEST(test_second_address),
        FIXTURE_TEST(test_loss_is_told_with_addresses_left),
        FIXTURE_TEST(test_ipv6),
        FIXTURE_TEST(test_unix_socket),
        FIXTURE_TEST(test_write_to_a_closed_socket),
        FIXTURE_TEST(test_unix_path_too_long),
    };

    return cmocka_run_group_tests_name("redis_conn", tests, NULL, NULL);
}
