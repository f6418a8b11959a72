/* The orders to a real redis-server, on a unix socket; skipped where there is none. */
#include "agent/shell/local_port.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/port_log.h"
#include "test/io/redis_peer.h"

struct local_fixture {
    struct bed bed;
    pid_t pid;
    char dir[64];
    char socket[96];
    char file[96]; /* its configuration */
    struct config *cfg;
    struct port_counters counters;
    struct port_log *log;
    struct local_port port;
    uint64_t op;
    size_t downs; /* told before the server listened */
};

static bool has_server(void)
{
    struct sv rest = sv_from(getenv("PATH"));
    char path[512];
    while (rest.ptr != NULL) {
        struct sv dir = sv_split(&rest, ':');
        (void)snprintf(path, sizeof path, "%.*s/redis-server", SV_ARG(dir));
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static void start_server(struct local_fixture *f)
{
    pid_t parent = getpid();
    FILE *out = fopen(f->file, "we");
    assert_non_null(out);
    assert_true(fputs("port 0\nsave \"\"\nlogfile log\n", out) >= 0);
    assert_int_equal(fclose(out), 0);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && chdir(f->dir) == 0) {
            (void)execlp("redis-server", "redis-server", f->file, "--unixsocket", f->socket,
                         (char *)NULL);
        }
        _exit(127);
    }
}

static int setup(void **state)
{
    struct local_fixture *f = xcalloc(1, sizeof *f);
    *state = f;
    f->cfg = xcalloc(1, sizeof *f->cfg);
    f->log = xcalloc(1, sizeof *f->log);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/local-port.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->socket, sizeof f->socket, "%s/redis.sock", f->dir);
    (void)snprintf(f->file, sizeof f->file, "%s/redis.conf", f->dir);
    f->cfg->redis_unix_path = f->socket;
    f->cfg->mode = CORE_MODE_REPLICATION;
    bed_open(&f->bed);
    start_server(f);
    local_port_init(&f->port, &f->bed.loop, f->cfg, port_log_sink(f->log), &f->counters);
    local_port_start(&f->port);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_LOCAL_UP, 0) == 1);
    f->downs = port_log_count(f->log, CORE_LOCAL_DOWN, 0);
    return 0;
}

static int teardown(void **state)
{
    struct local_fixture *f = *state;
    bool closed = false;
    char path[96];
    local_port_close(&f->port, bed_on_closed, &closed);
    BED_RUN_UNTIL(&f->bed, closed);
    assert_int_equal(kill(f->pid, SIGKILL), 0);
    assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
    bed_close(&f->bed);
    (void)unlink(f->socket);
    (void)unlink(f->file);
    (void)snprintf(path, sizeof path, "%s/log", f->dir);
    (void)unlink(path);
    assert_int_equal(rmdir(f->dir), 0);
    free(f->log);
    free(f->cfg);
    free(f);
    return 0;
}

static const struct core_event *order(struct local_fixture *f, enum order what, uint64_t value)
{
    struct core_action a = {.type = ACT_ORDER,
                            .op = ++f->op,
                            .slot = MEMBER_LOCAL,
                            .order = what,
                            .value = value,
                            .addr = {.host = "127.0.0.1", .port = 1}};
    assert_true(local_port_order(&f->port, &a));
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_ORDER_DONE, f->op) == 1);
    return &port_log_last(f->log, CORE_ORDER_DONE, f->op)->ev;
}

static void expect(struct local_fixture *f, enum order what, uint64_t value, enum outcome outcome)
{
    const struct core_event *ev = order(f, what, value);
    if (ev->u.order.outcome != outcome) {
        fail_msg("%s: %s", order_name(what), outcome_name(ev->u.order.outcome));
    }
}

static const struct port_told *read_role(struct local_fixture *f)
{
    assert_true(local_port_read(&f->port, ++f->op, true));
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_LOCAL_INFO, f->op) == 1);
    assert_true(port_log_last(f->log, CORE_LOCAL_INFO, f->op)->has);
    return port_log_last(f->log, CORE_LOCAL_ROLE, f->op);
}

