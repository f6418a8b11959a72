#include "agent/core/succession_steps.h"

bool succession_step_pause(struct core *c, struct core_actions *out)
{
    enum outcome o;
    if (!succession_answered(c, &o)) {
        if (succession_in_state_us(c) < SUCCESSION_EQUAL_US) {
            return false;
        }
        o = OUTCOME_UNKNOWN;
    }
    if (o != OUTCOME_OK || succession_is_out_of_time(c)) {
        succession_resume(c, false, o != OUTCOME_OK ? WHY_LOCAL_REFUSED : WHY_TOO_LATE, out);
        return true;
    }
    c->succession.target_offset = -1;
    succession_enter(c, SUCCESSION_EQUAL);
    handover_progress(c, HANDOVER_PAUSED, out);
    engine_ask_local(c, true);
    return true;
}

/* The chosen replica has all that the local Redis had when it was asked in this state. */
static bool has_caught_up(struct core *c, enum redis_role as, struct core_actions *out)
{
    struct succession *s = &c->succession;
    const struct info *mine = succession_info(c, MEMBER_LOCAL, s->state_us);
    if (mine != NULL && mine->role == as && info_has(mine, INFO_MASTER_OFFSET)) {
        s->target_offset = mine->master_offset;
    }
    const struct info *theirs = succession_info(c, s->chosen, s->state_us);
    if (theirs != NULL && s->target_offset >= 0 && info_has(theirs, INFO_SLAVE_OFFSET) &&
        theirs->slave_offset >= s->target_offset) {
        return true;
    }
    (void)engine_read_member(c, s->chosen, out);
    return false;
}

bool succession_step_equal(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    if (has_caught_up(c, REDIS_ROLE_MASTER, out)) {
        handover_progress(c, HANDOVER_EQUAL, out);
        succession_enter(c, SUCCESSION_FOLLOW);
        succession_order(c, MEMBER_LOCAL, ORDER_FOLLOW, &s->chosen_addr, 0, out);
        return true;
    }
    if (succession_in_state_us(c) < SUCCESSION_EQUAL_US && !succession_is_out_of_time(c)) {
        return false;
    }
    succession_resume(c, false, WHY_NOT_EQUAL, out);
    return true;
}

bool succession_step_follow(struct core *c, struct core_actions *out)
{
    enum outcome o;
    if (!succession_answered(c, &o)) {
        if (succession_in_state_us(c) < SUCCESSION_EQUAL_US) {
            return false;
        }
        o = OUTCOME_UNKNOWN;
    }
    if (o != OUTCOME_OK || succession_is_out_of_time(c)) {
        succession_resume(c, o == OUTCOME_OK || o == OUTCOME_UNKNOWN,
                          o != OUTCOME_OK ? WHY_LOCAL_REFUSED : WHY_TOO_LATE, out);
        return true;
    }
    c->succession.target_offset = -1;
    succession_enter(c, SUCCESSION_FINAL);
    handover_progress(c, HANDOVER_YIELDED, out);
    engine_ask_local(c, true);
    return true;
}

bool succession_step_final(struct core *c, struct core_actions *out)
{
    struct succession *s = &c->succession;
    if (has_caught_up(c, REDIS_ROLE_SLAVE, out) && !succession_is_out_of_time(c)) {
        succession_enter(c, SUCCESSION_PROMOTE);
        succession_order(c, s->chosen, ORDER_PROMOTE, NULL, 0, out);
        return true;
    }
    if (succession_in_state_us(c) < SUCCESSION_EQUAL_US && !succession_is_out_of_time(c)) {
        return false;
    }
    succession_resume(c, true, succession_is_out_of_time(c) ? WHY_TOO_LATE : WHY_NOT_EQUAL, out);
    return true;
}
