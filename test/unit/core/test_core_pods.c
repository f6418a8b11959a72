/* The core and the API: which Pods are peers, what becomes of the own one, what a decision puts
 * into PATCH, Event and log, and a clock that jumps. */
#include "test/unit/core/core_rig.h"

static void settle_master(struct rig *r)
{
    rig_init(r);
    rig_settle(r, REDIS_ROLE_MASTER, ME, "master");
    assert_int_equal(r->core.role.state, ROLE_MASTER);
    assert_int_equal(r->core.label.op, 0);
}

/* ---- decisions ---- */

static void test_a_restart_of_the_agent_writes_nothing(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    assert_int_equal(r.core.label.patches, 0);
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    assert_int_equal(r.core.role.state, ROLE_REPLICA);
    assert_int_equal(r.core.label.patches, 0);
}

static void test_what_a_decision_says(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    r.now_us += 5000;
    rig_slot_event(&r, CORE_SENTINEL_HINT, 0);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 1);
    rig_view(&r, 0, OTHER, EPOCH + 2);
    const struct core_action *changed = rig_action(&r, ACT_ROLE_CHANGED, 0);
    const struct core_action *event = rig_action(&r, ACT_KUBE_EVENT, 0);
    const struct core_action *patch = rig_action(&r, ACT_PATCH_POD, 0);
    assert_non_null(changed);
    assert_non_null(event);
    assert_non_null(patch);
    const struct core_action *both[] = {changed, event};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(both[i]->from, ROLE_MASTER);
        assert_int_equal(both[i]->to, ROLE_DEMOTED);
        assert_int_equal(both[i]->epoch, EPOCH + 2);
        assert_int_equal(both[i]->reason, ROLE_WHY_OTHER);
        assert_false(both[i]->regressed);
    }
    assert_int_equal(patch->label.role, ROLE_DEMOTED);
    assert_int_equal(patch->label.epoch, EPOCH + 2);
    assert_int_equal(patch->label.reason, ROLE_WHY_OTHER);
    assert_int_equal(patch->label.since_wall_ms, WALL_MS + (r.now_us - NOW_US) / 1000);
    assert_int_equal(patch->label.decided_us, r.now_us);
    assert_string_equal(patch->label.run_id, RUN_A);
    assert_int_equal(patch->op, r.core.label.op);
    r.now_us += 2500;
    struct pod p = rig_pod_of(0, "demoted", EPOCH + 2);
    (void)str_copy(p.resource_version, sizeof p.resource_version, SV("101"));
    rig_api(&r, API_OK, &p);
    assert_int_equal(rig_count(&r, ACT_LABEL_ACKED), 1);
    assert_int_equal(rig_action(&r, ACT_LABEL_ACKED, 0)->duration_us, 2500);
    assert_int_equal(r.core.label_acks, 1);
    rig_tick(&r, 1);
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 0);
}

/* The same role at a newer epoch: a PATCH and a line in the log, no Event, since when stays. */
static void test_a_newer_epoch_is_no_event(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    rig_tick(&r, 2000000);
    rig_view(&r, 0, ME, EPOCH + 1);
    assert_int_equal(rig_count(&r, ACT_ROLE_CHANGED), 1);
    assert_int_equal(rig_action(&r, ACT_ROLE_CHANGED, 0)->epoch, EPOCH + 1);
    assert_int_equal(rig_count(&r, ACT_KUBE_EVENT), 0);
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 1);
    assert_int_equal(rig_action(&r, ACT_PATCH_POD, 0)->label.epoch, EPOCH + 1);
    assert_int_equal(r.core.label.want.since_wall_ms, WALL_MS);
}

static void test_another_process_is_written(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_settle(&r, REDIS_ROLE_SLAVE, OTHER, "replica");
    rig_local_down(&r, LOCAL_DOWN_CLOSED);
    rig_event(&r, CORE_LOCAL_UP);
    rig_role(&r, REDIS_ROLE_SLAVE);
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 0);
    rig_info(&r, RUN_B);
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 1);
    assert_string_equal(rig_action(&r, ACT_PATCH_POD, 0)->label.run_id, RUN_B);
    assert_int_equal(rig_count(&r, ACT_KUBE_EVENT), 0);
}

