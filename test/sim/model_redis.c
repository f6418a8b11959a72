#include "test/sim/sim.h"

#define CRON_US (100 * MS)
#define RECONNECT_US SECOND

static void on_cron(struct world *w, struct sim_msg *m);

static struct redis *at(struct world *w, unsigned i)
{
    return &w->redis[i];
}

/* Its replicas lose their link, and ask again. */
static void cut_replicas(struct redis *r)
{
    r->repl_gen++;
}

static void set_upstream(struct world *w, struct redis *r, int upstream)
{
    if (r->upstream < 0 && upstream >= 0) {
        r->master_until_us = w->now_us;
    }
    if (upstream < 0 && r->upstream >= 0) {
        r->replid2 = r->replid;
        r->offset2 = r->offset;
        r->replid = rng_next(&w->rng);
    }
    if (upstream != r->upstream) {
        cut_replicas(r);
        r->link = REPL_LINK_CONNECT;
        r->next_try_us = w->now_us;
    }
    r->upstream = upstream;
    if (upstream < 0) {
        r->link = REPL_LINK_NONE;
    }
}

/* ---- process ---- */

static void note_silence(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    if (redis_answers(w, i) && !r->busy) {
        r->silent_since_us = 0;
    } else if (r->silent_since_us == 0) {
        r->silent_since_us = w->now_us;
    }
}

void redis_init(struct world *w, unsigned i, int upstream)
{
    struct redis *r = at(w, i);
    *r = (struct redis){.upstream = -1, .stored_upstream = upstream, .died_us = w->now_us};
    r->replid = rng_next(&w->rng);
}

void redis_start(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    if (r->alive) {
        return;
    }
    r->alive = true;
    r->frozen = r->busy = false;
    r->gen++;
    r->run_id = rng_next(&w->rng) | 1;
    r->started_us = w->now_us;
    r->loading_until_us = r->offset > 0 ? w->now_us + sim_between(w, 0, 2 * SECOND) : w->now_us;
    r->synced = false;
    r->link_lost_us = 0;
    r->upstream = -1;
    set_upstream(w, r, r->stored_upstream);
    cut_replicas(r);
    note_silence(w, i);
    struct sim_msg *m = sim_in(w, CRON_US, on_cron);
    m->to = i;
    m->gen = r->gen;
    sim_trace(w, "redis-%u starts as %s", i, r->upstream < 0 ? "master" : "replica");
}

void redis_kill(struct world *w, unsigned i, bool lose_data)
{
    struct redis *r = at(w, i);
    if (lose_data) {
        r->offset = 0;
        r->replid = rng_next(&w->rng);
        r->replid2 = 0;
    }
    if (!r->alive) {
        return;
    }
    if (r->upstream < 0) {
        r->master_until_us = w->now_us;
    }
    r->alive = false;
    r->gen++;
    r->died_us = w->now_us;
    note_silence(w, i);
    sim_trace(w, "redis-%u dies%s", i, lose_data ? " and loses its data" : "");
    conn_peer_died(w, (int)i, -1);
}

void redis_freeze(struct world *w, unsigned i, bool frozen)
{
    at(w, i)->frozen = frozen;
    note_silence(w, i);
    sim_trace(w, "redis-%u %s", i, frozen ? "freezes" : "thaws");
}

void redis_busy(struct world *w, unsigned i, bool busy)
{
    at(w, i)->busy = busy;
    note_silence(w, i);
    sim_trace(w, "redis-%u %s", i, busy ? "is busy" : "is no longer busy");
}

/* ---- commands ---- */

void redis_replicaof(struct world *w, unsigned i, int upstream)
{
    struct redis *r = at(w, i);
    sim_trace(w, "redis-%u gets REPLICAOF %d", i, upstream);
    set_upstream(w, r, upstream);
    r->stored_upstream = upstream;
    if (upstream < 0) {
        truth_note_promoted(w, (int)i);
    }
    conn_close_by_peer(w, i, CONN_LOCAL);
    conn_close_by_peer(w, i, CONN_HELLO);
}

bool redis_answers(const struct world *w, unsigned i)
{
    return w->redis[i].alive && !w->redis[i].frozen;
}

bool redis_loading(const struct world *w, unsigned i)
{
    return w->redis[i].loading_until_us > w->now_us;
}

bool redis_acks_writes(const struct world *w, unsigned i)
{
    const struct redis *r = &w->redis[i];
    return redis_answers(w, i) && !r->busy && !redis_loading(w, i) && r->upstream < 0;
}

void redis_role_reply(const struct world *w, unsigned i, struct role_reply *ret)
{
    const struct redis *r = &w->redis[i];
    *ret = (struct role_reply){.role = r->upstream < 0 ? REDIS_ROLE_MASTER : REDIS_ROLE_SLAVE,
                               .offset = r->offset};
    if (r->upstream >= 0) {
        ret->master = *sim_addr(w, r->upstream);
        ret->link = r->link;
        ret->offset = r->link == REPL_LINK_CONNECTED ? r->offset : -1;
    }
}

