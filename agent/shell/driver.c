#include "agent/shell/driver.h"

#include <signal.h>
#include <unistd.h>

#include "agent/shell/exit_code.h"
#include "agent/shell/http.h"
#include "agent/shell/supervisor.h"
#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOD "agent"
#define HTTP_IDLE_TIMEOUT_S 60

static const int stop_signals[DRIVER_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
static const double latency_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                        0.1,   0.25,   0.5,   1,    2.5,   10};
static const double lag_bounds[] = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1};

/* ---- actions ---- */

static void defer(struct driver *d, struct core_event ev)
{
    REQUIRE(d->deferred_count < ARRAY_LEN(d->deferred));
    d->deferred[(d->deferred_first + d->deferred_count++) % ARRAY_LEN(d->deferred)] = ev;
}

static void log_role(struct driver *d, const struct core_action *a)
{
    const struct core *c = &d->core;
    d->role_changes++;
    log_set_context(NULL, role_state_name(a->to), a->epoch);
    log_info("role", "role changed", F_STR("from", role_state_name(a->from)),
             F_STR("to", role_state_name(a->to)), F_U64("proof_epoch", a->epoch),
             F_STR("reason", role_reason_text(a->reason)),
             F_STR("local", role_local_name(c->input.local)),
             F_STR("verdict", verdict_name(c->input.verdict)),
             F_U64("sentinels_fresh", c->input.newest.fresh),
             F_U64("sentinels", c->input.newest.n));
}

/* What ends an action that a port has refused. */
static struct core_event refusal(const struct core_action *a)
{
    struct core_event ev = {.op = a->op, .slot = a->slot};
    switch (a->type) {
    case ACT_READ_LOCAL:
        ev.type = CORE_LOCAL_ROLE;
        break;
    case ACT_READ_SENTINEL:
        ev.type = CORE_SENTINEL_VIEW;
        break;
    case ACT_LOOK_SENTINEL:
        ev.type = CORE_SENTINEL_LOOK;
        break;
    case ACT_VOTE:
        ev.type = CORE_SENTINEL_VOTE;
        ev.u.vote.outcome = OUTCOME_NOT_SENT;
        break;
    case ACT_ANNOUNCE:
    case ACT_FORCE_FAILOVER:
        ev.type = CORE_SENTINEL_DONE;
        ev.u.outcome = OUTCOME_NOT_SENT;
        break;
    case ACT_READ_MEMBER:
        ev.type = CORE_MEMBER_INFO;
        break;
    case ACT_ORDER:
        ev.type = CORE_ORDER_DONE;
        ev.slot = 0; /* MEMBER_LOCAL is none */
        ev.u.order.outcome = OUTCOME_NOT_SENT;
        break;
    case ACT_PATCH_POD:
    case ACT_GET_POD:
    case ACT_DEMOTE_PEER:
    case ACT_CLEAR_HANDOVER:
        ev.type = CORE_API_DONE;
        ev.u.api.outcome = API_UNREACHABLE;
        break;
    case ACT_KICK_LOCAL:
    case ACT_MEMBER_OPEN:
    case ACT_MEMBER_CLOSE:
    case ACT_MEMBER_KICK:
    case ACT_LAUNCH_ANSWER:
    case ACT_KUBE_EVENT:
    case ACT_ROLE_CHANGED:
    case ACT_LABEL_ACKED:
    case ACT_GAP:
    case ACT_DECIDED:
    case ACT_DRAIN_TOLD:
    case CORE_ACT_COUNT:
        break;
    }
    return ev;
}

/* Actions that an event will end. False: none will. */
static bool start(struct driver *d, const struct core_action *a)
{
    switch (a->type) {
    case ACT_READ_LOCAL:
        return local_port_read(&d->local, a->op, a->info);
    case ACT_READ_SENTINEL:
        return sentinel_port_read(&d->sentinels, a->slot, a->op);
    case ACT_LOOK_SENTINEL:
        return sentinel_port_look(&d->sentinels, a->slot, a->op);
    case ACT_VOTE:
        return sentinel_port_vote(&d->sentinels, a);
    case ACT_ANNOUNCE:
        return sentinel_port_announce(&d->sentinels, a);
    case ACT_FORCE_FAILOVER:
        return sentinel_port_force(&d->sentinels, a->slot, a->op);
    case ACT_READ_MEMBER:
        return member_port_read(&d->members, a->slot, a->op);
    case ACT_ORDER:
        return a->slot == MEMBER_LOCAL ? local_port_order(&d->local, a)
                                       : member_port_order(&d->members, a);
    case ACT_PATCH_POD:
        return kube_port_patch(&d->kube, a->op, d->core.label.uid, &a->label);
    case ACT_GET_POD:
        return kube_port_get(&d->kube, a->op);
    case ACT_DEMOTE_PEER:
        return kube_port_demote(&d->kube, a->op, &d->core.peers[a->index], a->epoch);
    case ACT_CLEAR_HANDOVER:
        return kube_port_clear_handover(&d->kube, a->op, d->core.label.uid);
    case ACT_KICK_LOCAL:
    case ACT_MEMBER_OPEN:
    case ACT_MEMBER_CLOSE:
    case ACT_MEMBER_KICK:
    case ACT_LAUNCH_ANSWER:
    case ACT_KUBE_EVENT:
    case ACT_ROLE_CHANGED:
    case ACT_LABEL_ACKED:
    case ACT_GAP:
    case ACT_DECIDED:
    case ACT_DRAIN_TOLD:
    case CORE_ACT_COUNT:
        break;
    }
    REQUIRE(false);
    return false;
}

