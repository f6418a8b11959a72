/* The role of this Pod: one pure step from facts to the value of the role label.
 *
 *                    verdict me, or eager; no Sentinel mode; bootstrap
 *      +---------+ --------------------------------------------------> +--------+
 *      | pending | <-- dead 2 s, silent 3 s, loading, restarted ------ | master |
 *      +---------+                                                     +--------+
 *        |     ^  first sync                                     other,  |  ^  me again
 *        v     |  missing, link down                      mirror, peer   v  |
 *      +---------+         local ROLE says slave                      +---------+
 *      | replica | <------------------------------------------------- | demoted |
 *      +---------+                                                    +---------+
 *      draining: any of them but master, while the Pod is terminating
 *      fenced:   any of them, while a person's fence stands
 *
 * Rules, in order of precedence (the table of the design, row by row, is role_table in the
 * .c): fenced > draining > what ROLE and the evidence say. A replica needs no quorum; a
 * master needs proof; without proof the present state is held ("hold"), never turned into
 * master. Every limit in time is one of the ROLE_*_US constants.
 *
 * Fencing token: the highest config-epoch of a newest configuration that was accepted. A
 * lower one (Sentinels rebuilt from nothing) proves nothing until a majority has agreed on
 * it for ROLE_REGRESSION_US. */
#ifndef RPA_CORE_ROLE_H
#define RPA_CORE_ROLE_H

#include "agent/core/evidence.h"

#define ROLE_PROOF_US 3000000U       /* a proof of the local ROLE expires */
#define ROLE_DEAD_KEEP_US 2000000U   /* a dead master keeps its label for a successor */
#define ROLE_DEAD_US 1000000U        /* another role is given up when connects are refused */
#define ROLE_OLD_ME_US 12000000U     /* a restarted master waits for its new run-id */
#define ROLE_EAGER_US 5000000U       /* newest must confirm an eager proof within */
#define ROLE_REGRESSION_US 10000000U /* a lower epoch is accepted after */
#define ROLE_SUPERSEDED_US \
    12000000U /* a peer's label above my proof: it has had time to step down */

#define ROLE_STATES(X)                                                        \
    X(ROLE_UNSET, "unset") /* just started, nothing decided; never written */ \
    X(ROLE_PENDING, "pending")                                                \
    X(ROLE_MASTER, "master")                                                  \
    X(ROLE_REPLICA, "replica")                                                \
    X(ROLE_DEMOTED, "demoted")                                                \
    X(ROLE_DRAINING, "draining")                                              \
    X(ROLE_FENCED, "fenced")

enum role_state { ROLE_STATES(RPA_ENUM_MEMBER) ROLE_STATE_COUNT };

/* What is known of the local Redis, in one word. */
#define ROLE_LOCALS(X)                                                                             \
    X(ROLE_LOCAL_UNKNOWN, "unknown") /* not yet asked, or unanswered for less than 3 s */          \
    X(ROLE_LOCAL_DEAD, "dead")       /* connects are refused */                                    \
    X(ROLE_LOCAL_SILENT, "silent")   /* no proof of ROLE for ROLE_PROOF_US */                      \
    X(ROLE_LOCAL_DENIED, "denied")   /* credentials refused */                                     \
    X(ROLE_LOCAL_LOADING, "loading")                                                               \
    X(ROLE_LOCAL_BUSY, "busy")         /* alive, runs a script: its ROLE cannot be asked */        \
    X(ROLE_LOCAL_CLUSTER, "cluster")   /* cluster_enabled: not supported yet */                    \
    X(ROLE_LOCAL_SENTINEL, "sentinel") /* the address is a Sentinel's */                           \
    X(ROLE_LOCAL_MASTER, "master")                                                                 \
    X(ROLE_LOCAL_SLAVE, "slave") /* first sync done, link up or down for less than tolerated */    \
    X(ROLE_LOCAL_SYNCING, "syncing")     /* slave that never had a full data set of this master */ \
    X(ROLE_LOCAL_LINK_DOWN, "link-down") /* slave whose link is down for too long */

enum role_local { ROLE_LOCALS(RPA_ENUM_MEMBER) ROLE_LOCAL_COUNT };

