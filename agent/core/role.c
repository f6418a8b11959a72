#include "agent/core/role.h"

static const char *const state_names[] = {ROLE_STATES(RPA_ENUM_NAME)};
static const char *const local_names[] = {ROLE_LOCALS(RPA_ENUM_NAME)};
static const char *const reason_texts[] = {ROLE_REASONS(RPA_ENUM_NAME)};

const char *role_state_name(enum role_state s)
{
    return state_names[s];
}

bool role_state_from(struct sv name, enum role_state *ret)
{
    for (size_t i = ROLE_PENDING; i < ROLE_STATE_COUNT; i++) {
        if (sv_eq_str(name, state_names[i])) {
            *ret = (enum role_state)i;
            return true;
        }
    }
    return false;
}

const char *role_local_name(enum role_local l)
{
    return local_names[l];
}

const char *role_reason_text(enum role_reason r)
{
    return reason_texts[r];
}

void role_init(struct role *r)
{
    *r = (struct role){.state = ROLE_UNSET, .reason = ROLE_WHY_STARTING};
}

/* What the facts ask for. hold: keep the present state, for want of proof. */
struct target {
    bool hold;
    enum role_state state;
    enum role_reason reason;
    uint64_t epoch;
};

static struct target hold(void)
{
    return (struct target){.hold = true};
}

static struct target want(enum role_state state, enum role_reason reason, uint64_t epoch)
{
    return (struct target){.state = state, .reason = reason, .epoch = epoch};
}

static bool elapsed(uint64_t now_us, uint64_t since_us, uint64_t limit_us)
{
    return u64_since(now_us, since_us) >= limit_us;
}

static bool majority_names_newest(const struct newest *n)
{
    return n->known && 2 * n->naming > n->n;
}

/* A majority's newest configuration names this process, and it is not one that was left. */
static bool is_proven(const struct role *r, const struct role_input *in)
{
    return in->verdict == VERDICT_ME && in->local == ROLE_LOCAL_MASTER && in->newest.known &&
           in->newest.epoch >= r->token;
}

/* Accepts the newest epoch as token, at once where it is not lower, else after a majority
 * has agreed on it for ROLE_REGRESSION_US. Returns true when a lower one was accepted. */
static bool follow_token(struct role *r, const struct role_input *in)
{
    if (!in->newest.known) {
        r->regression_since_us = 0;
        return false;
    }
    if (in->newest.epoch >= r->token) {
        r->token = in->newest.epoch;
        r->regression_since_us = 0;
        return false;
    }
    if (r->regression_since_us == 0 || r->regression_epoch != in->newest.epoch ||
        !majority_names_newest(&in->newest)) {
        r->regression_epoch = in->newest.epoch;
        r->regression_since_us = in->now_us;
        return false;
    }
    bool contradicts = in->verdict == VERDICT_ME && in->local != ROLE_LOCAL_MASTER;
    if (contradicts || !elapsed(in->now_us, r->regression_since_us, ROLE_REGRESSION_US)) {
        return false;
    }
    r->token = in->newest.epoch;
    r->regression_since_us = 0;
    return true;
}

/* True: another process than the one that holds the state, seen for the first time. */
static bool follow_run_id(struct role *r, const struct role_input *in)
{
    if (in->run_id[0] == '\0' || strcmp(in->run_id, r->run_id) == 0) {
        return false;
    }
    bool another = r->run_id[0] != '\0';
    r->replaced = another && (r->state == ROLE_MASTER || r->state == ROLE_DEMOTED);
    memcpy(r->run_id, in->run_id, sizeof r->run_id);
    r->old_me_since_us = 0;
    return another;
}

static void follow_clocks(struct role *r, const struct role_input *in)
{
    if (in->vouched || in->local == ROLE_LOCAL_SLAVE) {
        r->replaced = false;
    }
    /* Sentinels that have just switched know no run-id: the agent's own memory speaks then. */
    bool old_me = in->verdict == VERDICT_OLD_ME || (in->verdict == VERDICT_ME && r->replaced);
    if (!old_me || in->local != ROLE_LOCAL_MASTER) {
        r->old_me_since_us = 0;
    } else if (r->old_me_since_us == 0) {
        r->old_me_since_us = in->now_us;
    }
    if (in->eager_epoch != 0 && in->eager_epoch != r->eager_epoch) {
        r->eager_epoch = in->eager_epoch;
        r->eager_since_us = in->now_us;
    }
    bool proven = is_proven(r, in);
    bool above = proven && in->peer_master && in->peer_master_epoch > in->newest.epoch;
    if (!above) {
        r->superseded_since_us = 0;
    } else if (r->superseded_since_us == 0 || r->superseded_epoch != in->peer_master_epoch) {
        r->superseded_epoch = in->peer_master_epoch;
        r->superseded_since_us = in->now_us;
    }
    bool demoted = in->own_label == ROLE_DEMOTED && in->demoted_by_epoch != 0;
    if (!proven || !demoted || in->peer_master) {
        r->unclaimed_since_us = 0;
    } else if (r->unclaimed_since_us == 0) {
        r->unclaimed_since_us = in->now_us;
    }
}

