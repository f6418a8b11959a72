#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define WAIT_US (5 * MS)       /* between two looks at a peer that is frozen or out of reach */
#define ORPHAN_US (5 * SECOND) /* what nobody waits for any more may still arrive for so long */

struct orphans {
    struct request *head;
    uint64_t until_us;
};

/* ---- the peer ---- */

static unsigned peer_node(const struct world *w, const struct request *r)
{
    return r->redis >= 0 ? (unsigned)r->redis : sim_sentinel_node(w, (unsigned)r->sentinel);
}

static bool peer_is_same(const struct world *w, const struct request *r)
{
    if (r->redis >= 0) {
        return w->redis[r->redis].alive && w->redis[r->redis].gen == r->peer_gen;
    }
    return w->sentinels[r->sentinel].alive && w->sentinels[r->sentinel].life == r->peer_gen;
}

static bool peer_answers(const struct world *w, const struct request *r)
{
    return r->redis >= 0 ? redis_answers(w, (unsigned)r->redis)
                         : sentinel_answers(w, (unsigned)r->sentinel);
}

static bool is_wanted(const struct world *w, const struct request *r)
{
    const struct conn *c = &w->agents[r->agent].conns[r->conn];
    return c->gen == r->conn_gen && c->state == CONN_UP;
}

static void answer(struct world *w, const struct request *r, struct agent_msg *m, unsigned times)
{
    m->op = r->act.op;
    conn_post(w, r->agent, r->conn, times * net_delay(w, r->agent, peer_node(w, r)), m);
}

/* ---- reads ---- */

static void answer_role(struct world *w, const struct request *r)
{
    unsigned i = r->agent;
    struct agent_msg *m = agent_msg_new(w, i, AGENT_ROLE);
    bool busy = w->redis[i].busy;
    bool loading = redis_loading(w, i);
    if (busy || (loading && w->cfg.loading_error)) {
        m->u.role.fault = busy ? RESP_FAULT_BUSY : RESP_FAULT_LOADING;
    } else {
        redis_role_reply(w, i, &m->u.role.role);
    }
    answer(w, r, m, 1);
    if (!r->info) {
        return;
    }
    m = agent_msg_new(w, i, AGENT_INFO);
    m->ok = !busy;
    redis_snapshot(w, i, &m->u.info);
    answer(w, r, m, 2);
}

static void answer_read(struct world *w, const struct request *r)
{
    if (!is_wanted(w, r)) {
        return;
    }
    if (r->kind == REQUEST_ROLE) {
        answer_role(w, r);
    } else if (r->kind == REQUEST_VIEW) {
        struct agent_msg *m = agent_msg_new(w, r->agent, AGENT_VIEW);
        m->ok = !w->sentinels[r->sentinel].refuses;
        sentinel_snapshot(w, (unsigned)r->sentinel, &m->u.view);
        answer(w, r, m, 1);
    } else if (r->kind == REQUEST_LOOK) {
        struct agent_msg *m = agent_msg_new(w, r->agent, AGENT_LOOK);
        m->ok = sentinel_look(w, (unsigned)r->sentinel, &m->u.look);
        answer(w, r, m, 1);
    } else {
        struct agent_msg *m = agent_msg_new(w, r->agent, AGENT_MEMBER_INFO);
        m->ok = !w->redis[r->redis].busy;
        redis_snapshot(w, (unsigned)r->redis, &m->u.info);
        answer(w, r, m, 1);
    }
}

/* ---- what changes something ---- */

static enum outcome obey(struct world *w, const struct request *r, struct request_end *end)
{
    unsigned i = (unsigned)r->redis;
    const struct core_action *a = &r->act;
    if (w->redis[i].busy) {
        return OUTCOME_REFUSED;
    }
    bool of_role =
        a->order == ORDER_FOLLOW || a->order == ORDER_PROMOTE || a->order == ORDER_FAILOVER;
    if (of_role && redis_loading(w, i)) {
        return OUTCOME_REFUSED;
    }
    engine_before_order(w, r);
    switch (a->order) {
    case ORDER_PAUSE:
        redis_pause(w, i, a->value * MS);
        break;
    case ORDER_UNPAUSE:
        redis_unpause(w, i);
        break;
    case ORDER_FOLLOW:
        redis_follow(w, i, sim_redis_at(w, &a->addr));
        break;
    case ORDER_PROMOTE:
        redis_promote(w, i);
        end->is_master = true;
        break;
    case ORDER_KILL_NORMAL:
        redis_kill_normal(w, i, r->agent);
        break;
    case ORDER_REWRITE:
        redis_rewrite(w, i);
        break;
    case ORDER_GET_FENCE:
        end->min_replicas = w->redis[i].min_replicas;
        break;
    case ORDER_SET_FENCE:
        redis_set_min_replicas(w, i, a->value);
        break;
    case ORDER_FAILOVER:
        if (w->redis[i].upstream >= 0 || sim_redis_at(w, &a->addr) == SIM_NOWHERE) {
            return OUTCOME_REFUSED;
        }
        redis_failover(w, i, (unsigned)sim_redis_at(w, &a->addr), a->value * MS);
        break;
    case ORDER_COUNT:
        break;
    }
    return OUTCOME_OK;
}

