#include "test/sim/sim.h"

#define TILT_TRIGGER_US (2 * SECOND)
#define TILT_US (30 * SECOND)
#define REPLY_VALID_US (5 * SECOND)
#define CONVERT_AFTER_US (4 * SENTINEL_HELLO_PERIOD_US)

static void on_tick(struct world *w, struct sim_msg *m);

static struct sentinel_model *at(struct world *w, unsigned k)
{
    return &w->sentinels[k];
}

/* ---- telling clients ---- */

void sentinel_tell(struct world *w, unsigned k, enum sentinel_event_type type, int instance)
{
    const struct sentinel_model *s = at(w, k);
    struct sentinel_news news = {.type = type,
                                 .instance = instance,
                                 .master = s->master,
                                 .epoch = type == SENTINEL_EVENT_VOTE ? s->leader_epoch
                                                                      : s->current_epoch,
                                 .leader = s->leader};
    sim_trace(w, "sentinel-%u %s %d (epoch %llu, config %llu)", k, sentinel_event_name(type),
              instance, (unsigned long long)s->current_epoch, (unsigned long long)s->config_epoch);
    if (w->truth.told_us[k][type] == 0) {
        w->truth.told_us[k][type] = w->now_us;
    }
    conn_send_news(w, k, &news);
}

int sentinel_named(const struct sentinel_model *s)
{
    bool promoted = s->failover >= FAILOVER_RECONF && s->promoted >= 0;
    return promoted ? s->promoted : s->master;
}

bool sentinel_answers(const struct world *w, unsigned k)
{
    return w->sentinels[k].alive && !w->sentinels[k].frozen;
}

bool sentinel_tilted(const struct world *w, const struct sentinel_model *s)
{
    return w->now_us < s->tilt_until_us;
}

void sentinel_snapshot(const struct world *w, unsigned k, struct sentinel_snap *ret)
{
    const struct sentinel_model *s = &w->sentinels[k];
    *ret = (struct sentinel_snap){.monitors = s->monitors, .addr = -1, .named = -1};
    if (!s->monitors) {
        return;
    }
    ret->addr = s->master;
    ret->named = sentinel_named(s);
    ret->run_id = s->redis[s->master].run_id;
    ret->epoch = s->config_epoch;
    ret->flags = (s->redis[s->master].s_down ? 1U << SENTINEL_FLAG_S_DOWN : 0) |
                 (s->o_down ? 1U << SENTINEL_FLAG_O_DOWN : 0) |
                 (s->failover != FAILOVER_NONE ? 1U << SENTINEL_FLAG_FAILOVER : 0) |
                 (s->forced ? 1U << SENTINEL_FLAG_FORCE : 0);
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        ret->others += p != k && s->peers[p].id != 0 ? 1 : 0;
    }
}

/* ---- life ---- */

static void forget_instance(struct world *w, struct known_redis *r, bool known)
{
    *r = (struct known_redis){.known = known,
                              .available_us = w->now_us,
                              .role_us = w->now_us,
                              .upstream_us = w->now_us,
                              .says_upstream = -1};
}

static void start_ticks(struct world *w, unsigned k)
{
    struct sentinel_model *s = at(w, k);
    s->last_tick_us = w->now_us;
    struct sim_msg *m = sim_in(w, sim_between(w, 1 * MS, 100 * MS), on_tick);
    m->to = k;
    m->gen = s->gen;
}

void sentinel_start(struct world *w, unsigned k)
{
    struct sentinel_model *s = at(w, k);
    if (s->alive) {
        return;
    }
    s->alive = true;
    s->frozen = false;
    s->gen++;
    s->life++;
    s->tilt_until_us = 0;
    s->leader = 0;
    s->o_down = false;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        forget_instance(w, &s->redis[i], s->redis[i].known);
        s->redis[i].says_master = (int)i == s->master;
    }
    sim_trace(w, "sentinel-%u starts", k);
    start_ticks(w, k);
}

void sentinel_monitor(struct world *w, unsigned k, int master)
{
    struct sentinel_model *s = at(w, k);
    s->monitors = master >= 0;
    s->master = master;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        forget_instance(w, &s->redis[i], (int)i == master);
        s->redis[i].says_master = (int)i == master;
    }
    if (s->alive && s->monitors) {
        sentinel_tell(w, k, SENTINEL_EVENT_MONITOR, master);
    }
}

