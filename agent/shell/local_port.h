/* The Redis of this Pod: one connection for commands (ROLE, INFO, orders), and, where there are
 * Sentinels, one that is subscribed to the hellos that they publish on it. The second is
 * cut in the same moment as the first when Redis is promoted; both are hints to ask. */
#ifndef RPA_SHELL_LOCAL_PORT_H
#define RPA_SHELL_LOCAL_PORT_H

#include "agent/shell/port.h"
#include "lib/io/secret_file.h"

struct local_port {
    struct port_sink sink;
    struct port_counters *counters;
    uv_loop_t *loop;
    struct redis_conn *commands;
    struct redis_conn *hellos; /* NULL in modes without Sentinel */
    struct secret_file password;
    unsigned open;
    closer_fn *on_closed;
    void *on_closed_arg;
};

void local_port_init(struct local_port *p, uv_loop_t *loop, const struct config *cfg,
                     struct port_sink sink, struct port_counters *counters);
void local_port_start(struct local_port *p);
/* False: refused, no event will follow. ROLE is told as soon as it is there, INFO behind it. */
bool local_port_read(struct local_port *p, uint64_t op, bool info) MUST_USE;
/* a: ACT_ORDER. Likewise. */
bool local_port_order(struct local_port *p, const struct core_action *a) MUST_USE;
void local_port_kick(struct local_port *p);
void local_port_reload(struct local_port *p);
void local_port_close(struct local_port *p, closer_fn *on_closed, void *arg);

#endif
