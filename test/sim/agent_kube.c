#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define OWN_RETRY_US SECOND
#define WATCH_RETRY_MIN_US (50 * MS)
#define WATCH_RETRY_MAX_US (2 * SECOND)
#define CUT_RETRY_US (100 * MS)

static struct agent *at(struct world *w, unsigned i)
{
    return &w->agents[i];
}

/* ---- requests of the core ---- */

bool kube_request(struct world *w, unsigned i, const struct core_action *a)
{
    struct agent *g = at(w, i);
    struct api_request *r = &g->api_request;
    *r = (struct api_request){.agent = i,
                              .life = g->life,
                              .op = a->op,
                              .patch = a->type == ACT_PATCH_POD,
                              .label = a->label,
                              .legacy = w->cfg.legacy};
    memcpy(r->uid, g->core.label.uid, sizeof r->uid);
    g->api_op = a->op;
    api_send(w, r);
    struct agent_msg *timeout = agent_msg_new(w, i, AGENT_API_ANSWER);
    timeout->op = a->op;
    timeout->u.api.outcome = API_UNREACHABLE;
    agent_post(w, i, API_TIMEOUT_US, timeout);
    return true;
}

/* Another Pod's label, the own annotation: beside the one request about the own label. */
void kube_request_other(struct world *w, unsigned i, const struct core_action *a)
{
    struct agent *g = at(w, i);
    bool demotes = a->type == ACT_DEMOTE_PEER;
    const struct pod *pod = demotes ? &g->core.peers[a->index] : &g->core.label.seen;
    struct api_request r = {.agent = i,
                            .life = g->life,
                            .op = a->op,
                            .demote = demotes,
                            .clear = !demotes,
                            .pod = i,
                            .epoch = a->epoch,
                            .legacy = w->cfg.legacy};
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        r.pod = strcmp(w->api.pods[k].pod.name, pod->name) == 0 ? k : r.pod;
    }
    memcpy(r.uid, pod->uid, sizeof r.uid);
    memcpy(r.rv, pod->resource_version, sizeof r.rv);
    size_t n = 0;
    while (n < PENDING_MAX && g->other_ops[n] != 0) {
        n++;
    }
    REQUIRE(n < PENDING_MAX);
    g->other_ops[n] = a->op;
    api_send(w, &r);
    struct agent_msg *timeout = agent_msg_new(w, i, AGENT_API_ANSWER);
    timeout->op = a->op;
    timeout->u.api.outcome = API_UNREACHABLE;
    agent_post(w, i, API_TIMEOUT_US, timeout);
}

/* True: it ends one of these. */
static bool end_other(struct agent *g, uint64_t op)
{
    for (size_t n = 0; n < PENDING_MAX; n++) {
        if (g->other_ops[n] == op && op != 0) {
            g->other_ops[n] = 0;
            return true;
        }
    }
    return false;
}

static void tell_answer(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct core_event ev = {.type = CORE_API_DONE, .op = m->op};
    ev.u.api.outcome = m->u.api.outcome;
    ev.u.api.pod = m->u.api.outcome == API_OK ? m->pod : NULL;
    ev.u.api.retry_after_us = m->u.api.retry_after_us;
    uint64_t life = at(w, i)->life;
    agent_feed(w, i, &ev);
    if (at(w, i)->life == life && sim_chance(w, w->cfg.reply_dup)) {
        agent_feed(w, i, &ev);
    }
}

static void on_answer(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct agent *g = at(w, i);
    if (end_other(g, m->op)) {
        tell_answer(w, i, m);
        return;
    }
    bool current = m->op == g->api_op;
    if (!current && !sim_chance(w, w->cfg.reply_dup)) {
        return; /* the shell knows that it has given up; at times it does not */
    }
    if (current) {
        g->api_op = 0;
        invariants_answer(w, i, m->op, m->u.api.outcome, m->u.api.retry_after_us);
    }
    tell_answer(w, i, m);
}

/* ---- the own Pod, then the list, then the watch ---- */

/* Whether a GET, LIST or WATCH that is sent now will be answered. */
static bool is_served(struct world *w, unsigned i)
{
    return api_reachable(w, i) && !sim_chance(w, w->api.errors);
}

static uint64_t round_trip(struct world *w, unsigned i)
{
    return 2 * net_delay(w, i, SIM_API_NODE) + rng_below(&w->rng, w->api.slow_us + 1);
}

static void ask_own(struct world *w, unsigned i)
{
    struct agent_msg *m = agent_msg_new(w, i, AGENT_OWN_POD);
    m->ok = is_served(w, i) && w->api.pods[i].exists;
    if (m->ok) {
        m->pod = xmalloc(sizeof *m->pod);
        *m->pod = w->api.pods[i].pod;
    }
    agent_post(w, i, round_trip(w, i), m);
}

static void ask_list(struct world *w, unsigned i)
{
    at(w, i)->watch = WATCH_LISTING;
    struct agent_msg *m = agent_msg_new(w, i, AGENT_LIST);
    m->ok = is_served(w, i);
    m->conn_gen = ++at(w, i)->watch_gen;
    if (m->ok) {
        m->list = xmalloc(sizeof *m->list);
        api_fill_list(w, m->list);
    }
    agent_post(w, i, round_trip(w, i), m);
}

void kube_start(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    g->api_op = 0;
    memset(g->other_ops, 0, sizeof g->other_ops);
    g->watch = WATCH_IDLE;
    g->watch_hung = false;
    ask_own(w, i);
}

static void retry_watch(struct world *w, unsigned i, bool list)
{
    struct agent_msg *m = agent_msg_new(w, i, AGENT_WATCH_START);
    at(w, i)->watch = WATCH_IDLE;
    m->conn_gen = ++at(w, i)->watch_gen;
    m->ok = !list;
    agent_post(w, i, sim_between(w, WATCH_RETRY_MIN_US, WATCH_RETRY_MAX_US), m);
}