void sentinel_fresh(struct world *w, unsigned k, int master)
{
    struct sentinel_model *s = at(w, k);
    uint64_t gen = s->gen;
    uint64_t life = s->life;
    bool denies = s->denies;
    memset(s, 0, sizeof *s);
    s->gen = gen + 1;
    s->life = life;
    s->denies = denies;
    s->id = rng_next(&w->rng) | 1;
    s->promoted = -1;
    sentinel_monitor(w, k, master);
}

void sentinel_kill(struct world *w, unsigned k)
{
    struct sentinel_model *s = at(w, k);
    if (!s->alive) {
        return;
    }
    /* What it has stored is what a restart finds: its votes, and the master that it names. */
    int named = sentinel_named(s);
    if (named >= 0 && named != s->master) {
        s->redis[s->master].known = true;
        s->master = named;
    }
    s->alive = false;
    s->gen++;
    s->failover = FAILOVER_NONE;
    s->forced = false;
    s->promoted = -1;
    s->start_us = 0;
    sim_trace(w, "sentinel-%u dies", k);
    conn_peer_died(w, -1, (int)k);
}

void sentinel_freeze(struct world *w, unsigned k, bool frozen)
{
    struct sentinel_model *s = at(w, k);
    s->frozen = frozen;
    s->gen++;
    sim_trace(w, "sentinel-%u %s", k, frozen ? "freezes" : "thaws");
    if (!frozen && s->alive) {
        uint64_t last_us = s->last_tick_us;
        start_ticks(w, k);
        s->last_tick_us = last_us;
    }
}

/* ---- votes and configurations ---- */

uint64_t sentinel_vote(struct world *w, unsigned k, uint64_t epoch, uint64_t candidate,
                       uint64_t *ret_epoch)
{
    struct sentinel_model *s = at(w, k);
    if (epoch > s->current_epoch) {
        s->current_epoch = epoch;
        sentinel_tell(w, k, SENTINEL_EVENT_NEW_EPOCH, -1);
    }
    if (s->leader_epoch < epoch && s->current_epoch <= epoch) {
        s->leader = candidate;
        s->leader_epoch = s->current_epoch;
        truth_note_vote(w, k, s->leader_epoch, candidate);
        sentinel_tell(w, k, SENTINEL_EVENT_VOTE, -1);
        if (candidate != s->id) {
            s->start_us = w->now_us + sim_between(w, 0, SECOND);
        }
    }
    *ret_epoch = s->leader_epoch;
    return s->leader;
}

/* Forgets all about the old master's state and begins with the new one. */
void sentinel_switch_master(struct world *w, unsigned k, int to)
{
    struct sentinel_model *s = at(w, k);
    sentinel_tell(w, k, SENTINEL_EVENT_SWITCH_MASTER, to);
    s->redis[to].known = true;
    s->master = to;
    s->failover = FAILOVER_NONE;
    s->forced = false;
    s->promoted = -1;
    s->leader = 0;
    s->o_down = false;
    s->start_us = 0;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        forget_instance(w, &s->redis[i], s->redis[i].known);
        s->redis[i].says_master = (int)i == to;
    }
}

void sentinel_force_hello(struct world *w, unsigned k)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        at(w, k)->redis[i].publish_us = 0;
    }
}

bool sentinel_force_failover(struct world *w, unsigned k)
{
    struct sentinel_model *s = at(w, k);
    if (!sentinel_answers(w, k) || !s->monitors || s->failover != FAILOVER_NONE ||
        sentinel_choose_replica(w, s) < 0) {
        return false;
    }
    sim_trace(w, "SENTINEL FAILOVER to sentinel-%u", k);
    s->forced = true;
    sentinel_start_failover(w, k);
    return true;
}

/* ---- down, and what follows ---- */

