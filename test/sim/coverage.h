/* What a run has seen, summed over seeds: printed at the end, so that a scenario that has
 * become too tame shows. */
#ifndef RPA_TEST_SIM_COVERAGE_H
#define RPA_TEST_SIM_COVERAGE_H

#include "agent/core/core.h"

#define SIM_FAULTS(X)                              \
    X(FAULT_REDIS_KILL, "redis-kill")              \
    X(FAULT_REDIS_FREEZE, "redis-freeze")          \
    X(FAULT_REDIS_BUSY, "redis-busy")              \
    X(FAULT_AGENT_KILL, "agent-kill")              \
    X(FAULT_AGENT_STOP, "agent-stop")              \
    X(FAULT_NODE_FREEZE, "node-freeze")            \
    X(FAULT_NODE_CUT, "node-cut")                  \
    X(FAULT_PAIR_CUT, "pair-cut")                  \
    X(FAULT_ONE_WAY_CUT, "one-way-cut")            \
    X(FAULT_SPLIT, "split")                        \
    X(FAULT_DELAY, "delay")                        \
    X(FAULT_LOSS, "loss")                          \
    X(FAULT_CONN_RESET, "conn-reset")              \
    X(FAULT_SENTINEL_KILL, "sentinel-kill")        \
    X(FAULT_SENTINEL_FREEZE, "sentinel-freeze")    \
    X(FAULT_SENTINEL_REBUILT, "sentinels-rebuilt") \
    X(FAULT_FORCED_FAILOVER, "forced-failover")    \
    X(FAULT_FORCED_TWICE, "forced-twice")          \
    X(FAULT_AMBUSH, "ambush-at-promotion")         \
    X(FAULT_API_DOWN, "api-down")                  \
    X(FAULT_API_ERRORS, "api-errors")              \
    X(FAULT_API_SLOW, "api-slow")                  \
    X(FAULT_API_POLICY, "api-policy")              \
    X(FAULT_WATCH_BREAK, "watch-break")            \
    X(FAULT_WATCH_HANG, "watch-hang")              \
    X(FAULT_HAND_EDIT, "hand-edit")                \
    X(FAULT_STALE_DEMOTION, "stale-demotion")      \
    X(FAULT_LOST_DEMOTION, "demotion-by-the-lost") \
    X(FAULT_SELECTOR, "selector-edit")             \
    X(FAULT_FENCE, "fence")                        \
    X(FAULT_POD_DELETE, "pod-delete")              \
    X(FAULT_CLOCK_JUMP, "clock-jump")              \
    X(FAULT_KUBELET, "kubelet-status")             \
    X(FAULT_TRAP, "agent-dies-after-a-deed")       \
    X(FAULT_DRAIN, "drain")                        \
    X(FAULT_ANNOTATE, "handover-annotation")       \
    X(FAULT_DOUBLE, "two-at-once")                 \
    X(FAULT_ROW, "master-and-successor-die")

enum sim_fault { SIM_FAULTS(RPA_ENUM_MEMBER) FAULT_COUNT };

const char *sim_fault_name(enum sim_fault f);

struct coverage {
    uint64_t steps;
    uint64_t events;
    uint64_t simulated_us;
    uint64_t cells[ROLE_STATE_COUNT][ROLE_LOCAL_COUNT];
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t reasons[ROLE_STATE_COUNT][ROLE_REASON_COUNT]; /* transitions to the state */
    uint64_t faults[FAULT_COUNT];
    uint64_t outcomes[API_OUTCOME_COUNT];
    uint64_t acts[CORE_ACT_COUNT];
    uint64_t failovers;
    uint64_t elected;
    uint64_t orders[ORDER_COUNT];
    uint64_t promotions[MECHANISM_COUNT];
    uint64_t decisions[MECHANISM_COUNT][DECISION_COUNT];
    uint64_t verdicts_of_handover[HANDOVER_UNKNOWN + 1];
    uint64_t trapped; /* agents killed right after a deed */
    uint64_t writes;
    uint64_t acked;
    uint64_t lost;
    uint64_t unsettled; /* seeds whose Sentinels never agreed again */
};

void coverage_print(const struct coverage *c);

#endif
