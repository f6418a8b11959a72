/* The limits in time of the role machine: each one microsecond before it is over and when it
 * is, that it is announced, and what sets its clock back. */
#include "test/unit/core/role_fixture.h"

static void test_dead_replica(void **state)
{
    (void)state;
    static const enum role_state states[] = {ROLE_REPLICA, ROLE_DEMOTED};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct role r = role_in(states[i]);
        struct role_input in = facts(states[i], ROLE_LOCAL_DEAD, VERDICT_OTHER);
        in.local_since_us = NOW_US - 1;
        step_at(&r, &in, NOW_US);
        assert_turns_at(&r, &in, in.local_since_us + ROLE_DEAD_US, ROLE_PENDING);
        assert_reason(&r, ROLE_WHY_DEAD);
        assert_stays(&r, &in);
    }
}

static void test_dead_master_waits_for_its_successor(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_DEAD, VERDICT_NONE);
    in.local_since_us = NOW_US - 1;
    step_at(&r, &in, NOW_US);
    assert_turns_at(&r, &in, in.local_since_us + ROLE_DEAD_KEEP_US, ROLE_PENDING);

    r = role_in(ROLE_MASTER);
    add_peer_master(&in, EPOCH, true);
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_MASTER);
    add_peer_master(&in, EPOCH + 1, false);
    step_at(&r, &in, NOW_US + 1);
    assert_state(&r, ROLE_PENDING);
}

static void test_restarted_master(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_OLD_ME);
    memcpy(in.run_id, RUN_B, sizeof in.run_id);
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_PENDING);
    assert_turns_at(&r, &in, NOW_US + ROLE_OLD_ME_US, ROLE_MASTER);
    assert_int_equal(r.epoch, EPOCH);
    assert_stays(&r, &in);
}

/* Its wait begins anew with another process, another verdict, another ROLE. */
static void test_restarted_master_waits_anew(void **state)
{
    (void)state;
    for (int why = 0; why < 3; why++) {
        struct role r = role_in(ROLE_PENDING);
        struct role_input in = facts(ROLE_PENDING, ROLE_LOCAL_MASTER, VERDICT_OLD_ME);
        step_at(&r, &in, NOW_US);
        if (why == 0) {
            memcpy(in.run_id, RUN_B, sizeof in.run_id);
        } else if (why == 1) {
            in.verdict = VERDICT_NONE;
        } else {
            in.local = ROLE_LOCAL_UNKNOWN;
        }
        step_at(&r, &in, NOW_US + ROLE_OLD_ME_US - 1);
        in.verdict = VERDICT_OLD_ME;
        in.local = ROLE_LOCAL_MASTER;
        uint64_t again_us = NOW_US + ROLE_OLD_ME_US - (why == 0 ? 1 : 0);
        step_at(&r, &in, again_us);
        assert_state(&r, ROLE_PENDING);
        assert_turns_at(&r, &in, again_us + ROLE_OLD_ME_US, ROLE_MASTER);
    }
}

static struct role_input eager_facts(void)
{
    struct role_input in = facts(ROLE_REPLICA, ROLE_LOCAL_MASTER, VERDICT_OTHER);
    in.eager_epoch = EPOCH + 1;
    return in;
}

static void test_eager_must_be_confirmed(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_REPLICA);
    struct role_input in = eager_facts();
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_MASTER);
    assert_turns_at(&r, &in, NOW_US + ROLE_EAGER_US, ROLE_DEMOTED);
    assert_reason(&r, ROLE_WHY_OTHER);
    assert_stays(&r, &in);
}

/* Looking away does not give it another five seconds; another failover does. */
static void test_eager_counts_from_its_first_moment(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_REPLICA);
    struct role_input in = eager_facts();
    step_at(&r, &in, NOW_US);
    in.eager_epoch = 0;
    in.verdict = VERDICT_NONE;
    in.newest.known = false;
    step_at(&r, &in, NOW_US + 1000000);
    assert_state(&r, ROLE_MASTER);
    in = eager_facts();
    step_at(&r, &in, NOW_US + 2000000);
    assert_turns_at(&r, &in, NOW_US + ROLE_EAGER_US, ROLE_DEMOTED);

    in.eager_epoch = EPOCH + 2;
    step_at(&r, &in, NOW_US + 6000000);
    assert_state(&r, ROLE_MASTER);
    assert_turns_at(&r, &in, NOW_US + 6000000 + ROLE_EAGER_US, ROLE_DEMOTED);
}

static struct role_input superseded_facts(void)
{
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    add_peer_master(&in, EPOCH + 4, false);
    return in;
}

static void test_superseded_by_a_label_of_another_world(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = superseded_facts();
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_DEMOTED);
    assert_reason(&r, ROLE_WHY_SUPERSEDED);
    assert_turns_at(&r, &in, NOW_US + ROLE_SUPERSEDED_US, ROLE_MASTER);
    assert_reason(&r, ROLE_WHY_MAJORITY);
}

