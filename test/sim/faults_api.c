#include "test/sim/faults.h"

/* ---- API server ---- */

static void heal_api(struct world *w, struct sim_msg *m)
{
    (void)m;
    sim_trace(w, "the API server is well again");
    w->api.down = false;
    w->api.errors = w->api.lost = 0;
    w->api.slow_us = 0;
    memset(w->api.policy, 0, sizeof w->api.policy);
}

void fault_api_down(struct world *w)
{
    sim_trace(w, "the API server is down");
    w->api.down = true;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        kube_break_watch(w, i);
    }
    (void)fault_later(w, fault_ms(w, 300, 20000), heal_api, 0);
}

void fault_api_errors(struct world *w)
{
    sim_trace(w, "the API server refuses requests");
    w->api.errors = (unsigned)sim_between(w, 200, 1000);
    (void)fault_later(w, fault_ms(w, 300, 15000), heal_api, 0);
}

void fault_api_slow(struct world *w)
{
    sim_trace(w, "the API server is slow");
    w->api.slow_us = fault_ms(w, 50, 7000);
    w->api.lost = (unsigned)sim_between(w, 0, 300);
    (void)fault_later(w, fault_ms(w, 300, 15000), heal_api, 0);
}

void fault_api_policy(struct world *w)
{
    unsigned i = fault_any_pod(w);
    sim_trace(w, "a policy refuses what agent-%u writes", i);
    w->api.policy[i] = true;
    (void)fault_later(w, fault_ms(w, 1000, 9000), heal_api, 0);
}

void fault_break_watch(struct world *w)
{
    unsigned i = fault_any_pod(w);
    sim_trace(w, "agent-%u loses its watch", i);
    if (sim_chance(w, 400)) {
        w->api.compacted_rv = w->api.rv;
    }
    kube_break_watch(w, i);
}

static void end_hang(struct world *w, struct sim_msg *m)
{
    kube_break_watch(w, m->to);
}

void fault_hang_watch(struct world *w)
{
    unsigned i = fault_any_pod(w);
    sim_trace(w, "the watch of agent-%u hangs", i);
    w->agents[i].watch_hung = true;
    (void)fault_later(w, fault_ms(w, 1000, 20000), end_hang, i);
}

/* ---- people and controllers ---- */

void fault_edit_by_hand(struct world *w)
{
    static const char *const words[] = {"master", "replica", "demoted", "pending", "draining",
                                        "fenced", "primary", "",        "Master"};
    unsigned i = fault_any_pod(w);
    if (!w->api.pods[i].exists) {
        return;
    }
    struct pod *p = api_edit(w, i);
    const char *word = words[rng_below(&w->rng, ARRAY_LEN(words))];
    sim_trace(w, "somebody labels %s \"%s\"", p->name, word);
    (void)str_copy(p->role, sizeof p->role, sv_from(word));
    if (sim_chance(w, 200)) {
        p->role_epoch = rng_below(&w->rng, p->role_epoch + 2);
    } else if (sim_chance(w, 100)) {
        p->has_role_epoch = false;
        p->role_epoch = 0;
        p->run_id[0] = '\0';
    }
    api_commit(w, i);
}

/* Of an epoch that is over: nobody must obey. */
void fault_demote_late(struct world *w)
{
    unsigned i = fault_likely_master(w);
    struct api_pod *p = &w->api.pods[i];
    if (!p->exists || p->stored != ROLE_MASTER || p->pod.role_epoch < 2) {
        return;
    }
    uint64_t epoch = p->pod.role_epoch - 1;
    struct pod *pod = api_edit(w, i);
    sim_trace(w, "pod %s is demoted late, at epoch %llu", pod->name, (unsigned long long)epoch);
    (void)str_copy(pod->role, sizeof pod->role, sv_from(role_state_name(ROLE_DEMOTED)));
    pod->demoted_by_epoch = epoch;
    api_commit(w, i);
}

