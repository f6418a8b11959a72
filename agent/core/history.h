/* The last decisions, for `status --history`, the log, Events and metrics: what was done to
 * the data plane, by which mechanism, on which evidence, and how it ended. A ring without
 * allocation; entries are numbered from 0 and never change but for their outcome. */
#ifndef RPA_CORE_HISTORY_H
#define RPA_CORE_HISTORY_H

#include "agent/core/action.h"

#define HISTORY_MAX 256

#define MECHANISMS(X)                           \
    X(MECHANISM_CRASH, "crash")                 \
    X(MECHANISM_HAND_OVER, "hand-over")         \
    X(MECHANISM_GONE, "gone")                   \
    X(MECHANISM_REPAIR, "repair")               \
    X(MECHANISM_FOLLOW, "follow")               \
    X(MECHANISM_ENFORCE, "enforce")             \
    X(MECHANISM_HARMLESS, "harmless")           \
    X(MECHANISM_PEER_DEMOTION, "peer-demotion") \
    X(MECHANISM_SWEEP, "sweep")                 \
    X(MECHANISM_FENCE, "fence")                 \
    X(MECHANISM_LAUNCH, "launch")

enum mechanism { MECHANISMS(RPA_ENUM_MEMBER) MECHANISM_COUNT };

#define DECISIONS(X)                                                                   \
    X(DECIDED_STAND, "stands for election")                                            \
    X(DECIDED_YIELD, "yields to another candidate")                                    \
    X(DECIDED_GIVE_UP, "gives up")                                                     \
    X(DECIDED_CHOSEN, "chose the successor")                                           \
    X(DECIDED_VOTED, "was given the votes of a majority")                              \
    X(DECIDED_ORDER, "sent an order to Redis")                                         \
    X(DECIDED_ANNOUNCE, "announced the new master to the Sentinels")                   \
    X(DECIDED_COMMITTED, "a majority of Sentinels names the new master")               \
    X(DECIDED_FALLBACK, "asks a Sentinel to fail over: votes or announcement refused") \
    X(DECIDED_DEMOTE_PEER, "demotes a peer's label")                                   \
    X(DECIDED_FENCE_ON, "refuses writes")                                              \
    X(DECIDED_FENCE_OFF, "takes writes again")                                         \
    X(DECIDED_LAUNCH, "told redis-server how to start")

enum decision { DECISIONS(RPA_ENUM_MEMBER) DECISION_COUNT };

/* Why; for the decisions to stand, to yield and to give up. */
#define WHYS(X)                                                                                  \
    X(WHY_NONE, "")                                                                              \
    X(WHY_PROCESS_ENDED, "the process of redis-server has ended")                                \
    X(WHY_REFUSED_TWICE, "Redis closed its connection and refuses new ones")                     \
    X(WHY_BEHIND, "Redis was restarted with less than its replicas have")                        \
    X(WHY_NAMES_SLAVE, "the Redis that the Sentinels name is a slave")                           \
    X(WHY_POD_GONE, "the master's Pod is gone and its Redis does not answer")                    \
    X(WHY_UNANNOUNCED_VOTE, "votes for a candidate were followed by nothing")                    \
    X(WHY_UNANNOUNCED_MASTER, "a promotion was not announced")                                   \
    X(WHY_STUCK_FAILOVER, "a Sentinel's failover is stuck")                                      \
    X(WHY_NO_FAILOVER, "the master is down for a majority and nobody fails over")                \
    X(WHY_ASKED, "it was asked to hand over")                                                    \
    X(WHY_NO_SENTINELS, "fewer than a majority of the Sentinels answer")                         \
    X(WHY_NO_REPLICA, "no replica carries the data set, is close enough and may be promoted")    \
    X(WHY_UNLISTED, "too few Sentinels list the best replica, which could not be announced")     \
    X(WHY_OTHER_CANDIDATE, "a majority has voted for another candidate")                         \
    X(WHY_OTHER_MASTER, "a majority names another master")                                       \
    X(WHY_SENTINEL_FAILOVER, "a Sentinel's own failover is under way")                           \
    X(WHY_NO_VOTES, "no majority of votes in time")                                              \
    X(WHY_TOO_LATE, "the candidacy is over its time")                                            \
    X(WHY_NOT_EQUAL, "the successor did not catch up in time")                                   \
    X(WHY_PROMOTION_REFUSED, "the successor did not take the promotion")                         \
    X(WHY_PROMOTION_UNKNOWN, "the connection was lost in the promotion: its outcome is unknown") \
    X(WHY_NOT_ANNOUNCED, "no majority took the announcement")                                    \
    X(WHY_LOCAL_REFUSED, "the local Redis refused an order")                                     \
    X(WHY_MASTER_IS_BACK, "the master answers again")                                            \
    X(WHY_NO_ORDER_RIGHTS, "a Sentinel refuses votes or announcements to this user")             \
    X(WHY_ISOLATED, "no Sentinel majority and no replica has answered")                          \
    X(WHY_PERSON, "the fence annotation is set")                                                 \
    X(WHY_NAMED_AGAIN, "a majority's newest configuration names this Redis again")               \
    X(WHY_FOUND, "a fence was found that nothing asks for")                                      \
    X(WHY_NEWEST, "Sentinel's newest configuration names that Redis, and it says master")        \
    X(WHY_FAILOVER_TO_OTHER, "a Sentinel fails over to another Redis")                           \
    X(WHY_DEMOTED, "clients may have come back too early")

enum why { WHYS(RPA_ENUM_MEMBER) WHY_COUNT };

struct history_entry {
    uint64_t at_us;
    uint64_t wall_ms;
    enum mechanism mechanism;
    enum decision what;
    enum why why;
    enum order order; /* with DECIDED_ORDER */
    struct addr addr; /* whom it is about; unset none */
    uint64_t epoch;   /* 0 none */
    uint64_t age_us;  /* of the evidence; UINT64_MAX: not applicable */
    uint64_t op;      /* whose completion fills in the outcome; 0 none */
    bool done;
    enum outcome outcome;
};

struct history {
    uint64_t count; /* entries ever made; entry i is at i % HISTORY_MAX */
    struct history_entry entries[HISTORY_MAX];
};

const char *mechanism_name(enum mechanism m);
const char *decision_text(enum decision d);
const char *why_text(enum why w);

/* The new entry, zeroed but for its times; the caller fills in the rest. */
struct history_entry *history_add(struct history *h, uint64_t now_us, uint64_t wall_ms);
void history_done(struct history *h, uint64_t op, enum outcome outcome);
/* NULL: no longer, or not yet, there. */
const struct history_entry *history_at(const struct history *h, uint64_t index);

#endif
