#include "agent/shell/launch_port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/shell/launch_protocol.h"
#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOD "launch"
#define BACKLOG 8
#define SOCKET_MODE 0660
#define NEW_SUFFIX ".new"
/* The byte beside a kept descriptor. */
#define KEPT_ASKING 'a'
#define KEPT_ANSWERED 'd'

struct launch_watch {
    uv_poll_t poll;
    int fd; /* owned */
    struct launch_port *port;
};

/* ---- in the parent ---- */

static int bind_at(int fd, const char *path, const char *temporary, struct err *e)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    memcpy(at.sun_path, temporary, strlen(temporary));
    (void)unlink(temporary);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        return err_set_errno(e, errno, "bind %s", temporary);
    }
    /* Nobody connects before it listens, and under its name it appears only then. */
    if (chmod(temporary, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0 ||
        rename(temporary, path) != 0) {
        int sys = errno;
        (void)unlink(temporary);
        return err_set_errno(e, sys, "%s", path);
    }
    return 0;
}

int launch_listen(struct launch_fds *ret, const char *path, struct err *e)
{
    char temporary[sizeof((struct sockaddr_un){0}.sun_path)];
    struct stat there;
    if (snprintf(temporary, sizeof temporary, "%s" NEW_SUFFIX, path) >= (int)sizeof temporary) {
        return err_set(e, ERR_INVAL, "longer than %zu bytes", sizeof temporary - sizeof NEW_SUFFIX);
    }
    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode)) {
        return err_set(e, ERR_INVAL, "%s is there and is no socket", path);
    }
    struct launch_fds fds = LAUNCH_FDS_NONE;
    fds.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fds.listener < 0) {
        return err_set_errno(e, errno, "socket");
    }
    if (bind_at(fds.listener, path, temporary, e) != 0) {
        (void)close(fds.listener);
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.keep) != 0) {
        int sys = errno;
        (void)close(fds.listener);
        return err_set_errno(e, sys, "socketpair");
    }
    *ret = fds;
    return 0;
}

/* ---- descriptors in messages ---- */

/* As recv(2) with MSG_DONTWAIT; *ret_fd is -1 where the message carried none. */
static ssize_t receive(int from, char *text, size_t size, int flags, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = text, .iov_len = size};
    /* CMSG_LEN: with the padding of CMSG_SPACE a second descriptor would find room. */
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = CMSG_LEN(sizeof(int))};
    *ret_fd = -1;
    ssize_t len = recvmsg(from, &msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const struct cmsghdr *c = len >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    }
    return len;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

static void drop_kept(const struct launch_port *p)
{
    char byte;
    int old;
    while (receive(p->fds.keep[1], &byte, 1, 0, &old) >= 0) {
        close_fd(&old);
    }
}

/* In place of what was kept before. */
static void keep(const struct launch_port *p, int fd, char byte)
{
    drop_kept(p);
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(p->fds.keep[0], &msg, MSG_NOSIGNAL) < 0) {
        log_warn(MOD, "a crash of this worker will lose the process that is watched",
                 F_STR("error", strerror(errno)));
    }
}

/* ---- watches ---- */

static void on_watch_closed(uv_handle_t *handle)
{
    struct launch_watch *w = container_of(handle, struct launch_watch, poll);
    struct launch_port *p = w->port;
    close_fd(&w->fd);
    free(w);
    closer_release(&p->closer);
}

/* Owns fd from here. NULL: it cannot be waited on (it is a file, …), and is closed. */
static struct launch_watch *watch(struct launch_port *p, int fd, uv_poll_cb on_readable)
{
    struct launch_watch *w = xcalloc(1, sizeof *w);
    w->fd = fd;
    w->port = p;
    if (uv_poll_init(p->loop, &w->poll, fd) != 0) {
        close_fd(&w->fd);
        free(w);
        return NULL;
    }
    closer_hold(&p->closer);
    REQUIRE(uv_poll_start(&w->poll, UV_READABLE, on_readable) == 0);
    return w;
}

static void end_watch(struct launch_watch **w)
{
    if (*w != NULL) {
        uv_close((uv_handle_t *)&(*w)->poll, on_watch_closed);
    }
    *w = NULL;
}

/* ---- the process ---- */

/* Nothing is ever to be read from a pidfd; from a connection, only what does not belong. */
static bool has_ended(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN};
    char text[LAUNCH_MESSAGE_MAX];
    if (poll(&look, 1, 0) <= 0) {
        return false;
    }
    ssize_t len;
    do {
        len = recv(fd, text, sizeof text, MSG_DONTWAIT);
    } while (len > 0);
    return len == 0 || (errno != EAGAIN && errno != EINTR);
}

static void tell_end(struct launch_port *p)
{
    end_watch(&p->process);
    close_fd(&p->answer_fd);
    drop_kept(p);
    log_info(MOD, "the process of redis-server has ended");
    p->sink.event(p->sink.arg, &(struct core_event){.type = CORE_PROCESS_DEAD});
}

static void on_process(uv_poll_t *poll, int status, int events)
{
    const struct launch_watch *w = container_of(poll, struct launch_watch, poll);
    (void)status;
    (void)events;
    if (has_ended(w->fd)) {
        tell_end(w->port);
    }
}

/* ---- requests ---- */

static void send_text(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        log_warn(MOD, "redis-server did not wait for the answer", F_STR("answer", text),
                 F_STR("error", strerror(errno)));
    }
}

