/* What the failover engine has done, counted for /metrics, and its log lines.
 *
 * The driver shows it every action before it is executed and every event before the core takes
 * it. Orders are remembered by their op until they are answered; the time for which writes were
 * held is what the local Redis confirmed: from an answered pause to the answered resumption, or
 * to the pause's own expiry. */
#ifndef RPA_SHELL_ENGINE_STATS_H
#define RPA_SHELL_ENGINE_STATS_H

#include "agent/core/core.h"
#include "lib/codec/promtext.h"

#define ENGINE_ORDERS_MAX 64 /* remembered at once; the oldest is forgotten, uncounted */

#define FAILOVER_OUTCOMES(X)           \
    X(FAILOVER_COMMITTED, "committed") \
    X(FAILOVER_FALLBACK, "fallback")   \
    X(FAILOVER_YIELDED, "yielded")     \
    X(FAILOVER_GIVEN_UP, "given-up")

enum failover_outcome { FAILOVER_OUTCOMES(RPA_ENUM_MEMBER) FAILOVER_OUTCOME_COUNT };

/* The verdicts as label values. */
#define HANDOVER_OUTCOMES(X)        \
    X(HANDOVER_NONE, "none")        \
    X(HANDOVER_DONE, "handed-over") \
    X(HANDOVER_NOTHING, "nothing")  \
    X(HANDOVER_OFF, "switched-off") \
    X(HANDOVER_FAILED, "failed")    \
    X(HANDOVER_UNKNOWN, "unknown")

#define HANDOVER_VERDICT_COUNT (HANDOVER_UNKNOWN + 1)

struct engine_order {
    uint64_t op; /* 0: free */
    enum order order;
    bool local;
    uint64_t value;
};

struct engine_stats {
    uint64_t decisions[MECHANISM_COUNT][DECISION_COUNT];
    uint64_t failovers[MECHANISM_COUNT][FAILOVER_OUTCOME_COUNT];
    uint64_t orders[ORDER_COUNT][OUTCOME_COUNT];
    struct engine_order sent[ENGINE_ORDERS_MAX];
    size_t sent_next;

    uint64_t paused_us; /* in all, but for the present pause */
    uint64_t pause_from_us;
    uint64_t pause_until_us; /* its own expiry; 0: writes are not held */

    uint64_t handovers[HANDOVER_VERDICT_COUNT];
    uint64_t handover_serial; /* the last one that was counted */
    uint64_t handover_us;     /* the last one that succeeded; 0 none */
    struct prom_histogram handover_seconds;
};

const char *failover_outcome_name(enum failover_outcome o);
const char *handover_outcome_name(enum handover_verdict v);

void engine_stats_init(struct engine_stats *s);
void engine_stats_action(struct engine_stats *s, const struct core *c, const struct core_action *a);
void engine_stats_event(struct engine_stats *s, const struct core_event *ev);
/* For how long the local Redis has held writes, in all. */
uint64_t engine_stats_paused_us(const struct engine_stats *s, uint64_t now_us);
void engine_stats_write(const struct engine_stats *s, const struct core *c, struct buf *out,
                        uint64_t now_us);

#endif
