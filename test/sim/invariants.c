#include "agent/core/probe.h"
#include "test/sim/sim.h"

/* Bounds. Each counts from the time at which nothing hindered any more. */
/* A request without an answer, and the longest wait before the next one. */
#define API_GRACE_US (API_TIMEOUT_US + LABEL_RETRY_MAX_US + SECOND)
#define TWO_MASTERS_US SECOND
#define HELD_BACK_US (4 * SECOND)
#define HELD_EAGER_US (ROLE_EAGER_US + 2 * SECOND)
#define HELD_REGRESSION_US (ROLE_REGRESSION_US + 6 * SECOND)
#define EXPIRED_US (5 * SECOND)
#define KEPT_US (300 * MS)
#define REPLICA_US (3 * SECOND)
#define FENCE_US (2 * SECOND)
#define INTENT_US (3 * SECOND)
#define QUIET_US (6 * SECOND)
#define SLOW_NODE_US (20 * MS)
#define READ_PERIODS_US (1200 * MS)
#define PROBE_PERIOD_US (333 * MS)

static struct agent_truth *truth_of(struct world *w, unsigned i)
{
    return &w->truth.agents[i];
}

void invariants_init(struct world *w)
{
    memset(&w->truth, 0, sizeof w->truth);
}

/* For how long the condition has been true without a break; *since_us keeps the beginning. */
static uint64_t lasting(const struct world *w, uint64_t *since_us, bool condition)
{
    if (!condition) {
        *since_us = 0;
        return 0;
    }
    *since_us = *since_us == 0 ? w->now_us : *since_us;
    return u64_since(w->now_us, *since_us);
}

/* ---- what hinders ---- */

static bool is_awake(const struct world *w, unsigned i)
{
    return w->agents[i].running && !w->agents[i].stopped;
}

static bool is_fast(const struct world *w, unsigned node)
{
    return w->net.extra_us[node] <= SLOW_NODE_US && w->net.loss == 0;
}

static void follow_api(struct world *w, unsigned i)
{
    const struct agent *g = &w->agents[i];
    const struct api *api = &w->api;
    const struct api_pod *p = &api->pods[i];
    bool clean = is_awake(w, i) && api_reachable(w, i) && api->errors == 0 && api->slow_us == 0 &&
                 api->lost == 0 && !api->policy[i] && !p->unselected && is_fast(w, i) &&
                 g->watch == WATCH_LIVE && !g->watch_hung && p->exists &&
                 p->incarnation == g->incarnation;
    struct agent_truth *t = truth_of(w, i);
    if (!clean) {
        t->api_clean_us = w->now_us + API_GRACE_US;
    }
}

static void follow_local(struct world *w, unsigned i)
{
    bool clean = is_awake(w, i) && w->agents[i].conns[CONN_LOCAL].state == CONN_UP &&
                 redis_answers(w, i) && !w->redis[i].busy;
    if (!clean) {
        truth_of(w, i)->local_clean_us = w->now_us;
    }
}

static bool hears(const struct world *w, unsigned i, unsigned k)
{
    const struct agent *g = &w->agents[i];
    unsigned node = sim_sentinel_node(w, k);
    if (!is_awake(w, i) || !sentinel_answers(w, k) || w->sentinels[k].refuses ||
        !net_reaches(w, i, node) || !is_fast(w, i) || !is_fast(w, node)) {
        return false;
    }
    for (unsigned s = 0; s < g->slots; s++) {
        if (g->slot_sentinel[s] == k && g->conns[CONN_COMMANDS(s)].state == CONN_UP &&
            g->conns[CONN_EVENTS(s)].state == CONN_UP) {
            return true;
        }
    }
    return false;
}

/* The Sentinels (bits) that agent i has heard for so long that it has read them. */
static unsigned heard_sentinels(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    unsigned heard = 0;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        if (!hears(w, i, k)) {
            t->sentinel_clean_us[k] = w->now_us;
        } else if (u64_since(w->now_us, t->sentinel_clean_us[k]) > READ_PERIODS_US) {
            heard |= 1U << k;
        }
    }
    return heard;
}

static bool is_majority(const struct world *w, unsigned sentinels)
{
    unsigned n = w->cfg.sentinels;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        struct sentinel_snap s;
        sentinel_snapshot(w, k, &s);
        n = s.others + 1 > n ? (unsigned)s.others + 1 : n;
    }
    return 2 * (unsigned)__builtin_popcount(sentinels) > n;
}

/* ---- one agent ---- */

