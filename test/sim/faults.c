#include "test/sim/faults.h"

uint64_t fault_ms(struct world *w, uint64_t low_ms, uint64_t high_ms)
{
    return sim_between(w, low_ms, high_ms) * MS;
}

unsigned fault_any_pod(struct world *w)
{
    return (unsigned)rng_below(&w->rng, w->cfg.pods);
}

static unsigned any_sentinel(struct world *w)
{
    return (unsigned)rng_below(&w->rng, w->cfg.sentinels);
}

/* The Pod of the master more often than chance would have it. */
unsigned fault_likely_master(struct world *w)
{
    uint64_t epoch;
    int named = truth_newest(w, ~0U, &epoch);
    return named >= 0 && sim_chance(w, 600) ? (unsigned)named : fault_any_pod(w);
}

struct sim_msg *fault_later(struct world *w, uint64_t delay_us, sim_fn *fn, unsigned to)
{
    struct sim_msg *m = sim_in(w, delay_us, fn);
    m->to = to;
    return m;
}

/* ---- Redis ---- */

static void start_redis(struct world *w, struct sim_msg *m)
{
    if (w->api.pods[m->to].exists && !w->redis[m->to].alive) {
        redis_start(w, m->to);
    }
}

static void kill_redis(struct world *w)
{
    unsigned i = fault_likely_master(w);
    redis_kill(w, i, sim_chance(w, 200));
    uint64_t back_us = sim_chance(w, 600) ? fault_ms(w, 20, 3000) : fault_ms(w, 5000, 25000);
    (void)fault_later(w, back_us, start_redis, i);
}

static void thaw_redis(struct world *w, struct sim_msg *m)
{
    if (w->redis[m->to].frozen) {
        redis_freeze(w, m->to, false);
    }
}

static void freeze_redis(struct world *w)
{
    unsigned i = fault_likely_master(w);
    if (w->redis[i].alive) {
        redis_freeze(w, i, true);
        (void)fault_later(w, fault_ms(w, 200, 9000), thaw_redis, i);
    }
}

static void end_busy(struct world *w, struct sim_msg *m)
{
    if (w->redis[m->to].busy) {
        redis_busy(w, m->to, false);
    }
}

static void make_busy(struct world *w)
{
    unsigned i = fault_likely_master(w);
    if (w->redis[i].alive) {
        redis_busy(w, i, true);
        (void)fault_later(w, fault_ms(w, 200, 6000), end_busy, i);
    }
}

/* ---- agents, nodes ---- */

static void start_agent(struct world *w, struct sim_msg *m)
{
    if (w->api.pods[m->to].exists) {
        agent_start(w, m->to);
    }
}

static void kill_agent(struct world *w)
{
    unsigned i = fault_any_pod(w);
    agent_kill(w, i);
    (void)fault_later(w, fault_ms(w, 20, 5000), start_agent, i);
}

static void continue_agent(struct world *w, struct sim_msg *m)
{
    agent_continue(w, m->to);
}

static void stop_agent(struct world *w)
{
    unsigned i = fault_any_pod(w);
    agent_stop(w, i);
    uint64_t for_us = sim_chance(w, 300) ? fault_ms(w, 2300, 3200) : fault_ms(w, 300, 20000);
    (void)fault_later(w, for_us, continue_agent, i);
}

static void thaw_sentinel(struct world *w, struct sim_msg *m)
{
    if (w->sentinels[m->to].frozen) {
        sentinel_freeze(w, m->to, false);
    }
}

static void freeze_sentinel(struct world *w, unsigned k, uint64_t for_us)
{
    if (w->sentinels[k].alive && !w->sentinels[k].frozen) {
        sentinel_freeze(w, k, true);
        (void)fault_later(w, for_us, thaw_sentinel, k);
    }
}

static void freeze_any_sentinel(struct world *w)
{
    freeze_sentinel(w, any_sentinel(w), fault_ms(w, 200, 12000));
}

