/* What must be true, of docs and design, checked after every event of the simulation
 * against what really happened in the models ("truth").
 *
 *   two-masters       two Pods labelled master that would both acknowledge a write
 *   master-proof      no change to master without a true cause within the freshness bound
 *   replica-proof     no change to replica before the first sync of this process
 *   held-back         a deposed master that hears its Sentinels is no longer master
 *   answer-expired    a Redis that does not answer keeps no role
 *   kept-over-restart a new process does not inherit `master` without proof
 *   replica-held-back a replica in sync is `replica`, with or without Sentinels
 *   epoch-back        a lower epoch makes nobody master until it has lasted
 *   clock-gap         after a stop nothing counts that was known or asked before, and Redis
 *                     has its time to answer
 *   peer-demotion     a demotion by a newer master is not repaired like an edit by hand; one
 *                     of an epoch that is over is
 *   fence             a person's fence is obeyed, and its removal too
 *   probes            what HTTP says of the role expires with its proof, and only so
 *   intent-lost       what the core wants is what the API stores, soon after it can be
 *   actions           reads and writes of the own Pod one at a time, never a no-op
 *   patch-storm       retries wait, writes are bounded
 *   settle            when all is well again, every label says what is true, and stays; one
 *                     master takes writes, no fence is left, all others follow it
 *
 * Of the engine:
 *   switched-off      what is switched off is not done
 *   orders            only the own Redis is ordered, but for a promotion; no pause without an
 *                     expiry; no Redis follows itself or nobody
 *   one-candidate     at most one candidate promotes at an epoch
 *   announce-votes    nobody announces without the votes of a majority at that epoch
 *   phantom           no hello in the name of a Sentinel that its reader does not know
 *   spelling          … nor with an address that is none of its replicas, as it spells them
 *   healthy-master    a healthy proven master is replaced only by its own hand-over
 *   planned-loss      a hand-over loses no write, and the old master takes none after it
 *   named-writes      what a master acknowledged that a majority named is not lost while it,
 *                     the network and the Sentinels are well
 *   provoked          no Sentinel takes a master for dead that has only been paused
 *   spin              what is refused is not asked for again at once, for ever
 *   liveness          with everything switched on the set finds to one master when faults end
 *
 * Where the API, a clock, a watch or a Sentinel is made to fail, the bound begins anew when
 * that is over: each excuse is written beside its check. */
#ifndef RPA_TEST_SIM_INVARIANTS_H
#define RPA_TEST_SIM_INVARIANTS_H

#include "agent/core/core.h"
#include "test/sim/limits.h"
#include "test/sim/model_sentinel.h"

struct world;

#define TRUTH_FACTS 128
#define TRUTH_ELECTIONS 64
#define TRUTH_REQUESTS 64

/* What one Sentinel would have answered from a time on. */
struct fact {
    uint64_t from_us;
    bool up;
    struct sentinel_snap snap;
};

/* Votes of one epoch for one Sentinel, and what it did with them. */
struct election {
    uint64_t epoch;
    uint64_t candidate;
    unsigned votes; /* bit a Sentinel */
    int selected;
    uint64_t promoted_us; /* 0: not seen */
};

struct agent_truth {
    uint64_t api_clean_us;   /* requests and watch of this agent work since */
    uint64_t local_clean_us; /* it can ask its Redis, which answers, since */
    uint64_t sentinel_clean_us[SIM_SENTINELS_MAX];
    uint64_t other_us; /* its Sentinels name another since; 0: they do not */
    uint64_t other_epoch;
    int other;
    uint64_t mute_us;    /* its Redis does not answer since */
    uint64_t replica_us; /* its Redis is a replica in sync since */
    uint64_t kept_us;    /* a new process is master by keeping since */
    uint64_t desync_us;  /* what is stored and what is wanted differ since */
    enum role_state desync_role;
    uint64_t foreign_us;
    uint64_t fence_us; /* the stored fence is as it is since */
    bool fence;
    char run_id_before[RUN_ID_LEN + 1]; /* annotation when the agent started */

    uint64_t request_us[TRUTH_REQUESTS]; /* ring */
    uint64_t requests;
    uint64_t op; /* of the request in flight */
    struct label_value wish;
    uint64_t wish_us;       /* it is so since */
    uint64_t failed_us;     /* the last request failed then; 0: it did not */
    uint64_t refused_us;    /* the last PATCH met 409 or 422 then */
    unsigned refusals;      /* … and so many in a row, of this wish */
    uint64_t not_before_us; /* Retry-After */
    uint64_t local_op;
    uint64_t sentinel_op[SIM_SLOTS_MAX];
    enum role_state role; /* of the core after its last step */
    uint64_t epoch;
    uint64_t role_us;    /* since when */
    uint64_t proven_us;  /* last time at which it was master by proof, not by keeping */
    uint64_t step_us;    /* the last one */
    uint64_t gap_us;     /* the last one that came too late; 0 none did */
    uint64_t newest_max; /* highest epoch that its Sentinels have shown it, or a lower one */
    uint64_t lower_us;   /* … that it has accepted; a lower one is shown since */
    uint64_t lower_epoch;
    uint64_t probe_us; /* the next time at which probes are asked */
};

struct truth {
    struct fact facts[SIM_SENTINELS_MAX][TRUTH_FACTS];
    size_t fact_count[SIM_SENTINELS_MAX];
    struct election elections[TRUTH_ELECTIONS];
    size_t election_count;
    uint64_t dual_us[SIM_PODS_MAX][SIM_PODS_MAX]; /* 0: no two masters */
    struct agent_truth agents[SIM_PODS_MAX];
    uint64_t settled_us; /* the Sentinels agree with Redis since; 0: they do not */
    uint64_t told_us[SIM_SENTINELS_MAX][SENTINEL_EVENT_COUNT]; /* first time of each event */
};

/* ---- invariants.c ---- */

void invariants_init(struct world *w);
void invariants_step(struct world *w);
void invariants_final(struct world *w);

/* ---- invariants_core.c: after each step of a core ---- */

void invariants_agent_started(struct world *w, unsigned i);
void invariants_after_core(struct world *w, unsigned i, const struct core_event *ev,
                           const struct core_actions *actions);
void invariants_answer(struct world *w, unsigned i, uint64_t op, enum api_outcome outcome,
                       uint64_t retry_after_us);

/* ---- truth.c: what has happened ---- */

void truth_note_sentinels(struct world *w);
void truth_note_vote(struct world *w, unsigned voter, uint64_t epoch, uint64_t candidate);
/* The Sentinels (bits) that gave this candidate their vote. */
unsigned truth_votes(const struct world *w, uint64_t epoch, uint64_t candidate);
void truth_note_selected(struct world *w, uint64_t epoch, uint64_t candidate, int redis);
void truth_note_promoted(struct world *w, int redis);
/* Whom the Sentinels of the set `among` (bits) name at the highest epoch; -1: nobody, or
 * they differ. */
int truth_newest(const struct world *w, unsigned among, uint64_t *ret_epoch);
/* NULL: agent i may call its Redis master for this reason at this epoch; else why not. */
const char *truth_against_master(const struct world *w, unsigned i, enum role_reason reason,
                                 uint64_t epoch);

#endif
