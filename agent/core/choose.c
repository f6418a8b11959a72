#include "agent/core/succession_steps.h"

const struct info *succession_info(const struct core *c, size_t slot, uint64_t since_us)
{
    if (slot != MEMBER_LOCAL) {
        return members_info_since(&c->members, slot, since_us);
    }
    bool fresh = c->local.connected && c->local.info_us != 0 && c->local.info_us >= since_us;
    return fresh ? &c->local.info : NULL;
}

static int64_t offset_of(const struct info *in)
{
    return in->role == REDIS_ROLE_SLAVE && info_has(in, INFO_SLAVE_OFFSET) ? in->slave_offset
                                                                           : in->master_offset;
}

/* The Redis that the Sentinels name is in sync with this master: nobody else can be meant. */
static bool named_one_follows(const struct core *c, const struct info *master)
{
    const struct addr *named = &c->input.newest.addr;
    size_t x = members_find(&c->members, named);
    bool me = evidence_is_me(&c->evidence, named);
    const struct info *in =
        me || x < MEMBERS_MAX ? succession_info(c, me ? MEMBER_LOCAL : x, 1) : NULL;
    return in != NULL && in->role == REDIS_ROLE_SLAVE && info_has(in, INFO_LINK_UP) &&
           in->link_up && info_has(in, INFO_REPLID) && strcmp(in->replid, master->replid) == 0;
}

/* A stray that restarted shows its former history like a promoted one (Redis 7.0 and later keep
 * it as master_replid2): only a process that was seen as a replica is one. */
static bool was_replica(const struct core *c, size_t slot, const struct info *in)
{
    if (slot == MEMBER_LOCAL) {
        return c->mark.as_slave && strcmp(c->mark.run_id, in->run_id) == 0;
    }
    return in->run_id[0] != '\0' && strcmp(c->members.at[slot].slave_run_id, in->run_id) == 0;
}

/* 0 does not carry it, 1 carries mine, 2 continues it, 3 was promoted from it. */
static int history_rank(const struct core *c, size_t slot, const struct info *in)
{
    const struct mark *m = &c->mark;
    int64_t least = m->offset - (int64_t)u64_min(c->cfg.max_lag_bytes, INT64_MAX / 2);
    bool has_data = offset_of(in) > 1;
    int otherwise = has_data && stand_is_desperate(c) ? 1 : 0;
    if (!m->known || !info_has(in, INFO_REPLID)) {
        return otherwise;
    }
    bool continues = info_has(in, INFO_REPLID2) && strcmp(in->replid2, m->replid) == 0 &&
                     info_has(in, INFO_SECOND_OFFSET) && in->second_offset >= least;
    if (in->role == REDIS_ROLE_MASTER) {
        bool mine = continues && was_replica(c, slot, in);
        return mine || named_one_follows(c, in) ? 3 : otherwise;
    }
    if (offset_of(in) <= 1) {
        return 0; /* never in sync: a first sync looks so */
    }
    if (continues) {
        return 2;
    }
    return strcmp(in->replid, m->replid) == 0 && offset_of(in) >= least ? 1 : otherwise;
}

bool succession_may_choose(const struct core *c, size_t slot, const struct addr *replaced,
                           uint64_t since_us, bool *ret_descends)
{
    const struct info *in = succession_info(c, slot, since_us);
    const struct addr *addr = slot == MEMBER_LOCAL ? NULL : &c->members.at[slot].addr;
    bool is_replaced =
        addr != NULL ? addr_eq(addr, replaced) : evidence_is_me(&c->evidence, replaced);
    if (in == NULL || is_replaced || !info_has(in, INFO_ROLE) ||
        (addr != NULL && evidence_is_me(&c->evidence, addr))) {
        return false;
    }
    bool busy = (info_has(in, INFO_LOADING) && in->loading) ||
                (info_has(in, INFO_SYNC) && in->sync_in_progress);
    bool never = info_has(in, INFO_PRIORITY) && in->priority == 0;
    const struct pod *pod = addr != NULL ? engine_pod_at(c, addr) : &c->label.seen;
    bool leaving = pod != NULL && (pod->terminating || pod->fence);
    int rank = history_rank(c, slot, in);
    *ret_descends = rank > 1;
    return rank > 0 && !busy && !never && !leaving;
}

/* The better successor first: promoted already, the longer history, priority, offset, run-id. */
static bool is_better(const struct core *c, size_t one, size_t other)
{
    const struct info *a = succession_info(c, one, c->succession.state_us);
    const struct info *b = succession_info(c, other, c->succession.state_us);
    int ra = history_rank(c, one, a);
    int rb = history_rank(c, other, b);
    if (ra != rb) {
        return ra > rb;
    }
    if (a->priority != b->priority) {
        return a->priority < b->priority;
    }
    if (offset_of(a) != offset_of(b)) {
        return offset_of(a) > offset_of(b);
    }
    return strcmp(a->run_id, b->run_id) < 0;
}

static bool is_target(const struct core *c, size_t slot)
{
    const char *want = c->handover.target;
    if (c->succession.mechanism != MECHANISM_HAND_OVER || want[0] == '\0') {
        return true;
    }
    const struct pod *pod = engine_pod_at(c, &c->members.at[slot].addr);
    return pod != NULL && strcmp(pod->name, want) == 0;
}

size_t succession_choose(const struct core *c, bool *ret_unlisted)
{
    *ret_unlisted = false;
    const struct succession *s = &c->succession;
    size_t best = NOBODY;
    for (size_t i = 0; i <= MEMBERS_MAX; i++) {
        bool descends;
        bool local_counts = s->mechanism != MECHANISM_CRASH && s->mechanism != MECHANISM_HAND_OVER;
        if ((i == MEMBER_LOCAL && !local_counts) ||
            !succession_may_choose(c, i, &s->replaced, s->state_us, &descends) ||
            (i != MEMBER_LOCAL && !is_target(c, i))) {
            continue;
        }
        if (succession_listing(c, i) < s->need) {
            *ret_unlisted = true;
            continue;
        }
        if (best > MEMBERS_MAX || is_better(c, i, best)) {
            best = i;
        }
    }
    return best;
}
