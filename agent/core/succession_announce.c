#include "agent/core/succession_steps.h"

/* A member, or the local Redis, in the list of a Sentinel, in its spelling; NULL: not there. */
static const struct sentinel_instance *listed(const struct core *c, size_t sentinel, size_t slot,
                                              const struct addr *addr, const char *run_id)
{
    const struct sentinel_look *look = &c->look[sentinel].look;
    for (size_t i = 0; i < look->replica_count; i++) {
        const struct sentinel_instance *r = &look->replicas[i];
        bool same_process = run_id[0] != '\0' && strcmp(r->run_id, run_id) == 0;
        bool me = slot == MEMBER_LOCAL && evidence_is_me(&c->evidence, &r->addr);
        if (same_process || me || addr_eq(&r->addr, addr)) {
            return r;
        }
    }
    return NULL;
}

static const struct sentinel_instance *chosen_in(const struct core *c, size_t sentinel)
{
    const struct succession *s = &c->succession;
    return listed(c, sentinel, s->chosen, &s->chosen_addr, s->chosen_run_id);
}

static bool is_chosen(const struct core *c, const struct addr *a)
{
    if (addr_eq(a, &c->succession.chosen_addr) ||
        (c->succession.chosen == MEMBER_LOCAL && evidence_is_me(&c->evidence, a))) {
        return true;
    }
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct sentinel_instance *r = chosen_in(c, i);
        if (r != NULL && addr_eq(&r->addr, a)) {
            return true;
        }
    }
    return false;
}

/* A peer of this Sentinel that lends its name; NULL: none is up. */
static const struct sentinel_instance *lender(const struct sentinel_look *look)
{
    const uint32_t against = 1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_DISCONNECTED;
    for (size_t i = 0; i < look->peer_count; i++) {
        if ((look->peers[i].flags & against) == 0 && look->peers[i].run_id[0] != '\0') {
            return &look->peers[i];
        }
    }
    return NULL;
}

unsigned succession_listing(const struct core *c, size_t slot)
{
    bool local = slot == MEMBER_LOCAL;
    const struct addr *addr = local ? &c->evidence.me[0] : &c->members.at[slot].addr;
    const char *run_id = local ? c->local.info.run_id : c->members.at[slot].info.run_id;
    unsigned listing = 0;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        bool counts = c->sentinel_up[i] && c->look[i].seen_us != 0 && !succession_is_twin(c, i);
        bool told = counts && listed(c, i, slot, addr, run_id) != NULL &&
                    (c->input.newest.n == 1 || lender(&c->look[i].look) != NULL);
        listing += told ? 1 : 0;
    }
    return listing;
}

/* ---- the fallback: a Sentinel's own forced failover ---- */

void succession_fall_back(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    size_t lowest = EVIDENCE_SENTINELS_MAX;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        bool usable = c->sentinel_up[i] && succession_names_replaced(c, i);
        if (usable && (lowest == EVIDENCE_SENTINELS_MAX ||
                       strcmp(c->evidence.sentinels[i].id, c->evidence.sentinels[lowest].id) < 0)) {
            lowest = i;
        }
    }
    if (lowest == EVIDENCE_SENTINELS_MAX) {
        succession_give_up(c, WHY_NO_SENTINELS, out);
        return;
    }
    s->fallback = true;
    struct core_action *a = core_actions_add(out, ACT_FORCE_FAILOVER);
    a->slot = lowest;
    a->op = c->next_op++;
    engine_decided(c, out, s->mechanism, DECIDED_FALLBACK, WHY_NO_ORDER_RIGHTS, &s->replaced, 0);
    succession_enter(c, SUCCESSION_COMMIT);
}

/* ---- promote, confirm, announce, commit ---- */

bool succession_step_promote(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    enum outcome o;
    if (!succession_answered(c, &o)) {
        if (!succession_is_out_of_time(c)) {
            return false;
        }
        o = OUTCOME_UNKNOWN;
    }
    if (o == OUTCOME_OK) {
        s->promoted_us = c->now_us;
        handover_progress(c, HANDOVER_PROMOTED, out);
        succession_enter(c, SUCCESSION_CONFIRM);
        engine_ask_sentinels(c);
    } else if (o == OUTCOME_UNKNOWN) {
        s->unknown = true;
        succession_give_up(c, WHY_PROMOTION_UNKNOWN, out);
    } else if (s->mechanism == MECHANISM_HAND_OVER) {
        succession_resume(c, true, WHY_PROMOTION_REFUSED, out);
    } else {
        succession_give_up(c, WHY_PROMOTION_REFUSED, out);
    }
    return true;
}

