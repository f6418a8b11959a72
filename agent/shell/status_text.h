/* /status?text[&history]: the same as /status, for people; `redis-pod-agent status` prints it.
 * What the agent believes, why, what it waits for, and its last decisions. */
#ifndef RPA_SHELL_STATUS_TEXT_H
#define RPA_SHELL_STATUS_TEXT_H

#include "lib/base/buf.h"

struct driver;

#define STATUS_TEXT_DECISIONS 8 /* without `history` */

void status_text_write(const struct driver *d, struct buf *out, bool history);

#endif
