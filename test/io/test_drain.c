/* /drain against a core whose hand-over the test writes itself. */
#include "agent/shell/drain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "test/io/http_peer.h"

#define GET_DRAIN "GET /drain HTTP/1.1\r\nHost: x\r\nRedis-Pod-Agent: drain\r\n\r\n"
#define POST_DRAIN                                                                       \
    "POST /drain HTTP/1.1\r\nHost: x\r\nredis-pod-agent: Drain\r\nContent-Length: 0\r\n" \
    "\r\n"
#define WIRES_MAX 40

/* What the core does when it is asked. */
enum script { BEGINS, ENDS_AT_ONCE, DOES_NOT_BEGIN };

struct fixture {
    struct bed bed;
    struct http_server *server;
    struct core *core;
    struct drain drain;
    int listen_fd;
    uint16_t port;
    bool closed;
    enum script script;
    enum handover_verdict verdict; /* of ENDS_AT_ONCE */
    unsigned asked;
    struct wire *wires[WIRES_MAX];
    size_t wires_count;
};

static void tell(struct fixture *f, enum handover_step step, enum handover_verdict verdict)
{
    struct handover *h = &f->core->handover;
    h->lines[h->count++ % HANDOVER_LINES_MAX] = (struct handover_line){.after_us = h->count * 1000,
                                                                       .step = step,
                                                                       .verdict = verdict,
                                                                       .why = ""};
    if (step == HANDOVER_VERDICT) {
        h->running = false;
        h->verdict = verdict;
    }
    drain_told(&f->drain);
}

static void on_ask(void *arg)
{
    struct fixture *f = arg;
    struct handover *h = &f->core->handover;
    f->asked++;
    if (f->script == DOES_NOT_BEGIN) {
        return;
    }
    h->serial++;
    h->count = 0;
    h->running = true;
    h->verdict = HANDOVER_NONE;
    h->deadline_us = loop_now_us() + 20000000;
    tell(f, HANDOVER_ASKED, HANDOVER_NONE);
    if (f->script == ENDS_AT_ONCE) {
        tell(f, HANDOVER_VERDICT, f->verdict);
    }
}

static void handle(void *arg, const struct http_request *req, struct http_response *res)
{
    struct fixture *f = arg;
    drain_handle(&f->drain, req, res);
}

static const char *methods(void *arg, const char *path)
{
    (void)arg;
    (void)path;
    return "GET, POST";
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct http_server_ops ops = {.handle = handle, .methods = methods, .arg = f};
    struct err e = {0};

    bed_open(&f->bed);
    f->core = xcalloc(1, sizeof *f->core);
    drain_init(&f->drain, f->core, on_ask, f);
    f->listen_fd = http_listen("127.0.0.1:0", &f->port, &e);
    assert_string_equal(e.msg, "");
    f->server = http_server_new(&f->bed.loop, f->listen_fd, 60, &ops, &e);
    assert_non_null(f->server);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    http_server_close(f->server, bed_on_closed, &f->closed);
    BED_RUN_UNTIL(&f->bed, f->closed);
    for (size_t i = 0; i < DRAIN_CLIENTS_MAX; i++) {
        assert_null(f->drain.clients[i].stream);
    }
    for (size_t i = 0; i < f->wires_count; i++) {
        wire_close(f->wires[i]);
    }
    close(f->listen_fd);
    bed_close(&f->bed);
    free(f->core);
    free(f);
    return 0;
}

static struct wire *send_request(struct fixture *f, const char *request)
{
    struct wire *w = wire_connect(&f->bed, f->port);

    assert_true(f->wires_count < ARRAY_LEN(f->wires));
    f->wires[f->wires_count++] = w;
    BED_RUN_UNTIL(&f->bed, w->connected);
    wire_send(w, sv_from(request));
    return w;
}

static struct wire *ask(struct fixture *f, const char *request, const char *expected)
{
    struct wire *w = send_request(f, request);

    BED_RUN_UNTIL(&f->bed, wire_has(w, expected));
    return w;
}

static void test_only_with_the_header(void **state)
{
    struct fixture *f = *state;

    ask(f, "GET /drain HTTP/1.1\r\nHost: x\r\n\r\n", "it wants the header");
    ask(f, "POST /drain HTTP/1.1\r\nHost: x\r\nRedis-Pod-Agent: yes\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 ");
    ask(f, "HEAD /drain HTTP/1.1\r\nHost: x\r\nRedis-Pod-Agent: drain\r\n\r\n", "HTTP/1.1 405 ");
    assert_int_equal(f->asked, 0);
}

static void test_two_callers_hear_the_same(void **state)
{
    struct fixture *f = *state;
    struct wire *first = ask(f, GET_DRAIN, "asked to hand over\n");
    tell(f, HANDOVER_VOTED, HANDOVER_NONE);
    struct wire *second = ask(f, POST_DRAIN, "voted\n");
    BED_RUN_UNTIL(&f->bed, wire_has(first, "voted\n"));
    assert_true(wire_has(second, "asked to hand over\n"));
    assert_int_equal(f->asked, 1);
    tell(f, HANDOVER_PAUSED, HANDOVER_NONE);
    BED_RUN_UNTIL(&f->bed, wire_has(first, "are held\n") && wire_has(second, "are held\n"));
    assert_false(wire_has(first, "\r\n0\r\n\r\n"));
    tell(f, HANDOVER_VERDICT, HANDOVER_DONE);
    BED_RUN_UNTIL(&f->bed, wire_has(first, "0 bytes behind\n\r\n0\r\n\r\n") &&
                               wire_has(second, "0 bytes behind\n\r\n0\r\n\r\n"));
    assert_true(wire_has(first, "HTTP/1.1 200 ") && wire_has(second, "HTTP/1.1 200 "));
}

