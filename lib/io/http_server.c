#include "lib/io/http_server_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

/* MHD says "again, now" while requests wait that it has already read; after this many turns
 * the rest of the loop is let in. */
#define RUNS_IN_A_ROW_MAX 16

const char *http_request_query(const struct http_request *req, const char *key)
{
    const char *value = NULL;
    size_t len = 0;

    if (MHD_lookup_connection_value_n(req->impl, MHD_GET_ARGUMENT_KIND, key, strlen(key), &value,
                                      &len) != MHD_YES) {
        return NULL;
    }
    return value ? value : "";
}

const char *http_request_header(const struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->impl, MHD_HEADER_KIND, name);
}

/* --- answers ------------------------------------------------------------------------------ */

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned status, const char *content_type,
                             const struct buf *body, const char *extra, const char *extra_value)
{
    char none[1] = "";
    enum MHD_Result rc;
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body->len, body->data ? body->data : none,
                                        MHD_RESPMEM_MUST_COPY);

    REQUIRE(r);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
    if (extra) {
        MHD_add_response_header(r, extra, extra_value);
    }
    rc = MHD_queue_response(conn, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result refuse(struct http_server *s, struct MHD_Connection *conn, unsigned status,
                              const char *text, const char *extra, const char *extra_value)
{
    buf_reset(&s->body);
    buf_addf(&s->body, "%s\n", text);
    return reply(conn, status, "text/plain; charset=utf-8", &s->body, extra, extra_value);
}

static bool is_among(const char *method, const char *methods)
{
    struct sv rest = sv_from(methods);

    while (rest.ptr) {
        if (sv_eq_str(sv_trim(sv_split(&rest, ',')), method)) {
            return true;
        }
    }
    return false;
}

static enum MHD_Result answer(struct http_server *s, struct MHD_Connection *conn, const char *path,
                              const char *method)
{
    struct http_request req = {.method = method, .path = path, .impl = conn};
    struct http_response res = {
        .status = MHD_HTTP_OK,
        .content_type = "text/plain; charset=utf-8",
        .body = &s->body,
        .impl = s,
    };
    const char *methods = s->ops.methods ? s->ops.methods(s->ops.arg, path) : NULL;
    char wait_s[16];

    if (!methods) {
        methods = "GET, HEAD";
    }
    if (!is_among(method, methods)) {
        return refuse(s, conn, MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed",
                      MHD_HTTP_HEADER_ALLOW, methods);
    }
    buf_reset(&s->body);
    s->ops.handle(s->ops.arg, &req, &res);
    if (res.stream) {
        return http_stream_reply(res.stream, conn, &res);
    }
    if (s->body.overflow) {
        return refuse(s, conn, MHD_HTTP_INTERNAL_SERVER_ERROR, "the answer is too large", NULL,
                      NULL);
    }
    (void)snprintf(wait_s, sizeof(wait_s), "%u", res.retry_after_s);
    return reply(conn, res.status, res.content_type, &s->body,
                 res.retry_after_s > 0 ? MHD_HTTP_HEADER_RETRY_AFTER : NULL, wait_s);
}

/* --- what MHD tells ------------------------------------------------------------------------- */

static void peer_answered(struct http_server *s, struct peer *p)
{
    TAILQ_REMOVE(&s->peers, p, link);
    p->since_ms = loop_now_us() / 1000;
    TAILQ_INSERT_TAIL(&s->peers, p, link);
}

static struct peer *peer_of(struct MHD_Connection *conn)
{
    return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_connection(void *arg, struct MHD_Connection *conn, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = arg;
    struct peer *p = *socket_context;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (p->stream) {
            p->stream->peer = NULL;
        } else {
            TAILQ_REMOVE(&s->peers, p, link);
        }
        free(p);
        *socket_context = NULL;
        return;
    }
    p = xcalloc(1, sizeof(*p));
    p->fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    p->since_ms = loop_now_us() / 1000;
    TAILQ_INSERT_TAIL(&s->peers, p, link);
    *socket_context = p;
}

static void *on_url(void *arg, const char *url, struct MHD_Connection *conn)
{
    struct peer *p = peer_of(conn);

    (void)arg;
    p->url_too_long = strlen(url) > HTTP_SERVER_URL_MAX;
    p->head_seen = false;
    p->body_bytes = 0;
    return p;
}

static bool declares_too_much(struct MHD_Connection *conn)
{
    uint64_t len;
    const char *text =
        MHD_lookup_connection_value(conn, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return text && sv_to_u64(sv_from(text), &len) && len > HTTP_SERVER_REQUEST_BODY_MAX;
}

/* Called once for the head, for each piece of a body, and once more to be answered. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **context)
{
    struct http_server *s = arg;
    struct peer *p = *context;

    (void)version;
    (void)data;
    if (s->closing) { /* from the handler of an earlier request in the same turn */
        return MHD_NO;
    }
    if (!p->head_seen) {
        p->head_seen = true;
        if (p->url_too_long) {
            return refuse(s, conn, MHD_HTTP_URI_TOO_LONG, "URL too long",
                          MHD_HTTP_HEADER_CONNECTION, "close");
        }
        if (declares_too_much(conn)) {
            return refuse(s, conn, MHD_HTTP_CONTENT_TOO_LARGE, "body too large",
                          MHD_HTTP_HEADER_CONNECTION, "close");
        }
        return MHD_YES;
    }
    if (*data_len > 0) {
        p->body_bytes += *data_len;
        *data_len = 0;
        return p->body_bytes <= HTTP_SERVER_REQUEST_BODY_MAX ? MHD_YES : MHD_NO;
    }
    peer_answered(s, p);
    return answer(s, conn, path, method);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void run(struct http_server *s);

/* MHD's own time-out begins anew with every byte: a head sent a byte at a time would hold its
 * connection for ever. */
static void drop_overdue(struct http_server *s)
{
    uint64_t now_ms = loop_now_us() / 1000;
    struct peer *p;

    TAILQ_FOREACH(p, &s->peers, link)
    {
        if (u64_since(now_ms, p->since_ms) < s->idle_timeout_ms) {
            return;
        }
        shutdown(p->fd, SHUT_RDWR); /* MHD reads the end and closes */
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct http_server *s = container_of(timer, struct http_server, timer);

    drop_overdue(s);
    http_streams_cut(s, loop_now_us() / 1000);
    run(s);
}

void http_server_wake(struct http_server *s)
{
    s->woken = true;
    if (!s->running && !s->closing) {
        uv_timer_start(&s->timer, on_timer, 0, 0);
    }
}

static bool runs_again_now(const struct http_server *s)
{
    unsigned long long timeout_ms;

    return s->woken || (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0);
}

static void arm(struct http_server *s)
{
    uint64_t wait_ms = UINT64_MAX;
    unsigned long long timeout_ms;
    const struct peer *oldest = TAILQ_FIRST(&s->peers);

    if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES) {
        wait_ms = timeout_ms;
    }
    if (s->woken) {
        wait_ms = 0;
    }
    if (oldest) {
        wait_ms = u64_min(wait_ms,
                          u64_since(oldest->since_ms + s->idle_timeout_ms, loop_now_us() / 1000));
    }
    wait_ms = u64_min(wait_ms, u64_since(http_streams_until_ms(s), loop_now_us() / 1000));
    if (wait_ms == UINT64_MAX) {
        uv_timer_stop(&s->timer);
    } else {
        uv_timer_start(&s->timer, on_timer, u64_max(wait_ms, 1), 0);
    }
}

static void stop(struct http_server *s)
{
    /* MHD must not be stopped while a connection is suspended, and what has ended is still to be
     * sent. */
    http_streams_cut(s, UINT64_MAX);
    for (unsigned runs = 0; !LIST_EMPTY(&s->streams) && runs < RUNS_IN_A_ROW_MAX; runs++) {
        MHD_run(s->daemon);
    }
    /* Takes the listening socket off MHD, which would close it. */
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);

    closer_close(&s->closer, (uv_handle_t *)&s->poll);
    closer_close(&s->closer, (uv_handle_t *)&s->timer);
    MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    REQUIRE(fd != MHD_INVALID_SOCKET);
    close(fd);
    REQUIRE(TAILQ_EMPTY(&s->peers));
}

