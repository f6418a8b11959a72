#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define HOUSEKEEPING_US (500 * MS)
#define TIMER_SLACK_US (2 * MS)

static struct agent *at(struct world *w, unsigned i)
{
    return &w->agents[i];
}

/* ---- messages ---- */

struct agent_msg *agent_msg_new(struct world *w, unsigned i, enum agent_msg_kind kind)
{
    struct agent_msg *m = xcalloc(1, sizeof *m);
    m->kind = kind;
    m->life = at(w, i)->life;
    m->conn = CONN_NONE;
    return m;
}

void agent_msg_free(struct agent_msg *m)
{
    free(m->pod);
    free(m->list);
    free(m);
}

static void handle(struct world *w, unsigned i, struct agent_msg *m);

/* Whatever reaches a stopped process waits for it. */
static void deliver(struct world *w, unsigned i, struct agent_msg *m)
{
    struct agent *g = at(w, i);
    if (!g->running || m->life != g->life) {
        agent_msg_free(m);
        return;
    }
    if (!g->stopped) {
        handle(w, i, m);
        agent_msg_free(m);
        return;
    }
    m->next = NULL;
    if (g->inbox == NULL) {
        g->inbox = m;
    } else {
        g->inbox_tail->next = m;
    }
    g->inbox_tail = m;
}

static void on_msg(struct world *w, struct sim_msg *m)
{
    struct agent_msg *msg = m->data;
    m->data = NULL;
    deliver(w, m->to, msg);
}

void agent_post(struct world *w, unsigned i, uint64_t delay_us, struct agent_msg *m)
{
    struct sim_msg *s = sim_in(w, delay_us, on_msg);
    s->to = i;
    s->data = m;
}

void agent_drop_queued(struct sim_msg *m)
{
    if (m->fn == on_msg) {
        agent_msg_free(m->data);
        m->data = NULL;
    }
}

/* ---- the core ---- */

static void arm_timer(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    uint64_t due_us = u64_since(core_next_deadline(&g->core), g->clock_us);
    due_us = u64_max(due_us, w->now_us + 1) + rng_below(&w->rng, TIMER_SLACK_US);
    if (g->timer_us > w->now_us && g->timer_us <= due_us) {
        return;
    }
    g->timer_us = due_us;
    struct agent_msg *m = agent_msg_new(w, i, AGENT_TIMER);
    m->op = ++g->timer_gen;
    agent_post(w, i, due_us - w->now_us, m);
}

static void defer(struct agent *g, const struct core_event *ev)
{
    REQUIRE(g->deferred_count < ARRAY_LEN(g->deferred));
    g->deferred[g->deferred_count++] = *ev;
}

static void execute(struct world *w, unsigned i, const struct core_action *a)
{
    struct agent *g = at(w, i);
    struct core_event refused = {.op = a->op, .slot = a->slot};
    switch (a->type) {
    case ACT_READ_LOCAL:
        if (!conn_read_local(w, i, a->op, a->info)) {
            refused.type = CORE_LOCAL_ROLE;
            defer(g, &refused);
        }
        return;
    case ACT_KICK_LOCAL:
        if (g->conns[CONN_LOCAL].state == CONN_DOWN) {
            conn_connect(w, i, CONN_LOCAL);
        }
        return;
    case ACT_READ_SENTINEL:
        if (!conn_read_sentinel(w, i, a->slot, a->op)) {
            refused.type = CORE_SENTINEL_VIEW;
            defer(g, &refused);
        }
        return;
    case ACT_PATCH_POD:
    case ACT_GET_POD:
        if (!kube_request(w, i, a)) {
            refused.type = CORE_API_DONE;
            refused.u.api.outcome = API_UNREACHABLE;
            defer(g, &refused);
        }
        return;
    case ACT_ROLE_CHANGED:
        sim_trace(w, "agent-%u: %s -> %s, epoch %llu: %s", i, role_state_name(a->from),
                  role_state_name(a->to), (unsigned long long)a->epoch,
                  role_reason_text(a->reason));
        return;
    case ACT_KUBE_EVENT:
    case ACT_LABEL_ACKED:
    case ACT_GAP:
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
    case CORE_ACT_COUNT:
        return;
    }
}

static void trace_step(const struct world *w, unsigned i, const struct core_event *ev)
{
    const struct core *c = &w->agents[i].core;
    if (w->trace < 2) {
        return;
    }
    sim_trace(w, "agent-%u %s slot %zu op %llu: %s, local %s, verdict %s, newest %s@%llu of %u", i,
              core_event_type_name(ev->type), ev->slot, (unsigned long long)ev->op,
              role_state_name(c->role.state), role_local_name(c->input.local),
              verdict_name(c->input.verdict),
              c->input.newest.known ? c->input.newest.addr.host : "?",
              (unsigned long long)c->input.newest.epoch, c->input.newest.fresh);
}

static void step(struct world *w, unsigned i, struct core_event *ev)
{
    struct agent *g = at(w, i);
    struct core_actions actions;
    ev->now_us = w->now_us + g->clock_us;
    ev->wall_ms = (uint64_t)((int64_t)(w->now_us / 1000) + g->wall_offset_ms);
    core_step(&g->core, ev, &actions);
    trace_step(w, i, ev);
    invariants_after_core(w, i, ev, &actions);
    for (size_t k = 0; k < actions.count; k++) {
        execute(w, i, &actions.items[k]);
    }
}