static void start_or_refuse(struct driver *d, const struct core_action *a)
{
    if (start(d, a)) {
        return;
    }
    defer(d, refusal(a));
    if (a->type == ACT_READ_LOCAL && a->info) {
        defer(d, (struct core_event){.type = CORE_LOCAL_INFO, .op = a->op});
    }
}

static void decided(struct driver *d, const struct core_action *a)
{
    const struct history_entry *e = history_at(&d->core.history, a->index);
    if (e != NULL) {
        kube_port_decision(&d->kube, e);
    }
}

static void tell_role_event(struct driver *d, const struct core_action *a)
{
    if (a->regressed) {
        log_warn("role", "a lower configuration epoch was accepted",
                 F_U64("proof_epoch", a->epoch));
    }
    kube_port_event(&d->kube, a, d->core.wall_ms);
}

static void label_acked(struct driver *d, const struct core_action *a)
{
    prom_histogram_observe(&d->label_latency, (double)a->duration_us / 1e6);
    log_info("label", "label acknowledged", F_STR("label", d->core.label.seen.role),
             F_F64("ms", (double)a->duration_us / 1e3));
}

static void execute(struct driver *d, const struct core_action *a)
{
    engine_stats_action(&d->engine, &d->core, a);
    switch (a->type) {
    case ACT_READ_LOCAL:
    case ACT_READ_SENTINEL:
    case ACT_LOOK_SENTINEL:
    case ACT_VOTE:
    case ACT_ANNOUNCE:
    case ACT_FORCE_FAILOVER:
    case ACT_READ_MEMBER:
    case ACT_ORDER:
    case ACT_PATCH_POD:
    case ACT_GET_POD:
    case ACT_DEMOTE_PEER:
    case ACT_CLEAR_HANDOVER:
        start_or_refuse(d, a);
        return;
    case ACT_KICK_LOCAL:
        local_port_kick(&d->local);
        return;
    case ACT_MEMBER_OPEN:
        member_port_open(&d->members, a->slot, &a->addr);
        return;
    case ACT_MEMBER_CLOSE:
        member_port_shut(&d->members, a->slot);
        return;
    case ACT_MEMBER_KICK:
        member_port_kick(&d->members, a->slot);
        return;
    case ACT_LAUNCH_ANSWER:
        launch_port_answer(&d->launch, a);
        return;
    case ACT_KUBE_EVENT:
        tell_role_event(d, a);
        return;
    case ACT_ROLE_CHANGED:
        log_role(d, a);
        return;
    case ACT_LABEL_ACKED:
        label_acked(d, a);
        return;
    case ACT_GAP:
        log_warn(MOD, "the agent was stopped for a while: all that was known is asked anew",
                 F_F64("seconds", (double)a->duration_us / 1e6));
        return;
    case ACT_DECIDED:
        decided(d, a);
        return;
    case ACT_DRAIN_TOLD:
        drain_told(&d->drain);
        return;
    case CORE_ACT_COUNT:
        return;
    }
}

static void on_timer(uv_timer_t *timer);
static void stop_when_left(struct driver *d);

static void arm_timer(struct driver *d)
{
    uint64_t now_us = loop_now_us();
    uint64_t due_us = core_next_deadline(&d->core);
    bool due = due_us <= now_us || d->deferred_count > 0;
    uint64_t wait_ms = due ? 1 : (due_us - now_us + 999) / 1000;
    d->timer_due_us = now_us + wait_ms * 1000;
    uv_update_time(&d->loop);
    (void)uv_timer_start(&d->timer, on_timer, wait_ms, 0);
}

