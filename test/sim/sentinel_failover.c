#include "test/sim/sim.h"

#define ELECTION_TIMEOUT_US (10 * SECOND)
#define PING_PERIOD_US SECOND
#define RECONF_SENT_TIMEOUT_US (10 * SECOND)

static void enter(struct world *w, struct sentinel_model *s, enum failover_state state)
{
    s->failover = state;
    s->change_us = w->now_us;
}

static void abort_failover(struct world *w, unsigned k, enum sentinel_event_type why)
{
    struct sentinel_model *s = &w->sentinels[k];
    sentinel_tell(w, k, why, s->master);
    enter(w, s, FAILOVER_NONE);
    s->forced = false;
    s->promoted = -1;
}

void sentinel_start_failover(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    enter(w, s, FAILOVER_WAIT_START);
    s->failover_epoch = ++s->current_epoch;
    s->promoted = -1;
    sentinel_tell(w, k, SENTINEL_EVENT_NEW_EPOCH, -1);
    sentinel_tell(w, k, SENTINEL_EVENT_TRY_FAILOVER, s->master);
    s->start_us = w->now_us + sim_between(w, 0, SECOND);
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        s->redis[i].reconf = RECONF_NOT;
    }
    w->coverage->failovers++;
    engine_on_failover(w, k);
}

/* ---- election ---- */

static unsigned count_votes(const struct world *w, unsigned k, uint64_t own_vote, uint64_t id)
{
    const struct sentinel_model *s = &w->sentinels[k];
    unsigned votes = own_vote == id ? 1 : 0;
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        const struct known_sentinel *peer = &s->peers[p];
        votes += peer->id != 0 && peer->leader == id && peer->leader_epoch == s->current_epoch;
    }
    return votes;
}

/* Whom the others have voted for most, now; 0 nobody. */
static uint64_t leading_candidate(const struct world *w, unsigned k)
{
    const struct sentinel_model *s = &w->sentinels[k];
    uint64_t best = 0;
    unsigned best_votes = 0;
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        uint64_t id = s->peers[p].leader;
        unsigned votes = id == 0 ? 0 : count_votes(w, k, 0, id);
        if (votes > best_votes) {
            best = id;
            best_votes = votes;
        }
    }
    return best;
}

static uint64_t elected_leader(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    uint64_t candidate = leading_candidate(w, k);
    uint64_t epoch;
    uint64_t mine =
        sentinel_vote(w, k, s->failover_epoch, candidate != 0 ? candidate : s->id, &epoch);
    if (mine == 0 || epoch != s->failover_epoch) {
        return 0;
    }
    unsigned voters = 1;
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        voters += s->peers[p].id != 0 ? 1 : 0;
    }
    uint64_t winner = candidate != 0 && candidate != mine &&
                              count_votes(w, k, mine, candidate) > count_votes(w, k, mine, mine)
                          ? candidate
                          : mine;
    unsigned votes = count_votes(w, k, mine, winner);
    return votes > voters / 2 && votes >= w->cfg.quorum ? winner : 0;
}

static void wait_start(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    uint64_t leader = elected_leader(w, k);
    if (leader != s->id && !s->forced) {
        uint64_t limit_us = u64_min(ELECTION_TIMEOUT_US, w->cfg.failover_timeout_us);
        if (u64_since(w->now_us, s->start_us) > limit_us) {
            abort_failover(w, k, SENTINEL_EVENT_ABORT_NOT_ELECTED);
        }
        return;
    }
    w->coverage->elected += leader == s->id ? 1 : 0;
    sentinel_tell(w, k, SENTINEL_EVENT_ELECTED_LEADER, s->master);
    enter(w, s, FAILOVER_SELECT);
    sentinel_tell(w, k, SENTINEL_EVENT_SELECT_SLAVE, s->master);
}

/* ---- the chosen one ---- */

static bool is_eligible(const struct world *w, const struct sentinel_model *s, unsigned i)
{
    const struct known_redis *r = &s->redis[i];
    bool master_down = s->redis[s->master].s_down;
    uint64_t info_limit_us = master_down ? 5 * PING_PERIOD_US : 3 * SENTINEL_INFO_PERIOD_US;
    uint64_t link_limit_us =
        10 * w->cfg.down_after_us +
        (master_down ? u64_since(w->now_us, s->redis[s->master].s_down_us) : 0);
    return r->known && (int)i != s->master && !r->s_down && r->connected &&
           u64_since(w->now_us, r->available_us) <= 5 * PING_PERIOD_US && r->info_us != 0 &&
           u64_since(w->now_us, r->info_us) <= info_limit_us && r->link_down_us <= link_limit_us;
}