static void test_without_an_api_server(void **state)
{
    (void)state;
    struct rig r;
    struct core_config cfg = rig_config();
    cfg.labels = false;
    rig_init_with(&r, &cfg);
    rig_settle(&r, REDIS_ROLE_MASTER, ME, "replica");
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    assert_int_equal(r.core.label.patches, 0);
    assert_int_equal(r.core.label.op, 0);
}

static void test_mode_without_sentinel(void **state)
{
    (void)state;
    struct rig r;
    struct core_config cfg = rig_config();
    cfg.mode = CORE_MODE_REPLICATION;
    cfg.sentinel_count = 0;
    rig_init_with(&r, &cfg);
    rig_pod(&r, rig_pod_of(0, "replica", 0));
    rig_event(&r, CORE_LOCAL_UP);
    rig_role(&r, REDIS_ROLE_MASTER);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    assert_int_equal(r.core.role.epoch, 0);
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 1);
}

static void test_a_lower_epoch_is_an_event(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    r.core.evidence.hello_epoch = EPOCH + 3;
    uint64_t rebuilt_us = 0;
    while (rig_count(&r, ACT_KUBE_EVENT) == 0) {
        rig_tick(&r, 250000);
        if (r.core.local_read.op != 0) {
            rig_info(&r, RUN_A);
            rig_role(&r, REDIS_ROLE_MASTER);
        }
        for (size_t slot = 0; slot < 3; slot++) {
            if (r.core.sentinel_read[slot].op != 0 && rig_count(&r, ACT_KUBE_EVENT) == 0) {
                rig_view(&r, slot, ME, 1);
            }
        }
        rebuilt_us = rebuilt_us == 0 ? r.core.role.regression_since_us : rebuilt_us;
        assert_true(r.now_us < NOW_US + 2 * ROLE_REGRESSION_US);
    }
    assert_in_range(r.now_us - rebuilt_us, ROLE_REGRESSION_US, ROLE_REGRESSION_US + 250000);
    const struct core_action *a = rig_action(&r, ACT_KUBE_EVENT, 0);
    assert_true(a->regressed);
    assert_int_equal(a->epoch, 1);
    assert_int_equal(a->to, ROLE_MASTER);
    assert_int_equal(rig_count(&r, ACT_KUBE_EVENT), 1);
    assert_int_equal(evidence_epoch_heard(&r.core.evidence), 0);
    assert_int_equal(rig_action(&r, ACT_PATCH_POD, 0)->label.epoch, 1);
}

/* ---- my own Pod ---- */

static void test_the_own_pod_is_gone(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    struct pod p = rig_pod_of(0, "master", EPOCH);
    (void)str_copy(p.uid, sizeof p.uid, SV("of a former Pod"));
    rig_send(&r, (struct core_event){.type = CORE_POD_GONE, .u.pod = &p});
    assert_int_equal(rig_count(&r, ACT_GET_POD), 0);
    p = rig_pod_of(0, "master", EPOCH);
    rig_send(&r, (struct core_event){.type = CORE_POD_GONE, .u.pod = &p});
    assert_int_equal(rig_count(&r, ACT_GET_POD), 1);
    /* Its labels had left the selector: it lives. */
    rig_api(&r, API_OK, &p);
    assert_false(r.core.label.foreign);
    rig_send(&r, (struct core_event){.type = CORE_POD_GONE, .u.pod = &p});
    rig_api(&r, API_NOT_FOUND, NULL);
    assert_true(r.core.label.foreign);
    rig_tick(&r, CORE_LOCAL_PERIOD_US);
    assert_int_equal(rig_count(&r, ACT_GET_POD) + rig_count(&r, ACT_PATCH_POD), 0);
}

static void test_the_own_pod_is_not_in_a_list(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    rig_event(&r, CORE_PODS_RESYNC);
    rig_pod(&r, rig_pod_of(1, "replica", EPOCH));
    assert_int_equal(rig_count(&r, ACT_GET_POD), 0);
    rig_event(&r, CORE_PODS_SYNCED);
    assert_int_equal(rig_count(&r, ACT_GET_POD), 1);
}

