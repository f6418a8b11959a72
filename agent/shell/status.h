/* /status: what the agent knows, believes and waits for, as one JSON object. */
#ifndef RPA_SHELL_STATUS_H
#define RPA_SHELL_STATUS_H

#include "lib/base/buf.h"

struct driver;

void status_write(const struct driver *d, struct buf *out);

#endif
