/* The API server: reads the own Pod until it is known, then lists and watches the Pods of
 * the set; patches the role, its own and a deposed peer's, in parallel; writes Events, one at a
 * time, each tried a few times. */
#ifndef RPA_SHELL_KUBE_PORT_H
#define RPA_SHELL_KUBE_PORT_H

#include "agent/shell/port.h"
#include "lib/io/kube_client.h"

#define KUBE_PORT_EVENTS_MAX 16

struct kube_port {
    struct port_sink sink;
    struct port_counters *counters;
    uv_loop_t *loop;
    const struct config *cfg;
    struct kube_client *client; /* NULL: --kube-url none */
    bool watching;
    bool watch_up;    /* synced and not down since */
    uv_timer_t retry; /* of the first read of the own Pod */

    struct queued_event {
        char reason[32];
        char message[400];
        bool warning;
        uint64_t wall_ms;
        uint64_t serial; /* makes the name: the same in every try */
        unsigned tries;
    } queue[KUBE_PORT_EVENTS_MAX];
    size_t queue_len;
    bool event_in_flight;
    uint64_t event_serial;
    uint64_t told_us[MECHANISM_COUNT][2]; /* the last Events of giving up and of standing; 0 none */
    uv_timer_t event_timer;
    char own_uid[POD_UID_MAX + 1];
    struct rng rng;

    bool closing;
    unsigned open;
    struct closer closer;
    closer_fn *on_closed;
    void *on_closed_arg;
};

void kube_port_init(struct kube_port *p, uv_loop_t *loop, const struct config *cfg,
                    struct port_sink sink, struct port_counters *counters);
void kube_port_start(struct kube_port *p);
/* Requests: false means refused, and no event will follow; else one CORE_API_DONE will. */
bool kube_port_patch(struct kube_port *p, uint64_t op, const char *uid,
                     const struct label_value *v) MUST_USE;
bool kube_port_get(struct kube_port *p, uint64_t op) MUST_USE;
/* peer: as it was last seen. */
bool kube_port_demote(struct kube_port *p, uint64_t op, const struct pod *peer,
                      uint64_t epoch) MUST_USE;
bool kube_port_clear_handover(struct kube_port *p, uint64_t op, const char *uid) MUST_USE;

void kube_port_event(struct kube_port *p, const struct core_action *a, uint64_t wall_ms);
/* An Event where the decision is worth one. */
void kube_port_decision(struct kube_port *p, const struct history_entry *e);
void kube_port_reload(struct kube_port *p);
void kube_port_close(struct kube_port *p, closer_fn *on_closed, void *arg);

/* RFC 3339 with milliseconds; out holds 32 bytes or more. */
void wall_text(uint64_t wall_ms, char *out, size_t size);

#endif
