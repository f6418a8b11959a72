#include "test/sim/sim.h"

#define WELL_US (3 * SECOND)
#define PROVOKED_US (3 * SECOND)
#define ROLE_KNOWN_US (15 * SECOND) /* by every Sentinel: INFO, and what peers said before */
#define EXCUSED_US (2 * SECOND)
#define PAUSE_MAX_MS 2000U
#define CHECKED_US (120 * SECOND)

static struct engine_truth *truth(struct world *w)
{
    return &w->engine;
}

void engine_truth_init(struct world *w)
{
    memset(&w->engine, 0, sizeof w->engine);
    w->engine.named = -1;
}

bool engine_has_any(const struct world *w)
{
    const struct core_switches *on = &w->cfg.on;
    return on->crash || on->hand_over || on->gone || on->repair || on->harmless || on->enforce ||
           on->peer_demotion || on->sweep || on->fence;
}

/* ---- what a candidate knew ---- */

void engine_said(const struct world *w, unsigned i, struct said *ret)
{
    const struct agent *g = &w->agents[i];
    const struct succession *s = &g->core.succession;
    const struct engine_truth *t = &w->engine;
    *ret = (struct said){.mechanism = MECHANISM_COUNT, .epoch = s->epoch, .life = g->life};
    ret->well = t->well_us != 0 && u64_since(w->now_us, t->well_us) > WELL_US ? t->named : -1;
    if (s->state != SUCCESSION_IDLE) {
        ret->mechanism = s->mechanism;
        /* Not const: only the table of names grows. */
        ret->candidate =
            sim_intern((struct world *)(uintptr_t)w, s->ids[s->serial % SUCCESSION_IDS_MAX]);
    }
}

/* ---- what it asks for ---- */

static void check_order(struct world *w, unsigned i, const struct core_action *a)
{
    bool local = a->slot == MEMBER_LOCAL;
    if (!local && a->order != ORDER_PROMOTE) {
        sim_fail(w, "orders", "agent-%u orders another's Redis: %s", i, order_name(a->order));
    }
    if (a->order == ORDER_PAUSE && (a->value == 0 || a->value > PAUSE_MAX_MS)) {
        sim_fail(w, "orders", "agent-%u pauses for %llu ms", i, (unsigned long long)a->value);
    }
    if (a->order == ORDER_FOLLOW && sim_redis_at(w, &a->addr) == (int)i) {
        sim_fail(w, "orders", "agent-%u makes its Redis a replica of itself", i);
    }
    if (a->order == ORDER_FOLLOW && sim_redis_at(w, &a->addr) == SIM_NOWHERE) {
        sim_fail(w, "orders", "agent-%u makes its Redis a replica of nobody", i);
    }
    w->coverage->orders[a->order]++;
}

void engine_check_action(struct world *w, unsigned i, const struct core_action *a)
{
    if (!engine_has_any(w) && a->type != ACT_LAUNCH_ANSWER && a->type != ACT_DRAIN_TOLD &&
        a->type != ACT_DECIDED) {
        sim_fail(w, "switched-off", "everything is switched off, and agent-%u asks for %s", i,
                 core_act_name(a->type));
    }
    if (a->type == ACT_ORDER) {
        check_order(w, i, a);
    }
    if (a->type == ACT_DEMOTE_PEER && !w->cfg.on.peer_demotion) {
        sim_fail(w, "switched-off", "peer demotion is switched off, and agent-%u does it", i);
    }
    bool stands = w->cfg.on.crash || w->cfg.on.hand_over || w->cfg.on.gone || w->cfg.on.repair;
    if ((a->type == ACT_VOTE || a->type == ACT_ANNOUNCE) && !stands) {
        sim_fail(w, "switched-off", "nobody may stand for election, and agent-%u does", i);
    }
}

/* ---- promotions ---- */

