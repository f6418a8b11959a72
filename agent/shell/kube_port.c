#include "agent/shell/kube_port.h"

#include <inttypes.h>

#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOD "kube"
#define USER_AGENT "redis-pod-agent"
#define REQUEST_TIMEOUT_MS 5000
/* The API server sends a bookmark about once a minute (apiserver's cacher, bookmarkFrequency). */
#define WATCH_IDLE_MS 90000
#define LOOKUP_RETRY_MS 1000
#define EVENT_TRIES 3
#define EVENT_RETRY_MS 2000
#define EVENT_REPEAT_US 10000000U

void wall_text(uint64_t wall_ms, char *out, size_t size)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char date[32] = "";
    if (gmtime_r(&seconds, &utc) != NULL) {
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    }
    (void)snprintf(out, size, "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
}

static void send_event(struct kube_port *p, struct core_event *ev)
{
    p->sink.event(p->sink.arg, ev);
}

static enum api_outcome outcome_of(const struct kube_result *r)
{
    if (r->err != NULL) {
        return API_UNREACHABLE;
    }
    switch (r->http_status) {
    case 401:
        return API_UNAUTHORIZED;
    case 403:
        return API_FORBIDDEN;
    case 404:
        return API_NOT_FOUND;
    case 409:
        return API_CONFLICT;
    case 422:
        return API_INVALID;
    case 429:
        return API_THROTTLED;
    default:
        break;
    }
    if (r->http_status >= 200 && r->http_status < 300 && r->pod != NULL) {
        return API_OK;
    }
    return r->http_status >= 500 ? API_SERVER_ERROR : API_OTHER;
}

static void log_refusal(const char *what, const struct kube_result *r)
{
    log_warn(MOD, "a request to the API server failed", F_STR("request", what),
             F_I64("status", r->http_status),
             F_STR("error", r->err != NULL      ? r->err->msg
                            : r->status != NULL ? r->status->message
                                                : "no Status in the body"));
}

/* ---- watch ---- */

static void on_resync(void *arg)
{
    send_event(arg, &(struct core_event){.type = CORE_PODS_RESYNC});
}

static void on_pod(void *arg, const struct pod *pod)
{
    send_event(arg, &(struct core_event){.type = CORE_POD, .u.pod = pod});
}

static void on_gone(void *arg, const struct pod *pod)
{
    send_event(arg, &(struct core_event){.type = CORE_POD_GONE, .u.pod = pod});
}

static void on_synced(void *arg)
{
    struct kube_port *p = arg;
    if (!p->watch_up) {
        log_info(MOD, "watching the Pods of the set");
    }
    p->watch_up = true;
    send_event(p, &(struct core_event){.type = CORE_PODS_SYNCED});
}

static void on_watch_down(void *arg, long http_status, const struct err *err)
{
    struct kube_port *p = arg;
    p->watch_up = false;
    log_warn(MOD, "the watch is interrupted", F_I64("status", http_status),
             F_STR("error", err != NULL ? err->msg : ""));
}

static void start_watch(struct kube_port *p, const struct pod *own)
{
    char selector[512];
    if (p->watching) {
        return;
    }
    p->watching = true;
    if (p->cfg->pod_selector[0] != '\0') {
        (void)snprintf(selector, sizeof selector, "%s", p->cfg->pod_selector);
    } else {
        size_t n = 0;
        selector[0] = '\0';
        if (own->app_name[0] != '\0') {
            n = (size_t)snprintf(selector, sizeof selector, "app.kubernetes.io/name=%s",
                                 own->app_name);
        }
        if (own->instance[0] != '\0') {
            (void)snprintf(selector + n, sizeof selector - n, "%sapp.kubernetes.io/instance=%s",
                           n > 0 ? "," : "", own->instance);
        }
    }
    kube_client_watch_start(p->client, selector);
}

/* ---- the own Pod, until it is known ---- */

static void look_up_own(struct kube_port *p);

static void on_retry(uv_timer_t *timer)
{
    look_up_own(container_of(timer, struct kube_port, retry));
}

static void on_own_pod(void *arg, const struct kube_result *r)
{
    struct kube_port *p = arg;
    if (p->closing) {
        return;
    }
    if (outcome_of(r) != API_OK) {
        log_refusal("get own pod", r);
        (void)uv_timer_start(&p->retry, on_retry,
                             LOOKUP_RETRY_MS + rng_below(&p->rng, LOOKUP_RETRY_MS), 0);
        return;
    }
    (void)str_copy(p->own_uid, sizeof p->own_uid, sv_from(r->pod->uid));
    send_event(p, &(struct core_event){.type = CORE_POD, .u.pod = r->pod});
    start_watch(p, r->pod);
}

