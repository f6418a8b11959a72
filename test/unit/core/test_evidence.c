/* What the views of the Sentinels prove: majority, newest, verdict. Failovers that are told by
 * events are in test_evidence_failover.c. */
#include "test/unit/core/evidence_fixture.h"

static void test_my_addresses(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    static const char *const mine[] = {ME, "[::1]:6379", "redis-0.redis:6379"};
    static const char *const not_mine[] = {OTHER, "10.0.0.1:6380", "[::2]:6379", "redis-0:6379"};
    for (size_t i = 0; i < ARRAY_LEN(mine); i++) {
        struct addr a = addr_from(mine[i]);
        evidence_add_my_addr(&ev, &a);
        evidence_add_my_addr(&ev, &a);
        assert_int_equal(ev.me_count, i + 1);
        assert_true(evidence_is_me(&ev, &a));
    }
    for (size_t i = 0; i < ARRAY_LEN(not_mine); i++) {
        struct addr a = addr_from(not_mine[i]);
        assert_false(evidence_is_me(&ev, &a));
    }
    see(&ev, 2, "REDIS-0.redis:6379", EPOCH);
    assert_verdict(&ev, NOW_US, VERDICT_ME);
    see(&ev, 2, "[0:0:0:0:0:0:0:1]:6379", EPOCH + 1);
    assert_verdict(&ev, NOW_US, VERDICT_ME);
}

static void test_majority_is_of_the_configured(void **state)
{
    (void)state;
    static const struct {
        unsigned configured;
        unsigned enough;
    } rows[] = {{1, 1}, {2, 2}, {3, 2}, {4, 3}, {5, 3}, {6, 4}, {7, 4}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct evidence ev = evidence_of(rows[i].configured);
        see(&ev, rows[i].enough - 1, ME, EPOCH);
        assert_false(newest_at(&ev, NOW_US).majority);
        assert_false(newest_at(&ev, NOW_US).known);
        assert_verdict(&ev, NOW_US, VERDICT_NONE);
        see(&ev, rows[i].enough, ME, EPOCH);
        struct newest n = newest_at(&ev, NOW_US);
        assert_true(n.majority && n.known);
        assert_int_equal(n.n, rows[i].configured);
        assert_int_equal(n.fresh, rows[i].enough);
        assert_int_equal(n.naming, rows[i].enough);
        assert_int_equal(n.proving, rows[i].enough);
        assert_verdict(&ev, NOW_US, VERDICT_ME);
    }
}

static void test_n_grows_with_what_a_sentinel_knows(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    see(&ev, 2, ME, EPOCH);
    struct view v = view_of(&ev, ME, EPOCH);
    v.others = 3;
    evidence_view(&ev, 1, &v);
    assert_int_equal(newest_at(&ev, NOW_US).n, 4);
    assert_verdict(&ev, NOW_US, VERDICT_NONE);
    /* An old view knows nothing, and fewer are never enough. */
    v.asked_us = NOW_US - VIEW_FRESH_US - 1;
    evidence_view(&ev, 1, &v);
    see(&ev, 1, ME, EPOCH);
    assert_int_equal(newest_at(&ev, NOW_US).n, 3);
    v.asked_us = NOW_US;
    v.others = 0;
    evidence_view(&ev, 1, &v);
    assert_int_equal(newest_at(&ev, NOW_US).n, 3);
    /* An absurd count proves nothing, and wraps nothing. */
    v.others = UINT64_MAX;
    evidence_view(&ev, 1, &v);
    evidence_view(&ev, 2, &v);
    assert_false(newest_at(&ev, NOW_US).majority);
}

static void test_one_sentinel_through_two_connections(void **state)
{
    (void)state;
    char id[RUN_ID_LEN + 1];
    struct evidence ev = evidence_of(3);
    see(&ev, 2, ME, EPOCH);
    evidence_set_id(&ev, 1, sentinel_id(0, id));
    assert_int_equal(newest_at(&ev, NOW_US).fresh, 1);
    assert_verdict(&ev, NOW_US, VERDICT_NONE);
    /* The younger view of both counts, whichever slot has it. */
    for (size_t younger = 0; younger < 2; younger++) {
        struct view v = view_of(&ev, OTHER, EPOCH);
        v.asked_us = NOW_US + 1;
        see(&ev, 3, ME, EPOCH);
        evidence_view(&ev, younger, &v);
        struct newest n = newest_at(&ev, NOW_US + 1);
        assert_int_equal(n.fresh, 2);
        assert_false(n.known); /* one says OTHER, one says ME */
    }
    /* The one connection is lost: the other goes on. */
    see(&ev, 3, ME, EPOCH);
    evidence_lost(&ev, 0);
    assert_int_equal(newest_at(&ev, NOW_US).fresh, 2);
    /* Two whose ids are not known are two. */
    evidence_set_id(&ev, 0, "");
    evidence_set_id(&ev, 1, "");
    see(&ev, 2, ME, EPOCH);
    evidence_lost(&ev, 2);
    assert_int_equal(newest_at(&ev, NOW_US).fresh, 2);
}

