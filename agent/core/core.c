#include "agent/core/core.h"

#include "agent/core/engine.h"
#include "agent/core/pods.h"

#include "lib/base/check.h"

static const char *const mode_names[] = {CORE_MODES(RPA_ENUM_NAME)};
static const char *const event_names[] = {CORE_EVENTS(RPA_ENUM_NAME)};

const char *core_mode_name(enum core_mode m)
{
    return mode_names[m];
}

const char *core_event_type_name(enum core_event_type t)
{
    return event_names[t];
}

void core_init(struct core *c, const struct core_config *cfg, uint64_t now_us)
{
    REQUIRE(cfg->mode != CORE_MODE_AUTO && cfg->mode != CORE_MODE_CLUSTER);
    REQUIRE((cfg->sentinel_count > 0) == (cfg->mode == CORE_MODE_SENTINEL));
    *c = (struct core){.cfg = *cfg, .now_us = now_us, .next_op = 1};
    REQUIRE(str_copy(c->sentinel_master, sizeof c->sentinel_master, sv_from(cfg->sentinel_master)));
    REQUIRE(str_copy(c->pod_name, sizeof c->pod_name, sv_from(cfg->pod_name)));
    c->ordinal = pod_ordinal(c->pod_name);
    local_init(&c->local, now_us);
    evidence_init(&c->evidence, cfg->sentinel_count);
    for (size_t i = 0; i < cfg->me_count; i++) {
        evidence_add_my_addr(&c->evidence, &cfg->me[i]);
    }
    role_init(&c->role);
    label_init(&c->label, cfg->pod_uid, cfg->role_legacy, cfg->seed, now_us);
    rng_seed(&c->rng, cfg->seed ^ 0x5deece66dU);
}

/* ---- reads ---- */

static void ask(struct core *c, struct read_slot *r, bool info)
{
    if (r->op != 0) {
        r->again = true;
        r->info = r->info || info;
    } else {
        r->due_us = c->now_us;
        r->info = r->info || info;
    }
}

void engine_ask_local(struct core *c, bool info)
{
    ask(c, &c->local_read, info);
}

void engine_ask_sentinels(struct core *c)
{
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        ask(c, &c->sentinel_read[i], false);
    }
}

/* The answer is in, or will never come. */
static void read_over(struct core *c, struct read_slot *r, uint64_t period_us)
{
    r->op = 0;
    r->due_us = r->again ? c->now_us : c->now_us + period_us;
    r->again = false;
}

static void read_dropped(struct read_slot *r)
{
    *r = (struct read_slot){.due_us = UINT64_MAX};
}

/* A new master whose replicas INFO has not shown yet: its death would be nobody's to announce. */
static bool awaits_replicas(const struct core *c)
{
    return engine_is_on(c) && c->role.state == ROLE_MASTER && !c->stand.had_replica &&
           u64_since(c->now_us, c->role.since_us) < CORE_REPLICAS_POLL_FOR_US;
}

static void issue_local(struct core *c, struct core_actions *out)
{
    struct read_slot *r = &c->local_read;
    if (!c->local.connected || r->op != 0 || c->now_us < r->due_us) {
        return;
    }
    /* While a promotion is awaited ROLE alone is asked, every few milliseconds. */
    bool stale = c->local.info_us == 0 || c->local.run_id[0] == '\0' ||
                 u64_since(c->now_us, c->local.info_us) >= CORE_LOCAL_PERIOD_US;
    bool info = c->info_op == 0 && (r->info || stale || awaits_replicas(c));
    struct core_action *a = core_actions_add(out, ACT_READ_LOCAL);
    a->op = r->op = c->next_op++;
    a->info = info;
    r->asked_us = c->now_us;
    if (info) {
        c->info_op = a->op;
        c->info_asked_us = c->now_us;
        r->info = false;
    }
}

static void issue_sentinels(struct core *c, struct core_actions *out)
{
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        struct read_slot *r = &c->sentinel_read[i];
        if (!c->sentinel_up[i] || r->op != 0 || c->now_us < r->due_us) {
            continue;
        }
        struct core_action *a = core_actions_add(out, ACT_READ_SENTINEL);
        a->op = r->op = c->next_op++;
        a->slot = i;
        r->asked_us = c->now_us;
    }
}

/* ---- events: the local Redis ---- */

static bool awaits_promotion(const struct core *c)
{
    return c->cfg.eager && evidence_selects_me(&c->evidence, c->now_us, CORE_EAGER_POLL_FOR_US);
}

