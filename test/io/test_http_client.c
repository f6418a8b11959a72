/* The HTTP client against a peer on plain TCP that misbehaves in every way we know. */
#include "test/io/http_client_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

/* --- what goes well ------------------------------------------------------------------------ */

static void test_get(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = OK_2});
    call.bearer = SV("s3cret");
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_int_equal(o->status, 200);
    assert_string_equal(o->body, "ok");
    assert_true(o->elapsed_us > 0);
    assert_true(peer_got(&f->peer, 0, "GET /path?a=1 HTTP/1.1\r\n"));
    assert_true(peer_got(&f->peer, 0, "Authorization: Bearer s3cret\r\n"));
    assert_true(peer_got(&f->peer, 0, "User-Agent: test-agent/1\r\n"));
    assert_true(peer_got(&f->peer, 0, "Accept: application/json\r\n"));
    assert_false(peer_got(&f->peer, 0, "Accept-Encoding"));
    assert_false(peer_got(&f->peer, 0, "Content-Type"));
}

static void test_body_is_sent_whole(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);
    char body[5000];

    memset(body, 'x', sizeof(body));
    PEER_SCRIPT(&f->peer, {.reply = OK_2});
    call.method = "PATCH";
    call.content_type = "application/merge-patch+json";
    call.body = (struct sv){body, sizeof(body)};
    send_call(f, o, &call);
    memset(body, '?', sizeof(body)); /* it was copied */
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_true(peer_got(&f->peer, 0, "PATCH /path"));
    assert_true(peer_got(&f->peer, 0, "Content-Type: application/merge-patch+json\r\n"));
    assert_true(peer_got(&f->peer, 0, "Content-Length: 5000\r\n"));
    assert_false(peer_got(&f->peer, 0, "Expect"));
    assert_false(peer_got(&f->peer, 0, "Authorization"));
    assert_true(peer_got(&f->peer, 0, "\r\n\r\nxxxx"));
    assert_null(strchr(f->peer.requests[0].text, '?') == strrchr(f->peer.requests[0].text, '?')
                    ? NULL
                    : "the body was not copied");
}

static void test_empty_post(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = "HTTP/1.1 204 No Content\r\n\r\n"});
    call.method = "POST";
    call.content_type = "text/plain";
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_int_equal(o->status, 204);
    assert_true(peer_got(&f->peer, 0, "Content-Length: 0\r\n"));
}

static void test_head_of_something_large(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"});
    call.method = "HEAD";
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_int_equal(o->status, 200);
    assert_true(peer_got(&f->peer, 0, "HEAD /path"));
}

static void test_connection_is_kept(void **state)
{
    struct fixture *f = *state;
    struct outcome *a = fresh(f);
    struct outcome *b = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = OK_2}, {.reply = OK_2});
    get(f, a);
    BED_RUN_UNTIL(&f->bed, a->done);
    get(f, b);
    BED_RUN_UNTIL(&f->bed, b->done);
    assert_int_equal(b->code, ERR_NONE);
    assert_int_equal(f->peer.wires_count, 1);
}

static void test_kept_connection_that_was_closed(void **state)
{
    struct fixture *f = *state;
    struct outcome *a = fresh(f);
    struct outcome *b = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = OK_2, .then = PEER_CLOSE}, {.reply = OK_2});
    get(f, a);
    BED_RUN_UNTIL(&f->bed, a->done);
    get(f, b);
    BED_RUN_UNTIL(&f->bed, b->done);
    assert_int_equal(b->code, ERR_NONE);
    assert_int_equal(f->peer.wires_count, 2);
}

static void test_drip(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
                           .drip = true});
    get(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_string_equal(o->body, "abcd");
}

