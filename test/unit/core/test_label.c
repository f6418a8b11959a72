/* The slot of the label: every answer of the API server to each kind of request, and that a
 * wish is neither lost nor overtaken. */
#include "agent/core/label.h"

#include "test/unit/core/role_fixture.h"

#define UID "11111111-2222-3333-4444-555555555555"
#define OTHER_UID "99999999-2222-3333-4444-555555555555"
#define LATER_US (NOW_US + 60000000U) /* every wait is over, and the bucket full */

static struct label_value wish(enum role_state role, uint64_t epoch)
{
    struct label_value v = {.role = role, .epoch = epoch, .run_id = RUN_A, .decided_us = NOW_US};
    return v;
}

static struct pod pod_of(const char *uid, const char *rv, const char *role, uint64_t epoch)
{
    struct pod p = {.name = "redis-0",
                    .has_role_epoch = true,
                    .role_epoch = epoch,
                    .run_id = RUN_A};
    assert_true(str_copy(p.uid, sizeof p.uid, sv_from(uid)));
    assert_true(str_copy(p.resource_version, sizeof p.resource_version, sv_from(rv)));
    assert_true(str_copy(p.role, sizeof p.role, sv_from(role)));
    return p;
}

/* `replica` is stored at resourceVersion 100, nothing is wished yet. */
static struct label watched(void)
{
    struct label l;
    struct pod p = pod_of(UID, "100", "replica", EPOCH);
    label_init(&l, UID, false, 1, NOW_US);
    label_observe(&l, &p, NOW_US);
    return l;
}

static void want(struct label *l, enum role_state role, uint64_t epoch, uint64_t now_us)
{
    struct label_value v = wish(role, epoch);
    label_want(l, &v, now_us);
}

/* A PATCH to master is in flight as op 7. */
static struct label patching(void)
{
    struct label l = watched();
    want(&l, ROLE_MASTER, EPOCH, NOW_US);
    assert_int_equal(label_next(&l, 7, NOW_US), LABEL_PATCH);
    assert_int_equal(l.sent.role, ROLE_MASTER);
    return l;
}

static void done_after(struct label *l, enum api_outcome outcome, uint64_t retry_after_us,
                       uint64_t now_us)
{
    uint64_t latency_us;
    assert_true(label_done(l, l->op, outcome, NULL, retry_after_us, now_us, &latency_us));
    assert_int_equal(latency_us, 0);
}

static void done(struct label *l, enum api_outcome outcome)
{
    done_after(l, outcome, 0, NOW_US);
}

static uint64_t done_ok(struct label *l, struct pod p, uint64_t now_us)
{
    uint64_t latency_us;
    assert_true(label_done(l, l->op, API_OK, &p, 0, now_us, &latency_us));
    return latency_us;
}

/* A read is in flight as op 8, after a conflict. */
static struct label reading(void)
{
    struct label l = patching();
    done(&l, API_CONFLICT);
    assert_int_equal(label_next(&l, 8, NOW_US), LABEL_GET);
    return l;
}

static void test_nothing_to_say(void **state)
{
    (void)state;
    struct label l = watched();
    assert_int_equal(label_next(&l, 1, NOW_US), LABEL_NOTHING);
    assert_true(label_next_deadline(&l, NOW_US) == UINT64_MAX);
    want(&l, ROLE_REPLICA, EPOCH, NOW_US);
    assert_true(label_is_synced(&l));
    assert_int_equal(label_next(&l, 1, NOW_US), LABEL_NOTHING);
    assert_int_equal(l.desync_since_us, 0);
    assert_int_equal(l.patches, 0);
}

static void test_what_is_stored_is_not_known(void **state)
{
    (void)state;
    struct label l;
    struct pod p = pod_of(UID, "1", "", 0);
    label_init(&l, UID, false, 1, NOW_US);
    want(&l, ROLE_MASTER, EPOCH, NOW_US);
    assert_int_equal(label_next(&l, 1, NOW_US), LABEL_NOTHING);
    label_observe(&l, &p, NOW_US + 1);
    assert_int_equal(label_next(&l, 1, NOW_US + 1), LABEL_PATCH);
}

