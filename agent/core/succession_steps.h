/* Inside of the succession: what its files share. succession.c has the machine, its start and
 * the votes; choose.c who may succeed; succession_pause.c the states of a hand-over;
 * succession_announce.c everything from the promotion to the end. */
#ifndef RPA_CORE_SUCCESSION_STEPS_H
#define RPA_CORE_SUCCESSION_STEPS_H

#include "agent/core/engine.h"

#define NOBODY (MEMBERS_MAX + 1) /* as a choice */

void succession_enter(struct core *c, enum succession_state to);
void succession_end(struct core *c, enum decision what, enum why why, struct core_actions *out);
void succession_give_up(struct core *c, enum why why, struct core_actions *out);
/* To whom or what is given way until `until_us`. */
void succession_yield(struct core *c, enum why why, uint64_t until_us, struct core_actions *out);
void succession_order(struct core *c, size_t slot, enum order what, const struct addr *addr,
                      uint64_t value, struct core_actions *out);
/* Back to where it was before the pause. `followed`: the local Redis may be a replica. */
void succession_resume(struct core *c, bool followed, enum why why, struct core_actions *out);
/* A Sentinel's own forced failover. */
void succession_fall_back(struct core *c, struct core_actions *out);

uint64_t succession_in_state_us(const struct core *c);
bool succession_is_out_of_time(const struct core *c);
/* The last order is not answered yet: false. Else its outcome. */
bool succession_answered(const struct core *c, enum outcome *ret);
/* One Sentinel behind two connections has one vote: a slot before this one speaks for it. */
bool succession_is_twin(const struct core *c, size_t slot);
/* This Sentinel names the master that is being replaced. */
bool succession_names_replaced(const struct core *c, size_t slot);

/* What a member, or the local Redis, said when asked no earlier than that; NULL: nothing. */
const struct info *succession_info(const struct core *c, size_t slot, uint64_t since_us);
/* So many Sentinels list it, and a peer that is up: to these it can be announced. */
unsigned succession_listing(const struct core *c, size_t slot);
/* The best of them; NOBODY. *ret_unlisted: a better one, or the only one, could not be announced
 * to a majority. */
size_t succession_choose(const struct core *c, bool *ret_unlisted);

/* A step of a state; true: another state was entered. */
bool succession_step_pause(struct core *c, struct core_actions *out);
bool succession_step_equal(struct core *c, struct core_actions *out);
bool succession_step_follow(struct core *c, struct core_actions *out);
bool succession_step_final(struct core *c, struct core_actions *out);
bool succession_step_promote(struct core *c, struct core_actions *out);
bool succession_step_confirm(struct core *c, struct core_actions *out);
bool succession_step_announce(struct core *c, struct core_actions *out);
bool succession_step_commit(struct core *c, struct core_actions *out);

#endif
