/* The HTTP server against clients that speak in every way but the usual one. */
#include "lib/io/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/http_peer.h"

#define IDLE_TIMEOUT_S 1
#define GET_ROOT "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

struct fixture {
    struct bed bed;
    struct http_server *server;
    int listen_fd;
    uint16_t port;
    bool closed;
    unsigned handled;
    bool close_in_handler;
    size_t answer_bytes; /* for /large */
    struct wire *wires[300];
    size_t wires_count;
};

static void handle(void *arg, const struct http_request *req, struct http_response *res)
{
    struct fixture *f = arg;
    const char *query = http_request_query(req, "verbose");
    const char *header = http_request_header(req, "redis-pod-agent");

    f->handled++;
    assert_int_equal(res->status, 200);
    assert_int_equal(res->body->len, 0);
    if (strcmp(req->path, "/large") == 0) {
        for (size_t i = 0; i < f->answer_bytes; i++) {
            buf_add_char(res->body, 'L');
        }
        return;
    }
    if (strcmp(req->path, "/unready") == 0) {
        res->status = 503;
        res->retry_after_s = 7;
        res->content_type = "application/json";
    }
    if (strcmp(req->path, "/empty") == 0) {
        return;
    }
    buf_addf(res->body, "[%s %s verbose=%s header=%s]", req->method, req->path,
             query ? query : "(null)", header ? header : "(null)");
    if (f->close_in_handler) {
        http_server_close(f->server, bed_on_closed, &f->closed);
        f->server = NULL;
    }
}

static const char *methods(void *arg, const char *path)
{
    (void)arg;
    return strcmp(path, "/drain") == 0 ? "GET, HEAD, POST" : NULL;
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct http_server_ops ops = {.handle = handle, .methods = methods, .arg = f};
    struct err e = {0};

    bed_open(&f->bed);
    f->listen_fd = http_listen("127.0.0.1:0", &f->port, &e);
    assert_string_equal(e.msg, "");
    f->server = http_server_new(&f->bed.loop, f->listen_fd, IDLE_TIMEOUT_S, &ops, &e);
    assert_non_null(f->server);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->server) {
        http_server_close(f->server, bed_on_closed, &f->closed);
        assert_false(f->closed);
    }
    BED_RUN_UNTIL(&f->bed, f->closed);
    for (size_t i = 0; i < f->wires_count; i++) {
        wire_close(f->wires[i]);
    }
    close(f->listen_fd);
    bed_close(&f->bed);
    free(f);
    return 0;
}

static struct wire *dial(struct fixture *f)
{
    struct wire *w = wire_connect(&f->bed, f->port);

    assert_true(f->wires_count < ARRAY_LEN(f->wires));
    f->wires[f->wires_count++] = w;
    BED_RUN_UNTIL(&f->bed, w->connected);
    return w;
}

static bool is_over(const struct wire *w)
{
    return w->eof || w->reset;
}

/* Sends on a new connection and waits for `expected` in what comes back. */
static struct wire *ask(struct fixture *f, const char *request, const char *expected)
{
    struct wire *w = dial(f);

    wire_send(w, sv_from(request));
    BED_RUN_UNTIL(&f->bed, wire_has(w, expected) || is_over(w));
    if (!wire_has(w, expected)) {
        fail_msg("'%s' is not in: %s", expected, buf_str(&w->in));
    }
    return w;
}

static size_t occurrences(const struct wire *w, const char *text)
{
    size_t n = 0;

    for (const char *p = buf_str(&w->in); (p = strstr(p, text)); p++) {
        n++;
    }
    return n;
}

/* --- what goes well -------------------------------------------------------------------------- */

