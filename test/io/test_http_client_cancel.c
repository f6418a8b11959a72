/* The HTTP client: streams, and cancelling and closing in every state and from every
 * callback. */
#include "test/io/http_client_fixture.h"

#include <netdb.h>
#include <semaphore.h>
#include <string.h>

/* In the place of libc's, for libcurl's resolver threads: hangs until the test lets go. */
static sem_t resolver_hangs;
static sem_t resolver_asked;

int hang_or_fail(const char *node, const char *service, const struct addrinfo *hints,
                 struct addrinfo **ret) __asm__("getaddrinfo");

int hang_or_fail(const char *node, const char *service, const struct addrinfo *hints,
                 struct addrinfo **ret)
{
    (void)service;
    (void)hints;
    (void)ret;
    if (strcmp(node, "hangs.test") == 0) {
        sem_post(&resolver_asked);
        sem_wait(&resolver_hangs);
    }
    return EAI_FAIL;
}

/* --- streams ---------------------------------------------------------------------------------- */

static void test_chunks(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED});
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, o->started);
    assert_int_equal(o->started_status, 200);
    assert_int_equal(o->chunks, 0);
    wire_send(peer_wire(&f->peer, 0), SV("3\r\none\r\n"));
    BED_RUN_UNTIL(&f->bed, o->chunks == 1);
    wire_send(peer_wire(&f->peer, 0), SV("3\r\ntwo\r\n"));
    BED_RUN_UNTIL(&f->bed, o->chunks == 2);
    wire_send(peer_wire(&f->peer, 0), SV("0\r\n\r\n"));
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_string_equal(o->chunked, "onetwo");
    assert_string_equal(o->body, "");
    assert_int_equal(o->code, ERR_NONE);
}

/* By the socket, not by one of libcurl's timers, of which none is left by then. */
static void test_reset_of_a_quiet_stream(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    uint64_t start_us;

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n"});
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, o->chunks);
    bed_run_for_ms(&f->bed, 400);
    peer_act(&f->peer, 0, &(struct peer_step){.then = PEER_RESET});
    start_us = loop_now_us();
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_UNAVAILABLE);
    assert_true(loop_now_us() - start_us < 1000 * 1000);
}

static void test_stream_has_no_cap_but_its_refusal_has(void **state)
{
    struct fixture *f = *state;
    struct outcome *a = fresh(f);
    struct outcome *b = fresh(f);
    struct outcome *c = fresh(f);
    char big[1100];

    memset(big, 'z', sizeof(big));
    memcpy(big, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 41);
    struct peer_step steps[] = {
        {.reply = big, .reply_len = 41 + 1000},
        {.reply = "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\nwhy?"},
        {.reply = "HTTP/1.1 500 X\r\nContent-Length: 1000\r\n\r\n0123456789abcdef0123456789abcdef"
                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
    };
    peer_script(&f->peer, steps, ARRAY_LEN(steps));
    stream(f, a);
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->code, ERR_NONE);
    stream(f, b);
    BED_RUN_UNTIL(&f->bed, b->done);
    assert_int_equal(b->status, 410);
    assert_int_equal(b->chunks, 0);
    assert_string_equal(b->body, "why?");
    stream(f, c);
    BED_RUN_UNTIL(&f->bed, c->done);
    assert_int_equal(c->code, ERR_LIMIT);
    assert_int_equal(c->status, 500);
}

static void test_receiver_ends_the_stream(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    o->refuse_chunk = true;
    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n1\r\nb\r\n"});
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_CANCELED);
    assert_string_equal(o->chunked, "a");
}

/* --- cancel and close, in every state and from every callback --------------------------------- */

static void cancel_other(struct outcome *o)
{
    if (o->other->handle) {
        cancel(o->other);
    }
}

static void expect_canceled(struct fixture *f, struct outcome *o)
{
    BED_RUN_UNTIL(&f->bed, o->done);
    bed_run_for_ms(&f->bed, 20);
    assert_int_equal(o->done, 1);
    assert_int_equal(o->code, ERR_CANCELED);
}

