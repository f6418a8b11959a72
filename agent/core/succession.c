#include "agent/core/succession.h"

#include "agent/core/engine.h"
#include "lib/base/check.h"

static const char *const state_names[] = {SUCCESSION_STATES(RPA_ENUM_NAME)};

#define TO(state) (1U << SUCCESSION_##state)
static const uint32_t next_of[SUCCESSION_STATE_COUNT] = {
    [SUCCESSION_IDLE] = TO(GATHER),
    [SUCCESSION_GATHER] = TO(IDLE) | TO(VOTES) | TO(COMMIT),
    [SUCCESSION_VOTES] = TO(IDLE) | TO(WAIT) | TO(PAUSE) | TO(PROMOTE) | TO(CONFIRM) | TO(COMMIT),
    [SUCCESSION_WAIT] = TO(IDLE) | TO(VOTES),
    [SUCCESSION_PAUSE] = TO(EQUAL) | TO(RESUME),
    [SUCCESSION_EQUAL] = TO(FOLLOW) | TO(RESUME),
    [SUCCESSION_FOLLOW] = TO(FINAL) | TO(RESUME) | TO(IDLE),
    [SUCCESSION_FINAL] = TO(PROMOTE) | TO(RESUME),
    [SUCCESSION_PROMOTE] = TO(IDLE) | TO(CONFIRM) | TO(RESUME),
    [SUCCESSION_CONFIRM] = TO(IDLE) | TO(ANNOUNCE),
    [SUCCESSION_ANNOUNCE] = TO(IDLE) | TO(COMMIT),
    [SUCCESSION_COMMIT] = TO(IDLE),
    [SUCCESSION_RESUME] = TO(IDLE),
};
#undef TO

const char *succession_state_name(enum succession_state s)
{
    return state_names[s];
}

static void enter(struct core *c, enum succession_state to)
{
    struct succession *s = &c->succession;
    REQUIRE((next_of[s->state] & (1U << to)) != 0);
    s->state = to;
    s->state_us = c->now_us;
    s->enough_us = 0;
    s->order_op = 0;
    s->order_answered = false;
}

static uint64_t in_state_us(const struct core *c)
{
    return u64_since(c->now_us, c->succession.state_us);
}

static const char *my_id(const struct succession *s)
{
    return s->ids[s->serial % SUCCESSION_IDS_MAX];
}

bool succession_is_mine(const struct succession *s, const char *id)
{
    for (size_t i = 0; i < SUCCESSION_IDS_MAX; i++) {
        if (s->ids[i][0] != '\0' && strcmp(s->ids[i], id) == 0) {
            return true;
        }
    }
    return false;
}

static void end(struct core *c, enum decision what, enum why why, struct core_actions *out)
{
    struct succession *s = &c->succession;
    s->succeeded = what == DECIDED_COMMITTED;
    s->why = why;
    s->ended_us = c->now_us;
    engine_decided(c, out, s->mechanism, what, why, &s->chosen_addr, s->epoch);
    enter(c, SUCCESSION_IDLE);
}

static void give_up(struct core *c, enum why why, struct core_actions *out)
{
    end(c, DECIDED_GIVE_UP, why, out);
}

/* To whom or what is given way until `until_us`. */
static void yield(struct core *c, enum why why, uint64_t until_us, struct core_actions *out)
{
    c->succession.hold_us = until_us;
    end(c, DECIDED_YIELD, why, out);
}

static void order(struct core *c, size_t slot, enum order what, const struct addr *addr,
                  uint64_t value, struct core_actions *out)
{
    struct succession *s = &c->succession;
    uint64_t asked_us = slot == MEMBER_LOCAL ? c->local.info_us : c->members.at[slot].info_us;
    s->order_op =
        engine_order(c, out, s->mechanism, slot, what, addr, value, u64_since(c->now_us, asked_us));
    s->order_answered = false;
}

/* Back to where it was before the pause. `followed`: the local Redis may be a replica. */
static void resume(struct core *c, bool followed, enum why why, struct core_actions *out)
{
    struct succession *s = &c->succession;
    enter(c, SUCCESSION_RESUME);
    if (followed) {
        order(c, MEMBER_LOCAL, ORDER_PROMOTE, NULL, 0, out);
    }
    order(c, MEMBER_LOCAL, ORDER_UNPAUSE, NULL, 0, out);
    s->paused_us = 0;
    give_up(c, why, out);
}

