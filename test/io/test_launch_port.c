/* The launch port against clients on its own loop, whose processes are real ones. */
#include "agent/shell/launch_port.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shell/launch_protocol.h"
#include "test/io/http_peer.h"

#define EVENTS_MAX 8
#define QUIET_MS 50

struct fixture {
    struct bed bed;
    char dir[64];
    char path[96];
    struct launch_fds fds;
    struct launch_port port;
    struct core_event events[EVENTS_MAX];
    size_t events_count;
    const struct core_action *answer_at_once; /* to a LAUNCH, from inside its event */
};

static void answer(struct fixture *f, uint64_t op, enum launch launch, const char *host)
{
    struct core_action a = {.type = ACT_LAUNCH_ANSWER, .op = op, .launch = launch};
    if (host != NULL) {
        assert_true(addr_set(&a.addr, sv_from(host), 6379));
    }
    launch_port_answer(&f->port, &a);
}

static void on_event(void *arg, struct core_event *ev)
{
    struct fixture *f = arg;
    assert_in_range(f->events_count, 0, EVENTS_MAX - 1);
    f->events[f->events_count++] = *ev;
    if (ev->type == CORE_LAUNCH && f->answer_at_once != NULL) {
        struct core_action a = *f->answer_at_once;
        a.op = ev->op;
        launch_port_answer(&f->port, &a);
    }
}

static void open_port(struct fixture *f)
{
    struct port_sink sink = {.event = on_event, .arg = f};
    launch_port_init(&f->port, &f->bed.loop, &f->fds, sink);
    launch_port_start(&f->port);
}