static void on_all_closed(void *arg)
{
    struct http_server *s = arg;
    closer_fn *on_closed = s->on_closed;
    void *on_closed_arg = s->on_closed_arg;

    buf_release(&s->body);
    free(s);
    on_closed(on_closed_arg);
}

static void stop_and_finish(struct http_server *s)
{
    stop(s);
    closer_finish(&s->closer, on_all_closed, s);
}

static void run(struct http_server *s)
{
    unsigned runs = 0;

    s->running = true;
    do {
        s->woken = false;
        MHD_run(s->daemon);
    } while (!s->closing && ++runs < RUNS_IN_A_ROW_MAX && runs_again_now(s));
    s->running = false;
    if (s->closing) {
        stop_and_finish(s);
    } else {
        arm(s);
    }
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status; /* an epoll descriptor does not fail */
    (void)events;
    run(container_of(poll, struct http_server, poll));
}

/* MHD stops with this descriptor; the caller's stays. */
static struct MHD_Daemon *start_daemon(struct http_server *s, int fd, unsigned idle_timeout_s)
{
    /* clang-format off */
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_SERVER_CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_SERVER_PER_ADDRESS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_SERVER_HEAD_MAX,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_URI_LOG_CALLBACK, on_url, s,
        MHD_OPTION_END);
    /* clang-format on */
}

struct http_server *http_server_new(uv_loop_t *loop, int listen_fd, unsigned idle_timeout_s,
                                    const struct http_server_ops *ops, struct err *e)
{
    struct http_server *s;
    int fd;
    int epoll_fd;

    REQUIRE(idle_timeout_s > 0); /* to MHD 0 means never */
    fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        err_set_errno(e, errno, "HTTP server: listening socket");
        return NULL;
    }
    s = xcalloc(1, sizeof(*s));
    s->ops = *ops;
    s->idle_timeout_ms = (uint64_t)idle_timeout_s * 1000;
    buf_init(&s->body, HTTP_SERVER_RESPONSE_BODY_MAX);
    TAILQ_INIT(&s->peers);
    LIST_INIT(&s->streams);
    s->daemon = start_daemon(s, fd, idle_timeout_s);
    if (!s->daemon) {
        err_set(e, ERR_SYS, "libmicrohttpd does not start");
        close(fd);
        free(s);
        return NULL;
    }
    epoll_fd = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    closer_init(&s->closer, loop);
    REQUIRE(uv_poll_init(loop, &s->poll, epoll_fd) == 0);
    closer_add(&s->closer, (uv_handle_t *)&s->poll);
    uv_timer_init(loop, &s->timer);
    closer_add(&s->closer, (uv_handle_t *)&s->timer);
    uv_poll_start(&s->poll, UV_READABLE, on_ready);
    arm(s);
    return s;
}

void http_server_close(struct http_server *s, closer_fn *on_closed, void *arg)
{
    REQUIRE(!s->closing);
    s->closing = true;
    s->on_closed = on_closed;
    s->on_closed_arg = arg;
    if (!s->running) {
        stop_and_finish(s);
    }
}
