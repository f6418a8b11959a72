/* HTTP server for small answers from memory: libmicrohttpd in external-poll mode, its epoll
 * descriptor on a uv_poll_t, its time-out on a uv_timer_t. One thread, no work of its own.
 *
 * The handler is synchronous: it fills `response` before it returns. GET and HEAD reach it
 * (HEAD's body is dropped by the server); every other method is answered 405 with Allow,
 * except on paths where `post_allowed` says otherwise. URLs beyond 4 KiB, heads beyond
 * 16 KiB and bodies beyond 64 KiB are refused; at most 256 connections, 64 from one
 * address; idle ones are closed after idle_timeout_s. */
#ifndef RPA_IO_HTTP_SERVER_H
#define RPA_IO_HTTP_SERVER_H

#include "lib/base/buf.h"
#include "lib/io/loop.h"

struct http_request {
    const char *method; /* GET, HEAD, POST */
    const char *path;   /* decoded, without the query */
    void *impl;         /* for http_request_query and _header */
};

/* NULL: not there; "" there without a value. Valid during the handler. */
const char *http_request_query(const struct http_request *req, const char *key);
const char *http_request_header(const struct http_request *req, const char *name);

struct http_response {
    unsigned status;
    const char *content_type; /* constant */
    struct buf *body;         /* reset by the server before each call; copied out after it */
};

struct http_server_ops {
    void (*handle)(void *arg, const struct http_request *req, struct http_response *res);
    bool (*post_allowed)(void *arg, const char *path); /* NULL: never */
    void *arg;
};

struct http_server;

/* listen_fd: a bound, listening, non-blocking socket; stays open and owned by the caller
 * (the parent process keeps it over restarts of the worker). */
struct http_server *http_server_new(uv_loop_t *loop, int listen_fd, unsigned idle_timeout_s,
                                    const struct http_server_ops *ops, struct err *e) MUST_USE;
void http_server_close(struct http_server *s, closer_fn *on_closed, void *arg); /* frees s */

/* "[::]:8080", "127.0.0.1:0", ":8080" (all addresses, IPv6 dual-stack where there is IPv6)
 * -> listening socket with SO_REUSEADDR, CLOEXEC, non-blocking; -1 on error.
 * ret_port: the port in use (not NULL). */
int http_listen(const char *address, uint16_t *ret_port, struct err *e) MUST_USE;

#endif
