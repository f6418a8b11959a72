#include "agent/core/stand.h"

#include "agent/core/engine.h"

static bool is_sentinel_id(const struct core *c, const char *id)
{
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        if (strcmp(c->evidence.sentinels[i].id, id) == 0) {
            return true;
        }
        for (size_t k = 0; k < c->look[i].look.peer_count; k++) {
            if (strcmp(c->look[i].look.peers[k].run_id, id) == 0) {
                return true;
            }
        }
    }
    return false;
}

void stand_on_vote(struct core *c, const char *id, uint64_t epoch)
{
    struct stand *s = &c->stand;
    if (id[0] == '\0' || epoch <= c->input.newest.epoch || epoch <= s->foreign_epoch ||
        succession_is_mine(&c->succession, id) || is_sentinel_id(c, id)) {
        return;
    }
    (void)str_copy(s->foreign_id, sizeof s->foreign_id, sv_from(id));
    s->foreign_epoch = epoch;
    s->foreign_us = c->now_us;
}

bool stand_sees_candidate(const struct core *c)
{
    return c->stand.foreign_us != 0 && c->stand.foreign_epoch > c->input.newest.epoch &&
           u64_since(c->now_us, c->stand.foreign_us) < SUCCESSION_YIELD_US;
}

bool stand_is_desperate(const struct core *c)
{
    return c->stand.slave_us != 0 && u64_since(c->now_us, c->stand.slave_us) >= STAND_DESPERATE_US;
}

/* ---- signs of death ---- */

void stand_on_local_up(struct core *c)
{
    struct stand *s = &c->stand;
    s->process_dead = false;
    s->up_us = c->now_us;
    s->closed_us = s->refused_us = s->dead_us = s->kick_us = 0;
}

void stand_on_local_down(struct core *c, bool was_connected, enum local_down why)
{
    struct stand *s = &c->stand;
    if (was_connected) {
        s->closed_us = why == LOCAL_DOWN_CLOSED || why == LOCAL_DOWN_SILENT ? c->now_us : 0;
        s->refused_us = 0;
        return;
    }
    if (why != LOCAL_DOWN_REFUSED || s->closed_us == 0) {
        s->refused_us = 0;
        return;
    }
    if (s->refused_us == 0) {
        s->refused_us = c->now_us;
        s->kick_us = c->now_us + STAND_REFUSED_US;
    } else if (s->dead_us == 0 && u64_since(c->now_us, s->refused_us) >= STAND_REFUSED_US) {
        s->dead_us = c->now_us;
    }
}

static void keep_last_sight(struct core *c)
{
    struct stand *s = &c->stand;
    if (!c->local.connected || !local_is_proven(&c->local, c->now_us) || s->process_dead ||
        c->local.info_us == 0 || c->local.run_id[0] == '\0') {
        return;
    }
    bool master = c->role.state == ROLE_MASTER && c->role.reason != ROLE_WHY_ADOPTED &&
                  c->local.state == ROLE_LOCAL_MASTER &&
                  strcmp(c->role.run_id, c->local.run_id) == 0;
    bool another = s->was_run_id[0] != '\0' && strcmp(s->was_run_id, c->local.run_id) != 0;
    if (!master) {
        /* A successor of the process that died is no longer what was seen. */
        s->was_master = s->was_master && another;
        return;
    }
    const struct info *in = &c->local.info;
    s->was_master = true;
    s->was_master_us = u64_min(c->local.role_us, c->local.info_us);
    s->had_replica = false;
    for (size_t i = 0; i < in->replicas_kept; i++) {
        const struct info_replica *r = &in->replicas[i];
        uint64_t behind =
            in->master_offset > r->offset ? (uint64_t)(in->master_offset - r->offset) : 0;
        s->had_replica = s->had_replica || (r->online && behind <= c->cfg.max_lag_bytes);
    }
    memcpy(s->was_run_id, c->local.run_id, sizeof s->was_run_id);
}

/* The master was restarted, and has less than its replicas were given. */
static bool came_back_behind(const struct core *c)
{
    const struct stand *s = &c->stand;
    const struct info *in = &c->local.info;
    return c->role.state != ROLE_MASTER && c->mark.known && c->local.connected &&
           c->local.run_id[0] != '\0' && strcmp(c->local.run_id, c->mark.run_id) != 0 &&
           u64_since(c->now_us, s->up_us) < STAND_CRASH_FOR_US &&
           c->local.state == ROLE_LOCAL_MASTER && info_has(in, INFO_MASTER_OFFSET) &&
           in->master_offset < c->mark.offset;
}

