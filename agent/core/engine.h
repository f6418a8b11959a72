/* Inside of the core: what the mechanisms that act share. Not for the shell.
 *
 * Order of a step: the event is taken in, the role decided, then the mechanisms look at what
 * is known: the running candidacy, reasons to stand, the hand-over, follow and enforce,
 * fence, peers' labels. At most one of candidacy and follow acts on the local Redis. */
#ifndef RPA_CORE_ENGINE_H
#define RPA_CORE_ENGINE_H

#include "agent/core/core.h"

#define ENGINE_LOOK_PERIOD_US 10000000U
#define ENGINE_MARK_FRESH_US 2000000U

/* Something that acts is switched on, and there are Sentinels. */
bool engine_is_on(const struct core *c);
void engine_step(struct core *c, struct core_actions *out);
uint64_t engine_next_deadline(const struct core *c);

/* An order, noted in the history. Its op. age_us: of the evidence; UINT64_MAX none. */
uint64_t engine_order(struct core *c, struct core_actions *out, enum mechanism m, size_t slot,
                      enum order order, const struct addr *addr, uint64_t value, uint64_t age_us);
/* A decision, noted in the history. */
void engine_decided(struct core *c, struct core_actions *out, enum mechanism m, enum decision what,
                    enum why why, const struct addr *addr, uint64_t epoch);

void engine_ask_local(struct core *c, bool info);
void engine_ask_sentinels(struct core *c);
void engine_look(struct core *c);
bool engine_read_member(struct core *c, size_t slot, struct core_actions *out);

/* The Pod of my set with this address; NULL none. */
const struct pod *engine_pod_at(const struct core *c, const struct addr *a);
bool engine_pod_has(const struct pod *p, const struct addr *a);

/* A strict majority of N names newest's address. */
bool engine_majority_names(const struct core *c);

#endif