/* By an agent whose own promotion came to nothing: its epoch will never name anybody. */
void fault_demote_lost(struct world *w)
{
    unsigned i = fault_likely_master(w);
    struct api_pod *p = &w->api.pods[i];
    if (!p->exists || p->stored != ROLE_MASTER) {
        return;
    }
    struct pod *pod = api_edit(w, i);
    pod->demoted_by_epoch = p->pod.role_epoch + sim_between(w, 1, 2);
    p->demoted_us = w->now_us;
    sim_trace(w, "pod %s is demoted for nothing, at epoch %llu", pod->name,
              (unsigned long long)pod->demoted_by_epoch);
    (void)str_copy(pod->role, sizeof pod->role, sv_from(role_state_name(ROLE_DEMOTED)));
    api_commit(w, i);
}

static void select_again(struct world *w, struct sim_msg *m)
{
    api_select(w, m->to, true);
}

void fault_edit_selector(struct world *w)
{
    unsigned i = fault_any_pod(w);
    api_select(w, i, false);
    (void)fault_later(w, fault_ms(w, 500, 10000), select_again, i);
}

static void set_fence(struct world *w, unsigned i, bool fence)
{
    if (w->api.pods[i].exists && api_edit(w, i)->fence != fence) {
        sim_trace(w, "the fence of redis-%u is %s", i, fence ? "set" : "lifted");
        api_edit(w, i)->fence = fence;
        api_commit(w, i);
    }
}

static void lift_fence(struct world *w, struct sim_msg *m)
{
    set_fence(w, m->to, false);
}

void fault_fence(struct world *w)
{
    unsigned i = fault_any_pod(w);
    set_fence(w, i, true);
    (void)fault_later(w, fault_ms(w, 500, 10000), lift_fence, i);
}

void fault_jump_clock(struct world *w)
{
    unsigned i = fault_any_pod(w);
    w->agents[i].wall_offset_ms += (int64_t)sim_between(w, 0, 7200000) - 3600000;
}

void fault_write_status(struct world *w)
{
    unsigned i = fault_any_pod(w);
    if (w->api.pods[i].exists) {
        api_commit(w, i);
    }
}

/* ---- a Pod is deleted and made anew ---- */

static void recreate(struct world *w, struct sim_msg *m)
{
    unsigned i = m->to;
    uint64_t epoch;
    if (w->api.pods[i].exists) {
        return;
    }
    api_create_pod(w, i);
    int master = truth_newest(w, ~0U, &epoch);
    if (w->cfg.mode == CORE_MODE_SENTINEL && master >= 0) {
        w->redis[i].stored_upstream = master == (int)i ? -1 : master;
    }
    agent_start(w, i);
    redis_start(w, i);
    if (!w->cfg.sentinels_apart && i < w->cfg.sentinels) {
        sentinel_start(w, i);
    }
}

static void end_pod(struct world *w, struct sim_msg *m)
{
    unsigned i = m->to;
    if (!w->api.pods[i].exists || !w->api.pods[i].pod.terminating) {
        return;
    }
    redis_kill(w, i, sim_chance(w, 300));
    if (!w->cfg.sentinels_apart && i < w->cfg.sentinels) {
        sentinel_kill(w, i);
    }
    agent_kill(w, i);
    api_remove_pod(w, i);
    (void)fault_later(w, fault_ms(w, 100, 3000), recreate, i);
}

void fault_delete_pod(struct world *w)
{
    unsigned i = fault_likely_master(w);
    if (w->api.pods[i].exists && !w->api.pods[i].pod.terminating) {
        api_terminate_pod(w, i);
        if (w->cfg.on.hand_over && sim_chance(w, 700)) {
            agent_drain(w, i, DRAIN_BY_SIGNAL, 0);
        }
        (void)fault_later(w, fault_ms(w, 200, 6000), end_pod, i);
    }
}

/* ---- the end of all of them ---- */

void fault_heal_api(struct world *w)
{
    struct sim_msg m = {.to = 0};
    heal_api(w, &m);
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if (w->agents[i].watch_hung) {
            kube_break_watch(w, i);
        }
        set_fence(w, i, false);
        api_select(w, i, true);
    }
}
