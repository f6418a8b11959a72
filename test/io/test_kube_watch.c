/* LIST+WATCH against a peer in the place of the API server. What the owner is told is
 * compared as a whole, word by word. */
#include "test/io/kube_fixture.h"

#include <string.h>
#include <unistd.h>

#define LIST_OF_TWO LIST_JSON("10", "", POD_JSON("a", "3") "," POD_JSON("b", "4"))
#define TOLD_TWO "resync pod:a@3 pod:b@4 synced"
#define GONE_EVENT "{\"type\":\"ERROR\",\"object\":" STATUS_JSON("410", "Expired") "}\n"

/* Lists two Pods and opens the watch: request 0 and 1. */
static void start(struct kube_fixture *f)
{
    kube_client_watch_start(f->client, NULL);
    kube_expect_request(f, 0, "GET /api/v1/namespaces/ns/pods?limit=100 HTTP/1.1\r\n");
    kube_reply(f, 0, "200 OK", LIST_OF_TWO);
    kube_expect_request(f, 1,
                        "GET /api/v1/namespaces/ns/pods?watch=true&allowWatchBookmarks=true&");
    kube_expect_request(f, 1, "&resourceVersion=10 HTTP/1.1\r\n");
    kube_expect_told(f, TOLD_TWO);
}

static uint64_t counted(const struct kube_fixture *f, enum kube_verb verb,
                        enum kube_outcome outcome)
{
    return kube_client_counters(f->client)->requests[verb][outcome];
}

/* --- what goes well --------------------------------------------------------------------------- */

static void test_list_then_watch(void **state)
{
    struct kube_fixture *f = *state;
    const char *timeout;
    uint64_t timeout_s;

    kube_client_watch_start(f->client, NULL);
    assert_int_equal(f->peer.requests_count, 0);
    assert_string_equal(buf_str(&f->told), "");
    start(f);
    timeout = strstr(f->peer.requests[1].text, "timeoutSeconds=");
    assert_non_null(timeout);
    assert_true(sv_to_u64((struct sv){timeout + 15, 3}, &timeout_s));
    assert_in_range(timeout_s, 300, 600);

    kube_stream(f, 1);
    kube_send(f, 1, SV(EVENT_JSON("ADDED", "c", "11") EVENT_JSON("MODIFIED", "a", "12")));
    kube_send(f, 1, SV(EVENT_JSON("DELETED", "b", "13")));
    kube_expect_told(f, TOLD_TWO " pod:c@11 pod:a@12 gone:b@13");
    assert_int_equal(counted(f, KUBE_VERB_LIST, KUBE_OUTCOME_2XX), 1);
    assert_int_equal(kube_client_counters(f->client)->watch_restarts, 0);
}

static void test_selector_is_escaped(void **state)
{
    struct kube_fixture *f = *state;

    kube_client_watch_start(f->client, "app=redis,role in (a, b)");
    kube_expect_request(f, 0, "&labelSelector=app%3Dredis%2Crole%20in%20%28a%2C%20b%29 HTTP/1.1");
    kube_reply(f, 0, "200 OK", LIST_OF_TWO);
    kube_expect_request(f, 1, "&labelSelector=app%3Dredis%2Crole%20in%20%28a%2C%20b%29&");
}

static void test_pages(void **state)
{
    struct kube_fixture *f = *state;

    kube_client_watch_start(f->client, "x");
    kube_expect_request(f, 0, "pods?limit=100&labelSelector=x HTTP/1.1");
    kube_reply(f, 0, "200 OK", LIST_JSON("10", "tok/=+en", POD_JSON("a", "3")));
    kube_expect_request(f, 1, "pods?limit=100&labelSelector=x&continue=tok%2F%3D%2Ben HTTP/1.1");
    kube_expect_told(f, "resync pod:a@3");
    kube_reply(f, 1, "200 OK", LIST_JSON("10", "more", ""));
    kube_expect_request(f, 2, "&continue=more ");
    kube_reply(f, 2, "200 OK", LIST_JSON("10", "", POD_JSON("b", "4")));
    kube_expect_request(f, 3, "watch=true");
    kube_expect_request(f, 3, "&resourceVersion=10 ");
    kube_expect_told(f, TOLD_TWO);
}