static void test_views_expire(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    assert_true(evidence_next_deadline(&ev, NOW_US) == UINT64_MAX);
    see(&ev, 2, ME, EPOCH);
    struct view v = view_of(&ev, ME, EPOCH);
    v.asked_us = NOW_US - 1000;
    evidence_view(&ev, 1, &v);
    uint64_t end_us = NOW_US - 1000 + VIEW_FRESH_US;
    assert_verdict(&ev, end_us, VERDICT_ME);
    assert_int_equal(evidence_next_deadline(&ev, NOW_US), end_us + 1);
    assert_int_equal(evidence_next_deadline(&ev, end_us), end_us + 1);
    assert_verdict(&ev, end_us + 1, VERDICT_NONE);
    assert_int_equal(newest_at(&ev, end_us + 1).fresh, 1);
    assert_int_equal(evidence_next_deadline(&ev, end_us + 1), NOW_US + VIEW_FRESH_US + 1);
    assert_int_equal(newest_at(&ev, NOW_US + VIEW_FRESH_US + 1).fresh, 0);
    assert_true(evidence_next_deadline(&ev, NOW_US + VIEW_FRESH_US + 1) == UINT64_MAX);
}

static void test_lost_and_forgotten(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    see(&ev, 3, ME, EPOCH);
    evidence_lost(&ev, 0);
    assert_int_equal(newest_at(&ev, NOW_US).fresh, 2);
    evidence_forget(&ev, 1);
    assert_int_equal(newest_at(&ev, NOW_US).fresh, 1);
    assert_string_equal(ev.sentinels[1].id, "");
    assert_verdict(&ev, NOW_US, VERDICT_NONE);
}

static void test_the_highest_epoch_is_newest(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(5);
    see(&ev, 5, OTHER, EPOCH);
    assert_verdict(&ev, NOW_US, VERDICT_OTHER);
    for (size_t slot = 0; slot < 5; slot++) {
        struct view v = view_of(&ev, ME, EPOCH + 1);
        see(&ev, 5, OTHER, EPOCH);
        evidence_view(&ev, slot, &v);
        struct newest n = newest_at(&ev, NOW_US);
        assert_int_equal(n.epoch, EPOCH + 1);
        assert_int_equal(n.naming, 1);
        assert_verdict(&ev, NOW_US, VERDICT_ME);
    }
}

/* Five views of one epoch, as letters: m names me, o another, p a third. */
static void see_letters(struct evidence *ev, const char *letters)
{
    for (size_t i = 0; letters[i] != '\0'; i++) {
        const char *named = letters[i] == 'm' ? ME : letters[i] == 'o' ? OTHER : "10.0.0.3:6379";
        struct view v = view_of(ev, named, letters[i] == '-' ? EPOCH - 1 : EPOCH);
        evidence_view(ev, i, &v);
    }
}