/* ---- what the Sentinels say ---- */

static bool looked_since(const struct core *c, size_t slot, uint64_t since_us)
{
    const struct view *v = &c->evidence.sentinels[slot].view;
    return c->sentinel_up[slot] && c->look[slot].seen_us >= since_us && v->asked_us >= since_us &&
           v->asked_us != 0;
}

static bool names_replaced(const struct core *c, size_t slot)
{
    const struct view *v = &c->evidence.sentinels[slot].view;
    return v->knows_master && addr_eq(&v->named, &c->succession.replaced);
}

static unsigned majority_of_n(const struct core *c)
{
    uint64_t n = c->input.newest.n;
    uint64_t quorum = 0;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        n = u64_max(n, c->look[i].seen_us != 0 ? c->look[i].look.peer_count + 1 : 0);
        quorum = u64_max(quorum, c->evidence.sentinels[i].view.quorum);
    }
    return (unsigned)u64_max(n / 2 + 1, u64_min(quorum, n));
}

/* How many have voted for one candidate that is neither mine nor older than newest: the
 * largest such group. */
static unsigned foreign_votes(const struct core *c, uint64_t above)
{
    unsigned most = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct vote *v = &c->evidence.sentinels[i].vote;
        unsigned same = 0;
        if (v->epoch <= above || v->leader_id[0] == '\0' ||
            succession_is_mine(&c->succession, v->leader_id)) {
            continue;
        }
        for (size_t k = 0; k < EVIDENCE_SENTINELS_MAX; k++) {
            const struct vote *o = &c->evidence.sentinels[k].vote;
            same += o->epoch == v->epoch && strcmp(o->leader_id, v->leader_id) == 0 ? 1 : 0;
        }
        most = same > most ? same : most;
    }
    return most;
}

static uint64_t highest_epoch(const struct core *c)
{
    const struct succession *s = &c->succession;
    uint64_t epoch = u64_max(s->epoch, u64_max(s->base_epoch, evidence_epoch_heard(&c->evidence)));
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        epoch = u64_max(epoch, c->evidence.sentinels[i].vote.epoch);
        epoch = u64_max(epoch, c->evidence.sentinels[i].view.epoch);
    }
    return epoch;
}

/* ---- choose ---- */

static const struct info *info_of(const struct core *c, size_t slot, uint64_t since_us)
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

/* 0 does not carry it, 1 carries mine, 2 continues it, 3 was promoted from it. */
static int history_rank(const struct core *c, const struct info *in)
{
    const struct mark *m = &c->mark;
    int64_t least = m->offset - (int64_t)u64_min(c->cfg.max_lag_bytes, INT64_MAX / 2);
    if (!m->known || !info_has(in, INFO_REPLID)) {
        return 0;
    }
    bool continues = info_has(in, INFO_REPLID2) && strcmp(in->replid2, m->replid) == 0 &&
                     info_has(in, INFO_SECOND_OFFSET) && in->second_offset >= least;
    if (in->role == REDIS_ROLE_MASTER) {
        return continues ? 3 : 0;
    }
    if (offset_of(in) <= 1) {
        return 0; /* never in sync: a first sync looks so */
    }
    if (continues) {
        return 2;
    }
    return strcmp(in->replid, m->replid) == 0 && offset_of(in) >= least ? 1 : 0;
}

bool succession_may_choose(const struct core *c, size_t slot, const struct addr *replaced,
                           uint64_t since_us, bool *ret_descends)
{
    const struct info *in = info_of(c, slot, since_us);
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
    int rank = history_rank(c, in);
    *ret_descends = rank > 1;
    return rank > 0 && !busy && !never && !leaving;
}

