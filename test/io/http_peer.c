#include "test/io/http_peer.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

#define WIRE_MAX_BYTES (32 * 1024 * 1024)

/* --- the bed ------------------------------------------------------------------------------ */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

void bed_open(struct bed *bed)
{
    signal(SIGPIPE, SIG_IGN);
    REQUIRE(uv_loop_init(&bed->loop) == 0);
    REQUIRE(uv_timer_init(&bed->loop, &bed->tick) == 0);
    uv_timer_start(&bed->tick, on_tick, 5, 5);
}

static void name_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    print_error("left open: %s%s\n", uv_handle_type_name(handle->type),
                uv_is_closing(handle) ? " (closing)" : "");
}

void bed_close(struct bed *bed)
{
    uv_close((uv_handle_t *)&bed->tick, NULL);
    for (int i = 0; i < 50 && uv_run(&bed->loop, UV_RUN_NOWAIT) != 0; i++) {
    }
    int rc = uv_loop_close(&bed->loop);
    if (rc != 0) {
        uv_walk(&bed->loop, name_handle, NULL);
    }
    assert_int_equal(rc, 0);
}

void bed_run_for_ms(struct bed *bed, uint64_t ms)
{
    uint64_t end_us = loop_now_us() + ms * 1000;

    while (loop_now_us() < end_us) {
        uv_run(&bed->loop, UV_RUN_ONCE);
    }
}

void bed_on_closed(void *flag)
{
    assert_false(*(bool *)flag);
    *(bool *)flag = true;
}

/* --- wires ---------------------------------------------------------------------------------- */

static void on_wire_closed(uv_handle_t *handle)
{
    struct wire *w = handle->data;

    if (--w->handles > 0) {
        return;
    }
    buf_release(&w->in);
    buf_release(&w->drip);
    free(w);
}

static struct wire *wire_new(struct bed *bed)
{
    struct wire *w = xcalloc(1, sizeof(*w));

    w->bed = bed;
    buf_init(&w->in, WIRE_MAX_BYTES);
    buf_init(&w->drip, WIRE_MAX_BYTES);
    REQUIRE(uv_tcp_init(&bed->loop, &w->tcp) == 0);
    REQUIRE(uv_idle_init(&bed->loop, &w->dripper) == 0);
    w->tcp.data = w;
    w->dripper.data = w;
    w->handles = 2;
    return w;
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    (void)handle;
    *ret = uv_buf_init(xmalloc(size), (unsigned)size);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct wire *w = stream->data;

    if (n > 0) {
        REQUIRE(buf_add(&w->in, bytes->base, (size_t)n));
    } else if (n == UV_EOF) {
        w->eof = true;
    } else if (n < 0) {
        w->reset = true;
    }
    free(bytes->base);
    if (n > 0 && w->on_data) {
        w->on_data(w);
    }
}

static void wire_read(struct wire *w)
{
    uv_tcp_nodelay(&w->tcp, 1);
    REQUIRE(uv_read_start((uv_stream_t *)&w->tcp, on_alloc, on_read) == 0);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct wire *w = container_of(req, struct wire, connect);

    if (status == 0) {
        w->connected = true;
        wire_read(w);
    } else {
        w->reset = true;
    }
}

struct wire *wire_connect(struct bed *bed, uint16_t port)
{
    struct wire *w = wire_new(bed);
    struct sockaddr_in addr;

    REQUIRE(uv_ip4_addr("127.0.0.1", port, &addr) == 0);
    REQUIRE(uv_tcp_connect(&w->connect, &w->tcp, (const struct sockaddr *)&addr, on_connected) ==
            0);
    return w;
}

struct wire_write {
    uv_write_t req;
    char *bytes;
};

static void on_written(uv_write_t *req, int status)
{
    struct wire_write *ww = container_of(req, struct wire_write, req);

    (void)status;
    free(ww->bytes);
    free(ww);
}

void wire_send(struct wire *w, struct sv bytes)
{
    struct wire_write *ww = xcalloc(1, sizeof(*ww));
    uv_buf_t b;

    ww->bytes = xmalloc(bytes.len + 1);
    memcpy(ww->bytes, bytes.ptr, bytes.len);
    b = uv_buf_init(ww->bytes, (unsigned)bytes.len);
    REQUIRE(uv_write(&ww->req, (uv_stream_t *)&w->tcp, &b, 1, on_written) == 0);
}

static void on_drip(uv_idle_t *idle)
{
    struct wire *w = idle->data;

    if (w->drip_sent == w->drip.len) {
        uv_idle_stop(idle);
        if (w->on_dripped) {
            w->on_dripped(w);
        }
        return;
    }
    wire_send(w, (struct sv){w->drip.data + w->drip_sent, 1});
    w->drip_sent++;
}

void wire_drip(struct wire *w, struct sv bytes)
{
    buf_add_sv(&w->drip, bytes);
    uv_idle_start(&w->dripper, on_drip);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)status;
    free(req);
}

void wire_half_close(struct wire *w)
{
    uv_shutdown_t *req = xcalloc(1, sizeof(*req));

    if (uv_shutdown(req, (uv_stream_t *)&w->tcp, on_shutdown) != 0) {
        free(req);
    }
}

static void wire_close_handles(struct wire *w, bool reset)
{
    REQUIRE(!w->closing);
    w->closing = true;
    uv_close((uv_handle_t *)&w->dripper, on_wire_closed);
    if (!reset || uv_tcp_close_reset(&w->tcp, on_wire_closed) != 0) {
        uv_close((uv_handle_t *)&w->tcp, on_wire_closed);
    }
}

