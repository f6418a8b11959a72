#include "agent/launch/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY_MS 20
#define PORT_DIGITS_MAX 5
#define PORT_MAX 65535

/* One conversation: what it is held with. */
struct asking {
    const char *path;
    uint64_t until_ms;
    int pidfd;   /* -1: the kernel has none */
    int signals; /* signalfd; -1: none */
    int signum;  /* that came */
    bool told;   /* why there is a wait */
    bool answered;
};

static uint64_t now_ms(void)
{
    struct timespec ts = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the answer ---- */

static bool is_host(const char *s)
{
    /* Never one that redis-server would take for an option. */
    if (s[0] == '\0' || s[0] == '-') {
        return false;
    }
    for (; *s != '\0'; s++) {
        bool word = (*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
                    (*s >= 'a' && *s <= 'z') || strchr("-._:%", *s) != NULL;
        if (!word) {
            return false;
        }
    }
    return true;
}

static bool is_port(const char *s)
{
    unsigned port = 0;
    size_t digits = 0;
    for (; s[digits] >= '0' && s[digits] <= '9' && digits < PORT_DIGITS_MAX; digits++) {
        port = port * 10 + (unsigned)(s[digits] - '0');
    }
    return digits > 0 && s[digits] == '\0' && port > 0 && port <= PORT_MAX;
}

static bool take_replica(struct launch_answer *a)
{
    size_t word = sizeof LAUNCH_ANSWER_REPLICA - 1;
    if (strncmp(a->text, LAUNCH_ANSWER_REPLICA " ", word + 1) != 0) {
        return false;
    }
    char *host = a->text + word + 1;
    char *space = strchr(host, ' ');
    if (space == NULL) {
        return false;
    }
    *space = '\0';
    a->host = host;
    a->port = space + 1;
    return is_host(a->host) && is_port(a->port);
}

bool launch_answer_parse(struct launch_answer *ret, const char *text, size_t len)
{
    *ret = (struct launch_answer){.to = LAUNCH_TO_HELD};
    if (len > LAUNCH_MESSAGE_MAX || memchr(text, '\0', len) != NULL) {
        return false;
    }
    memcpy(ret->text, text, len);
    if (strcmp(ret->text, LAUNCH_ANSWER_HELD) == 0) {
        return true;
    }
    if (strcmp(ret->text, LAUNCH_ANSWER_PLAIN) == 0) {
        ret->to = LAUNCH_TO_PLAIN;
        return true;
    }
    if (take_replica(ret)) {
        ret->to = LAUNCH_TO_REPLICA;
        return true;
    }
    return false;
}

/* ---- the conversation ---- */

/* Waits for `fd` (-1: for nothing but the time) or a signal. True: fd has something. */
static bool wait_until(struct asking *a, int fd, uint64_t until_ms)
{
    for (;;) {
        uint64_t left_ms = u64_since(u64_min(until_ms, a->until_ms), now_ms());
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = a->signals, .events = POLLIN}};
        int n = poll(fds, ARRAY_LEN(fds), (int)u64_min(left_ms, 1000));
        if (n > 0 && fds[1].revents != 0) {
            struct signalfd_siginfo info = {.ssi_signo = SIGTERM};
            ssize_t got = read(a->signals, &info, sizeof info);
            a->signum = got == sizeof info ? (int)info.ssi_signo : SIGTERM;
            return false;
        }
        if (n > 0) {
            return true;
        }
        if (left_ms == 0) {
            return false;
        }
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        int sys = errno;
        (void)close(fd);
        errno = sys;
        return -1;
    }
    return fd;
}

static bool send_request(int fd, int pidfd)
{
    char text[] = LAUNCH_REQUEST;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (pidfd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pidfd, sizeof pidfd);
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL) >= 0;
}

static void tell_wait(struct asking *a, const char *why)
{
    if (!a->told) {
        a->told = true;
        (void)fprintf(stderr, "redis-pod-agent-launch: waiting for the agent at %s: %s\n", a->path,
                      why);
    }
}

/* An end of the connection that is to be inherited by redis-server, or closed. */
static void leave(const struct asking *a, int fd)
{
    if (a->pidfd >= 0 || a->signum != 0 || fcntl(fd, F_SETFD, 0) != 0) {
        (void)close(fd);
    }
}

/* One attempt. True: there is an answer, or there will be none in time. */
static bool ask_once(struct asking *a, struct launch_answer *ret)
{
    char text[LAUNCH_MESSAGE_MAX + 1];
    int fd = connect_to(a->path);
    if (fd < 0 || !send_request(fd, a->pidfd)) {
        tell_wait(a, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    if (!wait_until(a, fd, a->until_ms)) {
        tell_wait(a, "it took the question and is silent");
        leave(a, fd);
        return true;
    }
    ssize_t len = recv(fd, text, sizeof text, 0);
    if (len <= 0) {
        tell_wait(a, "it hung up");
        (void)close(fd);
        return false;
    }
    leave(a, fd);
    a->answered = true;
    if (!launch_answer_parse(ret, text, (size_t)len)) {
        (void)fprintf(stderr, "redis-pod-agent-launch: the agent's answer makes no sense here; are "
                              "the two of the same version?\n");
        *ret = (struct launch_answer){.to = LAUNCH_TO_HELD};
    }
    return true;
}

void launch_ask(struct launch_answer *ret, const char *path, uint64_t timeout_ms)
{
    sigset_t stops;
    sigset_t before;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stops, &before);
    struct asking a = {.path = path,
                       .until_ms = now_ms() + timeout_ms,
                       .pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0),
                       .signals = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK)};
    *ret = (struct launch_answer){.to = LAUNCH_TO_HELD};
    if (a.pidfd < 0) {
        (void)fprintf(stderr,
                      "redis-pod-agent-launch: no pidfd here (%s): this process leaves its "
                      "connection to the agent open instead\n",
                      strerror(errno));
    }
    while (!ask_once(&a, ret)) {
        (void)wait_until(&a, -1, now_ms() + RETRY_MS);
        if (a.signum != 0 || now_ms() >= a.until_ms) {
            break;
        }
    }
    if (a.signum != 0) {
        *ret = (struct launch_answer){.to = LAUNCH_TO_STOP, .signum = a.signum};
    } else if (!a.answered) {
        (void)fprintf(stderr, "redis-pod-agent-launch: no answer within %llu ms\n",
                      (unsigned long long)timeout_ms);
    }
    if (a.pidfd >= 0) {
        (void)close(a.pidfd);
    }
    if (a.signals >= 0) {
        (void)close(a.signals);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}
