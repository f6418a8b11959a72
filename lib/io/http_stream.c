#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "lib/io/http_server_impl.h"

#define STREAM_BLOCK 1024 /* what MHD takes at a time */

struct http_stream *http_response_stream(struct http_response *res, uint64_t life_ms,
                                         http_stream_gone_fn *gone, void *arg)
{
    struct http_server *s = res->impl;
    struct http_stream *st = xcalloc(1, sizeof(*st));

    REQUIRE(!res->stream);
    st->server = s;
    st->until_ms = loop_now_us() / 1000 + life_ms;
    st->gone = gone;
    st->arg = arg;
    buf_init(&st->pending, HTTP_STREAM_PENDING_MAX);
    buf_add_sv(&st->pending, buf_sv(res->body));
    LIST_INSERT_HEAD(&s->streams, st, link);
    res->stream = st;
    return st;
}

static void stream_wake(struct http_stream *st)
{
    if (st->suspended) {
        st->suspended = false;
        MHD_resume_connection(st->conn);
        http_server_wake(st->server);
    }
}

static void stream_cut(struct http_stream *st)
{
    st->cut = true;
    if (st->peer) {
        shutdown(st->peer->fd, SHUT_RDWR); /* it may be MHD that waits, for the client to read */
    }
    stream_wake(st);
}

void http_stream_write(struct http_stream *st, struct sv bytes)
{
    REQUIRE(!st->ended);
    if (st->sent == st->pending.len) {
        buf_reset(&st->pending);
        st->sent = 0;
    }
    if (!buf_add_sv(&st->pending, bytes)) {
        stream_cut(st);
    }
    stream_wake(st);
}

void http_stream_end(struct http_stream *st)
{
    REQUIRE(!st->ended);
    st->ended = true;
    stream_wake(st);
}

static ssize_t on_stream_read(void *arg, uint64_t pos, char *out, size_t max)
{
    struct http_stream *st = arg;
    size_t n = u64_min(st->pending.len - st->sent, max);

    (void)pos;
    if (st->cut) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (n > 0) {
        memcpy(out, st->pending.data + st->sent, n);
        st->sent += n;
        return (ssize_t)n;
    }
    if (st->ended) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    st->suspended = true;
    MHD_suspend_connection(st->conn);
    return 0;
}

static void on_stream_over(void *arg)
{
    struct http_stream *st = arg;

    if (st->peer) {
        st->peer->stream = NULL;
        st->peer->since_ms = loop_now_us() / 1000;
        TAILQ_INSERT_TAIL(&st->server->peers, st->peer, link);
    }
    LIST_REMOVE(st, link);
    if (!st->ended) {
        st->gone(st->arg);
    }
    buf_release(&st->pending);
    free(st);
}

enum MHD_Result http_stream_reply(struct http_stream *st, struct MHD_Connection *conn,
                                  const struct http_response *res)
{
    struct peer *p =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                               on_stream_read, st, on_stream_over);
    enum MHD_Result rc;

    REQUIRE(r);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, res->content_type);
    st->conn = conn;
    st->peer = p;
    p->stream = st;
    TAILQ_REMOVE(&st->server->peers, p, link);
    rc = MHD_queue_response(conn, res->status, r);
    MHD_destroy_response(r);
    return rc;
}

void http_streams_cut(struct http_server *s, uint64_t now_ms)
{
    struct http_stream *st;

    LIST_FOREACH(st, &s->streams, link)
    {
        if (now_ms >= st->until_ms && !st->ended && !st->cut) {
            stream_cut(st);
        }
    }
}

uint64_t http_streams_until_ms(const struct http_server *s)
{
    uint64_t until_ms = UINT64_MAX;
    const struct http_stream *st;

    LIST_FOREACH(st, &s->streams, link)
    {
        until_ms = st->cut || st->ended ? until_ms : u64_min(until_ms, st->until_ms);
    }
    return until_ms;
}
