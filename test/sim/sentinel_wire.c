#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define PING_PERIOD_US SECOND
#define ASK_PERIOD_US SECOND
#define INFO_FAST_US SECOND
#define HELD_US (10 * MS)

struct ask {
    uint64_t id; /* 0: no vote is asked for */
    uint64_t epoch;
    int master;
};

struct answer {
    bool down;
    uint64_t leader;
    uint64_t leader_epoch;
};

static bool reaches(const struct world *w, unsigned k, unsigned redis)
{
    return net_reaches(w, sim_sentinel_node(w, k), redis);
}

static uint64_t delay_to(struct world *w, unsigned k, unsigned redis)
{
    return net_delay(w, sim_sentinel_node(w, k), redis);
}

/* A PUBLISH is a write: a pause holds it, and what comes behind it on this connection waits. */
static bool waits_behind(const struct world *w, unsigned k, unsigned i)
{
    const struct known_redis *r = &w->sentinels[k].redis[i];
    return r->held && redis_is_paused(w, i) && r->kill_gen == w->redis[i].kill_gen;
}

static void try_again(struct world *w, struct sim_msg *m, sim_fn *fn)
{
    struct sim_msg *again = sim_in(w, HELD_US, fn);
    again->to = m->to;
    again->from = m->from;
    again->gen = m->gen;
    again->c = m->c;
    again->data = m->data;
    m->data = NULL;
}

/* ---- PING ---- */

static void on_pong(struct world *w, struct sim_msg *m)
{
    struct known_redis *r = &w->sentinels[m->to].redis[m->from];
    if (waits_behind(w, m->to, m->from) && m->gen == w->redis[m->from].gen) {
        try_again(w, m, on_pong);
        return;
    }
    bool answered = sentinel_answers(w, m->to) && m->gen == w->redis[m->from].gen &&
                    redis_answers(w, m->from) && !w->redis[m->from].busy &&
                    reaches(w, m->to, m->from) && r->connected;
    if (answered) {
        r->ping_pending_us = 0;
        r->available_us = w->now_us;
    }
}

static void ping(struct world *w, unsigned k, unsigned i)
{
    struct known_redis *r = &w->sentinels[k].redis[i];
    uint64_t period_us = u64_min(w->cfg.down_after_us, PING_PERIOD_US);
    if (u64_since(w->now_us, r->ping_us) < period_us) {
        return;
    }
    r->ping_us = w->now_us;
    r->ping_pending_us = r->ping_pending_us == 0 ? w->now_us : r->ping_pending_us;
    struct sim_msg *m = sim_in(w, 2 * delay_to(w, k, i), on_pong);
    m->to = k;
    m->from = i;
    m->gen = w->redis[i].gen;
}

/* ---- INFO ---- */

static void on_info_answer(struct world *w, struct sim_msg *m)
{
    const struct known_redis *r = &w->sentinels[m->to].redis[m->from];
    if (sentinel_answers(w, m->to) && reaches(w, m->to, m->from) && r->known && r->connected &&
        r->conn_gen == m->gen) {
        sentinel_on_info(w, m->to, m->from, m->data);
    }
}

static void on_info_question(struct world *w, struct sim_msg *m)
{
    if (m->gen != w->redis[m->from].gen || !redis_answers(w, m->from) || w->redis[m->from].busy ||
        !reaches(w, m->to, m->from)) {
        return;
    }
    if (waits_behind(w, m->to, m->from)) {
        try_again(w, m, on_info_question);
        return;
    }
    struct redis_snap *snap = xmalloc(sizeof *snap);
    redis_snapshot(w, m->from, snap);
    struct sim_msg *answer = sim_in(w, delay_to(w, m->to, m->from), on_info_answer);
    answer->to = m->to;
    answer->from = m->from;
    answer->gen = m->gen;
    answer->data = snap;
}