/* ---- what others have begun ---- */

static void first_sight(uint64_t *since_us, bool seen, uint64_t now_us)
{
    *since_us = !seen ? 0 : *since_us != 0 ? *since_us : now_us;
}

static bool named_is_me(const struct core *c)
{
    return c->input.newest.known && evidence_is_me(&c->evidence, &c->input.newest.addr);
}

static bool local_says(const struct core *c, enum redis_role role)
{
    return c->local.connected && local_is_proven(&c->local, c->now_us) &&
           c->local.role.role == role;
}

static bool is_held(const struct core *c)
{
    return local_says(c, REDIS_ROLE_SLAVE) && c->local.role.link != REPL_LINK_CONNECTED;
}

static bool sentinel_fails_over(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct sentinel *s = &c->evidence.sentinels[i];
        bool fresh =
            s->view.asked_us != 0 && u64_since(c->now_us, s->view.asked_us) <= VIEW_FRESH_US;
        bool above = s->failover.epoch == 0 || s->failover.epoch > n->epoch;
        bool flagged = s->view.knows_master && addr_eq(&s->view.addr, &n->addr) &&
                       (s->view.flags & (1U << SENTINEL_FLAG_FAILOVER)) != 0;
        if (fresh && ((s->failover.open && above) || flagged)) {
            return true;
        }
    }
    return false;
}

static bool is_down_for_majority(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    unsigned down = 0;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct view *v = &c->evidence.sentinels[i].view;
        bool fresh = v->asked_us != 0 && u64_since(c->now_us, v->asked_us) <= VIEW_FRESH_US;
        down += fresh && v->knows_master && addr_eq(&v->addr, &n->addr) &&
                        (v->flags & (1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_O_DOWN)) != 0
                    ? 1
                    : 0;
    }
    return 2 * down > n->n;
}

static bool was_promoted(const struct core *c, size_t slot, bool *ret_local)
{
    bool descends = false;
    const struct info *in = slot == MEMBER_LOCAL ? &c->local.info : &c->members.at[slot].info;
    uint64_t since_us = c->now_us > STAND_ASKED_US ? c->now_us - STAND_ASKED_US : 1;
    if (slot == MEMBER_LOCAL) {
        since_us = c->now_us > 2 * CORE_LOCAL_PERIOD_US ? c->now_us - 2 * CORE_LOCAL_PERIOD_US : 1;
    }
    since_us = u64_max(since_us, c->stand.newest_us);
    *ret_local = slot == MEMBER_LOCAL;
    return succession_may_choose(c, slot, &c->input.newest.addr, since_us, &descends) && descends &&
           in->role == REDIS_ROLE_MASTER;
}

static const struct info *asked_lately(const struct core *c, size_t slot)
{
    uint64_t since_us = c->now_us > STAND_ASKED_US ? c->now_us - STAND_ASKED_US : 1;
    since_us = u64_max(since_us, c->stand.newest_us); /* not from before it was named */
    return slot < MEMBERS_MAX ? members_info_since(&c->members, slot, since_us) : NULL;
}

static uint64_t gone_since(const struct core *c)
{
    for (size_t i = 0; i < STAND_GONE_MAX; i++) {
        const struct gone_pod *g = &c->stand.gone[i];
        struct pod p = {.ordinal = -1};
        if (g->gone_us == 0 || u64_since(c->now_us, g->gone_us) > STAND_GONE_KEEP_US) {
            continue;
        }
        memcpy(p.name, g->name, sizeof p.name);
        memcpy(p.hostname, g->hostname, sizeof p.hostname);
        memcpy(p.ip, g->ip, sizeof p.ip);
        if (engine_pod_has(&p, &c->input.newest.addr)) {
            return g->gone_us;
        }
    }
    return 0;
}