static void test_follow_and_promote(void **state)
{
    struct local_fixture *f = *state;
    assert_int_equal(read_role(f)->copy.role.role, REDIS_ROLE_MASTER);
    expect(f, ORDER_FOLLOW, 0, OUTCOME_OK);
    expect(f, ORDER_FOLLOW, 0, OUTCOME_OK); /* "OK Already connected to specified master" */
    const struct port_told *t = read_role(f);
    assert_int_equal(t->copy.role.role, REDIS_ROLE_SLAVE);
    assert_int_equal(t->copy.role.master.port, 1);
    const struct core_event *ev = order(f, ORDER_PROMOTE, 0);
    assert_int_equal(ev->u.order.outcome, OUTCOME_OK);
    assert_true(ev->u.order.is_master);
    assert_int_equal(read_role(f)->copy.role.role, REDIS_ROLE_MASTER);
    expect(f, ORDER_REWRITE, 0, OUTCOME_OK);
    assert_int_equal(port_log_count(f->log, CORE_LOCAL_DOWN, 0), f->downs);
}

static void test_fence(void **state)
{
    struct local_fixture *f = *state;
    const struct core_event *ev = order(f, ORDER_GET_FENCE, 0);
    assert_int_equal(ev->u.order.outcome, OUTCOME_OK);
    assert_int_equal(ev->u.order.min_replicas, 0);
    assert_int_equal(ev->u.order.max_lag_s, 10);
    expect(f, ORDER_SET_FENCE, 1000001, OUTCOME_OK);
    assert_int_equal(order(f, ORDER_GET_FENCE, 0)->u.order.min_replicas, 1000001);
    expect(f, ORDER_SET_FENCE, UINT64_MAX, OUTCOME_REFUSED);
}

static void test_pause_and_kill(void **state)
{
    struct local_fixture *f = *state;
    expect(f, ORDER_PAUSE, 60000, OUTCOME_OK);
    expect(f, ORDER_UNPAUSE, 0, OUTCOME_OK);
    expect(f, ORDER_KILL_NORMAL, 0, OUTCOME_OK);
    expect(f, ORDER_FAILOVER, 100, OUTCOME_REFUSED); /* there is no replica */
    assert_int_equal(port_log_count(f->log, CORE_LOCAL_DOWN, 0), f->downs);
}

static void test_a_dead_server_answers_nothing(void **state)
{
    struct local_fixture *f = *state;
    struct core_action a = {.type = ACT_ORDER, .op = 900, .order = ORDER_PROMOTE};
    assert_int_equal(kill(f->pid, SIGSTOP), 0);
    assert_true(local_port_order(&f->port, &a));
    assert_true(local_port_read(&f->port, 901, true));
    assert_int_equal(kill(f->pid, SIGKILL), 0);
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_LOCAL_DOWN, 0) > f->downs);
    assert_int_equal(port_log_last(f->log, CORE_ORDER_DONE, 900)->ev.u.order.outcome,
                     OUTCOME_UNKNOWN);
    assert_int_equal(port_log_count(f->log, CORE_ORDER_DONE, 900), 1);
    assert_int_equal(port_log_count(f->log, CORE_LOCAL_ROLE, 901), 1);
    assert_int_equal(port_log_count(f->log, CORE_LOCAL_INFO, 901), 1);
    assert_false(port_log_last(f->log, CORE_LOCAL_INFO, 901)->has);
    assert_false(local_port_order(&f->port, &a));
    assert_false(local_port_read(&f->port, 902, true));
}

#define SERVER_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_follow_and_promote),
        SERVER_TEST(test_fence),
        SERVER_TEST(test_pause_and_kill),
        SERVER_TEST(test_a_dead_server_answers_nothing),
    };
    if (!has_server()) {
        print_message("skipped: no redis-server in PATH\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
