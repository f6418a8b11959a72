#include "lib/io/redis_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "lib/io/redis_tree.h"

#define DRAIN_READS_MAX 64 /* of 16 KiB: what one read of hiredis takes */

struct redis_uv {
    struct closer closer;
    uv_poll_t poll;
    int events; /* that poll watches */
    int fd;
    bool connected;
    bool told_lost;
    bool closing;
    bool read_any;   /* the last read brought bytes */
    int read_errno;  /* why it failed; 0: end of stream */
    int write_errno; /* 0: none */
    redisContext *ctx;
    redisContextFuncs funcs;
    struct redis_tree tree;
    struct redis_uv_ops ops;
};

/* As hiredis's own, but errno is kept, and a broken pipe gives an error instead of SIGPIPE. */
static ssize_t socket_read(redisContext *ctx, char *bytes, size_t cap)
{
    struct redis_uv *u = ctx->privdata;
    ssize_t n = recv(ctx->fd, bytes, cap, 0);

    u->read_any = n > 0;
    if (n > 0) {
        return n;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return 0;
    }
    u->read_errno = n < 0 ? errno : 0;
    return -1;
}

static ssize_t socket_write(redisContext *ctx)
{
    struct redis_uv *u = ctx->privdata;
    ssize_t n = send(ctx->fd, ctx->obuf, sdslen(ctx->obuf), MSG_NOSIGNAL);

    if (n >= 0) {
        return n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return 0;
    }
    u->write_errno = errno;
    return -1;
}

static void lose(struct redis_uv *u, const struct err *err)
{
    if (!u->closing && !u->told_lost) {
        u->told_lost = true;
        uv_poll_stop(&u->poll);
        u->ops.lost(u->ops.arg, err);
    }
}

static void lose_errno(struct redis_uv *u, const char *what, int sys)
{
    struct err err;

    err_set(&err, ERR_UNAVAILABLE, "%s: %s", what,
            sys == 0 ? "the peer closed the connection" : strerror(sys));
    err.sys = sys;
    lose(u, &err);
}

static bool alive(const struct redis_uv *u)
{
    return !u->closing && !u->told_lost;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct redis_uv *u, int events)
{
    if (u->events != events) {
        u->events = events;
        REQUIRE(uv_poll_start(&u->poll, events, on_poll) == 0);
    }
}

static void flush(struct redis_uv *u)
{
    int done = 1;

    /* A socket that refuses a write is also reported by poll, where it may be told. */
    if (redisBufferWrite(u->ctx, &done) != REDIS_OK || !done) {
        watch(u, UV_READABLE | UV_WRITABLE);
    } else {
        watch(u, UV_READABLE);
    }
}

static void deliver(struct redis_uv *u)
{
    redisReader *reader = u->ctx->reader;
    void *reply = NULL;

    while (alive(u)) {
        if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
            if (u->tree.refused.code == ERR_NONE) {
                err_set(&u->tree.refused, ERR_PROTO, "%s", reader->errstr);
            }
            lose(u, &u->tree.refused);
            return;
        }
        if (reply == NULL) {
            break;
        }
        u->ops.reply(u->ops.arg, reply);
        redis_tree_reset(&u->tree);
    }
    if (alive(u) && reader->len - reader->pos > u->tree.max_bytes) {
        struct err err;
        err_set(&err, ERR_LIMIT, "a reply is longer than %zu bytes", u->tree.max_bytes);
        lose(u, &err);
    }
}

/* False: there was nothing to read, or the connection is lost. */
static bool read_some(struct redis_uv *u)
{
    u->read_any = false;
    if (redisBufferRead(u->ctx) != REDIS_OK) {
        lose_errno(u, "read", u->read_errno);
        return false;
    }
    if (u->read_any) {
        deliver(u);
    }
    return u->read_any && alive(u);
}

/* A TCP connect to a free port of the ephemeral range on this host can meet itself (RFC 9293
 * 3.5, simultaneous open): then nobody listens. */
static bool is_self_connected(int fd)
{
    struct sockaddr_storage own, peer;
    socklen_t own_len = sizeof(own), peer_len = sizeof(peer);

    memset(&own, 0, sizeof(own));
    memset(&peer, 0, sizeof(peer));
    if (getsockname(fd, (struct sockaddr *)&own, &own_len) != 0 ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0 || own.ss_family == AF_UNIX) {
        return false;
    }
    return own_len == peer_len && memcmp(&own, &peer, own_len) == 0;
}