static void test_empty_list(void **state)
{
    struct kube_fixture *f = *state;

    kube_client_watch_start(f->client, NULL);
    kube_expect_request(f, 0, "limit");
    kube_reply(f, 0, "200 OK", LIST_JSON("10", "", ""));
    kube_expect_request(f, 1, "resourceVersion=10 ");
    kube_expect_told(f, "resync synced");
}

/* Each split of the stream into two chunks gives the same events. */
static void test_line_split_anywhere(void **state)
{
    static const char text[] = EVENT_JSON("ADDED", "c", "11") EVENT_JSON("DELETED", "b", "12");
    struct kube_fixture *f = *state;

    for (size_t cut = 1; cut < sizeof(text) - 1; cut += 7) {
        size_t first = f->peer.requests_count;
        buf_reset(&f->told);
        kube_client_watch_start(f->client, NULL);
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count == first + 1);
        kube_reply(f, first, "200 OK", LIST_OF_TWO);
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count == first + 2);
        kube_stream(f, first + 1);
        kube_send(f, first + 1, (struct sv){text, cut});
        bed_run_for_ms(&f->bed, 6);
        kube_send(f, first + 1, (struct sv){text + cut, sizeof(text) - 1 - cut});
        kube_expect_told(f, TOLD_TWO " pod:c@11 gone:b@12");
    }
}

static void test_drip(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    wire_drip(peer_wire(&f->peer, 1), SV("HTTP/1.1 200 OK\r\n\r\n" EVENT_JSON("ADDED", "c", "11")));
    kube_expect_told(f, TOLD_TWO " pod:c@11");
}

/* --- ends in order ---------------------------------------------------------------------------- */

static void test_end_goes_on_from_the_last_event(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    kube_send(f, 1, SV(EVENT_JSON("ADDED", "c", "11") EVENT_JSON("DELETED", "c", "12")));
    kube_end(f, 1);
    kube_expect_request(f, 2, "&resourceVersion=12 ");
    kube_stream(f, 2);
    kube_send(f, 2, SV(EVENT_JSON("ADDED", "d", "13")));
    kube_expect_told(f, TOLD_TWO " pod:c@11 gone:c@12 pod:d@13");
    assert_int_equal(kube_client_counters(f->client)->watch_restarts, 1);
    assert_int_equal(counted(f, KUBE_VERB_WATCH, KUBE_OUTCOME_2XX), 1);
    assert_int_equal(counted(f, KUBE_VERB_LIST, KUBE_OUTCOME_2XX), 1);
}

static void test_end_goes_on_from_a_bookmark(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    kube_send(f, 1, SV(BOOKMARK_JSON("77")));
    kube_end(f, 1);
    kube_expect_request(f, 2, "&resourceVersion=77 ");
    kube_expect_told(f, TOLD_TWO);
}

/* Half a line at the end was not told: it comes again. */
static void test_end_within_a_line(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    kube_send(f, 1, SV(EVENT_JSON("ADDED", "c", "11") "{\"type\":\"ADDED\",\"obj"));
    kube_end(f, 1);
    kube_expect_request(f, 2, "&resourceVersion=11 ");
    kube_stream(f, 2);
    kube_send(f, 2, SV(EVENT_JSON("ADDED", "d", "12")));
    kube_expect_told(f, TOLD_TWO " pod:c@11 pod:d@12");
}