static void close_port(struct fixture *f)
{
    bool closed = false;
    launch_port_close(&f->port, bed_on_closed, &closed);
    BED_RUN_UNTIL(&f->bed, closed);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct err e;
    assert_non_null(f);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/launch-port-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/launch.sock", f->dir);
    assert_int_equal(launch_listen(&f->fds, f->path, &e), 0);
    bed_open(&f->bed);
    open_port(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_port(f);
    bed_close(&f->bed);
    (void)close(f->fds.listener);
    (void)close(f->fds.keep[0]);
    (void)close(f->fds.keep[1]);
    (void)unlink(f->path);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

/* ---- processes and clients ---- */

struct process {
    pid_t pid;
    int fd; /* its pidfd */
};

static struct process start_process(void)
{
    struct process p = {.pid = fork()};
    if (p.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close_range(3, ~0U, 0); /* copies of the port's own would keep them open */
        for (;;) {
            (void)pause();
        }
    }
    assert_true(p.pid > 0);
    p.fd = (int)syscall(SYS_pidfd_open, p.pid, 0);
    assert_true(p.fd >= 0);
    return p;
}

static void end_process(struct process *p)
{
    assert_int_equal(kill(p->pid, SIGKILL), 0);
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    assert_int_equal(close(p->fd), 0);
}

static int dial(const struct fixture *f)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, f->path, strlen(f->path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

/* fd: -1 for none. */
static void say(int conn, const char *text, int fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char copy[64];
    (void)snprintf(copy, sizeof copy, "%s", text);
    struct iovec iov = {.iov_base = copy, .iov_len = strlen(copy)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    assert_int_equal(sendmsg(conn, &msg, MSG_NOSIGNAL), (int)strlen(copy));
}

static int ask(const struct fixture *f, int pidfd)
{
    int conn = dial(f);
    say(conn, LAUNCH_REQUEST, pidfd);
    return conn;
}

/* The next packet; "" at the end of the connection. */
static const char *hear(struct fixture *f, int conn)
{
    static char text[LAUNCH_MESSAGE_MAX + 1];
    ssize_t len;
    BED_RUN_UNTIL(&f->bed, (len = recv(conn, text, sizeof text - 1, 0)) >= 0 || errno != EAGAIN);
    assert_true(len >= 0);
    text[len] = '\0';
    return text;
}

static void expect_events(struct fixture *f, size_t count)
{
    BED_RUN_UNTIL(&f->bed, f->events_count >= count);
    bed_run_for_ms(&f->bed, QUIET_MS);
    assert_int_equal(f->events_count, count);
}

/* ---- tests ---- */

static void test_the_answer_is_sent(void **state)
{
    static const struct {
        enum launch launch;
        const char *host;
        const char *text;
    } rows[] = {{LAUNCH_HELD, NULL, "held"},
                {LAUNCH_PLAIN, NULL, "plain"},
                {LAUNCH_REPLICA, "10.0.0.7", "replica 10.0.0.7 6379"},
                {LAUNCH_REPLICA, "fd00::7", "replica fd00::7 6379"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct process p = start_process();
        int conn = ask(f, p.fd);
        f->events_count = 0;
        expect_events(f, 1);
        assert_int_equal(f->events[0].type, CORE_LAUNCH);
        answer(f, f->events[0].op, rows[i].launch, rows[i].host);
        assert_string_equal(hear(f, conn), rows[i].text);
        assert_string_equal(hear(f, conn), "");
        (void)close(conn);
        end_process(&p);
        expect_events(f, 2);
        assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
    }
}

static void test_an_answer_from_inside_the_event(void **state)
{
    struct fixture *f = *state;
    struct core_action held = {.type = ACT_LAUNCH_ANSWER, .launch = LAUNCH_HELD};
    struct process p = start_process();
    f->answer_at_once = &held;
    int conn = ask(f, p.fd);
    assert_string_equal(hear(f, conn), "held");
    (void)close(conn);
    end_process(&p);
    expect_events(f, 2);
}

static void test_the_connection_is_not_the_process(void **state)
{
    struct fixture *f = *state;
    struct process p = start_process();
    int conn = ask(f, p.fd);
    expect_events(f, 1);
    (void)close(conn); /* it did not wait */
    expect_events(f, 1);
    answer(f, f->events[0].op, LAUNCH_PLAIN, NULL);
    expect_events(f, 1);
    end_process(&p);
    expect_events(f, 2);
    assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
}

static void test_without_a_pidfd_the_connection_is_the_process(void **state)
{
    struct fixture *f = *state;
    int conn = ask(f, -1);
    expect_events(f, 1);
    answer(f, f->events[0].op, LAUNCH_HELD, NULL);
    assert_string_equal(hear(f, conn), "held");
    say(conn, "what?", -1); /* no sign of an end */
    expect_events(f, 1);
    (void)close(conn);
    expect_events(f, 2);
    assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
}

static void test_a_second_one_is_held_and_not_watched(void **state)
{
    struct fixture *f = *state;
    struct process first = start_process();
    struct process second = start_process();
    int conn = ask(f, first.fd);
    expect_events(f, 1);
    int late = ask(f, second.fd);
    assert_string_equal(hear(f, late), "held");
    assert_string_equal(hear(f, late), "");
    end_process(&second);
    expect_events(f, 1);
    answer(f, f->events[0].op, LAUNCH_PLAIN, NULL);
    assert_string_equal(hear(f, conn), "plain");
    end_process(&first);
    expect_events(f, 2);
    (void)close(conn);
    (void)close(late);
}

static void test_an_end_comes_before_the_next_start(void **state)
{
    struct fixture *f = *state;
    struct process first = start_process();
    int conn = ask(f, first.fd);
    expect_events(f, 1);
    struct process second = start_process();
    end_process(&first);
    int next = ask(f, second.fd);
    expect_events(f, 3);
    assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
    assert_int_equal(f->events[2].type, CORE_LAUNCH);
    assert_int_not_equal(f->events[2].op, f->events[0].op);
    assert_string_equal(hear(f, conn), "");
    answer(f, f->events[0].op, LAUNCH_PLAIN, NULL); /* to the one that is gone */
    answer(f, f->events[2].op, LAUNCH_HELD, NULL);
    assert_string_equal(hear(f, next), "held");
    end_process(&second);
    expect_events(f, 4);
    (void)close(conn);
    (void)close(next);
}

static void test_nonsense_is_refused(void **state)
{
    struct fixture *f = *state;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct process p = start_process();
    static const char *const texts[] = {"launch 2", "launch", "launch 1 ", "x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int conn = dial(f);
        say(conn, texts[i], p.fd);
        assert_string_equal(hear(f, conn), "");
        (void)close(conn);
    }
    int conn = ask(f, file);
    assert_string_equal(hear(f, conn), "");
    (void)close(conn);
    (void)close(file);
    end_process(&p);
    expect_events(f, 0);
}

static void test_who_does_not_ask_is_overtaken(void **state)
{
    struct fixture *f = *state;
    int silent = dial(f);
    bed_run_for_ms(&f->bed, QUIET_MS);
    int conn = ask(f, -1);
    assert_string_equal(hear(f, silent), "");
    expect_events(f, 1);
    (void)close(silent);
    (void)close(conn);
    expect_events(f, 2);
}

static void test_the_next_worker_goes_on_watching(void **state)
{
    struct fixture *f = *state;
    struct process p = start_process();
    int conn = ask(f, p.fd);
    expect_events(f, 1);
    answer(f, f->events[0].op, LAUNCH_PLAIN, NULL);
    for (int i = 0; i < 2; i++) {
        close_port(f);
        open_port(f);
    }
    (void)close(conn);
    expect_events(f, 1);
    end_process(&p);
    expect_events(f, 2);
    assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
    close_port(f);
    open_port(f);
    expect_events(f, 2); /* told once */
}

static void test_who_was_not_answered_asks_the_next_worker(void **state)
{
    struct fixture *f = *state;
    struct process p = start_process();
    int conn = ask(f, p.fd);
    expect_events(f, 1);
    close_port(f);
    open_port(f);
    assert_string_equal(hear(f, conn), "");
    (void)close(conn);
    conn = ask(f, p.fd);
    expect_events(f, 2);
    assert_int_equal(f->events[1].type, CORE_LAUNCH);
    answer(f, f->events[1].op, LAUNCH_PLAIN, NULL);
    assert_string_equal(hear(f, conn), "plain");
    (void)close(conn);
    end_process(&p);
    expect_events(f, 3);
}

static void test_who_stopped_waiting_is_watched_by_the_next_worker(void **state)
{
    struct fixture *f = *state;
    struct process p = start_process();
    int conn = ask(f, p.fd);
    expect_events(f, 1);
    (void)close(conn);
    close_port(f);
    open_port(f);
    end_process(&p);
    expect_events(f, 2);
    assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
}

static void test_what_happens_between_two_workers(void **state)
{
    struct fixture *f = *state;
    struct process first = start_process();
    struct process second = start_process();
    int conn = ask(f, first.fd);
    expect_events(f, 1);
    answer(f, f->events[0].op, LAUNCH_PLAIN, NULL);
    close_port(f);
    end_process(&first);
    int next = ask(f, second.fd);
    open_port(f);
    expect_events(f, 3);
    assert_int_equal(f->events[1].type, CORE_PROCESS_DEAD);
    assert_int_equal(f->events[2].type, CORE_LAUNCH);
    answer(f, f->events[2].op, LAUNCH_HELD, NULL);
    assert_string_equal(hear(f, next), "held");
    end_process(&second);
    expect_events(f, 4);
    (void)close(conn);
    (void)close(next);
}

static void test_only_a_socket_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct launch_fds other = LAUNCH_FDS_NONE;
    struct stat st;
    struct err e;
    char path[128];
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    /* As an agent that is started anew finds it. */
    assert_int_equal(launch_listen(&other, f->path, &e), 0);
    (void)close(other.listener);
    (void)close(other.keep[0]);
    (void)close(other.keep[1]);
    other = LAUNCH_FDS_NONE;
    (void)snprintf(path, sizeof path, "%s/file", f->dir);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
    assert_int_equal(launch_listen(&other, path, &e), -1);
    assert_int_equal(e.code, ERR_INVAL);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/%0100d", f->dir, 0);
    assert_int_equal(launch_listen(&other, path, &e), -1);
    assert_int_equal(e.code, ERR_INVAL);
    (void)snprintf(path, sizeof path, "%s/none/x", f->dir);
    assert_int_equal(launch_listen(&other, path, &e), -1);
    assert_int_equal(e.code, ERR_SYS);
    assert_int_equal(other.listener, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_answer_is_sent),
        TEST(test_an_answer_from_inside_the_event),
        TEST(test_the_connection_is_not_the_process),
        TEST(test_without_a_pidfd_the_connection_is_the_process),
        TEST(test_a_second_one_is_held_and_not_watched),
        TEST(test_an_end_comes_before_the_next_start),
        TEST(test_nonsense_is_refused),
        TEST(test_who_does_not_ask_is_overtaken),
        TEST(test_the_next_worker_goes_on_watching),
        TEST(test_who_was_not_answered_asks_the_next_worker),
        TEST(test_who_stopped_waiting_is_watched_by_the_next_worker),
        TEST(test_what_happens_between_two_workers),
        TEST(test_only_a_socket_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
