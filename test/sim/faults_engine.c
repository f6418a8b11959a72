#include "test/sim/faults.h"

/* ---- an agent dies right after one of its own deeds ---- */

void fault_trap(struct world *w)
{
    static const struct {
        enum core_act act;
        enum order order;
    } deeds[] = {
        {ACT_VOTE, ORDER_COUNT},           {ACT_VOTE, ORDER_COUNT},
        {ACT_ANNOUNCE, ORDER_COUNT},       {ACT_ANNOUNCE, ORDER_COUNT},
        {ACT_ORDER, ORDER_PROMOTE},        {ACT_ORDER, ORDER_PROMOTE},
        {ACT_ORDER, ORDER_FOLLOW},         {ACT_ORDER, ORDER_PAUSE},
        {ACT_ORDER, ORDER_KILL_NORMAL},    {ACT_ORDER, ORDER_SET_FENCE},
        {ACT_DEMOTE_PEER, ORDER_COUNT},    {ACT_LAUNCH_ANSWER, ORDER_COUNT},
        {ACT_FORCE_FAILOVER, ORDER_COUNT},
    };
    size_t n = (size_t)rng_below(&w->rng, ARRAY_LEN(deeds));
    w->trap = (struct sim_trap){.armed = true,
                                .act = deeds[n].act,
                                .order = deeds[n].order,
                                .skip = (unsigned)rng_below(&w->rng, 3),
                                .redis_too = sim_chance(w, 200)};
}

static void restart_agent(struct world *w, struct sim_msg *m)
{
    if (w->api.pods[m->to].exists) {
        agent_start(w, m->to);
    }
}

static void restart_redis(struct world *w, struct sim_msg *m)
{
    if (w->api.pods[m->to].exists && !w->redis[m->to].alive) {
        redis_start(w, m->to);
    }
}

void fault_on_action(struct world *w, unsigned i, const struct core_action *a)
{
    struct sim_trap *t = &w->trap;
    bool is_it = t->armed && a->type == t->act && (a->type != ACT_ORDER || a->order == t->order);
    if (!is_it || !w->agents[i].running) {
        return;
    }
    if (t->skip > 0) {
        t->skip--;
        return;
    }
    t->armed = false;
    sim_trace(w, "agent-%u is killed right after %s %s", i, core_act_name(a->type),
              a->type == ACT_ORDER ? order_name(a->order) : "");
    w->coverage->trapped++;
    agent_kill(w, i);
    (void)fault_later(w, fault_ms(w, 50, 8000), restart_agent, i);
    if (t->redis_too) {
        redis_kill(w, i, false);
        (void)fault_later(w, fault_ms(w, 50, 8000), restart_redis, i);
    }
}

/* ---- hand-overs that people and the kubelet ask for ---- */

void fault_drain(struct world *w)
{
    unsigned i = fault_likely_master(w);
    sim_trace(w, "redis-%u is asked to hand over", i);
    agent_drain(w, i, DRAIN_BY_HTTP, fault_ms(w, 1000, 20000));
    if (sim_chance(w, 300)) {
        fault_trap(w);
    }
}

void fault_annotate(struct world *w)
{
    unsigned i = fault_likely_master(w);
    if (!w->api.pods[i].exists) {
        return;
    }
    struct pod *p = api_edit(w, i);
    sim_trace(w, "somebody annotates %s with handover", p->name);
    (void)str_copy(p->handover, sizeof p->handover, sv_from("any"));
    api_commit(w, i);
}

/* ---- two at once ---- */

void fault_double(struct world *w)
{
    fault_inject(w);
    fault_inject(w);
}

static void kill_now(struct world *w, struct sim_msg *m)
{
    redis_kill(w, m->to, false);
    (void)fault_later(w, fault_ms(w, 20, 9000), restart_redis, m->to);
}

/* The master, and shortly after whoever may be its successor. */
void fault_in_a_row(struct world *w)
{
    unsigned i = fault_likely_master(w);
    unsigned j = fault_any_pod(w);
    redis_kill(w, i, sim_chance(w, 100));
    (void)fault_later(w, fault_ms(w, 20, 15000), restart_redis, i);
    (void)fault_later(w, fault_ms(w, 1, 300), kill_now, j);
    if (sim_chance(w, 500)) {
        fault_trap(w);
    }
}