static void check_one_a_epoch(struct world *w, const struct request *r)
{
    struct engine_truth *t = truth(w);
    size_t n = t->promotion_count < TRUTH_PROMOTIONS ? t->promotion_count : TRUTH_PROMOTIONS;
    for (size_t k = 0; k < n; k++) {
        const struct promotion *p = &t->promotions[k];
        if (p->epoch == r->said.epoch && p->candidate != r->said.candidate) {
            sim_fail(w, "one-candidate", "two candidates promote at epoch %llu, one is agent-%u",
                     (unsigned long long)p->epoch, r->agent);
        }
    }
    t->promotions[t->promotion_count++ % TRUTH_PROMOTIONS] =
        (struct promotion){.epoch = r->said.epoch, .candidate = r->said.candidate};
}

static void check_planned(struct world *w, const struct request *r)
{
    struct engine_truth *t = truth(w);
    const struct redis *old = &w->redis[r->agent];
    const struct redis *new = &w->redis[r->redis];
    if (!old->alive) {
        return; /* it has died in the middle: a crash like any other */
    }
    if (old->upstream < 0) {
        sim_fail(w, "planned-loss",
                 "a hand-over promotes redis-%d while redis-%u still takes writes", r->redis,
                 r->agent);
    } else if (!ledger_holds_writes(w, redis_position(new), redis_position(old))) {
        sim_fail(w, "planned-loss",
                 "a hand-over promotes redis-%d at offset %lld, redis-%u is at %lld", r->redis,
                 (long long)new->offset, r->agent, (long long)old->offset);
    }
    t->planned[t->planned_count++ % TRUTH_PLANNED] =
        (struct planned){.old = redis_position(old), .redis = r->agent};
}

static bool is_current(const struct world *w, const struct request *r)
{
    const struct agent *g = &w->agents[r->agent];
    return g->running && g->life == r->said.life && g->conns[r->conn].gen == r->conn_gen;
}

static void check_healthy(struct world *w, const struct request *r)
{
    int well = r->said.well;
    bool own = r->said.mechanism == MECHANISM_HAND_OVER && (int)r->agent == well;
    if (well >= 0 && well != r->redis && !own) {
        sim_fail(w, "healthy-master",
                 "agent-%u promotes redis-%d (%s), but redis-%d is a healthy proven master",
                 r->agent, r->redis,
                 r->said.mechanism < MECHANISM_COUNT ? mechanism_name(r->said.mechanism)
                                                     : "no candidacy",
                 well);
    }
}

void engine_before_order(struct world *w, const struct request *r)
{
    if (r->act.order == ORDER_FOLLOW && r->said.well == r->redis) {
        bool own = r->said.mechanism == MECHANISM_HAND_OVER;
        if (!own) {
            sim_fail(w, "healthy-master", "agent-%u dethrones the healthy proven master", r->agent);
        }
    }
    if (r->act.order != ORDER_PROMOTE) {
        return;
    }
    bool stands = r->said.mechanism < MECHANISM_COUNT;
    bool resumes = r->redis == (int)r->agent && r->said.mechanism == MECHANISM_HAND_OVER;
    check_healthy(w, r);
    if (stands && !resumes && w->cfg.sentinels > 0) {
        w->coverage->promotions[r->said.mechanism]++;
        check_one_a_epoch(w, r);
        if (r->said.mechanism == MECHANISM_HAND_OVER && is_current(w, r)) {
            check_planned(w, r);
        }
    }
}

void engine_on_announced(struct world *w, const struct request *r)
{
    unsigned votes = truth_votes(w, r->act.epoch, r->said.candidate);
    if (r->said.candidate == 0 || 2 * (unsigned)__builtin_popcount(votes) <= w->cfg.sentinels) {
        sim_fail(w, "announce-votes",
                 "agent-%u announces %s at epoch %llu with %d votes of %u Sentinels", r->agent,
                 r->act.addr.host, (unsigned long long)r->act.epoch, __builtin_popcount(votes),
                 w->cfg.sentinels);
    }
}