static void test_uid_is_taken_from_the_first_read(void **state)
{
    (void)state;
    struct label l;
    struct pod p = pod_of(UID, "1", "replica", EPOCH);
    label_init(&l, "", false, 1, NOW_US);
    label_observe(&l, &p, NOW_US);
    assert_string_equal(l.uid, UID);
    assert_false(l.foreign);
    p = pod_of(OTHER_UID, "2", "replica", EPOCH);
    label_observe(&l, &p, NOW_US);
    assert_true(l.foreign);
}

/* What counts as a difference: role, epoch, its presence, run-id, the second key. */
static void test_what_is_compared(void **state)
{
    (void)state;
    struct pod same = pod_of(UID, "100", "master", EPOCH);
    struct pod pods[] = {same, same, same, same, same, same};
    (void)str_copy(pods[1].role, sizeof pods[1].role, SV("Master"));
    pods[2].role_epoch = EPOCH + 1;
    pods[3].has_role_epoch = false;
    memcpy(pods[4].run_id, RUN_B, sizeof pods[4].run_id);
    pods[5].role[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
        struct label l;
        label_init(&l, UID, false, 1, NOW_US);
        want(&l, ROLE_MASTER, EPOCH, NOW_US);
        label_observe(&l, &pods[i], NOW_US);
        assert_int_equal(label_is_synced(&l), i == 0);
        assert_int_equal(label_next(&l, 1, NOW_US), i == 0 ? LABEL_NOTHING : LABEL_PATCH);
    }
    struct label legacy;
    label_init(&legacy, UID, true, 1, NOW_US);
    want(&legacy, ROLE_MASTER, EPOCH, NOW_US);
    label_observe(&legacy, &same, NOW_US);
    assert_false(label_is_synced(&legacy));
    (void)str_copy(same.role_legacy, sizeof same.role_legacy, SV("master"));
    label_observe(&legacy, &same, NOW_US);
    assert_true(label_is_synced(&legacy));
    /* Nobody is vouched for by `pending`: whose run-id stands there does not matter. */
    struct label l;
    struct pod p = pod_of(UID, "100", "pending", 0);
    p.run_id[0] = '\0';
    label_init(&l, UID, false, 1, NOW_US);
    label_observe(&l, &p, NOW_US);
    want(&l, ROLE_PENDING, 0, NOW_US);
    assert_true(label_is_synced(&l));
}

static void test_acknowledged(void **state)
{
    (void)state;
    struct label l = patching();
    assert_int_equal(label_next(&l, 8, NOW_US), LABEL_NOTHING); /* one in flight */
    assert_true(label_next_deadline(&l, NOW_US) == UINT64_MAX);
    assert_int_equal(done_ok(&l, pod_of(UID, "101", "master", EPOCH), NOW_US + 1234), 1234);
    assert_true(label_is_synced(&l));
    assert_int_equal(l.desync_since_us, 0);
    assert_int_equal(l.acknowledged, 1);
    assert_int_equal(l.last_ok_us, NOW_US + 1234);
    assert_int_equal(label_next(&l, 9, LATER_US), LABEL_NOTHING);
}

/* The watch shows it before the answer is there, and the answer is the older one. */
static void test_seen_before_acknowledged(void **state)
{
    (void)state;
    struct label l = patching();
    struct pod p = pod_of(UID, "101", "master", EPOCH);
    label_observe(&l, &p, NOW_US + 1);
    assert_true(label_is_synced(&l));
    assert_int_equal(done_ok(&l, p, NOW_US + 2), 2);
    assert_int_equal(label_next(&l, 9, LATER_US), LABEL_NOTHING);
}

static void test_an_answer_to_something_else(void **state)
{
    (void)state;
    struct label l = patching();
    uint64_t latency_us;
    struct pod p = pod_of(UID, "101", "master", EPOCH);
    assert_false(label_done(&l, 6, API_OK, &p, 0, NOW_US, &latency_us));
    assert_false(label_done(&l, 0, API_OK, &p, 0, NOW_US, &latency_us));
    assert_int_equal(l.op, 7);
    assert_false(label_is_synced(&l));
    done(&l, API_UNREACHABLE);
    assert_false(label_done(&l, 7, API_OK, &p, 0, NOW_US, &latency_us));
    assert_false(label_done(&l, 0, API_OK, &p, 0, NOW_US, &latency_us));
    assert_false(label_is_synced(&l));
}