static void test_get(void **state)
{
    struct fixture *f = *state;
    struct wire *w = ask(f, GET_ROOT, "[GET / verbose=(null) header=(null)]");

    assert_true(wire_has(w, "HTTP/1.1 200 OK\r\n"));
    assert_true(wire_has(w, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_false(is_over(w)); /* kept */
    wire_send(w, SV("GET /unready HTTP/1.1\r\nHost: x\r\n\r\n"));
    BED_RUN_UNTIL(&f->bed, wire_has(w, "/unready"));
    assert_true(wire_has(w, "HTTP/1.1 503 "));
    assert_true(wire_has(w, "Content-Type: application/json\r\n"));
    assert_int_equal(occurrences(w, "Retry-After: 7\r\n"), 1);
    assert_int_equal(f->handled, 2);
}

static void test_query_and_headers(void **state)
{
    struct fixture *f = *state;

    ask(f, "GET /a%20b?verbose HTTP/1.1\r\nHost: x\r\nRedis-Pod-Agent: drain\r\n\r\n",
        "[GET /a b verbose= header=drain]");
    ask(f, "GET /?x=1&verbose=a%26b HTTP/1.1\r\nHost: x\r\nREDIS-POD-AGENT: A\r\n\r\n",
        "[GET / verbose=a&b header=A]");
    ask(f, "GET /?verbos=1&verbosely=2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "[GET / verbose=(null) header=(null)]");
}

static void test_head(void **state)
{
    struct fixture *f = *state;
    struct wire *w = ask(f, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" GET_ROOT, "[GET /");

    assert_int_equal(occurrences(w, "HTTP/1.1 200 OK"), 2);
    assert_false(wire_has(w, "[HEAD"));
    assert_true(wire_has(w, "Content-Length: 37\r\n")); /* what GET would have given */
    assert_int_equal(f->handled, 2);
}

static void test_pipelining(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);

    for (int i = 0; i < 100; i++) {
        wire_send(w, SV(GET_ROOT));
    }
    BED_RUN_UNTIL(&f->bed, occurrences(w, "[GET /") == 100 || is_over(w));
    assert_int_equal(occurrences(w, "HTTP/1.1 200 OK"), 100);
    assert_int_equal(f->handled, 100);
}

static void test_pipelining_in_one_packet(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);
    AUTO_BUF struct buf all;

    buf_init(&all, 65536);
    for (int i = 0; i < 200; i++) {
        buf_add_str(&all, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wire_send(w, buf_sv(&all));
    BED_RUN_UNTIL(&f->bed, occurrences(w, "[GET /") == 200 || is_over(w));
    assert_int_equal(f->handled, 200);
}

static void test_old_clients(void **state)
{
    struct fixture *f = *state;
    struct wire *w = ask(f, "GET / HTTP/1.0\r\n\r\n", "[GET /");

    BED_RUN_UNTIL(&f->bed, is_over(w));
    w = ask(f, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "[GET /");
    BED_RUN_UNTIL(&f->bed, is_over(w));
}

static void test_request_a_byte_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);

    wire_drip(w, SV(GET_ROOT));
    BED_RUN_UNTIL(&f->bed, wire_has(w, "[GET /"));
}

static void test_half_close_is_still_answered(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);

    wire_send(w, SV(GET_ROOT));
    wire_half_close(w);
    BED_RUN_UNTIL(&f->bed, is_over(w));
    assert_true(wire_has(w, "[GET /"));
}

static void test_large_answers(void **state)
{
    struct fixture *f = *state;
    struct wire *w;

    f->answer_bytes = 3 * 1024 * 1024;
    w = ask(f, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 3145728\r\n");
    BED_RUN_UNTIL(&f->bed, w->in.len > f->answer_bytes);
    f->answer_bytes = HTTP_SERVER_RESPONSE_BODY_MAX + 1;
    ask(f, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 500 ");
    ask(f, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 0\r\n");
}

/* --- what is refused -------------------------------------------------------------------------- */

static void test_methods(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char request[128];
        snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                 methods[i]);
        struct wire *w = ask(f, request, "HTTP/1.1 405 ");
        BED_RUN_UNTIL(&f->bed, wire_has(w, "method not allowed"));
        assert_true(wire_has(w, "Allow: GET, HEAD\r\n"));
    }
    assert_int_equal(f->handled, 0);
    ask(f, "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "[POST /drain");
    ask(f,
        "POST /drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n0\r\n\r\n",
        "[POST /drain");
    assert_int_equal(f->handled, 2);
    struct wire *w =
        ask(f, "PUT /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ");
    assert_true(wire_has(w, "Allow: GET, HEAD, POST\r\n"));
}

/* A body must never be taken for the next request. */
static void test_body_of_a_refused_request_is_no_request(void **state)
{
    struct fixture *f = *state;
    struct wire *w;

    w = ask(f, "DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\n" GET_ROOT GET_ROOT,
            "[GET /");
    bed_run_for_ms(&f->bed, 30);
    assert_int_equal(occurrences(w, "HTTP/1.1 405 "), 1);
    assert_int_equal(f->handled, 1);
}

static void test_large_bodies(void **state)
{
    struct fixture *f = *state;
    struct wire *w =
        ask(f, "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", "HTTP/1.1 413 ");
    AUTO_BUF struct buf body;
    uint64_t start_us;

    buf_init(&body, 1024 * 1024);
    BED_RUN_UNTIL(&f->bed, is_over(w));
    w = ask(f, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413 ");
    BED_RUN_UNTIL(&f->bed, is_over(w));

    w = dial(f);
    buf_add_str(&body, "POST /drain HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5; i++) { /* 80 KiB, undeclared */
        buf_add_str(&body, "4000\r\n");
        for (int j = 0; j < 0x4000; j++) {
            buf_add_char(&body, 'b');
        }
        buf_add_str(&body, "\r\n");
    }
    wire_send(w, buf_sv(&body));
    start_us = loop_now_us();
    BED_RUN_UNTIL(&f->bed, is_over(w));
    assert_true(loop_now_us() - start_us < IDLE_TIMEOUT_S * 500 * 1000); /* not for its age */
    assert_int_equal(f->handled, 0);
}

static void send_filled(struct wire *w, const char *before, size_t count, const char *after)
{
    AUTO_BUF struct buf b;

    buf_init(&b, 1024 * 1024);
    buf_add_str(&b, before);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(&b, 'x');
    }
    buf_add_str(&b, after);
    wire_send(w, buf_sv(&b));
}

static void test_large_heads(void **state)
{
    static const struct {
        const char *before;
        size_t count;
        const char *after;
        bool refused;
        const char *status; /* NULL: any of 4xx, or a closed connection */
    } heads[] = {
        {"GET /", 4095, " HTTP/1.1\r\nHost: x\r\n\r\n", false, "HTTP/1.1 200 "},
        {"GET /", 4096, " HTTP/1.1\r\nHost: x\r\n\r\n", true, "HTTP/1.1 414 "},
        {"GET /?", 4096, " HTTP/1.1\r\nHost: x\r\n\r\n", true, "HTTP/1.1 414 "},
        {"GET /", 100000, " HTTP/1.1\r\nHost: x\r\n\r\n", true, NULL},
        {"GET / HTTP/1.1\r\nHost: x\r\nX: ", 8000, "\r\n\r\n", false, "HTTP/1.1 200 "},
        {"GET / HTTP/1.1\r\nHost: x\r\nX: ", 17000, "\r\n\r\n", true, NULL},
        {"GET / HTTP/1.1\r\nHost: x\r\nX: ", 500000, "\r\n\r\n", true, NULL},
        {"", 100000, "", true, NULL},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct wire *w = dial(f);
        unsigned handled = f->handled;
        const char *status = heads[i].status ? heads[i].status : "HTTP/1.1 4";

        send_filled(w, heads[i].before, heads[i].count, heads[i].after);
        BED_RUN_UNTIL(&f->bed, wire_has(w, status) || is_over(w));
        if (heads[i].status && !wire_has(w, status)) {
            fail_msg("head %zu: %s", i, buf_str(&w->in));
        }
        assert_int_equal(f->handled, handled + (heads[i].refused ? 0 : 1));
    }
}

static void test_garbage(void **state)
{
    static const char *const texts[] = {
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct wire *w = dial(f);
        wire_send(w, sv_from(texts[i]));
        wire_half_close(w);
        BED_RUN_UNTIL(&f->bed, is_over(w));
    }
    ask(f, GET_ROOT, "[GET /"); /* and it lives on */
}

static void test_resets(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 20; i++) {
        struct wire *w = wire_connect(&f->bed, f->port);
        BED_RUN_UNTIL(&f->bed, w->connected);
        wire_send(w, i % 2 ? SV("GET / HT") : SV(GET_ROOT));
        if (i % 3 == 0) {
            bed_run_for_ms(&f->bed, 2);
        }
        wire_reset(w);
    }
    f->answer_bytes = 3 * 1024 * 1024;
    struct wire *w = wire_connect(&f->bed, f->port);
    BED_RUN_UNTIL(&f->bed, w->connected);
    wire_send(w, SV("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
    BED_RUN_UNTIL(&f->bed, w->in.len > 0);
    wire_reset(w);
    ask(f, GET_ROOT, "[GET /");
}

/* --- time-outs and many connections ----------------------------------------------------------- */

static void test_idle_connections_are_closed(void **state)
{
    struct fixture *f = *state;
    struct wire *silent = dial(f);
    struct wire *kept = ask(f, GET_ROOT, "[GET /");
    uint64_t start_us = loop_now_us();

    BED_RUN_UNTIL(&f->bed, is_over(silent) && is_over(kept));
    assert_in_range(loop_now_us() - start_us, 800 * 1000, 3000 * 1000);
}

/* A byte every 50 ms never lets the connection idle, and yet no request comes of it. */
static void test_slow_heads_are_closed(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);
    uint64_t start_us = loop_now_us();

    wire_send(w, SV("GET / HTTP/1.1\r\nX: "));
    while (!is_over(w) && loop_now_us() - start_us < 5 * 1000 * 1000) {
        wire_send(w, SV("a"));
        bed_run_for_ms(&f->bed, 50);
    }
    assert_true(is_over(w));
    assert_in_range(loop_now_us() - start_us, 800 * 1000, 3000 * 1000);
    assert_int_equal(f->handled, 0);
}

static void test_slow_bodies_are_closed(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);
    uint64_t start_us = loop_now_us();

    wire_send(w, SV("POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"));
    while (!is_over(w) && loop_now_us() - start_us < 5 * 1000 * 1000) {
        wire_send(w, SV("a"));
        bed_run_for_ms(&f->bed, 50);
    }
    assert_true(is_over(w));
    assert_int_equal(f->handled, 0);
}

static void test_busy_connection_outlives_the_idle_time(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);

    for (unsigned i = 1; i <= 8; i++) {
        wire_send(w, SV(GET_ROOT));
        BED_RUN_UNTIL(&f->bed, f->handled == i);
        bed_run_for_ms(&f->bed, 250);
        assert_false(is_over(w));
    }
}

/* From one address: the first 64 are served, the others closed; afterwards there is room. */
static void test_300_connections(void **state)
{
    struct fixture *f = *state;
    size_t answered = 0;
    size_t refused = 0;

    for (size_t i = 0; i < ARRAY_LEN(f->wires); i++) {
        f->wires[f->wires_count++] = wire_connect(&f->bed, f->port);
    }
    for (size_t i = 0; i < f->wires_count; i++) {
        struct wire *w = f->wires[i];
        BED_RUN_UNTIL(&f->bed, w->connected || is_over(w));
        if (w->connected) {
            wire_send(w, SV(GET_ROOT));
        }
    }
    for (size_t i = 0; i < f->wires_count; i++) {
        struct wire *w = f->wires[i];
        BED_RUN_UNTIL(&f->bed, wire_has(w, "[GET /") || is_over(w));
        answered += wire_has(w, "[GET /") ? 1 : 0;
        refused += wire_has(w, "[GET /") ? 0 : 1;
    }
    assert_int_equal(answered, HTTP_SERVER_PER_ADDRESS_MAX);
    assert_int_equal(refused, 300 - HTTP_SERVER_PER_ADDRESS_MAX);
    for (size_t i = 0; i < f->wires_count; i++) {
        wire_close(f->wires[i]);
    }
    f->wires_count = 0;
    bed_run_for_ms(&f->bed, 50);
    ask(f, GET_ROOT, "[GET /");
}

/* --- life and death --------------------------------------------------------------------------- */

static void test_close_with_open_connections(void **state)
{
    struct fixture *f = *state;
    struct wire *silent = dial(f);
    struct wire *half = dial(f);

    wire_send(half, SV("GET / HTTP/1.1\r\n"));
    bed_run_for_ms(&f->bed, 10);
    http_server_close(f->server, bed_on_closed, &f->closed);
    f->server = NULL;
    assert_false(f->closed);
    BED_RUN_UNTIL(&f->bed, f->closed && is_over(silent) && is_over(half));
}

static void test_close_from_the_handler(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f);

    f->close_in_handler = true;
    wire_send(w, SV(GET_ROOT GET_ROOT));
    BED_RUN_UNTIL(&f->bed, f->closed && is_over(w));
    assert_int_equal(f->handled, 1);
}

/* The parent process keeps the socket for the next worker: what is closed must not stop
 * listening, and who connects in between waits in the backlog. */
static void test_listening_goes_on_after_close(void **state)
{
    struct fixture *f = *state;
    struct http_server_ops ops = {.handle = handle, .arg = f};
    struct err e = {0};
    struct wire *w;

    ask(f, GET_ROOT, "[GET /");
    http_server_close(f->server, bed_on_closed, &f->closed);
    BED_RUN_UNTIL(&f->bed, f->closed);
    f->closed = false;
    w = dial(f);
    wire_send(w, SV(GET_ROOT));
    bed_run_for_ms(&f->bed, 20);
    f->server = http_server_new(&f->bed.loop, f->listen_fd, IDLE_TIMEOUT_S, &ops, &e);
    assert_non_null(f->server);
    BED_RUN_UNTIL(&f->bed, wire_has(w, "[GET /"));
    ask(f, "POST /drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 ");
}

static void test_new_refuses_a_bad_descriptor(void **state)
{
    struct fixture *f = *state;
    struct http_server_ops ops = {.handle = handle, .arg = f};
    struct err e = {0};

    assert_null(http_server_new(&f->bed.loop, -1, IDLE_TIMEOUT_S, &ops, &e));
    assert_int_equal(e.code, ERR_SYS);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_get),
        T(test_query_and_headers),
        T(test_head),
        T(test_pipelining),
        T(test_pipelining_in_one_packet),
        T(test_old_clients),
        T(test_request_a_byte_at_a_time),
        T(test_half_close_is_still_answered),
        T(test_large_answers),
        T(test_methods),
        T(test_body_of_a_refused_request_is_no_request),
        T(test_large_bodies),
        T(test_large_heads),
        T(test_garbage),
        T(test_resets),
        T(test_idle_connections_are_closed),
        T(test_slow_heads_are_closed),
        T(test_slow_bodies_are_closed),
        T(test_busy_connection_outlives_the_idle_time),
        T(test_300_connections),
        T(test_close_with_open_connections),
        T(test_close_from_the_handler),
        T(test_listening_goes_on_after_close),
        T(test_new_refuses_a_bad_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