/* The better successor first: promoted already, the longer history, priority, offset, run-id. */
static bool is_better(const struct core *c, const struct info *a, const struct info *b)
{
    int ra = history_rank(c, a);
    int rb = history_rank(c, b);
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

/* MEMBERS_MAX + 1: nobody. */
static size_t choose(const struct core *c)
{
    const struct succession *s = &c->succession;
    size_t best = MEMBERS_MAX + 1;
    for (size_t i = 0; i <= MEMBERS_MAX; i++) {
        bool descends;
        bool local_counts = s->mechanism != MECHANISM_CRASH && s->mechanism != MECHANISM_HAND_OVER;
        if ((i == MEMBER_LOCAL && !local_counts) ||
            !succession_may_choose(c, i, &s->replaced, s->state_us, &descends) ||
            (i != MEMBER_LOCAL && !is_target(c, i))) {
            continue;
        }
        if (best > MEMBERS_MAX ||
            is_better(c, info_of(c, i, s->state_us), info_of(c, best, s->state_us))) {
            best = i;
        }
    }
    return best;
}

/* The chosen one in the list of a Sentinel, in its spelling; NULL: not there. */
static const struct sentinel_instance *chosen_in(const struct core *c, size_t slot)
{
    const struct succession *s = &c->succession;
    const struct sentinel_look *look = &c->look[slot].look;
    for (size_t i = 0; i < look->replica_count; i++) {
        const struct sentinel_instance *r = &look->replicas[i];
        bool same_process = s->chosen_run_id[0] != '\0' && strcmp(r->run_id, s->chosen_run_id) == 0;
        bool me = s->chosen == MEMBER_LOCAL && evidence_is_me(&c->evidence, &r->addr);
        if (same_process || me || addr_eq(&r->addr, &s->chosen_addr)) {
            return r;
        }
    }
    return NULL;
}

static bool is_chosen(const struct core *c, const struct addr *a)
{
    if (addr_eq(a, &c->succession.chosen_addr) ||
        (c->succession.chosen == MEMBER_LOCAL && evidence_is_me(&c->evidence, a))) {
        return true;
    }
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct sentinel_instance *r = chosen_in(c, i);
        if (r != NULL && addr_eq(&r->addr, a)) {
            return true;
        }
    }
    return false;
}

/* A peer of this Sentinel that lends its name; NULL: none is up. */
static const struct sentinel_instance *lender(const struct sentinel_look *look)
{
    const uint32_t against = 1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_DISCONNECTED;
    for (size_t i = 0; i < look->peer_count; i++) {
        if ((look->peers[i].flags & against) == 0 && look->peers[i].run_id[0] != '\0') {
            return &look->peers[i];
        }
    }
    return NULL;
}

/* ---- the fallback: a Sentinel's own forced failover ---- */

static void fall_back(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    size_t lowest = EVIDENCE_SENTINELS_MAX;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        bool usable = c->sentinel_up[i] && names_replaced(c, i);
        if (usable && (lowest == EVIDENCE_SENTINELS_MAX ||
                       strcmp(c->evidence.sentinels[i].id, c->evidence.sentinels[lowest].id) < 0)) {
            lowest = i;
        }
    }
    if (lowest == EVIDENCE_SENTINELS_MAX) {
        give_up(c, WHY_NO_SENTINELS, out);
        return;
    }
    s->fallback = true;
    struct core_action *a = core_actions_add(out, ACT_FORCE_FAILOVER);
    a->slot = lowest;
    a->op = c->next_op++;
    engine_decided(c, out, s->mechanism, DECIDED_FALLBACK, WHY_NO_ORDER_RIGHTS, &s->replaced, 0);
    enter(c, SUCCESSION_COMMIT);
}

/* ---- gather ---- */

void succession_begin(struct core *c, enum mechanism m, enum why why, struct core_actions *out)
{
    struct succession *s = &c->succession;
    REQUIRE(s->state == SUCCESSION_IDLE);
    s->serial++;
    char *id = s->ids[s->serial % SUCCESSION_IDS_MAX];
    for (size_t i = 0; i < RUN_ID_LEN; i++) {
        id[i] = "0123456789abcdef"[rng_below(&c->rng, 16)];
    }
    id[RUN_ID_LEN] = '\0';
    s->mechanism = m;
    s->why = why;
    s->replaced = c->input.newest.addr;
    s->base_epoch = c->input.newest.epoch;
    s->epoch = 0;
    s->step = 2;
    s->first_vote_us = 0;
    s->fallback = s->unknown = s->adopted = false;
    s->chosen = MEMBERS_MAX + 1;
    s->chosen_addr = (struct addr){.port = 0};
    s->chosen_run_id[0] = '\0';
    s->paused_us = s->promoted_us = 0;
    memset(s->ballots, 0, sizeof s->ballots);
    engine_decided(c, out, m, DECIDED_STAND, why, &s->replaced, s->base_epoch);
    enter(c, SUCCESSION_GATHER);
    engine_ask_sentinels(c);
    engine_look(c);
    engine_ask_local(c, true);
}