static void test_superseded_by_an_epoch_that_was_heard_of(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = superseded_facts();
    in.epoch_heard = EPOCH + 4;
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_DEMOTED);
    assert_stays(&r, &in);
    in.epoch_heard = EPOCH + 3;
    step_at(&r, &in, in.now_us + 1);
    assert_state(&r, ROLE_MASTER);
}

/* The clock is that of a proof against one label: each of both sets it back. */
static void test_superseded_counts_from_the_proof(void **state)
{
    (void)state;
    for (int why = 0; why < 3; why++) {
        struct role r = role_in(ROLE_MASTER);
        struct role_input in = superseded_facts();
        step_at(&r, &in, NOW_US);
        if (why == 0) {
            in.peer_master_epoch = EPOCH + 5;
        } else if (why == 1) {
            in.verdict = VERDICT_NONE;
        } else {
            in.local = ROLE_LOCAL_UNKNOWN;
        }
        step_at(&r, &in, NOW_US + ROLE_SUPERSEDED_US - 2);
        in.verdict = VERDICT_ME;
        in.local = ROLE_LOCAL_MASTER;
        uint64_t again_us = NOW_US + ROLE_SUPERSEDED_US - (why == 0 ? 2 : 1);
        if (why != 0) {
            step_at(&r, &in, again_us);
        }
        assert_state(&r, ROLE_DEMOTED);
        assert_turns_at(&r, &in, again_us + ROLE_SUPERSEDED_US, ROLE_MASTER);
    }
}

static struct role_input rebuilt_facts(enum role_local local, enum verdict verdict)
{
    struct role_input in = facts(ROLE_REPLICA, local, verdict);
    in.newest.epoch = 1;
    return in;
}

static void test_lower_epoch_names_me(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_PENDING);
    struct role_input in = rebuilt_facts(ROLE_LOCAL_MASTER, VERDICT_ME);
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_PENDING);
    assert_turns_at(&r, &in, NOW_US + ROLE_REGRESSION_US, ROLE_MASTER);
    assert_int_equal(r.epoch, 1);
    assert_int_equal(r.token, 1);
}

/* It is told once, for an Event. */
static void test_lower_epoch_is_told(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = rebuilt_facts(ROLE_LOCAL_MASTER, VERDICT_ME);
    assert_false(role_step(&r, &in).regressed);
    in.now_us = NOW_US + ROLE_REGRESSION_US - 1;
    assert_false(role_step(&r, &in).regressed);
    assert_int_equal(r.token, EPOCH);
    in.now_us = NOW_US + ROLE_REGRESSION_US;
    struct role_change change = role_step(&r, &in);
    assert_true(change.regressed);
    assert_true(change.epoch);
    assert_false(change.state);
    assert_int_equal(r.token, 1);
    assert_false(role_step(&r, &in).regressed);
}

static void test_lower_epoch_demotes(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = rebuilt_facts(ROLE_LOCAL_MASTER, VERDICT_OTHER);
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_MASTER);
    assert_turns_at(&r, &in, NOW_US + ROLE_REGRESSION_US, ROLE_DEMOTED);
}

/* Not a majority, another epoch in between, nothing known in between: from the start. */
static void test_lower_epoch_must_be_steady(void **state)
{
    (void)state;
    for (int why = 0; why < 3; why++) {
        struct role r = role_in(ROLE_PENDING);
        struct role_input in = rebuilt_facts(ROLE_LOCAL_MASTER, VERDICT_ME);
        step_at(&r, &in, NOW_US);
        struct role_input other = in;
        if (why == 0) {
            other.newest.naming = 1;
        } else if (why == 1) {
            other.newest.epoch = 2;
        } else {
            other.newest.known = false;
            other.verdict = VERDICT_NONE;
        }
        step_at(&r, &other, NOW_US + ROLE_REGRESSION_US);
        assert_state(&r, ROLE_PENDING);
        uint64_t again_us = NOW_US + ROLE_REGRESSION_US + (why == 0 ? 0 : 1);
        step_at(&r, &in, again_us);
        assert_state(&r, ROLE_PENDING);
        assert_turns_at(&r, &in, again_us + ROLE_REGRESSION_US, ROLE_MASTER);
    }
}

/* A majority that names me while ROLE is another: ROLE does not agree. */
static void test_lower_epoch_needs_role_to_agree(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_REPLICA);
    struct role_input in = rebuilt_facts(ROLE_LOCAL_SLAVE, VERDICT_ME);
    step_at(&r, &in, NOW_US);
    assert_stays(&r, &in);
    assert_int_equal(r.token, EPOCH);
    in.verdict = VERDICT_OTHER;
    step_at(&r, &in, in.now_us + 1);
    assert_int_equal(r.token, 1);
}

static void test_higher_epoch_ends_the_wait(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_PENDING);
    struct role_input in = rebuilt_facts(ROLE_LOCAL_MASTER, VERDICT_ME);
    step_at(&r, &in, NOW_US);
    in.newest.epoch = EPOCH;
    step_at(&r, &in, NOW_US + 1);
    assert_state(&r, ROLE_MASTER);
    assert_int_equal(r.epoch, EPOCH);
}

