/* The other Redis of the set: one lasting connection to each member that the core names, for
 * reads and orders.
 *
 * A slot can be opened again at once: its former connection goes on closing by itself. What
 * was asked through that ends with its own op all the same; CORE_MEMBER_UP and
 * CORE_MEMBER_DOWN are told of the present connection only. */
#ifndef RPA_SHELL_MEMBER_PORT_H
#define RPA_SHELL_MEMBER_PORT_H

#include "agent/shell/port.h"
#include "lib/io/secret_file.h"

struct member_conn; /* one connection, from open to closed */

struct member_port {
    struct port_sink sink;
    struct port_counters *counters;
    uv_loop_t *loop;
    const struct config *cfg;
    struct secret_file password;
    struct member_conn *slots[MEMBERS_MAX]; /* NULL: closed */
    struct closer closer;                   /* holds each connection until it is closed */
    closer_fn *on_closed;
    void *on_closed_arg;
};

void member_port_init(struct member_port *p, uv_loop_t *loop, const struct config *cfg,
                      struct port_sink sink, struct port_counters *counters);
/* Closes what the slot held before. */
void member_port_open(struct member_port *p, size_t slot, const struct addr *addr);
void member_port_shut(struct member_port *p, size_t slot);
void member_port_kick(struct member_port *p, size_t slot);
/* False: refused, no event will follow. The order is one to a slot below MEMBERS_MAX. */
bool member_port_read(struct member_port *p, size_t slot, uint64_t op) MUST_USE;
bool member_port_order(struct member_port *p, const struct core_action *a) MUST_USE;
void member_port_reload(struct member_port *p);
void member_port_close(struct member_port *p, closer_fn *on_closed, void *arg);

#endif
