/* The core around its parts: which reads it asks for and when, which answers it takes, and what
 * it makes of a decision. Pods and the clock are in test_core_pods.c. */
#include "test/unit/core/core_rig.h"
#include "test/unit/support/fixture.h"

static void init_with_auto(void *arg)
{
    struct core_config cfg = rig_config();
    cfg.mode = CORE_MODE_AUTO;
    core_init(arg, &cfg, NOW_US);
}

static void init_with_sentinels_in_a_mode_without(void *arg)
{
    struct core_config cfg = rig_config();
    cfg.mode = CORE_MODE_REPLICATION;
    core_init(arg, &cfg, NOW_US);
}

static void test_a_wrong_configuration_is_a_bug(void **state)
{
    (void)state;
    struct core c;
    assert_aborts(init_with_auto, &c);
    assert_aborts(init_with_sentinels_in_a_mode_without, &c);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned t = 0; t < CORE_EVENT_COUNT; t++) {
        assert_true(core_event_type_name((enum core_event_type)t)[0] != '\0');
    }
    for (unsigned a = 0; a < CORE_ACT_COUNT; a++) {
        assert_true(core_act_name((enum core_act)a)[0] != '\0');
    }
    assert_string_equal(core_mode_name(CORE_MODE_REPLICATION), "replication");
}

static void test_reads_once_connected(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_tick(&r, 1000);
    assert_int_equal(r.out.count, 0);
    rig_event(&r, CORE_LOCAL_UP);
    assert_int_equal(r.out.count, 1);
    const struct core_action *a = rig_action(&r, ACT_READ_LOCAL, 0);
    assert_non_null(a);
    assert_true(a->info && a->op != 0);
}

/* One read at a time, a second after the last answer, and at once after a hint. */
static void test_cadence_of_the_local_reads(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    assert_int_equal(r.core.local_read.op, 0);
    rig_tick(&r, CORE_LOCAL_PERIOD_US - 1);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
    assert_int_equal(core_next_deadline(&r.core), r.now_us + 1);
    rig_tick(&r, 1);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
    assert_true(rig_action(&r, ACT_READ_LOCAL, 0)->info);
    for (int i = 0; i < 4; i++) {
        rig_tick(&r, CORE_LOCAL_PERIOD_US / 2);
        assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
        rig_event(&r, CORE_LOCAL_HINT);
        assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
    }
    /* The hints of meanwhile are one read more, as soon as this one is over. */
    rig_role(&r, REDIS_ROLE_SLAVE);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
    rig_role(&r, REDIS_ROLE_SLAVE);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
    rig_event(&r, CORE_LOCAL_HINT);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
}

static void test_one_info_at_a_time(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    assert_true(rig_action(&r, ACT_READ_LOCAL, 0)->info);
    rig_role(&r, REDIS_ROLE_SLAVE);
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    assert_false(rig_action(&r, ACT_READ_LOCAL, 0)->info); /* the first is still outstanding */
    rig_info(&r, RUN_A);
    rig_role(&r, REDIS_ROLE_SLAVE);
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    assert_true(rig_action(&r, ACT_READ_LOCAL, 0)->info);
}

static void test_answers_that_are_not_current(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    uint64_t op = r.core.local_read.op;
    uint64_t asked_us = r.core.local.role_us;
    static const struct role_reply master = {.role = REDIS_ROLE_MASTER};
    struct info info = {.has = 1U << INFO_RUN_ID, .run_id = RUN_B};
    const uint64_t ops[] = {0, op - 1, op + 1};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = ops[i]};
        ev.u.role.role = &master;
        rig_send(&r, ev);
        ev = (struct core_event){.type = CORE_LOCAL_INFO, .op = ops[i], .u.info = &info};
        rig_send(&r, ev);
        assert_int_equal(r.core.local.role.role, REDIS_ROLE_SLAVE);
        assert_string_equal(r.core.local.run_id, RUN_A);
        assert_int_equal(r.core.local.role_us, asked_us);
        assert_int_equal(r.core.local_read.op, op);
    }
    /* The answer to a question of a connection that is gone. */
    rig_local_down(&r, LOCAL_DOWN_CLOSED);
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = op};
    ev.u.role.role = &master;
    rig_send(&r, ev);
    assert_int_equal(r.core.local.role.role, REDIS_ROLE_SLAVE);
    rig_event(&r, CORE_LOCAL_UP);
    rig_send(&r, ev);
    assert_int_equal(r.core.local.role.role, REDIS_ROLE_SLAVE);
}

