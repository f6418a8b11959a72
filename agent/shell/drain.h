/* /drain: asks the core for a hand-over and tells everybody who waits what comes of it, a line
 * at a time (agent/core/handover.h writes them), the verdict last.
 *
 *   no header Redis-Pod-Agent: drain    403: no page in a browser can send it to another origin
 *                                       without being asked first, no crawler follows it
 *   a hand-over is running              joined: its lines from the first on, then as they come
 *   the last one is less than a minute  429 with Retry-After, but not where the Pod is
 *     ago                               terminating: kubelet's preStop is never refused
 *   else                                the core is asked
 *
 * The status is 200 as soon as there is a line, whatever the verdict will be.
 *
 * Lifecycle: drain_init once; clients that wait are forgotten when the HTTP server closes. */
#ifndef RPA_SHELL_DRAIN_H
#define RPA_SHELL_DRAIN_H

#include "agent/core/core.h"
#include "lib/io/http_server.h"

#define DRAIN_PATH "/drain"
#define DRAIN_HEADER "Redis-Pod-Agent"
#define DRAIN_HEADER_VALUE "drain"
#define DRAIN_CLIENTS_MAX 16
#define DRAIN_INTERVAL_US 60000000U
#define DRAIN_GRACE_MS 5000 /* for the verdict, behind the budget of the hand-over */

struct drain_client {
    struct http_stream *stream; /* NULL: free */
    uint64_t serial;            /* of the hand-over that it waits for */
    uint64_t told;              /* lines of it */
};

struct drain {
    const struct core *core;
    void (*ask)(void *arg); /* feeds CORE_DRAIN, by HTTP; not from inside a step */
    void *arg;
    uint64_t begun_us; /* the last that counts against the limit; 0 none */
    struct drain_client clients[DRAIN_CLIENTS_MAX];
};

void drain_init(struct drain *d, const struct core *core, void (*ask)(void *arg), void *arg);
void drain_handle(struct drain *d, const struct http_request *req, struct http_response *res);
/* The hand-over has a new line, or its verdict. May be called from inside a step. */
void drain_told(struct drain *d);

#endif
