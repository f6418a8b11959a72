#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define CONNECT_TIMEOUT_US SECOND
#define LOCAL_TIMEOUT_US (2 * SECOND)
#define SENTINEL_TIMEOUT_US (1500 * MS)
#define SILENT_LIMIT_US (2500 * MS) /* until our own PING has found out */
#define RETRY_MIN_US (10 * MS)
#define RETRY_MAX_US SECOND
#define WAIT_US (20 * MS) /* for a peer that is frozen or out of reach */

static struct conn *conn_at(struct world *w, unsigned i, unsigned conn)
{
    return &w->agents[i].conns[conn];
}

bool conn_is_sentinel(unsigned conn)
{
    return conn >= CONN_COMMANDS(0) && conn < CONN_MEMBER(0);
}

static bool is_member(unsigned conn)
{
    return conn >= CONN_MEMBER(0);
}

static bool is_commands(unsigned conn)
{
    return conn == CONN_LOCAL || is_member(conn) || (conn_is_sentinel(conn) && conn % 2 == 0);
}

size_t conn_slot(unsigned conn)
{
    return is_member(conn) ? conn - CONN_MEMBER(0) : (conn - CONN_COMMANDS(0)) / 2;
}

static unsigned sentinel_of(const struct world *w, unsigned i, unsigned conn)
{
    return w->agents[i].slot_sentinel[conn_slot(conn)];
}

int conn_redis(const struct world *w, unsigned i, unsigned conn)
{
    return is_member(conn) ? w->agents[i].member_redis[conn_slot(conn)] : (int)i;
}

uint64_t conn_timeout(unsigned conn)
{
    return conn == CONN_LOCAL ? LOCAL_TIMEOUT_US : SENTINEL_TIMEOUT_US;
}

unsigned conn_peer_node(const struct world *w, unsigned i, unsigned conn)
{
    if (conn_is_sentinel(conn)) {
        return sim_sentinel_node(w, sentinel_of(w, i, conn));
    }
    int redis = conn_redis(w, i, conn);
    return redis >= 0 ? (unsigned)redis : i;
}

static bool peer_alive(const struct world *w, unsigned i, unsigned conn)
{
    if (conn_is_sentinel(conn)) {
        return w->sentinels[sentinel_of(w, i, conn)].alive;
    }
    int redis = conn_redis(w, i, conn);
    return redis >= 0 && w->redis[redis].alive;
}

bool conn_peer_answers(const struct world *w, unsigned i, unsigned conn)
{
    if (!net_reaches(w, i, conn_peer_node(w, i, conn))) {
        return false;
    }
    if (conn_is_sentinel(conn)) {
        return sentinel_answers(w, sentinel_of(w, i, conn));
    }
    int redis = conn_redis(w, i, conn);
    return redis >= 0 && redis_answers(w, (unsigned)redis);
}

/* ---- what is on its way ---- */

static void flush(struct conn *c)
{
    while (c->head != NULL) {
        struct agent_msg *next = c->head->next;
        agent_msg_free(c->head);
        c->head = next;
    }
    c->tail = NULL;
}

static void on_pump(struct world *w, struct sim_msg *m)
{
    struct conn *c = conn_at(w, m->to, m->from);
    if (m->gen != c->gen) {
        return;
    }
    bool cut = !net_reaches(w, m->to, conn_peer_node(w, m->to, m->from));
    uint64_t wait_us = WAIT_US;
    if (!cut) {
        struct agent_msg *msg = c->head;
        c->head = msg->next;
        agent_post(w, m->to, 0, msg);
        if (c->head == NULL) {
            c->tail = NULL;
            c->pumping = false;
            return;
        }
        wait_us = u64_since(c->head->at_us, w->now_us);
    }
    struct sim_msg *next = sim_in(w, wait_us, on_pump);
    next->to = m->to;
    next->from = m->from;
    next->gen = m->gen;
}

void conn_post(struct world *w, unsigned i, unsigned conn, uint64_t delay_us, struct agent_msg *m)
{
    struct conn *c = conn_at(w, i, conn);
    m->conn = conn;
    m->conn_gen = c->gen;
    m->next = NULL;
    m->at_us = w->now_us + delay_us;
    if (c->tail != NULL) {
        m->at_us = u64_max(m->at_us, c->tail->at_us);
        c->tail->next = m;
    } else {
        c->head = m;
    }
    c->tail = m;
    if (!c->pumping) {
        c->pumping = true;
        struct sim_msg *pump = sim_at(w, m->at_us, on_pump);
        pump->to = i;
        pump->from = conn;
        pump->gen = c->gen;
    }
}

/* Belongs to the connection, but does not wait for its turn. */
static void post_beside(struct world *w, unsigned i, unsigned conn, uint64_t delay_us,
                        struct agent_msg *m)
{
    m->conn = conn;
    m->conn_gen = conn_at(w, i, conn)->gen;
    agent_post(w, i, delay_us, m);
}

/* ---- connecting and losing ---- */

