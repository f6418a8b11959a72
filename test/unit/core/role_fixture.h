/* A role machine in a chosen state, and facts for it: what the tests of role.c start from. */
#ifndef TEST_UNIT_CORE_ROLE_FIXTURE_H
#define TEST_UNIT_CORE_ROLE_FIXTURE_H

#include <cmocka.h>

#include "agent/core/role.h"

#define RUN_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define RUN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ME "10.0.0.1:6379"
#define OTHER "10.0.0.2:6379"
#define NOW_US 100000000U /* every fixture's present: no clock of a limit started before */
#define EPOCH 5U          /* of the fixture's role, token and newest configuration */

struct addr addr_from(const char *text);

/* In `state` for a long time, by run-id RUN_A, at EPOCH, which is also the token. */
struct role role_in(enum role_state state);

/* local and verdict as said, at NOW_US, the newest configuration (where the verdict has one) at
 * EPOCH and named by 2 of 3, own label as role_in() would have stored it, no peers. */
struct role_input facts(enum role_state state, enum role_local local, enum verdict verdict);

/* A peer carries `master` at `epoch`; first: its ordinal is the lower one. */
void add_peer_master(struct role_input *in, uint64_t epoch, bool first);

void step_at(struct role *r, struct role_input *in, uint64_t now_us);

#define assert_state(r, wanted) \
    assert_string_equal(role_state_name((r)->state), role_state_name(wanted))
#define assert_reason(r, wanted) \
    assert_string_equal(role_reason_text((r)->reason), role_reason_text(wanted))

/* From the last step of `r` on nothing changes until `at_us`, which is announced, and then the
 * state becomes `wanted`. `r` is left in that state. */
void assert_turns_at(struct role *r, struct role_input *in, uint64_t at_us, enum role_state wanted);

/* Nothing changes within an hour, however often it is stepped. */
void assert_stays(struct role *r, struct role_input *in);

#endif