static bool eager_holds(const struct role *r, const struct role_input *in)
{
    return in->eager_epoch != 0 && in->eager_epoch > r->token &&
           !elapsed(in->now_us, r->eager_since_us, ROLE_EAGER_US);
}

/* A peer that is master has written `demoted` here, and nothing newer has answered it. */
static bool is_demoted_by_peer(const struct role *r, const struct role_input *in, bool proven)
{
    /* The failover behind the demotion was given up: its epoch will never name anybody. */
    bool unclaimed = r->unclaimed_since_us != 0 &&
                     elapsed(in->now_us, r->unclaimed_since_us, ROLE_REGRESSION_US);
    return !unclaimed && in->own_label == ROLE_DEMOTED && in->demoted_by_epoch != 0 &&
           in->demoted_by_epoch >= r->epoch &&
           !(proven && in->newest.epoch >= in->demoted_by_epoch);
}

/* What the peers' labels say about a local master. False: nothing against it. */
static bool peers_object(const struct role *r, const struct role_input *in, bool proven,
                         struct target *ret)
{
    uint64_t own = proven ? in->newest.epoch : r->epoch;
    if (is_demoted_by_peer(r, in, proven)) {
        *ret = want(ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, in->demoted_by_epoch);
        return true;
    }
    if (!in->peer_master) {
        return false;
    }
    if (in->peer_master_epoch > own) {
        /* It may know of a failover that has not reached my Sentinels; if they go on naming
         * me, it is the peer's label that is wrong. */
        if (proven && r->superseded_since_us != 0 && in->peer_master_epoch > in->epoch_heard &&
            elapsed(in->now_us, r->superseded_since_us, ROLE_SUPERSEDED_US)) {
            return false;
        }
        /* Who carries neither label is kept from becoming master, and from nothing else. */
        bool labelled = r->state == ROLE_MASTER || r->state == ROLE_DEMOTED;
        *ret = labelled ? want(ROLE_DEMOTED, ROLE_WHY_SUPERSEDED, own) : hold();
        return labelled || proven;
    }
    if (in->peer_master_epoch == own && in->peer_master_first &&
        !(proven && majority_names_newest(&in->newest))) {
        bool labelled = r->state == ROLE_MASTER || r->state == ROLE_DEMOTED;
        *ret = labelled ? want(ROLE_DEMOTED, ROLE_WHY_TIE, own) : hold();
        return labelled || proven;
    }
    return false;
}

static struct target master_without_master(const struct role *r, const struct role_input *in)
{
    if (r->state != ROLE_MASTER && in->peers_synced && in->own_observed && !in->peer_master &&
        in->lowest_ordinal) {
        return want(ROLE_MASTER, ROLE_WHY_BOOTSTRAP, 0);
    }
    return hold();
}

