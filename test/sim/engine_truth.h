/* What the engine does, against what is true: see test/sim/invariants.h for the names.
 *
 * A candidate is known by the id under which it asks for votes; what it knew when it sent an
 * order or an announcement travels with it (struct said). */
#ifndef RPA_TEST_SIM_ENGINE_TRUTH_H
#define RPA_TEST_SIM_ENGINE_TRUTH_H

#include "agent/core/core.h"
#include "test/sim/ledger.h"
#include "test/sim/limits.h"

struct world;
struct request;

#define TRUTH_PROMOTIONS 128U
#define TRUTH_PLANNED 32U

struct said {
    enum mechanism mechanism; /* of the candidacy that was running; COUNT none was */
    uint64_t candidate;
    uint64_t epoch;
    uint64_t life;
    int well; /* the healthy proven master of that moment; -1 none */
};

/* The one candidate that has promoted at an epoch. */
struct promotion {
    uint64_t epoch;
    uint64_t candidate;
};

/* A hand-over's promotion: nothing may be written any more in this history behind it. */
struct planned {
    struct position old;
    unsigned redis;
};

struct engine_truth {
    struct promotion promotions[TRUTH_PROMOTIONS];
    size_t promotion_count;
    struct planned planned[TRUTH_PLANNED];
    size_t planned_count;
    int named; /* by a majority; -1 nobody */
    uint64_t named_epoch;
    uint64_t well_us;     /* the named one is a healthy master since; 0 it is not */
    uint64_t failover_us; /* a Sentinel has had a failover open */
    uint64_t trouble_us;  /* the network or a Sentinel was not well */
};

void engine_truth_init(struct world *w);
bool engine_has_any(const struct world *w); /* a mechanism is switched on */
void engine_said(const struct world *w, unsigned i, struct said *ret);
void engine_check_action(struct world *w, unsigned i, const struct core_action *a);
void engine_before_order(struct world *w, const struct request *r);
void engine_on_announced(struct world *w, const struct request *r);
void engine_on_write(struct world *w, unsigned i);
void engine_on_failover(struct world *w, unsigned k);
/* A majority of the Sentinels names this Redis, and it is the master. */
bool engine_is_proven(const struct world *w, unsigned i);
void engine_truth_step(struct world *w);
void engine_truth_final(struct world *w);
void engine_trace_decided(const struct world *w, unsigned i, size_t index);
void engine_trace_handover(const struct world *w, unsigned i);

#endif
