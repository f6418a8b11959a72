/* All Sentinels. A configured host:port is one Sentinel, resolved anew on each connect,
 * where --sentinel-count says so (as many as entries); else a name may stand for several
 * addresses: it is looked up every few seconds, and each address gets a slot.
 *
 * A slot has two connections: one for commands (SENTINEL MYID, MASTER, GET-MASTER-ADDR), one
 * subscribed to every event in lib/codec/sentinel_event.h. A view is read as MASTER,
 * GET-MASTER-ADDR, MASTER in one write, and thrown away when the two epochs differ. */
#ifndef RPA_SHELL_SENTINEL_PORT_H
#define RPA_SHELL_SENTINEL_PORT_H

#include "agent/shell/port.h"
#include "lib/io/secret_file.h"

struct sentinel_port;

struct sentinel_slot {
    struct sentinel_port *port;
    bool used;
    struct addr addr; /* where to connect */
    size_t name;      /* entry of the configuration that it comes from */
    struct redis_conn *commands;
    struct redis_conn *events;
    unsigned open; /* connections not yet closed; the slot is free at 0 and !used */
    uint64_t op;
    unsigned waiting;
    bool failed;
    bool torn; /* the configuration changed between the first and the last answer */
    struct sentinel_master first;
    struct addr named;
    bool has_first;
    bool has_named;
    bool no_master;
    char down_text[128]; /* last reason, for /status; "" up */
};

struct sentinel_name {
    struct sentinel_port *port;
    struct resolver *resolver; /* NULL: the entry is one Sentinel, resolved on each connect */
    uv_timer_t timer;
    bool failed;
};

struct sentinel_port {
    struct port_sink sink;
    struct port_counters *counters;
    uv_loop_t *loop;
    const struct config *cfg;
    struct secret_file password;
    struct sentinel_slot slots[EVIDENCE_SENTINELS_MAX];
    struct sentinel_name names[CONFIG_SENTINELS_MAX];
    size_t name_count;
    bool closing;
    unsigned open;
    struct closer closer;
    closer_fn *on_closed;
    void *on_closed_arg;
};

void sentinel_port_init(struct sentinel_port *p, uv_loop_t *loop, const struct config *cfg,
                        struct port_sink sink, struct port_counters *counters);
void sentinel_port_start(struct sentinel_port *p);
bool sentinel_port_read(struct sentinel_port *p, size_t slot, uint64_t op) MUST_USE;
void sentinel_port_reload(struct sentinel_port *p);
void sentinel_port_close(struct sentinel_port *p, closer_fn *on_closed, void *arg);

#endif
