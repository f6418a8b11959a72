/* Reasons to stand for election, who stands first, and the watch over what others began.
 *
 *   crash   this agent's Redis was the proven master and is dead: its process has ended (pidfd
 *           from the launch helper), or its connection was closed and two connects
 *           STAND_REFUSED_US apart were refused, or it came back as another process with less
 *           than its replicas have. Frozen, silent, loading, or a listener that is merely
 *           closed is no death: a live connection or an answer speaks against it.
 *   gone    the master's Pod object is gone, the link to it is down, and its address refuses
 *           connects, or gives no connection for longer than fence_after_us
 *   repair  newest's master, asked directly, says slave or refuses connects, or is down for a
 *           majority, and somebody began what nobody ended: votes for a candidate, a
 *           promotion, a Sentinel's failover that is stuck, no failover at all. A first sight is
 *           given SUCCESSION_YIELD_US (Sentinels STAND_SENTINEL_US) and the rank's share.
 *   return  nobody else can: the Sentinels name this Redis, which is a slave without a link (it
 *           was started held, or follows one that follows it), no member has more than it, and
 *           nobody has stood for STAND_RETURN_US
 *
 * Rank: the agent of a Redis that was promoted already stands first, the others by ordinal,
 * STAND_RANK_US apart with as much jitter, so that one stands and the others watch. */
#ifndef RPA_CORE_STAND_H
#define RPA_CORE_STAND_H

#include "agent/core/local.h"
#include "agent/core/members.h"

#define STAND_REFUSED_US 20000U
#define STAND_RANK_US 60000U
#define STAND_SENTINEL_US 2000000U
#define STAND_RETURN_US 3000000U
#define STAND_RETRY_MIN_US 50000U
#define STAND_RETRY_MAX_US 2000000U
#define STAND_WATCH_US 100000U       /* newest's master is asked so often while there is doubt */
#define STAND_ASKED_US 300000U       /* … and its answer counts for so long */
#define STAND_SIGHT_US 1000000U      /* a sight holds for so long without a new answer */
#define STAND_DESPERATE_US 30000000U /* nobody is master, and nobody has the known history */
#define STAND_CRASH_FOR_US 10000000U /* a death is a reason for so long */
#define STAND_GONE_MAX 8
#define STAND_GONE_KEEP_US 600000000U

struct gone_pod {
    char name[POD_NAME_MAX + 1];
    char hostname[POD_NAME_MAX + 1];
    char ip[POD_IP_MAX + 1];
    uint64_t gone_us; /* 0: free */
};

struct stand {
    /* Signs of death of the local Redis. */
    bool process_dead;
    uint64_t closed_us;  /* an established connection was lost; 0 none since the last up */
    uint64_t refused_us; /* first refused connect since */
    uint64_t up_us;      /* connected since */
    uint64_t dead_us;    /* proven dead since; 0 not */
    uint64_t kick_us;    /* the second connect is due; 0 none */
    bool was_master;     /* labelled master by proof when it was last seen alive … */
    uint64_t was_master_us;
    bool had_replica; /* … with a replica online and close enough */
    char was_run_id[RUN_ID_LEN + 1];

    /* newest, which the sights below are about, and since when it has been so. */
    struct addr named;
    uint64_t named_epoch;
    uint64_t newest_us;

    /* What somebody else has begun: first sights; 0 none. */
    char foreign_id[RUN_ID_LEN + 1];
    uint64_t foreign_epoch;
    uint64_t foreign_us;
    uint64_t failover_us; /* a Sentinel's failover of the present master is open */
    uint64_t promoted_us; /* a member, or this Redis, was promoted and is not named */
    uint64_t down_us;     /* down for a majority */
    uint64_t slave_us;    /* newest's master says it is a slave */
    uint64_t slave_seen_us;
    uint64_t link_us;  /* my link to it is down */
    uint64_t named_us; /* it names this Redis, which is a held slave */

    uint64_t watch_us;  /* next question to newest's master */
    uint64_t retry_us;  /* no candidacy before */
    uint64_t return_us; /* no `return` before */
    unsigned tries;
    uint64_t rank_jitter_us;
    uint64_t jitter_for; /* what the jitter was drawn for */

    struct gone_pod gone[STAND_GONE_MAX];
};

struct core;

/* Takes in what is seen, before a candidacy goes on; and stands, where there is a reason. */
void stand_watch(struct core *c, struct core_actions *out);
void stand_step(struct core *c, struct core_actions *out);
uint64_t stand_next_deadline(const struct core *c);
void stand_on_local_up(struct core *c);
void stand_on_local_down(struct core *c, bool was_connected, enum local_down why);
/* Before the member is marked as down. */
void stand_on_member_down(struct core *c, size_t slot);
void stand_on_pod_gone(struct core *c, const struct pod *p);
/* Whom a Sentinel has voted for, from an event or an answer. */
void stand_on_vote(struct core *c, const char *id, uint64_t epoch);

/* The master that is named has been a slave for so long that any data is better than none: the
 * longest replica then counts, whatever its history, as it does for a Sentinel. */
bool stand_is_desperate(const struct core *c);

/* A foreign vote above newest is younger than SUCCESSION_YIELD_US. */
bool stand_sees_candidate(const struct core *c);

#endif
