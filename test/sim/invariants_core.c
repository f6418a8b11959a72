#include "test/sim/sim.h"

#define REQUEST_WINDOW_US (10 * SECOND)
#define REQUESTS_A_WINDOW 30
#define RETRY_MIN_US LABEL_RETRY_MIN_US
#define SETTLED_WRITE_US SECOND

static struct agent_truth *truth_of(struct world *w, unsigned i)
{
    return &w->truth.agents[i];
}

void invariants_agent_started(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    memset(t, 0, sizeof *t);
    t->role_us = t->fence_us = t->local_clean_us = w->now_us;
    t->api_clean_us = UINT64_MAX;
    memcpy(t->run_id_before, w->api.pods[i].pod.run_id, sizeof t->run_id_before);
}

/* ---- what may be told ---- */

static void check_master(struct world *w, unsigned i)
{
    const struct role *r = &w->agents[i].core.role;
    const char *why = truth_against_master(w, i, r->reason, r->epoch);
    if (why != NULL) {
        sim_fail(w, "master-proof", "agent-%u is master at epoch %llu (\"%s\"), but %s", i,
                 (unsigned long long)r->epoch, role_reason_text(r->reason), why);
    }
}

static void check_replica(struct world *w, unsigned i)
{
    const struct redis *r = &w->redis[i];
    const struct conn *c = &w->agents[i].conns[CONN_LOCAL];
    bool of_this_process = c->state == CONN_UP && c->up_us >= r->started_us;
    if (w->agents[i].core.role.reason == ROLE_WHY_SLAVE && r->alive && of_this_process &&
        !r->synced) {
        sim_fail(w, "replica-proof",
                 "agent-%u is replica, but this process of redis-%u never had a first sync", i, i);
    }
}

/* Sentinels that were rebuilt, or a majority of stale ones: not at once. */
static void check_epoch(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct role *r = &w->agents[i].core.role;
    if (r->reason != ROLE_WHY_MAJORITY || r->epoch >= t->newest_max) {
        return;
    }
    sim_fail(w, "epoch-back",
             "agent-%u is master at epoch %llu, has seen %llu, and the lower one has not lasted", i,
             (unsigned long long)r->epoch, (unsigned long long)t->newest_max);
}

static void follow_newest(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct newest *n = &w->agents[i].core.input.newest;
    if (!n->known || n->epoch >= t->newest_max) {
        t->newest_max = n->known ? n->epoch : t->newest_max;
        t->lower_us = 0;
    } else if (t->lower_us == 0 || t->lower_epoch != n->epoch) {
        t->lower_us = w->now_us;
        t->lower_epoch = n->epoch;
    } else if (u64_since(w->now_us, t->lower_us) >= ROLE_REGRESSION_US) {
        t->newest_max = n->epoch;
    }
}

static void check_gap(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct core *c = &w->agents[i].core;
    bool gap = t->step_us != 0 && u64_since(w->now_us, t->step_us) > CORE_GAP_US;
    t->step_us = w->now_us;
    t->gap_us = gap ? w->now_us : t->gap_us;
    if (gap && (c->input.newest.fresh > 0 || c->local.role_us != 0)) {
        sim_fail(w, "clock-gap", "agent-%u was stopped, and still counts %s", i,
                 c->input.newest.fresh > 0 ? "what Sentinels said before" : "the ROLE of before");
    }
}

static void follow_role(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct role *r = &w->agents[i].core.role;
    bool changed = r->state != t->role;
    bool newer = r->state == ROLE_MASTER && r->epoch != t->epoch;
    if (changed && r->reason == ROLE_WHY_SILENT && t->gap_us != 0 &&
        u64_since(w->now_us, t->gap_us) < ROLE_PROOF_US) {
        sim_fail(w, "clock-gap",
                 "agent-%u was stopped, and calls redis-%u silent before it could"
                 " answer",
                 i, i);
    }
    if (changed && r->reason == ROLE_WHY_PEER_DEMOTED && r->epoch < t->epoch) {
        sim_fail(w, "peer-demotion", "agent-%u, at epoch %llu, obeys a demotion of epoch %llu", i,
                 (unsigned long long)t->epoch, (unsigned long long)r->epoch);
    }
    if (changed) {
        t->role = r->state;
        t->role_us = w->now_us;
        w->coverage->reasons[r->state][r->reason]++;
    }
    t->epoch = r->epoch;
    if (r->state == ROLE_MASTER && !r->holding) {
        t->proven_us = w->now_us;
    }
    if (r->state == ROLE_MASTER && (changed || newer)) {
        check_master(w, i);
        check_epoch(w, i);
    }
    if (r->state == ROLE_REPLICA && changed) {
        check_replica(w, i);
    }
}

