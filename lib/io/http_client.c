#include "lib/io/http_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "lib/io/http_transfer.h"

/* One socket of libcurl's. Lives until uv has closed the handle, which may be later than
 * libcurl's use of the descriptor. */
struct http_socket {
    uv_poll_t poll;
    struct http_client *client;
    struct http_socket *next;
    curl_socket_t fd;
    uint64_t readable_us; /* last time that bytes came */
    int events;
    bool error_told;
};

struct http_client {
    struct http_client_config cfg;
    char *user_agent;
    char *ca_file;
    struct buf ca;
    struct stat ca_seen;

    CURLM *multi;                /* NULL: torn down */
    struct http_socket *sockets; /* in libcurl's use */
    /* Requests end inside callbacks of libcurl, where none may be added or removed; `settle`
     * does that on the next turn of the loop. */
    uv_idle_t settle;
    uv_timer_t curl_timer;
    uv_timer_t deadline;
    struct closer closer;
    bool closing;
    closer_fn *on_closed;
    void *on_closed_arg;

    struct http_request_handle *requests[HTTP_CLIENT_REQUESTS_MAX]; /* NULL: free */
};

static void tear_down(struct http_client *c);

/* --- deadlines ------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer);

static void deadline_arm(struct http_client *c)
{
    uint64_t next_us = UINT64_MAX;

    for (size_t i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++) {
        if (c->requests[i]) {
            next_us = u64_min(next_us, http_transfer_deadline_us(c->requests[i]));
        }
    }
    if (next_us == UINT64_MAX) {
        uv_timer_stop(&c->deadline);
        return;
    }
    uv_timer_start(&c->deadline, on_deadline, u64_since(next_us, loop_now_us()) / 1000 + 1, 0);
}

/* --- from queued to done ------------------------------------------------------------------ */

static void start(struct http_client *c, struct http_request_handle *h)
{
    CURLMcode code = curl_multi_add_handle(c->multi, h->easy);

    if (code == CURLM_OK) {
        h->in_multi = true;
        h->state = HTTP_RUNNING;
    } else {
        struct err err;
        err_set(&err, ERR_UNAVAILABLE, "%s", curl_multi_strerror(code));
        http_transfer_end(h, &err);
    }
}

static void finish(struct http_client *c, size_t slot)
{
    struct http_request_handle *h = c->requests[slot];

    if (h->in_multi) {
        curl_multi_remove_handle(c->multi, h->easy);
        h->in_multi = false;
    }
    c->requests[slot] = NULL;
    http_transfer_report(h);
    http_transfer_free(h);
}

/* Outside of libcurl only. Callbacks may queue, cancel and close: what they change is in the
 * slots, and the caller runs again while `settle` is active. */
static void settle_requests(struct http_client *c)
{
    bool none_left = true;

    uv_idle_stop(&c->settle);
    for (size_t i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++) {
        if (c->requests[i] && c->requests[i]->state == HTTP_QUEUED) {
            start(c, c->requests[i]);
        }
        if (c->requests[i] && c->requests[i]->state == HTTP_ENDED) {
            finish(c, i);
        }
    }
    for (size_t i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++) {
        none_left = none_left && !c->requests[i];
    }
    deadline_arm(c);
    if (c->closing && none_left && c->multi) {
        tear_down(c);
    }
}

static void on_settle(uv_idle_t *idle)
{
    settle_requests(container_of(idle, struct http_client, settle));
}

static void settle_later(struct http_client *c)
{
    uv_idle_start(&c->settle, on_settle);
}

static void read_ended(struct http_client *c)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(c->multi, &left))) {
        char *private = NULL;

        if (msg->msg == CURLMSG_DONE) {
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
            http_transfer_end_curl((struct http_request_handle *)(void *)private, msg->data.result);
        }
    }
}

static void drive(struct http_client *c, curl_socket_t fd, int flags)
{
    int running;

    curl_multi_socket_action(c->multi, fd, flags, &running);
    read_ended(c);
    settle_requests(c);
}

/* --- what libcurl asks of the loop ----------------------------------------------------------- */

static void on_socket_ready(uv_poll_t *poll, int status, int events);

static void on_socket_closed(uv_handle_t *handle)
{
    struct http_socket *s = container_of(handle, struct http_socket, poll);
    struct http_client *c = s->client;

    free(s);
    closer_release(&c->closer);
}