/* Wishes during a request: the last one follows it, the ones between are never sent. */
static void test_newest_wins(void **state)
{
    (void)state;
    for (unsigned o = API_UNREACHABLE; o < API_OUTCOME_COUNT; o++) {
        struct label l = patching();
        want(&l, ROLE_DEMOTED, EPOCH + 1, NOW_US);
        want(&l, ROLE_REPLICA, EPOCH + 2, NOW_US);
        assert_int_equal(label_next(&l, 8, NOW_US), LABEL_NOTHING);
        done(&l, (enum api_outcome)o);
        enum label_request next = label_next(&l, 8, LATER_US);
        if (next == LABEL_GET) {
            (void)done_ok(&l, pod_of(UID, "101", "master", EPOCH), LATER_US);
            next = label_next(&l, 9, LATER_US);
        }
        assert_int_equal(next, LABEL_PATCH);
        assert_int_equal(l.sent.role, ROLE_REPLICA);
        assert_int_equal(l.sent.epoch, EPOCH + 2);
    }
    struct label l = patching();
    want(&l, ROLE_DEMOTED, EPOCH + 1, NOW_US);
    /* The latency is that of a wish that still stands. */
    assert_int_equal(done_ok(&l, pod_of(UID, "101", "master", EPOCH), NOW_US + 5), 0);
    assert_int_equal(l.acknowledged, 1);
    assert_int_equal(label_next(&l, 8, NOW_US + 5), LABEL_PATCH);
    assert_int_equal(l.sent.role, ROLE_DEMOTED);
}

/* Back to what is stored while the PATCH to something else is in flight: once that is
 * acknowledged the store is wrong again. */
static void test_a_wish_that_comes_back(void **state)
{
    (void)state;
    struct label l = patching();
    want(&l, ROLE_REPLICA, EPOCH, NOW_US);
    (void)done_ok(&l, pod_of(UID, "101", "master", EPOCH), NOW_US + 1);
    assert_int_equal(label_next(&l, 8, NOW_US + 1), LABEL_PATCH);
    assert_int_equal(l.sent.role, ROLE_REPLICA);
}

struct answer {
    enum api_outcome outcome;
    enum label_request at_once;
    enum label_request later;
};

static void check_answers(struct label (*make)(void), const struct answer *rows, size_t count)
{
    assert_int_equal(count, API_OUTCOME_COUNT - 1);
    for (size_t i = 0; i < count; i++) {
        struct label l = make();
        done(&l, rows[i].outcome);
        struct label later = l;
        enum label_request now = label_next(&l, 20, NOW_US);
        enum label_request then = label_next(&later, 20, LATER_US);
        if (now != rows[i].at_once || then != rows[i].later) {
            fail_msg("%s: %d at once, %d later", api_outcome_name(rows[i].outcome), now, then);
        }
        if (rows[i].at_once == LABEL_NOTHING && rows[i].later != LABEL_NOTHING) {
            struct label l2 = make();
            done(&l2, rows[i].outcome);
            uint64_t due_us = label_next_deadline(&l2, NOW_US);
            assert_true(due_us >= NOW_US + LABEL_RETRY_MIN_US);
            assert_int_equal(label_next(&l2, 20, due_us - 1), LABEL_NOTHING);
            assert_int_equal(label_next(&l2, 20, due_us), rows[i].later);
        }
    }
}

static void test_every_answer_to_a_patch(void **state)
{
    (void)state;
    static const struct answer rows[] = {
        {API_UNREACHABLE, LABEL_NOTHING, LABEL_PATCH},
        {API_UNAUTHORIZED, LABEL_NOTHING, LABEL_PATCH},
        {API_FORBIDDEN, LABEL_NOTHING, LABEL_PATCH},
        {API_NOT_FOUND, LABEL_GET, LABEL_GET},
        {API_CONFLICT, LABEL_GET, LABEL_GET},
        {API_INVALID, LABEL_GET, LABEL_GET},
        {API_THROTTLED, LABEL_NOTHING, LABEL_PATCH},
        {API_SERVER_ERROR, LABEL_NOTHING, LABEL_PATCH},
        {API_OTHER, LABEL_NOTHING, LABEL_PATCH},
    };
    check_answers(patching, rows, ARRAY_LEN(rows));
}

