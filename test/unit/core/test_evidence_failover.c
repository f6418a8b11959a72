/* The eager and the mirror rule: what the events of a failover prove, each condition taken
 * away in turn. The order of events is the one that a real Sentinel has (test/data/sentinel). */
#include "test/unit/core/evidence_fixture.h"

#define LEADER 0U
#define NEXT (EPOCH + 1)

static bool tell(struct evidence *ev, size_t slot, struct sentinel_event e, uint64_t now_us)
{
    return evidence_event(ev, slot, &e, now_us);
}

static void tell_type(struct evidence *ev, size_t slot, enum sentinel_event_type type,
                      uint64_t now_us)
{
    assert_true(tell(ev, slot, (struct sentinel_event){.type = type}, now_us));
}

static void tell_epoch(struct evidence *ev, size_t slot, uint64_t epoch)
{
    struct sentinel_event e = {.type = SENTINEL_EVENT_NEW_EPOCH, .epoch = epoch};
    assert_true(tell(ev, slot, e, NOW_US + 1));
}

static void tell_vote(struct evidence *ev, size_t slot, size_t leader, uint64_t epoch,
                      uint64_t now_us)
{
    struct sentinel_event e = {.type = SENTINEL_EVENT_VOTE, .epoch = epoch};
    (void)sentinel_id(leader, e.leader_id);
    assert_true(tell(ev, slot, e, now_us));
}

static void tell_selected(struct evidence *ev, size_t slot, const char *whom, uint64_t now_us)
{
    struct sentinel_event e = {.type = SENTINEL_EVENT_SELECTED_SLAVE, .instance = addr_from(whom)};
    assert_true(tell(ev, slot, e, now_us));
}

/* What may be missing in elect(). */
enum {
    NO_EPOCH = 1U << 0,
    NO_TRY = 1U << 1,
    NO_OWN_VOTE = 1U << 2,
    NO_OTHER_VOTE = 1U << 3,
    NO_SELECTION = 1U << 4,
};

/* Sentinel 0 of 3 is elected for NEXT by itself and 1, and selects `whom`; all name OTHER at
 * EPOCH. */
static struct evidence elect(const char *whom, unsigned without)
{
    struct evidence ev = evidence_of(3);
    see(&ev, 3, OTHER, EPOCH);
    if ((without & NO_EPOCH) == 0) {
        tell_epoch(&ev, LEADER, NEXT);
    }
    if ((without & NO_TRY) == 0) {
        tell_type(&ev, LEADER, SENTINEL_EVENT_TRY_FAILOVER, NOW_US + 2);
    }
    if ((without & NO_OWN_VOTE) == 0) {
        tell_vote(&ev, LEADER, LEADER, NEXT, NOW_US + 3);
    }
    if ((without & NO_OTHER_VOTE) == 0) {
        tell_epoch(&ev, 1, NEXT);
        tell_vote(&ev, 1, LEADER, NEXT, NOW_US + 4);
    }
    tell_type(&ev, LEADER, SENTINEL_EVENT_ELECTED_LEADER, NOW_US + 5);
    if ((without & NO_SELECTION) == 0) {
        tell_selected(&ev, LEADER, whom, NOW_US + 6);
    }
    return ev;
}

static uint64_t eager(const struct evidence *ev)
{
    uint64_t selected_us = 0;
    struct newest n = newest_at(ev, NOW_US + 10);
    uint64_t epoch = evidence_eager(ev, &n, NOW_US + 10, &selected_us);
    if (epoch != 0) {
        assert_true(selected_us > NOW_US);
    }
    return epoch;
}

static bool mirror(const struct evidence *ev)
{
    struct newest n = newest_at(ev, NOW_US + 10);
    return evidence_mirror(ev, &n, 0, NOW_US + 10);
}

static void test_eager(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, 0);
    uint64_t selected_us = 0;
    struct newest n = newest_at(&ev, NOW_US + 10);
    assert_int_equal(evidence_eager(&ev, &n, NOW_US + 10, &selected_us), NEXT);
    assert_int_equal(selected_us, NOW_US + 6);
    assert_false(mirror(&ev));
}

