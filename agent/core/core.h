/* The core: facts in, decisions out. core_step(core, event, actions) is the only way in.
 *
 * Pure: no I/O, no clock, no allocation, no logging. Time arrives in the event
 * (monotonic, and wall-clock for texts), randomness as a seed. The shell executes the
 * actions in their order, and calls again with CORE_TICK no later than core_next_deadline().
 *
 * Asynchronous actions carry an `op`; what completes them repeats it, and a completion that
 * is not the current one is dropped. Answers are as old as their question: the core notes
 * when it asked. A gap of more than CORE_GAP_US between two steps (the process was stopped,
 * the machine slept) makes everything that was known, or asked, worthless: it is forgotten
 * and asked anew, and until then labels are held.
 *
 * Which slot belongs to which Sentinel connection is the shell's business; a slot is < the
 * count given in CORE_SENTINELS. */
#ifndef RPA_CORE_CORE_H
#define RPA_CORE_CORE_H

#include "agent/core/action.h"
#include "agent/core/evidence.h"
#include "agent/core/fence.h"
#include "agent/core/follow.h"
#include "agent/core/handover.h"
#include "agent/core/history.h"
#include "agent/core/local.h"
#include "agent/core/peer.h"
#include "agent/core/stand.h"
#include "agent/core/succession.h"

#define CORE_GAP_US 2500000U
#define CORE_LOCAL_PERIOD_US 1000000U
#define CORE_SENTINEL_PERIOD_US 1000000U
#define CORE_UNSURE_PERIOD_US 250000U      /* Sentinels, while the role is held for want of proof */
#define CORE_EAGER_POLL_US 5000U           /* ROLE, after a Sentinel has selected me … */
#define CORE_EAGER_POLL_FOR_US 1000000U    /* … for so long */
#define CORE_REPLICAS_POLL_US 50000U       /* INFO, until a new master has a replica … */
#define CORE_REPLICAS_POLL_FOR_US 3000000U /* … for so long */

#define CORE_MODES(X)                       \
    X(CORE_MODE_AUTO, "auto")               \
    X(CORE_MODE_STANDALONE, "standalone")   \
    X(CORE_MODE_REPLICATION, "replication") \
    X(CORE_MODE_SENTINEL, "sentinel")       \
    X(CORE_MODE_CLUSTER, "cluster")

enum core_mode { CORE_MODES(RPA_ENUM_MEMBER) CORE_MODE_COUNT };

/* The mechanisms; all off: Redis and the Sentinels are only read. */
struct core_switches {
    bool crash;
    bool hand_over;
    bool gone;
    bool repair;
    bool harmless;
    bool enforce;
    bool peer_demotion;
    bool sweep;
    bool fence;
};

struct core_config {
    enum core_mode mode;         /* not AUTO: the shell has decided; CLUSTER is refused there */
    unsigned sentinel_count;     /* N as configured; 0 in modes without Sentinel */
    const struct addr *me;       /* every spelling of my address; copied */
    size_t me_count;             /* ≤ EVIDENCE_MY_ADDRS_MAX */
    const char *sentinel_master; /* name of the master; copied */
    const char *pod_name;
    const char *pod_uid; /* "" : taken from the first read of the Pod */
    bool labels;         /* false: there is no API server, nothing is written */
    bool role_legacy;
    bool eager;
    struct core_switches on;
    uint64_t max_lag_bytes; /* a replica further behind is no successor */
    uint64_t fence_after_us;
    uint64_t drain_timeout_us; /* of a hand-over, where its caller gives none */
    uint64_t seed;
};

#define CORE_EVENTS(X)                                                                  \
    X(CORE_TICK, "tick")                                                                \
    X(CORE_LOCAL_UP, "local-up")                                                        \
    X(CORE_LOCAL_DOWN, "local-down")                                                    \
    X(CORE_LOCAL_ROLE, "local-role")       /* answer to ACT_READ_LOCAL */               \
    X(CORE_LOCAL_INFO, "local-info")       /* … with info; after the ROLE */          \
    X(CORE_LOCAL_HINT, "local-hint")       /* a subscription was cut, …: ask now */   \
    X(CORE_SENTINELS, "sentinels")         /* how many slots are in use */              \
    X(CORE_SENTINEL_ID, "sentinel-id")     /* SENTINEL MYID of a slot */                \
    X(CORE_SENTINEL_UP, "sentinel-up")     /* the commands' connection is up */         \
    X(CORE_SENTINEL_HINT, "sentinel-hint") /* its subscription was (re)made: read it */ \
    X(CORE_SENTINEL_DOWN, "sentinel-down") /* the commands' connection is lost */       \
    X(CORE_SENTINEL_GONE, "sentinel-gone") /* the slot is free, or another's */         \
    X(CORE_SENTINEL_VIEW, "sentinel-view") /* answer to ACT_READ_SENTINEL */            \
    X(CORE_SENTINEL_EVENT, "sentinel-event")                                            \
    X(CORE_SENTINEL_LOOK, "sentinel-look") /* answer to ACT_LOOK_SENTINEL */            \
    X(CORE_SENTINEL_VOTE, "sentinel-vote") /* answer to ACT_VOTE */                     \
    X(CORE_SENTINEL_DONE, "sentinel-done") /* ends ACT_ANNOUNCE, ACT_FORCE_FAILOVER */  \
    X(CORE_MEMBER_UP, "member-up")                                                      \
    X(CORE_MEMBER_DOWN, "member-down")   /* lost, or one more attempt has failed */     \
    X(CORE_MEMBER_INFO, "member-info")   /* answer to ACT_READ_MEMBER */                \
    X(CORE_ORDER_DONE, "order-done")     /* ends ACT_ORDER */                           \
    X(CORE_LAUNCH, "launch")             /* a redis-server asks how to start */         \
    X(CORE_PROCESS_DEAD, "process-dead") /* … and has ended: its pidfd is readable */ \
    X(CORE_DRAIN, "drain")               /* hand over, please */                        \
    X(CORE_HELLO, "hello")                                                              \
    X(CORE_PODS_RESYNC, "pods-resync") /* a new list begins */                          \
    X(CORE_POD, "pod")                 /* a Pod of the namespace, mine among them */    \
    X(CORE_POD_GONE, "pod-gone")                                                        \
    X(CORE_PODS_SYNCED, "pods-synced")                                                  \
    X(CORE_API_DONE, "api-done") /* ends PATCH_POD, GET_POD, DEMOTE_PEER, CLEAR_HANDOVER */

