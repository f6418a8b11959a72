/* What is known of the Redis beside this agent: its last ROLE, INFO and fault, each with
 * the time at which it was *asked*, and what follows from them for the role.
 *
 * A replica's first sync is done once its link has been seen connected without a sync in
 * progress, or once INFO tells for how long the link has been down (a number there means
 * that it was up before). A new run-id is a new process: nothing carries over. */
#ifndef RPA_CORE_LOCAL_H
#define RPA_CORE_LOCAL_H

#include "agent/core/role.h"
#include "lib/codec/info.h"
#include "lib/codec/role_reply.h"

#define LOCAL_LINK_DOWN_US 60000000U /* a replica's link may be down for this long */

/* Why there is no connection; the words of what can be told apart from outside. */
#define LOCAL_DOWNS(X)                          \
    X(LOCAL_DOWN_NONE, "connected")             \
    X(LOCAL_DOWN_REFUSED, "connection refused") \
    X(LOCAL_DOWN_CLOSED, "connection closed")   \
    X(LOCAL_DOWN_SILENT, "no answer")           \
    X(LOCAL_DOWN_DENIED, "credentials refused") \
    X(LOCAL_DOWN_BROKEN, "not a Redis")

enum local_down { LOCAL_DOWNS(RPA_ENUM_MEMBER) };

struct local {
    uint64_t trusted_since_us; /* start or last clock gap: silence counts from here */
    enum local_down down;
    bool connected;
    uint64_t refused_since_us; /* 0: the last attempt was not refused */
    bool ever_answered;        /* any answer since the agent started: /startupz */
    uint64_t answered_us;      /* last answer of any kind */
    enum resp_fault fault;     /* of the last ROLE */

    uint64_t role_us; /* when the last good ROLE was asked; 0 none */
    struct role_reply role;
    uint64_t master_since_us; /* first ROLE master in a row; 0 not master */
    uint64_t info_us;
    struct info info;
    char run_id[RUN_ID_LEN + 1]; /* of this connection; "" until INFO has come */
    bool first_sync_done;
    uint64_t link_down_since_us; /* 0: link up */

    enum role_local state;
    uint64_t state_since_us;
};

const char *local_down_name(enum local_down d);

void local_init(struct local *l, uint64_t now_us);
void local_up(struct local *l, uint64_t now_us);
void local_lost(struct local *l, enum local_down why, uint64_t now_us);
/* A good ROLE. */
void local_role(struct local *l, const struct role_reply *role, uint64_t asked_us, uint64_t now_us);
/* ROLE was refused with an error reply. */
void local_fault(struct local *l, enum resp_fault fault, uint64_t now_us);
void local_info(struct local *l, const struct info *info, uint64_t asked_us, uint64_t now_us);
/* Nothing that is known may be acted on any more (clock gap). */
void local_distrust(struct local *l, uint64_t now_us);

/* Re-evaluates state and state_since_us for `now`. */
void local_update(struct local *l, uint64_t now_us);
uint64_t local_next_deadline(const struct local *l, uint64_t now_us);

/* A ROLE was answered, and asked at most ROLE_PROOF_US ago. */
bool local_is_proven(const struct local *l, uint64_t now_us);

#endif