/* ---- requests ---- */

/* A wait belongs to the wish that has failed: a new one may go out at once. */
static void follow_wish(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct label_value *v = &w->agents[i].core.label.want;
    if (v->role != t->wish.role || v->epoch != t->wish.epoch) {
        t->wish_us = w->now_us;
        t->refusals = 0;
    }
    t->wish = *v;
    t->refusals = label_is_synced(&w->agents[i].core.label) ? 0 : t->refusals;
}

static bool is_stored(const struct world *w, unsigned i, const struct label_value *v)
{
    const struct pod *p = &w->api.pods[i].pod;
    const char *name = role_state_name(v->role);
    bool run_id = v->role == ROLE_PENDING || strcmp(p->run_id, v->run_id) == 0;
    return strcmp(p->role, name) == 0 && p->has_role_epoch && p->role_epoch == v->epoch && run_id &&
           (!w->cfg.legacy || strcmp(p->role_legacy, name) == 0);
}

static void check_rate(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    t->request_us[t->requests++ % TRUTH_REQUESTS] = w->now_us;
    if (t->requests <= REQUESTS_A_WINDOW) {
        return;
    }
    uint64_t then_us = t->request_us[(t->requests - 1 - REQUESTS_A_WINDOW) % TRUTH_REQUESTS];
    if (u64_since(w->now_us, then_us) < REQUEST_WINDOW_US) {
        sim_fail(w, "patch-storm", "agent-%u sends more than %d requests in 10 s", i,
                 REQUESTS_A_WINDOW);
    }
}

static void check_spacing(struct world *w, unsigned i, const struct core_action *a)
{
    struct agent_truth *t = truth_of(w, i);
    bool patch = a->type == ACT_PATCH_POD;
    bool same = t->wish_us < t->failed_us;
    if (w->now_us < t->not_before_us) {
        sim_fail(w, "patch-storm", "agent-%u does not honour Retry-After", i);
    } else if (same && t->failed_us != 0 && u64_since(w->now_us, t->failed_us) < RETRY_MIN_US) {
        sim_fail(w, "patch-storm", "agent-%u retries %llu us after a failure", i,
                 (unsigned long long)u64_since(w->now_us, t->failed_us));
    } else if (patch && t->wish_us < t->refused_us && t->refusals > 1 &&
               u64_since(w->now_us, t->refused_us) < RETRY_MIN_US) {
        sim_fail(w, "patch-storm",
                 "agent-%u repeats a PATCH that was refused %u times, without"
                 " waiting",
                 i, t->refusals);
    }
}

static void check_patch(struct world *w, unsigned i, const struct core_action *a)
{
    const struct agent *g = &w->agents[i];
    const struct api_pod *p = &w->api.pods[i];
    struct agent_truth *t = truth_of(w, i);
    if (a->label.role == ROLE_UNSET || a->label.role >= ROLE_STATE_COUNT) {
        sim_fail(w, "actions", "agent-%u writes a label of no contract", i);
    }
    if (strcmp(g->core.label.uid, g->uid) != 0) {
        sim_fail(w, "actions", "agent-%u writes to a Pod with another uid", i);
    }
    bool known = p->exists && p->incarnation == g->incarnation &&
                 u64_since(w->now_us, p->agent_until_us) > SETTLED_WRITE_US &&
                 w->now_us >= t->api_clean_us;
    bool demoted = p->stored == ROLE_DEMOTED && p->pod.demoted_by_epoch > a->label.epoch &&
                   u64_since(w->now_us, p->demoted_us) < ROLE_REGRESSION_US;
    uint64_t rv;
    bool seen = sv_to_u64(sv_from(p->pod.resource_version), &rv) && g->watch_rv >= rv;
    if (known && seen && is_stored(w, i, &a->label)) {
        sim_fail(w, "actions", "agent-%u writes what is stored already", i);
    }
    if (seen && demoted && !p->unselected && a->label.role == ROLE_MASTER) {
        sim_fail(w, "peer-demotion",
                 "agent-%u was demoted by a peer at epoch %llu, and labels"
                 " itself master at %llu",
                 i, (unsigned long long)p->pod.demoted_by_epoch,
                 (unsigned long long)a->label.epoch);
    }
}

