#include "lib/base/mem.h"
#include "test/sim/sim.h"

/* ---- from the small forms of the models to what codecs would have made of the replies ---- */

static void feed(struct world *w, unsigned i, struct core_event *ev)
{
    struct core_event again = *ev;
    uint64_t life = w->agents[i].life;
    agent_feed(w, i, ev);
    if (w->agents[i].life == life && sim_chance(w, w->cfg.reply_dup)) {
        agent_feed(w, i, &again);
    }
}

static void feed_role(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = m->op};
    ev.u.role.fault = m->u.role.fault;
    ev.u.role.role = m->u.role.fault == RESP_FAULT_NONE ? &m->u.role.role : NULL;
    feed(w, i, &ev);
}

static void feed_info(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct info info;
    struct core_event ev = {.type = CORE_LOCAL_INFO, .op = m->op};
    if (m->ok) {
        redis_snap_to_info(w, &m->u.info, &info);
        ev.u.info = &info;
    }
    feed(w, i, &ev);
}

static void feed_view(struct world *w, unsigned i, const struct agent_msg *m, size_t slot)
{
    const struct sentinel_snap *s = &m->u.view;
    struct core_event ev = {.type = CORE_SENTINEL_VIEW, .op = m->op, .slot = slot};
    struct view v = {.knows_master = s->monitors,
                     .addr = *sim_addr(w, s->addr),
                     .named = *sim_addr(w, s->named),
                     .flags = s->flags,
                     .epoch = s->epoch,
                     .others = s->others,
                     .quorum = w->cfg.quorum};
    sim_hex_id(s->run_id, v.run_id);
    if (m->ok) {
        ev.u.view = &v;
    }
    feed(w, i, &ev);
}

static void feed_id(struct world *w, unsigned i, const struct agent_msg *m, size_t slot)
{
    char id[RUN_ID_LEN + 1];
    sim_hex_id(m->u.id, id);
    agent_feed(w, i, &(struct core_event){.type = CORE_SENTINEL_ID, .slot = slot, .u.id = id});
}

static void feed_news(struct world *w, unsigned i, const struct agent_msg *m, size_t slot)
{
    const struct sentinel_news *n = &m->u.news;
    struct sentinel_event e = {.type = n->type, .epoch = n->epoch};
    bool nameless = n->type == SENTINEL_EVENT_NEW_EPOCH || n->type == SENTINEL_EVENT_VOTE ||
                    n->type == SENTINEL_EVENT_TILT || n->type == SENTINEL_EVENT_NOT_TILT;
    bool about_sentinel =
        n->type == SENTINEL_EVENT_CONFIG_UPDATE || n->type == SENTINEL_EVENT_SENTINEL;
    if (!nameless) {
        memcpy(e.master_name, SIM_MASTER_NAME, sizeof SIM_MASTER_NAME);
        e.master = *sim_addr(w, n->master);
        e.about_sentinel = about_sentinel;
        e.about_master = n->instance == n->master && !about_sentinel;
        if (!about_sentinel) {
            e.instance = *sim_addr(w, n->instance);
        }
    }
    if (n->type == SENTINEL_EVENT_VOTE) {
        sim_id_text(w, n->leader, e.leader_id);
    }
    struct core_event ev = {.type = CORE_SENTINEL_EVENT, .slot = slot, .u.sentinel = &e};
    agent_feed(w, i, &ev);
}

static void feed_hello(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct sentinel_hello h = {.current_epoch = m->u.hello.current_epoch,
                               .master = *sim_addr(w, m->u.hello.master),
                               .master_epoch = m->u.hello.config_epoch,
                               .sentinel = {.port = 26379}};
    (void)snprintf(h.sentinel.host, sizeof h.sentinel.host, "10.0.1.%u", m->u.hello.sentinel);
    memcpy(h.master_name, SIM_MASTER_NAME, sizeof SIM_MASTER_NAME);
    sim_hex_id(m->u.hello.id, h.sentinel_id);
    feed(w, i, &(struct core_event){.type = CORE_HELLO, .u.hello = &h});
}

static void feed_look(struct world *w, unsigned i, const struct agent_msg *m, size_t slot)
{
    struct sentinel_look look;
    struct core_event ev = {.type = CORE_SENTINEL_LOOK, .op = m->op, .slot = slot};
    if (m->ok) {
        sentinel_look_text(w, &m->u.look, &look);
        ev.u.look = &look;
    }
    feed(w, i, &ev);
}

static void feed_member(struct world *w, unsigned i, const struct agent_msg *m, size_t slot)
{
    struct info info;
    struct core_event ev = {.type = CORE_MEMBER_INFO, .op = m->op, .slot = slot};
    if (m->ok) {
        redis_snap_to_info(w, &m->u.info, &info);
        ev.u.info = &info;
    }
    feed(w, i, &ev);
}

static void end_pending(struct conn *c, uint64_t op)
{
    for (size_t k = 0; k < c->pending; k++) {
        if (c->pendings[k].op == op) {
            c->pendings[k] = c->pendings[--c->pending];
            return;
        }
    }
}

/* ---- dispatch ---- */

static void on_answer(struct world *w, unsigned i, const struct agent_msg *m)
{
    struct conn *c = &w->agents[i].conns[m->conn];
    c->op = m->op == c->op ? 0 : c->op;
    if (m->kind == AGENT_ROLE) {
        feed_role(w, i, m);
    } else if (m->kind == AGENT_INFO) {
        feed_info(w, i, m);
    } else if (m->kind == AGENT_VIEW) {
        feed_view(w, i, m, conn_slot(m->conn));
    } else {
        end_pending(c, m->op);
        if (m->kind == AGENT_LOOK) {
            feed_look(w, i, m, conn_slot(m->conn));
        } else if (m->kind == AGENT_MEMBER_INFO) {
            feed_member(w, i, m, conn_slot(m->conn));
        } else {
            struct core_event ev;
            request_end_event(w, m->conn, m->op, &m->u.end, &ev);
            feed(w, i, &ev);
        }
    }
}

void conn_on_message(struct world *w, unsigned i, struct agent_msg *m)
{
    struct conn *c = &w->agents[i].conns[m->conn];
    if (m->conn_gen != c->gen) {
        return;
    }
    size_t slot = m->conn >= CONN_COMMANDS(0) ? conn_slot(m->conn) : 0;
    if (m->kind == AGENT_CONNECTED) {
        conn_on_connected(w, i, m->conn);
    } else if (m->kind == AGENT_LOST) {
        conn_lost(w, i, m->conn, m->u.why);
    } else if (m->kind == AGENT_RECONNECT) {
        conn_connect(w, i, m->conn);
    } else if (m->kind == AGENT_NO_ANSWER) {
        if (m->op == c->op || request_is_pending(c, m->op)) {
            conn_lost(w, i, m->conn, LOCAL_DOWN_SILENT);
        }
    } else if (m->kind == AGENT_MYID) {
        feed_id(w, i, m, slot);
    } else if (m->kind == AGENT_NEWS) {
        feed_news(w, i, m, slot);
    } else if (m->kind == AGENT_HELLO) {
        feed_hello(w, i, m);
    } else {
        on_answer(w, i, m);
    }
}