static void test_refusals_are_answers(void **state)
{
    struct fixture *f = *state;
    static const long statuses[] = {302, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503};
    static const struct peer_step steps[] = {
        /* A redirect is told, never followed. */
        {.reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: "
                  "1\r\n\r\n0"},
        {.reply = "HTTP/1.1 400 X\r\nContent-Length: 1\r\n\r\n1"},
        {.reply = "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\nContent-Length: 1\r\n\r\n2"},
        {.reply = "HTTP/1.1 403 X\r\nContent-Length: 1\r\n\r\n3"},
        {.reply = "HTTP/1.1 404 X\r\nContent-Length: 1\r\n\r\n4"},
        {.reply = "HTTP/1.1 409 X\r\nContent-Length: 1\r\n\r\n5"},
        {.reply = "HTTP/1.1 410 X\r\nContent-Length: 1\r\n\r\n6"},
        {.reply = "HTTP/1.1 422 X\r\nContent-Length: 1\r\n\r\n7"},
        {.reply = "HTTP/1.1 429 X\r\nretry-after:  7 \r\nContent-Length: 1\r\n\r\n8"},
        {.reply = "HTTP/1.1 500 X\r\nContent-Length: 1\r\n\r\n9"},
        {.reply = "HTTP/1.1 503 X\r\nRetry-After: 99999\r\nContent-Length: 1\r\n\r\n0"},
    };

    peer_script(&f->peer, steps, ARRAY_LEN(steps));
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct outcome *o = fresh(f);
        get(f, o);
        BED_RUN_UNTIL(&f->bed, o->done);
        assert_int_equal(o->code, ERR_NONE);
        assert_int_equal(o->status, statuses[i]);
        assert_int_equal(o->body[0], '0' + (int)(i % 10));
        assert_int_equal(o->retry_after_ms, o->status == 429   ? 7000
                                            : o->status == 503 ? HTTP_RETRY_AFTER_MAX_MS
                                                               : 0);
    }
    assert_int_equal(f->peer.requests_count, ARRAY_LEN(statuses));
}

static void test_retry_after_as_a_date_is_none(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = "HTTP/1.1 503 X\r\nContent-Length: 0\r\n"
                                    "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n"});
    get(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->status, 503);
    assert_int_equal(o->retry_after_ms, 0);
}

static void test_interim_responses(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
                                    "HTTP/1.1 100 Continue\r\n\r\n" CHUNKED
                                    "1\r\nx\r\n0\r\nRetry-After: 8\r\n\r\n"});
    stream(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_int_equal(o->status, 200);
    assert_int_equal(o->started, 1);
    assert_int_equal(o->started_status, 200);
    assert_int_equal(o->retry_after_ms, 0); /* neither the hint's nor a trailer's */
    assert_string_equal(o->chunked, "x");
}

