/* Greeting, AUTH and the secret file: what counts as up, and what as refused. */
#include "lib/io/redis_conn.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/redis_peer.h"

struct auth_fixture {
    struct bed bed;
    struct redis_peer peer;
    struct client client;
    struct redis_conn_config cfg;
    struct secret_file secret;
    char dir[64];
    char path[96];
    char next[96];
};

static void write_secret(struct auth_fixture *x, const char *value)
{
    FILE *out = fopen(x->next, "we");

    assert_non_null(out);
    assert_true(fputs(value, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(x->next, x->path), 0);
}

static int setup(void **state)
{
    struct auth_fixture *x = xcalloc(1, sizeof(*x));

    bed_open(&x->bed);
    assert_true(redis_peer_open(&x->peer, &x->bed, "127.0.0.1", 0));
    snprintf(x->dir, sizeof(x->dir), "/tmp/redis-auth.XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(x->path, sizeof(x->path), "%s/password", x->dir);
    snprintf(x->next, sizeof(x->next), "%s/next", x->dir);
    secret_file_init(&x->secret, x->path);
    x->cfg = client_config(&x->peer);
    x->cfg.password = &x->secret;
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct auth_fixture *x = *state;

    if (x->client.bed != NULL && !x->client.closed) {
        client_close(&x->client);
    }
    redis_peer_close(&x->peer);
    bed_close(&x->bed);
    secret_file_release(&x->secret);
    unlink(x->path);
    assert_int_equal(rmdir(x->dir), 0);
    free(x);
    return 0;
}

static void start(struct auth_fixture *x)
{
    client_open(&x->client, &x->bed, &x->cfg);
    client_start(&x->client);
}

/* One attempt; what is told first: REDIS_DOWN_NONE for up. */
static enum redis_down first_result(struct auth_fixture *x)
{
    start(x);
    BED_RUN_UNTIL(&x->bed, x->client.ups + x->client.downs > 0);
    enum redis_down why = x->client.ups > 0 ? REDIS_DOWN_NONE : x->client.why;
    if (why != REDIS_DOWN_NONE) {
        assert_null(strstr(x->client.err.msg, "hunter2"));
    }
    client_close(&x->client);
    return why;
}

/* --- answers to AUTH -------------------------------------------------------------------------- */

static const struct {
    const char *reply;
    enum redis_down why;
} auth_replies[] = {
    {"+OK\r\n", REDIS_DOWN_NONE},
    {"-ERR Client sent AUTH, but no password is set\r\n", REDIS_DOWN_NONE},
    {"-ERR AUTH <password> called without any password configured for the default user. Are you "
     "sure your configuration is correct?\r\n",
     REDIS_DOWN_NONE},
    {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", REDIS_DOWN_AUTH},
    {"-ERR invalid password\r\n", REDIS_DOWN_AUTH},
    {"-NOPERM this user has no permissions\r\n", REDIS_DOWN_AUTH},
    {"-NOAUTH Authentication required.\r\n", REDIS_DOWN_AUTH},
    {"-ERR unknown command `AUTH`, with args beginning with: `hunter2`\r\n", REDIS_DOWN_AUTH},
    {"-ERR max number of clients reached\r\n", REDIS_DOWN_EOF},
    {"-DENIED Redis is running in protected mode\r\n", REDIS_DOWN_AUTH},
    {"+hunter2\r\n", REDIS_DOWN_PROTO},
    {":1\r\n", REDIS_DOWN_PROTO},
    {"*0\r\n", REDIS_DOWN_PROTO},
};

static void test_auth_replies(void **state)
{
    struct auth_fixture *x = *state;

    write_secret(x, "hunter2\n");
    for (size_t i = 0; i < ARRAY_LEN(auth_replies); i++) {
        const struct redis_rule rules[] = {
            ANSWER("AUTH hunter2", auth_replies[i].reply),
            ANSWER("PING", PONG),
        };
        redis_peer_rules(&x->peer, rules, ARRAY_LEN(rules));
        assert_int_equal(first_result(x), auth_replies[i].why);
    }
}

static void test_auth_with_user(void **state)
{
    struct auth_fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("AUTH agent hunter2", "+OK\r\n"), ANSWER("PING", PONG));
    write_secret(x, "hunter2");
    x->cfg.user = "agent";
    assert_int_equal(first_result(x), REDIS_DOWN_NONE);
    assert_string_equal(x->peer.commands[0], "AUTH agent hunter2");
    assert_string_equal(x->peer.commands[1], "PING");
}

static void test_no_auth_without_a_path(void **state)
{
    struct auth_fixture *x = *state;
    struct secret_file none;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    secret_file_init(&none, NULL);
    x->cfg.password = &none;
    assert_int_equal(first_result(x), REDIS_DOWN_NONE);
    assert_int_equal(redis_peer_count(&x->peer, "AUTH"), 0);
    secret_file_release(&none);
}

/* --- answers to PING -------------------------------------------------------------------------- */

static const struct {
    const char *reply;
    enum redis_down why;
} ping_replies[] = {
    {PONG, REDIS_DOWN_NONE},
    {"-LOADING Redis is loading the dataset in memory\r\n", REDIS_DOWN_NONE},
    {"-BUSY Redis is busy running a script.\r\n", REDIS_DOWN_NONE},
    {"-MASTERDOWN Link with MASTER is down\r\n", REDIS_DOWN_NONE},
    {"-MISCONF Redis is configured to save RDB snapshots\r\n", REDIS_DOWN_NONE},
    {"-NOAUTH Authentication required.\r\n", REDIS_DOWN_AUTH},
    {"-NOPERM this user has no permissions to run the 'ping' command\r\n", REDIS_DOWN_AUTH},
    {"-DENIED Redis is running in protected mode\r\n", REDIS_DOWN_AUTH},
    {"-ERR max number of clients reached\r\n", REDIS_DOWN_EOF},
    {"+OK\r\n", REDIS_DOWN_PROTO},
    {"$4\r\nPONG\r\n", REDIS_DOWN_PROTO},
    {"*0\r\n", REDIS_DOWN_PROTO},
};

static void test_ping_replies(void **state)
{
    struct auth_fixture *x = *state;

    x->cfg.password = NULL;
    for (size_t i = 0; i < ARRAY_LEN(ping_replies); i++) {
        const struct redis_rule rule = ANSWER("PING", ping_replies[i].reply);
        redis_peer_rules(&x->peer, &rule, 1);
        assert_int_equal(first_result(x), ping_replies[i].why);
    }
}

/* Redis sends this before it reads anything, and closes. */
static void test_refusal_on_accept(void **state)
{
    struct auth_fixture *x = *state;

    write_secret(x, "hunter2");
    x->peer.greeting = "-ERR max number of clients reached\r\n";
    x->peer.on_accept = REDIS_PEER_CLOSE;
    start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 3);
    assert_int_equal(x->client.down_by[REDIS_DOWN_EOF], 3);
}

/* --- the secret file ------------------------------------------------------------------------- */

static void test_missing_file_then_there(void **state)
{
    struct auth_fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("AUTH hunter2", "+OK\r\n"), ANSWER("PING", PONG));
    redis_peer_stop_listening(&x->peer);
    start(x);
    BED_RUN_UNTIL(&x->bed, x->client.downs == 2);
    assert_int_equal(x->client.down_by[REDIS_DOWN_REFUSED], 2); /* that Redis is gone is seen */
    redis_peer_listen(&x->peer);
    BED_RUN_UNTIL(&x->bed, x->client.down_by[REDIS_DOWN_AUTH] == 1);
    assert_non_null(strstr(x->client.err.msg, x->path));
    assert_int_equal(x->client.err.code, ERR_DENIED);
    assert_int_equal(x->peer.commands_count, 0);
    write_secret(x, "hunter2");
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
}

