/* What the ports share. A port is where core and io meet: it turns completions of one
 * outside world into struct core_event and executes the core's actions on it; none of them
 * decides anything.
 *
 *   local_port     the Redis of this Pod: commands, and the hellos that Sentinels publish
 *   member_port    the other Redis of the set, one connection each
 *   sentinel_port  all Sentinels: names to slots, two connections a slot
 *   kube_port      own Pod, peers, PATCH, Events
 *   launch_port    how redis-server starts, and the moment when it ends
 *
 * A sink may be called from any callback of the loop, never from inside a port's own
 * functions: what they refuse they return. Lifecycle of each port: init (no I/O), start,
 * close(cb); memory goes after cb. */
#ifndef RPA_SHELL_PORT_H
#define RPA_SHELL_PORT_H

#include "agent/core/core.h"
#include "agent/shell/config.h"
#include "lib/io/redis_conn.h"

struct port_sink {
    /* Fills in now_us and wall_ms, steps the core and executes what it asks for. */
    void (*event)(void *arg, struct core_event *ev);
    void *arg;
};

/* Counts for /metrics: reconnects by target and reason. */
#define PORT_TARGETS(X)      \
    X(PORT_REDIS, "redis")   \
    X(PORT_MEMBER, "member") \
    X(PORT_SENTINEL, "sentinel")

enum port_target { PORT_TARGETS(RPA_ENUM_MEMBER) PORT_TARGET_COUNT };
#define PORT_DOWN_COUNT REDIS_DOWN_STOPPED /* the last one, our own doing, is not counted */

struct port_counters {
    uint64_t downs[PORT_TARGET_COUNT][PORT_DOWN_COUNT];
    uint64_t bad_replies; /* answers that did not parse */
    uint64_t events_sent; /* Kubernetes Events */
    uint64_t events_dropped;
};

const char *port_target_name(enum port_target t);

/* Which of a connection's reasons means what to the core. */
enum local_down port_down_of(enum redis_down why);

#endif