static void ask_info(struct world *w, unsigned k, unsigned i)
{
    struct sentinel_model *s = &w->sentinels[k];
    struct known_redis *r = &s->redis[i];
    bool hurry =
        (int)i != s->master && (s->o_down || s->failover != FAILOVER_NONE || r->link_down_us != 0);
    uint64_t period_us = hurry ? INFO_FAST_US : SENTINEL_INFO_PERIOD_US;
    bool due = r->info_us == 0 || u64_since(w->now_us, r->info_us) > period_us;
    if (!due || u64_since(w->now_us, r->info_asked_us) < 90 * MS) {
        return;
    }
    r->info_asked_us = w->now_us;
    struct sim_msg *m = sim_in(w, delay_to(w, k, i), on_info_question);
    m->to = k;
    m->from = i;
    m->gen = w->redis[i].gen;
}

/* ---- hello ---- */

void sentinel_take_configuration(struct world *w, unsigned k, const struct hello_msg *h)
{
    struct sentinel_model *s = &w->sentinels[k];
    if (h->current_epoch > s->current_epoch) {
        s->current_epoch = h->current_epoch;
        sentinel_tell(w, k, SENTINEL_EVENT_NEW_EPOCH, -1);
    }
    if (h->config_epoch > s->config_epoch) {
        s->config_epoch = h->config_epoch;
        if (h->master != s->master) {
            sentinel_tell(w, k, SENTINEL_EVENT_CONFIG_UPDATE, (int)h->sentinel);
            sentinel_switch_master(w, k, h->master);
        }
    }
}

static void on_hello(struct world *w, struct sim_msg *m)
{
    const struct hello_msg *h = m->data;
    struct sentinel_model *s = &w->sentinels[m->to];
    if (!sentinel_answers(w, m->to) || !s->monitors) {
        return;
    }
    if (s->peers[h->sentinel].id != h->id) {
        s->peers[h->sentinel] = (struct known_sentinel){.id = h->id};
        sentinel_tell(w, m->to, SENTINEL_EVENT_SENTINEL, (int)h->sentinel);
    }
    sentinel_take_configuration(w, m->to, h);
}

/* At the Redis: to everyone who has subscribed there. */
static void on_publish(struct world *w, struct sim_msg *m)
{
    const struct hello_msg *h = m->data;
    unsigned i = m->from;
    if (m->gen != w->redis[i].gen || !redis_answers(w, i) || w->redis[i].busy ||
        !reaches(w, h->sentinel, i)) {
        return;
    }
    struct known_redis *own = &w->sentinels[h->sentinel].redis[i];
    if (redis_is_paused(w, i)) {
        own->held = true;
        own->kill_gen = w->redis[i].kill_gen;
        try_again(w, m, on_publish);
        return;
    }
    own->held = false;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct known_redis *r = &w->sentinels[k].redis[i];
        if (k == h->sentinel || !r->known || !r->connected || !reaches(w, k, i)) {
            continue;
        }
        struct hello_msg *copy = xmalloc(sizeof *copy);
        *copy = *h;
        struct sim_msg *hello = sim_in(w, delay_to(w, k, i), on_hello);
        hello->to = k;
        hello->data = copy;
    }
    conn_send_hello(w, i, h);
}

static void publish(struct world *w, unsigned k, unsigned i)
{
    struct sentinel_model *s = &w->sentinels[k];
    struct known_redis *r = &s->redis[i];
    if (r->publish_us != 0 && u64_since(w->now_us, r->publish_us) < SENTINEL_HELLO_PERIOD_US) {
        return;
    }
    r->publish_us = w->now_us;
    struct hello_msg *h = xmalloc(sizeof *h);
    *h = (struct hello_msg){.sentinel = k,
                            .id = s->id,
                            .current_epoch = s->current_epoch,
                            .master = sentinel_named(s),
                            .config_epoch = s->config_epoch};
    struct sim_msg *m = sim_in(w, delay_to(w, k, i), on_publish);
    m->from = i;
    m->gen = w->redis[i].gen;
    m->data = h;
}

/* ---- everything that goes to one Redis in one tick ---- */