static void test_every_answer_to_a_read(void **state)
{
    (void)state;
    static const struct answer rows[] = {
        {API_UNREACHABLE, LABEL_NOTHING, LABEL_GET}, {API_UNAUTHORIZED, LABEL_NOTHING, LABEL_GET},
        {API_FORBIDDEN, LABEL_NOTHING, LABEL_GET},   {API_NOT_FOUND, LABEL_NOTHING, LABEL_NOTHING},
        {API_CONFLICT, LABEL_NOTHING, LABEL_GET},    {API_INVALID, LABEL_NOTHING, LABEL_GET},
        {API_THROTTLED, LABEL_NOTHING, LABEL_GET},   {API_SERVER_ERROR, LABEL_NOTHING, LABEL_GET},
        {API_OTHER, LABEL_NOTHING, LABEL_GET},
    };
    check_answers(reading, rows, ARRAY_LEN(rows));
}

static void test_conflict_is_read_and_repeated(void **state)
{
    (void)state;
    struct label l = reading();
    assert_int_equal(l.acknowledged, 0);
    assert_int_equal(done_ok(&l, pod_of(UID, "105", "replica", EPOCH), NOW_US), 0);
    assert_int_equal(l.acknowledged, 0);
    assert_int_equal(label_next(&l, 9, NOW_US), LABEL_PATCH);
    assert_int_equal(done_ok(&l, pod_of(UID, "106", "master", EPOCH), NOW_US + 2), 2);
    assert_int_equal(l.failures, 0);
}

/* A policy refuses every PATCH while every read succeeds: no loop without a wait. */
static void test_a_refusal_that_comes_back(void **state)
{
    (void)state;
    struct label l = patching();
    uint64_t now_us = NOW_US;
    unsigned requests = 0;
    while (now_us < NOW_US + 60000000) {
        if (l.op != 0 && l.reading) {
            (void)done_ok(&l, pod_of(UID, "100", "replica", EPOCH), now_us);
        } else if (l.op != 0) {
            done_after(&l, API_INVALID, 0, now_us);
        }
        requests += label_next(&l, 100 + requests, now_us) != LABEL_NOTHING ? 1 : 0;
        now_us = l.op != 0 ? now_us + 100 : label_next_deadline(&l, now_us);
    }
    if (requests > 80) {
        fail_msg("%u requests in a minute", requests);
    }
    assert_true(requests > 10); /* … and it is never given up */
}

static void test_another_pod_of_my_name(void **state)
{
    (void)state;
    struct label l = patching();
    done(&l, API_INVALID);
    assert_int_equal(label_next(&l, 8, NOW_US), LABEL_GET);
    (void)done_ok(&l, pod_of(OTHER_UID, "200", "replica", EPOCH), NOW_US);
    assert_true(l.foreign);
    assert_int_equal(label_next(&l, 9, LATER_US), LABEL_NOTHING);
    assert_true(label_next_deadline(&l, LATER_US) == UINT64_MAX);
    want(&l, ROLE_DEMOTED, EPOCH + 1, LATER_US);
    assert_int_equal(label_next(&l, 9, LATER_US), LABEL_NOTHING);
    /* What is stored in it is not mine. */
    assert_string_equal(l.seen.uid, UID);
    assert_int_equal(l.desync_since_us, 0);
}

static void test_a_pod_that_is_out_of_sight(void **state)
{
    (void)state;
    struct label l = watched();
    want(&l, ROLE_REPLICA, EPOCH, NOW_US);
    label_doubt(&l);
    assert_false(l.foreign);
    assert_int_equal(label_next(&l, 8, NOW_US), LABEL_GET);
    (void)done_ok(&l, pod_of(UID, "101", "replica", EPOCH), NOW_US);
    assert_int_equal(label_next(&l, 9, LATER_US), LABEL_NOTHING);
    assert_false(l.foreign);
    label_doubt(&l);
    assert_int_equal(label_next(&l, 9, LATER_US), LABEL_GET);
    done_after(&l, API_NOT_FOUND, 0, LATER_US);
    assert_true(l.foreign);
}