static void test_cancel_before_it_is_sent(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    get(f, o);
    cancel(o);
    assert_int_equal(o->done, 0);
    expect_canceled(f, o);
    assert_int_equal(f->peer.requests_count, 0);
}

static void test_cancel_while_waiting(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    get(f, o);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 1);
    cancel(o);
    cancel(o); /* twice is once */
    assert_int_equal(o->done, 0);
    expect_canceled(f, o);
    BED_RUN_UNTIL(&f->bed, f->peer.wires[0]->eof || f->peer.wires[0]->reset);
}

static void test_cancel_within_the_body(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n"});
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, o->chunks);
    cancel(o);
    expect_canceled(f, o);
}

static void test_cancel_from_its_own_chunk(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    o->in_chunk = cancel;
    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"});
    stream(f, o);
    expect_canceled(f, o);
    assert_string_equal(o->chunked, "a");
}

static void test_cancel_another_from_a_chunk(void **state)
{
    struct fixture *f = *state;
    struct outcome *other = fresh(f);
    struct outcome *o = fresh(f);

    o->in_chunk = cancel_other;
    o->other = other;
    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n"}, {.reply = CHUNKED "1\r\na\r\n"});
    stream(f, other);
    BED_RUN_UNTIL(&f->bed, other->chunks);
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, o->chunks);
    expect_canceled(f, other);
    assert_int_equal(o->done, 0);
}

static void cancel_self_and_other(struct outcome *o)
{
    /* Its own handle is being told right now: that is no error, and no second callback. */
    if (o->other->handle) {
        http_client_cancel(o->f->client, o->other->handle);
    }
}

static void test_cancel_another_from_done(void **state)
{
    struct fixture *f = *state;
    struct outcome *other = fresh(f);
    struct outcome *o = fresh(f);

    o->in_done = cancel_self_and_other;
    o->other = other;
    PEER_SCRIPT(&f->peer, {.reply = NULL}, {.reply = OK_2});
    get(f, other);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 1);
    get(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    expect_canceled(f, other);
}

static struct http_request_handle *handle_in_done;

static void on_done_cancels_itself(void *arg, const struct http_result *result)
{
    struct outcome *o = arg;

    http_client_cancel(o->f->client, handle_in_done);
    on_done(arg, result);
}

static void test_cancel_from_its_own_done(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = OK_2});
    call.done = on_done_cancels_itself;
    send_call(f, o, &call);
    handle_in_done = o->handle;
    BED_RUN_UNTIL(&f->bed, o->done);
    bed_run_for_ms(&f->bed, 20);
    assert_int_equal(o->done, 1);
    assert_int_equal(o->code, ERR_NONE);
}

static void send_other(struct outcome *o)
{
    if (!o->other->f) {
        get(o->f, o->other);
    }
}

static void test_send_from_chunk_and_done(void **state)
{
    struct fixture *f = *state;
    struct outcome *c = fresh(f);
    struct outcome *b = fresh(f);
    struct outcome *a = fresh(f);

    b->in_done = send_other;
    b->other = c;
    a->in_chunk = send_other;
    a->other = b;
    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n"}, {.reply = OK_2}, {.reply = OK_2});
    stream(f, a);
    BED_RUN_UNTIL(&f->bed, b->done);
    BED_RUN_UNTIL(&f->bed, c->done);
    assert_int_equal(b->code, ERR_NONE);
    assert_int_equal(c->code, ERR_NONE);
    assert_int_equal(a->done, 0);
}

static void close_client(struct outcome *o)
{
    struct fixture *f = o->f;

    if (f->client) {
        http_client_close(f->client, bed_on_closed, &f->closed);
        f->client = NULL;
    }
}

