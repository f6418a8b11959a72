/* What the core asks of the shell: a list of actions, executed in their order.
 *
 * Asynchronous actions carry an `op`; each ends with exactly one event that repeats it, also
 * where the shell refuses it (it was never sent). Reads change nothing. Everything that
 * changes a Redis is an order, everything that changes a Sentinel a vote, an announcement or
 * a forced failover: with every mechanism switched off none of these is ever asked for.
 *
 * Members are the other Redis of the set, one slot and one lasting connection each, to the
 * address that ACT_MEMBER_OPEN gave. */
#ifndef RPA_CORE_ACTION_H
#define RPA_CORE_ACTION_H

#include "agent/core/label.h"
#include "agent/core/role.h"

#define CORE_ACTIONS_MAX 128
#define MEMBERS_MAX 16
#define MEMBER_LOCAL MEMBERS_MAX /* as `slot` of an order: the Redis of this Pod */

#define CORE_ACTS(X)                                                                              \
    X(ACT_READ_LOCAL, "read-local")         /* ROLE, and INFO where `info`, in one write */       \
    X(ACT_KICK_LOCAL, "kick-local")         /* reconnect now, do not wait */                      \
    X(ACT_READ_SENTINEL, "read-sentinel")   /* MASTER, GET-MASTER-ADDR, MASTER in one write */    \
    X(ACT_LOOK_SENTINEL, "look-sentinel")   /* IS-MASTER-DOWN of epoch 0, SENTINELS, REPLICAS */  \
    X(ACT_VOTE, "vote")                     /* IS-MASTER-DOWN-BY-ADDR addr epoch id */            \
    X(ACT_ANNOUNCE, "announce")             /* PUBLISH __sentinel__:hello */                      \
    X(ACT_FORCE_FAILOVER, "force-failover") /* SENTINEL FAILOVER: the fallback */                 \
    X(ACT_MEMBER_OPEN, "member-open")       /* slot, addr; before: closed */                      \
    X(ACT_MEMBER_CLOSE, "member-close")                                                           \
    X(ACT_MEMBER_KICK, "member-kick")     /* reconnect now, do not wait */                        \
    X(ACT_READ_MEMBER, "read-member")     /* INFO server and replication, in one write */         \
    X(ACT_ORDER, "order")                 /* to the local Redis or a member */                    \
    X(ACT_LAUNCH_ANSWER, "launch-answer") /* how redis-server is to be started */                 \
    X(ACT_PATCH_POD, "patch-pod")                                                                 \
    X(ACT_GET_POD, "get-pod")                                                                     \
    X(ACT_DEMOTE_PEER, "demote-peer")       /* PATCH of another Pod: role=demoted */              \
    X(ACT_CLEAR_HANDOVER, "clear-handover") /* PATCH of the own Pod: the annotation is removed */ \
    X(ACT_KUBE_EVENT, "kube-event")                                                               \
    X(ACT_ROLE_CHANGED, "role-changed") /* for log and metrics */                                 \
    X(ACT_LABEL_ACKED, "label-acked")   /* for the histogram */                                   \
    X(ACT_GAP, "clock-gap")             /* for the log */                                         \
    X(ACT_DECIDED, "decided")           /* a new entry of core.history: log, Event, metric */     \
    X(ACT_DRAIN_TOLD, "drain-told")     /* the hand-over has a new line or its verdict */

enum core_act { CORE_ACTS(RPA_ENUM_MEMBER) CORE_ACT_COUNT };

