#include "test/io/redis_peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

struct redis_wire {
    struct redis_peer *peer;
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    uv_idle_t dripper;
    unsigned handles;
    bool closing;
    struct buf in;
    struct buf drip;
    uv_shutdown_t shutdown;
};

/* --- wires -------------------------------------------------------------------------------- */

static void on_wire_closed(uv_handle_t *handle)
{
    struct redis_wire *w = handle->data;

    w->peer->handles--;
    if (--w->handles == 0) {
        buf_release(&w->in);
        buf_release(&w->drip);
        free(w);
    }
}

static void wire_end(struct redis_wire *w, bool reset)
{
    if (w->closing) {
        return;
    }
    w->closing = true;
    if (w->peer->wire == w) {
        w->peer->wire = NULL;
    }
    uv_close((uv_handle_t *)&w->dripper, on_wire_closed);
    if (reset && !w->peer->is_unix) {
        REQUIRE(uv_tcp_close_reset(&w->u.tcp, on_wire_closed) == 0);
    } else {
        uv_close((uv_handle_t *)&w->u.stream, on_wire_closed);
    }
}

static void on_written(uv_write_t *req, int status)
{
    (void)status;
    free(req->data);
    free(req);
}

static void wire_write(struct redis_wire *w, const void *bytes, size_t len)
{
    uv_write_t *req = xcalloc(1, sizeof(*req));

    req->data = xmalloc(len + 1);
    memcpy(req->data, bytes, len);
    uv_buf_t b = uv_buf_init(req->data, (unsigned)len);
    REQUIRE(uv_write(req, &w->u.stream, &b, 1, on_written) == 0);
}

static void on_drip(uv_idle_t *idle)
{
    struct redis_wire *w = idle->data;

    if (w->drip.len == 0) {
        uv_idle_stop(idle);
        return;
    }
    wire_write(w, w->drip.data, 1);
    buf_consume(&w->drip, 1);
}

static void on_shut_down(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status;
}

static void wire_then(struct redis_wire *w, enum redis_peer_then then)
{
    switch (then) {
    case REDIS_PEER_KEEP:
    case REDIS_PEER_DRIP:
        break;
    case REDIS_PEER_HALF_CLOSE:
        REQUIRE(uv_shutdown(&w->shutdown, &w->u.stream, on_shut_down) == 0);
        break;
    case REDIS_PEER_CLOSE:
        wire_end(w, false);
        break;
    case REDIS_PEER_RESET:
        wire_end(w, true);
        break;
    }
}

/* --- commands ------------------------------------------------------------------------------ */

static bool take_line(struct sv *rest, char mark, uint64_t *ret)
{
    const char *end = rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, "\r\n", 2);

    if (end == NULL) {
        return false;
    }
    REQUIRE(rest->ptr[0] == mark);
    REQUIRE(sv_to_u64((struct sv){rest->ptr + 1, (size_t)(end - rest->ptr) - 1}, ret));
    rest->len -= (size_t)(end + 2 - rest->ptr);
    rest->ptr = end + 2;
    return true;
}

/* The arguments joined by blanks; false: not all there yet. */
static bool take_command(struct redis_wire *w, struct buf *out)
{
    struct sv rest = buf_sv(&w->in);
    uint64_t argc, len;

    if (!take_line(&rest, '*', &argc)) {
        return false;
    }
    for (uint64_t i = 0; i < argc; i++) {
        if (!take_line(&rest, '$', &len) || rest.len < len + 2) {
            return false;
        }
        REQUIRE(buf_addf(out, i == 0 ? "" : " "));
        REQUIRE(buf_add(out, rest.ptr, (size_t)len));
        rest.ptr += len + 2;
        rest.len -= len + 2;
    }
    buf_consume(&w->in, w->in.len - rest.len);
    return true;
}

static void answer(struct redis_wire *w, const char *command)
{
    struct redis_peer *p = w->peer;

    for (size_t i = 0; i < p->rules_count; i++) {
        const struct redis_rule *r = &p->rules[i];
        if (!sv_starts_with(sv_from(command), r->command) ||
            (r->times > 0 && p->used[i] >= r->times)) {
            continue;
        }
        p->used[i]++;
        if (r->reply != NULL && r->then == REDIS_PEER_DRIP) {
            REQUIRE(buf_add_str(&w->drip, r->reply));
            uv_idle_start(&w->dripper, on_drip);
        } else if (r->reply != NULL) {
            wire_write(w, r->reply, strlen(r->reply));
        }
        wire_then(w, r->then);
        return;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)handle;
    *ret = uv_buf_init(xmalloc(suggested), (unsigned)suggested);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct redis_wire *w = stream->data;
    struct redis_peer *p = w->peer;

    if (n > 0) {
        REQUIRE(buf_add(&w->in, b->base, (size_t)n));
    }
    free(b->base);
    if (n < 0) {
        wire_end(w, false);
        return;
    }
    while (!w->closing) {
        struct buf command;
        buf_init(&command, 64 * 1024 * 1024);
        if (!take_command(w, &command)) {
            buf_release(&command);
            return;
        }
        REQUIRE(p->commands_count < REDIS_PEER_COMMANDS_MAX);
        p->commands[p->commands_count] = xstrdup(buf_str(&command));
        buf_release(&command);
        const char *text = p->commands[p->commands_count++];
        if (p->on_command != NULL) {
            p->on_command(p, text);
        }
        if (!w->closing) {
            answer(w, text);
        }
    }
}