static void renew(struct world *w, struct conn *c, enum conn_state state, struct request_ends *ends)
{
    request_abandon(w, c, ends);
    flush(c);
    c->gen++;
    c->state = state;
    c->silent_us = 0;
    c->op = 0;
    c->pumping = false;
}

void conn_reset_all(struct world *w, unsigned i)
{
    struct request_ends ends; /* its process has ended: nobody is told */
    for (unsigned c = 0; c < CONN_COUNT; c++) {
        renew(w, conn_at(w, i, c), CONN_DOWN, &ends);
        conn_at(w, i, c)->tries = 0;
    }
    memset(w->agents[i].member_open, 0, sizeof w->agents[i].member_open);
}

static void post_lost(struct world *w, unsigned i, unsigned conn, uint64_t delay_us,
                      enum local_down why)
{
    struct agent_msg *m = agent_msg_new(w, i, AGENT_LOST);
    m->u.why = why;
    post_beside(w, i, conn, delay_us, m);
}

void conn_connect(struct world *w, unsigned i, unsigned conn)
{
    struct request_ends ends;
    renew(w, conn_at(w, i, conn), CONN_CONNECTING, &ends);
    request_tell_ended(w, i, conn, &ends, w->agents[i].stepping);
    unsigned node = conn_peer_node(w, i, conn);
    uint64_t delay_us = 2 * net_delay(w, i, node);
    if (!net_reaches(w, i, node)) {
        post_lost(w, i, conn, CONNECT_TIMEOUT_US, LOCAL_DOWN_SILENT);
    } else if (!peer_alive(w, i, conn)) {
        post_lost(w, i, conn, delay_us, LOCAL_DOWN_REFUSED);
    } else if (!conn_peer_answers(w, i, conn)) {
        uint64_t limit_us = conn_is_sentinel(conn) ? SENTINEL_TIMEOUT_US : LOCAL_TIMEOUT_US;
        post_lost(w, i, conn, limit_us, LOCAL_DOWN_SILENT);
    } else {
        post_beside(w, i, conn, delay_us, agent_msg_new(w, i, AGENT_CONNECTED));
    }
}

static void tell_down(struct world *w, unsigned i, unsigned conn, enum local_down why, bool was_up)
{
    struct core_event ev = {.slot = conn >= CONN_COMMANDS(0) ? conn_slot(conn) : 0};
    if (conn == CONN_LOCAL || is_member(conn)) {
        ev.type = is_member(conn) ? CORE_MEMBER_DOWN : CORE_LOCAL_DOWN;
        ev.u.down = why;
    } else if (conn == CONN_HELLO) {
        ev.type = CORE_LOCAL_HINT;
    } else {
        ev.type = is_commands(conn) ? CORE_SENTINEL_DOWN : CORE_SENTINEL_HINT;
    }
    bool always = is_commands(conn) || (conn_is_sentinel(conn) && was_up);
    if (always || (was_up && why == LOCAL_DOWN_CLOSED)) {
        agent_feed(w, i, &ev);
    }
}

void conn_lost(struct world *w, unsigned i, unsigned conn, enum local_down why)
{
    struct conn *c = conn_at(w, i, conn);
    bool was_up = c->state == CONN_UP;
    struct request_ends ends;
    uint64_t life = w->agents[i].life;
    renew(w, c, CONN_DOWN, &ends);
    uint64_t gen = c->gen;
    c->tries = was_up ? 0 : c->tries + 1;
    /* In this order, as lib/io/redis_conn.h promises. */
    request_tell_ended(w, i, conn, &ends, false);
    if (w->agents[i].life != life) {
        return; /* it was killed meanwhile */
    }
    tell_down(w, i, conn, why, was_up);
    bool closed = is_member(conn) && !w->agents[i].member_open[conn_slot(conn)];
    if (c->gen != gen || closed) {
        return; /* the core has kicked it already, or no longer wants it */
    }
    uint64_t ceiling_us = u64_min(RETRY_MIN_US << (c->tries > 7 ? 7 : c->tries), RETRY_MAX_US);
    uint64_t wait_us = was_up ? 0 : sim_between(w, RETRY_MIN_US, ceiling_us);
    post_beside(w, i, conn, wait_us, agent_msg_new(w, i, AGENT_RECONNECT));
}

void conn_on_connected(struct world *w, unsigned i, unsigned conn)
{
    struct conn *c = conn_at(w, i, conn);
    if (!conn_peer_answers(w, i, conn)) {
        conn_lost(w, i, conn, peer_alive(w, i, conn) ? LOCAL_DOWN_SILENT : LOCAL_DOWN_REFUSED);
        return;
    }
    c->state = CONN_UP;
    c->tries = 0;
    c->up_us = w->now_us;
    struct core_event ev = {.slot = conn >= CONN_COMMANDS(0) ? conn_slot(conn) : 0};
    if (conn == CONN_LOCAL || is_member(conn)) {
        ev.type = is_member(conn) ? CORE_MEMBER_UP : CORE_LOCAL_UP;
    } else if (conn == CONN_HELLO) {
        ev.type = CORE_LOCAL_HINT;
    } else {
        ev.type = is_commands(conn) ? CORE_SENTINEL_UP : CORE_SENTINEL_HINT;
    }
    uint64_t gen = c->gen;
    agent_feed(w, i, &ev);
    if (c->gen == gen && conn_is_sentinel(conn) && is_commands(conn)) {
        struct agent_msg *m = agent_msg_new(w, i, AGENT_MYID);
        m->u.id = w->sentinels[sentinel_of(w, i, conn)].id;
        conn_post(w, i, conn, 2 * net_delay(w, i, conn_peer_node(w, i, conn)), m);
    }
}