static enum outcome act_on_sentinel(struct world *w, const struct request *r,
                                    struct request_end *end)
{
    unsigned k = (unsigned)r->sentinel;
    if (w->sentinels[k].denies) {
        return OUTCOME_DENIED;
    }
    if (r->kind == REQUEST_FAILOVER) {
        return sentinel_force_failover(w, k) ? OUTCOME_OK : OUTCOME_REFUSED;
    }
    if (r->kind == REQUEST_ANNOUNCE) {
        engine_on_announced(w, r);
        sentinel_take_announcement(w, k, &r->act);
        return OUTCOME_OK;
    }
    end->down = sentinel_answer_vote(w, k, &r->act.addr, r->act.epoch, sim_intern(w, r->act.id),
                                     &end->leader, &end->leader_epoch);
    return OUTCOME_OK;
}

static void execute(struct world *w, const struct request *r)
{
    struct request_end end = {.kind = r->kind};
    switch (r->kind) {
    case REQUEST_ROLE:
    case REQUEST_VIEW:
    case REQUEST_LOOK:
    case REQUEST_INFO:
        answer_read(w, r);
        return;
    case REQUEST_VOTE:
    case REQUEST_ANNOUNCE:
    case REQUEST_FAILOVER:
        end.outcome = act_on_sentinel(w, r, &end);
        break;
    case REQUEST_ORDER:
        end.outcome = obey(w, r, &end);
        break;
    }
    if (is_wanted(w, r)) {
        struct agent_msg *m = agent_msg_new(w, r->agent, AGENT_DONE);
        m->u.end = end;
        answer(w, r, m, 1);
    }
}

/* ---- on the wire ---- */

static void on_out(struct world *w, struct sim_msg *m);

static void pump_in(struct world *w, unsigned i, unsigned conn, uint64_t in_us)
{
    struct conn *c = &w->agents[i].conns[conn];
    c->out_pumping = true;
    struct sim_msg *m = sim_in(w, in_us, on_out);
    m->to = i;
    m->from = conn;
    m->gen = c->gen;
}

/* True: it is over with this one. */
static bool deliver(struct world *w, struct request *r)
{
    if (!peer_is_same(w, r)) {
        return true;
    }
    if (!r->arrived && !net_reaches(w, r->agent, peer_node(w, r))) {
        return false;
    }
    r->arrived = true;
    if (!peer_answers(w, r)) {
        return false;
    }
    execute(w, r);
    return true;
}

static void on_out(struct world *w, struct sim_msg *m)
{
    struct conn *c = &w->agents[m->to].conns[m->from];
    if (m->gen != c->gen) {
        return;
    }
    c->out_pumping = false;
    while (c->out != NULL && c->out->at_us <= w->now_us) {
        struct request *r = c->out;
        if (!deliver(w, r)) {
            pump_in(w, m->to, m->from, WAIT_US);
            return;
        }
        c->out = r->next;
        c->out_tail = c->out == NULL ? NULL : c->out_tail;
        free(r);
        if (m->gen != c->gen) {
            return;
        }
    }
    if (c->out != NULL && !c->out_pumping) {
        pump_in(w, m->to, m->from, u64_since(c->out->at_us, w->now_us));
    }
}

static void on_orphans(struct world *w, struct sim_msg *m)
{
    struct orphans *o = m->data;
    m->data = NULL;
    while (o->head != NULL) {
        struct request *r = o->head;
        bool wait = r->at_us > w->now_us;
        if ((wait || !deliver(w, r)) && w->now_us < o->until_us) {
            sim_in(w, wait ? u64_since(r->at_us, w->now_us) : WAIT_US, on_orphans)->data = o;
            return;
        }
        o->head = r->next;
        free(r);
    }
    free(o);
}

void request_free_orphan(struct sim_msg *m)
{
    if (m->fn != on_orphans) {
        return;
    }
    struct orphans *o = m->data;
    while (o->head != NULL) {
        struct request *next = o->head->next;
        free(o->head);
        o->head = next;
    }
}

void request_free_all(struct conn *c)
{
    while (c->out != NULL) {
        struct request *next = c->out->next;
        free(c->out);
        c->out = next;
    }
    c->out_tail = NULL;
    c->out_pumping = false;
}

