/* Single requests to the API server: what is sent, what comes of each answer. */
#include "test/io/kube_fixture.h"

#include <string.h>
#include <unistd.h>

static struct kube_answer *start_get(struct kube_fixture *f)
{
    struct kube_answer *a = kube_answer(f);
    struct err e = {0};

    assert_int_equal(kube_client_get_pod(f->client, "redis-0", kube_on_done, a, &e), 0);
    assert_int_equal(a->done, 0);
    return a;
}

static struct kube_answer *start_patch(struct kube_fixture *f, const char *patch)
{
    struct kube_answer *a = kube_answer(f);
    struct err e = {0};

    assert_int_equal(kube_client_patch_pod(f->client, "redis-0", sv_from(patch), kube_on_done, a,
                                           &e),
                     0);
    return a;
}

static uint64_t counted(const struct kube_fixture *f, enum kube_verb verb,
                        enum kube_outcome outcome)
{
    return kube_client_counters(f->client)->requests[verb][outcome];
}

static uint64_t counted_in_all(const struct kube_fixture *f)
{
    uint64_t sum = 0;

    for (size_t v = 0; v < KUBE_VERB_COUNT; v++) {
        for (size_t o = 0; o < KUBE_OUTCOME_COUNT; o++) {
            sum += kube_client_counters(f->client)->requests[v][o];
        }
    }
    return sum;
}

/* --- what is sent ----------------------------------------------------------------------------- */

static void test_get(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = start_get(f);

    kube_expect_request(f, 0, "GET /api/v1/namespaces/ns/pods/redis-0 HTTP/1.1\r\n");
    kube_expect_request(f, 0, "Authorization: Bearer token-1\r\n");
    kube_expect_request(f, 0, "Accept: application/json\r\n");
    kube_expect_request(f, 0, "User-Agent: test-agent/1\r\n");
    kube_reply(f, 0, "200 OK", POD_JSON("redis-0", "42"));
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->code, ERR_NONE);
    assert_int_equal(a->http_status, 200);
    assert_true(a->has_pod);
    assert_string_equal(a->pod.resource_version, "42");
    assert_true(a->elapsed_us > 0);
    assert_int_equal(counted(f, KUBE_VERB_GET, KUBE_OUTCOME_2XX), 1);
    assert_int_equal(counted_in_all(f), 1);
}

static void test_patch(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = start_patch(f, "{\"metadata\":{}}");

    kube_expect_request(f, 0, "PATCH /api/v1/namespaces/ns/pods/redis-0 HTTP/1.1\r\n");
    kube_expect_request(f, 0, "Content-Type: application/merge-patch+json\r\n");
    kube_expect_request(f, 0, "\r\n\r\n{\"metadata\":{}}");
    kube_reply(f, 0, "200 OK", POD_JSON("redis-0", "43"));
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_true(a->has_pod);
    assert_int_equal(counted(f, KUBE_VERB_PATCH, KUBE_OUTCOME_2XX), 1);
}

static void test_create_event(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = kube_answer(f);
    struct err e = {0};

    assert_int_equal(kube_client_create_event(f->client, SV("{\"a\":1}"), kube_on_done, a, &e), 0);
    kube_expect_request(f, 0, "POST /api/v1/namespaces/ns/events HTTP/1.1\r\n");
    kube_expect_request(f, 0, "Content-Type: application/json\r\n");
    kube_expect_request(f, 0, "\r\n\r\n{\"a\":1}");
    kube_reply(f, 0, "201 Created", "{\"kind\":\"Event\"}");
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->code, ERR_NONE);
    assert_int_equal(a->http_status, 201);
    assert_false(a->has_pod);
    assert_int_equal(counted(f, KUBE_VERB_CREATE, KUBE_OUTCOME_2XX), 1);
}