static void look_up_own(struct kube_port *p)
{
    struct err e;
    if (kube_client_get_pod(p->client, p->cfg->pod_name, on_own_pod, p, &e) != 0) {
        (void)uv_timer_start(&p->retry, on_retry, LOOKUP_RETRY_MS, 0);
    }
}

/* ---- the core's requests ---- */

struct kube_request {
    struct kube_port *port;
    uint64_t op;
    const char *what; /* for the log */
};

static void on_api_done(void *arg, const struct kube_result *result)
{
    struct kube_request *r = arg;
    struct core_event ev = {.type = CORE_API_DONE, .op = r->op};
    ev.u.api.outcome = outcome_of(result);
    ev.u.api.pod = ev.u.api.outcome == API_OK ? result->pod : NULL;
    ev.u.api.retry_after_us = result->retry_after_ms * 1000;
    if (ev.u.api.outcome != API_OK) {
        log_refusal(r->what, result);
    }
    send_event(r->port, &ev);
    free(r);
}

/* patch: NULL for GET. */
static bool request(struct kube_port *p, uint64_t op, const char *what, const char *pod,
                    const struct buf *patch)
{
    struct err e;
    struct kube_request *r = xcalloc(1, sizeof *r);
    *r = (struct kube_request){.port = p, .op = op, .what = what};
    int rc = patch == NULL
                 ? kube_client_get_pod(p->client, pod, on_api_done, r, &e)
                 : kube_client_patch_pod(p->client, pod, buf_sv(patch), on_api_done, r, &e);
    if (rc != 0) {
        log_warn(MOD, "a request to the API server was not sent", F_STR("request", what),
                 F_STR("error", e.msg));
        free(r);
    }
    return rc == 0;
}

bool kube_port_patch(struct kube_port *p, uint64_t op, const char *uid, const struct label_value *v)
{
    AUTO_BUF struct buf body;
    char since[40];
    buf_init(&body, POD_JSON_MAX);
    if (p->client == NULL) {
        return false;
    }
    wall_text(v->since_wall_ms, since, sizeof since);
    struct pod_patch patch = {.uid = uid,
                              .role = role_state_name(v->role),
                              .role_epoch = v->epoch,
                              .role_since = since,
                              .run_id = v->run_id,
                              .demoted = v->role == ROLE_DEMOTED,
                              .reason = role_reason_text(v->reason)};
    REQUIRE(pod_patch_write(&body, &patch, &p->cfg->keys));
    return request(p, op, "patch own pod", p->cfg->pod_name, &body);
}

bool kube_port_get(struct kube_port *p, uint64_t op)
{
    return p->client != NULL && request(p, op, "get own pod", p->cfg->pod_name, NULL);
}

bool kube_port_demote(struct kube_port *p, uint64_t op, const struct pod *peer, uint64_t epoch)
{
    AUTO_BUF struct buf body;
    buf_init(&body, POD_JSON_MAX);
    return p->client != NULL && pod_demote_write(&body, peer, epoch, &p->cfg->keys) &&
           request(p, op, "demote peer", peer->name, &body);
}

bool kube_port_clear_handover(struct kube_port *p, uint64_t op, const char *uid)
{
    AUTO_BUF struct buf body;
    buf_init(&body, POD_JSON_MAX);
    return p->client != NULL && pod_clear_handover_write(&body, uid) &&
           request(p, op, "clear handover", p->cfg->pod_name, &body);
}

/* ---- Kubernetes Events ---- */

static void send_next_event(struct kube_port *p);

static void on_event_timer(uv_timer_t *timer)
{
    send_next_event(container_of(timer, struct kube_port, event_timer));
}

static void drop_first_event(struct kube_port *p)
{
    p->queue_len--;
    memmove(&p->queue[0], &p->queue[1], p->queue_len * sizeof p->queue[0]);
}