void agent_feed(struct world *w, unsigned i, struct core_event *ev)
{
    struct agent *g = at(w, i);
    REQUIRE(g->running && !g->stopped && !g->stepping);
    g->stepping = true;
    step(w, i, ev);
    for (size_t k = 0; k < g->deferred_count; k++) {
        struct core_event refused = g->deferred[k];
        step(w, i, &refused);
    }
    g->deferred_count = 0;
    g->stepping = false;
    arm_timer(w, i);
}

static void keep_house(struct world *w, unsigned i)
{
    conn_housekeeping(w, i);
    agent_post(w, i, HOUSEKEEPING_US, agent_msg_new(w, i, AGENT_HOUSEKEEPING));
}

static void handle(struct world *w, unsigned i, struct agent_msg *m)
{
    switch (m->kind) {
    case AGENT_TIMER:
        if (m->op == at(w, i)->timer_gen) {
            at(w, i)->timer_us = 0;
            agent_feed(w, i, &(struct core_event){.type = CORE_TICK});
        }
        return;
    case AGENT_HOUSEKEEPING:
        keep_house(w, i);
        return;
    case AGENT_CONNECTED:
    case AGENT_LOST:
    case AGENT_RECONNECT:
    case AGENT_NO_ANSWER:
    case AGENT_ROLE:
    case AGENT_INFO:
    case AGENT_VIEW:
    case AGENT_MYID:
    case AGENT_NEWS:
    case AGENT_HELLO:
        conn_on_message(w, i, m);
        return;
    case AGENT_API_ANSWER:
    case AGENT_OWN_POD:
    case AGENT_LIST:
    case AGENT_WATCH_EVENT:
    case AGENT_WATCH_LOST:
    case AGENT_WATCH_START:
        kube_on_message(w, i, m);
        return;
    }
}

/* ---- life ---- */

static void init_slots(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    unsigned n = w->cfg.sentinels;
    for (unsigned k = 0; k < n; k++) {
        g->slot_sentinel[k] = (k + i) % n;
    }
    g->slots = n;
    if (w->cfg.dup_slot && n > 0) {
        g->slot_sentinel[g->slots++] = 0;
    }
}

static void init_core(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    struct addr me[2] = {w->addr_ip[i], w->addr_name[i]};
    char name[32];
    (void)snprintf(name, sizeof name, "redis-%u", i);
    struct core_config cfg = {.mode = w->cfg.mode,
                              .sentinel_count = w->cfg.sentinels,
                              .me = me,
                              .me_count = ARRAY_LEN(me),
                              .sentinel_master = SIM_MASTER_NAME,
                              .pod_name = name,
                              .pod_uid = w->cfg.uid_known ? g->uid : "",
                              .labels = true,
                              .role_legacy = w->cfg.legacy,
                              .eager = w->cfg.eager,
                              .seed = rng_next(&w->rng)};
    core_init(&g->core, &cfg, w->now_us + g->clock_us);
}

void agent_start(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    if (g->running) {
        return;
    }
    g->running = true;
    g->stopped = false;
    g->life++;
    g->started_us = g->resumed_us = w->now_us;
    g->clock_us = sim_between(w, 1, 1000) * SECOND;
    g->wall_offset_ms = (int64_t)sim_between(w, 0, 1000) + 1700000000000;
    g->timer_us = 0;
    g->deferred_count = 0;
    memcpy(g->uid, w->api.pods[i].pod.uid, sizeof g->uid);
    g->incarnation = w->api.pods[i].incarnation;
    init_slots(w, i);
    init_core(w, i);
    sim_trace(w, "agent-%u starts", i);
    invariants_agent_started(w, i);
    conn_reset_all(w, i);
    struct core_event slots = {.type = CORE_SENTINELS, .u.sentinel_count = g->slots};
    agent_feed(w, i, &slots);
    kube_start(w, i);
    for (unsigned c = 0; c < 2 + 2 * g->slots; c++) {
        if (c != CONN_HELLO || w->cfg.sentinels > 0) {
            conn_connect(w, i, c);
        }
    }
    agent_post(w, i, HOUSEKEEPING_US, agent_msg_new(w, i, AGENT_HOUSEKEEPING));
}

static void drop_inbox(struct agent *g)
{
    while (g->inbox != NULL) {
        struct agent_msg *next = g->inbox->next;
        agent_msg_free(g->inbox);
        g->inbox = next;
    }
}

void agent_kill(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    if (!g->running) {
        return;
    }
    sim_trace(w, "agent-%u dies", i);
    g->running = g->stopped = false;
    g->life++;
    g->watch = WATCH_IDLE;
    drop_inbox(g);
    conn_reset_all(w, i);
}

void agent_stop(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    if (g->running && !g->stopped) {
        g->stopped = true;
        sim_trace(w, "agent-%u is stopped", i);
    }
}

void agent_continue(struct world *w, unsigned i)
{
    struct agent *g = at(w, i);
    if (!g->running || !g->stopped) {
        return;
    }
    sim_trace(w, "agent-%u goes on", i);
    g->stopped = false;
    g->resumed_us = w->now_us;
    struct agent_msg *m = g->inbox;
    g->inbox = NULL;
    if (sim_chance(w, 500)) {
        agent_feed(w, i, &(struct core_event){.type = CORE_TICK});
    }
    while (m != NULL) {
        struct agent_msg *next = m->next;
        handle(w, i, m);
        agent_msg_free(m);
        m = next;
    }
}