/* A server that ends every watch at once must not be asked in a circle. */
static void test_watch_that_ends_at_once_is_slowed_down(void **state)
{
    struct kube_fixture *f = *state;
    size_t answered = 1;
    uint64_t end_us;

    start(f);
    end_us = loop_now_us() + 1000 * 1000;
    while (loop_now_us() < end_us) {
        for (; answered < f->peer.requests_count; answered++) {
            kube_stream(f, answered);
            kube_send(f, answered, SV(BOOKMARK_JSON("20")));
            kube_end(f, answered);
        }
        uv_run(&f->bed.loop, UV_RUN_ONCE);
    }
    assert_in_range(f->peer.requests_count, 4, 15);
    kube_expect_told(f, TOLD_TWO);
}

/* --- failures --------------------------------------------------------------------------------- */

static void test_hung_watch_is_found(void **state)
{
    struct kube_fixture *f = *state;
    uint64_t start_us;

    f->cfg.watch_idle_ms = 150;
    kube_new_client(f);
    start(f);
    kube_stream(f, 1);
    kube_send(f, 1, SV(BOOKMARK_JSON("15")));
    start_us = loop_now_us();
    kube_expect_told(f, TOLD_TWO " down:timeout");
    assert_in_range(loop_now_us() - start_us, 140 * 1000, 1500 * 1000);
    kube_expect_request(f, 2, "&resourceVersion=15 ");
    assert_int_not_equal(f->peer.requests[2].wire, f->peer.requests[1].wire);
    kube_stream(f, 2); /* and it is live again, without a list */
    kube_expect_told(f, TOLD_TWO " down:timeout synced");
}

static void test_watch_that_never_answers_is_found(void **state)
{
    struct kube_fixture *f = *state;

    f->cfg.watch_idle_ms = 100;
    kube_new_client(f);
    start(f);
    kube_expect_told(f, TOLD_TWO " down:timeout");
    kube_expect_request(f, 2, "&resourceVersion=10 ");
}

static void test_bookmarks_keep_it_alive(void **state)
{
    struct kube_fixture *f = *state;

    f->cfg.watch_idle_ms = 150;
    kube_new_client(f);
    start(f);
    kube_stream(f, 1);
    for (int i = 0; i < 10; i++) {
        kube_send(f, 1, SV(BOOKMARK_JSON("15")));
        bed_run_for_ms(&f->bed, 50);
    }
    kube_expect_told(f, TOLD_TWO);
    assert_int_equal(f->peer.requests_count, 2);
}

static void test_reset_goes_on_from_the_last_event(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    kube_send(f, 1, SV(EVENT_JSON("ADDED", "c", "11")));
    kube_expect_told(f, TOLD_TWO " pod:c@11");
    peer_act(&f->peer, 1, &(struct peer_step){.then = PEER_RESET});
    kube_expect_told(f, TOLD_TWO " pod:c@11 down:unavailable");
    kube_expect_request(f, 2, "&resourceVersion=11 ");
    kube_stream(f, 2);
    kube_expect_told(f, TOLD_TWO " pod:c@11 down:unavailable synced");
}

static void test_half_close_goes_on(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    kube_send(f, 1, SV(EVENT_JSON("ADDED", "c", "11")));
    wire_half_close(peer_wire(&f->peer, 1));
    kube_expect_told(f, TOLD_TWO " pod:c@11 down:unavailable");
    kube_expect_request(f, 2, "&resourceVersion=11 ");
}

static void relist(struct kube_fixture *f, size_t request, const char *told_before)
{
    char told[256];

    kube_expect_request(f, request, "pods?limit=100 ");
    kube_expect_told(f, told_before);
    kube_reply(f, request, "200 OK", LIST_JSON("30", "", POD_JSON("a", "3")));
    snprintf(told, sizeof(told), "%s resync pod:a@3 synced", told_before);
    kube_expect_told(f, told);
    kube_expect_request(f, request + 1, "&resourceVersion=30 ");
}

static void test_410_as_a_status(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_reply(f, 1, "410 Gone", STATUS_JSON("410", "Expired"));
    relist(f, 2, TOLD_TWO " down:410");
    assert_int_equal(counted(f, KUBE_VERB_WATCH, KUBE_OUTCOME_410), 1);
}