/* --- the listener --------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status)
{
    struct redis_peer *p = listener->data;
    struct redis_wire *w = xcalloc(1, sizeof(*w));

    REQUIRE(status == 0);
    w->peer = p;
    buf_init(&w->in, 128 * 1024 * 1024);
    buf_init(&w->drip, 1024 * 1024);
    if (p->is_unix) {
        REQUIRE(uv_pipe_init(listener->loop, &w->u.pipe, 0) == 0);
    } else {
        REQUIRE(uv_tcp_init(listener->loop, &w->u.tcp) == 0);
    }
    REQUIRE(uv_idle_init(listener->loop, &w->dripper) == 0);
    w->u.stream.data = w;
    w->dripper.data = w;
    w->handles = 2;
    p->handles += 2;
    REQUIRE(uv_accept(listener, &w->u.stream) == 0);
    p->wire = w;
    p->accepted++;
    if (p->greeting != NULL) {
        redis_peer_send_str(p, p->greeting);
    }
    REQUIRE(uv_read_start(&w->u.stream, on_alloc, on_read) == 0);
    wire_then(w, p->on_accept);
}

static bool bind_tcp(struct redis_peer *p)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage got;
    int len = sizeof(got);
    const struct sockaddr *sa = (const struct sockaddr *)&in;

    if (uv_ip4_addr(p->path, p->port, &in) != 0) {
        REQUIRE(uv_ip6_addr(p->path, p->port, &in6) == 0);
        sa = (const struct sockaddr *)&in6;
    }
    REQUIRE(uv_tcp_init(&p->bed->loop, &p->listener.tcp) == 0);
    p->listener.stream.data = p;
    p->handles++;
    p->open = true;
    if (uv_tcp_bind(&p->listener.tcp, sa, 0) != 0 ||
        uv_listen(&p->listener.stream, 64, on_connection) != 0) {
        return false;
    }
    REQUIRE(uv_tcp_getsockname(&p->listener.tcp, (struct sockaddr *)&got, &len) == 0);
    p->port =
        ntohs(got.ss_family == AF_INET ? ((const struct sockaddr_in *)(void *)&got)->sin_port
                                       : ((const struct sockaddr_in6 *)(void *)&got)->sin6_port);
    return true;
}

static bool bind_listener(struct redis_peer *p)
{
    if (!p->is_unix) {
        return bind_tcp(p);
    }
    unlink(p->path);
    REQUIRE(uv_pipe_init(&p->bed->loop, &p->listener.pipe, 0) == 0);
    p->listener.stream.data = p;
    p->handles++;
    p->open = true;
    return uv_pipe_bind(&p->listener.pipe, p->path) == 0 &&
           uv_listen(&p->listener.stream, 64, on_connection) == 0;
}

bool redis_peer_open(struct redis_peer *p, struct bed *bed, const char *address, uint16_t port)
{
    *p = (struct redis_peer){.bed = bed, .port = port, .is_unix = address[0] == '/'};
    REQUIRE(str_copy(p->path, sizeof(p->path), sv_from(address)));
    if (!bind_listener(p)) {
        redis_peer_close(p);
        return false;
    }
    return true;
}

void redis_peer_rules(struct redis_peer *p, const struct redis_rule *rules, size_t count)
{
    REQUIRE(count <= ARRAY_LEN(p->used));
    p->rules = rules;
    p->rules_count = count;
    memset(p->used, 0, sizeof(p->used));
}

void redis_peer_send(struct redis_peer *p, const void *bytes, size_t len)
{
    if (p->wire != NULL) {
        wire_write(p->wire, bytes, len);
    }
}

void redis_peer_send_str(struct redis_peer *p, const char *text)
{
    redis_peer_send(p, text, strlen(text));
}

void redis_peer_then(struct redis_peer *p, enum redis_peer_then then)
{
    REQUIRE(p->wire != NULL);
    wire_then(p->wire, then);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct redis_peer *p = handle->data;

    p->handles--;
    p->open = false;
}

void redis_peer_stop_listening(struct redis_peer *p)
{
    if (p->open) {
        if (!uv_is_closing((uv_handle_t *)&p->listener)) {
            uv_close((uv_handle_t *)&p->listener, on_listener_closed);
        }
        BED_RUN_UNTIL(p->bed, !p->open);
    }
}

void redis_peer_listen(struct redis_peer *p)
{
    REQUIRE(!p->open && bind_listener(p));
}

void redis_peer_deafen(struct redis_peer *p)
{
    uv_read_stop(&p->wire->u.stream);
}

void redis_peer_hear(struct redis_peer *p)
{
    REQUIRE(uv_read_start(&p->wire->u.stream, on_alloc, on_read) == 0);
}

size_t redis_peer_count(const struct redis_peer *p, const char *command)
{
    size_t n = 0;

    for (size_t i = 0; i < p->commands_count; i++) {
        n += sv_starts_with(sv_from(p->commands[i]), command) ? 1 : 0;
    }
    return n;
}

void redis_peer_forget(struct redis_peer *p, const char *command)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->commands_count; i++) {
        if (sv_starts_with(sv_from(p->commands[i]), command)) {
            free(p->commands[i]);
        } else {
            p->commands[kept++] = p->commands[i];
        }
    }
    p->commands_count = kept;
}

static void end_wire(uv_handle_t *handle, void *arg)
{
    const struct redis_peer *p = arg;
    struct redis_wire *w = handle->data;

    if (handle->type == UV_IDLE && w != NULL && w->peer == p &&
        handle == (uv_handle_t *)&w->dripper) {
        wire_end(w, false);
    }
}

void redis_peer_close(struct redis_peer *p)
{
    uv_walk(&p->bed->loop, end_wire, p);
    redis_peer_stop_listening(p);
    BED_RUN_UNTIL(p->bed, p->handles == 0);
    redis_peer_forget(p, "");
    if (p->is_unix) {
        unlink(p->path);
    }
}