/* Another newest is another story. */
static void follow_newest(struct core *c)
{
    struct stand *s = &c->stand;
    const struct newest *n = &c->input.newest;
    if (!n->known || (n->epoch == s->named_epoch && addr_eq(&n->addr, &s->named))) {
        return;
    }
    s->named = n->addr;
    s->named_epoch = n->epoch;
    s->newest_us = c->now_us;
    s->failover_us = s->promoted_us = s->down_us = s->slave_us = s->named_us = 0;
    s->tries = 0;
}

void stand_watch(struct core *c, struct core_actions *out)
{
    struct stand *s = &c->stand;
    const struct newest *n = &c->input.newest;
    follow_newest(c);
    keep_last_sight(c);
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct vote *v = &c->evidence.sentinels[i].vote;
        stand_on_vote(c, v->leader_id, v->epoch);
    }
    if (s->foreign_us != 0 && n->known && s->foreign_epoch <= n->epoch) {
        s->foreign_us = 0;
    }
    bool named_me = named_is_me(c);
    size_t x = n->known && !named_me ? members_find(&c->members, &n->addr) : MEMBERS_MAX;
    const struct info *in = asked_lately(c, x);
    bool slave = (in != NULL && info_has(in, INFO_ROLE) && in->role == REDIS_ROLE_SLAVE) ||
                 (named_me && local_says(c, REDIS_ROLE_SLAVE) && c->local.role_us >= s->newest_us);
    bool promoted = false;
    for (size_t i = 0; i <= MEMBERS_MAX && n->known; i++) {
        bool local;
        promoted = was_promoted(c, i, &local) || promoted;
    }
    bool unlike = in != NULL && !slave;
    s->slave_seen_us = slave ? c->now_us : s->slave_seen_us;
    bool lately = s->slave_us != 0 && u64_since(c->now_us, s->slave_seen_us) < STAND_SIGHT_US;
    first_sight(&s->slave_us, n->known && (slave || (lately && !unlike)), c->now_us);
    first_sight(&s->named_us, named_me && is_held(c), c->now_us);
    first_sight(&s->promoted_us, promoted, c->now_us);
    first_sight(&s->failover_us, n->known && sentinel_fails_over(c), c->now_us);
    first_sight(&s->down_us, n->known && is_down_for_majority(c), c->now_us);
    first_sight(&s->link_us,
                local_says(c, REDIS_ROLE_SLAVE) && c->local.role.link != REPL_LINK_CONNECTED,
                c->now_us);

    bool gone = gone_since(c) != 0 && local_says(c, REDIS_ROLE_SLAVE) && s->link_us == 0;
    if (gone && c->now_us >= s->watch_us) {
        engine_ask_local(c, true);
    }
    bool doubt = gone || s->slave_us != 0 || s->named_us != 0 || s->promoted_us != 0 ||
                 s->failover_us != 0 || s->down_us != 0 || s->link_us != 0 || s->foreign_us != 0;
    if (doubt && c->now_us >= s->watch_us) {
        s->watch_us = c->now_us + STAND_WATCH_US;
        for (size_t i = 0; i < MEMBERS_MAX; i++) {
            if (c->members.at[i].up) {
                (void)engine_read_member(c, i, out);
            }
        }
        if (x < MEMBERS_MAX && !c->members.at[x].up) {
            core_actions_add(out, ACT_MEMBER_KICK)->slot = x;
        }
    }
    if (!doubt) {
        s->watch_us = 0;
    }
    if (s->process_dead && s->dead_us == 0) {
        s->dead_us = c->now_us;
    }
    if (s->kick_us != 0 && c->now_us >= s->kick_us) {
        s->kick_us = 0;
        core_actions_add(out, ACT_KICK_LOCAL);
    }
}

/* ---- who stands, and when ---- */

static uint64_t rank_us(struct core *c, uint64_t what)
{
    struct stand *s = &c->stand;
    if (s->jitter_for != what) {
        s->jitter_for = what;
        s->rank_jitter_us = rng_below(&c->rng, STAND_RANK_US);
    }
    bool local;
    if (was_promoted(c, MEMBER_LOCAL, &local)) {
        return s->rank_jitter_us / 2;
    }
    uint64_t rank = 1;
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        const struct pod *p = &c->peers[i];
        bool before = p->name[0] != '\0' && p->ordinal >= 0 && p->ordinal < c->ordinal;
        rank += before && !p->terminating && !engine_pod_has(p, &c->input.newest.addr) ? 1 : 0;
    }
    return rank * STAND_RANK_US + s->rank_jitter_us;
}