static void on_event_done(void *arg, const struct kube_result *r)
{
    struct kube_port *p = arg;
    p->event_in_flight = false;
    if (p->closing) {
        return;
    }
    bool stored = r->err == NULL && r->http_status >= 200 && r->http_status < 300;
    /* 409: the answer to an earlier try was lost, but the Event is there. */
    if (stored || (r->err == NULL && r->http_status == 409)) {
        p->counters->events_sent++;
        drop_first_event(p);
        send_next_event(p);
        return;
    }
    log_refusal("create event", r);
    if (++p->queue[0].tries >= EVENT_TRIES) {
        p->counters->events_dropped++;
        drop_first_event(p);
    }
    uint64_t wait_ms = u64_max(EVENT_RETRY_MS, r->retry_after_ms);
    (void)uv_timer_start(&p->event_timer, on_event_timer, wait_ms, 0);
}

static void send_next_event(struct kube_port *p)
{
    if (p->event_in_flight || p->queue_len == 0 || p->client == NULL || p->own_uid[0] == '\0') {
        return;
    }
    const struct queued_event *q = &p->queue[0];
    char name[POD_NAME_MAX + 40];
    char time[40];
    wall_text(q->wall_ms, time, sizeof time);
    (void)snprintf(name, sizeof name, "%.200s.%" PRIx64, p->cfg->pod_name, q->serial);
    struct kube_event event = {.namespace_name = p->cfg->pod_namespace,
                               .name = name,
                               .pod_name = p->cfg->pod_name,
                               .pod_uid = p->own_uid,
                               .type = q->warning ? "Warning" : "Normal",
                               .reason = q->reason,
                               .message = q->message,
                               .time = time,
                               .component_host = p->cfg->pod_name};
    AUTO_BUF struct buf body;
    struct err e;
    buf_init(&body, POD_JSON_MAX);
    REQUIRE(kube_event_write(&body, &event));
    p->event_in_flight =
        kube_client_create_event(p->client, buf_sv(&body), on_event_done, p, &e) == 0;
    if (!p->event_in_flight) {
        (void)uv_timer_start(&p->event_timer, on_event_timer, EVENT_RETRY_MS, 0);
    }
}

/* NULL: no API server, or no room. */
static struct queued_event *queue_event(struct kube_port *p, uint64_t wall_ms)
{
    if (p->client == NULL) {
        return NULL;
    }
    if (p->queue_len == KUBE_PORT_EVENTS_MAX) {
        p->counters->events_dropped++;
        return NULL;
    }
    struct queued_event *q = &p->queue[p->queue_len++];
    *q = (struct queued_event){.wall_ms = wall_ms,
                               .serial = wall_ms << 12 | (p->event_serial++ & 0xfff)};
    return q;
}

void kube_port_event(struct kube_port *p, const struct core_action *a, uint64_t wall_ms)
{
    struct queued_event *q = queue_event(p, wall_ms);
    if (q == NULL) {
        return;
    }
    if (a->regressed) {
        q->warning = true;
        (void)snprintf(q->reason, sizeof q->reason, "EpochRegressed");
        (void)snprintf(q->message, sizeof q->message,
                       "Sentinel's configuration epoch went back to %" PRIu64
                       " and a majority agrees on it: the Sentinels were rebuilt",
                       a->epoch);
    } else {
        q->warning = a->to == ROLE_PENDING || a->to == ROLE_DEMOTED || a->to == ROLE_FENCED;
        (void)snprintf(q->reason, sizeof q->reason, "RoleChanged");
        (void)snprintf(q->message, sizeof q->message, "role %s -> %s (epoch %" PRIu64 "): %s",
                       role_state_name(a->from), role_state_name(a->to), a->epoch,
                       role_reason_text(a->reason));
    }
    send_next_event(p);
}

/* NULL: not worth an Event. */
static const char *event_reason(enum decision what)
{
    switch (what) {
    case DECIDED_STAND:
        return "FailoverStarted";
    case DECIDED_GIVE_UP:
        return "FailoverGivenUp";
    case DECIDED_COMMITTED:
        return "FailoverDone";
    case DECIDED_FENCE_ON:
        return "Fenced";
    case DECIDED_FENCE_OFF:
        return "Unfenced";
    case DECIDED_DEMOTE_PEER:
        return "PeerDemoted";
    case DECIDED_YIELD:
    case DECIDED_CHOSEN:
    case DECIDED_VOTED:
    case DECIDED_ORDER:
    case DECIDED_ANNOUNCE:
    case DECIDED_FALLBACK:
    case DECIDED_LAUNCH:
    case DECISION_COUNT:
        break;
    }
    return NULL;
}