/* Its pidfd, or the connection where it has none; both descriptors are taken over. */
static void take_process(struct launch_port *p, int conn, int pidfd)
{
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof peer;
    bool by_pidfd = pidfd >= 0;
    (void)getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if (p->process != NULL && has_ended(p->process->fd)) {
        tell_end(p);
    }
    if (p->replaceable) {
        end_watch(&p->process);
    }
    if (p->process != NULL) {
        log_warn(MOD, "a second redis-server asks while the first lives: told to be held",
                 F_I64("pid", peer.pid), F_U64("uid", peer.uid));
        send_text(conn, LAUNCH_ANSWER_HELD);
        close_fd(&conn);
        close_fd(&pidfd);
        return;
    }
    int sign = by_pidfd ? pidfd : fcntl(conn, F_DUPFD_CLOEXEC, 0);
    p->process = sign < 0 ? NULL : watch(p, sign, on_process);
    if (p->process == NULL) {
        log_warn(MOD, "what was sent with a request is not the descriptor of a process",
                 F_I64("pid", peer.pid), F_U64("uid", peer.uid));
        close_fd(&conn);
        return;
    }
    p->replaceable = false;
    keep(p, sign, KEPT_ASKING);
    p->answer_fd = conn;
    p->op++;
    log_info(MOD, "redis-server asks how to start", F_I64("pid", peer.pid), F_U64("uid", peer.uid),
             F_STR("watched_by", by_pidfd ? "pidfd" : "connection"));
    p->sink.event(p->sink.arg, &(struct core_event){.type = CORE_LAUNCH, .op = p->op});
}

static void on_request(uv_poll_t *poll, int status, int events)
{
    struct launch_watch *w = container_of(poll, struct launch_watch, poll);
    struct launch_port *p = w->port;
    char text[LAUNCH_MESSAGE_MAX];
    int pidfd;
    (void)status;
    (void)events;
    ssize_t len = receive(w->fd, text, sizeof text, 0, &pidfd);
    if (len < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    size_t wanted = sizeof LAUNCH_REQUEST - 1;
    bool ok = len == (ssize_t)wanted && memcmp(text, LAUNCH_REQUEST, wanted) == 0;
    int conn = ok ? fcntl(w->fd, F_DUPFD_CLOEXEC, 0) : -1;
    end_watch(&p->asking);
    if (conn >= 0) {
        take_process(p, conn, pidfd);
        return;
    }
    close_fd(&pidfd);
    if (len > 0) {
        log_warn(MOD, "a request makes no sense; is the helper of another version?");
    }
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct launch_port *p = container_of(poll->data, struct launch_port, closer);
    (void)status;
    (void)events;
    int fd = accept4(p->fds.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        /* The helper asks as soon as it is connected: who has not, and is overtaken, will
         * find the connection closed and ask again. */
        end_watch(&p->asking);
        p->asking = watch(p, fd, on_request);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        log_error(MOD, "cannot take requests any more", F_STR("error", strerror(errno)));
        (void)uv_poll_stop(&p->listener);
    }
}

/* ---- the port ---- */

void launch_port_init(struct launch_port *p, uv_loop_t *loop, const struct launch_fds *fds,
                      struct port_sink sink)
{
    *p = (struct launch_port){.sink = sink, .loop = loop, .fds = *fds, .answer_fd = -1};
    closer_init(&p->closer, loop);
    if (p->fds.listener >= 0) {
        REQUIRE(uv_poll_init(loop, &p->listener, p->fds.listener) == 0);
        closer_add(&p->closer, (uv_handle_t *)&p->listener);
    }
}

void launch_port_start(struct launch_port *p)
{
    char byte;
    int kept;
    if (p->fds.listener < 0) {
        return;
    }
    if (receive(p->fds.keep[1], &byte, 1, MSG_PEEK, &kept) >= 0 && kept >= 0) {
        p->process = watch(p, kept, on_process);
        /* It will ask again, if it still waits. */
        p->replaceable = byte == KEPT_ASKING;
        log_info(MOD, "going on to watch the process that the worker before this one watched");
    }
    REQUIRE(uv_poll_start(&p->listener, UV_READABLE, on_connection) == 0);
}

void launch_port_answer(struct launch_port *p, const struct core_action *a)
{
    char text[LAUNCH_MESSAGE_MAX];
    if (p->answer_fd < 0 || a->op != p->op) {
        return;
    }
    switch (a->launch) {
    case LAUNCH_HELD:
        (void)snprintf(text, sizeof text, LAUNCH_ANSWER_HELD);
        break;
    case LAUNCH_PLAIN:
        (void)snprintf(text, sizeof text, LAUNCH_ANSWER_PLAIN);
        break;
    case LAUNCH_REPLICA:
        (void)snprintf(text, sizeof text, LAUNCH_ANSWER_REPLICA " %s %u", a->addr.host,
                       (unsigned)a->addr.port);
        break;
    }
    log_info(MOD, "redis-server was told how to start", F_STR("answer", text));
    send_text(p->answer_fd, text);
    close_fd(&p->answer_fd);
    keep(p, p->process->fd, KEPT_ANSWERED);
}

void launch_port_close(struct launch_port *p, closer_fn *on_closed, void *arg)
{
    end_watch(&p->asking);
    end_watch(&p->process);
    close_fd(&p->answer_fd);
    if (p->fds.listener >= 0) {
        closer_close(&p->closer, (uv_handle_t *)&p->listener);
    }
    closer_finish(&p->closer, on_closed, arg);
}