static void freeze_node(struct world *w)
{
    unsigned i = fault_likely_master(w);
    uint64_t for_us = fault_ms(w, 500, 12000);
    agent_stop(w, i);
    (void)fault_later(w, for_us, continue_agent, i);
    if (w->redis[i].alive) {
        redis_freeze(w, i, true);
        (void)fault_later(w, for_us, thaw_redis, i);
    }
    if (!w->cfg.sentinels_apart && i < w->cfg.sentinels) {
        freeze_sentinel(w, i, for_us);
    }
}

/* ---- network ---- */

static void heal_net(struct world *w, struct sim_msg *m)
{
    (void)m;
    sim_trace(w, "the network is whole again");
    net_heal(w);
}

static void cut(struct world *w, unsigned from, unsigned to)
{
    if (from != to) {
        w->net.cut[from][to] = true;
    }
}

static unsigned any_node(struct world *w)
{
    unsigned n = (unsigned)rng_below(&w->rng, w->cfg.pods + w->cfg.sentinels);
    return n < w->cfg.pods ? n : sim_sentinel_node(w, n - w->cfg.pods);
}

static void cut_node(struct world *w, bool both_ways)
{
    unsigned n = any_node(w);
    bool api_too = sim_chance(w, 500);
    sim_trace(w, "node %u is cut off%s%s", n, both_ways ? "" : " one way",
              api_too ? ", API too" : "");
    for (unsigned o = 0; o < SIM_NODES; o++) {
        if (o == SIM_API_NODE && !api_too) {
            continue;
        }
        cut(w, n, o);
        if (both_ways) {
            cut(w, o, n);
        }
    }
    (void)fault_later(w, fault_ms(w, 500, 20000), heal_net, 0);
}

static void cut_node_off(struct world *w)
{
    cut_node(w, true);
}

static void cut_one_way(struct world *w)
{
    cut_node(w, false);
}

static void cut_pair(struct world *w)
{
    unsigned a = any_node(w);
    unsigned b = any_node(w);
    sim_trace(w, "nodes %u and %u are cut off from each other", a, b);
    cut(w, a, b);
    cut(w, b, a);
    (void)fault_later(w, fault_ms(w, 500, 20000), heal_net, 0);
}

static void split(struct world *w)
{
    unsigned side = (unsigned)rng_next(&w->rng);
    bool api_splits = sim_chance(w, 500);
    sim_trace(w, "the network splits: sides %x%s", side & ((1U << SIM_NODES) - 1),
              api_splits ? ", API on one of them" : "");
    for (unsigned a = 0; a < SIM_NODES; a++) {
        for (unsigned b = 0; b < SIM_NODES; b++) {
            bool api = a == SIM_API_NODE || b == SIM_API_NODE;
            if (((side >> a) & 1U) != ((side >> b) & 1U) && (!api || api_splits)) {
                cut(w, a, b);
            }
        }
    }
    (void)fault_later(w, fault_ms(w, 500, 20000), heal_net, 0);
}

static void delay(struct world *w)
{
    unsigned n = any_node(w);
    sim_trace(w, "the network is slow at node %u", n);
    w->net.extra_us[n] = fault_ms(w, 1, 400);
    (void)fault_later(w, fault_ms(w, 500, 12000), heal_net, 0);
}

static void lose_packets(struct world *w)
{
    sim_trace(w, "the network loses packets");
    w->net.loss = (unsigned)sim_between(w, 10, 300);
    (void)fault_later(w, fault_ms(w, 500, 12000), heal_net, 0);
}

static void reset_conn(struct world *w)
{
    unsigned i = fault_any_pod(w);
    struct agent *g = &w->agents[i];
    unsigned conn = (unsigned)rng_below(&w->rng, 2 + 2 * g->slots);
    sim_trace(w, "agent-%u loses connection %u", i, conn);
    bool is_slot = conn >= CONN_COMMANDS(0);
    if (g->running && !g->stopped && is_slot && sim_chance(w, 200)) {
        size_t slot = (conn - CONN_COMMANDS(0)) / 2;
        agent_feed(w, i, &(struct core_event){.type = CORE_SENTINEL_GONE, .slot = slot});
        conn_connect(w, i, CONN_COMMANDS(slot));
        conn_connect(w, i, CONN_EVENTS(slot));
        return;
    }
    conn_close_by_peer(w, i, conn);
}

