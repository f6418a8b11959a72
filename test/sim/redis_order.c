#include "test/sim/sim.h"

#define LAUNCH_WAIT_US (10 * SECOND) /* of the helper for an answer, then it starts held */
#define FAILOVER_STEP_US (2 * MS)

static struct redis *at(struct world *w, unsigned i)
{
    return &w->redis[i];
}

/* ---- roles ---- */

void redis_follow(struct world *w, unsigned i, int upstream)
{
    sim_trace(w, "redis-%u is ordered REPLICAOF %d", i, upstream);
    redis_set_upstream(w, i, upstream);
}

void redis_promote(struct world *w, unsigned i)
{
    sim_trace(w, "redis-%u is ordered REPLICAOF NO ONE", i);
    redis_set_upstream(w, i, -1);
    truth_note_promoted(w, (int)i);
}

void redis_rewrite(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    r->stored_upstream = r->upstream;
    r->stored_min_replicas = r->min_replicas;
}

void redis_set_min_replicas(struct world *w, unsigned i, uint64_t value)
{
    sim_trace(w, "redis-%u gets min-replicas-to-write %llu", i, (unsigned long long)value);
    at(w, i)->min_replicas = value;
}

/* ---- clients ---- */

static void on_expiry(struct world *w, struct sim_msg *m)
{
    if (m->gen == at(w, m->to)->gen && !redis_is_paused(w, m->to)) {
        clients_resume(w, m->to);
    }
}

void redis_pause(struct world *w, unsigned i, uint64_t for_us)
{
    struct redis *r = at(w, i);
    sim_trace(w, "redis-%u holds writes for %llu ms", i, (unsigned long long)(for_us / MS));
    r->paused_until_us = u64_max(r->paused_until_us, w->now_us + for_us);
    struct sim_msg *m = sim_at(w, r->paused_until_us, on_expiry);
    m->to = i;
    m->gen = r->gen;
}

void redis_unpause(struct world *w, unsigned i)
{
    sim_trace(w, "redis-%u takes writes again", i);
    at(w, i)->paused_until_us = 0;
    clients_resume(w, i);
}

void redis_kill_normal(struct world *w, unsigned i, unsigned agent)
{
    struct redis *r = at(w, i);
    sim_trace(w, "redis-%u closes its clients' connections", i);
    r->kill_gen++;
    clients_dropped(w, i);
    conn_close_members(w, i, agent);
    if (agent != i) {
        conn_close_by_peer(w, i, CONN_LOCAL);
    }
}

/* ---- FAILOVER TO: both ends take part, there is no third ---- */

static void on_failover(struct world *w, struct sim_msg *m)
{
    unsigned i = m->to;
    unsigned to = m->from;
    struct redis *r = at(w, i);
    struct redis *o = at(w, to);
    if (m->gen != r->failover_gen || !r->alive) {
        return;
    }
    bool attached = o->alive && o->upstream == (int)i && o->link == REPL_LINK_CONNECTED &&
                    net_reaches(w, i, to) && redis_answers(w, to);
    if (w->now_us >= m->a) {
        r->failover_gen = 0;
        redis_unpause(w, i);
    } else if (attached && o->offset >= r->offset) {
        r->failover_gen = 0;
        redis_follow(w, i, (int)to);
        redis_promote(w, to);
        r->paused_until_us = 0;
        clients_dropped(w, i);
    } else {
        struct sim_msg *again = sim_in(w, FAILOVER_STEP_US, on_failover);
        again->to = i;
        again->from = to;
        again->gen = m->gen;
        again->a = m->a;
    }
}

void redis_failover(struct world *w, unsigned i, unsigned to, uint64_t timeout_us)
{
    struct redis *r = at(w, i);
    r->failover_gen = rng_next(&w->rng) | 1;
    redis_pause(w, i, timeout_us);
    struct sim_msg *m = sim_in(w, FAILOVER_STEP_US, on_failover);
    m->to = i;
    m->from = to;
    m->gen = r->failover_gen;
    m->a = w->now_us + timeout_us;
}

/* ---- the launch helper ---- */

static void on_unanswered(struct world *w, struct sim_msg *m)
{
    if (at(w, m->to)->launching && m->gen == at(w, m->to)->launch_gen) {
        redis_launch(w, m->to, LAUNCH_HELD, -1);
    }
}

void redis_ask_launch(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    sim_trace(w, "redis-%u asks how to start", i);
    r->launching = true;
    struct sim_msg *m = sim_in(w, LAUNCH_WAIT_US, on_unanswered);
    m->to = i;
    m->gen = ++r->launch_gen;
    agent_ask_launch(w, i);
}

void redis_launch(struct world *w, unsigned i, enum launch how, int upstream)
{
    struct redis *r = at(w, i);
    if (!r->launching) {
        return;
    }
    sim_trace(w, "redis-%u is told to start %s %d", i, launch_name(how), upstream);
    switch (how) {
    case LAUNCH_HELD:
        redis_begin(w, i, SIM_NOWHERE);
        return;
    case LAUNCH_REPLICA:
        redis_begin(w, i, upstream);
        return;
    case LAUNCH_PLAIN:
        redis_begin(w, i, r->stored_upstream);
        return;
    }
}