static void test_change_before_reconnect(void **state)
{
    struct auth_fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("AUTH", "+OK\r\n"), ANSWER("PING", PONG));
    write_secret(x, "old");
    start(x);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
    write_secret(x, "new");
    redis_peer_then(&x->peer, REDIS_PEER_CLOSE);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 2);
    assert_int_equal(redis_peer_count(&x->peer, "AUTH old"), 1);
    assert_int_equal(redis_peer_count(&x->peer, "AUTH new"), 1);
}

static void test_change_while_connected(void **state)
{
    struct auth_fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("AUTH wrong", "-WRONGPASS no\r\n"), ANSWER("AUTH", "+OK\r\n"),
                ANSWER("PING", PONG), ANSWER("ROLE", "+role\r\n"));
    write_secret(x, "old");
    x->cfg.ping_idle_ms = 600000;
    start(x);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
    write_secret(x, "new");
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "AUTH new") == 1);
    assert_true(client_send(&x->client, "ROLE")); /* queued behind AUTH: in order */
    BED_RUN_UNTIL(&x->bed, x->client.replies == 1);
    assert_string_equal(x->client.reply, "role");
    assert_int_equal(x->client.ups, 1);
    assert_int_equal(x->client.downs, 0);
    unlink(x->path); /* unreadable for the moment: nothing happens */
    bed_run_for_ms(&x->bed, 1100);
    assert_int_equal(x->client.downs, 0);
    write_secret(x, "wrong"); /* refused, and tried again on the same connection */
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "AUTH wrong") == 2);
    assert_int_equal(x->client.downs, 0);
    assert_int_equal(redis_peer_count(&x->peer, "AUTH new"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_auth_replies),
        TEST(test_auth_with_user),
        TEST(test_no_auth_without_a_path),
        TEST(test_ping_replies),
        TEST(test_refusal_on_accept),
        TEST(test_missing_file_then_there),
        TEST(test_change_before_reconnect),
        TEST(test_change_while_connected),
    };

    return cmocka_run_group_tests_name("redis_auth", tests, NULL, NULL);
}