/* The rows of the table for a local ROLE of master. */
static struct target table_master(const struct role *r, const struct role_input *in)
{
    if (in->verdict == VERDICT_OFF) {
        return want(ROLE_MASTER, ROLE_WHY_NO_SENTINEL, 0);
    }
    struct target objection;
    bool current = in->newest.known && in->newest.epoch >= r->token;
    bool proven = in->verdict == VERDICT_ME && current;
    if (eager_holds(r, in)) {
        if (in->peer_master && in->peer_master_epoch > in->eager_epoch) {
            return want(ROLE_DEMOTED, ROLE_WHY_SUPERSEDED, in->eager_epoch);
        }
        if (in->own_label == ROLE_DEMOTED && in->demoted_by_epoch >= in->eager_epoch) {
            return want(ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, in->eager_epoch);
        }
        return want(ROLE_MASTER, ROLE_WHY_EAGER, in->eager_epoch);
    }
    if (in->mirror && in->held && r->state == ROLE_MASTER && !in->peer_master) {
        return hold(); /* it takes no write: the label waits for the successor's */
    }
    if (in->mirror) {
        return want(ROLE_DEMOTED, ROLE_WHY_MIRROR, r->token);
    }
    if (peers_object(r, in, proven, &objection)) {
        return objection;
    }
    /* A candidate that has its votes may be about to name another. */
    bool contested = in->foreign_vote && r->state != ROLE_MASTER;
    enum verdict verdict = in->verdict == VERDICT_ME && r->replaced ? VERDICT_OLD_ME : in->verdict;
    switch (verdict) {
    case VERDICT_OFF:
    case VERDICT_COUNT:
    case VERDICT_NONE:
        return hold();
    case VERDICT_ME:
        return proven && !contested ? want(ROLE_MASTER, ROLE_WHY_MAJORITY, in->newest.epoch)
                                    : hold();
    case VERDICT_OTHER:
        if (in->foreign_vote && r->state == ROLE_REPLICA) {
            return hold(); /* promoted by a candidate that has not announced it yet */
        }
        return current ? want(ROLE_DEMOTED, ROLE_WHY_OTHER, in->newest.epoch) : hold();
    case VERDICT_OLD_ME:
        if (!current) {
            return hold();
        }
        if (in->peer_master && in->peer_master_epoch > in->newest.epoch) {
            return want(ROLE_PENDING, ROLE_WHY_RESTARTED, 0);
        }
        return elapsed(in->now_us, r->old_me_since_us, ROLE_OLD_ME_US)
                   ? want(ROLE_MASTER, ROLE_WHY_MAJORITY, in->newest.epoch)
                   : want(ROLE_PENDING, ROLE_WHY_RESTARTED, 0);
    case VERDICT_NO_MASTER:
        return master_without_master(r, in);
    }
    return hold();
}

static struct target table_dead(const struct role *r, const struct role_input *in)
{
    bool successor = in->peer_master && in->peer_master_epoch > r->epoch;
    uint64_t limit_us = r->state == ROLE_MASTER ? ROLE_DEAD_KEEP_US : ROLE_DEAD_US;
    bool keep = !elapsed(in->now_us, in->local_since_us, limit_us) &&
                !(r->state == ROLE_MASTER && successor);
    return keep ? hold() : want(ROLE_PENDING, ROLE_WHY_DEAD, 0);
}

static struct target role_table(const struct role *r, const struct role_input *in)
{
    switch (in->local) {
    case ROLE_LOCAL_UNKNOWN:
    case ROLE_LOCAL_BUSY:
    case ROLE_LOCAL_COUNT:
        return hold();
    case ROLE_LOCAL_DEAD:
        return table_dead(r, in);
    case ROLE_LOCAL_SILENT:
        return want(ROLE_PENDING, ROLE_WHY_SILENT, 0);
    case ROLE_LOCAL_DENIED:
        return want(ROLE_PENDING, ROLE_WHY_DENIED, 0);
    case ROLE_LOCAL_LOADING:
        return want(ROLE_PENDING, ROLE_WHY_LOADING, 0);
    case ROLE_LOCAL_CLUSTER:
        return want(ROLE_PENDING, ROLE_WHY_CLUSTER, 0);
    case ROLE_LOCAL_SENTINEL:
        return want(ROLE_PENDING, ROLE_WHY_SENTINEL, 0);
    case ROLE_LOCAL_MASTER:
        return table_master(r, in);
    case ROLE_LOCAL_SLAVE:
        return want(ROLE_REPLICA, ROLE_WHY_SLAVE, r->token);
    case ROLE_LOCAL_SYNCING:
        return want(ROLE_PENDING, ROLE_WHY_SYNCING, 0);
    case ROLE_LOCAL_LINK_DOWN:
        return want(ROLE_PENDING, ROLE_WHY_LINK_DOWN, 0);
    }
    return hold();
}