static uint64_t local_period(const struct core *c)
{
    if (awaits_promotion(c) && c->local.role.role != REDIS_ROLE_MASTER) {
        return CORE_EAGER_POLL_US;
    }
    return awaits_replicas(c) ? CORE_REPLICAS_POLL_US : CORE_LOCAL_PERIOD_US;
}

static void on_local_role(struct core *c, const struct core_event *ev)
{
    struct read_slot *r = &c->local_read;
    if (ev->op == 0 || ev->op != r->op) {
        return;
    }
    enum redis_role before = c->local.role.role;
    uint64_t asked_us = r->asked_us;
    if (ev->u.role.fault != RESP_FAULT_NONE) {
        local_fault(&c->local, ev->u.role.fault, c->now_us);
    } else if (ev->u.role.role != NULL) {
        local_role(&c->local, ev->u.role.role, asked_us, c->now_us);
    }
    read_over(c, r, local_period(c));
    if (before != c->local.role.role) {
        ask(c, r, true);
        engine_ask_sentinels(c);
    }
}

static void on_local_info(struct core *c, const struct core_event *ev)
{
    if (ev->op == 0 || ev->op != c->info_op) {
        return;
    }
    c->info_op = 0;
    if (ev->u.info != NULL) {
        local_info(&c->local, ev->u.info, c->info_asked_us, c->now_us);
    }
    if (c->local_read.info && c->succession.state != SUCCESSION_IDLE) {
        ask(c, &c->local_read, true); /* it was wanted anew while this one was under way */
    }
}

static void on_local_down(struct core *c, enum local_down why)
{
    bool was_connected = c->local.connected;
    stand_on_local_down(c, was_connected, why);
    local_lost(&c->local, why, c->now_us);
    read_dropped(&c->local_read);
    c->info_op = 0;
    if (was_connected) {
        /* A promotion closes all connections: it may be one. */
        engine_ask_sentinels(c);
    }
}

/* ---- events: Sentinels ---- */

static void on_sentinel_view(struct core *c, const struct core_event *ev)
{
    struct read_slot *r = &c->sentinel_read[ev->slot];
    if (ev->op == 0 || ev->op != r->op) {
        return;
    }
    if (ev->u.view != NULL) {
        struct view v = *ev->u.view;
        v.asked_us = r->asked_us;
        evidence_view(&c->evidence, ev->slot, &v);
    }
    read_over(c, r, c->role.holding ? CORE_UNSURE_PERIOD_US : CORE_SENTINEL_PERIOD_US);
}

static void on_sentinel_event(struct core *c, const struct core_event *ev)
{
    const struct sentinel_event *e = ev->u.sentinel;
    bool other_master =
        e->master_name[0] != '\0' && strcmp(e->master_name, c->sentinel_master) != 0;
    if (other_master) {
        return;
    }
    if (evidence_event(&c->evidence, ev->slot, e, c->now_us)) {
        ask(c, &c->sentinel_read[ev->slot], false);
        ask(c, &c->local_read, false);
    }
}

static void on_sentinel_down(struct core *c, size_t slot)
{
    evidence_lost(&c->evidence, slot);
    c->sentinel_up[slot] = false;
    c->look[slot].op = 0;
    c->look[slot].seen_us = 0;
    read_dropped(&c->sentinel_read[slot]);
}

static void on_hello(struct core *c, const struct sentinel_hello *h)
{
    if (strcmp(h->master_name, c->sentinel_master) != 0) {
        return;
    }
    c->evidence.hello_epoch = u64_max(c->evidence.hello_epoch, h->current_epoch);
    if (h->master_epoch > c->role.token) {
        engine_ask_sentinels(c);
    }
}

static void on_sentinel_look(struct core *c, const struct core_event *ev)
{
    struct look_slot *l = &c->look[ev->slot];
    if (ev->op == 0 || ev->op != l->op) {
        return;
    }
    l->op = 0;
    if (ev->u.look == NULL) {
        l->due_us = u64_max(l->due_us, c->now_us + CORE_UNSURE_PERIOD_US);
        return;
    }
    l->look = *ev->u.look;
    l->seen_us = l->asked_us;
    evidence_vote(&c->evidence, ev->slot, l->look.vote.leader_id, l->look.vote.epoch, c->now_us);
}