static void test_close_in_flight(void **state)
{
    struct fixture *f = *state;
    struct outcome *queued = fresh(f);
    struct outcome *waiting = fresh(f);
    struct outcome *streaming = fresh(f);
    struct http_call call;
    struct err e = {0};

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n"}, {.reply = NULL});
    stream(f, streaming);
    BED_RUN_UNTIL(&f->bed, streaming->chunks);
    get(f, waiting);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 2);
    get(f, queued);
    struct http_client *client = f->client;
    close_client(queued);
    assert_false(f->closed);
    assert_int_equal(queued->done + waiting->done + streaming->done, 0);
    call = call_of(f, queued);
    assert_null(http_client_send(client, &call, &e));
    assert_int_equal(e.code, ERR_CANCELED);
    BED_RUN_UNTIL(&f->bed, f->closed);
    assert_int_equal(queued->done, 1);
    assert_int_equal(waiting->done, 1);
    assert_int_equal(streaming->done, 1);
    assert_int_equal(queued->code, ERR_CANCELED);
    assert_int_equal(waiting->code, ERR_CANCELED);
    assert_int_equal(streaming->code, ERR_CANCELED);
}

static void test_close_from_chunk(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    o->in_chunk = close_client;
    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"});
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, f->closed);
    assert_int_equal(o->done, 1);
    assert_int_equal(o->code, ERR_CANCELED);
    assert_string_equal(o->chunked, "a");
}

static void test_close_from_done(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    o->in_done = close_client;
    PEER_SCRIPT(&f->peer, {.reply = OK_2});
    get(f, o);
    BED_RUN_UNTIL(&f->bed, f->closed);
    assert_int_equal(o->done, 1);
    assert_int_equal(o->code, ERR_NONE);
}

/* A resolver thread cannot be stopped; to wait for it would stop the loop. */
static void test_hung_resolver(void **state)
{
    struct fixture *f = *state;
    struct outcome *late = fresh(f);
    struct outcome *canceled = fresh(f);
    struct http_call call = call_of(f, late);
    uint64_t start_us = loop_now_us();

    sem_init(&resolver_asked, 0, 0);
    sem_init(&resolver_hangs, 0, 0);
    call.url = "http://hangs.test/";
    call.total_timeout_ms = 60;
    send_call(f, late, &call);
    BED_RUN_UNTIL(&f->bed, late->done);
    assert_int_equal(late->code, ERR_TIMEOUT);
    call = call_of(f, canceled);
    call.url = "http://hangs.test/";
    send_call(f, canceled, &call);
    bed_run_for_ms(&f->bed, 20);
    close_client(canceled);
    BED_RUN_UNTIL(&f->bed, f->closed);
    assert_int_equal(canceled->code, ERR_CANCELED);
    assert_true(loop_now_us() - start_us < 1000 * 1000);
    assert_int_equal(sem_trywait(&resolver_asked), 0);
    sem_post(&resolver_hangs);
    sem_post(&resolver_hangs);
}

static void test_close_from_a_failing_connect(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    o->in_done = close_client;
    peer_close(&f->peer);
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, f->closed);
    assert_int_equal(o->code, ERR_UNAVAILABLE);
}

static void test_close_unused(void **state)
{
    (void)state; /* set_up and tear_down are the test */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_chunks),
        T(test_reset_of_a_quiet_stream),
        T(test_stream_has_no_cap_but_its_refusal_has),
        T(test_receiver_ends_the_stream),
        T(test_cancel_before_it_is_sent),
        T(test_cancel_while_waiting),
        T(test_cancel_within_the_body),
        T(test_cancel_from_its_own_chunk),
        T(test_cancel_another_from_a_chunk),
        T(test_cancel_another_from_done),
        T(test_cancel_from_its_own_done),
        T(test_send_from_chunk_and_done),
        T(test_close_in_flight),
        T(test_close_from_chunk),
        T(test_close_from_done),
        T(test_hung_resolver),
        T(test_close_from_a_failing_connect),
        T(test_close_unused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
