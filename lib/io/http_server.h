/* HTTP server for small answers from memory: libmicrohttpd in external-poll mode, its epoll
 * descriptor on a uv_poll_t, its time-out on a uv_timer_t. One thread, no work of its own.
 *
 * The handler is synchronous: it fills `response` before it returns, or turns it into a stream
 * that its owner writes to later. GET and HEAD reach it (HEAD's body is dropped by the server);
 * every other method is answered 405 with Allow, except on paths where `methods` says
 * otherwise. The body of a request is read and thrown away.
 *
 * Limits: URLs beyond HTTP_SERVER_URL_MAX get 414, heads beyond HTTP_SERVER_HEAD_MAX 431 (or
 * 413, 414: by what was too large), declared bodies beyond HTTP_SERVER_REQUEST_BODY_MAX 413,
 * undeclared ones a closed connection. At most HTTP_SERVER_CONNECTIONS_MAX connections (more
 * wait in the backlog), HTTP_SERVER_PER_ADDRESS_MAX from one address (more are closed). A
 * connection is closed idle_timeout_s after it was opened or last answered, unless a whole
 * request has come by then: a byte now and then keeps none open. */
#ifndef RPA_IO_HTTP_SERVER_H
#define RPA_IO_HTTP_SERVER_H

#include "lib/base/buf.h"
#include "lib/io/loop.h"

#define HTTP_SERVER_URL_MAX 4096
#define HTTP_SERVER_HEAD_MAX (16 * 1024) /* with all that is parsed from it */
#define HTTP_SERVER_REQUEST_BODY_MAX (64 * 1024)
#define HTTP_SERVER_RESPONSE_BODY_MAX (4 * 1024 * 1024) /* beyond: 500 */
#define HTTP_SERVER_CONNECTIONS_MAX 256
#define HTTP_SERVER_PER_ADDRESS_MAX 64

struct http_request {
    const char *method; /* GET, HEAD, POST */
    const char *path;   /* decoded, without the query */
    void *impl;         /* for http_request_query and _header */
};

/* NULL: not there; "" there without a value. Keys and names match in any case. Values are
 * decoded, and valid during the handler. */
const char *http_request_query(const struct http_request *req, const char *key);
const char *http_request_header(const struct http_request *req, const char *name);

struct http_stream;

struct http_response {
    unsigned status;            /* 200 unless changed */
    const char *content_type;   /* constant; text/plain unless changed */
    unsigned retry_after_s;     /* the header Retry-After; 0: none */
    struct buf *body;           /* reset by the server before each call; copied out after it */
    struct http_stream *stream; /* set by http_response_stream */
    void *impl;                 /* for it */
};

struct http_server_ops {
    void (*handle)(void *arg, const struct http_request *req, struct http_response *res);
    /* The methods of a path, "GET, POST"; constant. NULL, or answering NULL: "GET, HEAD". */
    const char *(*methods)(void *arg, const char *path);
    void *arg;
};

struct http_server;

/* The answer is written in pieces, in its owner's time: what `body` holds now, then what
 * http_stream_write adds (chunked, each piece sent as soon as the client takes it), until
 * http_stream_end. Where it is cut off before that, `gone` is called, once, and the stream is
 * no more: the client has gone (seen at the next piece only), has not read
 * HTTP_STREAM_PENDING_MAX bytes, or is there after life_ms; the server is being closed. The
 * client sees a body without its last chunk then. After http_stream_end the stream is no longer
 * the owner's, and `gone` is not called. */
#define HTTP_STREAM_PENDING_MAX (64 * 1024)
typedef void http_stream_gone_fn(void *arg);
struct http_stream *http_response_stream(struct http_response *res, uint64_t life_ms,
                                         http_stream_gone_fn *gone, void *arg);
/* Neither calls `gone`, nor a handler: both may be used from anywhere on the loop. */
void http_stream_write(struct http_stream *st, struct sv bytes);
void http_stream_end(struct http_stream *st);

/* listen_fd: a bound, listening, non-blocking socket; stays open, listening and owned by the
 * caller (the parent process keeps it over restarts of the worker). idle_timeout_s > 0. */
struct http_server *http_server_new(uv_loop_t *loop, int listen_fd, unsigned idle_timeout_s,
                                    const struct http_server_ops *ops, struct err *e) MUST_USE;
/* Also from inside the handler, whose answer may then not be sent. */
void http_server_close(struct http_server *s, closer_fn *on_closed, void *arg); /* frees s */

/* "[::]:8080", "127.0.0.1:0", ":8080" (all addresses; [::] and an empty host are dual-stack,
 * and an empty host is IPv4 alone where there is no IPv6). Numeric addresses only.
 * -> listening socket with SO_REUSEADDR, CLOEXEC, non-blocking; -1 on error.
 * ret_port: the port in use (not NULL). */
int http_listen(const char *address, uint16_t *ret_port, struct err *e) MUST_USE;

#endif
