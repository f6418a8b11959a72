/* What can go wrong. Each fault takes its victim and its duration from the seed, and undoes
 * itself; what undoes it may come late, twice, or when the Pod is another one by then. */
#ifndef RPA_TEST_SIM_FAULTS_H
#define RPA_TEST_SIM_FAULTS_H

#include "test/sim/sim.h"

typedef void fault_fn(struct world *w);

uint64_t fault_ms(struct world *w, uint64_t low_ms, uint64_t high_ms); /* in microseconds */
unsigned fault_any_pod(struct world *w);
unsigned fault_likely_master(struct world *w);
struct sim_msg *fault_later(struct world *w, uint64_t delay_us, sim_fn *fn, unsigned to);

/* ---- faults_engine.c ---- */

void fault_trap(struct world *w);
void fault_drain(struct world *w);
void fault_annotate(struct world *w);
void fault_double(struct world *w);
void fault_in_a_row(struct world *w);

/* ---- faults_api.c ---- */

void fault_api_down(struct world *w);
void fault_api_errors(struct world *w);
void fault_api_slow(struct world *w);
void fault_api_policy(struct world *w);
void fault_break_watch(struct world *w);
void fault_hang_watch(struct world *w);
void fault_edit_by_hand(struct world *w);
void fault_demote_late(struct world *w);
void fault_demote_lost(struct world *w);
void fault_edit_selector(struct world *w);
void fault_fence(struct world *w);
void fault_jump_clock(struct world *w);
void fault_write_status(struct world *w);
void fault_delete_pod(struct world *w);
void fault_heal_api(struct world *w);

#endif