static void check_held_back(struct world *w, unsigned i, unsigned heard)
{
    struct agent_truth *t = truth_of(w, i);
    const struct role *r = &w->agents[i].core.role;
    uint64_t epoch;
    int named = truth_newest(w, heard, &epoch);
    bool other = is_majority(w, heard) && named >= 0 && named != (int)i &&
                 w->redis[i].upstream < 0 &&
                 u64_since(w->now_us, t->local_clean_us) > READ_PERIODS_US;
    if (!other || named != t->other || epoch != t->other_epoch) {
        t->other_us = 0;
    }
    t->other = named;
    t->other_epoch = epoch;
    uint64_t since_us = lasting(w, &t->other_us, other);
    uint64_t bound_us = HELD_BACK_US;
    if (r->reason == ROLE_WHY_EAGER || epoch < r->epoch) {
        bound_us = HELD_EAGER_US;
        since_us = u64_min(since_us, u64_since(w->now_us, t->role_us));
    }
    if (epoch < r->token) {
        bound_us = HELD_REGRESSION_US;
    }
    if (since_us > bound_us && r->state == ROLE_MASTER) {
        sim_fail(w, "held-back",
                 "agent-%u is master (\"%s\"), but for %llu ms all the Sentinels"
                 " that it hears have named redis-%d",
                 i, role_reason_text(r->reason), (unsigned long long)(since_us / MS), named);
    }
}

static bool has_no_role(enum role_state s)
{
    return s == ROLE_PENDING || s == ROLE_DRAINING || s == ROLE_FENCED || s == ROLE_UNSET;
}

static void check_expired(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    enum role_state state = w->agents[i].core.role.state;
    bool mute = is_awake(w, i) && !redis_answers(w, i);
    uint64_t mute_us = lasting(w, &t->mute_us, mute);
    if (mute_us > EXPIRED_US && !has_no_role(state)) {
        sim_fail(w, "answer-expired", "redis-%u has not answered for %llu ms, and its role is %s",
                 i, (unsigned long long)(mute_us / MS), role_state_name(state));
    }
}

static void check_kept(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct core *c = &w->agents[i].core;
    const struct redis *r = &w->redis[i];
    char id[RUN_ID_LEN + 1];
    bool kept = is_awake(w, i) && c->role.state == ROLE_MASTER && c->role.holding && r->alive &&
                c->local.run_id[0] != '\0';
    if (kept) {
        sim_hex_id(r->run_id, id);
        bool before = c->role.reason == ROLE_WHY_ADOPTED
                          ? t->run_id_before[0] != '\0' && strcmp(t->run_id_before, id) != 0
                          : t->proven_us < r->started_us;
        kept = before && strcmp(c->local.run_id, id) == 0;
    }
    if (lasting(w, &t->kept_us, kept) > KEPT_US) {
        sim_fail(w, "kept-over-restart",
                 "redis-%u is a new process, and agent-%u keeps calling"
                 " it master without proof (\"%s\")",
                 i, i, role_reason_text(c->role.reason));
    }
}

static void check_replica(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct core *c = &w->agents[i].core;
    const struct redis *r = &w->redis[i];
    bool in_sync = is_awake(w, i) && redis_answers(w, i) && !r->busy && !redis_loading(w, i) &&
                   r->upstream >= 0 && r->link == REPL_LINK_CONNECTED && r->synced &&
                   u64_since(w->now_us, t->local_clean_us) > READ_PERIODS_US;
    bool excused = c->input.fenced || c->input.terminating;
    if (lasting(w, &t->replica_us, in_sync && !excused) > REPLICA_US &&
        c->role.state != ROLE_REPLICA) {
        sim_fail(w, "replica-held-back", "redis-%u is a replica in sync, and agent-%u says %s", i,
                 i, role_state_name(c->role.state));
    }
}

static void check_fence(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    bool fence = w->api.pods[i].pod.fence;
    if (fence != t->fence || !is_awake(w, i) || w->now_us < t->api_clean_us) {
        t->fence = fence;
        t->fence_us = w->now_us;
        return;
    }
    const struct role *r = &w->agents[i].core.role;
    enum role_state state = r->state;
    /* A master hands over before it is fenced; one that is cut off fences itself. */
    bool hands_over = fence && w->cfg.on.hand_over && w->agents[i].core.handover.running;
    t->fence_us = hands_over ? w->now_us : t->fence_us;
    bool by_itself = !fence && w->cfg.on.fence && r->reason == ROLE_WHY_ISOLATED;
    if (u64_since(w->now_us, t->fence_us) > FENCE_US && (state == ROLE_FENCED) != fence &&
        !hands_over && !by_itself) {
        sim_fail(w, "fence", "the fence of redis-%u is %s, and its role is %s", i,
                 fence ? "set" : "lifted", role_state_name(state));
    }
}

