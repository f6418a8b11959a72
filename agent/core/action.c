#include "agent/core/action.h"

#include "lib/base/check.h"

static const char *const act_names[] = {CORE_ACTS(RPA_ENUM_NAME)};
static const char *const order_names[] = {ORDERS(RPA_ENUM_NAME)};
static const char *const outcome_names[] = {OUTCOMES(RPA_ENUM_NAME)};
static const char *const launch_names[] = {LAUNCHES(RPA_ENUM_NAME)};

const char *core_act_name(enum core_act a)
{
    return act_names[a];
}

const char *order_name(enum order o)
{
    return order_names[o];
}

const char *outcome_name(enum outcome o)
{
    return outcome_names[o];
}

const char *launch_name(enum launch l)
{
    return launch_names[l];
}

struct core_action *core_actions_add(struct core_actions *out, enum core_act type)
{
    REQUIRE(out->count < CORE_ACTIONS_MAX);
    struct core_action *a = &out->items[out->count++];
    *a = (struct core_action){.type = type};
    return a;
}