static void finish_connect(struct redis_uv *u)
{
    int sys = 0;
    socklen_t len = sizeof(sys);

    if (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0) {
        sys = errno;
    }
    if (sys == 0 && is_self_connected(u->fd)) {
        sys = ECONNREFUSED;
    }
    if (sys != 0) {
        lose_errno(u, "connect", sys);
        return;
    }
    u->connected = true;
    watch(u, UV_READABLE);
    u->ops.connected(u->ops.arg);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct redis_uv *u = container_of(poll, struct redis_uv, poll);

    if (!alive(u)) {
        return;
    }
    if (!u->connected) {
        finish_connect(u);
        return;
    }
    if (status < 0) {
        /* uv has seen POLLERR and has stopped watching (uv src/unix/poll.c): what came before
         * the error is read, then the error itself, and there is no second chance. */
        for (int i = 0; i < DRAIN_READS_MAX && read_some(u); i++) {
        }
        if (alive(u)) {
            lose_errno(u, "socket", u->write_errno != 0 ? u->write_errno : EIO);
        }
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        flush(u);
    }
    /* Read also after a failed write: an error reply may say why the peer has closed. The end
     * of the stream is readable too, so UV_DISCONNECT would add nothing. */
    if ((events & UV_READABLE) != 0) {
        read_some(u);
    }
    if (alive(u) && u->write_errno != 0) {
        lose_errno(u, "write", u->write_errno);
    }
}

static int fail_socket(struct err *e, const char *what, int fd)
{
    int sys = errno;

    if (fd >= 0) {
        close(fd);
    }
    err_set(e, ERR_UNAVAILABLE, "%s: %s", what, strerror(sys));
    if (e != NULL) {
        e->sys = sys;
    }
    return -1;
}

static int open_socket(const struct sockaddr *addr, socklen_t addr_len, struct err *e)
{
    const int on = 1;
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return fail_socket(e, "socket", fd);
    }
    if (addr->sa_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        return fail_socket(e, "TCP_NODELAY", fd);
    }
    /* EAGAIN: the backlog of a unix socket is full; unlike EINPROGRESS nothing is under way. */
    if (connect(fd, addr, addr_len) != 0 && errno != EINPROGRESS) {
        return fail_socket(e, "connect", fd);
    }
    return fd;
}

static redisContext *wrap_socket(struct redis_uv *u, size_t reply_max_bytes)
{
    redisOptions options = {
        .type = REDIS_CONN_USERFD,
        .options = REDIS_OPT_NONBLOCK | REDIS_OPT_NO_PUSH_AUTOFREE,
        .endpoint.fd = u->fd,
        .privdata = u,
    };
    redisContext *ctx = redisConnectWithOptions(&options);

    REQUIRE(ctx != NULL && ctx->err == 0); /* no I/O: only memory can be missing */
    u->funcs = *ctx->funcs;
    u->funcs.read = socket_read;
    u->funcs.write = socket_write;
    ctx->funcs = &u->funcs;
    redis_tree_init(&u->tree, reply_max_bytes, ctx->reader);
    return ctx;
}

struct redis_uv *redis_uv_connect(uv_loop_t *loop, const struct sockaddr *addr, socklen_t addr_len,
                                  size_t reply_max_bytes, const struct redis_uv_ops *ops,
                                  struct err *e)
{
    int fd = open_socket(addr, addr_len, e);
    if (fd < 0) {
        return NULL;
    }
    struct redis_uv *u = xcalloc(1, sizeof(*u));
    u->fd = fd;
    u->ops = *ops;
    closer_init(&u->closer, loop);
    int rc = uv_poll_init_socket(loop, &u->poll, fd);
    if (rc != 0) {
        err_set(e, ERR_UNAVAILABLE, "poll: %s", uv_strerror(rc));
        if (e != NULL) {
            e->sys = -rc;
        }
        close(fd);
        free(u);
        return NULL;
    }
    closer_add(&u->closer, (uv_handle_t *)&u->poll);
    u->ctx = wrap_socket(u, reply_max_bytes);
    watch(u, UV_WRITABLE);
    return u;
}

void redis_uv_send(struct redis_uv *u, size_t argc, const char **argv, const size_t *lens)
{
    REQUIRE(u->connected);
    if (!alive(u) || u->write_errno != 0) {
        return;
    }
    REQUIRE(redisAppendCommandArgv(u->ctx, (int)argc, argv, lens) == REDIS_OK);
    flush(u);
}

void redis_uv_drain(struct redis_uv *u)
{
    for (int i = 0; i < DRAIN_READS_MAX && alive(u); i++) {
        struct pollfd p = {.fd = u->fd, .events = u->connected ? POLLIN : POLLOUT};
        if (poll(&p, 1, 0) <= 0) {
            return;
        }
        on_poll(&u->poll, (p.revents & POLLERR) != 0 ? UV_EIO : 0,
                u->connected ? UV_READABLE : UV_WRITABLE);
    }
}

static void on_handles_closed(void *arg)
{
    struct redis_uv *u = arg;
    struct redis_uv_ops ops = u->ops;

    redis_tree_release(&u->tree);
    free(u);
    ops.closed(ops.arg);
}

void redis_uv_close(struct redis_uv *u)
{
    REQUIRE(!u->closing);
    u->closing = true;
    closer_close(&u->closer, (uv_handle_t *)&u->poll); /* stops watching: the fd may go */
    redisFree(u->ctx);
    u->ctx = NULL;
    closer_finish(&u->closer, on_handles_closed, u);
}