struct gathered {
    unsigned looked, naming, other;
    bool all;
};

static struct gathered count_gathered(struct core *c, struct core_actions *out)
{
    const struct succession *s = &c->succession;
    struct gathered g = {.all = true};
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct view *v = &c->evidence.sentinels[i].view;
        if (!looked_since(c, i, s->state_us)) {
            g.all = g.all && !c->sentinel_up[i];
            continue;
        }
        g.looked++;
        g.naming += names_replaced(c, i) ? 1 : 0;
        g.other += v->knows_master && !names_replaced(c, i) && v->epoch > s->base_epoch ? 1 : 0;
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct member *m = &c->members.at[i];
        if (m->up && info_of(c, i, s->state_us) == NULL) {
            (void)engine_read_member(c, i, out);
            g.all = false;
        }
    }
    bool local_counts = s->mechanism == MECHANISM_GONE || s->mechanism == MECHANISM_REPAIR;
    g.all = g.all && !(local_counts && info_of(c, MEMBER_LOCAL, s->state_us) == NULL);
    return g;
}

/* Somebody else is at it, and has not had its time yet. */
static bool is_barred(struct core *c, struct core_actions *out)
{
    const struct succession *s = &c->succession;
    uint64_t until_us = c->stand.foreign_us + SUCCESSION_YIELD_US;
    if (foreign_votes(c, s->base_epoch) >= s->need && c->stand.foreign_us != 0 &&
        c->now_us < until_us) {
        yield(c, WHY_OTHER_CANDIDATE, until_us, out);
        return true;
    }
    until_us = c->stand.failover_us + SUCCESSION_SENTINEL_US;
    if (c->stand.failover_us != 0 && c->now_us < until_us) {
        yield(c, WHY_SENTINEL_FAILOVER, until_us, out);
        return true;
    }
    return false;
}

static void take_choice(struct core *c, size_t best, struct core_actions *out)
{
    struct succession *s = &c->succession;
    const struct info *in = info_of(c, best, s->state_us);
    s->chosen = best;
    s->chosen_addr = best == MEMBER_LOCAL ? c->evidence.me[0] : c->members.at[best].addr;
    memcpy(s->chosen_run_id, in->run_id, sizeof s->chosen_run_id);
    s->adopted = in->role == REDIS_ROLE_MASTER;
    engine_decided(c, out, s->mechanism, DECIDED_CHOSEN, WHY_NONE, &s->chosen_addr, 0);
    handover_progress(c, HANDOVER_CHOSE, out);
}

static void ask_votes(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    s->epoch = highest_epoch(c) + s->step;
    enter(c, SUCCESSION_VOTES);
    if (s->first_vote_us == 0) {
        s->first_vote_us = c->now_us;
    }
    memset(s->ballots, 0, sizeof s->ballots);
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        if (!c->sentinel_up[i] || c->look[i].seen_us == 0 || !names_replaced(c, i)) {
            continue;
        }
        struct core_action *a = core_actions_add(out, ACT_VOTE);
        a->slot = i;
        a->op = s->ballots[i].op = c->next_op++;
        a->addr = c->evidence.sentinels[i].view.addr;
        a->epoch = s->epoch;
        memcpy(a->id, my_id(s), sizeof a->id);
        s->ballots[i].asked = true;
    }
}