static void on_order_done(struct core *c, const struct core_event *ev, struct core_actions *out)
{
    enum outcome o = ev->u.order.outcome;
    history_done(&c->history, ev->op, o);
    succession_on_order(c, ev->op, o);
    follow_on_order(c, ev->op, o, out);
    fence_on_order(c, ev->op, o, ev->u.order.min_replicas, ev->u.order.max_lag_s);
    (void)handover_on_order(c, ev->op, o);
}

/* A redis-server asks how to start: never as a master by itself, where Sentinels know it. */
static void on_launch(struct core *c, uint64_t op, struct core_actions *out)
{
    struct core_action *a = core_actions_add(out, ACT_LAUNCH_ANSWER);
    const struct newest *n = &c->input.newest;
    a->op = op;
    a->launch = LAUNCH_HELD;
    if (c->cfg.mode != CORE_MODE_SENTINEL) {
        a->launch = LAUNCH_PLAIN;
    } else if (n->known && engine_majority_names(c) && !evidence_is_me(&c->evidence, &n->addr)) {
        a->launch = LAUNCH_REPLICA;
        a->addr = n->addr;
    }
    engine_decided(c, out, MECHANISM_LAUNCH, DECIDED_LAUNCH, WHY_NONE,
                   a->launch == LAUNCH_REPLICA ? &n->addr : NULL, n->epoch);
}

/* ---- events: the API server ---- */

static void on_api_done(struct core *c, const struct core_event *ev, struct core_actions *out)
{
    uint64_t latency_us;
    if (peer_on_api(c, ev->op, ev->u.api.outcome, ev->u.api.retry_after_us)) {
        return;
    }
    handover_on_api(c, ev->op);
    bool current = label_done(&c->label, ev->op, ev->u.api.outcome, ev->u.api.pod,
                              ev->u.api.retry_after_us, c->now_us, &latency_us);
    if (current && latency_us > 0) {
        c->label_acks++;
        core_actions_add(out, ACT_LABEL_ACKED)->duration_us = latency_us;
    }
}

/* ---- the step ---- */

static void distrust(struct core *c, uint64_t gap_us, struct core_actions *out)
{
    c->gaps++;
    core_actions_add(out, ACT_GAP)->duration_us = gap_us;
    succession_abandon(c, WHY_TOO_LATE, out);
    members_distrust(&c->members);
    local_distrust(&c->local, c->now_us);
    c->info_op = 0;
    c->local_read = (struct read_slot){.due_us = c->now_us, .info = true};
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        char id[RUN_ID_LEN + 1];
        memcpy(id, c->evidence.sentinels[i].id, sizeof id);
        evidence_forget(&c->evidence, i);
        evidence_set_id(&c->evidence, i, id);
        c->sentinel_read[i] = (struct read_slot){.due_us = c->now_us};
        c->look[i] = (struct look_slot){.due_us = c->now_us};
    }
}

/* What only the mechanisms that act have asked for. */
static void take_for_engine(struct core *c, const struct core_event *ev, struct core_actions *out)
{
    switch ((int)ev->type) {
    case CORE_SENTINEL_LOOK:
        on_sentinel_look(c, ev);
        return;
    case CORE_SENTINEL_VOTE:
        succession_on_vote(c, ev->slot, ev->op, ev->u.vote.outcome, &ev->u.vote.vote);
        return;
    case CORE_SENTINEL_DONE:
        succession_on_done(c, ev->slot, ev->op, ev->u.outcome);
        return;
    case CORE_MEMBER_UP:
        members_up(&c->members, ev->slot, c->now_us);
        return;
    case CORE_MEMBER_DOWN:
        stand_on_member_down(c, ev->slot);
        members_lost(&c->members, ev->slot, ev->u.down == LOCAL_DOWN_REFUSED, c->now_us);
        return;
    case CORE_MEMBER_INFO:
        members_info(&c->members, ev->slot, ev->op, ev->u.info);
        return;
    case CORE_ORDER_DONE:
        on_order_done(c, ev, out);
        return;
    case CORE_LAUNCH:
        on_launch(c, ev->op, out);
        return;
    case CORE_PROCESS_DEAD:
        c->stand.process_dead = true;
        return;
    case CORE_DRAIN:
        handover_request(c, ev->u.drain.by, ev->u.drain.target, ev->u.drain.budget_us, out);
        return;
    }
}