static bool is_crash(const struct core *c, enum why *ret)
{
    const struct stand *s = &c->stand;
    if (!c->cfg.on.crash || !named_is_me(c)) {
        return false;
    }
    if (came_back_behind(c)) {
        *ret = WHY_BEHIND;
        return true;
    }
    if (!s->was_master || !s->had_replica) {
        return false;
    }
    *ret = s->process_dead ? WHY_PROCESS_ENDED : WHY_REFUSED_TWICE;
    return s->dead_us != 0 && u64_since(s->dead_us, s->was_master_us) <= ENGINE_MARK_FRESH_US &&
           u64_since(c->now_us, s->dead_us) < STAND_CRASH_FOR_US;
}

/* newest's master refuses connects, or gave none for longer than `for_us`. */
static bool is_out_of_reach(const struct core *c, uint64_t for_us)
{
    size_t x = members_find(&c->members, &c->input.newest.addr);
    if (x == MEMBERS_MAX || c->members.at[x].up) {
        return false;
    }
    const struct member *m = &c->members.at[x];
    return m->refusals >= 2 || (for_us != 0 && u64_since(c->now_us, m->down_us) >= for_us);
}

static bool is_gone(struct core *c, uint64_t *ret_at_us)
{
    uint64_t gone_us = gone_since(c);
    if (!c->cfg.on.gone || gone_us == 0 || c->stand.link_us == 0 || named_is_me(c) ||
        !is_out_of_reach(c, c->cfg.fence_after_us)) {
        return false;
    }
    *ret_at_us = u64_max(gone_us, c->stand.link_us) + rank_us(c, gone_us);
    return true;
}

static void earlier(uint64_t *at_us, enum why *ret, uint64_t since_us, uint64_t wait_us,
                    enum why why)
{
    if (since_us != 0 && since_us + wait_us < *at_us) {
        *at_us = since_us + wait_us;
        *ret = why;
    }
}

static bool is_repair(struct core *c, uint64_t *ret_at_us, enum why *ret)
{
    const struct stand *s = &c->stand;
    /* What Sentinels take for down for seconds more may answer, asked directly. */
    const struct info *in = asked_lately(c, members_find(&c->members, &c->input.newest.addr));
    bool answers = in != NULL && info_has(in, INFO_ROLE) && in->role == REDIS_ROLE_MASTER;
    bool bad = s->slave_us != 0 || s->down_us != 0 || is_out_of_reach(c, 0);
    if (!c->cfg.on.repair || !bad || answers) {
        return false;
    }
    uint64_t at_us = UINT64_MAX;
    earlier(&at_us, ret, s->foreign_us, SUCCESSION_YIELD_US, WHY_UNANNOUNCED_VOTE);
    earlier(&at_us, ret, s->promoted_us, SUCCESSION_YIELD_US, WHY_UNANNOUNCED_MASTER);
    earlier(&at_us, ret, s->slave_us, SUCCESSION_YIELD_US, WHY_NAMES_SLAVE);
    earlier(&at_us, ret, s->failover_us, STAND_SENTINEL_US, WHY_STUCK_FAILOVER);
    earlier(&at_us, ret, s->down_us, STAND_SENTINEL_US, WHY_NO_FAILOVER);
    if (at_us == UINT64_MAX) {
        return false;
    }
    /* A Sentinel that has just begun is given its time, whatever else was seen. */
    if (s->failover_us != 0) {
        at_us = u64_max(at_us, s->failover_us + STAND_SENTINEL_US);
    }
    *ret_at_us = at_us + rank_us(c, at_us);
    return true;
}

static void stand(struct core *c, enum mechanism m, enum why why, struct core_actions *out)
{
    struct stand *s = &c->stand;
    uint64_t limit_us = u64_min(STAND_RETRY_MAX_US, (uint64_t)STAND_RETRY_MIN_US << s->tries);
    s->tries = s->tries < 8 ? s->tries + 1 : s->tries;
    s->retry_us = c->now_us + limit_us + rng_below(&c->rng, limit_us);
    succession_begin(c, m, why, out);
}

