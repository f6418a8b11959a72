/* The engine's part of /status. */
#ifndef RPA_SHELL_STATUS_ENGINE_H
#define RPA_SHELL_STATUS_ENGINE_H

#include "agent/core/core.h"
#include "lib/base/jsonw.h"

/* Members of the object that is open: mechanisms, candidacy, hand_over, writes, members,
 * history. */
void status_engine_write(struct jsonw *w, const struct core *c, uint64_t now_us);

/* "in 1.2 ms" ago as milliseconds; null where `then` is 0. */
void status_age(struct jsonw *w, const char *key, uint64_t now_us, uint64_t then_us);
/* null where it is not set. */
void status_addr(struct jsonw *w, const char *key, const struct addr *a);

#endif