static void test_eager_needs_every_event(void **state)
{
    (void)state;
    static const unsigned without[] = {NO_EPOCH, NO_TRY, NO_OWN_VOTE, NO_OTHER_VOTE, NO_SELECTION};
    for (size_t i = 0; i < ARRAY_LEN(without); i++) {
        struct evidence ev = elect(ME, without[i]);
        if (eager(&ev) != 0) {
            fail_msg("eager without event %zu", i);
        }
    }
}

/* SENTINEL FAILOVER elects nobody: its Sentinel votes for itself at most. */
static void test_forced_failover_is_not_eager(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, NO_OWN_VOTE | NO_OTHER_VOTE);
    assert_int_equal(eager(&ev), 0);
    ev = elect(ME, NO_OTHER_VOTE);
    assert_int_equal(eager(&ev), 0);
}

static void test_eager_needs_a_majority_of_votes(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, NO_OTHER_VOTE);
    tell_vote(&ev, 1, 2, NEXT, NOW_US + 7); /* for another */
    assert_int_equal(eager(&ev), 0);
    tell_vote(&ev, 1, LEADER, NEXT - 1, NOW_US + 7); /* of another epoch */
    assert_int_equal(eager(&ev), 0);
    /* The second vote is the first one, seen through another connection. */
    char id[RUN_ID_LEN + 1];
    struct evidence twice = elect(ME, 0);
    evidence_set_id(&twice, 1, sentinel_id(LEADER, id));
    assert_int_equal(eager(&twice), 0);
    /* One Sentinel knows of five: two votes are none. */
    ev = elect(ME, 0);
    struct view v = view_of(&ev, OTHER, EPOCH);
    v.others = 4;
    evidence_view(&ev, 2, &v);
    assert_int_equal(eager(&ev), 0);
    tell_vote(&ev, 2, LEADER, NEXT, NOW_US + 8);
    assert_int_equal(eager(&ev), NEXT);
}

static void test_eager_needs_newest(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, 0);
    evidence_lost(&ev, 1);
    evidence_lost(&ev, 2);
    assert_int_equal(eager(&ev), 0);
    ev = elect(ME, 0);
    see(&ev, 1, OTHER, NEXT); /* asked before the failover was opened */
    assert_int_equal(eager(&ev), 0);
}

/* Its word stands when it is gone: it was elected, and ROLE says the rest. */
static void test_eager_outlives_its_leader(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, 0);
    evidence_lost(&ev, LEADER);
    assert_int_equal(eager(&ev), NEXT);
    ev = elect(ME, 0);
    evidence_set_id(&ev, LEADER, "");
    assert_int_equal(eager(&ev), 0);
    ev = elect(ME, 0);
    evidence_forget(&ev, LEADER);
    assert_int_equal(eager(&ev), 0);
}

static void test_eager_is_about_me(void **state)
{
    (void)state;
    struct evidence ev = elect("10.0.0.3:6379", 0);
    assert_int_equal(eager(&ev), 0);
    tell_selected(&ev, LEADER, ME, NOW_US + 8);
    assert_int_equal(eager(&ev), NEXT);
}

static void test_eager_ends_with_a_higher_epoch(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, 0);
    tell_epoch(&ev, 2, NEXT);
    assert_int_equal(eager(&ev), NEXT);
    tell_epoch(&ev, 2, NEXT + 1);
    assert_int_equal(eager(&ev), 0);
    ev = elect(ME, 0);
    tell_vote(&ev, 2, 1, NEXT + 1, NOW_US + 8);
    assert_int_equal(eager(&ev), 0);
    ev = elect(ME, 0);
    ev.hello_epoch = NEXT;
    assert_int_equal(eager(&ev), NEXT);
    ev.hello_epoch = NEXT + 1;
    assert_int_equal(eager(&ev), 0);
}

