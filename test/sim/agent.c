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

static void defer(struct world *w, unsigned i, const struct core_event *ev)
{
    struct agent *g = at(w, i);
    if (g->deferred_count == ARRAY_LEN(g->deferred)) {
        sim_fail(w, "spin", "agent-%u is refused, and asks again at once, and again: %s", i,
                 core_event_type_name(ev->type));
        return;
    }
    g->deferred[g->deferred_count++] = *ev;
}

void agent_defer(struct world *w, unsigned i, const struct core_event *ev)
{
    defer(w, i, ev);
}

static void send(struct world *w, unsigned i, unsigned conn, enum request_kind kind,
                 const struct core_action *a)
{
    struct core_event refused;
    if (!request_send(w, i, conn, kind, a)) {
        request_refused(&refused, a);
        defer(w, i, &refused);
    }
}

static void execute_read(struct world *w, unsigned i, const struct core_action *a)
{
    bool local = a->type == ACT_READ_LOCAL;
    unsigned conn = local ? CONN_LOCAL : CONN_COMMANDS(a->slot);
    struct core_event refused = {.type = local ? CORE_LOCAL_ROLE : CORE_SENTINEL_VIEW,
                                 .op = a->op,
                                 .slot = a->slot};
    if (!request_send(w, i, conn, local ? REQUEST_ROLE : REQUEST_VIEW, a)) {
        defer(w, i, &refused);
    }
}

static void kick(struct world *w, unsigned i, unsigned conn)
{
    if (at(w, i)->conns[conn].state == CONN_DOWN) {
        conn_connect(w, i, conn);
    }
}