static struct role_input demoted_facts(void)
{
    struct role_input in = facts(ROLE_DEMOTED, ROLE_LOCAL_MASTER, VERDICT_ME);
    in.demoted_by_epoch = EPOCH + 1;
    return in;
}

/* The failover behind a demotion was given up: no Pod claims the epoch of it. */
static void test_demotion_that_nobody_claims(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = demoted_facts();
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_DEMOTED);
    assert_turns_at(&r, &in, NOW_US + ROLE_REGRESSION_US, ROLE_MASTER);
}

static void test_demotion_that_is_claimed(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = demoted_facts();
    add_peer_master(&in, EPOCH + 1, false);
    in.epoch_heard = EPOCH + 1;
    step_at(&r, &in, NOW_US);
    assert_stays(&r, &in);
}

static void test_demotion_without_proof_stays(void **state)
{
    (void)state;
    static const enum verdict verdicts[] = {VERDICT_NONE, VERDICT_OLD_ME, VERDICT_OTHER,
                                            VERDICT_NO_MASTER};
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        struct role r = role_in(ROLE_MASTER);
        struct role_input in = facts(ROLE_DEMOTED, ROLE_LOCAL_MASTER, verdicts[i]);
        in.demoted_by_epoch = EPOCH + 1;
        step_at(&r, &in, NOW_US);
        assert_state(&r, ROLE_DEMOTED);
        assert_stays(&r, &in);
    }
}

/* A master of long standing is demoted by a peer whose own label is not seen yet. */
static void test_demotion_is_not_unclaimed_by_an_older_clock(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    step_at(&r, &in, NOW_US);
    assert_stays(&r, &in);
    uint64_t now_us = in.now_us;
    in = demoted_facts();
    step_at(&r, &in, now_us + 1);
    assert_state(&r, ROLE_DEMOTED);
    assert_turns_at(&r, &in, now_us + 1 + ROLE_REGRESSION_US, ROLE_MASTER);
}

static void test_token_survives_the_agents_restart(void **state)
{
    (void)state;
    struct role r;
    role_init(&r);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_UNKNOWN, VERDICT_NONE);
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_MASTER);
    struct role_input rebuilt = rebuilt_facts(ROLE_LOCAL_MASTER, VERDICT_OTHER);
    rebuilt.own_label = ROLE_MASTER;
    step_at(&r, &rebuilt, NOW_US + 1);
    assert_state(&r, ROLE_MASTER);
    assert_turns_at(&r, &rebuilt, NOW_US + 1 + ROLE_REGRESSION_US, ROLE_DEMOTED);
}

/* Sentinels that have just switched know no run-id yet: the agent remembers the process. */
static void test_restarted_before_sentinels_know_it(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    step_at(&r, &in, NOW_US);
    assert_state(&r, ROLE_MASTER);
    memcpy(in.run_id, RUN_B, sizeof in.run_id);
    in.vouched = false;
    step_at(&r, &in, NOW_US + 1);
    assert_state(&r, ROLE_PENDING);
    in.vouched = true;
    step_at(&r, &in, NOW_US + 2);
    assert_state(&r, ROLE_MASTER);
}

static void test_hand_over_keeps_the_label_until_it_is_taken(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    step_at(&r, &in, NOW_US);
    in.handing_over = true;
    in.local = ROLE_LOCAL_SLAVE;
    step_at(&r, &in, NOW_US + 1);
    assert_state(&r, ROLE_MASTER);
    in.own_label = ROLE_DEMOTED;
    in.demoted_by_epoch = r.epoch + 2;
    step_at(&r, &in, NOW_US + 2);
    assert_state(&r, ROLE_DEMOTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dead_replica),
        cmocka_unit_test(test_dead_master_waits_for_its_successor),
        cmocka_unit_test(test_restarted_master),
        cmocka_unit_test(test_restarted_master_waits_anew),
        cmocka_unit_test(test_eager_must_be_confirmed),
        cmocka_unit_test(test_eager_counts_from_its_first_moment),
        cmocka_unit_test(test_superseded_by_a_label_of_another_world),
        cmocka_unit_test(test_superseded_by_an_epoch_that_was_heard_of),
        cmocka_unit_test(test_superseded_counts_from_the_proof),
        cmocka_unit_test(test_lower_epoch_names_me),
        cmocka_unit_test(test_lower_epoch_is_told),
        cmocka_unit_test(test_lower_epoch_demotes),
        cmocka_unit_test(test_lower_epoch_must_be_steady),
        cmocka_unit_test(test_lower_epoch_needs_role_to_agree),
        cmocka_unit_test(test_higher_epoch_ends_the_wait),
        cmocka_unit_test(test_demotion_that_nobody_claims),
        cmocka_unit_test(test_demotion_that_is_claimed),
        cmocka_unit_test(test_demotion_without_proof_stays),
        cmocka_unit_test(test_demotion_is_not_unclaimed_by_an_older_clock),
        cmocka_unit_test(test_restarted_before_sentinels_know_it),
        cmocka_unit_test(test_hand_over_keeps_the_label_until_it_is_taken),
        cmocka_unit_test(test_token_survives_the_agents_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