static void test_names_are_escaped(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = kube_answer(f);
    struct err e = {0};

    assert_int_equal(kube_client_get_pod(f->client, "../a b?c", kube_on_done, a, &e), 0);
    kube_expect_request(f, 0, "GET /api/v1/namespaces/ns/pods/..%2Fa%20b%3Fc HTTP/1.1\r\n");
    assert_int_equal(kube_client_get_pod(f->client, "", kube_on_done, a, &e), -1);
    assert_int_equal(e.code, ERR_INVAL);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    static const struct {
        const char *status;
        const char *body;
        long code;
        const char *reason; /* NULL: the body is no Status */
        enum kube_outcome outcome;
    } refusals[] = {
        {"403 Forbidden", STATUS_JSON("403", "Forbidden"), 403, "Forbidden", KUBE_OUTCOME_403},
        {"404 Not Found", STATUS_JSON("404", "NotFound"), 404, "NotFound", KUBE_OUTCOME_404},
        {"409 Conflict", STATUS_JSON("409", "Conflict"), 409, "Conflict", KUBE_OUTCOME_409},
        {"410 Gone", STATUS_JSON("410", "Expired"), 410, "Expired", KUBE_OUTCOME_410},
        {"422 X", STATUS_JSON("422", "Invalid"), 422, "Invalid", KUBE_OUTCOME_422},
        {"429 X", STATUS_JSON("429", "TooManyRequests"), 429, "TooManyRequests", KUBE_OUTCOME_429},
        {"418 X", "short and stout", 418, NULL, KUBE_OUTCOME_4XX},
        {"302 X", "", 302, NULL, KUBE_OUTCOME_4XX},
        {"500 X", STATUS_JSON("500", "InternalError"), 500, "InternalError", KUBE_OUTCOME_5XX},
        {"503 X", "{\"kind\":\"Sta", 503, NULL, KUBE_OUTCOME_5XX},
    };
    struct kube_fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct kube_answer *a;
        f->answers_used = 0;
        memset(f->answers, 0, sizeof(f->answers));
        a = start_patch(f, "{}");
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count > i);
        kube_reply(f, i, refusals[i].status, refusals[i].body);
        BED_RUN_UNTIL(&f->bed, a->done);
        assert_int_equal(a->code, ERR_NONE);
        assert_int_equal(a->http_status, refusals[i].code);
        assert_false(a->has_pod);
        assert_int_equal(a->has_status, refusals[i].reason != NULL);
        if (refusals[i].reason) {
            assert_string_equal(a->status.reason, refusals[i].reason);
        }
        assert_true(counted(f, KUBE_VERB_PATCH, refusals[i].outcome) > 0);
        assert_int_equal(counted_in_all(f), i + 1);
    }
    assert_int_equal(f->peer.requests_count, ARRAY_LEN(refusals)); /* none was sent twice */
}

static void test_retry_after_of_header_and_status(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = start_get(f);

    PEER_SCRIPT(&f->peer,
                {.reply = HEAD_OF("429 X") "Retry-After: 3\r\nContent-Length: 2\r\n\r\n{}"},
                {.reply = HEAD_OF("429 X") "Retry-After: 3\r\nContent-Length: 66\r\n\r\n"
                                           "{\"kind\":\"Status\",\"code\":429,\"details\":{"
                                           "\"retryAfterSeconds\":9}}     "});
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->retry_after_ms, 3000);
    a = start_get(f);
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->retry_after_ms, 9000);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void test_401_reads_the_token_again_and_retries(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = start_patch(f, "{\"x\":1}");

    kube_expect_request(f, 0, "Bearer token-1\r\n");
    kube_write_token(f, "token-2\n");
    kube_reply(f, 0, "401 Unauthorized", STATUS_JSON("401", "Unauthorized"));
    kube_expect_request(f, 1, "Bearer token-2\r\n");
    kube_expect_request(f, 1, "\r\n\r\n{\"x\":1}");
    assert_int_equal(a->done, 0);
    kube_reply(f, 1, "200 OK", POD_JSON("redis-0", "1"));
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->code, ERR_NONE);
    assert_int_equal(a->http_status, 200);
    assert_int_equal(counted(f, KUBE_VERB_PATCH, KUBE_OUTCOME_401), 1);
    assert_int_equal(counted(f, KUBE_VERB_PATCH, KUBE_OUTCOME_2XX), 1);
}

static void test_401_twice_is_told(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = start_get(f);

    for (size_t i = 0; i < 2; i++) {
        kube_expect_request(f, i, "Bearer token-1\r\n");
        kube_reply(f, i, "401 Unauthorized", STATUS_JSON("401", "Unauthorized"));
    }
    BED_RUN_UNTIL(&f->bed, a->done);
    bed_run_for_ms(&f->bed, 50);
    assert_int_equal(a->done, 1);
    assert_int_equal(a->http_status, 401);
    assert_true(a->has_status);
    assert_int_equal(f->peer.requests_count, 2);
}

static void test_changed_token_is_used(void **state)
{
    struct kube_fixture *f = *state;

    start_get(f);
    kube_expect_request(f, 0, "Bearer token-1\r\n");
    kube_write_token(f, "token-two");
    start_get(f);
    kube_expect_request(f, 1, "Bearer token-two\r\n");
    unlink(f->token_file);
    kube_client_reload(f->client);
    start_get(f); /* the last good one, as long as the server takes it */
    kube_expect_request(f, 2, "Bearer token-two\r\n");
}

