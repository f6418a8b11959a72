#include "agent/core/succession.h"

#include "agent/core/succession_steps.h"
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

void succession_enter(struct core *c, enum succession_state to)
{
    struct succession *s = &c->succession;
    REQUIRE((next_of[s->state] & (1U << to)) != 0);
    s->state = to;
    s->state_us = c->now_us;
    s->enough_us = 0;
    s->order_op = 0;
    s->order_answered = false;
}

uint64_t succession_in_state_us(const struct core *c)
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

void succession_end(struct core *c, enum decision what, enum why why, struct core_actions *out)
{
    struct succession *s = &c->succession;
    s->succeeded = what == DECIDED_COMMITTED;
    s->why = why;
    s->ended_us = c->now_us;
    engine_decided(c, out, s->mechanism, what, why, &s->chosen_addr, s->epoch);
    succession_enter(c, SUCCESSION_IDLE);
}

void succession_give_up(struct core *c, enum why why, struct core_actions *out)
{
    succession_end(c, DECIDED_GIVE_UP, why, out);
}

void succession_yield(struct core *c, enum why why, uint64_t until_us, struct core_actions *out)
{
    c->succession.hold_us = until_us;
    succession_end(c, DECIDED_YIELD, why, out);
}

void succession_order(struct core *c, size_t slot, enum order what, const struct addr *addr,
                      uint64_t value, struct core_actions *out)
{
    struct succession *s = &c->succession;
    uint64_t asked_us = slot == MEMBER_LOCAL ? c->local.info_us : c->members.at[slot].info_us;
    s->order_op =
        engine_order(c, out, s->mechanism, slot, what, addr, value, u64_since(c->now_us, asked_us));
    s->order_answered = false;
}

void succession_resume(struct core *c, bool followed, enum why why, struct core_actions *out)
{
    struct succession *s = &c->succession;
    succession_enter(c, SUCCESSION_RESUME);
    if (followed) {
        succession_order(c, MEMBER_LOCAL, ORDER_PROMOTE, NULL, 0, out);
    }
    succession_order(c, MEMBER_LOCAL, ORDER_UNPAUSE, NULL, 0, out);
    s->paused_us = 0;
    succession_give_up(c, why, out);
}

/* ---- what the Sentinels say ---- */

static bool looked_since(const struct core *c, size_t slot, uint64_t since_us)
{
    const struct view *v = &c->evidence.sentinels[slot].view;
    return c->sentinel_up[slot] && c->look[slot].seen_us >= since_us && v->asked_us >= since_us &&
           v->asked_us != 0;
}

bool succession_names_replaced(const struct core *c, size_t slot)
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

bool succession_is_twin(const struct core *c, size_t slot)
{
    const char *id = c->evidence.sentinels[slot].id;
    for (size_t i = 0; i < slot && id[0] != '\0'; i++) {
        if (c->sentinel_up[i] && strcmp(c->evidence.sentinels[i].id, id) == 0) {
            return true;
        }
    }
    return false;
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
            bool agrees = o->epoch == v->epoch && strcmp(o->leader_id, v->leader_id) == 0;
            same += agrees && !succession_is_twin(c, k) ? 1 : 0;
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
    s->chosen = NOBODY;
    s->chosen_addr = (struct addr){.port = 0};
    s->chosen_run_id[0] = '\0';
    s->paused_us = s->promoted_us = 0;
    memset(s->ballots, 0, sizeof s->ballots);
    engine_decided(c, out, m, DECIDED_STAND, why, &s->replaced, s->base_epoch);
    succession_enter(c, SUCCESSION_GATHER);
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
        if (succession_is_twin(c, i)) {
            continue;
        }
        if (!looked_since(c, i, s->state_us)) {
            g.all = g.all && !c->sentinel_up[i];
            continue;
        }
        g.looked++;
        g.naming += succession_names_replaced(c, i) ? 1 : 0;
        g.other +=
            v->knows_master && !succession_names_replaced(c, i) && v->epoch > s->base_epoch ? 1 : 0;
    }
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct member *m = &c->members.at[i];
        if (m->up && succession_info(c, i, s->state_us) == NULL) {
            (void)engine_read_member(c, i, out);
            g.all = false;
        }
    }
    bool local_counts = s->mechanism == MECHANISM_GONE || s->mechanism == MECHANISM_REPAIR;
    g.all = g.all && !(local_counts && succession_info(c, MEMBER_LOCAL, s->state_us) == NULL);
    return g;
}

