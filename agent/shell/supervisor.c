#include "agent/shell/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/shell/exit_code.h"
#include "lib/base/check.h"
#include "lib/base/log.h"

#define MOD "parent"
#define FOREVER UINT64_MAX

struct supervisor {
    sigset_t handled;
    sigset_t inherited; /* mask to be restored in the worker */
    pid_t worker;
    uint64_t patience_ms;
    bool stopping;
    uint64_t kill_at_ms;
};

static uint64_t now_ms(void)
{
    struct timespec ts;
    REQUIRE(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The next signal, or 0 when `deadline_ms` has come. */
static int next_signal(struct supervisor *s, uint64_t deadline_ms)
{
    for (;;) {
        int signum;
        if (deadline_ms == FOREVER) {
            signum = sigwaitinfo(&s->handled, NULL);
        } else {
            uint64_t left_ms = u64_since(deadline_ms, now_ms());
            struct timespec wait = {.tv_sec = (time_t)(left_ms / 1000),
                                    .tv_nsec = (long)(left_ms % 1000) * 1000000};
            signum = sigtimedwait(&s->handled, NULL, &wait);
        }
        if (signum > 0) {
            return signum;
        }
        if (errno == EAGAIN) {
            return 0;
        }
        REQUIRE(errno == EINTR);
    }
}

static void start_worker(struct supervisor *s, supervisor_worker_fn *worker, void *arg,
                         unsigned restarts)
{
    pid_t parent = getpid();
    s->worker = fork();
    if (s->worker != 0) {
        return;
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(EXIT_CODE_FAILURE); /* the parent ended meanwhile */
    }
    (void)sigprocmask(SIG_SETMASK, &s->inherited, NULL);
    exit(worker(arg, restarts));
}

/* Collects every child that has ended (as PID 1 there may be strangers). True and the
 * status where the worker is among them. */
static bool collect(const struct supervisor *s, int *ret_status)
{
    bool found = false;
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) {
            return found;
        }
        if (pid == s->worker) {
            *ret_status = status;
            found = true;
        }
    }
}

static void forward_stop(struct supervisor *s)
{
    if (!s->stopping) {
        s->stopping = true;
        s->kill_at_ms = now_ms() + SUPERVISOR_STOP_MS;
    }
    (void)kill(s->worker, SIGTERM);
}

/* Until the worker has ended. */
static int wait_for_worker(struct supervisor *s)
{
    int status = 0;
    for (;;) {
        int signum = next_signal(s, s->stopping ? s->kill_at_ms : FOREVER);
        if (signum == 0) {
            log_error(MOD, "the worker does not stop; killing it");
            (void)kill(s->worker, SIGKILL);
            s->kill_at_ms = FOREVER;
        } else if (signum == SIGHUP) {
            (void)kill(s->worker, SIGHUP);
        } else if (signum == SIGTERM || signum == SIGINT) {
            forward_stop(s);
        } else if (signum == SIGUSR1) {
            s->kill_at_ms = s->stopping ? now_ms() + s->patience_ms : s->kill_at_ms;
        } else if (collect(s, &status)) {
            return status;
        }
    }
}

/* Waits before the next start. False: told to stop meanwhile. */
static bool pause_before_restart(struct supervisor *s, uint64_t delay_ms)
{
    uint64_t until_ms = now_ms() + delay_ms;
    for (;;) {
        int signum = next_signal(s, until_ms);
        if (signum == 0) {
            return true;
        }
        if (signum == SIGTERM || signum == SIGINT) {
            return false;
        }
        int status;
        (void)collect(s, &status);
    }
}

static bool is_final(int code)
{
    return code == EXIT_CODE_OK || code == EXIT_CODE_USAGE || code == EXIT_CODE_CONFIG;
}

void supervisor_be_patient(void)
{
    (void)kill(getppid(), SIGUSR1);
}

int supervisor_run(supervisor_worker_fn *worker, void *arg, uint64_t patience_ms)
{
    struct supervisor s = {.patience_ms = patience_ms};
    (void)sigemptyset(&s.handled);
    static const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < ARRAY_LEN(handled); i++) {
        (void)sigaddset(&s.handled, handled[i]);
    }
    REQUIRE(sigprocmask(SIG_BLOCK, &s.handled, &s.inherited) == 0);
    (void)signal(SIGPIPE, SIG_IGN);

    uint64_t delay_ms = 0;
    for (unsigned restarts = 0;; restarts++) {
        uint64_t started_ms = now_ms();
        start_worker(&s, worker, arg, restarts);
        if (s.worker < 0) {
            log_error(MOD, "cannot start a worker", F_STR("error", strerror(errno)));
            return EXIT_CODE_FAILURE;
        }
        int status = wait_for_worker(&s);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CODE_FAILURE;
        if (s.stopping) {
            return WIFEXITED(status) ? code : EXIT_CODE_OK;
        }
        if (WIFEXITED(status) && is_final(code)) {
            return code;
        }
        bool healthy = u64_since(now_ms(), started_ms) >= SUPERVISOR_HEALTHY_MS;
        delay_ms = healthy ? 0 : delay_ms;
        log_error(MOD, "the worker ended unexpectedly; starting another",
                  F_I64("exit_code", WIFEXITED(status) ? code : -1),
                  F_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
                  F_U64("delay_ms", delay_ms));
        if (!pause_before_restart(&s, delay_ms)) {
            return EXIT_CODE_OK;
        }
        delay_ms = delay_ms == 0 ? SUPERVISOR_DELAY_MIN_MS
                                 : u64_min(delay_ms * 2, SUPERVISOR_DELAY_MAX_MS);
    }
}