static void socket_release(struct http_client *c, struct http_socket *s)
{
    struct http_socket **at = &c->sockets;

    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

static struct http_socket *socket_add(struct http_client *c, curl_socket_t fd)
{
    struct http_socket *s = xcalloc(1, sizeof(*s));

    s->client = c;
    s->fd = fd;
    if (uv_poll_init_socket(c->closer.loop, &s->poll, fd) != 0) {
        free(s);
        return NULL;
    }
    s->next = c->sockets;
    c->sockets = s;
    closer_hold(&c->closer);
    curl_multi_assign(c->multi, fd, s);
    return s;
}

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *c = arg;
    struct http_socket *s = socket_arg;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            curl_multi_assign(c->multi, fd, NULL);
            socket_release(c, s);
        }
        return 0;
    }
    if (!s && !(s = socket_add(c, fd))) {
        return -1; /* libcurl gives up all its transfers */
    }
    s->events =
        ((what & CURL_POLL_IN) ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) ? UV_WRITABLE : 0);
    return uv_poll_start(&s->poll, s->events, on_socket_ready) == 0 ? 0 : -1;
}

static struct http_socket *socket_find(const struct http_client *c, curl_socket_t fd)
{
    for (struct http_socket *s = c->sockets; s; s = s->next) {
        if (s->fd == fd) {
            return s;
        }
    }
    return NULL;
}

static void on_socket_failed(struct http_client *c, struct http_socket *s)
{
    curl_socket_t fd = s->fd;
    /* The first time with IN: an answer may be waiting in front of the reset, and reading
     * tells the cause. With the error alone libcurl gives the connection up. */
    int flags = s->error_told ? CURL_CSELECT_ERR : CURL_CSELECT_ERR | CURL_CSELECT_IN;

    s->error_told = true;
    drive(c, fd, flags);
    s = socket_find(c, fd);
    if (s && s->error_told) { /* uv has stopped the watcher */
        uv_poll_start(&s->poll, s->events, on_socket_ready);
    }
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct http_socket *s = container_of(poll, struct http_socket, poll);
    struct http_client *c = s->client;
    int flags = ((events & UV_READABLE) ? CURL_CSELECT_IN : 0) |
                ((events & UV_WRITABLE) ? CURL_CSELECT_OUT : 0);

    if (status < 0) {
        on_socket_failed(c, s);
        return;
    }
    if (events & UV_READABLE) {
        s->readable_us = loop_now_us();
    }
    drive(c, s->fd, flags);
}