static void test_environment_has_no_say(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    PEER_SCRIPT(&f->peer, {.reply = OK_2});
    get(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_int_equal(o->code, ERR_NONE);
}

/* --- what goes wrong -------------------------------------------------------------------------- */

struct failure {
    const char *name;
    struct peer_step step;
    enum err_code code;
    long status; /* -1: before or after the head, by version of libcurl */
};

static const struct failure failures[] = {
    {"RST instead of an answer", {.then = PEER_RESET}, ERR_UNAVAILABLE, 0},
    {"FIN instead of an answer", {.then = PEER_CLOSE}, ERR_UNAVAILABLE, 0},
    {"half-close instead of an answer", {.then = PEER_HALF_CLOSE}, ERR_UNAVAILABLE, 0},
    {"RST within the head",
     {.reply = "HTTP/1.1 200 OK\r\nCont", .then = PEER_RESET},
     ERR_UNAVAILABLE,
     0},
    {"RST within the body",
     {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", .then = PEER_RESET},
     ERR_UNAVAILABLE,
     200},
    {"FIN within the body",
     {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", .then = PEER_CLOSE},
     ERR_UNAVAILABLE,
     200},
    {"half-close within the body",
     {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", .then = PEER_HALF_CLOSE},
     ERR_UNAVAILABLE,
     200},
    {"FIN between chunks",
     {.reply = CHUNKED "1\r\na\r\n", .then = PEER_CLOSE},
     ERR_UNAVAILABLE,
     200},
    {"garbage", {.reply = "\x16\x03\x01 no HTTP at all\r\n\r\n", .then = PEER_CLOSE}, ERR_PROTO, 0},
    {"HTTP/0.9", {.reply = "<html>hello</html>", .then = PEER_CLOSE}, ERR_PROTO, 0},
    {"declared body beyond the cap",
     {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 257\r\n\r\n"},
     ERR_LIMIT,
     -1},
    {"giant Content-Length",
     {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n"},
     ERR_LIMIT,
     -1},
    {"body beyond the cap",
     {.reply = CHUNKED "80\r\n"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
                       "81\r\n"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX\r\n"},
     ERR_LIMIT,
     200},
};

static void test_failures(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        const struct failure *x = &failures[i];
        struct peer peer;
        struct outcome *o = fresh(f);
        struct http_call call = call_of(f, o);

        peer_open(&peer, &f->bed);
        peer_script(&peer, &x->step, 1);
        call.url = peer_url(&peer, "/", f->url, sizeof(f->url));
        send_call(f, o, &call);
        BED_RUN_UNTIL(&f->bed, o->done);
        if (o->code != x->code || (x->status >= 0 && o->status != x->status) ||
            o->body[0] != '\0') {
            fail_msg("%s: %s %ld '%s' (%s)", x->name, err_code_name(o->code), o->status, o->body,
                     o->text);
        }
        assert_string_not_equal(o->text, "");
        assert_true(o->elapsed_us < 1000 * 1000); /* seen at once, not by a timer of libcurl's */
        peer_close(&peer);
    }
}

/* The sizes that libcurl itself must refuse: its words differ by version. */
static void test_absurd_sizes(void **state)
{
    static const struct peer_step steps[] = {
        {.reply = CHUNKED "ffffffffffffffff\r\nabc"},
        {.reply = CHUNKED "fffffffffffffffffffff\r\nabc"},
        {.reply = CHUNKED "-1\r\nabc"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n"},
        {.reply = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct outcome *o = fresh(f);
        struct http_call call = call_of(f, o);
        struct peer peer;

        peer_open(&peer, &f->bed);
        peer_script(&peer, &steps[i], 1);
        call.url = peer_url(&peer, "/", f->url, sizeof(f->url));
        call.total_timeout_ms = 300;
        send_call(f, o, &call);
        BED_RUN_UNTIL(&f->bed, o->done);
        assert_int_not_equal(o->code, ERR_NONE);
        peer_close(&peer);
    }
}

static void test_endless_head(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    size_t len = 4 * 1024 * 1024;
    AUTO_FREE char *reply = xmalloc(len + 1);
    struct peer_step step = {.reply = reply, .reply_len = len};

    memset(reply, 'x', len);
    memcpy(reply, "HTTP/1.1 200 OK\r\nX: ", 20);
    reply[len] = '\0';
    peer_script(&f->peer, &step, 1);
    get(f, o);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_true(o->code == ERR_LIMIT || o->code == ERR_PROTO || o->code == ERR_UNAVAILABLE);
    assert_true(o->elapsed_us < 4 * 1000 * 1000);
}

/* The kernel tells the reset first; the answer lies in front of it. */
static void test_answer_before_a_reset_counts(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);

    PEER_SCRIPT(&f->peer, {.reply = OK_2, .then = PEER_RESET});
    get(f, o);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 1);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_string_equal(o->body, "ok");
}

static void test_refused_connection(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    peer_close(&f->peer);
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_UNAVAILABLE);
    assert_int_equal(o->status, 0);
    assert_true(o->elapsed_us < 1000 * 1000);
}

static void test_urls_that_are_refused(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", ""};
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct err e = {0};
        call.url = urls[i];
        assert_null(http_client_send(f->client, &call, &e));
        assert_int_equal(e.code, ERR_INVAL);
    }
    bed_run_for_ms(&f->bed, 20);
    assert_int_equal(o->done, 0);
    call.url = "http://[::1:bad/";
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_INVAL);
}

/* --- time-outs -------------------------------------------------------------------------------- */

static void test_silence_meets_the_total_time_out(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    call.total_timeout_ms = 60;
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_TIMEOUT);
    assert_in_range(o->elapsed_us, 60 * 1000, 2000 * 1000);
    assert_int_equal(f->peer.requests_count, 1);
    /* Nothing may be left to fire a second time. */
    bed_run_for_ms(&f->bed, 30);
    assert_int_equal(o->done, 1);
}

static void test_silence_meets_the_idle_time_out(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED "1\r\na\r\n"});
    call.total_timeout_ms = 0;
    call.idle_timeout_ms = 80;
    call.chunk = on_chunk;
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, o->chunks);
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_TIMEOUT);
    assert_int_equal(o->status, 200);
    assert_in_range(o->elapsed_us, 80 * 1000, 2000 * 1000);
}