static bool step_gather(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    struct gathered g = count_gathered(c, out);
    s->need = majority_of_n(c);
    size_t best = choose(c);
    bool late = in_state_us(c) >= SUCCESSION_GATHER_US;
    bool enough = g.naming >= s->need && best <= MEMBERS_MAX;
    if (enough && s->enough_us == 0) {
        s->enough_us = c->now_us;
    }
    bool grace = s->enough_us != 0 && u64_since(c->now_us, s->enough_us) >= SUCCESSION_GRACE_US;
    if (!g.all && !late && !grace) {
        return false;
    }
    if (g.other >= s->need) {
        yield(c, WHY_OTHER_MASTER, 0, out);
    } else if (g.naming < s->need) {
        give_up(c, WHY_NO_SENTINELS, out);
    } else if (is_barred(c, out)) {
        return true;
    } else if (best > MEMBERS_MAX) {
        give_up(c, WHY_NO_REPLICA, out);
    } else {
        take_choice(c, best, out);
        if (c->input.newest.n == 1) {
            fall_back(c, out); /* no peer could lend its name to an announcement */
        } else {
            ask_votes(c, out);
        }
    }
    return true;
}

/* ---- votes ---- */

void succession_on_vote(struct core *c, size_t slot, uint64_t op, enum outcome outcome,
                        const struct sentinel_vote *vote)
{
    struct succession *s = &c->succession;
    struct succession_ballot *b = &s->ballots[slot];
    if (outcome == OUTCOME_OK) {
        evidence_vote(&c->evidence, slot, vote->leader_id, vote->epoch, c->now_us);
        stand_on_vote(c, vote->leader_id, vote->epoch);
    }
    if (s->state != SUCCESSION_VOTES || op == 0 || b->op != op) {
        return;
    }
    b->op = 0;
    b->answered = true;
    b->denied = outcome == OUTCOME_DENIED;
    b->granted =
        outcome == OUTCOME_OK && vote->epoch == s->epoch && strcmp(vote->leader_id, my_id(s)) == 0;
}

static bool is_out_of_time(const struct core *c)
{
    const struct succession *s = &c->succession;
    return s->first_vote_us != 0 && u64_since(c->now_us, s->first_vote_us) >= SUCCESSION_LIFE_US;
}

static void elected(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    engine_decided(c, out, s->mechanism, DECIDED_VOTED, WHY_NONE, &s->chosen_addr, s->epoch);
    handover_progress(c, HANDOVER_VOTED, out);
    if (s->mechanism == MECHANISM_HAND_OVER) {
        enter(c, SUCCESSION_PAUSE);
        s->paused_us = c->now_us;
        order(c, MEMBER_LOCAL, ORDER_PAUSE, NULL, SUCCESSION_PAUSE_MS, out);
    } else if (s->adopted) {
        enter(c, SUCCESSION_CONFIRM);
        engine_ask_sentinels(c);
    } else {
        enter(c, SUCCESSION_PROMOTE);
        order(c, s->chosen, ORDER_PROMOTE, NULL, 0, out);
    }
}

static bool step_votes(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned granted = 0;
    unsigned pending = 0;
    unsigned denied = 0;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        granted += s->ballots[i].granted ? 1 : 0;
        denied += s->ballots[i].denied ? 1 : 0;
        pending += s->ballots[i].asked && !s->ballots[i].answered ? 1 : 0;
    }
    if (granted >= s->need) {
        elected(c, out);
        return true;
    }
    bool over = granted + pending < s->need || in_state_us(c) >= SUCCESSION_ROUND_US;
    if (!over) {
        return false;
    }
    if (foreign_votes(c, s->epoch - 1) >= s->need) {
        yield(c, WHY_OTHER_CANDIDATE, c->now_us + SUCCESSION_YIELD_US, out);
        return true;
    }
    if (denied > 0 && granted + pending < s->need) {
        fall_back(c, out);
        return true;
    }
    uint64_t wait_us = SUCCESSION_JITTER_MIN_US +
                       rng_below(&c->rng, SUCCESSION_JITTER_MAX_US - SUCCESSION_JITTER_MIN_US);
    if (u64_since(c->now_us, s->first_vote_us) + wait_us >= SUCCESSION_LIFE_US) {
        give_up(c, WHY_NO_VOTES, out);
        return true;
    }
    s->wait_us = c->now_us + wait_us;
    s->step = s->step < 1024 ? s->step * 2 : s->step;
    enter(c, SUCCESSION_WAIT);
    return true;
}

