/* /metrics: the agent's own counters and gauges, in the Prometheus text format. Names are an
 * API; every family is written in one place, here. */
#ifndef RPA_SHELL_METRICS_H
#define RPA_SHELL_METRICS_H

#include "lib/base/buf.h"

struct driver;

void metrics_write(const struct driver *d, struct buf *out);

#endif