enum core_event_type { CORE_EVENTS(RPA_ENUM_MEMBER) CORE_EVENT_COUNT };

struct core_event {
    enum core_event_type type;
    uint64_t now_us;
    uint64_t wall_ms;
    uint64_t op; /* of the action that it answers */
    size_t slot; /* SENTINEL_*, MEMBER_* */
    union {
        enum local_down down; /* LOCAL_DOWN, MEMBER_DOWN */
        struct {
            enum resp_fault fault;         /* not NONE: the ROLE was refused */
            const struct role_reply *role; /* else; NULL: no answer will come */
        } role;
        const struct info *info;          /* LOCAL_INFO, MEMBER_INFO; NULL: refused or unreadable */
        size_t sentinel_count;            /* SENTINELS */
        const char *id;                   /* SENTINEL_ID */
        const struct view *view;          /* SENTINEL_VIEW, asked_us unset; NULL: refused or torn */
        const struct sentinel_look *look; /* SENTINEL_LOOK; NULL: refused or unreadable */
        struct {
            enum outcome outcome;
            struct sentinel_vote vote; /* with OK */
        } vote;                        /* SENTINEL_VOTE */
        enum outcome outcome;          /* SENTINEL_DONE */
        struct {
            enum outcome outcome;
            bool is_master;        /* PROMOTE with OK: ROLE said so */
            uint64_t min_replicas; /* GET_FENCE with OK */
            uint64_t max_lag_s;
        } order; /* ORDER_DONE */
        struct {
            enum drain_by by;
            uint64_t budget_us;            /* 0: drain_timeout_us */
            char target[POD_NAME_MAX + 1]; /* a Pod's name; "": any */
        } drain;                           /* DRAIN */
        const struct sentinel_event *sentinel;
        const struct sentinel_hello *hello;
        const struct pod *pod;
        struct {
            enum api_outcome outcome;
            const struct pod *pod; /* with API_OK */
            uint64_t retry_after_us;
        } api;
    } u;
};

struct read_slot {
    uint64_t op; /* outstanding; 0 none */
    uint64_t asked_us;
    bool again; /* a hint came while it was under way */
    bool info;  /* INFO is outstanding, or wanted with `again` */
    uint64_t due_us;
};

/* What a Sentinel lists, read now and then, and by every candidate. */
struct look_slot {
    uint64_t op; /* outstanding; 0 none */
    uint64_t asked_us;
    uint64_t due_us;
    uint64_t seen_us; /* when what `look` holds was asked; 0 nothing */
    struct sentinel_look look;
};

struct core {
    struct core_config cfg;
    char sentinel_master[128];
    char pod_name[POD_NAME_MAX + 1];
    int ordinal;

    uint64_t now_us;
    uint64_t wall_ms;
    uint64_t next_op;
    struct local local;
    struct evidence evidence;
    struct role role;
    struct label label;
    struct role_input input; /* of the last step: what the decision was made from */

    struct read_slot local_read;
    uint64_t info_op; /* the read whose INFO is awaited; 0 none */
    uint64_t info_asked_us;
    struct read_slot sentinel_read[EVIDENCE_SENTINELS_MAX];
    bool sentinel_up[EVIDENCE_SENTINELS_MAX];
    size_t sentinel_slots;

    struct pod peers[CORE_PEERS_MAX]; /* Pods of my set beside mine; name "" = free */
    bool peer_listed[CORE_PEERS_MAX]; /* seen since the last resync */
    unsigned peers_dropped;           /* did not fit */
    bool listing;
    bool own_listed;
    bool peers_synced;

    struct look_slot look[EVIDENCE_SENTINELS_MAX];
    struct members members;
    struct mark mark;
    struct succession succession;
    struct stand stand;
    struct handover handover;
    struct follow follow;
    struct fence fence;
    struct peer_demotion demotions;
    struct history history;
    struct rng rng;

    uint64_t label_acks;
    uint64_t gaps;
};

const char *core_mode_name(enum core_mode m);
const char *core_event_type_name(enum core_event_type t);

void core_init(struct core *c, const struct core_config *cfg, uint64_t now_us);
void core_step(struct core *c, const struct core_event *ev, struct core_actions *ret);
uint64_t core_next_deadline(const struct core *c);

#endif