void redis_snapshot(const struct world *w, unsigned i, struct redis_snap *ret)
{
    const struct redis *r = &w->redis[i];
    *ret = (struct redis_snap){.run_id = r->run_id,
                               .upstream = r->upstream,
                               .link_up = r->link == REPL_LINK_CONNECTED,
                               .syncing = r->link == REPL_LINK_SYNC,
                               .link_was_up = r->link_lost_us != 0,
                               .link_down_us = u64_since(w->now_us, r->link_lost_us),
                               .offset = r->offset,
                               .loading = redis_loading(w, i)};
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        const struct redis *o = &w->redis[k];
        bool attached = o->upstream == (int)i && o->link == REPL_LINK_CONNECTED;
        ret->replicas |= attached && o->alive ? 1U << k : 0;
    }
}

static void add_field(struct info *info, enum info_field f)
{
    info->has |= 1U << f;
}

void redis_snap_to_info(const struct world *w, const struct redis_snap *s, struct info *ret)
{
    memset(ret, 0, offsetof(struct info, replicas));
    ret->replicas_kept = 0;
    ret->bgsave = ret->cluster_enabled = false;
    sim_hex_id(s->run_id, ret->run_id);
    add_field(ret, INFO_RUN_ID);
    ret->role = s->upstream < 0 ? REDIS_ROLE_MASTER : REDIS_ROLE_SLAVE;
    add_field(ret, INFO_ROLE);
    ret->loading = s->loading;
    add_field(ret, INFO_LOADING);
    add_field(ret, INFO_CLUSTER);
    ret->master_offset = s->offset;
    add_field(ret, INFO_MASTER_OFFSET);
    if (s->upstream < 0) {
        return;
    }
    ret->master = *sim_addr(w, s->upstream);
    add_field(ret, INFO_MASTER);
    ret->link_up = s->link_up;
    add_field(ret, INFO_LINK_UP);
    ret->sync_in_progress = s->syncing;
    add_field(ret, INFO_SYNC);
    ret->slave_offset = s->offset;
    add_field(ret, INFO_SLAVE_OFFSET);
    if (!s->link_up && s->link_was_up) {
        ret->link_down_s = s->link_down_us / SECOND;
        add_field(ret, INFO_LINK_DOWN_S);
    }
}

/* ---- replication ---- */

static void lose_link(struct world *w, struct redis *r)
{
    if (r->link == REPL_LINK_CONNECTED) {
        r->link_lost_us = w->now_us;
    }
    r->link = REPL_LINK_CONNECT;
    r->next_try_us = w->now_us;
    r->silent_link_us = 0;
}

static void gain_link(struct world *w, unsigned i, const struct redis *up)
{
    struct redis *r = at(w, i);
    r->link = REPL_LINK_CONNECTED;
    r->replid = up->replid;
    r->replid2 = up->replid2;
    r->offset2 = up->offset2;
    r->offset = up->offset;
    r->silent_link_us = 0;
    if (!r->synced) {
        sim_trace(w, "redis-%u has had its first sync", i);
    }
    r->synced = true;
}

static bool can_serve(const struct world *w, unsigned i)
{
    const struct redis *r = &w->redis[i];
    return redis_answers(w, i) && !r->busy && !redis_loading(w, i) &&
           (r->upstream < 0 || r->link == REPL_LINK_CONNECTED);
}

static bool resumes(const struct redis *r, const struct redis *up)
{
    bool same = r->replid == up->replid && r->offset <= up->offset;
    bool before = r->replid == up->replid2 && r->offset <= up->offset2;
    return r->offset > 0 && (same || before);
}

static void try_link(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    unsigned u = (unsigned)r->upstream;
    const struct redis *up = &w->redis[u];
    if (w->now_us < r->next_try_us) {
        return;
    }
    r->next_try_us = w->now_us + RECONNECT_US;
    if (u == i || !net_reaches(w, i, u) || !can_serve(w, u)) {
        return;
    }
    r->link_gen = up->repl_gen;
    if (resumes(r, up)) {
        gain_link(w, i, up);
        return;
    }
    r->link = REPL_LINK_SYNC;
    r->sync_until_us = w->now_us + w->cfg.sync_us;
}

static void follow_link(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    unsigned u = (unsigned)r->upstream;
    const struct redis *up = &w->redis[u];
    bool reaches = net_reaches(w, i, u);
    if (reaches && (!up->alive || up->repl_gen != r->link_gen)) {
        lose_link(w, r);
        return;
    }
    if (!reaches || !redis_answers(w, u)) {
        r->silent_link_us = r->silent_link_us == 0 ? w->now_us : r->silent_link_us;
        if (u64_since(w->now_us, r->silent_link_us) > REDIS_REPL_TIMEOUT_US) {
            lose_link(w, r);
        }
        return;
    }
    r->silent_link_us = 0;
    if (r->link == REPL_LINK_CONNECTED) {
        r->offset = up->offset;
    } else if (w->now_us >= r->sync_until_us) {
        gain_link(w, i, up);
    }
}

static void on_cron(struct world *w, struct sim_msg *m)
{
    struct redis *r = at(w, m->to);
    if (m->gen != r->gen) {
        return;
    }
    if (redis_acks_writes(w, m->to)) {
        r->offset += (int64_t)sim_between(w, 1, 100);
        r->master_until_us = w->now_us;
    } else if (redis_answers(w, m->to) && !redis_loading(w, m->to) && r->upstream >= 0) {
        if (r->link == REPL_LINK_CONNECTED || r->link == REPL_LINK_SYNC) {
            follow_link(w, m->to);
        } else {
            try_link(w, m->to);
        }
    }
    struct sim_msg *next = sim_in(w, CRON_US, on_cron);
    next->to = m->to;
    next->gen = m->gen;
}