static void test_410_as_an_event(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    /* What stands behind it belongs to nothing any more. */
    kube_send(f, 1, SV(EVENT_JSON("ADDED", "c", "11") GONE_EVENT EVENT_JSON("ADDED", "d", "12")));
    relist(f, 2, TOLD_TWO " pod:c@11 down:410");
}

static void test_other_error_event(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_stream(f, 1);
    kube_send(f, 1,
              SV("{\"type\":\"ERROR\",\"object\":" STATUS_JSON("500", "InternalError") "}\n"));
    relist(f, 2, TOLD_TWO " down:500");
}

static void test_broken_lines(void **state)
{
    static const char *const lines[] = {
        "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"\n",
        "no JSON\n",
        "{\"type\":\"SURPRISE\",\"object\":{}}\n",
        "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{}}}\n",
    };
    struct kube_fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        size_t first;
        kube_new_client(f);
        buf_reset(&f->told);
        first = f->peer.requests_count;
        kube_client_watch_start(f->client, NULL);
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count == first + 1);
        kube_reply(f, first, "200 OK", LIST_OF_TWO);
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count == first + 2);
        kube_stream(f, first + 1);
        kube_send(f, first + 1, sv_from(lines[i]));
        relist(f, first + 2, TOLD_TWO " down:protocol");
    }
}

static void test_endless_line(void **state)
{
    struct kube_fixture *f = *state;
    char piece[65536];

    start(f);
    kube_stream(f, 1);
    memset(piece, 'x', sizeof(piece));
    for (size_t i = 0; i < POD_JSON_MAX / sizeof(piece) + 2; i++) {
        kube_send(f, 1, (struct sv){piece, sizeof(piece)});
    }
    relist(f, 2, TOLD_TWO " down:limit");
}

static void test_refusals_of_a_watch(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    kube_reply(f, 1, "403 Forbidden", STATUS_JSON("403", "Forbidden"));
    kube_expect_told(f, TOLD_TWO " down:403");
    kube_expect_request(f, 2, "&resourceVersion=10 ");
    kube_reply(f, 2, "503 X", "{}");
    kube_expect_told(f, TOLD_TWO " down:403 down:503");
    kube_expect_request(f, 3, "&resourceVersion=10 ");
    kube_stream(f, 3);
    kube_expect_told(f, TOLD_TWO " down:403 down:503 synced");
}

static void test_third_failure_in_a_row_lists_again(void **state)
{
    struct kube_fixture *f = *state;

    start(f);
    for (size_t i = 1; i <= KUBE_WATCH_RELIST_AFTER; i++) {
        kube_expect_request(f, i, "&resourceVersion=10 ");
        kube_reply(f, i, "504 X", "{}");
    }
    relist(f, KUBE_WATCH_RELIST_AFTER + 1, TOLD_TWO " down:504 down:504 down:504");
}

static void test_401_is_tried_again(void **state)
{
    struct kube_fixture *f = *state;

    kube_client_watch_start(f->client, NULL);
    kube_expect_request(f, 0, "Bearer token-1");
    kube_write_token(f, "token-two");
    kube_reply(f, 0, "401 Unauthorized", "{}");
    kube_expect_request(f, 1, "Bearer token-two");
    kube_reply(f, 1, "200 OK", LIST_OF_TWO);
    kube_expect_request(f, 2, "&resourceVersion=10 ");
    kube_write_token(f, "token-three");
    kube_reply(f, 2, "401 Unauthorized", "{}");
    kube_expect_request(f, 3, "Bearer token-three");
    kube_expect_request(f, 3, "&resourceVersion=10 ");
    kube_reply(f, 3, "401 Unauthorized", "{}");
    kube_expect_told(f, TOLD_TWO " down:401");
}