static void step(struct driver *d, struct core_event *ev)
{
    struct core_actions actions;
    ev->now_us = loop_now_us();
    ev->wall_ms = loop_wall_ms();
    engine_stats_event(&d->engine, ev);
    core_step(&d->core, ev, &actions);
    for (size_t i = 0; i < actions.count; i++) {
        execute(d, &actions.items[i]);
    }
}

static void on_event(void *arg, struct core_event *ev)
{
    struct driver *d = arg;
    if (d->stopping) {
        return;
    }
    REQUIRE(!d->stepping);
    d->stepping = true;
    step(d, ev);
    /* A refused action is completed in the same turn of the loop; but a core that asks for it
     * again at once must not stop the loop. */
    for (size_t i = 0; i < CORE_ACTIONS_MAX && d->deferred_count > 0; i++) {
        struct core_event refused = d->deferred[d->deferred_first];
        d->deferred_first = (d->deferred_first + 1) % ARRAY_LEN(d->deferred);
        d->deferred_count--;
        step(d, &refused);
    }
    d->stepping = false;
    arm_timer(d);
    stop_when_left(d);
}

static void on_timer(uv_timer_t *timer)
{
    struct driver *d = container_of(timer, struct driver, timer);
    double lag_s = (double)u64_since(loop_now_us(), d->timer_due_us) / 1e6;
    prom_histogram_observe(&d->loop_lag, lag_s);
    on_event(d, &(struct core_event){.type = CORE_TICK});
}

/* ---- stop ---- */

/* Nothing is left: the loop ends by itself. */
static void on_all_closed(void *arg)
{
    (void)arg;
}

static void on_part_closed(void *arg)
{
    struct driver *d = arg;
    REQUIRE(d->open > 0);
    if (--d->open == 0) {
        closer_close(&d->closer, (uv_handle_t *)&d->stop_deadline);
        closer_finish(&d->closer, on_all_closed, d);
    }
}

static void stop(struct driver *d);

static void on_stop_deadline(uv_timer_t *timer)
{
    struct driver *d = container_of(timer, struct driver, stop_deadline);
    if (!d->stopping) {
        stop(d);
        return;
    }
    log_warn(MOD, "not everything could be closed in time; leaving anyway");
    _exit(EXIT_CODE_OK);
}

static void stop(struct driver *d)
{
    if (d->stopping) {
        return;
    }
    d->stopping = true;
    (void)uv_timer_start(&d->stop_deadline, on_stop_deadline, DRIVER_STOP_MS, 0);
    d->open = 6;
    http_server_close(d->http, on_part_closed, d);
    local_port_close(&d->local, on_part_closed, d);
    member_port_close(&d->members, on_part_closed, d);
    sentinel_port_close(&d->sentinels, on_part_closed, d);
    kube_port_close(&d->kube, on_part_closed, d);
    launch_port_close(&d->launch, on_part_closed, d);
    closer_close(&d->closer, (uv_handle_t *)&d->timer);
    for (size_t i = 0; i < DRIVER_SIGNALS; i++) {
        closer_close(&d->closer, (uv_handle_t *)&d->signals[i]);
    }
}

/* ---- hand over, then stop ---- */

/* The master of a Pod that is being deleted, and nobody's preStop has asked for it. */
static bool leaves_a_master(const struct driver *d)
{
    const struct label *l = &d->core.label;
    return d->cfg->on.hand_over && l->observed && l->seen.terminating &&
           d->core.local.state == ROLE_LOCAL_MASTER;
}

static void leave(struct driver *d)
{
    struct core_event ev = {.type = CORE_DRAIN};
    ev.u.drain.by = DRAIN_BY_SIGNAL;
    log_info(MOD, "handing over before the stop: this Pod is being deleted");
    d->leaving = true;
    supervisor_be_patient();
    (void)uv_timer_start(&d->stop_deadline, on_stop_deadline, d->cfg->drain_timeout_us / 1000, 0);
    on_event(d, &ev);
}

/* The stop itself comes in a later turn of the loop: what has just called the driver is not to
 * be closed by it. */
