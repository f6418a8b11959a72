#include "test/sim/sim.h"

#define CRON_US (100 * MS)
#define RECONNECT_US SECOND
#define STREAM_RETRY_US (5 * MS)
#define PING_US (10 * SECOND) /* repl-ping-replica-period */
#define PING_BYTES 14

static void on_cron(struct world *w, struct sim_msg *m);
static void on_link(struct world *w, struct sim_msg *m);
static void stream(struct world *w, unsigned i);

static struct redis *at(struct world *w, unsigned i)
{
    return &w->redis[i];
}

/* It looks at its link before the next cron. */
static void poke_link(struct world *w, unsigned i, uint64_t in_us)
{
    struct sim_msg *m = sim_in(w, in_us, on_link);
    m->to = i;
    m->gen = at(w, i)->gen;
}

/* Its replicas lose their link, and ask again. */
static void cut_replicas(struct world *w, unsigned i)
{
    at(w, i)->repl_gen++;
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        if (at(w, k)->upstream == (int)i && at(w, k)->alive) {
            poke_link(w, k, net_delay(w, i, k) + 1);
        }
    }
}

/* The link to the master, if any, is another one from now on. */
static void renew_link(struct redis *r)
{
    r->link_serial++;
    r->streaming = false;
}

void redis_set_upstream(struct world *w, unsigned i, int upstream)
{
    struct redis *r = at(w, i);
    if (r->upstream < 0 && upstream >= 0) {
        r->master_until_us = w->now_us;
    }
    if (upstream < 0 && r->upstream >= 0) {
        r->replid2 = r->replid;
        r->offset2 = r->offset;
        r->replid = ledger_begin_history(w, r->replid, r->offset);
        cut_replicas(w, i);
    }
    if (upstream != r->upstream) {
        renew_link(r);
        r->link = REPL_LINK_CONNECT;
        r->next_try_us = w->now_us;
    }
    r->upstream = upstream;
    if (upstream < 0) {
        r->link = REPL_LINK_NONE;
    } else {
        poke_link(w, i, 1);
    }
    clients_resume(w, i);
}

struct position redis_position(const struct redis *r)
{
    return (struct position){r->replid, r->offset};
}

/* ---- process ---- */

static void note_silence(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    r->trouble_us = w->now_us;
    if (redis_answers(w, i) && !r->busy) {
        r->silent_since_us = 0;
        clients_resume(w, i);
    } else if (r->silent_since_us == 0) {
        r->silent_since_us = w->now_us;
    }
}

void redis_init(struct world *w, unsigned i, int upstream)
{
    struct redis *r = at(w, i);
    *r = (struct redis){.upstream = -1, .stored_upstream = upstream, .died_us = w->now_us};
    r->replid = ledger_begin_history(w, 0, 0);
}

void redis_begin(struct world *w, unsigned i, int upstream)
{
    struct redis *r = at(w, i);
    r->launching = false;
    r->alive = true;
    r->frozen = r->busy = false;
    r->gen++;
    r->run_id = rng_next(&w->rng) | 1;
    r->started_us = w->now_us;
    r->loading_until_us = r->offset > 0 ? w->now_us + sim_between(w, 0, 2 * SECOND) : w->now_us;
    r->synced = false;
    r->link_lost_us = 0;
    r->paused_until_us = r->failover_gen = 0;
    r->min_replicas = r->stored_min_replicas;
    r->ack_us = 0;
    r->upstream = -1;
    if (upstream < 0) {
        /* A master that has loaded its data set begins a history of its own. */
        r->replid2 = r->replid;
        r->offset2 = r->offset;
        r->replid = ledger_begin_history(w, r->replid, r->offset);
    }
    redis_set_upstream(w, i, upstream);
    cut_replicas(w, i);
    note_silence(w, i);
    struct sim_msg *m = sim_in(w, CRON_US, on_cron);
    m->to = i;
    m->gen = r->gen;
    sim_trace(w, "redis-%u starts as %s", i,
              r->upstream < 0              ? "master"
              : r->upstream == SIM_NOWHERE ? "held"
                                           : "replica");
}

void redis_start(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    if (r->alive || r->launching) {
        return;
    }
    if (w->cfg.launch && w->started) {
        redis_ask_launch(w, i);
    } else {
        redis_begin(w, i, r->stored_upstream);
    }
}

/* The last moments may be missing on the disk. */
static void lose_tail(struct world *w, struct redis *r)
{
    int64_t from = w->ledger.histories[r->replid].from;
    int64_t lost = (int64_t)sim_between(w, 0, 400);
    r->offset = r->offset - lost > from ? r->offset - lost : from;
}

