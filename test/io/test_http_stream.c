/* Answers that their owner writes in pieces, and clients that go, sleep or stay too long. */
#include "lib/io/http_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/http_peer.h"

#define IDLE_TIMEOUT_S 1
#define LIFE_MS 10000
#define GET_STREAM "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
#define STREAMS_MAX 8

struct fixture {
    struct bed bed;
    struct http_server *server;
    int listen_fd;
    uint16_t port;
    bool closed;
    uint64_t life_ms;
    bool write_in_handler;
    bool end_in_handler;
    struct owned {
        struct http_stream *stream; /* NULL: ended or gone */
        unsigned gone;
    } streams[STREAMS_MAX];
    size_t streams_count;
    struct wire *wires[STREAMS_MAX];
    size_t wires_count;
};

static void on_gone(void *arg)
{
    struct owned *o = arg;

    assert_non_null(o->stream);
    o->stream = NULL;
    o->gone++;
}

static void end(struct owned *o)
{
    http_stream_end(o->stream);
    o->stream = NULL;
}

static void handle(void *arg, const struct http_request *req, struct http_response *res)
{
    struct fixture *f = arg;
    struct owned *o = &f->streams[f->streams_count];

    buf_add_str(res->body, "first\n");
    if (strcmp(req->path, "/stream") != 0) {
        return;
    }
    assert_true(f->streams_count++ < STREAMS_MAX);
    res->status = 202;
    o->stream = http_response_stream(res, f->life_ms, on_gone, o);
    if (f->write_in_handler) {
        http_stream_write(o->stream, SV("second\n"));
    }
    if (f->end_in_handler) {
        end(o);
    }
}

static const char *methods(void *arg, const char *path)
{
    (void)arg;
    return strcmp(path, "/stream") == 0 ? "GET, POST" : NULL;
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct http_server_ops ops = {.handle = handle, .methods = methods, .arg = f};
    struct err e = {0};

    bed_open(&f->bed);
    f->life_ms = LIFE_MS;
    f->listen_fd = http_listen("127.0.0.1:0", &f->port, &e);
    assert_string_equal(e.msg, "");
    f->server = http_server_new(&f->bed.loop, f->listen_fd, IDLE_TIMEOUT_S, &ops, &e);
    assert_non_null(f->server);
    *state = f;
    return 0;
}

static void close_server(struct fixture *f)
{
    http_server_close(f->server, bed_on_closed, &f->closed);
    f->server = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->server) {
        close_server(f);
    }
    BED_RUN_UNTIL(&f->bed, f->closed);
    for (size_t i = 0; i < f->streams_count; i++) {
        assert_null(f->streams[i].stream);
    }
    for (size_t i = 0; i < f->wires_count; i++) {
        wire_close(f->wires[i]);
    }
    close(f->listen_fd);
    bed_close(&f->bed);
    free(f);
    return 0;
}

static struct wire *dial(struct fixture *f, const char *request)
{
    struct wire *w = wire_connect(&f->bed, f->port);

    assert_true(f->wires_count < ARRAY_LEN(f->wires));
    f->wires[f->wires_count++] = w;
    BED_RUN_UNTIL(&f->bed, w->connected);
    wire_send(w, sv_from(request));
    return w;
}

static bool is_over(const struct wire *w)
{
    return w->eof || w->reset;
}