int sentinel_choose_replica(const struct world *w, const struct sentinel_model *s)
{
    int best = -1;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if (!is_eligible(w, s, i)) {
            continue;
        }
        const struct known_redis *r = &s->redis[i];
        if (best < 0 || r->offset > s->redis[best].offset ||
            (r->offset == s->redis[best].offset && r->run_id < s->redis[best].run_id)) {
            best = (int)i;
        }
    }
    return best;
}

static void select_replica(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    int chosen = sentinel_choose_replica(w, s);
    if (chosen < 0) {
        abort_failover(w, k, SENTINEL_EVENT_ABORT_NO_SLAVE);
        return;
    }
    s->promoted = chosen;
    truth_note_selected(w, s->failover_epoch, s->id, chosen);
    sentinel_tell(w, k, SENTINEL_EVENT_SELECTED_SLAVE, chosen);
    enter(w, s, FAILOVER_SEND_NOONE);
    sentinel_tell(w, k, SENTINEL_EVENT_SEND_NOONE, chosen);
}

static void send_noone(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    if (!sentinel_send_replicaof(w, k, (unsigned)s->promoted, -1)) {
        if (u64_since(w->now_us, s->change_us) > w->cfg.failover_timeout_us) {
            abort_failover(w, k, SENTINEL_EVENT_ABORT_TIMEOUT);
        }
        return;
    }
    sentinel_tell(w, k, SENTINEL_EVENT_WAIT_PROMOTION, s->promoted);
    enter(w, s, FAILOVER_WAIT_PROMOTION);
    fault_on_promotion(w, k);
}

void sentinel_promotion_seen(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    s->config_epoch = s->failover_epoch;
    enter(w, s, FAILOVER_RECONF);
    sentinel_tell(w, k, SENTINEL_EVENT_PROMOTED_SLAVE, s->promoted);
    sentinel_tell(w, k, SENTINEL_EVENT_RECONF_SLAVES, s->master);
    sentinel_force_hello(w, k);
}

/* ---- the others ---- */

static bool is_other_replica(const struct sentinel_model *s, unsigned i)
{
    return s->redis[i].known && (int)i != s->master && (int)i != s->promoted;
}

static void reconfigure_next(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    bool running = false;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        struct known_redis *r = &s->redis[i];
        bool expired =
            r->reconf == RECONF_SENT && u64_since(w->now_us, r->reconf_us) > RECONF_SENT_TIMEOUT_US;
        r->reconf = expired ? RECONF_NOT : r->reconf;
        running = running || (is_other_replica(s, i) && !r->s_down &&
                              (r->reconf == RECONF_SENT || r->reconf == RECONF_RUNNING));
    }
    for (unsigned i = 0; i < w->cfg.pods && !running; i++) {
        struct known_redis *r = &s->redis[i];
        if (is_other_replica(s, i) && r->reconf == RECONF_NOT &&
            sentinel_send_replicaof(w, k, i, s->promoted)) {
            r->reconf = RECONF_SENT;
            r->reconf_us = w->now_us;
            running = true;
        }
    }
}

static void reconf(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    bool timed_out = u64_since(w->now_us, s->change_us) > w->cfg.failover_timeout_us;
    bool waiting = false;
    reconfigure_next(w, k);
    if (s->redis[s->promoted].s_down) {
        return; /* stays so: the flag can stay for ever */
    }
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        const struct known_redis *r = &s->redis[i];
        waiting = waiting || (is_other_replica(s, i) && !r->s_down && r->reconf != RECONF_DONE);
    }
    if (waiting && !timed_out) {
        return;
    }
    if (waiting) {
        sentinel_tell(w, k, SENTINEL_EVENT_FAILOVER_END_TIMEOUT, s->master);
        for (unsigned i = 0; i < w->cfg.pods; i++) {
            if (is_other_replica(s, i) && s->redis[i].reconf != RECONF_DONE) {
                (void)sentinel_send_replicaof(w, k, i, s->promoted);
            }
        }
    }
    sentinel_tell(w, k, SENTINEL_EVENT_FAILOVER_END, s->master);
    enter(w, s, FAILOVER_UPDATE);
}

void sentinel_failover_step(struct world *w, unsigned k)
{
    struct sentinel_model *s = &w->sentinels[k];
    switch (s->failover) {
    case FAILOVER_NONE:
    case FAILOVER_UPDATE:
        return;
    case FAILOVER_WAIT_START:
        wait_start(w, k);
        return;
    case FAILOVER_SELECT:
        select_replica(w, k);
        return;
    case FAILOVER_SEND_NOONE:
        send_noone(w, k);
        return;
    case FAILOVER_WAIT_PROMOTION:
        if (u64_since(w->now_us, s->change_us) > w->cfg.failover_timeout_us) {
            abort_failover(w, k, SENTINEL_EVENT_ABORT_TIMEOUT);
        }
        return;
    case FAILOVER_RECONF:
        reconf(w, k);
        return;
    }
}