/* Without any proof after a start, the label that is there is better than none. */
static struct target adopt(struct role *r, const struct role_input *in)
{
    if (!in->own_observed) {
        return hold();
    }
    bool another =
        in->own_run_id[0] != '\0' && r->run_id[0] != '\0' && strcmp(in->own_run_id, r->run_id) != 0;
    if (in->own_label == ROLE_MASTER && another) {
        return want(ROLE_PENDING, ROLE_WHY_RESTARTED, 0);
    }
    if (r->run_id[0] == '\0') {
        memcpy(r->run_id, in->own_run_id, sizeof r->run_id);
    }
    if (in->own_label == ROLE_MASTER || in->own_label == ROLE_DEMOTED) {
        r->token = u64_max(r->token, in->own_label_epoch);
    }
    if (in->own_label == ROLE_UNSET) {
        /* No label and `pending` are alike to every Service: a first answer is waited for. */
        return in->local == ROLE_LOCAL_UNKNOWN ? hold() : want(ROLE_PENDING, ROLE_WHY_STARTING, 0);
    }
    return want(in->own_label, ROLE_WHY_ADOPTED, in->own_label_epoch);
}

static struct target apply_precedence(const struct role *r, const struct role_input *in,
                                      struct target t)
{
    if (in->fenced) {
        return want(ROLE_FENCED, in->isolated ? ROLE_WHY_ISOLATED : ROLE_WHY_FENCE, r->epoch);
    }
    /* The label goes with the mastership; Redis that died meanwhile is a case of its own. */
    bool same = in->run_id[0] == '\0' || !r->replaced;
    if (in->handing_over && same && r->state == ROLE_MASTER && in->local != ROLE_LOCAL_DEAD &&
        in->local != ROLE_LOCAL_SILENT) {
        bool taken = is_demoted_by_peer(r, in, false);
        return taken ? want(ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, in->demoted_by_epoch) : hold();
    }
    enum role_state coming = t.hold ? r->state : t.state;
    if (in->terminating && coming != ROLE_MASTER) {
        return want(ROLE_DRAINING, ROLE_WHY_TERMINATING, r->epoch);
    }
    /* The two states below are never held on to: their cause is gone. */
    if (t.hold && (r->state == ROLE_FENCED || r->state == ROLE_DRAINING)) {
        return want(ROLE_PENDING, ROLE_WHY_STARTING, 0);
    }
    return t;
}

struct role_change role_step(struct role *r, const struct role_input *in)
{
    struct role_change change = {.from = r->state};
    change.regressed = follow_token(r, in);
    bool renewed = follow_run_id(r, in);
    follow_clocks(r, in);

    struct target t = role_table(r, in);
    if (t.hold && r->state == ROLE_UNSET) {
        t = adopt(r, in);
    } else if (t.hold && renewed && r->state == ROLE_MASTER) {
        t = want(ROLE_PENDING, ROLE_WHY_RESTARTED, 0);
    } else if (t.hold && r->state == ROLE_MASTER && in->verdict != VERDICT_OFF &&
               is_demoted_by_peer(r, in, false)) {
        /* Nothing is known that would make it worth repairing. */
        t = want(ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, in->demoted_by_epoch);
    }
    t = apply_precedence(r, in, t);
    if (t.hold) {
        if (!r->holding) {
            r->holding = true;
            r->hold_since_us = in->now_us;
        }
        return change;
    }
    r->holding = false;
    if (t.state != r->state) {
        change.state = true;
        r->state = t.state;
        r->since_us = in->now_us;
        r->epoch = t.epoch;
    } else if (t.state == ROLE_MASTER && t.epoch != r->epoch) {
        change.epoch = true;
        r->epoch = t.epoch;
    }
    r->reason = t.reason;
    return change;
}

static void earliest(uint64_t *next, uint64_t now_us, uint64_t since_us, uint64_t limit_us)
{
    uint64_t at = since_us + limit_us;
    if (since_us != 0 && at > now_us) {
        *next = u64_min(*next, at);
    }
}

uint64_t role_next_deadline(const struct role *r, const struct role_input *in)
{
    uint64_t next = UINT64_MAX;
    if (in->local == ROLE_LOCAL_DEAD) {
        earliest(&next, in->now_us, in->local_since_us, ROLE_DEAD_US);
        earliest(&next, in->now_us, in->local_since_us, ROLE_DEAD_KEEP_US);
    }
    earliest(&next, in->now_us, r->regression_since_us, ROLE_REGRESSION_US);
    earliest(&next, in->now_us, r->old_me_since_us, ROLE_OLD_ME_US);
    earliest(&next, in->now_us, r->superseded_since_us, ROLE_SUPERSEDED_US);
    earliest(&next, in->now_us, r->unclaimed_since_us, ROLE_REGRESSION_US);
    if (in->eager_epoch != 0) {
        earliest(&next, in->now_us, r->eager_since_us, ROLE_EAGER_US);
    }
    return next;
}
