#include "test/sim/sim.h"

#define WARM_UP_US (8 * SECOND)
/* A lower epoch may have to last (10 s) before a lost demotion may be outwaited (10 s). */
#define SETTLED_US (32 * SECOND)
#define SETTLE_LIMIT_US (240 * SECOND)

/* ---- what a seed decides ---- */

static void draw_cluster(struct world *w)
{
    static const unsigned pods[] = {2, 3, 3, 3, 3, 4, 5};
    static const unsigned sentinels[] = {1, 3, 3, 3, 3, 5};
    static const uint64_t down_after_ms[] = {1000, 1000, 2000, 5000};
    struct sim_config *c = &w->cfg;
    c->pods = pods[rng_below(&w->rng, ARRAY_LEN(pods))];
    c->sentinels = sentinels[rng_below(&w->rng, ARRAY_LEN(sentinels))];
    c->mode = CORE_MODE_SENTINEL;
    if (sim_chance(w, 40)) {
        c->mode = sim_chance(w, 500) ? CORE_MODE_REPLICATION : CORE_MODE_STANDALONE;
        c->sentinels = 0;
    }
    c->quorum = c->sentinels / 2 + 1;
    c->down_after_us = down_after_ms[rng_below(&w->rng, ARRAY_LEN(down_after_ms))] * MS;
    c->failover_timeout_us = sim_between(w, 6, 15) * SECOND;
    c->sync_us = sim_between(w, 50, 3000) * MS;
    c->delay_us = sim_between(w, 50, 1500);
    c->host_names = sim_chance(w, 500);
    c->sentinels_apart = sim_chance(w, 300) || c->sentinels > c->pods;
    c->eager = !sim_chance(w, 200);
    c->legacy = sim_chance(w, 200);
    c->uid_known = !sim_chance(w, 200);
    c->dup_slot = sim_chance(w, 80);
    c->bootstrap = c->sentinels > 0 && sim_chance(w, 100);
    c->peer_demotion = sim_chance(w, 250);
    c->loading_error = sim_chance(w, 500);
}

/* Everything, nothing, or any mixture: each mechanism must do without the others. */
static void draw_engine(struct world *w)
{
    struct sim_config *c = &w->cfg;
    uint64_t dice = rng_below(&w->rng, 1000);
    static const uint64_t forced[] = {
        [SIM_ENGINE_OFF] = 0, [SIM_ENGINE_MIXED] = 200, [SIM_ENGINE_ON] = 999};
    dice = w->engine_of_all != SIM_ENGINE_DRAWN ? forced[w->engine_of_all] : dice;
    bool any = dice >= 150;
    c->all_on = dice >= 300;
    unsigned which = c->all_on ? ~0U : any ? (unsigned)rng_next(&w->rng) : 0;
    c->on = (struct core_switches){.crash = (which & 1U) != 0,
                                   .hand_over = (which & 2U) != 0,
                                   .gone = (which & 4U) != 0,
                                   .repair = (which & 8U) != 0,
                                   .harmless = (which & 16U) != 0,
                                   .enforce = (which & 32U) != 0,
                                   .peer_demotion = (which & 64U) != 0,
                                   .sweep = (which & 128U) != 0,
                                   .fence = (which & 256U) != 0};
    c->launch = any && c->sentinels > 0 && sim_chance(w, 400);
    c->peer_demotion = c->peer_demotion && !c->on.peer_demotion;
    c->fence_after_us = u64_max(c->down_after_us / 2, 2500 * MS);
    c->max_lag = 67108864;
    c->writers = 3;
    c->think_us = sim_between(w, 4, 120) * MS;
    for (unsigned k = 0; k < c->sentinels && sim_chance(w, 30); k++) {
        w->sentinels[k].denies = true;
    }
}

static void draw_chaos(struct world *w)
{
    struct sim_config *c = &w->cfg;
    c->fault_mean_us = sim_between(w, 1500, 9000) * MS;
    if (sim_chance(w, 500)) {
        c->event_loss = (unsigned)sim_between(w, 0, 300);
        c->event_dup = (unsigned)sim_between(w, 0, 100);
        c->event_reorder = (unsigned)sim_between(w, 0, 100);
        c->reply_dup = (unsigned)sim_between(w, 0, 30);
    }
}

void scenario_init(struct world *w)
{
    uint64_t chaos_us = w->cfg.chaos_us;
    draw_cluster(w);
    draw_engine(w);
    draw_chaos(w);
    w->cfg.chaos_us = chaos_us;
}

/* ---- the cluster at rest ---- */

static void on_monitor(struct world *w, struct sim_msg *m)
{
    (void)m;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        if (!w->sentinels[k].monitors) {
            sentinel_monitor(w, k, 0);
        }
    }
}