static void test_older_news_are_ignored(void **state)
{
    (void)state;
    struct label l = watched();
    struct pod p = pod_of(UID, "99", "master", EPOCH + 1);
    label_observe(&l, &p, NOW_US);
    assert_string_equal(l.seen.role, "replica");
    p = pod_of(UID, "1000", "master", EPOCH + 1); /* by number, not by spelling */
    label_observe(&l, &p, NOW_US);
    assert_string_equal(l.seen.role, "master");
    p = pod_of(UID, "opaque", "demoted", EPOCH + 1);
    label_observe(&l, &p, NOW_US);
    assert_string_equal(l.seen.role, "demoted");
}

static void test_hand_edit_is_repaired(void **state)
{
    (void)state;
    struct label l = patching();
    (void)done_ok(&l, pod_of(UID, "101", "master", EPOCH), NOW_US);
    struct pod p = pod_of(UID, "102", "replica", EPOCH); /* by hand */
    label_observe(&l, &p, NOW_US + 10);
    assert_int_equal(l.desync_since_us, NOW_US + 10);
    assert_int_equal(label_next(&l, 9, NOW_US + 10), LABEL_PATCH);
    assert_int_equal(l.sent.role, ROLE_MASTER);
    /* The proof is old, the repair was quick. */
    assert_int_equal(done_ok(&l, pod_of(UID, "103", "master", EPOCH), NOW_US + 15), 5);
}

/* … and the watch often shows the repair before it is answered. */
static void test_hand_edit_seen_first(void **state)
{
    (void)state;
    struct label l = patching();
    (void)done_ok(&l, pod_of(UID, "101", "master", EPOCH), NOW_US);
    struct pod p = pod_of(UID, "102", "replica", EPOCH);
    label_observe(&l, &p, LATER_US);
    assert_int_equal(label_next(&l, 9, LATER_US + 1), LABEL_PATCH);
    p = pod_of(UID, "103", "master", EPOCH);
    label_observe(&l, &p, LATER_US + 2);
    assert_int_equal(done_ok(&l, p, LATER_US + 3), 3);
}

static void test_retry_after(void **state)
{
    (void)state;
    static const enum api_outcome outcomes[] = {API_THROTTLED, API_SERVER_ERROR, API_OTHER};
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        struct label l = patching();
        done_after(&l, outcomes[i], 10000000, NOW_US);
        assert_int_equal(label_next_deadline(&l, NOW_US), NOW_US + 10000000);
        assert_int_equal(label_next(&l, 8, NOW_US + 9999999), LABEL_NOTHING);
        assert_int_equal(label_next(&l, 8, NOW_US + 10000000), LABEL_PATCH);
    }
}

/* A new role goes out at once after a failure, unless the server asked for patience. */
static void test_retry_after_binds_newer_wishes(void **state)
{
    (void)state;
    static const enum api_outcome outcomes[] = {API_THROTTLED, API_SERVER_ERROR};
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        struct label l = patching();
        done(&l, outcomes[i]);
        assert_int_equal(label_next(&l, 8, NOW_US), LABEL_NOTHING);
        want(&l, ROLE_DEMOTED, EPOCH, NOW_US);
        assert_int_equal(label_next(&l, 8, NOW_US), LABEL_PATCH);

        l = patching();
        done_after(&l, outcomes[i], 3000000, NOW_US);
        want(&l, ROLE_DEMOTED, EPOCH, NOW_US);
        assert_int_equal(label_next(&l, 8, NOW_US + 2999999), LABEL_NOTHING);
        assert_int_equal(label_next(&l, 8, NOW_US + 3000000), LABEL_PATCH);
        assert_int_equal(l.sent.role, ROLE_DEMOTED);
    }
}

/* The same wish again is no reason to hurry. */
static void test_repeating_a_wish_shortens_no_wait(void **state)
{
    (void)state;
    struct label l = patching();
    done(&l, API_UNREACHABLE);
    uint64_t due_us = label_next_deadline(&l, NOW_US);
    want(&l, ROLE_MASTER, EPOCH, NOW_US + 1);
    assert_int_equal(label_next_deadline(&l, NOW_US + 1), due_us);
}