void wire_reset(struct wire *w)
{
    wire_close_handles(w, true);
}

void wire_close(struct wire *w)
{
    wire_close_handles(w, false);
}

bool wire_has(const struct wire *w, const char *text)
{
    return w->in.len > 0 && memmem(w->in.data, w->in.len, text, strlen(text)) != NULL;
}

/* --- the scripted server ---------------------------------------------------------------------- */

/* Length of the first whole request in the buffer; 0: not yet. */
static size_t request_len(const struct buf *in)
{
    const char *end = in->len > 0 ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    const char *header;
    uint64_t body = 0;
    size_t head;

    if (!end) {
        return 0;
    }
    head = (size_t)(end - in->data) + 4;
    header = memmem(in->data, head, "Content-Length: ", 16);
    if (header) {
        struct sv rest = {header + 16, head - (size_t)(header - in->data) - 16};
        REQUIRE(sv_to_u64(sv_trim(sv_split(&rest, '\n')), &body));
    }
    return in->len >= head + body ? head + (size_t)body : 0;
}

static size_t wire_index(const struct peer *p, const struct wire *w)
{
    for (size_t i = 0; i < p->wires_count; i++) {
        if (p->wires[i] == w) {
            return i;
        }
    }
    REQUIRE(false);
    return 0;
}

static void end_wire(struct peer *p, struct wire *w, enum peer_then then)
{
    switch (then) {
    case PEER_KEEP:
        break;
    case PEER_HALF_CLOSE:
        wire_half_close(w);
        break;
    case PEER_CLOSE:
        p->wires[wire_index(p, w)] = NULL;
        wire_close(w);
        break;
    case PEER_RESET:
        p->wires[wire_index(p, w)] = NULL;
        wire_reset(w);
        break;
    }
}

void peer_act(struct peer *p, size_t request, const struct peer_step *step)
{
    struct wire *w = peer_wire(p, request);
    struct sv reply = {step->reply, step->reply_len ? step->reply_len : 0};

    if (step->reply && reply.len == 0) {
        reply.len = strlen(step->reply);
    }
    if (step->drip) { /* what comes after it is not supported: the tests need no more */
        REQUIRE(step->then == PEER_KEEP);
        wire_drip(w, reply);
        return;
    }
    if (reply.len > 0) {
        wire_send(w, reply);
    }
    end_wire(p, w, step->then);
}

static void on_peer_data(struct wire *w)
{
    struct peer *p = w->arg;
    size_t len;

    while (!w->closing && (len = request_len(&w->in)) > 0) {
        size_t i = p->requests_count++;
        REQUIRE(i < PEER_REQUESTS_MAX);
        p->requests[i].text = xstrndup(w->in.data, len);
        p->requests[i].wire = wire_index(p, w);
        buf_consume(&w->in, len);
        if (p->on_request) {
            p->on_request(p, i);
        } else if (i < p->steps_count) {
            peer_act(p, i, &p->steps[i]);
        }
    }
}

static void on_accept(uv_stream_t *listener, int status)
{
    struct peer *p = container_of(listener, struct peer, listener);
    struct wire *w = wire_new(p->bed);

    REQUIRE(status == 0 && p->wires_count < PEER_WIRES_MAX);
    REQUIRE(uv_accept(listener, (uv_stream_t *)&w->tcp) == 0);
    w->connected = true;
    w->arg = p;
    w->on_data = on_peer_data;
    p->wires[p->wires_count++] = w;
    wire_read(w);
}

void peer_open(struct peer *p, struct bed *bed)
{
    struct sockaddr_in addr;
    int len = sizeof(addr);

    memset(p, 0, sizeof(*p));
    p->bed = bed;
    REQUIRE(uv_ip4_addr("127.0.0.1", 0, &addr) == 0);
    REQUIRE(uv_tcp_init(&bed->loop, &p->listener) == 0);
    REQUIRE(uv_tcp_bind(&p->listener, (const struct sockaddr *)&addr, 0) == 0);
    REQUIRE(uv_listen((uv_stream_t *)&p->listener, 128, on_accept) == 0);
    REQUIRE(uv_tcp_getsockname(&p->listener, (struct sockaddr *)&addr, &len) == 0);
    p->port = ntohs(addr.sin_port);
    p->open = true;
}

static void on_listener_closed(uv_handle_t *handle)
{
    container_of((uv_tcp_t *)(void *)handle, struct peer, listener)->closed = true;
}

void peer_close(struct peer *p)
{
    if (!p->open) {
        return;
    }
    p->open = false;
    uv_close((uv_handle_t *)&p->listener, on_listener_closed);
    for (size_t i = 0; i < p->wires_count; i++) {
        if (p->wires[i]) {
            wire_close(p->wires[i]);
        }
    }
    for (size_t i = 0; i < p->requests_count; i++) {
        free(p->requests[i].text);
    }
    BED_RUN_UNTIL(p->bed, p->closed); /* the listener lies in the caller's memory */
}

void peer_script(struct peer *p, const struct peer_step *steps, size_t count)
{
    p->steps = steps;
    p->steps_count = count;
}

struct wire *peer_wire(struct peer *p, size_t i)
{
    REQUIRE(i < p->requests_count);
    struct wire *w = p->wires[p->requests[i].wire];
    REQUIRE(w);
    return w;
}

bool peer_got(const struct peer *p, size_t request, const char *text)
{
    return request < p->requests_count && strstr(p->requests[request].text, text) != NULL;
}

const char *peer_url(const struct peer *p, const char *path, char *buf, size_t size)
{
    snprintf(buf, size, "http://127.0.0.1:%u%s", p->port, path);
    return buf;
}