static void check_s_down(struct world *w, unsigned k, unsigned i)
{
    struct sentinel_model *s = at(w, k);
    struct known_redis *r = &s->redis[i];
    uint64_t silent_us = 0;
    if (r->ping_pending_us != 0) {
        silent_us = u64_since(w->now_us, r->ping_pending_us);
    } else if (!r->connected) {
        silent_us = u64_since(w->now_us, r->available_us);
    }
    bool wrong_role =
        (int)i == s->master && !r->says_master &&
        u64_since(w->now_us, r->role_us) > w->cfg.down_after_us + 2 * SENTINEL_INFO_PERIOD_US;
    bool down = silent_us > w->cfg.down_after_us || wrong_role;
    if (down == r->s_down) {
        return;
    }
    if (down) {
        sim_trace(w, "sentinel-%u: redis-%u %s", k, i,
                  wrong_role ? "is a replica for too long" : "does not answer");
    }
    r->s_down = down;
    r->s_down_us = down ? w->now_us : r->s_down_us;
    sentinel_tell(w, k, down ? SENTINEL_EVENT_SDOWN : SENTINEL_EVENT_NOT_SDOWN, (int)i);
}

static void check_o_down(struct world *w, unsigned k)
{
    struct sentinel_model *s = at(w, k);
    unsigned count = 0;
    if (s->redis[s->master].s_down) {
        count = 1;
        for (unsigned p = 0; p < w->cfg.sentinels; p++) {
            count += s->peers[p].id != 0 && s->peers[p].master_down ? 1 : 0;
        }
    }
    bool down = count >= w->cfg.quorum && count > 0;
    if (down == s->o_down) {
        return;
    }
    s->o_down = down;
    s->o_down_us = down ? w->now_us : s->o_down_us;
    sentinel_tell(w, k, down ? SENTINEL_EVENT_ODOWN : SENTINEL_EVENT_NOT_ODOWN, s->master);
}

static bool no_down_for(const struct world *w, const struct known_redis *r, uint64_t wait_us)
{
    return r->s_down_us == 0 || u64_since(w->now_us, r->s_down_us) > wait_us;
}

static bool master_looks_sane(const struct world *w, const struct sentinel_model *s)
{
    const struct known_redis *r = &s->redis[s->master];
    return r->says_master && !r->s_down && !s->o_down && r->info_us != 0 &&
           u64_since(w->now_us, r->info_us) < 2 * SENTINEL_INFO_PERIOD_US;
}

static void expire_replies(struct world *w, struct sentinel_model *s)
{
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        struct known_sentinel *peer = &s->peers[p];
        if (u64_since(w->now_us, peer->reply_us) > REPLY_VALID_US) {
            peer->master_down = false;
            peer->leader = 0;
        }
    }
}

static void watch_master(struct world *w, unsigned k)
{
    struct sentinel_model *s = at(w, k);
    expire_replies(w, s);
    check_o_down(w, k);
    bool may_start =
        s->o_down && s->failover == FAILOVER_NONE &&
        (s->start_us == 0 || w->now_us >= s->start_us + 2 * w->cfg.failover_timeout_us);
    if (may_start) {
        sentinel_start_failover(w, k);
        sentinel_ask_peers(w, k, true);
    }
    sentinel_failover_step(w, k);
    sentinel_ask_peers(w, k, false);
    if (s->failover == FAILOVER_UPDATE) {
        sentinel_switch_master(w, k, s->promoted >= 0 ? s->promoted : s->master);
    }
}

static void on_tick(struct world *w, struct sim_msg *m)
{
    unsigned k = m->to;
    struct sentinel_model *s = at(w, k);
    if (m->gen != s->gen || !sentinel_answers(w, k)) {
        return;
    }
    bool tilted = sentinel_tilted(w, s);
    if (u64_since(w->now_us, s->last_tick_us) > TILT_TRIGGER_US) {
        s->tilt_until_us = w->now_us + TILT_US;
        sentinel_tell(w, k, SENTINEL_EVENT_TILT, -1);
        tilted = true;
    }
    s->last_tick_us = w->now_us;
    for (unsigned i = 0; i < w->cfg.pods && s->monitors; i++) {
        if (s->redis[i].known) {
            sentinel_contact(w, k, i);
        }
        if (s->redis[i].known && !tilted) {
            check_s_down(w, k, i);
        }
    }
    if (s->monitors && !tilted) {
        watch_master(w, k);
    }
    struct sim_msg *next = sim_in(w, sim_between(w, 50 * MS, 100 * MS), on_tick);
    next->to = k;
    next->gen = s->gen;
}