static void execute(struct world *w, unsigned i, const struct core_action *a)
{
    struct core_event refused = {.op = a->op, .slot = a->slot};
    switch (a->type) {
    case ACT_READ_LOCAL:
    case ACT_READ_SENTINEL:
        execute_read(w, i, a);
        return;
    case ACT_KICK_LOCAL:
        kick(w, i, CONN_LOCAL);
        return;
    case ACT_LOOK_SENTINEL:
        send(w, i, CONN_COMMANDS(a->slot), REQUEST_LOOK, a);
        return;
    case ACT_VOTE:
        send(w, i, CONN_COMMANDS(a->slot), REQUEST_VOTE, a);
        return;
    case ACT_ANNOUNCE:
        send(w, i, CONN_COMMANDS(a->slot), REQUEST_ANNOUNCE, a);
        return;
    case ACT_FORCE_FAILOVER:
        send(w, i, CONN_COMMANDS(a->slot), REQUEST_FAILOVER, a);
        return;
    case ACT_MEMBER_OPEN:
        conn_open_member(w, i, a->slot, &a->addr);
        return;
    case ACT_MEMBER_CLOSE:
        conn_close_member(w, i, a->slot);
        return;
    case ACT_MEMBER_KICK:
        kick(w, i, CONN_MEMBER(a->slot));
        return;
    case ACT_READ_MEMBER:
        send(w, i, CONN_MEMBER(a->slot), REQUEST_INFO, a);
        return;
    case ACT_ORDER:
        send(w, i, a->slot == MEMBER_LOCAL ? CONN_LOCAL : CONN_MEMBER(a->slot), REQUEST_ORDER, a);
        return;
    case ACT_LAUNCH_ANSWER:
        redis_launch(w, i, a->launch, sim_redis_at(w, &a->addr));
        return;
    case ACT_PATCH_POD:
    case ACT_GET_POD:
        if (!kube_request(w, i, a)) {
            refused.type = CORE_API_DONE;
            refused.u.api.outcome = API_UNREACHABLE;
            defer(w, i, &refused);
        }
        return;
    case ACT_DEMOTE_PEER:
    case ACT_CLEAR_HANDOVER:
        kube_request_other(w, i, a);
        return;
    case ACT_ROLE_CHANGED:
        sim_trace(w, "agent-%u: %s -> %s, epoch %llu: %s", i, role_state_name(a->from),
                  role_state_name(a->to), (unsigned long long)a->epoch,
                  role_reason_text(a->reason));
        return;
    case ACT_DECIDED:
        engine_trace_decided(w, i, a->index);
        return;
    case ACT_DRAIN_TOLD:
        engine_trace_handover(w, i);
        return;
    case ACT_KUBE_EVENT:
    case ACT_LABEL_ACKED:
    case ACT_GAP:
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
    uint64_t life = g->life;
    for (size_t k = 0; k < actions.count && g->life == life; k++) {
        execute(w, i, &actions.items[k]);
        fault_on_action(w, i, &actions.items[k]);
    }
}

void agent_feed(struct world *w, unsigned i, struct core_event *ev)
{
    struct agent *g = at(w, i);
    if (!g->running) {
        return; /* killed in the middle of what it was told */
    }
    REQUIRE(!g->stopped && !g->stepping);
    uint64_t life = g->life;
    g->stepping = true;
    step(w, i, ev);
    for (size_t k = 0; k < g->deferred_count && g->life == life && !w->failed; k++) {
        struct core_event refused = g->deferred[k];
        step(w, i, &refused);
    }
    g->deferred_count = 0;
    g->stepping = false;
    if (g->life == life) {
        arm_timer(w, i);
    }
}

static void keep_house(struct world *w, unsigned i)
{
    uint64_t life = at(w, i)->life;
    conn_housekeeping(w, i);
    if (at(w, i)->life != life) {
        return;
    }
    agent_post(w, i, HOUSEKEEPING_US, agent_msg_new(w, i, AGENT_HOUSEKEEPING));
}

static void take_drain(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct core_event ev = {.type = CORE_DRAIN};
    ev.u.drain.by = m->u.drain.by;
    ev.u.drain.budget_us = m->u.drain.budget_us;
    agent_feed(w, i, &ev);
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
    case AGENT_LOOK:
    case AGENT_MEMBER_INFO:
    case AGENT_DONE:
        conn_on_message(w, i, m);
        return;
    case AGENT_LAUNCH:
        agent_feed(w, i, &(struct core_event){.type = CORE_LAUNCH, .op = m->op});
        return;
    case AGENT_PROCESS_DEAD:
        agent_feed(w, i, &(struct core_event){.type = CORE_PROCESS_DEAD});
        return;
    case AGENT_DRAIN:
        take_drain(w, i, m);
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
                              .on = w->cfg.on,
                              .max_lag_bytes = w->cfg.max_lag,
                              .fence_after_us = w->cfg.fence_after_us,
                              .drain_timeout_us = 20 * SECOND,
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
    if (!g->running) {
        return;
    }
    kube_start(w, i);
    for (unsigned c = 0; c < 2 + 2 * g->slots; c++) {
        if (c != CONN_HELLO || w->cfg.sentinels > 0) {
            conn_connect(w, i, c);
        }
    }
    agent_post(w, i, HOUSEKEEPING_US, agent_msg_new(w, i, AGENT_HOUSEKEEPING));
    if (w->redis[i].launching) {
        agent_ask_launch(w, i);
    } else if (w->cfg.launch && !w->redis[i].alive && sim_chance(w, 500)) {
        agent_tell_dead(w, i);
    }
}

/* ---- what the launch helper and people ask ---- */

void agent_ask_launch(struct world *w, unsigned i)
{
    if (at(w, i)->running) {
        struct agent_msg *m = agent_msg_new(w, i, AGENT_LAUNCH);
        m->op = ++at(w, i)->launch_op;
        agent_post(w, i, sim_between(w, 200, 3000), m);
    }
}

void agent_tell_dead(struct world *w, unsigned i)
{
    if (at(w, i)->running) {
        agent_post(w, i, sim_between(w, 1, 9) * MS, agent_msg_new(w, i, AGENT_PROCESS_DEAD));
    }
}

void agent_drain(struct world *w, unsigned i, enum drain_by by, uint64_t budget_us)
{
    if (at(w, i)->running) {
        struct agent_msg *m = agent_msg_new(w, i, AGENT_DRAIN);
        m->u.drain.by = by;
        m->u.drain.budget_us = budget_us;
        agent_post(w, i, sim_between(w, 100, 3000), m);
    }
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
    g->ended_us = w->now_us;
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
    uint64_t life = g->life;
    if (sim_chance(w, 500)) {
        agent_feed(w, i, &(struct core_event){.type = CORE_TICK});
    }
    while (m != NULL) {
        struct agent_msg *next = m->next;
        if (g->life == life) {
            handle(w, i, m);
        }
        agent_msg_free(m);
        m = next;
    }
}