/* A Sentinel that begins one by itself has seen the master down: long pauses look like that. */
void engine_on_failover(struct world *w, unsigned k)
{
    struct engine_truth *t = truth(w);
    const struct sentinel_model *s = &w->sentinels[k];
    uint64_t back_us = w->cfg.down_after_us + PROVOKED_US;
    const struct redis *r = &w->redis[s->master];
    bool excused = s->forced || t->named != s->master || !redis_answers(w, (unsigned)s->master) ||
                   r->busy || r->upstream >= 0 || !s->redis[s->master].says_master ||
                   u64_since(w->now_us, s->redis[s->master].role_us) < ROLE_KNOWN_US ||
                   u64_since(w->now_us, w->agents[s->master].ended_us) < back_us ||
                   u64_since(w->now_us, r->trouble_us) < back_us ||
                   u64_since(w->now_us, t->trouble_us) < back_us ||
                   u64_since(w->now_us, t->failover_us) < back_us;
    t->failover_us = w->now_us;
    if (!excused) {
        sim_fail(w, "provoked",
                 "sentinel-%u fails over redis-%d, which has been well: what agents do to it"
                 " looks like death",
                 k, s->master);
    }
}

/* ---- writes ---- */

bool engine_is_proven(const struct world *w, unsigned i)
{
    return w->engine.named == (int)i && w->redis[i].upstream < 0;
}

void engine_on_write(struct world *w, unsigned i)
{
    const struct engine_truth *t = truth(w);
    struct position now = redis_position(&w->redis[i]);
    size_t n = t->planned_count < TRUTH_PLANNED ? t->planned_count : TRUTH_PLANNED;
    for (size_t k = 0; k < n; k++) {
        const struct planned *p = &t->planned[k];
        if (p->old.history == now.history && now.offset > p->old.offset && now.history != 0) {
            sim_fail(w, "planned-loss", "redis-%u takes a write after its hand-over", i);
        }
    }
}

static bool is_excused(const struct world *w, const struct write_of_client *x)
{
    const struct engine_truth *t = &w->engine;
    uint64_t from_us = u64_since(x->acked_us, EXCUSED_US);
    return !x->proven || w->redis[x->redis].trouble_us >= from_us || t->trouble_us >= from_us ||
           t->failover_us >= from_us || !w->cfg.all_on;
}

/* What the Redis that is named now does not hold is lost. */
static void check_writes(struct world *w, unsigned master)
{
    struct ledger *l = &w->ledger;
    struct position held = redis_position(&w->redis[master]);
    for (size_t k = l->checked; k < l->write_count; k++) {
        struct write_of_client *x = &l->writes[k];
        if (u64_since(w->now_us, x->done_us) > CHECKED_US) {
            l->checked = k + 1;
        }
        if (x->acked_us == 0 || x->lost || ledger_holds(w, held, x->at)) {
            continue;
        }
        x->lost = true;
        l->lost++;
        if (!is_excused(w, x)) {
            sim_fail(w, "named-writes",
                     "redis-%u has lost a write that redis-%u acknowledged %llu ms ago, which was"
                     " named by a majority and has been well since",
                     master, x->redis,
                     (unsigned long long)(u64_since(w->now_us, x->acked_us) / MS));
            return;
        }
    }
}

/* ---- whom a majority names, and how it is ---- */

static int named_by_majority(const struct world *w, uint64_t *ret_epoch)
{
    int named = truth_newest(w, ~0U, ret_epoch);
    unsigned naming = 0;
    for (unsigned k = 0; k < w->cfg.sentinels && named >= 0; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        naming +=
            s->alive && s->monitors && s->config_epoch == *ret_epoch && sentinel_named(s) == named
                ? 1
                : 0;
    }
    return 2 * naming > w->cfg.sentinels ? named : -1;
}