static void test_another_pod_of_my_name(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    struct pod p = rig_pod_of(0, "", 0);
    (void)str_copy(p.uid, sizeof p.uid, SV("of a later Pod"));
    (void)str_copy(p.resource_version, sizeof p.resource_version, SV("200"));
    rig_pod(&r, p);
    assert_true(r.core.label.foreign);
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 0);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
}

static void test_what_stands_on_the_own_pod(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    struct pod p = rig_pod_of(0, "master", EPOCH);
    p.fence = true;
    rig_pod(&r, p);
    assert_int_equal(r.core.role.state, ROLE_FENCED);
    assert_int_equal(rig_action(&r, ACT_PATCH_POD, 0)->label.role, ROLE_FENCED);
    p.fence = false;
    rig_pod(&r, p);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    p.terminating = true;
    rig_pod(&r, p);
    assert_int_equal(r.core.role.state, ROLE_MASTER); /* in charge to its end */
    p = rig_pod_of(0, "demoted", EPOCH);
    p.demoted_by_epoch = EPOCH + 1;
    p.terminating = true;
    rig_pod(&r, p);
    assert_int_equal(r.core.role.state, ROLE_DRAINING);
}

/* ---- peers ---- */

static void tell_peer(struct rig *r, int ordinal, const char *role, uint64_t epoch)
{
    rig_pod(r, rig_pod_of(ordinal, role, epoch));
}

static void test_a_peers_label_is_seen(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    assert_false(r.core.input.peer_master);
    tell_peer(&r, 1, "master", EPOCH);
    assert_true(r.core.input.peer_master);
    assert_int_equal(r.core.input.peer_master_epoch, EPOCH);
    assert_false(r.core.input.peer_master_first);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    tell_peer(&r, 2, "master", EPOCH + 3);
    assert_int_equal(r.core.input.peer_master_epoch, EPOCH + 3);
    assert_int_equal(r.core.role.state, ROLE_DEMOTED);
    tell_peer(&r, 2, "replica", EPOCH + 3);
    tell_peer(&r, 1, "replica", EPOCH);
    assert_false(r.core.input.peer_master);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
}

static void test_pods_of_another_set(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    struct pod p = rig_pod_of(1, "master", EPOCH + 3);
    (void)str_copy(p.name, sizeof p.name, SV("other-1"));
    (void)str_copy(p.controller_uid, sizeof p.controller_uid, SV("another"));
    rig_pod(&r, p);
    assert_false(r.core.input.peer_master);
    p.controller_uid[0] = '\0';
    rig_pod(&r, p);
    assert_false(r.core.input.peer_master);
}

/* A Pod that nobody controls has no peers, least of all the others that nobody controls. */
static void test_without_a_controller(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    struct pod own = rig_pod_of(0, "", 0);
    struct pod peer = rig_pod_of(1, "master", EPOCH + 1);
    own.controller_uid[0] = peer.controller_uid[0] = '\0';
    rig_pod(&r, own);
    rig_pod(&r, peer);
    rig_event(&r, CORE_PODS_SYNCED);
    assert_false(r.core.input.peer_master);
}

/* The list may name the peers before my own Pod. */
static void test_peers_that_are_listed_first(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_event(&r, CORE_PODS_RESYNC);
    tell_peer(&r, 1, "master", EPOCH + 3);
    struct pod p = rig_pod_of(2, "master", EPOCH + 4);
    (void)str_copy(p.controller_uid, sizeof p.controller_uid, SV("another"));
    rig_pod(&r, p);
    assert_false(r.core.input.peer_master);
    rig_pod(&r, rig_pod_of(0, "replica", EPOCH));
    assert_true(r.core.input.peer_master);
    assert_int_equal(r.core.input.peer_master_epoch, EPOCH + 3);
    assert_false(r.core.input.peers_synced);
    rig_event(&r, CORE_PODS_SYNCED);
    assert_true(r.core.input.peers_synced);
    assert_int_equal(r.core.input.peer_master_epoch, EPOCH + 3);
}

