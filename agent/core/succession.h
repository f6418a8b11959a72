/* The succession: the one procedure that replaces the master, for every reason there is. An
 * agent that runs it is a candidate; it asks the Sentinels for their votes as one of them
 * would, promotes the best replica and announces it in their own language.
 *
 *   idle -> gather -> votes -> promote -> confirm -> announce -> commit -> idle
 *             |        ^  |                  ^ adopted: already promoted
 *             |        |  v                  |
 *             |       wait (next epoch)      |
 *             |           | hand-over        |
 *             |           v                  |
 *             |         pause -> equal -> follow -> final --> promote
 *             |           |        |         |        |
 *             |           +--------+--> resume <------+       (writes are taken again)
 *             +--> idle: nobody to choose, another candidate, no majority
 *
 *   gather    every Sentinel: its view, the vote it has given, its peers and replicas; every
 *             member: INFO. Nothing has been asked for yet.
 *   votes     IS-MASTER-DOWN-BY-ADDR at one epoch from all Sentinels that name this master
 *   confirm   the views are read again right before the announcement
 *   announce  PUBLISH of a hello to each Sentinel, in the name of a peer that it knows, with
 *             the new master as it spells it (sentinel.c, sentinelProcessHelloMessage)
 *   commit    until a majority names it; nothing more is sent
 *
 * Time: SUCCESSION_LIFE_US from the first vote asked to the announcement; then it sends
 * nothing more, and what is left is repaired. A foreign candidate is given
 * SUCCESSION_YIELD_US from the first sight of its majority, a Sentinel's own failover
 * SUCCESSION_SENTINEL_US.
 *
 * Whom it may choose: a member that carries the replication history that was last seen in sync
 * (struct mark: replid, and an offset no further behind than max_lag_bytes), not loading or
 * syncing, priority above 0, its Pod neither terminating nor fenced. A member that has
 * been promoted from that very history already (its master_replid2) is adopted. Members whose
 * history continues the one that I know come before those that have only mine. */
#ifndef RPA_CORE_SUCCESSION_H
#define RPA_CORE_SUCCESSION_H

#include "agent/core/evidence.h"
#include "agent/core/history.h"
#include "agent/core/members.h"

#define SUCCESSION_LIFE_US 400000U
#define SUCCESSION_YIELD_US 600000U
#define SUCCESSION_SENTINEL_US 2000000U
#define SUCCESSION_GATHER_US 150000U
#define SUCCESSION_GRACE_US 15000U  /* for the slower ones, once those that suffice have answered */
#define SUCCESSION_ROUND_US 150000U /* for the votes of one epoch */
#define SUCCESSION_EQUAL_US 100000U
#define SUCCESSION_COMMIT_US 1000000U
#define SUCCESSION_FALLBACK_US 15000000U /* the same, for a forced failover of a Sentinel */
#define SUCCESSION_JITTER_MIN_US 1000U
#define SUCCESSION_JITTER_MAX_US 30000U
#define SUCCESSION_PAUSE_MS 2000U /* the pause's own expiry */
#define SUCCESSION_PAUSE_MIN_MS 500U
#define SUCCESSION_IDS_MAX 8 /* of own candidacies, remembered */

#define SUCCESSION_STATES(X)           \
    X(SUCCESSION_IDLE, "idle")         \
    X(SUCCESSION_GATHER, "gather")     \
    X(SUCCESSION_VOTES, "votes")       \
    X(SUCCESSION_WAIT, "wait")         \
    X(SUCCESSION_PAUSE, "pause")       \
    X(SUCCESSION_EQUAL, "equal")       \
    X(SUCCESSION_FOLLOW, "follow")     \
    X(SUCCESSION_FINAL, "final")       \
    X(SUCCESSION_PROMOTE, "promote")   \
    X(SUCCESSION_CONFIRM, "confirm")   \
    X(SUCCESSION_ANNOUNCE, "announce") \
    X(SUCCESSION_COMMIT, "commit")     \
    X(SUCCESSION_RESUME, "resume")

enum succession_state { SUCCESSION_STATES(RPA_ENUM_MEMBER) SUCCESSION_STATE_COUNT };

/* The replication history that this Redis was last seen in sync with. */
struct mark {
    bool known;
    char replid[RUN_ID_LEN + 1];
    int64_t offset;
    uint64_t seen_us;
    char run_id[RUN_ID_LEN + 1]; /* of the process that was in sync */
    bool as_slave;
};

struct succession_ballot {
    uint64_t op; /* of the vote asked, or of the announcement; 0 none */
    bool asked;
    bool answered;
    bool granted;
    bool denied;
};

struct succession {
    enum succession_state state;
    uint64_t state_us;
    enum mechanism mechanism; /* the reason */
    enum why why;             /* to stand; after the end: why it ended so */
    uint64_t serial;          /* candidacies begun */
    bool succeeded;           /* the last one */
    uint64_t ended_us;
    bool unknown;     /* it ended with a promotion whose outcome is unknown */
    uint64_t hold_us; /* not again before: what it yielded to has had its time then */

    char ids[SUCCESSION_IDS_MAX][RUN_ID_LEN + 1]; /* ids[serial % MAX] is the current one */
    struct addr replaced;                         /* the master that newest named at the start */
    uint64_t base_epoch;                          /* of that newest */
    uint64_t epoch;                               /* at which votes are asked */
    uint64_t step;                                /* how far above what was heard; doubles */
    uint64_t first_vote_us;                       /* 0: none asked yet */
    uint64_t enough_us; /* gather: since when what has come suffices; 0 not yet */
    uint64_t wait_us;   /* wait: until */
    unsigned need;      /* Sentinels that make a majority and a quorum */
    bool fallback;      /* votes or announcement are refused: SENTINEL FAILOVER was asked */
    struct succession_ballot ballots[EVIDENCE_SENTINELS_MAX];

    size_t chosen; /* member, or MEMBER_LOCAL */
    struct addr chosen_addr;
    char chosen_run_id[RUN_ID_LEN + 1];
    bool adopted;
    int64_t target_offset; /* equal, final: what the chosen one must have; < 0 not known */
    uint64_t order_op;     /* outstanding; 0 none */
    bool order_answered;
    enum outcome order_outcome;
    uint64_t paused_us; /* 0: not by this one */
    uint64_t promoted_us;
};

struct core;

const char *succession_state_name(enum succession_state s);

/* Stands for election: `m` one of crash, hand-over, gone, repair. Not while one is running. */
void succession_begin(struct core *c, enum mechanism m, enum why why, struct core_actions *out);
/* As far as it gets with what is known now. */
void succession_step(struct core *c, struct core_actions *out);
/* The agent's facts are worthless (clock gap): whatever can be undone is undone. */
void succession_abandon(struct core *c, enum why why, struct core_actions *out);
void succession_on_vote(struct core *c, size_t slot, uint64_t op, enum outcome outcome,
                        const struct sentinel_vote *vote);
void succession_on_done(struct core *c, size_t slot, uint64_t op, enum outcome outcome);
void succession_on_order(struct core *c, uint64_t op, enum outcome outcome);
uint64_t succession_next_deadline(const struct core *c);
bool succession_is_mine(const struct succession *s, const char *id);

/* This Redis may be chosen to replace `replaced`, going by what was asked since `since_us`.
 * *ret_descends: its history continues the one that I know. */
bool succession_may_choose(const struct core *c, size_t slot, const struct addr *replaced,
                           uint64_t since_us, bool *ret_descends);

#endif