void conn_close_by_peer(struct world *w, unsigned i, unsigned conn)
{
    if (!w->agents[i].running || conn_at(w, i, conn)->state != CONN_UP) {
        return;
    }
    struct agent_msg *m = agent_msg_new(w, i, AGENT_LOST);
    m->u.why = LOCAL_DOWN_CLOSED;
    conn_post(w, i, conn, net_delay(w, i, conn_peer_node(w, i, conn)), m);
}

void conn_peer_died(struct world *w, int redis, int sentinel)
{
    if (redis >= 0) {
        conn_close_by_peer(w, (unsigned)redis, CONN_LOCAL);
        conn_close_by_peer(w, (unsigned)redis, CONN_HELLO);
        conn_close_members(w, (unsigned)redis, SIM_PODS_MAX);
        return;
    }
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        for (unsigned s = 0; s < w->agents[i].slots; s++) {
            if (w->agents[i].slot_sentinel[s] == (unsigned)sentinel) {
                conn_close_by_peer(w, i, CONN_COMMANDS(s));
                conn_close_by_peer(w, i, CONN_EVENTS(s));
            }
        }
    }
}

/* ---- members ---- */

void conn_close_members(struct world *w, unsigned redis, unsigned but)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        for (unsigned s = 0; s < MEMBERS_MAX && i != but; s++) {
            const struct agent *g = &w->agents[i];
            if (g->running && g->member_open[s] && g->member_redis[s] == (int)redis) {
                conn_close_by_peer(w, i, CONN_MEMBER(s));
            }
        }
    }
}

void conn_open_member(struct world *w, unsigned i, size_t slot, const struct addr *addr)
{
    struct agent *g = &w->agents[i];
    REQUIRE(slot < MEMBERS_MAX && !g->member_open[slot]);
    g->member_open[slot] = true;
    int redis = sim_redis_at(w, addr);
    g->member_redis[slot] = redis == SIM_NOWHERE ? -1 : redis;
    conn_connect(w, i, CONN_MEMBER(slot));
}

void conn_close_member(struct world *w, unsigned i, size_t slot)
{
    struct request_ends ends;
    w->agents[i].member_open[slot] = false;
    renew(w, conn_at(w, i, CONN_MEMBER(slot)), CONN_DOWN, &ends);
    request_tell_ended(w, i, CONN_MEMBER(slot), &ends, true);
}

void conn_housekeeping(struct world *w, unsigned i)
{
    uint64_t life = w->agents[i].life;
    for (unsigned c = 0; c < CONN_COUNT && w->agents[i].life == life; c++) {
        struct conn *conn = conn_at(w, i, c);
        if (conn->state != CONN_UP || conn_peer_answers(w, i, c)) {
            conn->silent_us = 0;
        } else if (conn->silent_us == 0) {
            conn->silent_us = w->now_us;
        } else if (u64_since(w->now_us, conn->silent_us) >= SILENT_LIMIT_US) {
            conn_lost(w, i, c, LOCAL_DOWN_SILENT);
        }
    }
}

/* ---- events of Sentinels, hellos ---- */

void conn_send_news(struct world *w, unsigned sentinel, const struct sentinel_news *news)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        for (unsigned s = 0; s < w->agents[i].slots; s++) {
            unsigned conn = CONN_EVENTS(s);
            bool subscribed = w->agents[i].running && conn_at(w, i, conn)->state == CONN_UP &&
                              w->agents[i].slot_sentinel[s] == sentinel;
            if (!subscribed || sim_chance(w, w->cfg.event_loss)) {
                continue;
            }
            unsigned copies = sim_chance(w, w->cfg.event_dup) ? 2 : 1;
            for (unsigned n = 0; n < copies; n++) {
                struct agent_msg *m = agent_msg_new(w, i, AGENT_NEWS);
                m->u.news = *news;
                uint64_t delay_us = net_delay(w, i, conn_peer_node(w, i, conn));
                if (sim_chance(w, w->cfg.event_reorder)) {
                    post_beside(w, i, conn, delay_us + sim_between(w, 0, 300 * MS), m);
                } else {
                    conn_post(w, i, conn, delay_us, m);
                }
            }
        }
    }
}

void conn_send_hello(struct world *w, unsigned i, const struct hello_msg *hello)
{
    if (!w->agents[i].running || conn_at(w, i, CONN_HELLO)->state != CONN_UP) {
        return;
    }
    struct agent_msg *m = agent_msg_new(w, i, AGENT_HELLO);
    m->u.hello = *hello;
    conn_post(w, i, CONN_HELLO, net_delay(w, i, i), m);
}