static bool step_wait(struct core *c, struct core_actions *out)
{
    if (c->now_us < c->succession.wait_us) {
        return false;
    }
    ask_votes(c, out);
    return true;
}

/* ---- hand-over: pause, equal, follow, last byte ---- */

/* The last order is not answered yet: false. Else its outcome. */
static bool answered(const struct core *c, enum outcome *ret)
{
    *ret = c->succession.order_outcome;
    return c->succession.order_answered;
}

static bool step_pause(struct core *c, struct core_actions *out)
{
    enum outcome o;
    if (!answered(c, &o)) {
        if (in_state_us(c) < SUCCESSION_EQUAL_US) {
            return false;
        }
        o = OUTCOME_UNKNOWN;
    }
    if (o != OUTCOME_OK || is_out_of_time(c)) {
        resume(c, false, o != OUTCOME_OK ? WHY_LOCAL_REFUSED : WHY_TOO_LATE, out);
        return true;
    }
    c->succession.target_offset = -1;
    enter(c, SUCCESSION_EQUAL);
    handover_progress(c, HANDOVER_PAUSED, out);
    engine_ask_local(c, true);
    return true;
}

/* The chosen replica has all that the local Redis had when it was asked in this state. */
static bool has_caught_up(struct core *c, enum redis_role as, struct core_actions *out)
{
    struct succession *s = &c->succession;
    const struct info *mine = info_of(c, MEMBER_LOCAL, s->state_us);
    if (mine != NULL && mine->role == as && info_has(mine, INFO_MASTER_OFFSET)) {
        s->target_offset = mine->master_offset;
    }
    const struct info *theirs = info_of(c, s->chosen, s->state_us);
    if (theirs != NULL && s->target_offset >= 0 && info_has(theirs, INFO_SLAVE_OFFSET) &&
        theirs->slave_offset >= s->target_offset) {
        return true;
    }
    (void)engine_read_member(c, s->chosen, out);
    return false;
}

static bool step_equal(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    if (has_caught_up(c, REDIS_ROLE_MASTER, out)) {
        handover_progress(c, HANDOVER_EQUAL, out);
        enter(c, SUCCESSION_FOLLOW);
        order(c, MEMBER_LOCAL, ORDER_FOLLOW, &s->chosen_addr, 0, out);
        return true;
    }
    if (in_state_us(c) < SUCCESSION_EQUAL_US && !is_out_of_time(c)) {
        return false;
    }
    resume(c, false, WHY_NOT_EQUAL, out);
    return true;
}

static bool step_follow(struct core *c, struct core_actions *out)
{
    enum outcome o;
    if (!answered(c, &o)) {
        if (in_state_us(c) < SUCCESSION_EQUAL_US) {
            return false;
        }
        o = OUTCOME_UNKNOWN;
    }
    if (o != OUTCOME_OK || is_out_of_time(c)) {
        resume(c, o == OUTCOME_OK || o == OUTCOME_UNKNOWN,
               o != OUTCOME_OK ? WHY_LOCAL_REFUSED : WHY_TOO_LATE, out);
        return true;
    }
    c->succession.target_offset = -1;
    enter(c, SUCCESSION_FINAL);
    handover_progress(c, HANDOVER_YIELDED, out);
    engine_ask_local(c, true);
    return true;
}

static bool step_final(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    if (has_caught_up(c, REDIS_ROLE_SLAVE, out) && !is_out_of_time(c)) {
        enter(c, SUCCESSION_PROMOTE);
        order(c, s->chosen, ORDER_PROMOTE, NULL, 0, out);
        return true;
    }
    if (in_state_us(c) < SUCCESSION_EQUAL_US && !is_out_of_time(c)) {
        return false;
    }
    resume(c, true, is_out_of_time(c) ? WHY_TOO_LATE : WHY_NOT_EQUAL, out);
    return true;
}

/* ---- promote, confirm, announce, commit ---- */

void succession_on_order(struct core *c, uint64_t op, enum outcome outcome)
{
    struct succession *s = &c->succession;
    if (op != 0 && s->order_op == op) {
        s->order_op = 0;
        s->order_answered = true;
        s->order_outcome = outcome;
    }
}