static void test_each_byte_ends_the_idleness(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED});
    call.total_timeout_ms = 0;
    call.idle_timeout_ms = 100;
    call.chunk = on_chunk;
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 1);
    for (int i = 0; i < 12; i++) {
        bed_run_for_ms(&f->bed, 25);
        assert_int_equal(o->done, 0);
        wire_send(peer_wire(&f->peer, 0), SV("1\r\na\r\n"));
    }
    wire_send(peer_wire(&f->peer, 0), SV("0\r\n\r\n"));
    BED_RUN_UNTIL(&f->bed, o->done);
    assert_int_equal(o->code, ERR_NONE);
    assert_string_equal(o->chunked, "aaaaaaaaaaaa");
}

static void test_drip_does_not_outlive_the_total_time_out(void **state)
{
    struct fixture *f = *state;
    struct outcome *o = fresh(f);
    struct http_call call = call_of(f, o);

    PEER_SCRIPT(&f->peer, {.reply = CHUNKED});
    call.total_timeout_ms = 100;
    call.idle_timeout_ms = 1000;
    call.chunk = on_chunk;
    send_call(f, o, &call);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 1);
    for (int i = 0; i < 200 && !o->done; i++) {
        wire_send(peer_wire(&f->peer, 0), SV("1\r\na\r\n"));
        bed_run_for_ms(&f->bed, 10);
    }
    assert_int_equal(o->done, 1);
    assert_int_equal(o->code, ERR_TIMEOUT);
}

/* --- caps ------------------------------------------------------------------------------------- */

static void test_caps_on_requests_and_connections(void **state)
{
    struct fixture *f = *state;
    static struct outcome all[HTTP_CLIENT_REQUESTS_MAX];
    struct outcome *one_more = fresh(f);
    struct http_call call = call_of(f, one_more);
    struct err e = {0};

    memset(all, 0, sizeof(all));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        get(f, &all[i]);
    }
    assert_null(http_client_send(f->client, &call, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == HTTP_CLIENT_CONNECTIONS_MAX);
    bed_run_for_ms(&f->bed, 50);
    assert_int_equal(f->peer.wires_count, HTTP_CLIENT_CONNECTIONS_MAX);
    /* The others come as soon as there is room: everyone is answered from now on. */
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count > i);
        wire_send(peer_wire(&f->peer, i), SV(OK_2));
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        BED_RUN_UNTIL(&f->bed, all[i].done);
        assert_int_equal(all[i].code, ERR_NONE);
    }
    assert_int_equal(f->peer.wires_count, HTTP_CLIENT_CONNECTIONS_MAX);
}

static void test_waiting_for_a_connection_times_out(void **state)
{
    struct fixture *f = *state;
    static struct outcome all[HTTP_CLIENT_CONNECTIONS_MAX];
    struct outcome *late = fresh(f);
    struct http_call call = call_of(f, late);

    memset(all, 0, sizeof(all));
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        get(f, &all[i]);
    }
    call.total_timeout_ms = 80;
    send_call(f, late, &call);
    BED_RUN_UNTIL(&f->bed, late->done);
    assert_int_equal(late->code, ERR_TIMEOUT);
    assert_int_equal(f->peer.requests_count, HTTP_CLIENT_CONNECTIONS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_get),
        T(test_body_is_sent_whole),
        T(test_empty_post),
        T(test_head_of_something_large),
        T(test_connection_is_kept),
        T(test_kept_connection_that_was_closed),
        T(test_drip),
        T(test_refusals_are_answers),
        T(test_retry_after_as_a_date_is_none),
        T(test_interim_responses),
        T(test_environment_has_no_say),
        T(test_failures),
        T(test_absurd_sizes),
        T(test_endless_head),
        T(test_answer_before_a_reset_counts),
        T(test_refused_connection),
        T(test_urls_that_are_refused),
        T(test_silence_meets_the_total_time_out),
        T(test_silence_meets_the_idle_time_out),
        T(test_each_byte_ends_the_idleness),
        T(test_drip_does_not_outlive_the_total_time_out),
        T(test_caps_on_requests_and_connections),
        T(test_waiting_for_a_connection_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
