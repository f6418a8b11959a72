/* The driver: owns the loop's objects, feeds the core, executes its actions, answers HTTP.
 *
 * One core, one timer (armed for core_next_deadline), the ports, one HTTP server. All
 * state changes are logged here, at the boundary.
 *
 * Lifecycle: driver_run() does everything from start to the end of the loop; it returns the
 * process's exit code. SIGTERM, SIGINT: everything is closed, at the latest after
 * DRIVER_STOP_MS; no label is changed by a stop. But a SIGTERM to the agent of a master whose
 * Pod is being deleted hands over first, and stops when that has its verdict and the label is
 * written, or --drain-timeout is over. SIGHUP: files are read again. */
#ifndef RPA_SHELL_DRIVER_H
#define RPA_SHELL_DRIVER_H

#include "agent/shell/drain.h"
#include "agent/shell/engine_stats.h"
#include "agent/shell/kube_port.h"
#include "agent/shell/launch_port.h"
#include "agent/shell/local_port.h"
#include "agent/shell/member_port.h"
#include "agent/shell/sentinel_port.h"
#include "lib/codec/promtext.h"
#include "lib/io/http_server.h"

#define DRIVER_STOP_MS 900
#define DRIVER_LABEL_MS 1000 /* for the label `draining`, behind the verdict of a hand-over */
#define DRIVER_SIGNALS 3
#define DRIVER_DEFERRED_MAX (2 * CORE_ACTIONS_MAX)

struct driver {
    uv_loop_t loop;
    const struct config *cfg;
    struct core core;
    struct local_port local;
    struct member_port members;
    struct sentinel_port sentinels;
    struct kube_port kube;
    struct launch_port launch;
    struct http_server *http;
    struct port_counters counters;
    struct engine_stats engine;
    struct drain drain;

    uint64_t started_us;
    uint64_t role_changes;
    struct prom_histogram label_latency; /* role proven -> label acknowledged, seconds */
    struct prom_histogram loop_lag;      /* how late the timer fired, seconds */
    uint64_t timer_due_us;
    uint64_t http_requests;
    unsigned restarts; /* of the worker before this one */

    bool stepping;
    /* Refusals met while executing actions, a ring. */
    struct core_event deferred[DRIVER_DEFERRED_MAX];
    size_t deferred_first;
    size_t deferred_count;

    struct closer closer;
    uv_timer_t timer;
    uv_timer_t stop_deadline;
    uv_signal_t signals[DRIVER_SIGNALS];
    bool leaving; /* a hand-over comes first, then the stop */
    bool left;    /* it has its verdict */
    bool stopping;
    unsigned open;
};

/* listen_fd: from http_listen(); launch: from launch_listen(), or LAUNCH_FDS_NONE. Both are
 * kept by the parent process. */
int driver_run(const struct config *cfg, int listen_fd, const struct launch_fds *launch,
               unsigned restarts);

#endif
