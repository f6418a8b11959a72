#include "agent/core/handover.h"

#include "agent/core/engine.h"

static const char *const by_names[] = {DRAIN_BYS(RPA_ENUM_NAME)};
static const char *const step_texts[] = {HANDOVER_STEPS(RPA_ENUM_NAME)};
static const char *const verdict_texts[] = {HANDOVER_VERDICTS(RPA_ENUM_NAME)};

const char *drain_by_name(enum drain_by by)
{
    return by_names[by];
}

const char *handover_verdict_text(enum handover_verdict v)
{
    return verdict_texts[v];
}

const char *handover_line_text(const struct handover_line *l, char *out, size_t size)
{
    char addr[ADDR_TEXT_MAX] = "";
    double ms = (double)l->after_us / 1e3;
    if (addr_is_set(&l->addr)) {
        (void)addr_text(&l->addr, addr);
    }
    if (l->step == HANDOVER_VERDICT && l->verdict == HANDOVER_DONE) {
        (void)snprintf(out, size, "%8.1f ms  handed over to %s in %.1f ms, 0 bytes behind", ms,
                       addr, ms);
        return out;
    }
    const char *what =
        l->step == HANDOVER_VERDICT ? verdict_texts[l->verdict] : step_texts[l->step];
    const char *why = l->why != NULL ? l->why : "";
    (void)snprintf(out, size, "%8.1f ms  %s%s%s%s%s", ms, what, addr[0] != '\0' ? ": " : "", addr,
                   why[0] != '\0' ? ": " : "", why);
    return out;
}

/* ---- the machine ---- */

static void tell(struct core *c, enum handover_step step, const char *why, const struct addr *addr,
                 struct core_actions *out)
{
    struct handover *h = &c->handover;
    struct handover_line *l = &h->lines[h->count++ % HANDOVER_LINES_MAX];
    *l = (struct handover_line){.after_us = u64_since(c->now_us, h->asked_us),
                                .step = step,
                                .why = why};
    if (addr != NULL) {
        l->addr = *addr;
    }
    core_actions_add(out, ACT_DRAIN_TOLD);
}

void handover_progress(struct core *c, enum handover_step step, struct core_actions *out)
{
    struct handover *h = &c->handover;
    if (!h->running || c->succession.mechanism != MECHANISM_HAND_OVER) {
        return;
    }
    h->paused_us = step == HANDOVER_PAUSED ? c->succession.paused_us : h->paused_us;
    if (step == HANDOVER_PROMOTED) {
        h->promoted_us = c->now_us;
        h->held_us = u64_since(c->now_us, h->paused_us);
    }
    tell(c, step, "", step == HANDOVER_CHOSE ? &c->succession.chosen_addr : NULL, out);
}

static void conclude(struct core *c, enum handover_verdict v, const char *why,
                     struct core_actions *out)
{
    struct handover *h = &c->handover;
    h->running = false;
    h->verdict = v;
    h->duration_us = u64_since(c->now_us, h->asked_us);
    if (h->by == DRAIN_BY_ANNOTATION) {
        h->annotation_done = true;
    }
    if (h->by == DRAIN_BY_FENCE) {
        c->fence.handed_over = true;
    }
    tell(c, HANDOVER_VERDICT, why, v == HANDOVER_DONE ? &h->successor : NULL, out);
    h->lines[(h->count - 1) % HANDOVER_LINES_MAX].verdict = v;
}

static bool is_master(const struct core *c)
{
    return c->role.state == ROLE_MASTER && c->local.connected &&
           c->local.state == ROLE_LOCAL_MASTER;
}

void handover_request(struct core *c, enum drain_by by, const char *target, uint64_t budget_us,
                      struct core_actions *out)
{
    struct handover *h = &c->handover;
    if (h->running) {
        return;
    }
    uint64_t serial = h->serial + 1;
    uint64_t clear_op = h->clear_op;
    bool annotation_done = h->annotation_done;
    *h = (struct handover){.running = true,
                           .by = by,
                           .serial = serial,
                           .clear_op = clear_op,
                           .annotation_done = annotation_done,
                           .asked_us = c->now_us,
                           .retry_us = c->now_us};
    h->deadline_us = c->now_us + (budget_us != 0 ? budget_us : c->cfg.drain_timeout_us);
    (void)str_copy(h->target, sizeof h->target, sv_from(target));
    tell(c, HANDOVER_ASKED, drain_by_name(by), NULL, out);
    bool possible = c->cfg.mode == CORE_MODE_SENTINEL || c->cfg.mode == CORE_MODE_REPLICATION;
    if (!c->cfg.on.hand_over || !possible) {
        conclude(c, HANDOVER_OFF, possible ? "" : "there is nobody to hand over to in this mode",
                 out);
    } else if (!is_master(c)) {
        conclude(c, HANDOVER_NOTHING, "", out);
    }
}