static void test_peers_that_vanish(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    tell_peer(&r, 1, "master", EPOCH);
    struct pod p = rig_pod_of(1, "master", EPOCH);
    rig_send(&r, (struct core_event){.type = CORE_POD_GONE, .u.pod = &p});
    assert_false(r.core.input.peer_master);
    /* Gone while the watch was cut: the next list does not have it. */
    tell_peer(&r, 1, "master", EPOCH);
    rig_event(&r, CORE_PODS_RESYNC);
    rig_pod(&r, rig_pod_of(0, "master", EPOCH));
    tell_peer(&r, 2, "replica", EPOCH);
    assert_true(r.core.input.peer_master);
    rig_event(&r, CORE_PODS_SYNCED);
    assert_false(r.core.input.peer_master);
    assert_true(r.core.input.peers_synced);
}

static void test_more_peers_than_there_is_room(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    for (int i = 1; i <= CORE_PEERS_MAX + 3; i++) {
        tell_peer(&r, i, "replica", EPOCH);
    }
    assert_int_equal(r.core.peers_dropped, 3);
    tell_peer(&r, CORE_PEERS_MAX, "master", EPOCH); /* the last one with a place */
    assert_true(r.core.input.peer_master);
    rig_event(&r, CORE_PODS_RESYNC);
    assert_int_equal(r.core.peers_dropped, 0);
}

static void test_the_lowest_ordinal(void **state)
{
    (void)state;
    static const struct {
        const char *own;
        int peer;
        bool lowest;
    } rows[] = {{"redis-0", 1, true},   {"redis-1", 2, true},  {"redis-2", 1, false},
                {"redis-10", 9, false}, {"redis-9", 10, true}, {"redis", 1, false},
                {"redis-x", 1, false},  {"redis-1", -1, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rig r;
        struct core_config cfg = rig_config();
        cfg.pod_name = rows[i].own;
        rig_init_with(&r, &cfg);
        struct pod own = rig_pod_of(0, "", 0);
        (void)str_copy(own.name, sizeof own.name, sv_from(rows[i].own));
        rig_pod(&r, own);
        tell_peer(&r, rows[i].peer, "", 0);
        if (r.core.input.lowest_ordinal != rows[i].lowest) {
            fail_msg("%s beside ordinal %d", rows[i].own, rows[i].peer);
        }
    }
}

static void test_who_comes_first_of_one_epoch(void **state)
{
    (void)state;
    struct rig r;
    struct core_config cfg = rig_config();
    cfg.pod_name = "redis-2";
    rig_init_with(&r, &cfg);
    struct pod own = rig_pod_of(0, "master", EPOCH);
    (void)str_copy(own.name, sizeof own.name, SV("redis-2"));
    rig_pod(&r, own);
    tell_peer(&r, 3, "master", EPOCH);
    assert_false(r.core.input.peer_master_first);
    tell_peer(&r, 1, "master", EPOCH);
    assert_true(r.core.input.peer_master_first);
    /* Only those of the highest epoch are compared, in whichever order they stand. */
    tell_peer(&r, 3, "master", EPOCH + 1);
    assert_false(r.core.input.peer_master_first);
    tell_peer(&r, 1, "master", EPOCH + 1);
    assert_true(r.core.input.peer_master_first);
}

/* ---- the clock ---- */

static void test_a_gap_makes_all_knowledge_worthless(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    rig_tick(&r, CORE_GAP_US);
    assert_int_equal(rig_count(&r, ACT_GAP), 0);
    /* A minute later, so that the agent's start is no excuse either. */
    settle_master(&r);
    for (int i = 0; i < 60; i++) {
        rig_tick(&r, CORE_LOCAL_PERIOD_US);
        rig_role(&r, REDIS_ROLE_MASTER);
        rig_info(&r, RUN_A);
        for (size_t slot = 0; slot < 3; slot++) {
            rig_view(&r, slot, ME, EPOCH);
        }
    }
    rig_event(&r, CORE_LOCAL_HINT);
    rig_slot_event(&r, CORE_SENTINEL_HINT, 0);
    uint64_t local_op = r.core.local_read.op;
    uint64_t view_op = r.core.sentinel_read[0].op;
    assert_true(local_op != 0 && view_op != 0);
    rig_tick(&r, CORE_GAP_US + 1);
    assert_int_equal(rig_count(&r, ACT_GAP), 1);
    assert_int_equal(rig_action(&r, ACT_GAP, 0)->duration_us, CORE_GAP_US + 1);
    assert_int_equal(r.core.gaps, 1);
    assert_int_equal(r.core.input.newest.fresh, 0);
    assert_int_equal(r.core.input.verdict, VERDICT_NONE);
    assert_int_equal(rig_count(&r, ACT_READ_LOCAL), 1);
    assert_true(rig_action(&r, ACT_READ_LOCAL, 0)->info);
    assert_int_equal(rig_count(&r, ACT_READ_SENTINEL), 3);
    assert_string_not_equal(r.core.evidence.sentinels[0].id, "");
    /* Nothing is done for that alone … */
    assert_int_equal(rig_count(&r, ACT_PATCH_POD), 0);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    /* … and what was asked before is not taken any more. */
    struct view v = view_of(&r.core.evidence, OTHER, EPOCH + 1);
    rig_send(&r, (struct core_event){.type = CORE_SENTINEL_VIEW, .op = view_op, .u.view = &v});
    static const struct role_reply slave = {.role = REDIS_ROLE_SLAVE};
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = local_op};
    ev.u.role.role = &slave;
    rig_send(&r, ev);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
    assert_int_equal(r.core.input.newest.fresh, 0);
}