static bool probe(const struct world *w, unsigned i, enum probe p)
{
    const struct agent *g = &w->agents[i];
    struct probe_answer answer;
    probe_answer(&g->core, p, PROBE_NO_LIMIT, w->now_us + g->clock_us, &answer);
    return answer.ok;
}

/* An answer about a role lives as long as the proof of ROLE, and depends on nothing else:
 * neither on Sentinels nor on the API server. */
static void check_probes(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    enum role_state state = w->agents[i].core.role.state;
    bool ready = probe(w, i, PROBE_READY);
    bool mute = t->mute_us != 0 && u64_since(w->now_us, t->mute_us) > ROLE_PROOF_US;
    bool speaks = u64_since(w->now_us, t->local_clean_us) > READ_PERIODS_US && !redis_loading(w, i);
    bool right = state == ROLE_MASTER || state == ROLE_REPLICA || state == ROLE_DEMOTED;
    if (mute && (ready || probe(w, i, PROBE_HEALTH))) {
        sim_fail(w, "probes",
                 "redis-%u has not answered for 3 s, and agent-%u says that it is well", i, i);
    }
    if ((ready && !right) || (speaks && right && !ready)) {
        sim_fail(w, "probes", "agent-%u is %s, its Redis answers, and /readyz says %s", i,
                 role_state_name(state), ready ? "ready" : "not ready");
    }
    if (probe(w, i, PROBE_MASTER) != (ready && state == ROLE_MASTER)) {
        sim_fail(w, "probes", "agent-%u is %s, and /master does not say so", i,
                 role_state_name(state));
    }
}

static bool is_stored(const struct world *w, unsigned i)
{
    const struct label_value *v = &w->agents[i].core.label.want;
    const struct pod *p = &w->api.pods[i].pod;
    bool run_id = v->role == ROLE_PENDING || strcmp(p->run_id, v->run_id) == 0;
    return w->api.pods[i].stored == v->role && p->role_epoch == v->epoch && run_id &&
           (!w->cfg.legacy || strcmp(p->role, p->role_legacy) == 0);
}

static void check_intent(struct world *w, unsigned i)
{
    struct agent_truth *t = truth_of(w, i);
    const struct core *c = &w->agents[i].core;
    bool can = w->now_us >= t->api_clean_us;
    if (lasting(w, &t->foreign_us, can && c->label.foreign) > INTENT_US) {
        sim_fail(w, "intent-lost", "agent-%u takes its own Pod for another's", i);
    }
    bool unwanted =
        c->role.state != ROLE_UNSET && c->label.wanted && c->label.want.role != c->role.state;
    if (unwanted) {
        sim_fail(w, "intent-lost", "agent-%u is %s and wants the label %s", i,
                 role_state_name(c->role.state), role_state_name(c->label.want.role));
    }
    bool differs =
        can && c->role.state != ROLE_UNSET && !is_stored(w, i) && t->desync_role == c->role.state;
    t->desync_role = c->role.state;
    if (lasting(w, &t->desync_us, differs) > INTENT_US) {
        sim_fail(w, "intent-lost",
                 "agent-%u is %s (epoch %llu), and for 3 s its label has been"
                 " \"%s\" (epoch %llu) though the API works",
                 i, role_state_name(c->role.state), (unsigned long long)c->label.want.epoch,
                 w->api.pods[i].pod.role, (unsigned long long)w->api.pods[i].pod.role_epoch);
    }
}

static void check_agent(struct world *w, unsigned i)
{
    follow_api(w, i);
    follow_local(w, i);
    unsigned heard = heard_sentinels(w, i);
    if (!is_awake(w, i)) {
        struct agent_truth *t = truth_of(w, i);
        t->other_us = t->mute_us = t->kept_us = t->replica_us = t->desync_us = t->foreign_us = 0;
        return;
    }
    check_held_back(w, i, heard);
    check_expired(w, i);
    check_kept(w, i);
    check_replica(w, i);
    check_fence(w, i);
    check_intent(w, i);
    if (w->now_us >= truth_of(w, i)->probe_us) {
        truth_of(w, i)->probe_us = w->now_us + PROBE_PERIOD_US;
        check_probes(w, i);
    }
}

/* ---- two masters ---- */

/* Whether agent i can tell which of two labels of one epoch a majority names: the views that
 * it hears decide. */
static bool can_tell(const struct world *w, unsigned i)
{
    unsigned heard = 0;
    uint64_t epoch;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        heard |= hears(w, i, k) ? 1U << k : 0;
    }
    return is_majority(w, heard) && truth_newest(w, heard, &epoch) >= 0;
}