/* An answer is as old as its question. */
static void test_answers_are_dated_by_their_question(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "master");
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    uint64_t asked_us = r.now_us;
    rig_tick(&r, 900000);
    rig_tick(&r, 900000);
    rig_role(&r, REDIS_ROLE_MASTER);
    rig_view(&r, 0, ME, EPOCH);
    assert_int_equal(r.core.local.role_us, asked_us);
    assert_int_equal(r.core.evidence.sentinels[0].view.asked_us, asked_us);
}

static void test_an_answer_that_will_not_come(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    uint64_t asked_us = r.core.local.role_us;
    rig_send(&r, (struct core_event){.type = CORE_LOCAL_ROLE, .op = r.core.local_read.op});
    assert_int_equal(r.core.local_read.op, 0);
    assert_int_equal(r.core.local.role_us, asked_us);
    rig_send(&r, (struct core_event){.type = CORE_LOCAL_INFO, .op = r.core.info_op});
    assert_int_equal(r.core.info_op, 0);
    uint64_t view_us = r.core.evidence.sentinels[1].view.asked_us;
    rig_send(&r, (struct core_event){.type = CORE_SENTINEL_VIEW,
                                     .slot = 1,
                                     .op = r.core.sentinel_read[1].op});
    assert_int_equal(r.core.sentinel_read[1].op, 0);
    assert_int_equal(r.core.evidence.sentinels[1].view.asked_us, view_us);
}

static void test_a_turn_of_role_asks_for_more(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_event(&r, CORE_LOCAL_HINT);
    rig_info(&r, RUN_A);
    rig_role(&r, REDIS_ROLE_MASTER);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
    assert_true(rig_action(&r, ACT_READ_LOCAL, 0)->info);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 3);
    rig_role(&r, REDIS_ROLE_MASTER);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
}

static void test_a_lost_connection_asks_the_sentinels(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_local_down(&r, LOCAL_DOWN_CLOSED);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 3);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
    rig_local_down(&r, LOCAL_DOWN_REFUSED);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    /* A hint wakes a connection that waits for its next attempt. */
    rig_event(&r, CORE_LOCAL_HINT);
    assert_int_equal(rig_count(&r, ACT_KICK_LOCAL), 1);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
    rig_event(&r, CORE_LOCAL_UP);
    rig_event(&r, CORE_LOCAL_HINT);
    assert_int_equal(rig_count(&r, ACT_KICK_LOCAL), 0);
}

static void test_cadence_of_the_sentinels(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "master");
    assert_false(r.core.role.holding);
    rig_tick(&r, CORE_UNSURE_PERIOD_US);
    for (size_t slot = 0; slot < 3; slot++) {
        rig_view(&r, slot, ME, EPOCH);
    }
    uint64_t due_us = r.now_us + CORE_SENTINEL_PERIOD_US;
    rig_tick(&r, CORE_SENTINEL_PERIOD_US - 1);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    r.now_us = due_us;
    rig_event(&r, CORE_TICK);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(rig_action(&r, ACT_READ_SENTINEL, i)->slot, i);
    }
    rig_slot_event(&r, CORE_SENTINEL_HINT, 1);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    rig_view(&r, 1, ME, EPOCH);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 1);
    assert_int_equal(rig_action(&r, ACT_READ_SENTINEL, 0)->slot, 1);
    rig_view(&r, 1, ME, EPOCH);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
}