static void test_lines_arrive_as_they_are_written(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f, GET_STREAM);

    BED_RUN_UNTIL(&f->bed, wire_has(w, "first\n"));
    assert_true(wire_has(w, "HTTP/1.1 202 "));
    assert_true(wire_has(w, "Transfer-Encoding: chunked\r\n"));
    for (int i = 0; i < 20; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "line %d\n", i);
        http_stream_write(f->streams[0].stream, sv_from(line));
        BED_RUN_UNTIL(&f->bed, wire_has(w, line));
    }
    assert_false(wire_has(w, "\r\n0\r\n\r\n"));
    http_stream_write(f->streams[0].stream, SV("last\n"));
    end(&f->streams[0]);
    BED_RUN_UNTIL(&f->bed, wire_has(w, "last\n\r\n0\r\n\r\n"));
    wire_send(w, SV("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); /* the connection is kept */
    BED_RUN_UNTIL(&f->bed, wire_has(w, "HTTP/1.1 200 "));
    BED_RUN_UNTIL(&f->bed, is_over(w)); /* and idle from now on */
    assert_int_equal(f->streams[0].gone, 0);
}

static void test_an_answer_that_is_complete_in_the_handler(void **state)
{
    struct fixture *f = *state;

    f->write_in_handler = f->end_in_handler = true;
    struct wire *w = dial(f, "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    BED_RUN_UNTIL(&f->bed, wire_has(w, "\r\n0\r\n\r\n"));
    assert_true(wire_has(w, "first\nsecond\n"));
    w = dial(f, "GET /stream HTTP/1.0\r\n\r\n");
    BED_RUN_UNTIL(&f->bed, is_over(w));
    assert_true(wire_has(w, "\r\n\r\nfirst\nsecond\n"));
    w = dial(f, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    BED_RUN_UNTIL(&f->bed, wire_has(w, "HTTP/1.1 405 "));
    assert_true(wire_has(w, "Allow: GET, POST\r\n"));
    assert_int_equal(f->streams_count, 2);
}

static void test_others_are_served_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct wire *one = dial(f, GET_STREAM);
    struct wire *two = dial(f, GET_STREAM);

    BED_RUN_UNTIL(&f->bed, wire_has(one, "first\n") && wire_has(two, "first\n"));
    struct wire *other = dial(f, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    BED_RUN_UNTIL(&f->bed, wire_has(other, "first\n"));
    http_stream_write(f->streams[0].stream, SV("only one\n"));
    BED_RUN_UNTIL(&f->bed, wire_has(one, "only one\n"));
    assert_false(wire_has(two, "only one\n"));
    /* Longer than an idle connection lives: a stream is not idle. */
    bed_run_for_ms(&f->bed, IDLE_TIMEOUT_S * 1000 + 300);
    assert_false(is_over(one));
    assert_true(is_over(other));
    end(&f->streams[0]);
    end(&f->streams[1]);
    BED_RUN_UNTIL(&f->bed, wire_has(one, "\r\n0\r\n\r\n") && wire_has(two, "\r\n0\r\n\r\n"));
}

static void test_a_client_that_goes_is_noticed_at_the_next_piece(void **state)
{
    struct fixture *f = *state;
    struct wire *w = wire_connect(&f->bed, f->port);

    BED_RUN_UNTIL(&f->bed, w->connected);
    wire_send(w, SV(GET_STREAM));
    BED_RUN_UNTIL(&f->bed, wire_has(w, "first\n"));
    wire_reset(w);
    bed_run_for_ms(&f->bed, 10);
    BED_RUN_UNTIL(&f->bed,
                  (f->streams[0].stream ? http_stream_write(f->streams[0].stream, SV("x\n"))
                                        : (void)0,
                   f->streams[0].gone == 1));
}

static void test_a_stream_ends_with_its_time(void **state)
{
    struct fixture *f = *state;

    f->life_ms = 100;
    struct wire *w = dial(f, GET_STREAM);
    uint64_t start_us = loop_now_us();
    BED_RUN_UNTIL(&f->bed, is_over(w));
    assert_in_range(loop_now_us() - start_us, 90 * 1000, 900 * 1000);
    assert_false(wire_has(w, "\r\n0\r\n\r\n")); /* the client can tell */
    BED_RUN_UNTIL(&f->bed, f->streams[0].gone == 1);
}

static void test_a_client_that_does_not_read_is_cut_off(void **state)
{
    struct fixture *f = *state;
    struct wire *w = dial(f, GET_STREAM);
    char line[1024];

    BED_RUN_UNTIL(&f->bed, wire_has(w, "first\n"));
    uv_read_stop((uv_stream_t *)&w->tcp);
    memset(line, 'x', sizeof(line));
    for (uint64_t bytes = 0; f->streams[0].stream; bytes += sizeof(line)) {
        assert_true(bytes < 64 * 1024 * 1024);
        http_stream_write(f->streams[0].stream, (struct sv){line, sizeof(line)});
        uv_run(&f->bed.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(f->streams[0].gone, 1);
}

static void test_close_cuts_what_runs_and_sends_what_has_ended(void **state)
{
    struct fixture *f = *state;
    struct wire *runs = dial(f, GET_STREAM);
    struct wire *ended;

    BED_RUN_UNTIL(&f->bed, wire_has(runs, "first\n"));
    ended = dial(f, GET_STREAM);
    BED_RUN_UNTIL(&f->bed, wire_has(ended, "first\n"));
    http_stream_write(f->streams[1].stream, SV("the verdict\n"));
    end(&f->streams[1]);
    close_server(f);
    BED_RUN_UNTIL(&f->bed, f->closed && is_over(runs) && is_over(ended));
    assert_true(wire_has(ended, "the verdict\n\r\n0\r\n\r\n"));
    assert_false(wire_has(runs, "\r\n0\r\n\r\n"));
    assert_int_equal(f->streams[0].gone, 1);
    assert_int_equal(f->streams[1].gone, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_arrive_as_they_are_written),
        TEST(test_an_answer_that_is_complete_in_the_handler),
        TEST(test_others_are_served_meanwhile),
        TEST(test_a_client_that_goes_is_noticed_at_the_next_piece),
        TEST(test_a_stream_ends_with_its_time),
        TEST(test_a_client_that_does_not_read_is_cut_off),
        TEST(test_close_cuts_what_runs_and_sends_what_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