/* Full jitter: from 50 ms up to a ceiling that doubles, 5 s at most, and never given up. */
static void test_waits_grow_with_jitter(void **state)
{
    (void)state;
    uint64_t highest[12] = {0};
    uint64_t lowest[12];
    memset(lowest, 0xff, sizeof lowest);
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct label l = watched();
        rng_seed(&l.rng, seed);
        want(&l, ROLE_MASTER, EPOCH, NOW_US);
        uint64_t now_us = NOW_US;
        for (size_t i = 0; i < ARRAY_LEN(highest); i++) {
            assert_int_equal(label_next(&l, i + 1, now_us), LABEL_PATCH);
            done_after(&l, API_UNREACHABLE, 0, now_us);
            uint64_t wait_us = label_next_deadline(&l, now_us) - now_us;
            highest[i] = u64_max(highest[i], wait_us);
            lowest[i] = u64_min(lowest[i], wait_us);
            now_us += wait_us;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(highest); i++) {
        uint64_t ceiling_us = u64_min(LABEL_RETRY_MIN_US << (i + 1), LABEL_RETRY_MAX_US);
        assert_true(lowest[i] >= LABEL_RETRY_MIN_US);
        assert_true(lowest[i] < LABEL_RETRY_MIN_US + ceiling_us / 10);
        assert_true(highest[i] < LABEL_RETRY_MIN_US + ceiling_us);
        assert_true(highest[i] > ceiling_us * 9 / 10);
    }
}

/* Two writers that fight: a burst, then one a second. */
static void test_writes_are_bounded(void **state)
{
    (void)state;
    struct label l = watched();
    want(&l, ROLE_MASTER, EPOCH, NOW_US);
    uint64_t now_us = NOW_US;
    uint64_t in_first_second = 0;
    for (; now_us < NOW_US + 60000000;
         now_us = u64_min(now_us + 1000, u64_max(now_us + 1, label_next_deadline(&l, now_us)))) {
        if (label_next(&l, now_us, now_us) == LABEL_PATCH) {
            (void)done_ok(&l, pod_of(UID, "x", "replica", EPOCH), now_us);
        }
        in_first_second = now_us < NOW_US + 900000 ? l.patches : in_first_second;
    }
    assert_int_equal(in_first_second, LABEL_BURST);
    assert_in_range(l.patches, LABEL_BURST + LABEL_PER_MINUTE - 2, LABEL_BURST + LABEL_PER_MINUTE);
}

static void test_an_empty_bucket_is_announced(void **state)
{
    (void)state;
    struct label l = watched();
    want(&l, ROLE_MASTER, EPOCH, NOW_US);
    while (label_next(&l, 9, NOW_US) == LABEL_PATCH) {
        (void)done_ok(&l, pod_of(UID, "x", "replica", EPOCH), NOW_US);
    }
    assert_int_equal(l.patches, LABEL_BURST);
    uint64_t due_us = label_next_deadline(&l, NOW_US);
    assert_int_equal(due_us, NOW_US + 60000000 / LABEL_PER_MINUTE);
    assert_int_equal(label_next(&l, 9, due_us), LABEL_PATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_what_is_stored_is_not_known),
        cmocka_unit_test(test_uid_is_taken_from_the_first_read),
        cmocka_unit_test(test_what_is_compared),
        cmocka_unit_test(test_acknowledged),
        cmocka_unit_test(test_seen_before_acknowledged),
        cmocka_unit_test(test_an_answer_to_something_else),
        cmocka_unit_test(test_newest_wins),
        cmocka_unit_test(test_a_wish_that_comes_back),
        cmocka_unit_test(test_every_answer_to_a_patch),
        cmocka_unit_test(test_every_answer_to_a_read),
        cmocka_unit_test(test_conflict_is_read_and_repeated),
        cmocka_unit_test(test_a_refusal_that_comes_back),
        cmocka_unit_test(test_another_pod_of_my_name),
        cmocka_unit_test(test_a_pod_that_is_out_of_sight),
        cmocka_unit_test(test_older_news_are_ignored),
        cmocka_unit_test(test_hand_edit_is_repaired),
        cmocka_unit_test(test_hand_edit_seen_first),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_retry_after_binds_newer_wishes),
        cmocka_unit_test(test_repeating_a_wish_shortens_no_wait),
        cmocka_unit_test(test_waits_grow_with_jitter),
        cmocka_unit_test(test_writes_are_bounded),
        cmocka_unit_test(test_an_empty_bucket_is_announced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
