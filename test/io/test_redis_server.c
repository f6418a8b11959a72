/* The client against a real redis-server on a unix socket; skipped where there is none. */
#include "lib/io/redis_conn.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/redis_peer.h"

struct server_fixture {
    struct bed bed;
    pid_t pid; /* 0: not running */
    char dir[64];
    char socket[96];
    char path[96]; /* of the password */
    struct secret_file secret;
    struct redis_conn_config cfg;
    struct client a;
    struct client b;
};

static bool has_program(const char *name)
{
    struct sv rest = sv_from(getenv("PATH"));
    char path[512];

    while (rest.ptr != NULL) {
        struct sv dir = sv_split(&rest, ':');
        snprintf(path, sizeof(path), "%.*s/%s", SV_ARG(dir), name);
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void write_secret(struct server_fixture *x, const char *value)
{
    FILE *out = fopen(x->path, "we");

    assert_non_null(out);
    assert_true(fputs(value, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static void start_server(struct server_fixture *x)
{
    pid_t parent = getpid();

    x->pid = fork();
    assert_true(x->pid >= 0);
    if (x->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test aborts */
        if (getppid() == parent && chdir(x->dir) == 0) {
            execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", x->socket,
                   "--requirepass", "hunter2", "--save", "", "--logfile", "log", "--daemonize",
                   "no", "--busy-reply-threshold", "5", (char *)NULL);
        }
        _exit(127);
    }
}

static void signal_server(struct server_fixture *x, int sig)
{
    assert_int_equal(kill(x->pid, sig), 0);
    if (sig == SIGKILL) {
        assert_int_equal(waitpid(x->pid, NULL, 0), x->pid);
        x->pid = 0;
        unlink(x->socket);
    }
}

static int setup(void **state)
{
    struct server_fixture *x = xcalloc(1, sizeof(*x));

    *state = x;
    snprintf(x->dir, sizeof(x->dir), "/tmp/redis-server.XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(x->socket, sizeof(x->socket), "%s/redis.sock", x->dir);
    snprintf(x->path, sizeof(x->path), "%s/password", x->dir);
    write_secret(x, "hunter2\n");
    secret_file_init(&x->secret, x->path);
    x->cfg = (struct redis_conn_config){
        .unix_path = x->socket,
        .password = &x->secret,
        .connect_timeout_ms = 1000,
        .command_timeout_ms = 1000,
        .ping_idle_ms = 1000,
        .reply_max_bytes = 1024 * 1024,
        .rng_seed = 1,
    };
    bed_open(&x->bed);
    start_server(x);
    client_open(&x->a, &x->bed, &x->cfg);
    client_start(&x->a);
    BED_RUN_UNTIL(&x->bed, x->a.ups == 1);
    x->a.downs = 0; /* those of the time before the server listened */
    memset(x->a.down_by, 0, sizeof(x->a.down_by));
    return 0;
}

static int teardown(void **state)
{
    struct server_fixture *x = *state;
    char log[96];

    client_close(&x->a);
    if (x->b.bed != NULL && !x->b.closed) {
        client_close(&x->b);
    }
    if (x->pid != 0) {
        signal_server(x, SIGKILL);
    }
    bed_close(&x->bed);
    secret_file_release(&x->secret);
    snprintf(log, sizeof(log), "%s/log", x->dir);
    unlink(log);
    unlink(x->path);
    assert_int_equal(rmdir(x->dir), 0);
    free(x);
    return 0;
}

static const char *ask(struct server_fixture *x, const char *command)
{
    unsigned replies = x->a.replies;

    assert_true(client_send(&x->a, command));
    BED_RUN_UNTIL(&x->bed, x->a.replies > replies);
    assert_int_equal(x->a.reply_err, ERR_NONE);
    return x->a.reply;
}

static void open_b(struct server_fixture *x)
{
    client_open(&x->b, &x->bed, &x->cfg);
}

static void test_commands(void **state)
{
    struct server_fixture *x = *state;

    assert_string_equal(ask(x, "ROLE"), "['master' 0 []]");
    assert_string_equal(ask(x, "SET a b"), "OK");
    assert_string_equal(ask(x, "GET a"), "'b'");
    assert_string_equal(ask(x, "GET c"), "nil");
    assert_non_null(strstr(ask(x, "INFO server"), "redis_version:"));
    assert_non_null(strstr(ask(x, "NOSUCH"), "(ERR unknown command"));
    bed_run_for_ms(&x->bed, 1200); /* our PING, and the secret file looked at */
    assert_int_equal(x->a.downs, 0);
}

static void test_subscriptions(void **state)
{
    struct server_fixture *x = *state;
    static const char *const names[] = {"news", "weather"};
    static const char *const patterns[] = {"__key*"};

    x->cfg.ping_idle_ms = 50;
    open_b(x);
    redis_conn_subscribe(x->b.conn, names, 2, false);
    redis_conn_subscribe(x->b.conn, patterns, 1, true);
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
    assert_string_equal(ask(x, "PUBLISH weather rain"), "1");
    assert_string_equal(ask(x, "PUBLISH __keyspace x"), "1");
    assert_string_equal(ask(x, "PUBLISH other x"), "0");
    assert_string_equal(ask(x, "PUBLISH news old"), "1");
    BED_RUN_UNTIL(&x->bed, x->b.messages_count == 3);
    assert_string_equal(x->b.messages, "weather=rain;__keyspace=x;news=old;");
    bed_run_for_ms(&x->bed, 300); /* some PINGs on the subscribed connection */
    assert_int_equal(x->b.downs, 0);
    assert_string_equal(ask(x, "CLIENT KILL TYPE pubsub"), "1");
    BED_RUN_UNTIL(&x->bed, x->b.ups == 2);
    assert_int_equal(x->b.down_by[REDIS_DOWN_EOF], 1);
    assert_string_equal(ask(x, "PUBLISH news new"), "1");
}

static void test_killed_and_back(void **state)
{
    struct server_fixture *x = *state;

    signal_server(x, SIGKILL);
    BED_RUN_UNTIL(&x->bed, x->a.downs >= 3);
    assert_int_equal(x->a.down_by[REDIS_DOWN_EOF], 1);
    assert_int_equal(x->a.down_by[REDIS_DOWN_REFUSED], x->a.downs - 1);
    start_server(x);
    BED_RUN_UNTIL(&x->bed, x->a.ups == 2);
    assert_int_equal(x->a.down_by[REDIS_DOWN_REFUSED], x->a.downs - 1);
}

static void test_frozen_and_back(void **state)
{
    struct server_fixture *x = *state;

    x->cfg.ping_idle_ms = 100;
    x->cfg.command_timeout_ms = 100;
    open_b(x);
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
    signal_server(x, SIGSTOP);
    BED_RUN_UNTIL(&x->bed, x->b.downs == 2); /* the second is a connect that nobody answers */
    assert_int_equal(x->b.down_by[REDIS_DOWN_TIMEOUT], 2);
    signal_server(x, SIGCONT);
    BED_RUN_UNTIL(&x->bed, x->b.ups == 2);
}

static void test_password_changes(void **state)
{
    struct server_fixture *x = *state;

    assert_string_equal(ask(x, "CONFIG SET requirepass other"), "OK");
    open_b(x);
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.downs == 1);
    assert_int_equal(x->b.why, REDIS_DOWN_AUTH);
    write_secret(x, "other");
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
    bed_run_for_ms(&x->bed, 1100); /* the first connection has sent AUTH again */
    assert_int_equal(x->a.downs, 0);
    assert_string_equal(ask(x, "GET a"), "nil");
}

static void test_user_without_ping(void **state)
{
    struct server_fixture *x = *state;

    assert_string_equal(ask(x, "ACL SETUSER agent on >hunter2 +role -ping"), "OK");
    x->cfg.user = "agent";
    open_b(x);
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.downs == 1);
    assert_int_equal(x->b.why, REDIS_DOWN_AUTH);
    assert_non_null(strstr(x->b.err.msg, "NOPERM"));
    assert_string_equal(ask(x, "ACL SETUSER agent +ping"), "OK");
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
}

static void test_server_without_a_password(void **state)
{
    struct server_fixture *x = *state;

    assert_string_equal(ask(x, "CONFIG SET requirepass ''"), "OK");
    assert_string_equal(ask(x, "ACL SETUSER default nopass"), "OK");
    open_b(x);
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
}

static void test_too_many_clients(void **state)
{
    struct server_fixture *x = *state;

    assert_string_equal(ask(x, "CONFIG SET maxclients 1"), "OK");
    open_b(x);
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.downs == 2);
    assert_int_equal(x->b.down_by[REDIS_DOWN_EOF], 2);
    assert_string_equal(ask(x, "CONFIG SET maxclients 100"), "OK");
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
}

/* A script that does not end: BUSY counts as answering. */
static void test_busy(void **state)
{
    struct server_fixture *x = *state;

    x->cfg.command_timeout_ms = 5000;
    open_b(x);
    assert_true(client_send(&x->a, "EVAL while\ttrue\tdo\tend 0"));
    client_start(&x->b);
    BED_RUN_UNTIL(&x->bed, x->b.ups == 1);
    assert_true(client_send(&x->b, "ROLE"));
    BED_RUN_UNTIL(&x->bed, x->b.replies == 1);
    assert_non_null(strstr(x->b.reply, "(BUSY"));
    assert_true(client_send(&x->b, "SCRIPT KILL"));
    BED_RUN_UNTIL(&x->bed, x->b.replies == 2);
    assert_string_equal(x->b.reply, "OK");
    BED_RUN_UNTIL(&x->bed, x->a.replies == 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commands),
        TEST(test_subscriptions),
        TEST(test_killed_and_back),
        TEST(test_frozen_and_back),
        TEST(test_password_changes),
        TEST(test_user_without_ping),
        TEST(test_server_without_a_password),
        TEST(test_too_many_clients),
        TEST(test_busy),
    };

    if (!has_program("redis-server")) {
        print_message("skipped: there is no redis-server in PATH\n");
        return 0;
    }
    return cmocka_run_group_tests_name("redis_server", tests, NULL, NULL);
}