/* Held, named, and nobody has more: this Redis is the master that there is. */
static bool may_return(const struct core *c)
{
    const struct stand *s = &c->stand;
    if (!c->cfg.on.repair || s->named_us == 0 || !engine_majority_names(c) ||
        u64_since(c->now_us, s->named_us) < STAND_RETURN_US || stand_sees_candidate(c) ||
        c->local.info_us < s->named_us || !info_has(&c->local.info, INFO_MASTER_OFFSET)) {
        return false;
    }
    int64_t mine = c->local.info.master_offset;
    if (info_has(&c->local.info, INFO_SLAVE_OFFSET) && c->local.info.slave_offset > mine) {
        mine = c->local.info.slave_offset;
    }
    mine = mine > 1 ? mine : 1; /* 0 and 1: never had anything */
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct member *m = &c->members.at[i];
        const struct pod *pod = engine_pod_at(c, &m->addr);
        if (!addr_is_set(&m->addr) || (!m->up && c->peers_synced && pod == NULL)) {
            continue; /* nobody lives there any more */
        }
        const struct info *in = asked_lately(c, i);
        if (in == NULL || in->role != REDIS_ROLE_SLAVE || !info_has(in, INFO_SLAVE_OFFSET) ||
            in->slave_offset > mine || in->master_offset > mine) {
            return false;
        }
    }
    return true;
}

void stand_step(struct core *c, struct core_actions *out)
{
    struct stand *s = &c->stand;
    const struct newest *n = &c->input.newest;
    if (c->succession.state != SUCCESSION_IDLE || c->handover.running || !n->known ||
        !engine_majority_names(c)) {
        return;
    }
    if (may_return(c)) {
        if (c->now_us >= s->return_us) {
            s->return_us = c->now_us + STAND_RETRY_MAX_US;
            (void)engine_order(c, out, MECHANISM_LAUNCH, MEMBER_LOCAL, ORDER_PROMOTE, NULL, 0,
                               u64_since(c->now_us, c->local.info_us));
            engine_ask_local(c, true);
        }
        return;
    }
    bool may = c->now_us >= s->retry_us && c->now_us >= c->succession.hold_us;
    uint64_t at_us = 0;
    enum why why = WHY_NONE;
    if (is_crash(c, &why)) {
        if (may) {
            stand(c, MECHANISM_CRASH, why, out);
        }
    } else if (is_gone(c, &at_us)) {
        if (may && c->now_us >= at_us) {
            stand(c, MECHANISM_GONE, WHY_POD_GONE, out);
        }
    } else if (is_repair(c, &at_us, &why)) {
        if (may && c->now_us >= at_us) {
            stand(c, MECHANISM_REPAIR, why, out);
        }
    } else {
        s->tries = 0;
    }
}

static void keep_gone(struct stand *s, const struct pod *p, uint64_t now_us)
{
    struct gone_pod *oldest = &s->gone[0];
    for (size_t i = 0; i < STAND_GONE_MAX; i++) {
        oldest = s->gone[i].gone_us < oldest->gone_us ? &s->gone[i] : oldest;
    }
    *oldest = (struct gone_pod){.gone_us = now_us};
    memcpy(oldest->name, p->name, sizeof oldest->name);
    memcpy(oldest->hostname, p->hostname, sizeof oldest->hostname);
    memcpy(oldest->ip, p->ip, sizeof oldest->ip);
}

void stand_on_member_down(struct core *c, size_t slot)
{
    /* The master's connection to me is as good as lost too: ROLE tells. */
    if (c->members.at[slot].up && c->input.newest.known &&
        addr_eq(&c->members.at[slot].addr, &c->input.newest.addr)) {
        engine_ask_local(c, true);
    }
}

void stand_on_pod_gone(struct core *c, const struct pod *p)
{
    if (p->ip[0] != '\0') {
        keep_gone(&c->stand, p, c->now_us);
    }
}

uint64_t stand_next_deadline(const struct core *c)
{
    const struct stand *s = &c->stand;
    uint64_t next = s->watch_us != 0 ? u64_max(s->watch_us, c->now_us + 1) : UINT64_MAX;
    if (s->kick_us != 0) {
        next = u64_min(next, s->kick_us);
    }
    bool waits = s->watch_us != 0 || s->dead_us != 0;
    return waits ? u64_min(next, c->now_us + 20000) : next;
}