static void stop_when_left(struct driver *d)
{
    if (!d->leaving || d->stopping || d->core.handover.running) {
        return;
    }
    bool labelled = !d->cfg->kube || label_is_synced(&d->core.label);
    if (!d->left || labelled) {
        (void)uv_timer_start(&d->stop_deadline, on_stop_deadline, labelled ? 0 : DRIVER_LABEL_MS,
                             0);
    }
    d->left = true;
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct driver *d = container_of(handle->data, struct driver, closer);
    if (signum == SIGHUP) {
        log_info(MOD, "reading passwords, token and CA again");
        local_port_reload(&d->local);
        member_port_reload(&d->members);
        sentinel_port_reload(&d->sentinels);
        kube_port_reload(&d->kube);
        return;
    }
    if (signum == SIGTERM && d->leaving) {
        return;
    }
    if (signum == SIGTERM && leaves_a_master(d)) {
        leave(d);
        return;
    }
    log_info(MOD, "stopping", F_STR("signal", signum == SIGTERM ? "TERM" : "INT"));
    stop(d);
}

/* ---- start ---- */

static void init_handles(struct driver *d)
{
    REQUIRE(uv_loop_init(&d->loop) == 0);
    closer_init(&d->closer, &d->loop);
    REQUIRE(uv_timer_init(&d->loop, &d->timer) == 0);
    closer_add(&d->closer, (uv_handle_t *)&d->timer);
    REQUIRE(uv_timer_init(&d->loop, &d->stop_deadline) == 0);
    closer_add(&d->closer, (uv_handle_t *)&d->stop_deadline);
    for (size_t i = 0; i < DRIVER_SIGNALS; i++) {
        REQUIRE(uv_signal_init(&d->loop, &d->signals[i]) == 0);
        closer_add(&d->closer, (uv_handle_t *)&d->signals[i]);
        REQUIRE(uv_signal_start(&d->signals[i], on_signal, stop_signals[i]) == 0);
    }
}

static void init_core(struct driver *d)
{
    const struct config *cfg = d->cfg;
    struct core_config core = {.mode = cfg->mode,
                               .sentinel_count = cfg->sentinel_count,
                               .me = cfg->me,
                               .me_count = cfg->me_count,
                               .sentinel_master = cfg->sentinel_master,
                               .pod_name = cfg->pod_name,
                               .pod_uid = cfg->pod_uid,
                               .labels = cfg->kube,
                               .role_legacy = cfg->keys.role_legacy != NULL,
                               .eager = cfg->eager,
                               .on = cfg->on,
                               .max_lag_bytes = cfg->max_lag_bytes,
                               .fence_after_us = cfg->fence_after_us,
                               .drain_timeout_us = cfg->drain_timeout_us,
                               .seed = uv_hrtime() ^ (uint64_t)getpid() << 32};
    core_init(&d->core, &core, loop_now_us());
}

static void ask_to_drain(void *arg)
{
    struct core_event ev = {.type = CORE_DRAIN};
    ev.u.drain.by = DRAIN_BY_HTTP;
    on_event(arg, &ev);
}

int driver_run(const struct config *cfg, int listen_fd, const struct launch_fds *launch,
               unsigned restarts)
{
    struct driver *d = xcalloc(1, sizeof *d);
    struct err e;
    d->cfg = cfg;
    d->restarts = restarts;
    d->started_us = loop_now_us();
    d->label_latency =
        (struct prom_histogram){.bounds = latency_bounds, .bound_count = ARRAY_LEN(latency_bounds)};
    d->loop_lag =
        (struct prom_histogram){.bounds = lag_bounds, .bound_count = ARRAY_LEN(lag_bounds)};
    log_set_context(cfg->pod_name, role_state_name(ROLE_UNSET), 0);
    init_handles(d);
    init_core(d);
    engine_stats_init(&d->engine);
    drain_init(&d->drain, &d->core, ask_to_drain, d);
    struct port_sink sink = {.event = on_event, .arg = d};
    local_port_init(&d->local, &d->loop, cfg, sink, &d->counters);
    member_port_init(&d->members, &d->loop, cfg, sink, &d->counters);
    sentinel_port_init(&d->sentinels, &d->loop, cfg, sink, &d->counters);
    kube_port_init(&d->kube, &d->loop, cfg, sink, &d->counters);
    launch_port_init(&d->launch, &d->loop, launch, sink);
    struct http_server_ops ops = {.handle = http_handle, .methods = http_methods, .arg = d};
    d->http = http_server_new(&d->loop, listen_fd, HTTP_IDLE_TIMEOUT_S, &ops, &e);
    if (d->http == NULL) {
        log_error(MOD, "cannot serve HTTP", F_STR("error", e.msg));
        return EXIT_CODE_FAILURE;
    }
    kube_port_start(&d->kube);
    sentinel_port_start(&d->sentinels);
    local_port_start(&d->local);
    launch_port_start(&d->launch);
    arm_timer(d);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    REQUIRE(uv_loop_close(&d->loop) == 0);
    free(d);
    log_info(MOD, "stopped");
    return EXIT_CODE_OK;
}
