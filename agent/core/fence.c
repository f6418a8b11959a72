#include "agent/core/fence.h"

#include "agent/core/engine.h"

static const char *const state_names[] = {FENCE_STATES(RPA_ENUM_NAME)};

const char *fence_state_name(enum fence_state s)
{
    return state_names[s];
}

bool fence_is_label(const struct core *c)
{
    const struct fence *f = &c->fence;
    bool person = c->label.observed && c->label.seen.fence;
    /* A master hands over first, and keeps its label for that. */
    bool hands_over = c->cfg.on.hand_over && c->cfg.mode == CORE_MODE_SENTINEL && person &&
                      !f->handed_over && c->role.state == ROLE_MASTER;
    return (person && !hands_over) || (f->isolated && f->state == FENCE_ON);
}

void fence_on_local_up(struct core *c)
{
    struct fence *f = &c->fence;
    bool isolated = f->isolated;
    f->state = FENCE_UNKNOWN;
    f->op = f->get_op = 0;
    f->retry_us = c->now_us;
    f->isolated = isolated;
}

void fence_on_order(struct core *c, uint64_t op, enum outcome outcome, uint64_t min_replicas,
                    uint64_t max_lag_s)
{
    struct fence *f = &c->fence;
    if (op == 0) {
        return;
    }
    if (op == f->get_op) {
        f->get_op = 0;
        if (outcome != OUTCOME_OK) {
            f->retry_us = c->now_us + 10 * (uint64_t)FENCE_RETRY_US;
            return;
        }
        f->useless = max_lag_s == 0;
        f->state = min_replicas >= FENCE_BASE ? FENCE_ON : FENCE_OFF;
        f->value = min_replicas >= FENCE_BASE ? min_replicas - FENCE_BASE : min_replicas;
        f->since_us = c->now_us;
        return;
    }
    if (op != f->op) {
        return;
    }
    f->op = 0;
    f->retry_us = c->now_us + FENCE_RETRY_US;
    if (f->state == FENCE_SETTING) {
        f->state = outcome == OUTCOME_OK ? FENCE_ON : FENCE_OFF;
        f->since_us = c->now_us;
    } else if (f->state == FENCE_LIFTING) {
        f->state = outcome == OUTCOME_OK ? FENCE_OFF : FENCE_ON;
        f->isolated = f->isolated && outcome != OUTCOME_OK;
    }
}

/* ---- isolation ---- */

static void hear(struct core *c)
{
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        uint64_t asked_us = c->evidence.sentinels[i].view.asked_us;
        c->fence.heard_us[i] = u64_max(c->fence.heard_us[i], asked_us);
    }
}

/* Since when no majority has given a sign of life: the time of the sign that made the last
 * majority; 0: there has not been one. */
static uint64_t silent_since(const struct core *c)
{
    uint64_t times[EVIDENCE_SENTINELS_MAX];
    size_t count = 0;
    size_t need = c->input.newest.n / 2 + 1;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        size_t k = count;
        for (; k > 0 && times[k - 1] < c->fence.heard_us[i]; k--) {
            times[k] = times[k - 1];
        }
        times[k] = c->fence.heard_us[i];
        count++;
    }
    return need <= count ? times[need - 1] : 0;
}

/* There is a replica; one has acknowledged within fence_after_us. lag_s is as old as its INFO. */
static void ask_replicas(const struct core *c, bool *ret_any, bool *ret_acked)
{
    const struct info *in = &c->local.info;
    uint64_t age_us = u64_since(c->now_us, c->local.info_us);
    *ret_any = *ret_acked = false;
    for (size_t i = 0; i < in->replicas_kept; i++) {
        *ret_any = *ret_any || in->replicas[i].online;
        uint64_t lag_us = u64_min(in->replicas[i].lag_s, 1000000) * 1000000 + age_us;
        *ret_acked = *ret_acked || (in->replicas[i].online && lag_us < c->cfg.fence_after_us);
    }
}

