/* Refusing writes: the isolation fence, and a person's.
 *
 *   off --(isolated, or a person's fence after the hand-over)--> setting --> on
 *    ^                                                                       |
 *    +------------- lifting <--(slave; named again; a person takes it off)---+
 *
 * min-replicas-to-write is raised by FENCE_BASE above its value: Redis refuses (NOREPLICAS)
 * and holds nothing back, which Sentinel would take for death. The value carries what is to be
 * restored, and needs no renewal; an agent that finds one, on each new connection, treats it
 * as its own. min-replicas-max-lag 0 switches the refusal off: then there is no fence.
 *
 * Isolated: labelled master, no answer at all from a majority of the Sentinels for
 * fence_after_us, no replica has acknowledged since, one was online before, and the API
 * shows another live Pod of the set. Kept until ROLE is slave, or a majority's newest names
 * this Redis again. */
#ifndef RPA_CORE_FENCE_H
#define RPA_CORE_FENCE_H

#include "agent/core/action.h"
#include "agent/core/evidence.h"

#define FENCE_BASE 1000000U
#define FENCE_RETRY_US 500000U

#define FENCE_STATES(X)         \
    X(FENCE_UNKNOWN, "unknown") \
    X(FENCE_OFF, "off")         \
    X(FENCE_SETTING, "setting") \
    X(FENCE_ON, "on")           \
    X(FENCE_LIFTING, "lifting")

enum fence_state { FENCE_STATES(RPA_ENUM_MEMBER) FENCE_STATE_COUNT };

struct fence {
    enum fence_state state;
    uint64_t op;
    uint64_t get_op;
    uint64_t retry_us;
    uint64_t value;   /* min-replicas-to-write as read, without FENCE_BASE */
    bool useless;     /* min-replicas-max-lag is 0 */
    bool isolated;    /* why it is on, or wanted */
    bool handed_over; /* a person's fence: the hand-over before it has had its verdict */
    uint64_t heard_us[EVIDENCE_SENTINELS_MAX]; /* any sign of life of this Sentinel */
    uint64_t since_us;
};

struct core;

const char *fence_state_name(enum fence_state s);
void fence_step(struct core *c, struct core_actions *out);
void fence_on_local_up(struct core *c);
void fence_on_order(struct core *c, uint64_t op, enum outcome outcome, uint64_t min_replicas,
                    uint64_t max_lag_s);
uint64_t fence_next_deadline(const struct core *c);
/* For the role: writes are refused, by whatever cause. */
bool fence_is_label(const struct core *c);

#endif
