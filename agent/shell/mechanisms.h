/* The mechanisms of the engine as the options name them, and whether each is in force: a switch
 * that is on may still have nothing to work with. For /status, and its text. */
#ifndef RPA_SHELL_MECHANISMS_H
#define RPA_SHELL_MECHANISMS_H

#include "agent/core/core.h"

#define MECHANISM_STATES_MAX 9

struct mechanism_state {
    const char *name; /* of its option */
    bool on;
    const char *note; /* on, but without effect, or in its second-best way: why; else NULL */
};

/* How many were written. */
size_t mechanism_states(const struct core *c, struct mechanism_state ret[MECHANISM_STATES_MAX]);

#endif