static void test_a_caller_that_goes_does_not_matter(void **state)
{
    struct fixture *f = *state;
    struct wire *gone = wire_connect(&f->bed, f->port);
    BED_RUN_UNTIL(&f->bed, gone->connected);
    wire_send(gone, SV(GET_DRAIN));
    BED_RUN_UNTIL(&f->bed, wire_has(gone, "asked to hand over\n"));
    struct wire *stays = ask(f, GET_DRAIN, "asked to hand over\n");
    wire_reset(gone);
    for (int i = 0; i < 5; i++) {
        tell(f, HANDOVER_TRY_FAILED, HANDOVER_NONE);
        bed_run_for_ms(&f->bed, 5);
    }
    tell(f, HANDOVER_VERDICT, HANDOVER_FAILED);
    BED_RUN_UNTIL(&f->bed, wire_has(stays, "writes resumed\n\r\n0\r\n\r\n"));
}

static void test_lines_that_the_ring_has_lost_are_left_out(void **state)
{
    struct fixture *f = *state;
    struct wire *first = ask(f, GET_DRAIN, "asked to hand over\n");
    for (int i = 0; i < 2 * HANDOVER_LINES_MAX; i++) {
        tell(f, HANDOVER_TRY_FAILED, HANDOVER_NONE);
    }
    struct wire *late = ask(f, GET_DRAIN, "this try failed\n");
    tell(f, HANDOVER_VERDICT, HANDOVER_FAILED);
    BED_RUN_UNTIL(&f->bed, wire_has(first, "\r\n0\r\n\r\n") && wire_has(late, "\r\n0\r\n\r\n"));
    assert_true(wire_has(first, "    65.0 ms  this try failed"));
    assert_false(wire_has(late, "asked to hand over"));
    assert_true(wire_has(late, "    65.0 ms  this try failed"));
}

static void test_one_a_minute_unless_the_pod_goes(void **state)
{
    struct fixture *f = *state;
    f->script = ENDS_AT_ONCE;
    f->verdict = HANDOVER_FAILED;
    struct wire *w = ask(f, GET_DRAIN, "writes resumed\n");
    assert_true(wire_has(w, "HTTP/1.1 200 "));
    w = ask(f, POST_DRAIN, "less than a minute ago");
    assert_true(wire_has(w, "HTTP/1.1 429 "));
    assert_true(wire_has(w, "Retry-After: 60\r\n") || wire_has(w, "Retry-After: 59\r\n"));
    assert_int_equal(f->asked, 1);
    f->core->label.observed = true;
    f->core->label.seen.terminating = true;
    ask(f, GET_DRAIN, "writes resumed\n");
    assert_int_equal(f->asked, 2);
    f->core->label.seen.terminating = false;
    f->drain.begun_us -= DRAIN_INTERVAL_US;
    ask(f, GET_DRAIN, "writes resumed\n");
    assert_int_equal(f->asked, 3);
}

static void test_nothing_to_do_may_be_asked_often(void **state)
{
    struct fixture *f = *state;
    f->script = ENDS_AT_ONCE;
    f->verdict = HANDOVER_NOTHING;
    ask(f, GET_DRAIN, "nothing to do");
    ask(f, GET_DRAIN, "nothing to do");
    f->script = BEGINS;
    struct wire *w = ask(f, GET_DRAIN, "asked to hand over\n");
    tell(f, HANDOVER_VERDICT, HANDOVER_OFF);
    BED_RUN_UNTIL(&f->bed, wire_has(w, "switched off\n"));
    ask(f, GET_DRAIN, "asked to hand over\n");
    assert_int_equal(f->asked, 4);
}

static void test_a_core_that_does_not_begin(void **state)
{
    struct fixture *f = *state;
    f->script = DOES_NOT_BEGIN;
    ask(f, GET_DRAIN, "HTTP/1.1 503 ");
    f->script = BEGINS;
    ask(f, GET_DRAIN, "asked to hand over\n");
}

static void test_many_callers(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < DRAIN_CLIENTS_MAX; i++) {
        ask(f, GET_DRAIN, "asked to hand over\n");
    }
    ask(f, GET_DRAIN, "HTTP/1.1 503 ");
    tell(f, HANDOVER_VERDICT, HANDOVER_DONE);
    for (size_t i = 0; i < DRAIN_CLIENTS_MAX; i++) {
        BED_RUN_UNTIL(&f->bed, wire_has(f->wires[i], "\r\n0\r\n\r\n"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_only_with_the_header),
        TEST(test_two_callers_hear_the_same),
        TEST(test_a_caller_that_goes_does_not_matter),
        TEST(test_lines_that_the_ring_has_lost_are_left_out),
        TEST(test_one_a_minute_unless_the_pod_goes),
        TEST(test_nothing_to_do_may_be_asked_often),
        TEST(test_a_core_that_does_not_begin),
        TEST(test_many_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