void handover_begin_if_asked(struct core *c, struct core_actions *out)
{
    struct handover *h = &c->handover;
    const struct pod *own = &c->label.seen;
    if (!c->label.observed || !c->cfg.on.hand_over) {
        return;
    }
    if (own->handover[0] == '\0') {
        h->annotation_done = false;
    } else if (!h->annotation_done && !h->running && c->role.state != ROLE_UNSET) {
        bool any = strcmp(own->handover, "any") == 0;
        handover_request(c, DRAIN_BY_ANNOTATION, any ? "" : own->handover, 0, out);
    } else if (h->annotation_done && h->clear_op == 0 && c->now_us >= h->clear_retry_us) {
        h->clear_op = c->next_op++;
        h->clear_retry_us = c->now_us + 2000000;
        core_actions_add(out, ACT_CLEAR_HANDOVER)->op = h->clear_op;
    }
    bool fence = own->fence && !c->fence.handed_over && !own->terminating;
    if (fence && !h->running && is_master(c) && c->cfg.mode == CORE_MODE_SENTINEL) {
        handover_request(c, DRAIN_BY_FENCE, "", 0, out);
    }
}

void handover_on_api(struct core *c, uint64_t op)
{
    if (op != 0 && op == c->handover.clear_op) {
        c->handover.clear_op = 0;
    }
}

/* Every Pod of the set that could take over is on its way out. */
static bool all_terminating(const struct core *c)
{
    unsigned staying = 0;
    unsigned peers = 0;
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        peers += c->peers[i].name[0] != '\0' ? 1 : 0;
        staying += c->peers[i].name[0] != '\0' && !c->peers[i].terminating ? 1 : 0;
    }
    return c->peers_synced && peers > 0 && staying == 0;
}

static bool successor_is_labelled(const struct core *c)
{
    const struct handover *h = &c->handover;
    return !c->cfg.labels || (c->input.peer_master && c->input.peer_master_epoch >= h->epoch) ||
           u64_since(c->now_us, h->named_us) >= HANDOVER_SUCCESSOR_US;
}

/* The clients that waited are sent away: they come back to the successor. */
static void release(struct core *c, struct core_actions *out)
{
    struct handover *h = &c->handover;
    uint64_t age_us = u64_since(c->now_us, h->named_us);
    if (c->local.state == ROLE_LOCAL_SLAVE || c->local.state == ROLE_LOCAL_SYNCING ||
        c->local.role.role == REDIS_ROLE_SLAVE) {
        (void)engine_order(c, out, MECHANISM_HAND_OVER, MEMBER_LOCAL, ORDER_KILL_NORMAL, NULL, 0,
                           age_us);
    }
    if (h->paused_us != 0) {
        (void)engine_order(c, out, MECHANISM_HAND_OVER, MEMBER_LOCAL, ORDER_UNPAUSE, NULL, 0,
                           age_us);
    }
    h->paused_us = 0;
}

static void candidacy_ended(struct core *c, struct core_actions *out)
{
    struct handover *h = &c->handover;
    const struct succession *s = &c->succession;
    h->candidacy = 0;
    if (s->succeeded) {
        h->named_us = c->now_us;
        h->epoch = s->epoch;
        h->successor = s->chosen_addr;
        tell(c, HANDOVER_NAMED, "", NULL, out);
        return;
    }
    h->why = why_text(s->why);
    if (s->unknown) {
        release(c, out);
        conclude(c, HANDOVER_UNKNOWN, h->why, out);
        return;
    }
    h->paused_us = 0;
    tell(c, HANDOVER_TRY_FAILED, h->why, NULL, out);
    h->retry_us = u64_max(c->now_us + HANDOVER_RETRY_US, s->hold_us);
    if (s->why == WHY_NO_REPLICA && all_terminating(c)) {
        conclude(c, HANDOVER_FAILED, "every other Pod of the set is terminating too", out);
    }
}

/* ---- without Sentinel: Redis's own FAILOVER ---- */