/* Both agents live and see the API. Two labels of one epoch (forced failovers on both sides of
 * a cut) can be told apart only by whom a majority names. */
static bool is_excused(const struct world *w, unsigned i, unsigned j)
{
    const struct agent_truth *a = &w->truth.agents[i];
    const struct agent_truth *b = &w->truth.agents[j];
    if (w->now_us < a->api_clean_us || w->now_us < b->api_clean_us) {
        return true;
    }
    bool tie = w->api.pods[i].pod.role_epoch == w->api.pods[j].pod.role_epoch;
    return tie && !(can_tell(w, i) && can_tell(w, j));
}

static bool is_live_master(const struct world *w, unsigned i)
{
    return w->api.pods[i].stored == ROLE_MASTER && redis_acks_writes(w, i);
}

static void check_two_masters(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        bool first = is_live_master(w, i);
        for (unsigned j = i + 1; j < w->cfg.pods; j++) {
            bool both = first && is_live_master(w, j) && !is_excused(w, i, j);
            if (lasting(w, &w->truth.dual_us[i][j], both) <= TWO_MASTERS_US) {
                continue;
            }
            sim_fail(w, "two-masters",
                     "redis-%u (epoch %llu) and redis-%u (epoch %llu) are both"
                     " labelled master and writable for more than 1 s",
                     i, (unsigned long long)w->api.pods[i].pod.role_epoch, j,
                     (unsigned long long)w->api.pods[j].pod.role_epoch);
        }
    }
}

/* ---- the end ---- */

/* Whom all Sentinels name, who is master indeed; -1 nobody. */
static int settled_master(const struct world *w)
{
    const struct sentinel_model *first = &w->sentinels[0];
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        if (!sentinel_answers(w, k) || !s->monitors || s->failover != FAILOVER_NONE || s->o_down ||
            s->master != first->master || s->config_epoch != first->config_epoch) {
            return -1;
        }
    }
    return redis_acks_writes(w, (unsigned)first->master) ? first->master : -1;
}

static bool is_settled(const struct world *w)
{
    if (!w->calm || w->cfg.sentinels == 0) {
        return w->calm;
    }
    int master = settled_master(w);
    for (unsigned i = 0; i < w->cfg.pods && master >= 0; i++) {
        if (!w->api.pods[i].exists ||
            ((int)i != master && w->redis[i].link != REPL_LINK_CONNECTED)) {
            return false;
        }
    }
    return master >= 0;
}

static void follow_calm(struct world *w)
{
    (void)lasting(w, &w->truth.settled_us, is_settled(w));
}

void invariants_step(struct world *w)
{
    truth_note_sentinels(w);
    if (w->cfg.sentinels > 0) {
        engine_truth_step(w);
    }
    for (unsigned i = 0; i < w->cfg.pods && !w->failed; i++) {
        check_agent(w, i);
    }
    if (w->cfg.sentinels > 0) {
        check_two_masters(w);
    }
    follow_calm(w);
}

/* A link may be down for a minute before its replica loses the label. */
static bool is_tolerated(const struct world *w, unsigned i)
{
    const struct redis *r = &w->redis[i];
    return w->cfg.sentinels == 0 && r->upstream >= 0 && r->link != REPL_LINK_CONNECTED &&
           w->api.pods[i].stored == ROLE_REPLICA && r->synced;
}

static enum role_state expected_label(const struct world *w, unsigned i)
{
    if (w->cfg.sentinels > 0) {
        return settled_master(w) == (int)i ? ROLE_MASTER : ROLE_REPLICA;
    }
    if (w->redis[i].upstream < 0) {
        return ROLE_MASTER;
    }
    return w->redis[i].link == REPL_LINK_CONNECTED ? ROLE_REPLICA : ROLE_PENDING;
}

void invariants_final(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.pods && !w->failed; i++) {
        const struct agent_truth *t = &w->truth.agents[i];
        enum role_state expected = expected_label(w, i);
        if (w->api.pods[i].stored != expected && !is_tolerated(w, i)) {
            sim_fail(w, "settle", "all is well again, and redis-%u is labelled \"%s\", not %s", i,
                     w->api.pods[i].pod.role, role_state_name(expected));
        }
        uint64_t last_us = t->requests > 0 ? t->request_us[(t->requests - 1) % TRUTH_REQUESTS] : 0;
        if (u64_since(w->now_us, last_us) < QUIET_US) {
            sim_fail(w, "settle", "all has been well for long, and agent-%u still writes", i);
        }
    }
    if (!w->failed) {
        engine_truth_final(w);
    }
}