/* A vote of before cannot stand for one that was not heard. */
static void test_eager_needs_the_vote_after_the_start(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(1);
    see(&ev, 1, OTHER, EPOCH);
    tell_epoch(&ev, LEADER, NEXT);
    tell_vote(&ev, LEADER, LEADER, NEXT, NOW_US + 2);
    tell_type(&ev, LEADER, SENTINEL_EVENT_TRY_FAILOVER, NOW_US + 3);
    tell_selected(&ev, LEADER, ME, NOW_US + 4);
    assert_int_equal(eager(&ev), 0);
    tell_vote(&ev, LEADER, LEADER, NEXT, NOW_US + 5);
    assert_int_equal(eager(&ev), NEXT);
}

static const enum sentinel_event_type closing[] = {
    SENTINEL_EVENT_FAILOVER_END,      SENTINEL_EVENT_FAILOVER_END_TIMEOUT,
    SENTINEL_EVENT_ABORT_NOT_ELECTED, SENTINEL_EVENT_ABORT_NO_SLAVE,
    SENTINEL_EVENT_ABORT_TIMEOUT,     SENTINEL_EVENT_ABORT_MASTER_IS_BACK,
    SENTINEL_EVENT_SWITCH_MASTER,     SENTINEL_EVENT_RESET_MASTER,
};

static bool is_closing(enum sentinel_event_type type)
{
    for (size_t i = 0; i < ARRAY_LEN(closing); i++) {
        if (closing[i] == type) {
            return true;
        }
    }
    return false;
}

/* Every event there is, into an open failover: which ones end it, and which ask for a read. */
static void test_every_event(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SENTINEL_EVENT_COUNT; t++) {
        enum sentinel_event_type type = (enum sentinel_event_type)t;
        bool tells_more = type == SENTINEL_EVENT_TRY_FAILOVER || type == SENTINEL_EVENT_VOTE ||
                          type == SENTINEL_EVENT_SELECTED_SLAVE;
        struct evidence ev = elect(ME, 0);
        struct evidence mine = elect(OTHER, 0);
        struct sentinel_event e = {.type = type};
        bool reads = tell(&ev, LEADER, e, NOW_US + 9);
        (void)tell(&mine, LEADER, e, NOW_US + 9);
        assert_int_equal(reads, type != SENTINEL_EVENT_OTHER && type != SENTINEL_EVENT_SENTINEL);
        if (tells_more) {
            continue;
        }
        if ((eager(&ev) == 0) != is_closing(type) || mirror(&mine) == is_closing(type)) {
            fail_msg("%s: eager %llu, mirror %d", sentinel_event_name(type),
                     (unsigned long long)eager(&ev), mirror(&mine));
        }
        /* Another Sentinel's word is about a failover of its own. */
        ev = elect(ME, 0);
        (void)tell(&ev, 2, e, NOW_US + 9);
        assert_int_equal(eager(&ev), NEXT);
    }
}

/* The closing event was lost: a read that was asked after the start tells the same. */
static void test_a_read_ends_a_failover(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, 0);
    struct view v = view_of(&ev, OTHER, EPOCH);
    v.asked_us = NOW_US + 2; /* not after it */
    evidence_view(&ev, LEADER, &v);
    assert_int_equal(eager(&ev), NEXT);
    v.asked_us = NOW_US + 3;
    v.flags = FLAG(FAILOVER) | FLAG(S_DOWN) | FLAG(O_DOWN);
    evidence_view(&ev, LEADER, &v);
    assert_int_equal(eager(&ev), NEXT);
    v.flags = FLAG(S_DOWN) | FLAG(O_DOWN);
    evidence_view(&ev, LEADER, &v);
    assert_int_equal(eager(&ev), 0);
    ev = elect(OTHER, 0);
    evidence_view(&ev, LEADER, &v);
    assert_false(mirror(&ev));
}

static void test_a_new_failover_begins_with_nothing(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, 0);
    tell_type(&ev, LEADER, SENTINEL_EVENT_TRY_FAILOVER, NOW_US + 8);
    assert_int_equal(eager(&ev), 0);
    assert_false(evidence_selects_me(&ev, NOW_US + 9, 1000000));
}