static void test_retry_after_is_honoured(void **state)
{
    struct kube_fixture *f = *state;
    uint64_t start_us;

    start(f);
    peer_act(&f->peer, 1,
             &(struct peer_step){
                 .reply = HEAD_OF("429 X") "Retry-After: 1\r\nContent-Length: 0\r\n\r\n"});
    kube_expect_told(f, TOLD_TWO " down:429");
    start_us = loop_now_us();
    kube_expect_request(f, 2, "&resourceVersion=10 ");
    assert_in_range(loop_now_us() - start_us, 1000 * 1000, 3000 * 1000);
}

/* The owner's memory must outlive a list that fails. */
static void test_failing_lists_tell_no_resync(void **state)
{
    static const struct peer_step bad[] = {
        {.then = PEER_RESET},
        {.reply = HEAD_OF("500 X") "Content-Length: 0\r\n\r\n"},
        {.reply = HEAD_OF("200 OK") "Content-Length: 13\r\n\r\n{\"kind\":\"PodL"},
        {.reply = HEAD_OF("200 OK") "Content-Length: 999\r\n\r\n{\"kind\":\"PodL",
         .then = PEER_CLOSE},
        {.reply = HEAD_OF("200 OK") "Content-Length: 99999999\r\n\r\n"},
    };
    struct kube_fixture *f = *state;

    kube_client_watch_start(f->client, NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        kube_expect_request(f, i, "pods?limit=100 ");
        peer_act(&f->peer, i, &bad[i]);
    }
    relist(f, ARRAY_LEN(bad),
           "down:unavailable down:500 down:protocol down:unavailable down:limit");
}

static void test_410_within_a_list(void **state)
{
    struct kube_fixture *f = *state;

    kube_client_watch_start(f->client, NULL);
    kube_expect_request(f, 0, "limit=100 ");
    kube_reply(f, 0, "200 OK", LIST_JSON("10", "token", POD_JSON("z", "1")));
    kube_expect_request(f, 1, "continue=token");
    kube_reply(f, 1, "410 Gone", STATUS_JSON("410", "Expired"));
    relist(f, 2, "resync pod:z@1 down:410");
}

static void test_missing_token_is_told_and_mended(void **state)
{
    struct kube_fixture *f = *state;

    unlink(f->token_file);
    kube_new_client(f);
    kube_client_watch_start(f->client, NULL);
    assert_string_equal(buf_str(&f->told), "");
    BED_RUN_UNTIL(&f->bed, f->told.len > 0);
    assert_int_equal(f->down_code, ERR_NOTFOUND);
    kube_write_token(f, "token-1");
    kube_expect_request(f, 0, "limit=100 ");
}

/* --- stop, start, close ----------------------------------------------------------------------- */

static void test_stop_in_every_state(void **state)
{
    struct kube_fixture *f = *state;

    kube_client_watch_stop(f->client); /* before it began */
    kube_client_watch_start(f->client, NULL);
    kube_client_watch_stop(f->client); /* about to list */
    bed_run_for_ms(&f->bed, 20);
    assert_int_equal(f->peer.requests_count, 0);
    kube_client_watch_start(f->client, NULL);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 1);
    kube_client_watch_stop(f->client); /* listing */
    kube_client_watch_start(f->client, NULL);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 2);
    kube_reply(f, 1, "200 OK", LIST_OF_TWO);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 3);
    kube_stream(f, 2);
    bed_run_for_ms(&f->bed, 20);
    kube_client_watch_stop(f->client); /* watching */
    kube_client_watch_stop(f->client);
    bed_run_for_ms(&f->bed, 20);
    kube_expect_told(f, TOLD_TWO);
    kube_client_watch_start(f->client, NULL);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == 4);
    kube_reply(f, 3, "500 X", "{}");
    kube_expect_told(f, TOLD_TWO " down:500");
    kube_client_watch_stop(f->client); /* waiting */
    bed_run_for_ms(&f->bed, 200);
    assert_int_equal(f->peer.requests_count, 4);
}

static const char *const all_words[] = {"resync",   "pod:a@3",   "pod:b@4", "synced",
                                        "pod:c@11", "gone:b@12", "down:410"};