static bool step_promote(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    enum outcome o;
    if (!answered(c, &o)) {
        if (!is_out_of_time(c)) {
            return false;
        }
        o = OUTCOME_UNKNOWN;
    }
    if (o == OUTCOME_OK) {
        s->promoted_us = c->now_us;
        handover_progress(c, HANDOVER_PROMOTED, out);
        enter(c, SUCCESSION_CONFIRM);
        engine_ask_sentinels(c);
    } else if (o == OUTCOME_UNKNOWN) {
        s->unknown = true;
        give_up(c, WHY_PROMOTION_UNKNOWN, out);
    } else if (s->mechanism == MECHANISM_HAND_OVER) {
        resume(c, true, WHY_PROMOTION_REFUSED, out);
    } else {
        give_up(c, WHY_PROMOTION_REFUSED, out);
    }
    return true;
}

static void announce(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned sent = 0;
    enter(c, SUCCESSION_ANNOUNCE);
    memset(s->ballots, 0, sizeof s->ballots);
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct sentinel_instance *as = lender(&c->look[i].look);
        const struct sentinel_instance *whom = chosen_in(c, i);
        if (!c->sentinel_up[i] || c->look[i].seen_us == 0 || as == NULL || whom == NULL) {
            continue;
        }
        struct core_action *a = core_actions_add(out, ACT_ANNOUNCE);
        a->slot = i;
        a->op = s->ballots[i].op = c->next_op++;
        a->addr = whom->addr;
        a->as = as->addr;
        memcpy(a->id, as->run_id, sizeof a->id);
        a->epoch = s->epoch;
        s->ballots[i].asked = true;
        sent++;
    }
    engine_decided(c, out, s->mechanism, DECIDED_ANNOUNCE, WHY_NONE, &s->chosen_addr, s->epoch);
    if (sent == 0) {
        s->unknown = true;
        give_up(c, WHY_NOT_ANNOUNCED, out);
    }
}

static bool step_confirm(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned seen = 0;
    unsigned other = 0;
    bool all = true;
    bool overtaken = false;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct view *v = &c->evidence.sentinels[i].view;
        if (!c->sentinel_up[i] || v->asked_us == 0 || v->asked_us < s->state_us) {
            all = all && !c->sentinel_up[i];
            continue;
        }
        seen++;
        overtaken = overtaken || (v->knows_master && v->epoch >= s->epoch);
        other += v->knows_master && v->epoch > s->base_epoch && !addr_eq(&v->named, &s->replaced) &&
                         !is_chosen(c, &v->named)
                     ? 1
                     : 0;
    }
    if (is_out_of_time(c)) {
        s->unknown = true;
        give_up(c, WHY_TOO_LATE, out);
        return true;
    }
    if (other >= s->need || overtaken) {
        s->unknown = true;
        yield(c, WHY_OTHER_MASTER, c->now_us + SUCCESSION_YIELD_US, out);
        return true;
    }
    if (seen >= s->need && s->enough_us == 0) {
        s->enough_us = c->now_us;
    }
    bool grace = s->enough_us != 0 && u64_since(c->now_us, s->enough_us) >= SUCCESSION_GRACE_US;
    if (seen < s->need || (!all && !grace)) {
        return false;
    }
    announce(c, out);
    return true;
}

void succession_on_done(struct core *c, size_t slot, uint64_t op, enum outcome outcome)
{
    struct succession_ballot *b = &c->succession.ballots[slot];
    if (op == 0 || b->op != op) {
        return;
    }
    b->op = 0;
    b->answered = true;
    b->granted = outcome == OUTCOME_OK;
    b->denied = outcome == OUTCOME_DENIED;
    engine_ask_sentinels(c);
}

static bool step_announce(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    unsigned taken = 0;
    unsigned pending = 0;
    unsigned denied = 0;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        taken += s->ballots[i].granted ? 1 : 0;
        denied += s->ballots[i].denied ? 1 : 0;
        pending += s->ballots[i].asked && !s->ballots[i].answered ? 1 : 0;
    }
    if (denied > 0 && taken + pending < s->need) {
        s->unknown = true;
        give_up(c, WHY_NO_ORDER_RIGHTS, out);
        return true;
    }
    if (taken < s->need && pending > 0 && in_state_us(c) < SUCCESSION_ROUND_US) {
        return false;
    }
    enter(c, SUCCESSION_COMMIT);
    engine_ask_sentinels(c);
    return true;
}

