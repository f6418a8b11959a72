/* What the own Redis is told without being asked: whom to follow, and when to refuse or hold
 * its clients. Each Redis is told by its own agent and nobody else.
 *
 *   follow    a slave of somebody else than the proven master       REPLICAOF
 *   enforce   a master beside the proven one                        REPLICAOF, CLIENT KILL
 *   harmless  a Sentinel fails this master over to another           CLIENT PAUSE, and as soon as
 *             the selected one says master                          REPLICAOF, UNPAUSE
 *   sweep     FOLLOW_SWEEP_US after this stopped being the master   CLIENT KILL, once
 *   rewrite   after a change of role, as Sentinel does              CONFIG REWRITE
 *
 * Proven: a majority's newest names it, it answered INFO with role master no longer than
 * FOLLOW_PROOF_US ago, and the own ROLE was read after that. */
#ifndef RPA_CORE_FOLLOW_H
#define RPA_CORE_FOLLOW_H

#include "agent/core/action.h"

#define FOLLOW_PROOF_US 300000U
#define FOLLOW_ASK_US 20000U
#define FOLLOW_RETRY_US 250000U
#define FOLLOW_SWEEP_US 2000000U
#define FOLLOW_PAUSE_MS 1000U           /* harmless: the pause's expiry */
#define FOLLOW_PAUSE_AGAIN_US 10000000U /* at most one such pause in so long */
#define FOLLOW_WATCH_US 50000U
#define FOLLOW_SELECTED_US 5000000U /* a Sentinel has so long to finish what selected me */

struct follow {
    uint64_t op; /* REPLICAOF under way; 0 none */
    bool enforcing;
    struct addr target;
    uint64_t ask_us;   /* next question to the target */
    uint64_t retry_us; /* not before */
    uint64_t pause_op;
    uint64_t paused_us; /* by harmless; 0 not */
    uint64_t last_paused_us;
    uint64_t unpause_us; /* when its expiry ends it */
    uint64_t sweep_us;   /* due; 0 none */
    bool rewrite_due;
    enum role_state last_role;
};

struct core;

void follow_step(struct core *c, struct core_actions *out);
void follow_on_order(struct core *c, uint64_t op, enum outcome outcome, struct core_actions *out);
uint64_t follow_next_deadline(const struct core *c);

#endif
