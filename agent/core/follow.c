#include "agent/core/follow.h"

#include "agent/core/engine.h"

/* The member that newest names, proven by its own answer; asks it where that is too old. */
static const struct info *proven_master(struct core *c, const struct addr *a,
                                        struct core_actions *out)
{
    struct follow *f = &c->follow;
    size_t x = members_find(&c->members, a);
    if (x == MEMBERS_MAX) {
        return NULL;
    }
    uint64_t since_us = c->now_us > FOLLOW_PROOF_US ? c->now_us - FOLLOW_PROOF_US : 1;
    const struct info *in = members_info_since(&c->members, x, since_us);
    if (in != NULL && info_has(in, INFO_ROLE) && in->role == REDIS_ROLE_MASTER) {
        return in;
    }
    if (c->now_us >= f->ask_us && engine_read_member(c, x, out)) {
        f->ask_us = c->now_us + FOLLOW_ASK_US;
    }
    return NULL;
}

/* The same Redis under another spelling. */
static bool follows_already(const struct core *c, const struct info *target)
{
    const struct addr *mine = &c->local.role.master;
    if (addr_eq(mine, &c->input.newest.addr)) {
        return true;
    }
    size_t x = members_find(&c->members, mine);
    return x < MEMBERS_MAX && c->members.at[x].info_us != 0 && target->run_id[0] != '\0' &&
           strcmp(c->members.at[x].info.run_id, target->run_id) == 0;
}

/* A Sentinel's failover above newest is under way: the promoted one is no stray. */
static bool is_being_promoted(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct sentinel *s = &c->evidence.sentinels[i];
        bool fresh =
            s->view.asked_us != 0 && u64_since(c->now_us, s->view.asked_us) <= VIEW_FRESH_US;
        bool flagged = s->view.knows_master && addr_eq(&s->view.addr, &n->addr) &&
                       (s->view.flags & (1U << SENTINEL_FLAG_FAILOVER)) != 0;
        bool told = s->failover.open && s->failover.epoch > n->epoch;
        bool selected = evidence_is_me(&c->evidence, &s->failover.selected) &&
                        u64_since(c->now_us, s->failover.selected_us) < FOLLOW_SELECTED_US;
        if ((fresh && (flagged || told)) || (told && selected)) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    bool idle = c->succession.state == SUCCESSION_IDLE || c->succession.state == SUCCESSION_GATHER;
    return c->cfg.on.enforce && n->known && engine_majority_names(c) && n->epoch >= c->role.token &&
           !evidence_is_me(&c->evidence, &n->addr) && idle && !c->handover.running &&
           c->follow.op == 0 && c->now_us >= c->follow.retry_us && c->local.connected &&
           c->local.fault == RESP_FAULT_NONE;
}

static void follow_or_enforce(struct core *c, struct core_actions *out)
{
    struct follow *f = &c->follow;
    const struct newest *n = &c->input.newest;
    bool is_master = c->local.role.role == REDIS_ROLE_MASTER;
    if (!is_asked_for(c) || c->local.role_us == 0 ||
        (!is_master &&
         (c->local.role.role != REDIS_ROLE_SLAVE || addr_eq(&c->local.role.master, &n->addr)))) {
        return;
    }
    if (is_master && is_being_promoted(c)) {
        return;
    }
    /* The view that names it must be younger than a candidacy's end. */
    const struct info *in = proven_master(c, &n->addr, out);
    if (in == NULL || (!is_master && follows_already(c, in))) {
        return;
    }
    size_t x = members_find(&c->members, &n->addr);
    uint64_t asked_us = c->members.at[x].info_us;
    /* What it said before this one was promoted proves nothing: it may have handed over. */
    if (is_master && (c->local.master_since_us == 0 || asked_us <= c->local.master_since_us)) {
        if (c->now_us >= f->ask_us && engine_read_member(c, x, out)) {
            f->ask_us = c->now_us + FOLLOW_ASK_US;
        }
        return;
    }
    if (c->local.role_us < asked_us) {
        engine_ask_local(c, false);
        return;
    }
    f->target = n->addr;
    f->enforcing = is_master;
    f->op = engine_order(c, out, is_master ? MECHANISM_ENFORCE : MECHANISM_FOLLOW, MEMBER_LOCAL,
                         ORDER_FOLLOW, &n->addr, 0, u64_since(c->now_us, asked_us));
}

void follow_on_order(struct core *c, uint64_t op, enum outcome outcome, struct core_actions *out)
{
    struct follow *f = &c->follow;
    if (op == 0) {
        return;
    }
    if (op == f->pause_op) {
        f->pause_op = 0;
        f->paused_us = outcome == OUTCOME_OK ? f->paused_us : 0;
        return;
    }
    if (op != f->op) {
        return;
    }
    f->op = 0;
    f->retry_us = c->now_us + FOLLOW_RETRY_US;
    engine_ask_local(c, true);
    if (outcome != OUTCOME_OK) {
        return;
    }
    f->rewrite_due = true;
    if (f->enforcing) {
        (void)engine_order(c, out, MECHANISM_ENFORCE, MEMBER_LOCAL, ORDER_KILL_NORMAL, NULL, 0,
                           UINT64_MAX);
    }
    if (f->paused_us != 0) {
        (void)engine_order(c, out, MECHANISM_HARMLESS, MEMBER_LOCAL, ORDER_UNPAUSE, NULL, 0,
                           UINT64_MAX);
        f->paused_us = 0;
    }
}

/* ---- harmless before the other is promoted ---- */

