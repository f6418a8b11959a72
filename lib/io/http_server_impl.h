/* What http_server.c and http_stream.c share; nobody else's. */
#ifndef RPA_IO_HTTP_SERVER_IMPL_H
#define RPA_IO_HTTP_SERVER_IMPL_H

#include <microhttpd.h>
#include <sys/queue.h>

#include "lib/io/http_server.h"

/* One connection, and its present request. */
struct peer {
    TAILQ_ENTRY(peer) link;
    int fd;
    uint64_t since_ms; /* opened, last answered */
    bool url_too_long;
    bool head_seen;
    size_t body_bytes;
    struct http_stream *stream; /* being answered by it; out of the queue meanwhile */
};

TAILQ_HEAD(peers, peer);

struct http_stream {
    LIST_ENTRY(http_stream) link;
    struct http_server *server;
    struct MHD_Connection *conn;
    struct peer *peer; /* NULL: gone before its answer */
    struct buf pending;
    size_t sent; /* of it */
    uint64_t until_ms;
    bool suspended;
    bool ended; /* by its owner, who is told nothing more */
    bool cut;
    http_stream_gone_fn *gone;
    void *arg;
};

LIST_HEAD(streams, http_stream);

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_server_ops ops;
    uint64_t idle_timeout_ms;
    struct buf body;
    struct peers peers; /* longest since first */
    struct streams streams;
    uv_poll_t poll;
    uv_timer_t timer;
    struct closer closer;
    bool running; /* inside MHD_run */
    bool woken;   /* a connection was resumed since */
    bool closing;
    closer_fn *on_closed;
    void *on_closed_arg;
};

/* MHD_run is to be called, in a later turn of the loop: without a thread of its own MHD does not
 * tell through its epoll that a connection was resumed. */
void http_server_wake(struct http_server *s);

/* Queues the answer that `st` is. */
enum MHD_Result http_stream_reply(struct http_stream *st, struct MHD_Connection *conn,
                                  const struct http_response *res);
/* Cuts off every stream whose time is over at now_ms; UINT64_MAX: all. None is left suspended
 * that is cut or has ended. */
void http_streams_cut(struct http_server *s, uint64_t now_ms);
/* When the next one is to be cut off; UINT64_MAX: none. */
uint64_t http_streams_until_ms(const struct http_server *s);

#endif