/* The gap ends with an answer that lay in a socket all the while. */
static void test_the_event_that_ends_a_gap(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    rig_tick(&r, CORE_SENTINEL_PERIOD_US);
    struct view v = view_of(&r.core.evidence, ME, EPOCH);
    struct core_event ev = {.type = CORE_SENTINEL_VIEW, .u.view = &v};
    r.now_us += CORE_GAP_US + 1;
    for (size_t slot = 0; slot < 3; slot++) {
        ev.slot = slot;
        ev.op = r.core.sentinel_read[slot].op;
        rig_send(&r, ev);
        if (slot == 0) {
            assert_int_equal(rig_count(&r, ACT_GAP), 1);
        }
    }
    /* Slot 0 answered the old question, the others the new one. */
    assert_int_equal(r.core.evidence.sentinels[0].view.asked_us, 0);
    assert_int_equal(r.core.evidence.sentinels[1].view.asked_us, r.now_us);
}

static void test_a_clock_that_goes_back(void **state)
{
    (void)state;
    struct rig r;
    settle_master(&r);
    rig_tick(&r, 1000);
    uint64_t now_us = r.core.now_us;
    struct core_event ev = {.type = CORE_TICK, .now_us = now_us - 500, .wall_ms = WALL_MS};
    core_step(&r.core, &ev, &r.out);
    assert_int_equal(r.core.now_us, now_us);
    assert_int_equal(r.core.role.state, ROLE_MASTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restart_of_the_agent_writes_nothing),
        cmocka_unit_test(test_what_a_decision_says),
        cmocka_unit_test(test_a_newer_epoch_is_no_event),
        cmocka_unit_test(test_another_process_is_written),
        cmocka_unit_test(test_without_an_api_server),
        cmocka_unit_test(test_mode_without_sentinel),
        cmocka_unit_test(test_a_lower_epoch_is_an_event),
        cmocka_unit_test(test_the_own_pod_is_gone),
        cmocka_unit_test(test_the_own_pod_is_not_in_a_list),
        cmocka_unit_test(test_another_pod_of_my_name),
        cmocka_unit_test(test_what_stands_on_the_own_pod),
        cmocka_unit_test(test_a_peers_label_is_seen),
        cmocka_unit_test(test_pods_of_another_set),
        cmocka_unit_test(test_without_a_controller),
        cmocka_unit_test(test_peers_that_are_listed_first),
        cmocka_unit_test(test_peers_that_vanish),
        cmocka_unit_test(test_more_peers_than_there_is_room),
        cmocka_unit_test(test_the_lowest_ordinal),
        cmocka_unit_test(test_who_comes_first_of_one_epoch),
        cmocka_unit_test(test_a_gap_makes_all_knowledge_worthless),
        cmocka_unit_test(test_the_event_that_ends_a_gap),
        cmocka_unit_test(test_a_clock_that_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
