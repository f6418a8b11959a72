/* All Sentinels. A configured host:port is one Sentinel, resolved anew on each connect,
 * where --sentinel-count says so (as many as entries); else a name may stand for several
 * addresses: it is looked up every few seconds, and each address gets a slot.
 *
 * A slot has two connections: one for commands (SENTINEL MYID, views, votes, announcements), one
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
    unsigned open;       /* connections not yet closed; the slot is free at 0 and !used */
    struct addr master;  /* as this Sentinel spelled it in its last view; unset: none since the
                           connection is up */
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
void sentinel_port_reload(struct sentinel_port *p);
void sentinel_port_close(struct sentinel_port *p, closer_fn *on_closed, void *arg);

/* Requests (sentinel_ask.c), any number of them outstanding on one slot. False: refused, no
 * event will follow; else one will: CORE_SENTINEL_VIEW, _LOOK, _VOTE, and _DONE of the last
 * two. A look asks about the master of the last view, and is refused where there is none. An
 * announcement is refused, too, where its addresses or its id make no hello. */
bool sentinel_port_read(struct sentinel_port *p, size_t slot, uint64_t op) MUST_USE;
bool sentinel_port_look(struct sentinel_port *p, size_t slot, uint64_t op) MUST_USE;
bool sentinel_port_vote(struct sentinel_port *p, const struct core_action *a) MUST_USE;
bool sentinel_port_announce(struct sentinel_port *p, const struct core_action *a) MUST_USE;
bool sentinel_port_force(struct sentinel_port *p, size_t slot, uint64_t op) MUST_USE;

#endif