static bool is_well(const struct world *w, int named)
{
    if (named < 0 || !redis_acks_writes(w, (unsigned)named)) {
        return false;
    }
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        if (!sentinel_answers(w, k) || s->failover != FAILOVER_NONE || s->o_down ||
            s->master != named || s->redis[named].s_down) {
            return false;
        }
    }
    return w->engine.trouble_us < w->now_us;
}

static bool has_trouble(const struct world *w)
{
    if (w->net.loss > 0) {
        return true;
    }
    for (unsigned a = 0; a < SIM_NODES; a++) {
        if (w->net.extra_us[a] > 0) {
            return true;
        }
        for (unsigned b = 0; b < SIM_NODES; b++) {
            if (w->net.cut[a][b]) {
                return true;
            }
        }
    }
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        if (!sentinel_answers(w, k) || sentinel_tilted(w, &w->sentinels[k])) {
            return true;
        }
    }
    return false;
}

void engine_truth_step(struct world *w)
{
    struct engine_truth *t = truth(w);
    uint64_t epoch = 0;
    int named = named_by_majority(w, &epoch);
    if (has_trouble(w)) {
        t->trouble_us = w->now_us;
    }
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        t->failover_us = w->sentinels[k].failover != FAILOVER_NONE ? w->now_us : t->failover_us;
    }
    if (!is_well(w, named)) {
        t->well_us = 0;
    } else if (t->well_us == 0 || named != t->named) {
        t->well_us = w->now_us;
    }
    bool changed = named != t->named || epoch != t->named_epoch;
    t->named = named;
    t->named_epoch = epoch;
    if (changed && named >= 0 && w->redis[named].alive && w->redis[named].upstream < 0) {
        check_writes(w, (unsigned)named);
    }
}

void engine_truth_final(struct world *w)
{
    int named = truth(w)->named;
    if (w->cfg.sentinels == 0 || named < 0) {
        return;
    }
    check_writes(w, (unsigned)named);
    for (unsigned i = 0; i < w->cfg.pods && !w->failed; i++) {
        const struct redis *r = &w->redis[i];
        if (r->min_replicas != 0) {
            sim_fail(w, "settle", "all is well again, and redis-%u has a fence of %llu", i,
                     (unsigned long long)r->min_replicas);
        }
        if (w->cfg.all_on && (int)i != named && r->upstream != named) {
            sim_fail(w, "settle", "all is well again, and redis-%u follows %d, not redis-%d", i,
                     r->upstream, named);
        }
    }
    if (!w->failed && !redis_acks_writes(w, (unsigned)named)) {
        sim_fail(w, "settle", "all is well again, and redis-%d takes no writes", named);
    }
}

/* ---- for a person ---- */

void engine_trace_decided(const struct world *w, unsigned i, size_t index)
{
    const struct history_entry *e = history_at(&w->agents[i].core.history, index);
    if (e == NULL) {
        return;
    }
    w->coverage->decisions[e->mechanism][e->what]++;
    sim_trace(w, "agent-%u %s: %s%s%s%s%s (epoch %llu%s%s)", i, mechanism_name(e->mechanism),
              decision_text(e->what), e->what == DECIDED_ORDER ? " " : "",
              e->what == DECIDED_ORDER ? order_name(e->order) : "", e->addr.host[0] ? " " : "",
              e->addr.host, (unsigned long long)e->epoch, e->why != WHY_NONE ? "; " : "",
              why_text(e->why));
}

void engine_trace_handover(const struct world *w, unsigned i)
{
    const struct handover *h = &w->agents[i].core.handover;
    char text[HANDOVER_LINE_TEXT_MAX];
    if (h->count == 0) {
        return;
    }
    const struct handover_line *l = &h->lines[(h->count - 1) % HANDOVER_LINES_MAX];
    if (l->step == HANDOVER_VERDICT) {
        w->coverage->verdicts_of_handover[l->verdict]++;
    }
    sim_trace(w, "agent-%u hand-over: %s", i, handover_line_text(l, text, sizeof text));
}