static void on_curl_timer(uv_timer_t *timer)
{
    drive(container_of(timer, struct http_client, curl_timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    struct http_client *c = arg;

    (void)multi;
    if (timeout_ms < 0) {
        uv_timer_stop(&c->curl_timer);
    } else { /* a timer of 0, started from a timer callback, would starve the sockets */
        uv_timer_start(&c->curl_timer, on_curl_timer, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    }
    return 0;
}

/* --- time-outs -------------------------------------------------------------------------------- */

static int local_port_of(curl_socket_t fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } addr = {0};
    socklen_t len = sizeof(addr);

    if (getsockname(fd, &addr.any, &len) != 0) {
        return -1;
    }
    return ntohs(addr.any.sa_family == AF_INET6 ? addr.in6.sin6_port : addr.in.sin_port);
}

/* To take one stream off an HTTP/2 connection leaves the connection to the next request. If
 * not even another stream or a PING was heard on it, the next would hang as well. */
static void drop_silent_connection(const struct http_client *c, const struct http_request_handle *h)
{
    if (h->local_port == 0) {
        return;
    }
    for (const struct http_socket *s = c->sockets; s; s = s->next) {
        if (s->readable_us <= h->progress_us && local_port_of(s->fd) == h->local_port) {
            shutdown(s->fd, SHUT_RDWR);
        }
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct http_client *c = container_of(timer, struct http_client, deadline);
    uint64_t now_us = loop_now_us();

    for (size_t i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++) {
        struct http_request_handle *h = c->requests[i];
        struct err err;

        if (h && h->state != HTTP_ENDED && now_us >= http_transfer_deadline_us(h)) {
            http_transfer_timed_out(h, now_us, &err);
            drop_silent_connection(c, h);
            http_transfer_end(h, &err);
        }
    }
    settle_requests(c);
}

/* --- trust ------------------------------------------------------------------------------------ */

static int read_ca(const char *path, struct buf *out, struct stat *ret_seen, struct err *e)
{
    char piece[16384];
    ssize_t n;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, ret_seen) != 0) {
        rc = err_set_errno(e, errno, "CA file %s", path);
    }
    while (rc == 0 && (n = read(fd, piece, sizeof(piece))) != 0) {
        if (n < 0) {
            rc = err_set_errno(e, errno, "CA file %s", path);
        } else if (!buf_add(out, piece, (size_t)n)) {
            rc = err_set(e, ERR_LIMIT, "CA file %s: beyond %d bytes", path,
                         HTTP_CLIENT_CA_MAX_BYTES);
        }
    }
    if (rc == 0 && out->len == 0) {
        rc = err_set(e, ERR_INVAL, "CA file %s: empty", path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static int refresh_ca(struct http_client *c, struct err *e)
{
    struct stat now;
    struct buf fresh;
    struct err err;

    if (!c->ca_file || (stat(c->ca_file, &now) == 0 && secret_file_same(&now, &c->ca_seen))) {
        return 0;
    }
    buf_init(&fresh, HTTP_CLIENT_CA_MAX_BYTES);
    if (read_ca(c->ca_file, &fresh, &now, &err) != 0) {
        buf_release(&fresh);
        if (c->ca.len > 0) {
            return 0;
        }
        if (e) {
            *e = err;
        }
        return -1;
    }
    buf_release(&c->ca);
    c->ca = fresh;
    c->ca_seen = now;
    return 0;
}

/* --- the client ------------------------------------------------------------------------------- */

struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_config *cfg)
{
    struct http_client *c = xcalloc(1, sizeof(*c));

    REQUIRE(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    c->user_agent = xstrdup(cfg->user_agent);
    c->ca_file = cfg->ca_file ? xstrdup(cfg->ca_file) : NULL;
    c->cfg = *cfg;
    c->cfg.user_agent = c->user_agent;
    c->cfg.ca_file = c->ca_file;
    buf_init(&c->ca, HTTP_CLIENT_CA_MAX_BYTES);

    closer_init(&c->closer, loop);
    uv_idle_init(loop, &c->settle);
    closer_add(&c->closer, (uv_handle_t *)&c->settle);
    uv_timer_init(loop, &c->curl_timer);
    closer_add(&c->closer, (uv_handle_t *)&c->curl_timer);
    uv_timer_init(loop, &c->deadline);
    closer_add(&c->closer, (uv_handle_t *)&c->deadline);

    c->multi = curl_multi_init();
    REQUIRE(c->multi);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, (void *)c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, (void *)c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)HTTP_CLIENT_CONNECTIONS_MAX);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CLIENT_CONNECTIONS_MAX);
    return c;
}

struct http_request_handle *http_client_send(struct http_client *c, const struct http_call *call,
                                             struct err *e)
{
    size_t slot = 0;

    if (c->closing) {
        err_set(e, ERR_CANCELED, "the HTTP client is closing");
        return NULL;
    }
    while (slot < HTTP_CLIENT_REQUESTS_MAX && c->requests[slot]) {
        slot++;
    }
    if (slot == HTTP_CLIENT_REQUESTS_MAX) {
        err_set(e, ERR_LIMIT, "%d requests are under way", HTTP_CLIENT_REQUESTS_MAX);
        return NULL;
    }
    if (refresh_ca(c, e) != 0) {
        return NULL;
    }
    c->requests[slot] = http_transfer_new(&c->cfg, buf_sv(&c->ca), call, e);
    if (c->requests[slot]) {
        settle_later(c);
    }
    return c->requests[slot];
}

void http_client_cancel(struct http_client *c, struct http_request_handle *h)
{
    struct err err;

    err_set(&err, ERR_CANCELED, "canceled");
    http_transfer_end(h, &err);
    settle_later(c);
}

static void on_all_closed(void *arg)
{
    struct http_client *c = arg;
    closer_fn *on_closed = c->on_closed;
    void *on_closed_arg = c->on_closed_arg;

    buf_release(&c->ca);
    free(c->ca_file);
    free(c->user_agent);
    free(c);
    curl_global_cleanup();
    on_closed(on_closed_arg);
}

static void tear_down(struct http_client *c)
{
    /* Asks for the removal of the last sockets, so this must happen inside the loop. */
    curl_multi_cleanup(c->multi);
    c->multi = NULL;
    while (c->sockets) {
        socket_release(c, c->sockets);
    }
    closer_close(&c->closer, (uv_handle_t *)&c->settle);
    closer_close(&c->closer, (uv_handle_t *)&c->curl_timer);
    closer_close(&c->closer, (uv_handle_t *)&c->deadline);
    closer_finish(&c->closer, on_all_closed, c);
}

void http_client_close(struct http_client *c, closer_fn *on_closed, void *arg)
{
    REQUIRE(!c->closing);
    c->closing = true;
    c->on_closed = on_closed;
    c->on_closed_arg = arg;
    for (size_t i = 0; i < HTTP_CLIENT_REQUESTS_MAX; i++) {
        if (c->requests[i]) {
            http_client_cancel(c, c->requests[i]);
        }
    }
    settle_later(c);
}
