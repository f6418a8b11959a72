/* Peers' labels: on becoming `master` at an epoch, every other Pod of the set that still
 * carries `master` at that epoch or a lower one is demoted, in parallel with the own PATCH. A
 * dead node cannot relabel its own Pod. The resourceVersion is the precondition: a refused
 * one is tried again when the watch has shown the newer Pod, at most PEER_TRIES_MAX times. */
#ifndef RPA_CORE_PEER_H
#define RPA_CORE_PEER_H

#include "agent/core/action.h"

#define CORE_PEERS_MAX 32
#define PEER_TRIES_MAX 5U

struct peer_demotion {
    struct {
        uint64_t op; /* in flight; 0 none */
        uint64_t epoch;
        unsigned tries;
        char tried[POD_RV_MAX + 1]; /* resourceVersion of the last try */
        uint64_t not_before_us;
    } of[CORE_PEERS_MAX];
    uint64_t done;
    uint64_t refused;
};

struct core;

void peer_step(struct core *c, struct core_actions *out);
/* False: not one of mine. */
bool peer_on_api(struct core *c, uint64_t op, enum api_outcome outcome, uint64_t retry_after_us);
void peer_forget(struct core *c, size_t slot);
uint64_t peer_next_deadline(const struct core *c);

#endif