static void test_mirror(void **state)
{
    (void)state;
    struct evidence ev = elect("10.0.0.3:6379", 0);
    assert_true(mirror(&ev));
    /* Votes do not matter: a forced failover ends this master all the same. */
    ev = elect("10.0.0.3:6379", NO_OWN_VOTE | NO_OTHER_VOTE);
    assert_true(mirror(&ev));
    ev = elect("10.0.0.3:6379", NO_SELECTION);
    assert_false(mirror(&ev));
    ev = elect(ME, 0);
    assert_false(mirror(&ev));
}

static void test_mirror_is_above_newest(void **state)
{
    (void)state;
    struct evidence ev = elect("10.0.0.3:6379", 0);
    see(&ev, 3, ME, NEXT);
    assert_false(mirror(&ev));
    /* Subscribed in the middle of it: its epoch is not known, and it may be any. */
    ev = elect("10.0.0.3:6379", NO_TRY);
    see(&ev, 3, ME, NEXT);
    assert_true(mirror(&ev));
    /* Without a newest nothing says that it is over. */
    ev = elect("10.0.0.3:6379", 0);
    evidence_lost(&ev, 1);
    evidence_lost(&ev, 2);
    assert_true(mirror(&ev));
    evidence_lost(&ev, LEADER);
    assert_false(mirror(&ev));
}

static void test_selects_me(void **state)
{
    (void)state;
    struct evidence ev = elect(ME, NO_OWN_VOTE | NO_OTHER_VOTE | NO_EPOCH);
    uint64_t end_us = NOW_US + 6 + 1000000;
    assert_true(evidence_selects_me(&ev, end_us - 1, 1000000));
    assert_false(evidence_selects_me(&ev, end_us, 1000000));
    ev = elect(OTHER, 0);
    assert_false(evidence_selects_me(&ev, NOW_US + 10, 1000000));
    ev = elect(ME, 0);
    tell_type(&ev, LEADER, SENTINEL_EVENT_SWITCH_MASTER, NOW_US + 7);
    assert_false(evidence_selects_me(&ev, NOW_US + 10, 1000000));
}

static void test_epochs_heard(void **state)
{
    (void)state;
    struct evidence ev = evidence_of(3);
    assert_int_equal(evidence_epoch_heard(&ev), 0);
    tell_epoch(&ev, 0, 4);
    tell_epoch(&ev, 1, 9);
    tell_epoch(&ev, 1, 8); /* never falls by itself */
    assert_int_equal(evidence_epoch_heard(&ev), 9);
    ev.hello_epoch = 11;
    assert_int_equal(evidence_epoch_heard(&ev), 11);
    evidence_forget_epochs(&ev);
    assert_int_equal(evidence_epoch_heard(&ev), 0);
    tell_vote(&ev, 2, 1, 3, NOW_US);
    assert_int_equal(evidence_epoch_heard(&ev), 3);
    evidence_forget(&ev, 2);
    assert_int_equal(evidence_epoch_heard(&ev), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eager),
        cmocka_unit_test(test_eager_needs_every_event),
        cmocka_unit_test(test_forced_failover_is_not_eager),
        cmocka_unit_test(test_eager_needs_a_majority_of_votes),
        cmocka_unit_test(test_eager_needs_newest),
        cmocka_unit_test(test_eager_outlives_its_leader),
        cmocka_unit_test(test_eager_is_about_me),
        cmocka_unit_test(test_eager_ends_with_a_higher_epoch),
        cmocka_unit_test(test_eager_needs_the_vote_after_the_start),
        cmocka_unit_test(test_every_event),
        cmocka_unit_test(test_a_read_ends_a_failover),
        cmocka_unit_test(test_a_new_failover_begins_with_nothing),
        cmocka_unit_test(test_mirror),
        cmocka_unit_test(test_mirror_is_above_newest),
        cmocka_unit_test(test_selects_me),
        cmocka_unit_test(test_epochs_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