/* Somebody else is at it, and has not had its time yet. */
static bool is_barred(struct core *c, struct core_actions *out)
{
    const struct succession *s = &c->succession;
    uint64_t until_us = c->stand.foreign_us + SUCCESSION_YIELD_US;
    if (foreign_votes(c, s->base_epoch) >= s->need && c->stand.foreign_us != 0 &&
        c->now_us < until_us) {
        succession_yield(c, WHY_OTHER_CANDIDATE, until_us, out);
        return true;
    }
    until_us = c->stand.failover_us + SUCCESSION_SENTINEL_US;
    if (c->stand.failover_us != 0 && c->now_us < until_us) {
        succession_yield(c, WHY_SENTINEL_FAILOVER, until_us, out);
        return true;
    }
    return false;
}

static void take_choice(struct core *c, size_t best, struct core_actions *out)
{
    struct succession *s = &c->succession;
    const struct info *in = succession_info(c, best, s->state_us);
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
    succession_enter(c, SUCCESSION_VOTES);
    if (s->first_vote_us == 0) {
        s->first_vote_us = c->now_us;
    }
    memset(s->ballots, 0, sizeof s->ballots);
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        if (!c->sentinel_up[i] || c->look[i].seen_us == 0 || !succession_names_replaced(c, i) ||
            succession_is_twin(c, i)) {
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

/* Whom the Sentinels name has said master since this began: there is nothing to repair. */
static bool is_well_again(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    if (c->succession.mechanism != MECHANISM_REPAIR || !n->known) {
        return false;
    }
    bool me = evidence_is_me(&c->evidence, &n->addr);
    size_t x = me ? MEMBER_LOCAL : members_find(&c->members, &n->addr);
    const struct info *in =
        me || x < MEMBERS_MAX ? succession_info(c, x, c->succession.state_us) : NULL;
    bool flipped = me && c->local.role.role == REDIS_ROLE_MASTER;
    return flipped || (in != NULL && info_has(in, INFO_ROLE) && in->role == REDIS_ROLE_MASTER);
}

static bool step_gather(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    struct gathered g = count_gathered(c, out);
    s->need = majority_of_n(c);
    bool unlisted;
    size_t best = succession_choose(c, &unlisted);
    bool late = succession_in_state_us(c) >= SUCCESSION_GATHER_US;
    bool enough = g.naming >= s->need && best <= MEMBERS_MAX;
    if (enough && s->enough_us == 0) {
        s->enough_us = c->now_us;
    }
    bool grace = s->enough_us != 0 && u64_since(c->now_us, s->enough_us) >= SUCCESSION_GRACE_US;
    if (!g.all && !late && !grace) {
        return false;
    }
    if (g.other >= s->need) {
        succession_yield(c, WHY_OTHER_MASTER, 0, out);
    } else if (is_well_again(c)) {
        succession_give_up(c, WHY_MASTER_IS_BACK, out);
    } else if (g.naming < s->need) {
        succession_give_up(c, WHY_NO_SENTINELS, out);
    } else if (is_barred(c, out)) {
        return true;
    } else if (best > MEMBERS_MAX) {
        succession_give_up(c, unlisted ? WHY_UNLISTED : WHY_NO_REPLICA, out);
    } else {
        take_choice(c, best, out);
        if (c->input.newest.n == 1) {
            succession_fall_back(c, out); /* no peer could lend its name to an announcement */
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

bool succession_is_out_of_time(const struct core *c)
{
    const struct succession *s = &c->succession;
    return s->first_vote_us != 0 && u64_since(c->now_us, s->first_vote_us) >= SUCCESSION_LIFE_US;
}

/* A pause is death to a Sentinel that waits less: at most half of the shortest down-after. */
static uint64_t pause_ms(const struct core *c)
{
    uint64_t ms = SUCCESSION_PAUSE_MS;
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        uint64_t down_after_us = c->evidence.sentinels[i].view.down_after_us;
        ms = down_after_us != 0 ? u64_min(ms, down_after_us / 2000) : ms;
    }
    return u64_max(ms, SUCCESSION_PAUSE_MIN_MS);
}

static void elected(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    engine_decided(c, out, s->mechanism, DECIDED_VOTED, WHY_NONE, &s->chosen_addr, s->epoch);
    handover_progress(c, HANDOVER_VOTED, out);
    if (s->mechanism == MECHANISM_HAND_OVER) {
        succession_enter(c, SUCCESSION_PAUSE);
        s->paused_us = c->now_us;
        succession_order(c, MEMBER_LOCAL, ORDER_PAUSE, NULL, pause_ms(c), out);
    } else if (s->adopted) {
        succession_enter(c, SUCCESSION_CONFIRM);
        engine_ask_sentinels(c);
    } else {
        succession_enter(c, SUCCESSION_PROMOTE);
        succession_order(c, s->chosen, ORDER_PROMOTE, NULL, 0, out);
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
    bool over = granted + pending < s->need || succession_in_state_us(c) >= SUCCESSION_ROUND_US;
    if (!over) {
        return false;
    }
    if (foreign_votes(c, s->epoch - 1) >= s->need) {
        succession_yield(c, WHY_OTHER_CANDIDATE, c->now_us + SUCCESSION_YIELD_US, out);
        return true;
    }
    if (denied > 0 && granted + pending < s->need) {
        succession_fall_back(c, out);
        return true;
    }
    uint64_t wait_us = SUCCESSION_JITTER_MIN_US +
                       rng_below(&c->rng, SUCCESSION_JITTER_MAX_US - SUCCESSION_JITTER_MIN_US);
    if (u64_since(c->now_us, s->first_vote_us) + wait_us >= SUCCESSION_LIFE_US) {
        succession_give_up(c, WHY_NO_VOTES, out);
        return true;
    }
    s->wait_us = c->now_us + wait_us;
    s->step = s->step < 1024 ? s->step * 2 : s->step;
    succession_enter(c, SUCCESSION_WAIT);
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

bool succession_answered(const struct core *c, enum outcome *ret)
{
    *ret = c->succession.order_outcome;
    return c->succession.order_answered;
}

void succession_on_order(struct core *c, uint64_t op, enum outcome outcome)
{
    struct succession *s = &c->succession;
    if (op != 0 && s->order_op == op) {
        s->order_op = 0;
        s->order_answered = true;
        s->order_outcome = outcome;
    }
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
        succession_resume(c, false, why, out);
        return;
    case SUCCESSION_FOLLOW:
    case SUCCESSION_FINAL:
        succession_resume(c, true, why, out);
        return;
    case SUCCESSION_PROMOTE:
    case SUCCESSION_CONFIRM:
    case SUCCESSION_ANNOUNCE:
        s->unknown = true;
        succession_give_up(c, why, out);
        return;
    case SUCCESSION_GATHER:
    case SUCCESSION_VOTES:
    case SUCCESSION_WAIT:
        succession_give_up(c, why, out);
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
        return succession_step_pause(c, out);
    case SUCCESSION_EQUAL:
        return succession_step_equal(c, out);
    case SUCCESSION_FOLLOW:
        return succession_step_follow(c, out);
    case SUCCESSION_FINAL:
        return succession_step_final(c, out);
    case SUCCESSION_PROMOTE:
        return succession_step_promote(c, out);
    case SUCCESSION_CONFIRM:
        return succession_step_confirm(c, out);
    case SUCCESSION_ANNOUNCE:
        return succession_step_announce(c, out);
    case SUCCESSION_COMMIT:
        return succession_step_commit(c, out);
    }
    return false;
}

/* A master that came back with less has been proven meanwhile: it is healthy now. */
static bool is_back(const struct core *c)
{
    const struct succession *s = &c->succession;
    bool asks = s->state == SUCCESSION_GATHER || s->state == SUCCESSION_VOTES ||
                s->state == SUCCESSION_WAIT;
    return asks && s->why == WHY_BEHIND && c->role.state == ROLE_MASTER;
}

void succession_step(struct core *c, struct core_actions *out)
{
    if (is_back(c)) {
        succession_give_up(c, WHY_MASTER_IS_BACK, out);
    }
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