static void test_without_a_token(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = kube_answer(f);
    struct err e = {0};

    unlink(f->token_file);
    kube_new_client(f);
    assert_int_equal(kube_client_get_pod(f->client, "redis-0", kube_on_done, a, &e), -1);
    assert_int_equal(strncmp(e.msg, "token: ", 7), 0);
    f->cfg.token_file = NULL;
    kube_new_client(f);
    start_get(f);
    kube_expect_request(f, 0, "GET ");
    assert_false(peer_got(&f->peer, 0, "Authorization"));
    kube_write_token(f, "x"); /* for tear_down */
}

/* --- answers that are none -------------------------------------------------------------------- */

static void test_bad_answers(void **state)
{
    static const struct {
        struct peer_step step;
        enum err_code code;
    } bad[] = {
        {{.reply = HEAD_OF("200 OK") "Content-Length: 10\r\n\r\n{\"kind\":\"P"}, ERR_PROTO},
        {{.reply = HEAD_OF("200 OK") "Content-Length: 0\r\n\r\n"}, ERR_PROTO},
        {{.reply = HEAD_OF("200 OK") "Content-Length: 15\r\n\r\n{\"kind\":\"List\"}"}, ERR_PROTO},
        {{.reply = HEAD_OF("200 OK") "Content-Length: 9999\r\n\r\n{", .then = PEER_RESET},
         ERR_UNAVAILABLE},
        {{.reply = HEAD_OF("200 OK") "Content-Length: 99999999\r\n\r\n{"}, ERR_LIMIT},
        {{.reply = "SSH-2.0-OpenSSH_9.2\r\n", .then = PEER_CLOSE}, ERR_PROTO},
        {{.then = PEER_RESET}, ERR_UNAVAILABLE},
    };
    struct kube_fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct kube_answer *a;
        f->answers_used = 0;
        memset(f->answers, 0, sizeof(f->answers));
        kube_new_client(f); /* with a connection of its own: nothing is sent twice */
        a = start_get(f);
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count > i);
        peer_act(&f->peer, i, &bad[i].step);
        BED_RUN_UNTIL(&f->bed, a->done);
        assert_int_equal(a->code, bad[i].code);
        assert_int_equal(a->http_status, 0);
        assert_false(a->has_pod);
    }
}

static void test_silence(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a;

    f->cfg.request_timeout_ms = 80;
    kube_new_client(f);
    a = start_get(f);
    BED_RUN_UNTIL(&f->bed, a->done);
    assert_int_equal(a->code, ERR_TIMEOUT);
    assert_int_equal(counted(f, KUBE_VERB_GET, KUBE_OUTCOME_NONE), 1);
}

static void test_close_in_flight(void **state)
{
    struct kube_fixture *f = *state;
    struct kube_answer *a = start_get(f);
    struct kube_answer *b = start_patch(f, "{}");
    struct kube_answer *never = kube_answer(f);
    struct kube_client *client = f->client;
    struct err e = {0};

    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 2);
    kube_reply(f, 0, "401 Unauthorized", "{}"); /* its second try comes too late */
    kube_client_close(f->client, bed_on_closed, &f->closed);
    f->client = NULL;
    assert_int_equal(kube_client_get_pod(client, "redis-0", kube_on_done, never, &e), -1);
    kube_client_watch_start(client, "");
    BED_RUN_UNTIL(&f->bed, f->closed);
    assert_int_equal(a->done, 1);
    assert_int_equal(b->done, 1);
    assert_int_equal(a->code, ERR_CANCELED);
    assert_int_equal(b->code, ERR_CANCELED);
    assert_int_equal(never->done, 0);
}

static void test_names_of_counters(void **state)
{
    (void)state;
    assert_string_equal(kube_verb_name(KUBE_VERB_PATCH), "patch");
    assert_string_equal(kube_outcome_name(KUBE_OUTCOME_NONE), "no_response");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KUBE_TEST(test_get),
        KUBE_TEST(test_patch),
        KUBE_TEST(test_create_event),
        KUBE_TEST(test_names_are_escaped),
        KUBE_TEST(test_refusals),
        KUBE_TEST(test_retry_after_of_header_and_status),
        KUBE_TEST(test_401_reads_the_token_again_and_retries),
        KUBE_TEST(test_401_twice_is_told),
        KUBE_TEST(test_changed_token_is_used),
        KUBE_TEST(test_without_a_token),
        KUBE_TEST(test_bad_answers),
        KUBE_TEST(test_silence),
        KUBE_TEST(test_close_in_flight),
        KUBE_TEST(test_names_of_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