/* What may be asked of a Redis; each is one command, but for PROMOTE. */
#define ORDERS(X)                                                                           \
    X(ORDER_PAUSE, "pause")             /* CLIENT PAUSE <ms> WRITE */                       \
    X(ORDER_UNPAUSE, "unpause")         /* CLIENT UNPAUSE */                                \
    X(ORDER_FOLLOW, "follow")           /* REPLICAOF <addr> */                              \
    X(ORDER_PROMOTE, "promote")         /* REPLICAOF NO ONE, then ROLE, in one write */     \
    X(ORDER_KILL_NORMAL, "kill-normal") /* CLIENT KILL TYPE normal SKIPME yes */            \
    X(ORDER_REWRITE, "rewrite")         /* CONFIG REWRITE */                                \
    X(ORDER_GET_FENCE, "get-fence")     /* CONFIG GET min-replicas-to-write and -max-lag */ \
    X(ORDER_SET_FENCE, "set-fence")     /* CONFIG SET min-replicas-to-write <value> */      \
    X(ORDER_FAILOVER, "failover")       /* FAILOVER TO <addr> TIMEOUT <ms>: without Sentinel */

enum order { ORDERS(RPA_ENUM_MEMBER) ORDER_COUNT };

/* How an order, a vote or an announcement ended. */
#define OUTCOMES(X)                                                              \
    X(OUTCOME_OK, "ok")                                                          \
    X(OUTCOME_REFUSED, "refused")   /* an error reply: not done */               \
    X(OUTCOME_DENIED, "denied")     /* NOPERM, unknown command: never will be */ \
    X(OUTCOME_NOT_SENT, "not sent") /* there was no connection */                \
    X(OUTCOME_UNKNOWN, "unknown")   /* sent; the connection was lost before the answer */

enum outcome { OUTCOMES(RPA_ENUM_MEMBER) OUTCOME_COUNT };

/* How a redis-server that asks through the launch helper is to be started. */
#define LAUNCHES(X)                                            \
    X(LAUNCH_HELD, "held")       /* --replicaof 127.0.0.1 1 */ \
    X(LAUNCH_REPLICA, "replica") /* --replicaof addr */        \
    X(LAUNCH_PLAIN, "plain")     /* as its configuration says: no Sentinel mode, or switched off */

enum launch { LAUNCHES(RPA_ENUM_MEMBER) };

struct core_action {
    enum core_act type;
    uint64_t op;
    size_t slot;              /* of a Sentinel; of a member, or MEMBER_LOCAL */
    bool info;                /* READ_LOCAL */
    enum order order;         /* ORDER */
    enum launch launch;       /* LAUNCH_ANSWER */
    uint64_t value;           /* ORDER_PAUSE, ORDER_FAILOVER: ms; ORDER_SET_FENCE: the value */
    struct addr addr;         /* VOTE: the master as this Sentinel spells it; ANNOUNCE: the new
                                 master, likewise; MEMBER_OPEN; ORDER_FOLLOW, ORDER_FAILOVER;
                                 LAUNCH_ANSWER */
    struct addr as;           /* ANNOUNCE: the Sentinel in whose name */
    char id[RUN_ID_LEN + 1];  /* VOTE: the candidate; ANNOUNCE: the Sentinel in whose name */
    struct label_value label; /* PATCH_POD */
    enum role_state from, to; /* ROLE_CHANGED, KUBE_EVENT */
    uint64_t epoch;           /* ROLE_CHANGED, KUBE_EVENT, VOTE, ANNOUNCE, DEMOTE_PEER */
    enum role_reason reason;  /* ROLE_CHANGED, KUBE_EVENT */
    bool regressed;           /* KUBE_EVENT: about an accepted lower epoch, not a role */
    uint64_t duration_us;     /* LABEL_ACKED, GAP */
    size_t index;             /* DEMOTE_PEER: of core.peers; DECIDED: of core.history */
};

struct core_actions {
    size_t count;
    struct core_action items[CORE_ACTIONS_MAX];
};

const char *core_act_name(enum core_act a);
const char *order_name(enum order o);
const char *outcome_name(enum outcome o);
const char *launch_name(enum launch l);

/* The item to be filled in, zeroed but for its type. */
struct core_action *core_actions_add(struct core_actions *out, enum core_act type);

#endif