/* Runs through list, events and failure; the watch ends or starts anew at one word. */
static void run_all(struct kube_fixture *f)
{
    size_t first = f->peer.requests_count;

    buf_reset(&f->told);
    kube_client_watch_start(f->client, NULL);
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count == first + 1);
    kube_reply(f, first, "200 OK", LIST_OF_TWO);
    for (int i = 0; i < 40 && f->peer.requests_count == first + 1; i++) {
        uv_run(&f->bed.loop, UV_RUN_ONCE);
    }
    if (f->peer.requests_count == first + 1 || !peer_got(&f->peer, first + 1, "watch=true")) {
        return;
    }
    kube_stream(f, first + 1);
    kube_send(f, first + 1,
              SV(EVENT_JSON("ADDED", "c", "11") EVENT_JSON("DELETED", "b", "12") GONE_EVENT));
    bed_run_for_ms(&f->bed, 20);
}

static void test_stop_from_every_callback(void **state)
{
    struct kube_fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(all_words); i++) {
        size_t requests;
        f->stop_at = all_words[i];
        run_all(f);
        assert_null(f->stop_at);
        requests = f->peer.requests_count;
        bed_run_for_ms(&f->bed, 120);
        assert_int_equal(f->peer.requests_count, requests);
        /* It was the last word. */
        assert_string_equal(buf_str(&f->told) + f->told.len - strlen(all_words[i]), all_words[i]);
    }
}

static void test_restart_from_every_callback(void **state)
{
    struct kube_fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(all_words); i++) {
        f->restart_at = all_words[i];
        run_all(f);
        assert_null(f->restart_at);
        BED_RUN_UNTIL(&f->bed, peer_got(&f->peer, f->peer.requests_count - 1,
                                        "limit=100&labelSelector=again "));
        assert_string_equal(buf_str(&f->told) + f->told.len - strlen(all_words[i]), all_words[i]);
    }
}

static void test_close_from_every_callback(void **state)
{
    struct kube_fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(all_words); i++) {
        f->close_at = all_words[i];
        run_all(f);
        assert_null(f->close_at);
        BED_RUN_UNTIL(&f->bed, f->closed);
        f->closed = false;
        kube_new_client(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KUBE_TEST(test_list_then_watch),
        KUBE_TEST(test_selector_is_escaped),
        KUBE_TEST(test_pages),
        KUBE_TEST(test_empty_list),
        KUBE_TEST(test_line_split_anywhere),
        KUBE_TEST(test_drip),
        KUBE_TEST(test_end_goes_on_from_the_last_event),
        KUBE_TEST(test_end_goes_on_from_a_bookmark),
        KUBE_TEST(test_end_within_a_line),
        KUBE_TEST(test_watch_that_ends_at_once_is_slowed_down),
        KUBE_TEST(test_hung_watch_is_found),
        KUBE_TEST(test_watch_that_never_answers_is_found),
        KUBE_TEST(test_bookmarks_keep_it_alive),
        KUBE_TEST(test_reset_goes_on_from_the_last_event),
        KUBE_TEST(test_half_close_goes_on),
        KUBE_TEST(test_410_as_a_status),
        KUBE_TEST(test_410_as_an_event),
        KUBE_TEST(test_other_error_event),
        KUBE_TEST(test_broken_lines),
        KUBE_TEST(test_endless_line),
        KUBE_TEST(test_refusals_of_a_watch),
        KUBE_TEST(test_third_failure_in_a_row_lists_again),
        KUBE_TEST(test_401_is_tried_again),
        KUBE_TEST(test_retry_after_is_honoured),
        KUBE_TEST(test_failing_lists_tell_no_resync),
        KUBE_TEST(test_410_within_a_list),
        KUBE_TEST(test_missing_token_is_told_and_mended),
        KUBE_TEST(test_stop_in_every_state),
        KUBE_TEST(test_stop_from_every_callback),
        KUBE_TEST(test_restart_from_every_callback),
        KUBE_TEST(test_close_from_every_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