bool request_send(struct world *w, unsigned i, unsigned conn, enum request_kind kind,
                  const struct core_action *act)
{
    struct agent *g = &w->agents[i];
    struct conn *c = &g->conns[conn];
    bool read = kind == REQUEST_ROLE || kind == REQUEST_VIEW;
    if (c->state != CONN_UP || c->pending == PENDING_MAX) {
        return false;
    }
    struct request *r = xcalloc(1, sizeof *r);
    bool sentinel = conn_is_sentinel(conn);
    r->kind = kind;
    r->agent = i;
    r->conn = conn;
    r->conn_gen = c->gen;
    r->redis = sentinel ? -1 : conn_redis(w, i, conn);
    r->sentinel = sentinel ? (int)g->slot_sentinel[conn_slot(conn)] : -1;
    r->peer_gen = sentinel ? w->sentinels[r->sentinel].life : w->redis[r->redis].gen;
    r->info = act->info;
    r->act = *act;
    engine_said(w, i, &r->said);
    r->at_us = w->now_us + net_delay(w, i, conn_peer_node(w, i, conn));
    if (c->out_tail != NULL) {
        r->at_us = u64_max(r->at_us, c->out_tail->at_us);
        c->out_tail->next = r;
    } else {
        c->out = r;
    }
    c->out_tail = r;
    if (!c->out_pumping) {
        pump_in(w, i, conn, u64_since(r->at_us, w->now_us));
    }
    if (read) {
        c->op = act->op;
    } else {
        c->pendings[c->pending].op = act->op;
        c->pendings[c->pending++].kind = kind;
    }
    struct agent_msg *timeout = agent_msg_new(w, i, AGENT_NO_ANSWER);
    timeout->op = act->op;
    timeout->conn = conn;
    timeout->conn_gen = c->gen;
    agent_post(w, i, conn_timeout(conn), timeout);
    return true;
}

/* ---- how they end ---- */

bool request_is_pending(const struct conn *c, uint64_t op)
{
    for (size_t k = 0; k < c->pending; k++) {
        if (c->pendings[k].op == op) {
            return true;
        }
    }
    return false;
}

void request_abandon(struct world *w, struct conn *c, struct request_ends *ret)
{
    ret->count = c->pending;
    for (size_t k = 0; k < c->pending; k++) {
        ret->at[k].op = c->pendings[k].op;
        ret->at[k].kind = c->pendings[k].kind;
    }
    c->pending = 0;
    /* What has left may arrive all the same: the kernel keeps trying. */
    if (c->out != NULL && sim_chance(w, 700)) {
        struct orphans *o = xcalloc(1, sizeof *o);
        o->head = c->out;
        o->until_us = w->now_us + sim_between(w, 0, ORPHAN_US);
        sim_in(w, 1, on_orphans)->data = o;
        c->out = c->out_tail = NULL;
    }
    request_free_all(c);
}

void request_refused(struct core_event *ret, const struct core_action *act)
{
    *ret = (struct core_event){.op = act->op};
    ret->slot = act->type == ACT_ORDER ? 0 : act->slot;
    if (act->type == ACT_ORDER) {
        ret->type = CORE_ORDER_DONE;
        ret->u.order.outcome = OUTCOME_NOT_SENT;
    } else if (act->type == ACT_VOTE) {
        ret->type = CORE_SENTINEL_VOTE;
        ret->u.vote.outcome = OUTCOME_NOT_SENT;
    } else if (act->type == ACT_LOOK_SENTINEL) {
        ret->type = CORE_SENTINEL_LOOK;
    } else if (act->type == ACT_READ_MEMBER) {
        ret->type = CORE_MEMBER_INFO;
    } else {
        ret->type = CORE_SENTINEL_DONE;
        ret->u.outcome = OUTCOME_NOT_SENT;
    }
}

void request_end_event(struct world *w, unsigned conn, uint64_t op, const struct request_end *end,
                       struct core_event *ret)
{
    *ret = (struct core_event){.op = op, .slot = conn >= CONN_COMMANDS(0) ? conn_slot(conn) : 0};
    switch (end->kind) {
    case REQUEST_ROLE:
        ret->type = CORE_LOCAL_ROLE;
        return;
    case REQUEST_VIEW:
        ret->type = CORE_SENTINEL_VIEW;
        return;
    case REQUEST_LOOK:
        ret->type = CORE_SENTINEL_LOOK;
        return;
    case REQUEST_INFO:
        ret->type = CORE_MEMBER_INFO;
        return;
    case REQUEST_VOTE:
        ret->type = CORE_SENTINEL_VOTE;
        ret->u.vote.outcome = end->outcome;
        ret->u.vote.vote.down = end->down;
        ret->u.vote.vote.epoch = end->leader_epoch;
        sim_id_text(w, end->leader, ret->u.vote.vote.leader_id);
        return;
    case REQUEST_ANNOUNCE:
    case REQUEST_FAILOVER:
        ret->type = CORE_SENTINEL_DONE;
        ret->u.outcome = end->outcome;
        return;
    case REQUEST_ORDER:
        ret->type = CORE_ORDER_DONE;
        ret->slot = 0;
        ret->u.order.outcome = end->outcome;
        ret->u.order.is_master = end->is_master;
        ret->u.order.min_replicas = end->min_replicas;
        ret->u.order.max_lag_s = 10;
        return;
    }
}

void request_tell_ended(struct world *w, unsigned i, unsigned conn, const struct request_ends *ends,
                        bool defer)
{
    uint64_t life = w->agents[i].life;
    for (size_t k = 0; k < ends->count && w->agents[i].life == life; k++) {
        struct request_end end = {.kind = ends->at[k].kind, .outcome = OUTCOME_UNKNOWN};
        struct core_event ev;
        request_end_event(w, conn, ends->at[k].op, &end, &ev);
        if (defer) {
            agent_defer(w, i, &ev);
        } else {
            agent_feed(w, i, &ev);
        }
    }
}