/* While a role is held for want of proof they are asked four times a second. */
static void test_cadence_of_the_sentinels_without_proof(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "master");
    rig_slot_event(&r, CORE_SENTINEL_DOWN, 0);
    rig_slot_event(&r, CORE_SENTINEL_DOWN, 1);
    assert_true(r.core.role.holding);
    rig_slot_event(&r, CORE_SENTINEL_HINT, 2);
    rig_view(&r, 2, ME, EPOCH);
    rig_tick(&r, CORE_UNSURE_PERIOD_US - 1);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    rig_tick(&r, 1);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 1);
}

static void test_sentinels_that_come_and_go(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "master");
    rig_tick(&r, CORE_SENTINEL_PERIOD_US);
    uint64_t op = r.core.sentinel_read[2].op;
    rig_slot_event(&r, CORE_SENTINEL_DOWN, 2);
    assert_int_equal(r.core.input.newest.fresh, 2);
    struct view v = view_of(&r.core.evidence, ME, EPOCH);
    struct core_event late = {.type = CORE_SENTINEL_VIEW, .slot = 2, .op = op, .u.view = &v};
    rig_send(&r, late);
    assert_int_equal(r.core.input.newest.fresh, 2);
    rig_tick(&r, 1000);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    rig_slot_event(&r, CORE_SENTINEL_UP, 2);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 1);
    rig_send(&r, late);
    assert_int_equal(r.core.input.newest.fresh, 2);
    rig_view(&r, 2, ME, EPOCH);
    assert_int_equal(r.core.input.newest.fresh, 3);
    rig_slot_event(&r, CORE_SENTINEL_GONE, 2);
    assert_string_equal(r.core.evidence.sentinels[2].id, "");
    assert_int_equal(r.core.input.newest.fresh, 2);
}

static void test_events_are_hints_to_read(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "master");
    rig_sentinel_event(&r, 1, SENTINEL_EVENT_SENTINEL);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    rig_sentinel_event(&r, 1, SENTINEL_EVENT_SWITCH_MASTER);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 1);
    assert_int_equal(rig_action(&r, ACT_READ_SENTINEL, 0)->slot, 1);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    /* Another master that the same Sentinels watch. */
    struct sentinel_event e = {.type = SENTINEL_EVENT_SWITCH_MASTER, .master_name = "second"};
    rig_send(&r, (struct core_event){.type = CORE_SENTINEL_EVENT, .slot = 2, .u.sentinel = &e});
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
}

static void test_hellos(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "master");
    struct sentinel_hello h = {.master_name = "mymaster",
                               .current_epoch = 9,
                               .master_epoch = EPOCH};
    struct core_event ev = {.type = CORE_HELLO, .u.hello = &h};
    rig_send(&r, ev);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 0);
    assert_int_equal(r.core.input.epoch_heard, 9);
    h.master_epoch = EPOCH + 1;
    rig_send(&r, ev);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 3);
    (void)str_copy(h.master_name, sizeof h.master_name, SV("second"));
    h.current_epoch = 12;
    rig_send(&r, ev);
    assert_int_equal(r.core.input.epoch_heard, 9);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
}

/* A Sentinel is elected and selects me; the ROLE is not read yet. */
static void elect_me(struct rig *r)
{
    struct sentinel_event e = {.type = SENTINEL_EVENT_NEW_EPOCH, .epoch = EPOCH + 1};
    struct core_event ev = {.type = CORE_SENTINEL_EVENT, .slot = 0, .u.sentinel = &e};
    rig_send(r, ev);
    rig_sentinel_event(r, 0, SENTINEL_EVENT_TRY_FAILOVER);
    e.type = SENTINEL_EVENT_VOTE;
    (void)sentinel_id(0, e.leader_id);
    rig_send(r, ev);
    ev.slot = 1;
    rig_send(r, ev);
    ev.slot = 0;
    e = (struct sentinel_event){.type = SENTINEL_EVENT_SELECTED_SLAVE,
                                .master_name = "mymaster",
                                .instance = addr_from(ME)};
    rig_send(r, ev);
}