/* ---- what INFO tells ---- */

static void note_role(struct world *w, unsigned k, unsigned i, const struct redis_snap *snap)
{
    struct sentinel_model *s = at(w, k);
    struct known_redis *r = &s->redis[i];
    bool says_master = snap->upstream < 0;
    if (says_master != r->says_master) {
        bool expected = says_master == ((int)i == s->master);
        r->says_master = says_master;
        r->role_us = w->now_us;
        r->upstream_us = says_master ? r->upstream_us : w->now_us;
        sentinel_tell(w, k, expected ? SENTINEL_EVENT_ROLE_CHANGE : SENTINEL_EVENT_NOT_ROLE_CHANGE,
                      (int)i);
    }
    if (snap->upstream != r->says_upstream) {
        r->says_upstream = snap->upstream;
        r->upstream_us = w->now_us;
    }
    r->link_up = snap->link_up;
    r->link_down_us = snap->link_up ? 0 : snap->link_down_us;
    r->offset = snap->offset;
}

static void note_run_id(struct world *w, unsigned k, unsigned i, uint64_t run_id)
{
    struct known_redis *r = &at(w, k)->redis[i];
    bool reboot = r->run_id != 0 && r->run_id != run_id;
    r->run_id = run_id;
    if (reboot) {
        sentinel_tell(w, k, SENTINEL_EVENT_REBOOT, (int)i);
    }
}

static void discover_replicas(struct world *w, unsigned k, unsigned replicas)
{
    struct sentinel_model *s = at(w, k);
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if ((replicas & (1U << i)) != 0 && !s->redis[i].known) {
            forget_instance(w, &s->redis[i], true);
            sentinel_tell(w, k, SENTINEL_EVENT_SLAVE, (int)i);
        }
    }
}

static void set_right(struct world *w, unsigned k, unsigned i, enum sentinel_event_type why)
{
    if (sentinel_send_replicaof(w, k, i, at(w, k)->master)) {
        sentinel_tell(w, k, why, (int)i);
    }
}

static void follow_reconf(struct sentinel_model *s, struct known_redis *r)
{
    if (s->failover != FAILOVER_RECONF || s->promoted < 0) {
        return;
    }
    if (r->reconf == RECONF_SENT && r->says_upstream == s->promoted) {
        r->reconf = RECONF_RUNNING;
    }
    if (r->reconf == RECONF_RUNNING && r->link_up) {
        r->reconf = RECONF_DONE;
    }
}

void sentinel_on_info(struct world *w, unsigned k, unsigned i, const struct redis_snap *snap)
{
    struct sentinel_model *s = at(w, k);
    struct known_redis *r = &s->redis[i];
    r->info_us = w->now_us;
    note_run_id(w, k, i, snap->run_id);
    if ((int)i == s->master) {
        discover_replicas(w, k, snap->replicas);
    }
    note_role(w, k, i, snap);
    if (sentinel_tilted(w, s) || (int)i == s->master) {
        return;
    }
    if (r->says_master) {
        if ((int)i == s->promoted && s->failover == FAILOVER_WAIT_PROMOTION) {
            sentinel_promotion_seen(w, k);
        } else if ((int)i != s->promoted && master_looks_sane(w, s) &&
                   no_down_for(w, r, CONVERT_AFTER_US) &&
                   u64_since(w->now_us, r->role_us) > CONVERT_AFTER_US) {
            set_right(w, k, i, SENTINEL_EVENT_CONVERT_TO_SLAVE);
        }
        return;
    }
    if (r->says_upstream != s->master && s->failover == FAILOVER_NONE && master_looks_sane(w, s) &&
        no_down_for(w, r, w->cfg.failover_timeout_us) &&
        u64_since(w->now_us, r->upstream_us) > w->cfg.failover_timeout_us) {
        set_right(w, k, i, SENTINEL_EVENT_OTHER);
    }
    follow_reconf(s, r);
}