static bool step_commit(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    const struct newest *n = &c->input.newest;
    bool another = n->known && !addr_eq(&n->addr, &s->replaced) && engine_majority_names(c);
    if (another && s->fallback) {
        s->chosen_addr = n->addr;
        s->epoch = n->epoch;
    }
    if (another && (s->fallback || (n->epoch >= s->epoch && is_chosen(c, &n->addr)))) {
        end(c, DECIDED_COMMITTED, WHY_NONE, out);
        return true;
    }
    uint64_t limit_us = s->fallback ? SUCCESSION_FALLBACK_US : SUCCESSION_COMMIT_US;
    if (in_state_us(c) < limit_us) {
        return false;
    }
    s->unknown = true;
    give_up(c, another ? WHY_OTHER_MASTER : WHY_NOT_ANNOUNCED, out);
    return true;
}

void succession_abandon(struct core *c, enum why why, struct core_actions *out)
{
    struct succession *s = &c->succession;
    switch (s->state) {
    case SUCCESSION_IDLE:
    case SUCCESSION_RESUME:
    case SUCCESSION_STATE_COUNT:
    case SUCCESSION_COMMIT:
        return;
    case SUCCESSION_PAUSE:
    case SUCCESSION_EQUAL:
        resume(c, false, why, out);
        return;
    case SUCCESSION_FOLLOW:
    case SUCCESSION_FINAL:
        resume(c, true, why, out);
        return;
    case SUCCESSION_PROMOTE:
    case SUCCESSION_CONFIRM:
    case SUCCESSION_ANNOUNCE:
        s->unknown = true;
        give_up(c, why, out);
        return;
    case SUCCESSION_GATHER:
    case SUCCESSION_VOTES:
    case SUCCESSION_WAIT:
        give_up(c, why, out);
        return;
    }
}

static bool advance(struct core *c, struct core_actions *out)
{
    switch (c->succession.state) {
    case SUCCESSION_IDLE:
    case SUCCESSION_RESUME:
    case SUCCESSION_STATE_COUNT:
        return false;
    case SUCCESSION_GATHER:
        return step_gather(c, out);
    case SUCCESSION_VOTES:
        return step_votes(c, out);
    case SUCCESSION_WAIT:
        return step_wait(c, out);
    case SUCCESSION_PAUSE:
        return step_pause(c, out);
    case SUCCESSION_EQUAL:
        return step_equal(c, out);
    case SUCCESSION_FOLLOW:
        return step_follow(c, out);
    case SUCCESSION_FINAL:
        return step_final(c, out);
    case SUCCESSION_PROMOTE:
        return step_promote(c, out);
    case SUCCESSION_CONFIRM:
        return step_confirm(c, out);
    case SUCCESSION_ANNOUNCE:
        return step_announce(c, out);
    case SUCCESSION_COMMIT:
        return step_commit(c, out);
    }
    return false;
}

void succession_step(struct core *c, struct core_actions *out)
{
    while (advance(c, out)) {
    }
}

uint64_t succession_next_deadline(const struct core *c)
{
    const struct succession *s = &c->succession;
    switch (s->state) {
    case SUCCESSION_IDLE:
    case SUCCESSION_RESUME:
    case SUCCESSION_STATE_COUNT:
        return UINT64_MAX;
    case SUCCESSION_WAIT:
        return s->wait_us;
    case SUCCESSION_GATHER:
    case SUCCESSION_CONFIRM:
        return c->now_us + 5000;
    case SUCCESSION_VOTES:
    case SUCCESSION_PAUSE:
    case SUCCESSION_EQUAL:
    case SUCCESSION_FOLLOW:
    case SUCCESSION_FINAL:
    case SUCCESSION_PROMOTE:
    case SUCCESSION_ANNOUNCE:
    case SUCCESSION_COMMIT:
        return c->now_us + 20000;
    }
    return UINT64_MAX;
}