static void pump_watch(struct world *w, unsigned i);

static void go_live(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    g->watch = WATCH_LIVE;
    g->watch_hung = false;
    g->watch_live_us = w->now_us;
    g->watch_at_us = 0;
    uint64_t life = g->life;
    agent_feed(w, i, &(struct core_event){.type = CORE_PODS_SYNCED});
    if (g->life == life) {
        pump_watch(w, i);
    }
}

/* One event is on its way at a time: so they keep their order. */
static void pump_watch(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    bool none;
    if (!g->running || g->watch != WATCH_LIVE || g->watch_at_us != 0 || g->watch_hung) {
        return;
    }
    const struct api_change *change = api_change_after(w, g->watch_rv, &none);
    if (none) {
        return;
    }
    struct agent_msg *m =
        agent_msg_new(w, i, change == NULL ? AGENT_WATCH_LOST : AGENT_WATCH_EVENT);
    m->conn_gen = g->watch_gen;
    if (change != NULL) {
        m->u.watch.type = change->type;
        m->u.watch.rv = change->rv;
        m->pod = xmalloc(sizeof *m->pod);
        *m->pod = change->pod;
    } else {
        m->u.watch.compacted = true;
    }
    uint64_t delay_us =
        net_delay(w, SIM_API_NODE, i) + 200 + rng_below(&w->rng, w->api.slow_us / 4 + 1);
    g->watch_at_us = w->now_us + delay_us;
    agent_post(w, i, delay_us, m);
}

void kube_changed(struct world *w)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        pump_watch(w, i);
    }
}

void kube_break_watch(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    if (!g->running || g->watch != WATCH_LIVE) {
        return;
    }
    struct agent_msg *m = agent_msg_new(w, i, AGENT_WATCH_LOST);
    m->conn_gen = g->watch_gen;
    agent_post(w, i, net_delay(w, SIM_API_NODE, i), m);
}

static void on_watch_event(struct world *w, unsigned i, struct agent_msg *m)
{
    struct agent *g = at(w, i);
    if (!net_reaches(w, i, SIM_API_NODE) || g->watch_hung) {
        struct agent_msg *again = agent_msg_new(w, i, AGENT_WATCH_EVENT);
        again->conn_gen = m->conn_gen;
        again->u.watch = m->u.watch;
        again->pod = m->pod;
        m->pod = NULL;
        agent_post(w, i, CUT_RETRY_US, again);
        return;
    }
    g->watch_at_us = 0;
    g->watch_rv = m->u.watch.rv;
    bool gone = m->u.watch.type == WATCH_DELETED;
    struct core_event ev = {.type = gone ? CORE_POD_GONE : CORE_POD, .u.pod = m->pod};
    uint64_t life = g->life;
    if (m->u.watch.type != WATCH_BOOKMARK) {
        agent_feed(w, i, &ev);
        if (g->life == life && sim_chance(w, w->cfg.reply_dup)) {
            agent_feed(w, i, &ev);
        }
    }
    if (g->life == life) {
        pump_watch(w, i);
    }
}

static void on_list(struct world *w, unsigned i, const struct agent_msg *m)
{
    if (!m->ok) {
        retry_watch(w, i, true);
        return;
    }
    uint64_t life = at(w, i)->life;
    agent_feed(w, i, &(struct core_event){.type = CORE_PODS_RESYNC});
    for (size_t k = 0; k < m->list->count && at(w, i)->life == life; k++) {
        agent_feed(w, i, &(struct core_event){.type = CORE_POD, .u.pod = &m->list->pods[k]});
    }
    if (at(w, i)->life == life) {
        at(w, i)->watch_rv = m->list->rv;
        go_live(w, i);
    }
}

static void on_watch_start(struct world *w, unsigned i, bool resume)
{
    bool none;
    if (!is_served(w, i)) {
        retry_watch(w, i, !resume);
    } else if (resume && (api_change_after(w, at(w, i)->watch_rv, &none) != NULL || none)) {
        go_live(w, i);
    } else {
        ask_list(w, i);
    }
}

static void on_own_pod(struct world *w, unsigned i, const struct agent_msg *m)
{
    if (!m->ok) {
        struct agent_msg *again = agent_msg_new(w, i, AGENT_OWN_POD);
        again->conn_gen = 1; /* ask, do not read */
        agent_post(w, i, sim_between(w, OWN_RETRY_US, 2 * OWN_RETRY_US), again);
        return;
    }
    uint64_t life = at(w, i)->life;
    agent_feed(w, i, &(struct core_event){.type = CORE_POD, .u.pod = m->pod});
    if (at(w, i)->life == life) {
        ask_list(w, i);
    }
}

void kube_on_message(struct world *w, unsigned i, struct agent_msg *m)
{
    const struct agent *g = at(w, i);
    if (m->kind == AGENT_API_ANSWER) {
        on_answer(w, i, m);
    } else if (m->kind == AGENT_OWN_POD) {
        if (m->conn_gen == 1) {
            ask_own(w, i);
        } else {
            on_own_pod(w, i, m);
        }
    } else if (m->conn_gen != g->watch_gen) {
        return;
    } else if (m->kind == AGENT_LIST) {
        on_list(w, i, m);
    } else if (m->kind == AGENT_WATCH_EVENT) {
        on_watch_event(w, i, m);
    } else if (m->kind == AGENT_WATCH_LOST) {
        retry_watch(w, i, m->u.watch.compacted);
    } else if (m->kind == AGENT_WATCH_START) {
        on_watch_start(w, i, m->ok);
    }
}