void sentinel_contact(struct world *w, unsigned k, unsigned i)
{
    struct known_redis *r = &w->sentinels[k].redis[i];
    const struct redis *redis = &w->redis[i];
    bool reachable = reaches(w, k, i);
    bool silent = r->ping_pending_us != 0 &&
                  u64_since(w->now_us, r->ping_pending_us) > w->cfg.down_after_us / 2 + SECOND;
    if (r->connected && ((reachable && r->conn_gen != redis->gen) || silent)) {
        r->connected = false;
    }
    if (!r->connected) {
        /* Each attempt to connect begins with a PING: silence counts from the first one. */
        r->ping_pending_us = r->ping_pending_us == 0 ? w->now_us : r->ping_pending_us;
        r->connected = reachable && redis->alive;
        r->conn_gen = redis->gen;
        r->ping_us = 0;
    }
    if (r->connected) {
        ping(w, k, i);
        ask_info(w, k, i);
        publish(w, k, i);
    }
}

static void on_replicaof(struct world *w, struct sim_msg *m)
{
    if (m->gen != w->redis[m->to].gen || !reaches(w, m->from, m->to)) {
        return;
    }
    if (!redis_answers(w, m->to) || w->redis[m->to].busy || waits_behind(w, m->from, m->to)) {
        /* It waits in the socket. */
        struct sim_msg *again = sim_in(w, 10 * MS, on_replicaof);
        again->to = m->to;
        again->from = m->from;
        again->gen = m->gen;
        again->c = m->c;
        return;
    }
    redis_replicaof(w, m->to, (int)m->c);
}

bool sentinel_send_replicaof(struct world *w, unsigned k, unsigned i, int upstream)
{
    if (!w->sentinels[k].redis[i].connected) {
        return false;
    }
    struct sim_msg *m = sim_in(w, delay_to(w, k, i), on_replicaof);
    m->to = i;
    m->from = k;
    m->gen = w->redis[i].gen;
    m->c = upstream;
    return true;
}

/* ---- IS-MASTER-DOWN-BY-ADDR ---- */

static bool peers_reach(const struct world *w, unsigned a, unsigned b)
{
    return net_reaches(w, sim_sentinel_node(w, a), sim_sentinel_node(w, b));
}

static void on_answer(struct world *w, struct sim_msg *m)
{
    const struct answer *a = m->data;
    struct known_sentinel *peer = &w->sentinels[m->to].peers[m->from];
    if (!sentinel_answers(w, m->to) || !peers_reach(w, m->to, m->from) || peer->id == 0) {
        return;
    }
    peer->reply_us = w->now_us;
    peer->master_down = a->down;
    if (a->leader != 0) {
        peer->leader = a->leader;
        peer->leader_epoch = a->leader_epoch;
    }
}

static void on_ask(struct world *w, struct sim_msg *m)
{
    const struct ask *ask = m->data;
    const struct sentinel_model *s = &w->sentinels[m->to];
    if (!sentinel_answers(w, m->to) || !peers_reach(w, m->to, m->from)) {
        return;
    }
    bool same = s->monitors && s->master == ask->master;
    struct answer *a = xcalloc(1, sizeof *a);
    a->down = same && !sentinel_tilted(w, s) && s->redis[ask->master].s_down;
    if (same && ask->id != 0) {
        a->leader = sentinel_vote(w, m->to, ask->epoch, ask->id, &a->leader_epoch);
    }
    uint64_t delay_us = net_delay(w, sim_sentinel_node(w, m->to), sim_sentinel_node(w, m->from));
    struct sim_msg *back = sim_in(w, delay_us, on_answer);
    back->to = m->from;
    back->from = m->to;
    back->data = a;
}

void sentinel_ask_peers(struct world *w, unsigned k, bool forced)
{
    struct sentinel_model *s = &w->sentinels[k];
    if (!s->redis[s->master].s_down) {
        return;
    }
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        const struct known_sentinel *peer = &s->peers[p];
        bool recent =
            !forced && peer->reply_us != 0 && u64_since(w->now_us, peer->reply_us) < ASK_PERIOD_US;
        if (p == k || peer->id == 0 || recent || !peers_reach(w, k, p)) {
            continue;
        }
        struct ask *ask = xmalloc(sizeof *ask);
        *ask = (struct ask){.id = s->failover != FAILOVER_NONE ? s->id : 0,
                            .epoch = s->current_epoch,
                            .master = s->master};
        uint64_t delay_us = net_delay(w, sim_sentinel_node(w, k), sim_sentinel_node(w, p));
        struct sim_msg *m = sim_in(w, delay_us, on_ask);
        m->to = p;
        m->from = k;
        m->data = ask;
    }
}