static void announce(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned sent = 0;
    succession_enter(c, SUCCESSION_ANNOUNCE);
    memset(s->ballots, 0, sizeof s->ballots);
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct sentinel_instance *as = lender(&c->look[i].look);
        const struct sentinel_instance *whom = chosen_in(c, i);
        /* One that is about to switch away from the chosen one would keep both the epoch and
         * its own way (sentinel.c: the same address is no change, its failover goes on). */
        const struct view *v = &c->evidence.sentinels[i].view;
        bool leaving = v->knows_master && !addr_eq(&v->addr, &v->named) && is_chosen(c, &v->addr);
        if (!c->sentinel_up[i] || c->look[i].seen_us == 0 || as == NULL || whom == NULL ||
            leaving || succession_is_twin(c, i)) {
            continue;
        }
        struct core_action *a = core_actions_add(out, ACT_ANNOUNCE);
        a->slot = i;
        a->op = s->ballots[i].op = c->next_op++;
        a->addr = whom->addr;
        a->as = as->addr;
        memcpy(a->id, as->run_id, sizeof a->id);
        a->epoch = s->epoch;
        s->ballots[i].asked = true;
        sent++;
    }
    engine_decided(c, out, s->mechanism, DECIDED_ANNOUNCE, WHY_NONE, &s->chosen_addr, s->epoch);
    if (sent == 0) {
        s->unknown = true;
        succession_give_up(c, WHY_NOT_ANNOUNCED, out);
    }
}

bool succession_step_confirm(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned seen = 0;
    unsigned other = 0;
    bool all = true;
    bool overtaken = false;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct view *v = &c->evidence.sentinels[i].view;
        if (succession_is_twin(c, i)) {
            continue;
        }
        if (!c->sentinel_up[i] || v->asked_us == 0 || v->asked_us < s->state_us) {
            all = all && !c->sentinel_up[i];
            continue;
        }
        seen++;
        overtaken = overtaken || (v->knows_master && v->epoch >= s->epoch);
        other += v->knows_master && v->epoch > s->base_epoch && !addr_eq(&v->named, &s->replaced) &&
                         !is_chosen(c, &v->named)
                     ? 1
                     : 0;
    }
    if (succession_is_out_of_time(c)) {
        s->unknown = true;
        succession_give_up(c, WHY_TOO_LATE, out);
        return true;
    }
    if (other >= s->need || overtaken) {
        s->unknown = true;
        succession_yield(c, WHY_OTHER_MASTER, c->now_us + SUCCESSION_YIELD_US, out);
        return true;
    }
    if (seen >= s->need && s->enough_us == 0) {
        s->enough_us = c->now_us;
    }
    bool grace = s->enough_us != 0 && u64_since(c->now_us, s->enough_us) >= SUCCESSION_GRACE_US;
    if (seen < s->need || (!all && !grace)) {
        return false;
    }
    announce(c, out);
    return true;
}

void succession_on_done(struct core *c, size_t slot, uint64_t op, enum outcome outcome)
{
    struct succession_ballot *b = &c->succession.ballots[slot];
    if (op == 0 || b->op != op) {
        return;
    }
    b->op = 0;
    b->answered = true;
    b->granted = outcome == OUTCOME_OK;
    b->denied = outcome == OUTCOME_DENIED;
    engine_ask_sentinels(c);
}

bool succession_step_announce(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned taken = 0;
    unsigned pending = 0;
    unsigned denied = 0;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        taken += s->ballots[i].granted ? 1 : 0;
        denied += s->ballots[i].denied ? 1 : 0;
        pending += s->ballots[i].asked && !s->ballots[i].answered ? 1 : 0;
    }
    if (denied > 0 && taken + pending < s->need) {
        s->unknown = true;
        succession_give_up(c, WHY_NO_ORDER_RIGHTS, out);
        return true;
    }
    if (taken < s->need && pending > 0 && succession_in_state_us(c) < SUCCESSION_ROUND_US) {
        return false;
    }
    succession_enter(c, SUCCESSION_COMMIT);
    engine_ask_sentinels(c);
    return true;
}

bool succession_step_commit(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    const struct newest *n = &c->input.newest;
    bool another = n->known && !addr_eq(&n->addr, &s->replaced) && engine_majority_names(c);
    if (another && s->fallback) {
        s->chosen_addr = n->addr;
        s->epoch = n->epoch;
    }
    if (another && (s->fallback || (n->epoch >= s->epoch && is_chosen(c, &n->addr)))) {
        succession_end(c, DECIDED_COMMITTED, WHY_NONE, out);
        return true;
    }
    uint64_t limit_us = s->fallback ? SUCCESSION_FALLBACK_US : SUCCESSION_COMMIT_US;
    if (succession_in_state_us(c) < limit_us) {
        return false;
    }
    s->unknown = true;
    succession_give_up(c, another ? WHY_OTHER_MASTER : WHY_NOT_ANNOUNCED, out);
    return true;
}