static void take(struct core *c, const struct core_event *ev, struct core_actions *out)
{
    /* One bound for both kinds of slot, Sentinels and members; an order is told by its op. */
    REQUIRE(ev->type == CORE_ORDER_DONE ||
            (ev->slot < EVIDENCE_SENTINELS_MAX && ev->slot < MEMBERS_MAX));
    switch (ev->type) {
    case CORE_TICK:
    case CORE_EVENT_COUNT:
        return;
    case CORE_LOCAL_UP:
        local_up(&c->local, c->now_us);
        stand_on_local_up(c);
        fence_on_local_up(c);
        c->local_read = (struct read_slot){.due_us = c->now_us, .info = true};
        return;
    case CORE_LOCAL_DOWN:
        on_local_down(c, ev->u.down);
        return;
    case CORE_LOCAL_ROLE:
        on_local_role(c, ev);
        return;
    case CORE_LOCAL_INFO:
        on_local_info(c, ev);
        return;
    case CORE_LOCAL_HINT:
        ask(c, &c->local_read, true);
        if (!c->local.connected) {
            core_actions_add(out, ACT_KICK_LOCAL);
        }
        return;
    case CORE_SENTINELS:
        REQUIRE(ev->u.sentinel_count <= EVIDENCE_SENTINELS_MAX);
        c->sentinel_slots = ev->u.sentinel_count;
        return;
    case CORE_SENTINEL_ID:
        evidence_set_id(&c->evidence, ev->slot, ev->u.id);
        return;
    case CORE_SENTINEL_UP:
        c->sentinel_up[ev->slot] = true;
        ask(c, &c->sentinel_read[ev->slot], false);
        return;
    case CORE_SENTINEL_HINT:
        ask(c, &c->sentinel_read[ev->slot], false);
        return;
    case CORE_SENTINEL_DOWN:
        on_sentinel_down(c, ev->slot);
        return;
    case CORE_SENTINEL_GONE:
        on_sentinel_down(c, ev->slot);
        evidence_forget(&c->evidence, ev->slot);
        return;
    case CORE_SENTINEL_VIEW:
        on_sentinel_view(c, ev);
        return;
    case CORE_SENTINEL_EVENT:
        on_sentinel_event(c, ev);
        return;
    case CORE_HELLO:
        on_hello(c, ev->u.hello);
        return;
    case CORE_PODS_RESYNC:
        pods_resync(c);
        return;
    case CORE_POD:
        pods_seen(c, ev->u.pod);
        return;
    case CORE_POD_GONE:
        pods_gone(c, ev->u.pod);
        return;
    case CORE_PODS_SYNCED:
        pods_synced(c);
        return;
    case CORE_API_DONE:
        on_api_done(c, ev, out);
        return;
    case CORE_SENTINEL_LOOK:
    case CORE_SENTINEL_VOTE:
    case CORE_SENTINEL_DONE:
    case CORE_MEMBER_UP:
    case CORE_MEMBER_DOWN:
    case CORE_MEMBER_INFO:
    case CORE_ORDER_DONE:
    case CORE_LAUNCH:
    case CORE_PROCESS_DEAD:
    case CORE_DRAIN:
        take_for_engine(c, ev, out);
        return;
    }
}

static void gather(struct core *c)
{
    struct role_input *in = &c->input;
    *in = (struct role_input){.now_us = c->now_us};
    local_update(&c->local, c->now_us);
    in->local = c->local.state;
    in->local_since_us =
        c->local.state == ROLE_LOCAL_DEAD ? c->local.refused_since_us : c->local.state_since_us;
    memcpy(in->run_id, c->local.run_id, sizeof in->run_id);
    evidence_newest(&c->evidence, c->now_us, &in->newest);
    in->verdict = evidence_verdict(&c->evidence, &in->newest, in->run_id, c->now_us);
    in->vouched = evidence_vouches(&c->evidence, &in->newest, in->run_id, c->now_us);
    uint64_t selected_us = 0;
    uint64_t eager_epoch =
        c->cfg.eager ? evidence_eager(&c->evidence, &in->newest, c->now_us, &selected_us) : 0;
    if (eager_epoch != 0 && c->local.master_since_us >= selected_us) {
        in->eager_epoch = eager_epoch;
    }
    in->epoch_heard = evidence_epoch_heard(&c->evidence);
    /* ROLE master is first seen when a new connection asks; a failover of before that counts
     * where newest is of before it, too. */
    uint64_t since_us = c->stand.newest_us != 0 && evidence_is_me(&c->evidence, &in->newest.addr)
                            ? c->stand.newest_us
                            : 0;
    in->mirror = evidence_mirror(&c->evidence, &in->newest, since_us, c->now_us);

    const struct pod *own = &c->label.seen;
    in->own_observed = c->label.observed;
    if (in->own_observed) {
        in->fenced = fence_is_label(c);
        in->terminating = own->terminating;
        in->own_label_epoch = own->role_epoch;
        memcpy(in->own_run_id, own->run_id, sizeof in->own_run_id);
        in->demoted_by_epoch = own->demoted_by_epoch;
        if (!role_state_from(sv_from(own->role), &in->own_label)) {
            in->own_label = ROLE_UNSET;
        }
    }
    in->handing_over = handover_keeps_label(c);
    in->foreign_vote = stand_sees_candidate(c);
    in->held = c->follow.paused_us != 0;
    in->isolated = c->fence.isolated && c->fence.state == FENCE_ON;
    in->peers_synced = c->peers_synced;
    pods_gather(c, in);
}