void redis_kill(struct world *w, unsigned i, bool lose_data)
{
    struct redis *r = at(w, i);
    if (lose_data) {
        r->offset = 0;
        r->replid = ledger_begin_history(w, 0, 0);
        r->replid2 = 0;
    } else if (r->alive && sim_chance(w, 200)) {
        lose_tail(w, r);
    }
    r->launching = false;
    r->launch_gen++;
    if (!r->alive) {
        return;
    }
    if (r->upstream < 0) {
        r->master_until_us = w->now_us;
    }
    r->alive = false;
    r->gen++;
    renew_link(r);
    r->died_us = w->now_us;
    note_silence(w, i);
    sim_trace(w, "redis-%u dies%s", i, lose_data ? " and loses its data" : "");
    conn_peer_died(w, (int)i, -1);
    clients_dropped(w, i);
    cut_replicas(w, i);
    if (w->cfg.launch) {
        agent_tell_dead(w, i);
    }
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
    redis_set_upstream(w, i, upstream);
    r->stored_upstream = upstream;
    r->stored_min_replicas = r->min_replicas;
    if (upstream < 0) {
        truth_note_promoted(w, (int)i);
    }
    conn_close_by_peer(w, i, CONN_LOCAL);
    conn_close_by_peer(w, i, CONN_HELLO);
    conn_close_members(w, i, SIM_PODS_MAX);
    clients_dropped(w, i);
}

bool redis_answers(const struct world *w, unsigned i)
{
    return w->redis[i].alive && !w->redis[i].frozen;
}

bool redis_loading(const struct world *w, unsigned i)
{
    return w->redis[i].loading_until_us > w->now_us;
}

bool redis_is_paused(const struct world *w, unsigned i)
{
    return w->redis[i].paused_until_us > w->now_us;
}

static bool is_serving_master(const struct world *w, unsigned i)
{
    const struct redis *r = &w->redis[i];
    return redis_answers(w, i) && !r->busy && !redis_loading(w, i) && r->upstream < 0;
}

unsigned redis_count_replicas(const struct world *w, unsigned i)
{
    unsigned count = 0;
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        const struct redis *o = &w->redis[k];
        count += o->alive && o->upstream == (int)i && o->link == REPL_LINK_CONNECTED ? 1 : 0;
    }
    return count;
}

bool redis_takes_writes(const struct world *w, unsigned i)
{
    return is_serving_master(w, i) && redis_count_replicas(w, i) >= w->redis[i].min_replicas;
}

bool redis_acks_writes(const struct world *w, unsigned i)
{
    return redis_takes_writes(w, i) && !redis_is_paused(w, i);
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
                               .loading = redis_loading(w, i),
                               .replid = r->replid,
                               .replid2 = r->replid2,
                               .offset2 = r->offset2};
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        const struct redis *o = &w->redis[k];
        bool attached = o->upstream == (int)i && o->link == REPL_LINK_CONNECTED;
        ret->replicas |= attached && o->alive ? 1U << k : 0;
        ret->ack_offset[k] = o->ack_offset;
        ret->ack_age_us[k] = u64_since(w->now_us, o->ack_us);
    }
}

static void add_field(struct info *info, enum info_field f)
{
    info->has |= 1U << f;
}

static void add_replicas(const struct world *w, const struct redis_snap *s, struct info *ret)
{
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        if ((s->replicas & (1U << k)) != 0) {
            ret->replicas[ret->replicas_kept++] =
                (struct info_replica){.addr = *sim_addr(w, (int)k),
                                      .online = true,
                                      .offset = s->ack_offset[k],
                                      .lag_s = s->ack_age_us[k] / SECOND};
        }
    }
    ret->replica_count = ret->replicas_kept;
    add_field(ret, INFO_REPLICAS);
}

static void add_history(const struct redis_snap *s, struct info *ret)
{
    sim_hex_id(s->replid, ret->replid);
    sim_hex_id(s->replid2, ret->replid2);
    ret->second_offset = s->replid2 != 0 ? s->offset2 + 1 : -1;
    ret->priority = 100;
    add_field(ret, INFO_REPLID);
    add_field(ret, INFO_REPLID2);
    add_field(ret, INFO_SECOND_OFFSET);
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
    add_history(s, ret);
    add_replicas(w, s, ret);
    if (s->upstream < 0) {
        return;
    }
    ret->master = *sim_addr(w, s->upstream);
    add_field(ret, INFO_MASTER);
    ret->link_up = s->link_up;
    add_field(ret, INFO_LINK_UP);
    ret->sync_in_progress = s->syncing;
    add_field(ret, INFO_SYNC);
    ret->slave_offset = ret->slave_read_offset = s->offset;
    add_field(ret, INFO_SLAVE_OFFSET);
    add_field(ret, INFO_SLAVE_READ_OFFSET);
    add_field(ret, INFO_PRIORITY);
    if (!s->link_up && s->link_was_up) {
        ret->link_down_s = s->link_down_us / SECOND;
        add_field(ret, INFO_LINK_DOWN_S);
    }
}

/* ---- replication ---- */

static void lose_link(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    if (r->link == REPL_LINK_CONNECTED) {
        r->link_lost_us = w->now_us;
    }
    renew_link(r);
    r->link = REPL_LINK_CONNECT;
    r->next_try_us = w->now_us;
    r->silent_link_us = 0;
    poke_link(w, i, 1);
}