/* ---- Sentinels ---- */

static void start_sentinel(struct world *w, struct sim_msg *m)
{
    sentinel_start(w, m->to);
}

static void kill_sentinel(struct world *w)
{
    unsigned k = any_sentinel(w);
    sentinel_kill(w, k);
    (void)fault_later(w, fault_ms(w, 50, 15000), start_sentinel, k);
}

/* From nothing, as a new volume gives it: some, or all. */
static void rebuild_sentinels(struct world *w)
{
    uint64_t epoch;
    int master = truth_newest(w, ~0U, &epoch);
    bool all = sim_chance(w, 400);
    if (master < 0) {
        return;
    }
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        if (all || sim_chance(w, 400)) {
            w->rebuilt_us = w->now_us;
            w->engine.promotion_count = 0; /* epochs begin anew */
            memset(w->engine.promotions, 0, sizeof w->engine.promotions);
            sentinel_kill(w, k);
            sentinel_fresh(w, k, master);
            (void)fault_later(w, fault_ms(w, 50, 4000), start_sentinel, k);
        }
    }
}

static void force(struct world *w, struct sim_msg *m)
{
    (void)sentinel_force_failover(w, m->to);
}

static void force_failover(struct world *w)
{
    (void)fault_later(w, 0, force, any_sentinel(w));
}

static void force_twice(struct world *w)
{
    force_failover(w);
    (void)fault_later(w, fault_ms(w, 0, 150), force, any_sentinel(w));
}

/* ---- the worst moment: a Sentinel has promoted, and nobody else knows ---- */

static void spring(struct world *w, struct sim_msg *m)
{
    unsigned leader = m->to;
    unsigned promoted = m->from;
    switch (rng_below(&w->rng, 7)) {
    case 0:
    case 1:
    case 2:
        sim_trace(w, "ambush: sentinel-%u is cut off", leader);
        for (unsigned o = 0; o < SIM_API_NODE; o++) {
            if (o != promoted || sim_chance(w, 300)) {
                cut(w, sim_sentinel_node(w, leader), o);
                cut(w, o, sim_sentinel_node(w, leader));
            }
        }
        (void)fault_later(w, fault_ms(w, 3000, 20000), heal_net, 0);
        return;
    case 3:
        sentinel_kill(w, leader);
        (void)fault_later(w, fault_ms(w, 50, 15000), start_sentinel, leader);
        return;
    case 4:
        freeze_sentinel(w, leader, fault_ms(w, 200, 12000));
        return;
    case 5:
        redis_kill(w, promoted, sim_chance(w, 200));
        (void)fault_later(w, fault_ms(w, 20, 20000), start_redis, promoted);
        return;
    default:
        agent_stop(w, promoted);
        (void)fault_later(w, fault_ms(w, 300, 9000), continue_agent, promoted);
        return;
    }
}

void fault_on_promotion(struct world *w, unsigned k)
{
    if (w->ambush) {
        w->ambush = false;
        struct sim_msg *m = fault_later(w, fault_ms(w, 0, 1200), spring, k);
        m->from = (unsigned)w->sentinels[k].promoted;
    }
}

static void lie_in_wait(struct world *w)
{
    uint64_t epoch;
    int named = truth_newest(w, ~0U, &epoch);
    unsigned i = named >= 0 ? (unsigned)named : fault_any_pod(w);
    w->ambush = true;
    if (sim_chance(w, 300)) {
        force_failover(w);
    } else if (sim_chance(w, 700) && w->redis[i].alive) {
        redis_freeze(w, i, true);
        (void)fault_later(w, w->cfg.down_after_us + fault_ms(w, 1500, 6000), thaw_redis, i);
    } else {
        redis_kill(w, i, false);
        (void)fault_later(w, w->cfg.down_after_us + fault_ms(w, 0, 3000), start_redis, i);
    }
}

/* ---- choice ---- */