static const struct info_replica *best_replica(const struct core *c)
{
    const struct info *in = &c->local.info;
    const struct info_replica *best = NULL;
    for (size_t i = 0; i < in->replicas_kept; i++) {
        const struct info_replica *r = &in->replicas[i];
        const struct pod *pod = engine_pod_at(c, &r->addr);
        bool wanted = c->handover.target[0] == '\0' ||
                      (pod != NULL && strcmp(pod->name, c->handover.target) == 0);
        bool usable = r->online && wanted && !(pod != NULL && (pod->terminating || pod->fence));
        best = usable && (best == NULL || r->offset > best->offset) ? r : best;
    }
    return best;
}

bool handover_on_order(struct core *c, uint64_t op, enum outcome outcome)
{
    struct handover *h = &c->handover;
    if (op == 0 || op != h->failover_op) {
        return false;
    }
    h->failover_op = 0;
    h->failover_taken = outcome == OUTCOME_OK;
    h->why = outcome == OUTCOME_OK ? "" : why_text(WHY_LOCAL_REFUSED);
    h->retry_us = c->now_us + HANDOVER_RETRY_US;
    return true;
}

static void step_replication(struct core *c, struct core_actions *out)
{
    struct handover *h = &c->handover;
    uint64_t left_us = h->deadline_us > c->now_us ? h->deadline_us - c->now_us : 0;
    if (h->failover_taken && c->local.role.role == REDIS_ROLE_SLAVE) {
        conclude(c, HANDOVER_DONE, "", out);
        return;
    }
    if (left_us == 0) {
        /* Redis ends its FAILOVER by itself, at the same time. */
        conclude(c, HANDOVER_FAILED, h->why != NULL ? h->why : why_text(WHY_NOT_EQUAL), out);
        return;
    }
    if (h->failover_op != 0 || h->failover_taken || c->now_us < h->retry_us) {
        if (h->failover_taken) {
            engine_ask_local(c, false);
        }
        return;
    }
    const struct info_replica *r = best_replica(c);
    h->retry_us = c->now_us + HANDOVER_RETRY_US;
    if (r == NULL) {
        h->why = why_text(WHY_NO_REPLICA);
        return;
    }
    h->successor = r->addr;
    tell(c, HANDOVER_CHOSE, "", &r->addr, out);
    h->failover_op =
        engine_order(c, out, MECHANISM_HAND_OVER, MEMBER_LOCAL, ORDER_FAILOVER, &r->addr,
                     left_us / 1000 + 1, u64_since(c->now_us, c->local.info_us));
}

void handover_step(struct core *c, struct core_actions *out)
{
    struct handover *h = &c->handover;
    if (!h->running) {
        return;
    }
    if (c->cfg.mode == CORE_MODE_REPLICATION) {
        step_replication(c, out);
        return;
    }
    if (h->candidacy != 0) {
        if (c->succession.state == SUCCESSION_IDLE) {
            candidacy_ended(c, out);
        } else if (c->now_us >= h->deadline_us) {
            succession_abandon(c, WHY_TOO_LATE, out);
        }
        return;
    }
    if (h->named_us != 0) {
        if (successor_is_labelled(c)) {
            tell(c, HANDOVER_LABELLED, "", NULL, out);
            release(c, out);
            conclude(c, HANDOVER_DONE, "", out);
        }
        return;
    }
    if (c->now_us >= h->deadline_us) {
        conclude(c, HANDOVER_FAILED, h->why != NULL ? h->why : why_text(WHY_NO_SENTINELS), out);
    } else if (!is_master(c) && c->local.connected && c->local.state == ROLE_LOCAL_SLAVE) {
        conclude(c, HANDOVER_NOTHING, "it is no longer the master", out);
    } else if (c->now_us >= h->retry_us && c->succession.state == SUCCESSION_IDLE &&
               c->input.newest.known && evidence_is_me(&c->evidence, &c->input.newest.addr)) {
        succession_begin(c, MECHANISM_HAND_OVER, WHY_ASKED, out);
        h->candidacy = c->succession.serial;
    }
}

bool handover_keeps_label(const struct core *c)
{
    return c->handover.running && c->handover.verdict == HANDOVER_NONE &&
           (c->handover.candidacy != 0 || c->handover.named_us != 0);
}

uint64_t handover_next_deadline(const struct core *c)
{
    const struct handover *h = &c->handover;
    if (!h->running) {
        return h->annotation_done && h->clear_op == 0 ? u64_max(h->clear_retry_us, c->now_us + 1)
                                                      : UINT64_MAX;
    }
    return u64_min(h->deadline_us, c->now_us + 20000);
}