static void test_ties(void **state)
{
    (void)state;
    static const struct {
        const char *views;
        enum verdict verdict;
    } rows[] = {
        {"mmmmm", VERDICT_ME},    {"mmmoo", VERDICT_ME},    {"oommm", VERDICT_ME},
        {"omomm", VERDICT_ME},    {"mmopm", VERDICT_ME},    {"ooomm", VERDICT_OTHER},
        {"mmooo", VERDICT_OTHER}, {"mmoop", VERDICT_NONE},  {"ommpo", VERDICT_NONE},
        {"mo", VERDICT_NONE},     {"mmo--", VERDICT_NONE},  {"om---", VERDICT_NONE},
        {"m----", VERDICT_ME},    {"----o", VERDICT_OTHER}, {"mm---", VERDICT_ME},
        {"mmoo-", VERDICT_NONE},  {"-moom", VERDICT_NONE},  {"pommo", VERDICT_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct evidence ev = evidence_of(5);
        see_letters(&ev, rows[i].views);
        enum verdict v = verdict_at(&ev, NOW_US);
        if (v != rows[i].verdict) {
            fail_msg("%s: %s, wanted %s", rows[i].views, verdict_name(v),
                     verdict_name(rows[i].verdict));
        }
    }
}

static void test_no_sentinel_in_this_mode(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(0);
    assert_verdict(&ev, NOW_US, VERDICT_OFF);
}

static void test_none_knows_a_master(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    struct view unknown = {.asked_us = NOW_US};
    evidence_view(&ev, 0, &unknown);
    assert_verdict(&ev, NOW_US, VERDICT_NONE);
    evidence_view(&ev, 1, &unknown);
    assert_verdict(&ev, NOW_US, VERDICT_NO_MASTER);
    struct newest n = newest_at(&ev, NOW_US);
    assert_true(n.majority);
    assert_false(n.known);
    /* One that knows a master and one that does not: the majority answers, and one names it. */
    struct view v = view_of(&ev, OTHER, EPOCH);
    evidence_view(&ev, 1, &v);
    assert_verdict(&ev, NOW_US, VERDICT_OTHER);
    /* Two that do not are the majority, whatever the third says. */
    evidence_view(&ev, 2, &unknown);
    assert_verdict(&ev, NOW_US, VERDICT_NO_MASTER);
}

static void test_flags(void **state)
{
    (void)state;
    const uint32_t against = FLAG(S_DOWN) | FLAG(O_DOWN) | FLAG(FAILOVER);
    for (unsigned f = 0; f < SENTINEL_FLAG_COUNT; f++) {
        bool speaks = (against & 1U << f) != 0;
        struct evidence ev = evidence_of(3);
        see(&ev, 3, ME, EPOCH);
        struct view v = view_of(&ev, ME, EPOCH);
        v.flags = 1U << f;
        evidence_view(&ev, 0, &v);
        evidence_view(&ev, 1, &v);
        assert_int_equal(newest_at(&ev, NOW_US).proving, speaks ? 1 : 3);
        assert_verdict(&ev, NOW_US, VERDICT_ME);
        evidence_view(&ev, 2, &v);
        assert_verdict(&ev, NOW_US, speaks ? VERDICT_NONE : VERDICT_ME);
        /* Whatever is said of another, it is the one that is named. */
        v.addr = v.named = addr_from(OTHER);
        for (size_t i = 0; i < 3; i++) {
            evidence_view(&ev, i, &v);
        }
        assert_verdict(&ev, NOW_US, VERDICT_OTHER);
    }
}

/* While the leader reconfigures, the flags are those of the old master. */
static void test_flags_belong_to_the_address_that_carries_them(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    struct view v = view_of(&ev, OTHER, EPOCH);
    v.named = addr_from(ME);
    v.flags = FLAG(S_DOWN) | FLAG(O_DOWN) | FLAG(FAILOVER);
    memcpy(v.run_id, RUN_B, sizeof v.run_id);
    for (size_t i = 0; i < 3; i++) {
        evidence_view(&ev, i, &v);
    }
    assert_verdict(&ev, NOW_US, VERDICT_ME);
    assert_int_equal(newest_at(&ev, NOW_US).proving, 3);
    /* … and the other way round: I am the old one, and another is named. */
    v.addr = addr_from(ME);
    v.named = addr_from(OTHER);
    for (size_t i = 0; i < 3; i++) {
        evidence_view(&ev, i, &v);
    }
    assert_verdict(&ev, NOW_US, VERDICT_OTHER);
}

/* Three views that name me, with whose run-id: a mine, b another, . none given. */
static void test_run_ids(void **state)
{
    (void)state;
    static const struct {
        const char *ids;
        enum verdict verdict;
    } rows[] = {
        {"aaa", VERDICT_ME},     {"...", VERDICT_ME},     {"a..", VERDICT_ME},
        {"aab", VERDICT_ME},     {"baa", VERDICT_ME},     {"bbb", VERDICT_OLD_ME},
        {"abb", VERDICT_OLD_ME}, {"a.b", VERDICT_OLD_ME}, {"..b", VERDICT_OLD_ME},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct evidence ev = evidence_of(3);
        for (size_t slot = 0; slot < 3; slot++) {
            struct view v = view_of(&ev, ME, EPOCH);
            if (rows[i].ids[slot] == '.') {
                v.run_id[0] = '\0';
            } else if (rows[i].ids[slot] == 'b') {
                memcpy(v.run_id, RUN_B, sizeof v.run_id);
            }
            evidence_view(&ev, slot, &v);
        }
        enum verdict v = verdict_at(&ev, NOW_US);
        if (v != rows[i].verdict) {
            fail_msg("%s: %s, wanted %s", rows[i].ids, verdict_name(v),
                     verdict_name(rows[i].verdict));
        }
        /* Who does not know which process it is cannot say that it is the one. */
        struct newest n = newest_at(&ev, NOW_US);
        assert_int_equal(evidence_verdict(&ev, &n, "", NOW_US), VERDICT_NONE);
    }
}

/* Only the views of newest speak of run-ids. */
static void test_run_ids_of_older_views(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    see(&ev, 3, ME, EPOCH);
    struct view v = view_of(&ev, ME, EPOCH - 1);
    memcpy(v.run_id, RUN_B, sizeof v.run_id);
    evidence_view(&ev, 0, &v);
    evidence_view(&ev, 1, &v);
    assert_verdict(&ev, NOW_US, VERDICT_ME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_my_addresses),
        cmocka_unit_test(test_majority_is_of_the_configured),
        cmocka_unit_test(test_n_grows_with_what_a_sentinel_knows),
        cmocka_unit_test(test_one_sentinel_through_two_connections),
        cmocka_unit_test(test_views_expire),
        cmocka_unit_test(test_lost_and_forgotten),
        cmocka_unit_test(test_the_highest_epoch_is_newest),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_no_sentinel_in_this_mode),
        cmocka_unit_test(test_none_knows_a_master),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_flags_belong_to_the_address_that_carries_them),
        cmocka_unit_test(test_run_ids),
        cmocka_unit_test(test_run_ids_of_older_views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