/* An agent that stands again and again, and gives up each time, tells it now and then. */
static bool is_repeated(struct kube_port *p, const struct history_entry *e)
{
    if (e->what != DECIDED_STAND && e->what != DECIDED_GIVE_UP) {
        return false;
    }
    uint64_t *last_us = &p->told_us[e->mechanism][e->what == DECIDED_STAND];
    if (*last_us != 0 && u64_since(e->at_us, *last_us) < EVENT_REPEAT_US) {
        return true;
    }
    *last_us = e->at_us;
    return false;
}

void kube_port_decision(struct kube_port *p, const struct history_entry *e)
{
    const char *reason = event_reason(e->what);
    struct queued_event *q =
        reason == NULL || is_repeated(p, e) ? NULL : queue_event(p, e->wall_ms);
    if (q == NULL) {
        return;
    }
    char addr[ADDR_TEXT_MAX] = "";
    if (e->what == DECIDED_DEMOTE_PEER) {
        (void)str_copy(addr, sizeof addr, sv_from(e->addr.host)); /* the Pod's name */
    } else if (addr_is_set(&e->addr)) {
        (void)addr_text(&e->addr, addr);
    }
    const char *why = why_text(e->why);
    q->warning = e->what == DECIDED_GIVE_UP || e->what == DECIDED_FENCE_ON;
    (void)snprintf(q->reason, sizeof q->reason, "%s", reason);
    (void)snprintf(q->message, sizeof q->message, "%s: %s%s%s%s%s (epoch %" PRIu64 ")",
                   mechanism_name(e->mechanism), decision_text(e->what), addr[0] != '\0' ? " " : "",
                   addr, why[0] != '\0' ? ": " : "", why, e->epoch);
    send_next_event(p);
}

/* ---- the port ---- */

void kube_port_init(struct kube_port *p, uv_loop_t *loop, const struct config *cfg,
                    struct port_sink sink, struct port_counters *counters)
{
    *p = (struct kube_port){.sink = sink, .counters = counters, .loop = loop, .cfg = cfg};
    rng_seed(&p->rng, uv_hrtime());
    closer_init(&p->closer, loop);
    REQUIRE(uv_timer_init(loop, &p->retry) == 0);
    closer_add(&p->closer, (uv_handle_t *)&p->retry);
    REQUIRE(uv_timer_init(loop, &p->event_timer) == 0);
    closer_add(&p->closer, (uv_handle_t *)&p->event_timer);
    if (!cfg->kube) {
        return;
    }
    struct kube_client_config client = {.url = cfg->kube_url,
                                        .namespace_name = cfg->pod_namespace,
                                        .token_file = cfg->kube_token_file,
                                        .ca_file = cfg->kube_ca_file,
                                        .user_agent = USER_AGENT,
                                        .keys = cfg->keys,
                                        .request_timeout_ms = REQUEST_TIMEOUT_MS,
                                        .watch_idle_ms = WATCH_IDLE_MS,
                                        .rng_seed = uv_hrtime()};
    struct kube_watch_ops ops = {.resync = on_resync,
                                 .pod = on_pod,
                                 .gone = on_gone,
                                 .synced = on_synced,
                                 .watch_down = on_watch_down,
                                 .arg = p};
    p->client = kube_client_new(loop, &client, &ops);
}

void kube_port_start(struct kube_port *p)
{
    if (p->client != NULL) {
        look_up_own(p);
    }
}

void kube_port_reload(struct kube_port *p)
{
    if (p->client != NULL) {
        kube_client_reload(p->client);
    }
}

static void on_part_closed(void *arg)
{
    struct kube_port *p = arg;
    REQUIRE(p->open > 0);
    if (--p->open > 0) {
        return;
    }
    p->on_closed(p->on_closed_arg);
}

void kube_port_close(struct kube_port *p, closer_fn *on_closed, void *arg)
{
    p->closing = true;
    p->on_closed = on_closed;
    p->on_closed_arg = arg;
    p->open = p->client != NULL ? 2 : 1;
    if (p->client != NULL) {
        kube_client_close(p->client, on_part_closed, p);
    }
    closer_close(&p->closer, (uv_handle_t *)&p->retry);
    closer_close(&p->closer, (uv_handle_t *)&p->event_timer);
    closer_finish(&p->closer, on_part_closed, p);
}