static const struct {
    fault_fn *inject;
    unsigned weight;
    bool of_sentinels;
} kinds[FAULT_COUNT] = {
    [FAULT_REDIS_KILL] = {kill_redis, 20, false},
    [FAULT_REDIS_FREEZE] = {freeze_redis, 10, false},
    [FAULT_REDIS_BUSY] = {make_busy, 4, false},
    [FAULT_AGENT_KILL] = {kill_agent, 10, false},
    [FAULT_AGENT_STOP] = {stop_agent, 8, false},
    [FAULT_NODE_FREEZE] = {freeze_node, 6, false},
    [FAULT_NODE_CUT] = {cut_node_off, 8, false},
    [FAULT_PAIR_CUT] = {cut_pair, 6, false},
    [FAULT_ONE_WAY_CUT] = {cut_one_way, 4, false},
    [FAULT_SPLIT] = {split, 8, false},
    [FAULT_DELAY] = {delay, 5, false},
    [FAULT_LOSS] = {lose_packets, 4, false},
    [FAULT_CONN_RESET] = {reset_conn, 8, false},
    [FAULT_SENTINEL_KILL] = {kill_sentinel, 10, true},
    [FAULT_SENTINEL_FREEZE] = {freeze_any_sentinel, 5, true},
    [FAULT_SENTINEL_REBUILT] = {rebuild_sentinels, 3, true},
    [FAULT_FORCED_FAILOVER] = {force_failover, 10, true},
    [FAULT_FORCED_TWICE] = {force_twice, 4, true},
    [FAULT_AMBUSH] = {lie_in_wait, 10, true},
    [FAULT_API_DOWN] = {fault_api_down, 5, false},
    [FAULT_API_ERRORS] = {fault_api_errors, 5, false},
    [FAULT_API_SLOW] = {fault_api_slow, 4, false},
    [FAULT_API_POLICY] = {fault_api_policy, 3, false},
    [FAULT_WATCH_BREAK] = {fault_break_watch, 6, false},
    [FAULT_WATCH_HANG] = {fault_hang_watch, 4, false},
    [FAULT_HAND_EDIT] = {fault_edit_by_hand, 8, false},
    [FAULT_STALE_DEMOTION] = {fault_demote_late, 4, false},
    [FAULT_LOST_DEMOTION] = {fault_demote_lost, 3, true},
    [FAULT_SELECTOR] = {fault_edit_selector, 3, false},
    [FAULT_FENCE] = {fault_fence, 3, false},
    [FAULT_POD_DELETE] = {fault_delete_pod, 8, false},
    [FAULT_CLOCK_JUMP] = {fault_jump_clock, 3, false},
    [FAULT_KUBELET] = {fault_write_status, 6, false},
    [FAULT_TRAP] = {fault_trap, 10, true},
    [FAULT_DRAIN] = {fault_drain, 12, false},
    [FAULT_ANNOTATE] = {fault_annotate, 3, false},
    [FAULT_DOUBLE] = {fault_double, 6, false},
    [FAULT_ROW] = {fault_in_a_row, 6, false},
};

void fault_inject(struct world *w)
{
    unsigned sum = 0;
    for (size_t f = 0; f < FAULT_COUNT; f++) {
        sum += kinds[f].weight;
    }
    unsigned dice = (unsigned)rng_below(&w->rng, sum);
    size_t f = 0;
    while (dice >= kinds[f].weight) {
        dice -= kinds[f++].weight;
    }
    if (kinds[f].of_sentinels && w->cfg.sentinels == 0) {
        return;
    }
    w->coverage->faults[f]++;
    sim_trace(w, "fault: %s", sim_fault_name((enum sim_fault)f));
    kinds[f].inject(w);
}

void fault_heal_all(struct world *w)
{
    struct sim_msg m = {.to = 0};
    heal_net(w, &m);
    w->ambush = w->trap.armed = false;
    w->cfg.event_loss = w->cfg.event_dup = w->cfg.event_reorder = w->cfg.reply_dup = 0;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        m.to = k;
        thaw_sentinel(w, &m);
        sentinel_start(w, k);
        if (!w->sentinels[k].monitors) {
            sentinel_monitor(w, k, 0);
        }
    }
    fault_heal_api(w);
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        m.to = i;
        thaw_redis(w, &m);
        end_busy(w, &m);
        start_redis(w, &m);
        continue_agent(w, &m);
        start_agent(w, &m);
    }
}