static void gain_link(struct world *w, unsigned i, const struct redis *up, bool whole)
{
    struct redis *r = at(w, i);
    bool other = r->replid != up->replid;
    renew_link(r);
    r->link = REPL_LINK_CONNECTED;
    r->replid = up->replid;
    r->replid2 = up->replid2;
    r->offset2 = up->offset2;
    r->offset = whole || other ? up->offset : r->offset;
    r->ack_offset = r->offset;
    r->ack_us = w->now_us;
    r->silent_link_us = 0;
    if (!r->synced) {
        sim_trace(w, "redis-%u has had its first sync", i);
    }
    r->synced = true;
    if (whole || other) {
        cut_replicas(w, i);
    }
    stream(w, i);
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
    if (w->now_us < r->next_try_us) {
        return;
    }
    r->next_try_us = w->now_us + RECONNECT_US;
    if (r->upstream == SIM_NOWHERE || r->upstream == (int)i) {
        return;
    }
    unsigned u = (unsigned)r->upstream;
    const struct redis *up = &w->redis[u];
    if (!net_reaches(w, i, u) || !can_serve(w, u)) {
        return;
    }
    r->link_gen = up->repl_gen;
    if (resumes(r, up)) {
        gain_link(w, i, up, false);
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
        lose_link(w, i);
        return;
    }
    if (!reaches || !redis_answers(w, u)) {
        r->silent_link_us = r->silent_link_us == 0 ? w->now_us : r->silent_link_us;
        if (u64_since(w->now_us, r->silent_link_us) > REDIS_REPL_TIMEOUT_US) {
            lose_link(w, i);
        }
        return;
    }
    r->silent_link_us = 0;
    if (r->link == REPL_LINK_CONNECTED) {
        stream(w, i);
        if (u64_since(w->now_us, r->ack_us) >= SECOND) {
            r->ack_us = w->now_us;
            r->ack_offset = r->offset;
        }
    } else if (w->now_us >= r->sync_until_us) {
        gain_link(w, i, up, true);
    }
}

static void step_link(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    if (!redis_answers(w, i) || redis_loading(w, i) || r->upstream < 0) {
        return;
    }
    if (r->link == REPL_LINK_CONNECTED || r->link == REPL_LINK_SYNC) {
        follow_link(w, i);
    } else {
        try_link(w, i);
    }
}

static void on_link(struct world *w, struct sim_msg *m)
{
    if (m->gen == at(w, m->to)->gen) {
        step_link(w, m->to);
    }
}

/* ---- the stream: what the master has written, on its way to replica i ---- */

static void on_stream(struct world *w, struct sim_msg *m)
{
    unsigned i = m->to;
    struct redis *r = at(w, i);
    if (m->gen != r->link_serial || !r->alive) {
        return;
    }
    bool waits =
        !redis_answers(w, i) || r->busy || redis_is_paused(w, i) || !net_reaches(w, i, m->from);
    if (waits) {
        struct sim_msg *again = sim_in(w, STREAM_RETRY_US, on_stream);
        again->to = i;
        again->from = m->from;
        again->gen = m->gen;
        again->c = m->c;
        return;
    }
    r->streaming = false;
    r->offset = m->c > r->offset ? m->c : r->offset;
    stream(w, i);
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        stream(w, k);
    }
}

static void stream(struct world *w, unsigned i)
{
    struct redis *r = at(w, i);
    if (r->streaming || r->upstream < 0 || r->link != REPL_LINK_CONNECTED) {
        return;
    }
    unsigned u = (unsigned)r->upstream;
    const struct redis *up = at(w, u);
    bool attached = up->alive && !up->frozen && up->repl_gen == r->link_gen;
    if (!attached || up->offset <= r->offset) {
        return;
    }
    r->streaming = true;
    struct sim_msg *m = sim_in(w, net_delay(w, u, i), on_stream);
    m->to = i;
    m->from = u;
    m->gen = r->link_serial;
    m->c = up->offset;
}

void redis_advance(struct world *w, unsigned i, int64_t bytes)
{
    at(w, i)->offset += bytes;
    for (unsigned k = 0; k < w->cfg.pods; k++) {
        if (at(w, k)->upstream == (int)i) {
            stream(w, k);
        }
    }
}

static void on_cron(struct world *w, struct sim_msg *m)
{
    struct redis *r = at(w, m->to);
    if (m->gen != r->gen) {
        return;
    }
    if (is_serving_master(w, m->to)) {
        r->master_until_us = w->now_us;
        if (w->now_us >= r->ping_us) {
            r->ping_us = w->now_us + PING_US;
            redis_advance(w, m->to, PING_BYTES);
        }
    } else {
        step_link(w, m->to);
    }
    struct sim_msg *next = sim_in(w, CRON_US, on_cron);
    next->to = m->to;
    next->gen = m->gen;
}