/* Why; the text is what people read in annotation, Event and log. */
#define ROLE_REASONS(X)                                                                         \
    X(ROLE_WHY_STARTING, "starting: nothing is proven yet")                                     \
    X(ROLE_WHY_ADOPTED, "agent restarted: the present label is kept until there is proof")      \
    X(ROLE_WHY_MAJORITY, "Sentinel's newest configuration names this Redis")                    \
    X(ROLE_WHY_EAGER, "selected by an elected Sentinel and promoted")                           \
    X(ROLE_WHY_NO_SENTINEL, "ROLE is master and there is no Sentinel in this mode")             \
    X(ROLE_WHY_BOOTSTRAP, "no Sentinel knows a master and this is the lowest Pod")              \
    X(ROLE_WHY_SLAVE, "ROLE is slave and its link is up")                                       \
    X(ROLE_WHY_OTHER, "Sentinel's newest configuration names another Redis")                    \
    X(ROLE_WHY_MIRROR, "a Sentinel fails over to another Redis")                                \
    X(ROLE_WHY_PEER_DEMOTED, "a peer that is master at this or a newer epoch demoted this Pod") \
    X(ROLE_WHY_SUPERSEDED, "a peer carries the master label at a newer epoch")                  \
    X(ROLE_WHY_TIE, "a peer carries the master label at the same epoch and comes first")        \
    X(ROLE_WHY_RESTARTED, "Redis was restarted: Sentinel still names its former run-id")        \
    X(ROLE_WHY_DEAD, "Redis refuses connections")                                               \
    X(ROLE_WHY_SILENT, "Redis does not answer")                                                 \
    X(ROLE_WHY_DENIED, "Redis refuses the credentials")                                         \
    X(ROLE_WHY_LOADING, "Redis is loading its data set")                                        \
    X(ROLE_WHY_CLUSTER, "Redis runs in cluster mode, which is not supported yet")               \
    X(ROLE_WHY_SENTINEL, "the configured Redis address is a Sentinel's")                        \
    X(ROLE_WHY_SYNCING, "the first sync with the master is not done")                           \
    X(ROLE_WHY_LINK_DOWN, "the link to the master is down for too long")                        \
    X(ROLE_WHY_TERMINATING, "the Pod is terminating")                                           \
    X(ROLE_WHY_FENCE, "annotation redis-pod-agent/fence is set")                                \
    X(ROLE_WHY_ISOLATED, "no majority of Sentinels and no replica answers: writes are refused")

enum role_reason { ROLE_REASONS(RPA_ENUM_MEMBER) ROLE_REASON_COUNT };

struct role_input {
    uint64_t now_us;
    enum role_local local;
    uint64_t local_since_us;     /* since when `local` has been so */
    char run_id[RUN_ID_LEN + 1]; /* of the running process; "" not known */
    struct newest newest;
    enum verdict verdict;
    bool vouched;         /* a majority names this very process, by its run-id */
    uint64_t eager_epoch; /* evidence_eager and ROLE turned master afterwards; else 0 */
    bool mirror;
    uint64_t epoch_heard; /* highest epoch that the Sentinels are known to have reached */

    bool fenced;
    bool isolated; /* by the agent itself, not by a person */
    bool terminating;
    bool handing_over; /* the mastership is on its way to a successor */
    bool held;         /* writes are held by a pause */
    bool foreign_vote; /* somebody stands for election at this moment */

    enum role_state own_label; /* as stored in the API; ROLE_UNSET: not known, none or foreign */
    uint64_t own_label_epoch;
    char own_run_id[RUN_ID_LEN + 1]; /* the process that the stored label vouches for; "" none */
    bool own_observed;               /* the own Pod has been read */
    uint64_t demoted_by_epoch;       /* beside a label `demoted` that a peer wrote; 0 none */

    bool peer_master;           /* a peer of my set carries `master` … */
    uint64_t peer_master_epoch; /* … the highest epoch among these … */
    bool peer_master_first;     /* … and one of that epoch has a lower ordinal than I */
    bool peers_synced;          /* the watch has delivered the whole set */
    bool lowest_ordinal;
};

struct role {
    enum role_state state;
    enum role_reason reason;
    uint64_t epoch;    /* of the proof; for `master` the fencing token */
    uint64_t since_us; /* since when `state` */
    bool holding;      /* kept for want of proof, since hold_since_us */
    uint64_t hold_since_us;

    uint64_t token; /* highest accepted newest epoch */
    uint64_t regression_epoch;
    uint64_t regression_since_us; /* 0: none under way */
    char run_id[RUN_ID_LEN + 1];  /* of the process that holds the state */
    bool replaced;                /* a former process held it, and nobody vouches for this one */
    uint64_t old_me_since_us;     /* 0: not so */
    uint64_t eager_epoch;
    uint64_t eager_since_us;
    uint64_t superseded_epoch;
    uint64_t superseded_since_us; /* proven, and a peer's label is above it */
    uint64_t unclaimed_since_us;  /* proven, demoted by a peer, and nobody carries `master` */
};

struct role_change {
    bool state;     /* state is another */
    bool epoch;     /* the same state at another epoch */
    bool regressed; /* a lower epoch was accepted just now: tell it in an Event */
    enum role_state from;
};

const char *role_state_name(enum role_state s);
bool role_state_from(struct sv name, enum role_state *ret) MUST_USE;
const char *role_local_name(enum role_local l);
const char *role_reason_text(enum role_reason r);

void role_init(struct role *r);
struct role_change role_step(struct role *r, const struct role_input *in);

/* When time alone may change the outcome; UINT64_MAX: never. */
uint64_t role_next_deadline(const struct role *r, const struct role_input *in);

#endif