static void test_polls_for_its_promotion(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    elect_me(&r);
    uint64_t selected_us = r.now_us;
    rig_role(&r, REDIS_ROLE_SLAVE); /* the read that the first of these events has caused */
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
    unsigned polls = 0;
    while (r.now_us < selected_us + CORE_EAGER_POLL_FOR_US) {
        rig_role(&r, REDIS_ROLE_SLAVE);
        assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
        rig_tick(&r, CORE_EAGER_POLL_US - 1);
        assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
        rig_tick(&r, 1);
        assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
        polls++;
        if (r.core.info_op != 0) {
            rig_info(&r, RUN_A);
        }
    }
    assert_int_equal(polls, CORE_EAGER_POLL_FOR_US / CORE_EAGER_POLL_US);
    rig_role(&r, REDIS_ROLE_SLAVE);
    rig_tick(&r, CORE_LOCAL_PERIOD_US - 1);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
}

static void test_eager_promotion(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    elect_me(&r);
    rig_role(&r, REDIS_ROLE_SLAVE);
    rig_tick(&r, CORE_EAGER_POLL_US);
    rig_role(&r, REDIS_ROLE_MASTER);
    const struct core_action *a = rig_action(&r, ACT_PATCH_POD, 0);
    assert_non_null(a);
    assert_int_equal(a->label.role, ROLE_MASTER);
    assert_int_equal(a->label.epoch, EPOCH + 1);
    assert_int_equal(a->label.reason, ROLE_WHY_EAGER);
    /* It is master now: no need to hurry any more. */
    rig_role(&r, REDIS_ROLE_MASTER);
    rig_tick(&r, CORE_EAGER_POLL_US);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
}

/* A ROLE of master that was read before the selection is no promotion by it. */
static void test_eager_needs_a_role_after_the_selection(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_event(&r, CORE_LOCAL_HINT);
    rig_role(&r, REDIS_ROLE_MASTER);
    rig_role(&r, REDIS_ROLE_MASTER);
    r.now_us += 1000;
    elect_me(&r);
    rig_role(&r, REDIS_ROLE_MASTER);
    assert_int_equal(r.core.input.eager_epoch, 0);
    assert_int_equal(r.core.role.state, ROLE_DEMOTED);
}

static void test_eager_can_be_switched_off(void **state)
{
    (void)state;
    struct rig r;
    struct core_config cfg = rig_config();
    cfg.eager = false;
    rig_init_with(&r, &cfg);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    elect_me(&r);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 0);
    rig_event(&r, CORE_LOCAL_HINT);
    rig_role(&r, REDIS_ROLE_MASTER);
    assert_int_equal(r.core.role.state, ROLE_DEMOTED); /* newest still names another */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wrong_configuration_is_a_bug),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_reads_once_connected),
        cmocka_unit_test(test_cadence_of_the_local_reads),
        cmocka_unit_test(test_one_info_at_a_time),
        cmocka_unit_test(test_answers_that_are_not_current),
        cmocka_unit_test(test_answers_are_dated_by_their_question),
        cmocka_unit_test(test_an_answer_that_will_not_come),
        cmocka_unit_test(test_a_turn_of_role_asks_for_more),
        cmocka_unit_test(test_a_lost_connection_asks_the_sentinels),
        cmocka_unit_test(test_cadence_of_the_sentinels),
        cmocka_unit_test(test_cadence_of_the_sentinels_without_proof),
        cmocka_unit_test(test_sentinels_that_come_and_go),
        cmocka_unit_test(test_events_are_hints_to_read),
        cmocka_unit_test(test_hellos),
        cmocka_unit_test(test_polls_for_its_promotion),
        cmocka_unit_test(test_eager_promotion),
        cmocka_unit_test(test_eager_needs_a_role_after_the_selection),
        cmocka_unit_test(test_eager_can_be_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