static bool is_alone_in_set(const struct core *c)
{
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        if (c->peers[i].name[0] != '\0' && !c->peers[i].terminating) {
            return false;
        }
    }
    return c->peers_synced;
}

static bool is_isolated(const struct core *c)
{
    uint64_t since_us = silent_since(c);
    bool had;
    bool acked;
    /* A peer may have demoted its label meanwhile: it still takes writes. */
    bool labelled = c->role.state == ROLE_MASTER || c->role.state == ROLE_DEMOTED;
    if (since_us == 0 || !labelled || c->local.state != ROLE_LOCAL_MASTER ||
        u64_since(c->now_us, since_us) < c->cfg.fence_after_us) {
        return false;
    }
    ask_replicas(c, &had, &acked);
    return (had || c->stand.had_replica) && !acked && !is_alone_in_set(c);
}

static bool must_stay(const struct core *c)
{
    bool person = c->label.observed && c->label.seen.fence;
    bool slave = c->local.state == ROLE_LOCAL_SLAVE || c->local.state == ROLE_LOCAL_SYNCING;
    bool named = c->input.verdict == VERDICT_ME && engine_majority_names(c);
    if (person) {
        return !slave;
    }
    return !slave && !named && c->cfg.mode == CORE_MODE_SENTINEL;
}

static void set(struct core *c, uint64_t value, enum fence_state next, enum why why,
                struct core_actions *out)
{
    struct fence *f = &c->fence;
    f->state = next;
    f->op = engine_order(c, out, MECHANISM_FENCE, MEMBER_LOCAL, ORDER_SET_FENCE, NULL, value,
                         u64_since(c->now_us, silent_since(c)));
    engine_decided(c, out, MECHANISM_FENCE,
                   next == FENCE_SETTING ? DECIDED_FENCE_ON : DECIDED_FENCE_OFF, why, NULL,
                   c->role.epoch);
}

void fence_step(struct core *c, struct core_actions *out)
{
    struct fence *f = &c->fence;
    bool person = c->label.observed && c->label.seen.fence;
    if (!person && !(f->state == FENCE_ON)) {
        f->handed_over = false;
    }
    if (!(c->cfg.on.fence || c->cfg.on.hand_over) || !c->local.connected) {
        return;
    }
    hear(c);
    if (c->now_us < f->retry_us || f->op != 0 || f->get_op != 0) {
        return;
    }
    switch (f->state) {
    case FENCE_UNKNOWN:
        f->get_op = engine_order(c, out, MECHANISM_FENCE, MEMBER_LOCAL, ORDER_GET_FENCE, NULL, 0,
                                 UINT64_MAX);
        return;
    case FENCE_OFF: {
        bool asked = person && fence_is_label(c) && c->local.state == ROLE_LOCAL_MASTER;
        bool isolated = c->cfg.on.fence && c->cfg.mode == CORE_MODE_SENTINEL && is_isolated(c);
        if (f->useless || !(asked || isolated)) {
            return;
        }
        f->isolated = isolated;
        set(c, FENCE_BASE + f->value, FENCE_SETTING, asked ? WHY_PERSON : WHY_ISOLATED, out);
        return;
    }
    case FENCE_ON:
        if (!must_stay(c)) {
            set(c, f->value, FENCE_LIFTING, person ? WHY_PERSON : WHY_NAMED_AGAIN, out);
        }
        return;
    case FENCE_SETTING:
    case FENCE_LIFTING:
    case FENCE_STATE_COUNT:
        return;
    }
}

uint64_t fence_next_deadline(const struct core *c)
{
    const struct fence *f = &c->fence;
    if (!(c->cfg.on.fence || c->cfg.on.hand_over) || !c->local.connected) {
        return UINT64_MAX;
    }
    uint64_t next = f->retry_us > c->now_us ? f->retry_us : UINT64_MAX;
    uint64_t at_us = silent_since(c) + c->cfg.fence_after_us;
    return at_us > c->now_us ? u64_min(next, at_us) : next;
}