void scenario_start(struct world *w)
{
    const struct sim_config *c = &w->cfg;
    sim_trace(w,
              "seed %llu: %u pods, %u sentinels%s, %s mode, down-after %llu ms%s%s%s%s, "
              "engine %s%s%s",
              (unsigned long long)w->seed, c->pods, c->sentinels,
              c->sentinels_apart ? " apart" : "", core_mode_name(c->mode),
              (unsigned long long)(c->down_after_us / MS), c->eager ? "" : ", no eager",
              c->bootstrap ? ", bootstrap" : "", c->dup_slot ? ", one Sentinel twice" : "",
              c->peer_demotion ? ", peer demotion" : "",
              c->all_on           ? "on"
              : engine_has_any(w) ? "mixed"
                                  : "off",
              c->launch ? ", launch" : "", c->host_names ? ", host names" : "");
    invariants_init(w);
    engine_truth_init(w);
    api_init(w);
    for (unsigned i = 0; i < c->pods; i++) {
        redis_init(w, i, i == 0 || c->mode == CORE_MODE_STANDALONE ? -1 : 0);
        redis_start(w, i);
    }
    for (unsigned k = 0; k < c->sentinels; k++) {
        sentinel_fresh(w, k, c->bootstrap ? -1 : 0);
        sentinel_start(w, k);
    }
    if (c->bootstrap) {
        (void)sim_in(w, sim_between(w, 5, 25) * SECOND, on_monitor);
    }
    for (unsigned i = 0; i < c->pods && !c->without_agents; i++) {
        agent_start(w, i);
    }
    clients_start(w);
    w->started = true;
}

/* ---- peer demotion, as the new master's agent would write it ---- */

static void on_demote(struct world *w, struct sim_msg *m)
{
    struct api_pod *p = &w->api.pods[m->to];
    if (!p->exists || p->stored != ROLE_MASTER || p->pod.role_epoch > m->a) {
        return;
    }
    struct pod *pod = api_edit(w, m->to);
    sim_trace(w, "pod %s is demoted by redis-%u at epoch %llu", pod->name, m->from,
              (unsigned long long)m->a);
    (void)str_copy(pod->role, sizeof pod->role, sv_from(role_state_name(ROLE_DEMOTED)));
    pod->demoted_by_epoch = m->a;
    p->demoted_us = w->now_us;
    api_commit(w, m->to);
}

void scenario_on_label(struct world *w, unsigned i)
{
    const struct api_pod *p = &w->api.pods[i];
    if (!w->cfg.peer_demotion || p->stored != ROLE_MASTER || p->pod.role_epoch == 0) {
        return;
    }
    for (unsigned j = 0; j < w->cfg.pods; j++) {
        if (j != i && w->api.pods[j].stored == ROLE_MASTER) {
            struct sim_msg *m = sim_in(w, sim_between(w, 1, 5) * MS, on_demote);
            m->to = j;
            m->from = i;
            m->a = p->pod.role_epoch;
        }
    }
}

/* ---- chaos, then calm ---- */

static uint64_t next_fault_in(struct world *w)
{
    return sim_between(w, w->cfg.fault_mean_us / 10, 2 * w->cfg.fault_mean_us);
}

static void on_fault(struct world *w, struct sim_msg *m)
{
    if (w->now_us >= m->a) {
        return;
    }
    fault_inject(w);
    sim_in(w, next_fault_in(w), on_fault)->a = m->a;
}

static void trace_state(const struct world *w)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        const struct redis *r = &w->redis[i];
        sim_trace(w, "redis-%u: %s, follows %d, link %d, history %llu (before %llu), offset %lld",
                  i, r->alive ? "alive" : "dead", r->upstream, (int)r->link,
                  (unsigned long long)r->replid, (unsigned long long)r->replid2,
                  (long long)r->offset);
    }
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        sim_trace(w, "sentinel-%u: names %d, watches %d, config %llu, failover %d", k,
                  s->monitors ? sentinel_named(s) : -1, s->master,
                  (unsigned long long)s->config_epoch, (int)s->failover);
    }
}

/* A majority of the Sentinels lists no replica at all: nothing can be announced to them, and what
 * they name is held, without data. A person, or bootstrap, has to decide. */
static bool lists_nobody(const struct world *w)
{
    unsigned empty = 0;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        bool any = false;
        for (unsigned i = 0; i < w->cfg.pods; i++) {
            any = any || (s->redis[i].known && (int)i != s->master);
        }
        empty += any ? 0 : 1;
    }
    return 2 * empty > w->cfg.sentinels;
}

void scenario_run(struct world *w)
{
    scenario_start(w);
    world_run(w, w->now_us + WARM_UP_US);
    uint64_t end_us = w->now_us + w->cfg.chaos_us;
    sim_in(w, next_fault_in(w), on_fault)->a = end_us;
    world_run(w, end_us);
    if (w->failed) {
        return;
    }
    sim_trace(w, "all faults end");
    fault_heal_all(w);
    w->calm = true;
    uint64_t limit_us = w->now_us + SETTLE_LIMIT_US;
    while (!w->failed && w->now_us < limit_us) {
        world_run(w, w->now_us + SECOND);
        uint64_t since_us = w->truth.settled_us;
        if (since_us != 0 && u64_since(w->now_us, since_us) > SETTLED_US) {
            invariants_final(w);
            return;
        }
    }
    if (!w->failed) {
        sim_trace(w, "the Sentinels never agree again");
        trace_state(w);
        w->coverage->unsettled++;
        /* Of one Sentinel alone nobody can announce; of more, one may be left behind for good: it
         * took the epoch of an announcement in the middle of its own failover. */
        int named = w->engine.named;
        bool served = named >= 0 && redis_acks_writes(w, (unsigned)named) &&
                      w->api.pods[named].stored == ROLE_MASTER;
        if (w->cfg.all_on && w->cfg.sentinels > 1 && !served && !lists_nobody(w)) {
            sim_fail(w, "liveness", "all faults ended %llu s ago, and there is no one master yet",
                     (unsigned long long)(SETTLE_LIMIT_US / SECOND));
        }
    }
}