static void check_request(struct world *w, unsigned i, const struct core_action *a)
{
    struct agent_truth *t = truth_of(w, i);
    if (t->op != 0) {
        sim_fail(w, "actions", "agent-%u sends a request while another one is in flight", i);
    }
    t->op = a->op;
    check_rate(w, i);
    check_spacing(w, i, a);
    if (a->type == ACT_PATCH_POD) {
        check_patch(w, i, a);
    }
}

void invariants_answer(struct world *w, unsigned i, uint64_t op, enum api_outcome outcome,
                       uint64_t retry_after_us)
{
    struct agent_truth *t = truth_of(w, i);
    bool was_patch = w->agents[i].api_request.patch;
    bool refused = outcome == API_CONFLICT || outcome == API_INVALID || outcome == API_NOT_FOUND;
    t->op = t->op == op ? 0 : t->op;
    t->failed_us = outcome == API_OK || refused ? 0 : w->now_us;
    t->not_before_us = retry_after_us > 0 ? w->now_us + retry_after_us : 0;
    if (was_patch && refused) {
        t->refusals++;
        t->refused_us = w->now_us;
    } else if (was_patch && outcome == API_OK) {
        t->refusals = 0;
    }
}

/* ---- reads ---- */

static void take_answers(struct agent_truth *t, const struct core_event *ev)
{
    bool local_renewed = ev->type == CORE_LOCAL_UP || ev->type == CORE_LOCAL_DOWN;
    bool local_answer = ev->type == CORE_LOCAL_ROLE && ev->op == t->local_op;
    if (local_renewed || local_answer) {
        t->local_op = 0;
    }
    bool renewed = ev->type == CORE_SENTINEL_DOWN || ev->type == CORE_SENTINEL_GONE;
    bool answer = ev->type == CORE_SENTINEL_VIEW && ev->op == t->sentinel_op[ev->slot];
    if (renewed || answer) {
        t->sentinel_op[ev->slot] = 0;
    }
}

static void check_read(struct world *w, unsigned i, uint64_t *op, const struct core_action *a)
{
    if (*op != 0) {
        sim_fail(w, "actions", "agent-%u asks again before the answer: %s", i,
                 core_act_name(a->type));
    }
    *op = a->op;
}

static void check_action(struct world *w, unsigned i, const struct core_action *a)
{
    struct agent_truth *t = truth_of(w, i);
    w->coverage->acts[a->type]++;
    switch (a->type) {
    case ACT_READ_LOCAL:
        check_read(w, i, &t->local_op, a);
        return;
    case ACT_READ_SENTINEL:
        check_read(w, i, &t->sentinel_op[a->slot], a);
        return;
    case ACT_PATCH_POD:
    case ACT_GET_POD:
        check_request(w, i, a);
        return;
    case ACT_GAP:
        t->local_op = 0;
        memset(t->sentinel_op, 0, sizeof t->sentinel_op);
        return;
    case ACT_KICK_LOCAL:
    case ACT_KUBE_EVENT:
    case ACT_ROLE_CHANGED:
    case ACT_LABEL_ACKED:
        return;
    case ACT_LOOK_SENTINEL:
    case ACT_VOTE:
    case ACT_ANNOUNCE:
    case ACT_FORCE_FAILOVER:
    case ACT_MEMBER_OPEN:
    case ACT_MEMBER_CLOSE:
    case ACT_MEMBER_KICK:
    case ACT_READ_MEMBER:
    case ACT_ORDER:
    case ACT_LAUNCH_ANSWER:
    case ACT_DEMOTE_PEER:
    case ACT_CLEAR_HANDOVER:
    case ACT_DECIDED:
    case ACT_DRAIN_TOLD:
        engine_check_action(w, i, a);
        return;
    case CORE_ACT_COUNT:
        return;
    }
}

void invariants_after_core(struct world *w, unsigned i, const struct core_event *ev,
                           const struct core_actions *actions)
{
    const struct core *c = &w->agents[i].core;
    struct coverage *seen = w->coverage;
    seen->steps++;
    seen->cells[c->role.state][c->input.local]++;
    seen->verdicts[c->input.verdict]++;
    take_answers(truth_of(w, i), ev);
    check_gap(w, i);
    follow_newest(w, i);
    follow_wish(w, i);
    for (size_t n = 0; n < actions->count; n++) {
        check_action(w, i, &actions->items[n]);
    }
    follow_role(w, i);
}