static const struct failover *failover_to_other(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct failover *o = &c->evidence.sentinels[i].failover;
        bool above = o->epoch == 0 || !n->known || o->epoch > n->epoch;
        /* Of before this one was named: it is over, whatever its flag says. */
        bool old = evidence_is_me(&c->evidence, &n->addr) && o->selected_us < c->stand.newest_us;
        if (o->open && above && !old && addr_is_set(&o->selected) &&
            !evidence_is_me(&c->evidence, &o->selected)) {
            return o;
        }
    }
    return NULL;
}

static void harmless(struct core *c, struct core_actions *out)
{
    struct follow *f = &c->follow;
    if (f->paused_us != 0 && c->now_us >= f->unpause_us) {
        f->paused_us = 0; /* it has expired */
    }
    bool led = c->input.mirror || failover_to_other(c) != NULL;
    bool idle = c->succession.state == SUCCESSION_IDLE && !c->handover.running;
    if (!c->cfg.on.harmless || !idle || c->local.state != ROLE_LOCAL_MASTER) {
        return;
    }
    if (!led) {
        if (f->paused_us != 0 && f->pause_op == 0) {
            /* The failover was given up. */
            (void)engine_order(c, out, MECHANISM_HARMLESS, MEMBER_LOCAL, ORDER_UNPAUSE, NULL, 0,
                               UINT64_MAX);
            f->paused_us = 0;
        }
        return;
    }
    bool labelled = c->role.state == ROLE_MASTER || c->role.state == ROLE_DEMOTED;
    bool again =
        f->last_paused_us == 0 || u64_since(c->now_us, f->last_paused_us) >= FOLLOW_PAUSE_AGAIN_US;
    if (labelled && again && f->pause_op == 0) {
        f->paused_us = f->last_paused_us = c->now_us;
        f->unpause_us = c->now_us + (uint64_t)FOLLOW_PAUSE_MS * 1000;
        f->pause_op = engine_order(c, out, MECHANISM_HARMLESS, MEMBER_LOCAL, ORDER_PAUSE, NULL,
                                   FOLLOW_PAUSE_MS, UINT64_MAX);
    }
    const struct failover *o = failover_to_other(c);
    if (!c->cfg.on.enforce || o == NULL || f->op != 0 || c->now_us < f->retry_us) {
        return;
    }
    const struct info *in = proven_master(c, &o->selected, out);
    size_t x = members_find(&c->members, &o->selected);
    if (in != NULL && c->members.at[x].info_us >= o->selected_us) {
        f->target = o->selected;
        f->enforcing = true;
        f->op = engine_order(c, out, MECHANISM_HARMLESS, MEMBER_LOCAL, ORDER_FOLLOW, &o->selected,
                             0, u64_since(c->now_us, c->members.at[x].info_us));
    }
}

/* ---- sweep and rewrite ---- */

static void after_change(struct core *c, struct core_actions *out)
{
    struct follow *f = &c->follow;
    enum role_state now = c->role.state;
    if (now != f->last_role) {
        bool left = f->last_role == ROLE_MASTER || f->last_role == ROLE_DEMOTED;
        bool served = now == ROLE_REPLICA || now == ROLE_DRAINING;
        if (c->cfg.on.sweep && left && served) {
            f->sweep_us = c->now_us + FOLLOW_SWEEP_US;
        }
        bool first_proof = now == ROLE_MASTER && f->last_role == ROLE_REPLICA;
        f->rewrite_due = f->rewrite_due || (c->cfg.on.enforce && first_proof);
        f->last_role = now;
    }
    bool quiet = c->succession.state == SUCCESSION_IDLE && !c->handover.running && f->op == 0 &&
                 c->local.connected;
    if (f->sweep_us != 0 && c->now_us >= f->sweep_us && quiet) {
        f->sweep_us = 0;
        if (c->local.role.role == REDIS_ROLE_SLAVE) {
            (void)engine_order(c, out, MECHANISM_SWEEP, MEMBER_LOCAL, ORDER_KILL_NORMAL, NULL, 0,
                               u64_since(c->now_us, c->local.role_us));
        }
    }
    /* A fence must never be written into the configuration. */
    if (f->rewrite_due && quiet && f->paused_us == 0 && c->fence.state != FENCE_ON &&
        c->fence.state != FENCE_SETTING && c->fence.state != FENCE_LIFTING) {
        f->rewrite_due = false;
        (void)engine_order(c, out, MECHANISM_FOLLOW, MEMBER_LOCAL, ORDER_REWRITE, NULL, 0,
                           UINT64_MAX);
    }
}

void follow_step(struct core *c, struct core_actions *out)
{
    if (!c->local.connected) {
        c->follow.op = c->follow.pause_op = 0;
        c->follow.paused_us = 0;
        return;
    }
    harmless(c, out);
    follow_or_enforce(c, out);
    after_change(c, out);
}

uint64_t follow_next_deadline(const struct core *c)
{
    const struct follow *f = &c->follow;
    uint64_t next = f->sweep_us != 0 ? u64_max(f->sweep_us, c->now_us + FOLLOW_ASK_US) : UINT64_MAX;
    if (f->paused_us != 0) {
        next = u64_min(next, f->unpause_us);
    }
    if (c->input.mirror && c->local.state == ROLE_LOCAL_MASTER) {
        next = u64_min(next, c->now_us + FOLLOW_WATCH_US);
    }
    bool differs = c->local.role.role == REDIS_ROLE_MASTER ||
                   !addr_eq(&c->local.role.master, &c->input.newest.addr);
    if (is_asked_for(c) && differs) {
        next = u64_min(next, c->now_us + FOLLOW_ASK_US);
    }
    return next;
}