static void decide(struct core *c, struct core_actions *out)
{
    struct role_change change = role_step(&c->role, &c->input);
    if (change.regressed) {
        evidence_forget_epochs(&c->evidence);
        struct core_action *a = core_actions_add(out, ACT_KUBE_EVENT);
        a->regressed = true;
        a->epoch = c->role.token;
        a->from = a->to = c->role.state;
    }
    if (change.state || change.epoch) {
        struct core_action *a = core_actions_add(out, ACT_ROLE_CHANGED);
        a->from = change.from;
        a->to = c->role.state;
        a->epoch = c->role.epoch;
        a->reason = c->role.reason;
    }
    bool told_before = change.from == ROLE_UNSET && c->input.own_label == c->role.state;
    if (change.state && !told_before) {
        struct core_action *a = core_actions_add(out, ACT_KUBE_EVENT);
        a->from = change.from;
        a->to = c->role.state;
        a->epoch = c->role.epoch;
        a->reason = c->role.reason;
    }
    if (c->role.state == ROLE_UNSET || !c->cfg.labels) {
        return;
    }
    struct label_value v = {.role = c->role.state,
                            .epoch = c->role.epoch,
                            .reason = c->role.reason,
                            .since_wall_ms = c->wall_ms,
                            .decided_us = c->now_us};
    memcpy(v.run_id, c->role.run_id, sizeof v.run_id);
    if (change.state || change.epoch || !c->label.wanted ||
        strcmp(v.run_id, c->label.want.run_id) != 0) {
        if (c->label.wanted && !change.state) {
            v.since_wall_ms = c->label.want.since_wall_ms;
        }
        label_want(&c->label, &v, c->now_us);
    }
}

static void issue_label(struct core *c, struct core_actions *out)
{
    uint64_t op = c->next_op;
    switch (label_next(&c->label, op, c->now_us)) {
    case LABEL_NOTHING:
        return;
    case LABEL_PATCH: {
        struct core_action *a = core_actions_add(out, ACT_PATCH_POD);
        a->op = op;
        a->label = c->label.want;
        break;
    }
    case LABEL_GET:
        core_actions_add(out, ACT_GET_POD)->op = op;
        break;
    }
    c->next_op++;
}

void core_step(struct core *c, const struct core_event *ev, struct core_actions *ret)
{
    ret->count = 0;
    uint64_t gap_us = u64_since(ev->now_us, c->now_us);
    c->now_us = u64_max(c->now_us, ev->now_us);
    c->wall_ms = ev->wall_ms;
    if (gap_us > CORE_GAP_US) {
        distrust(c, gap_us, ret);
    }
    take(c, ev, ret);
    gather(c);
    decide(c, ret);
    engine_step(c, ret);
    issue_label(c, ret);
    issue_local(c, ret);
    issue_sentinels(c, ret);
}

uint64_t core_next_deadline(const struct core *c)
{
    /* The core is stepped at least once in a period, which is also how it sees gaps. */
    uint64_t next = c->now_us + CORE_LOCAL_PERIOD_US;
    if (c->local.connected && c->local_read.op == 0) {
        next = u64_min(next, c->local_read.due_us);
    }
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        if (c->sentinel_up[i] && c->sentinel_read[i].op == 0) {
            next = u64_min(next, c->sentinel_read[i].due_us);
        }
    }
    next = u64_min(next, engine_next_deadline(c));
    next = u64_min(next, local_next_deadline(&c->local, c->now_us));
    next = u64_min(next, evidence_next_deadline(&c->evidence, c->now_us));
    next = u64_min(next, role_next_deadline(&c->role, &c->input));
    return u64_min(next, label_next_deadline(&c->label, c->now_us));
}
