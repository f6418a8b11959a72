#include "agent/shell/sentinel_port.h"

#include "lib/base/check.h"
#include "lib/base/log.h"

#define MOD "sentinel"
#define CONNECT_TIMEOUT_MS 1000
#define COMMAND_TIMEOUT_MS 1500
#define PING_IDLE_MS 1000
#define REPLY_MAX_BYTES (256 * 1024)
#define LOOKUP_PERIOD_MS 5000
#define LOOKUP_RETRY_MS 1000
#define LOOKUP_TIMEOUT_MS 3000

static const char *const event_channels[] = {
#define CHANNEL(name, text) text,
    SENTINEL_EVENTS(CHANNEL)
#undef CHANNEL
};

static size_t slot_index(const struct sentinel_slot *s)
{
    return (size_t)(s - s->port->slots);
}

static void send_event(struct sentinel_slot *s, struct core_event *ev)
{
    ev->slot = slot_index(s);
    s->port->sink.event(s->port->sink.arg, ev);
}

/* ---- one slot: commands ---- */

static void on_myid(void *arg, const struct resp *reply, const struct err *err)
{
    struct sentinel_slot *s = arg;
    char id[RUN_ID_LEN + 1];
    struct err e;
    if (err != NULL || !s->used) {
        return;
    }
    if (sentinel_myid_parse(id, reply, &e) != 0) {
        /* Without an id its votes cannot be counted: the eager rule does without it. */
        log_warn(MOD, "SENTINEL MYID gives no id", F_STR("host", s->addr.host),
                 F_STR("error", e.msg));
        return;
    }
    send_event(s, &(struct core_event){.type = CORE_SENTINEL_ID, .u.id = id});
}

static void on_commands_up(void *arg)
{
    struct sentinel_slot *s = arg;
    static const char *const myid[] = {"SENTINEL", "MYID"};
    struct err e;
    log_info(MOD, "connected", F_STR("host", s->addr.host), F_U64("port", s->addr.port));
    s->down_text[0] = '\0';
    s->master = (struct addr){.port = 0};
    (void)!redis_conn_command(s->commands, ARRAY_LEN(myid), myid, on_myid, s, &e);
    send_event(s, &(struct core_event){.type = CORE_SENTINEL_UP});
}

static void on_commands_down(void *arg, enum redis_down why, const struct err *err)
{
    struct sentinel_slot *s = arg;
    if (why == REDIS_DOWN_STOPPED) {
        return; /* our own doing */
    }
    s->port->counters->downs[PORT_SENTINEL][why]++;
    if (s->down_text[0] == '\0') {
        log_warn(MOD, "not connected", F_STR("host", s->addr.host), F_U64("port", s->addr.port),
                 F_STR("why", redis_down_name(why)), F_STR("error", err->msg));
    }
    (void)snprintf(s->down_text, sizeof s->down_text, "%s: %.100s", redis_down_name(why), err->msg);
    send_event(s, &(struct core_event){.type = CORE_SENTINEL_DOWN});
}

/* ---- one slot: events ---- */

static void on_events_up(void *arg)
{
    send_event(arg, &(struct core_event){.type = CORE_SENTINEL_HINT});
}

static void on_events_down(void *arg, enum redis_down why, const struct err *err)
{
    struct sentinel_slot *s = arg;
    (void)err;
    if (why == REDIS_DOWN_EOF || why == REDIS_DOWN_TIMEOUT) {
        send_event(s, &(struct core_event){.type = CORE_SENTINEL_HINT});
    }
}

static void on_message(void *arg, struct sv channel, struct sv payload)
{
    struct sentinel_slot *s = arg;
    struct sentinel_event event;
    struct err e;
    if (sentinel_event_parse(&event, channel, payload, &e) != 0) {
        s->port->counters->bad_replies++;
        log_warn(MOD, "cannot read an event", F_STR("host", s->addr.host), F_SV("channel", channel),
                 F_STR("error", e.msg));
        send_event(s, &(struct core_event){.type = CORE_SENTINEL_HINT});
        return;
    }
    log_debug(MOD, "event", F_STR("host", s->addr.host), F_SV("channel", channel),
              F_SV("payload", payload));
    send_event(s, &(struct core_event){.type = CORE_SENTINEL_EVENT, .u.sentinel = &event});
}

/* ---- slots ---- */

static void tell_slots(struct sentinel_port *p)
{
    size_t count = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        count = p->slots[i].used ? i + 1 : count;
    }
    struct core_event ev = {.type = CORE_SENTINELS, .u.sentinel_count = count};
    p->sink.event(p->sink.arg, &ev);
}

static void open_slot(struct sentinel_port *p, size_t name, struct sv host, uint16_t port)
{
    struct sentinel_slot *s = NULL;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX && s == NULL; i++) {
        s = !p->slots[i].used && p->slots[i].open == 0 ? &p->slots[i] : NULL;
    }
    if (s == NULL) {
        log_warn(MOD, "more addresses than can be watched; this one is left out",
                 F_SV("host", host));
        return;
    }
    *s = (struct sentinel_slot){.port = p, .used = true, .name = name};
    REQUIRE(addr_set(&s->addr, host, port));
    struct redis_conn_config conn = {
        .host = s->addr.host,
        .port = port,
        .user = p->cfg->sentinel_user,
        .password = &p->password,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .command_timeout_ms = COMMAND_TIMEOUT_MS,
        .ping_idle_ms = PING_IDLE_MS,
        .reply_max_bytes = REPLY_MAX_BYTES,
        .rng_seed = uv_hrtime() + slot_index(s),
    };
    struct redis_conn_ops ops = {.up = on_commands_up, .down = on_commands_down, .arg = s};
    struct redis_conn_ops event_ops = {.up = on_events_up,
                                       .down = on_events_down,
                                       .message = on_message,
                                       .arg = s};
    s->commands = redis_conn_new(p->loop, &conn, &ops);
    conn.rng_seed++;
    s->events = redis_conn_new(p->loop, &conn, &event_ops);
    /* The first name is the empty one of "other". */
    redis_conn_subscribe(s->events, event_channels + 1, ARRAY_LEN(event_channels) - 1, false);
    tell_slots(p);
    redis_conn_start(s->events);
    redis_conn_start(s->commands);
}

static void finish_close(struct sentinel_port *p);

static void on_conn_closed(void *arg)
{
    struct sentinel_slot *s = arg;
    REQUIRE(s->open > 0);
    s->open--;
    s->port->open--;
    finish_close(s->port);
}

static void close_slot(struct sentinel_slot *s)
{
    s->used = false;
    s->open = 2;
    s->port->open += 2;
    redis_conn_close(s->events, on_conn_closed, s);
    redis_conn_close(s->commands, on_conn_closed, s);
}

/* ---- names that stand for several addresses ---- */

static void take_addresses(struct sentinel_name *n, const struct resolved *result)
{
    struct sentinel_port *p = n->port;
    size_t name = (size_t)(n - p->names);
    bool found[RESOLVER_ADDRS_MAX] = {false};
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        struct sentinel_slot *s = &p->slots[i];
        if (!s->used || s->name != name) {
            continue;
        }
        bool still = false;
        for (size_t k = 0; k < result->count; k++) {
            if (strcmp(result->ip[k], s->addr.host) == 0) {
                found[k] = still = true;
            }
        }
        /* A Sentinel that is merely not ready leaves DNS but answers: it keeps its vote. */
        if (!still && !redis_conn_is_up(s->commands)) {
            struct core_event ev = {.type = CORE_SENTINEL_GONE};
            send_event(s, &ev);
            close_slot(s);
        }
    }
    for (size_t k = 0; k < result->count; k++) {
        if (!found[k]) {
            open_slot(p, name, sv_from(result->ip[k]), p->cfg->sentinels[name].port);
        }
    }
}

static void look_up(uv_timer_t *timer);

static void on_resolved(void *arg, const struct resolved *result, const struct err *err)
{
    struct sentinel_name *n = arg;
    struct sentinel_port *p = n->port;
    if (p->closing) {
        return;
    }
    if (err == NULL) {
        take_addresses(n, result);
    } else if (!n->failed) {
        log_warn(MOD, "a name does not resolve; the addresses known so far are kept",
                 F_STR("name", p->cfg->sentinels[n - p->names].host), F_STR("error", err->msg));
    }
    n->failed = err != NULL;
    (void)uv_timer_start(&n->timer, look_up, n->failed ? LOOKUP_RETRY_MS : LOOKUP_PERIOD_MS, 0);
}

static void look_up(uv_timer_t *timer)
{
    struct sentinel_name *n = container_of(timer, struct sentinel_name, timer);
    struct err e;
    const char *host = n->port->cfg->sentinels[n - n->port->names].host;
    if (resolver_start(n->resolver, host, LOOKUP_TIMEOUT_MS, on_resolved, n, &e) != 0) {
        (void)uv_timer_start(&n->timer, look_up, LOOKUP_RETRY_MS, 0);
    }
}

/* ---- the port ---- */

void sentinel_port_init(struct sentinel_port *p, uv_loop_t *loop, const struct config *cfg,
                        struct port_sink sink, struct port_counters *counters)
{
    *p = (struct sentinel_port){.sink = sink, .counters = counters, .loop = loop, .cfg = cfg};
    p->name_count = cfg->mode == CORE_MODE_SENTINEL ? cfg->sentinel_names : 0;
    secret_file_init(&p->password, cfg->sentinel_password_file);
    closer_init(&p->closer, loop);
}

void sentinel_port_start(struct sentinel_port *p)
{
    bool one_each = p->cfg->sentinel_count == p->name_count;
    for (size_t i = 0; i < p->name_count; i++) {
        const struct addr *a = &p->cfg->sentinels[i];
        p->names[i].port = p;
        if (one_each) {
            open_slot(p, i, sv_from(a->host), a->port);
            continue;
        }
        p->names[i].resolver = resolver_new(p->loop);
        REQUIRE(uv_timer_init(p->loop, &p->names[i].timer) == 0);
        closer_add(&p->closer, (uv_handle_t *)&p->names[i].timer);
        look_up(&p->names[i].timer);
    }
}

void sentinel_port_reload(struct sentinel_port *p)
{
    struct err e;
    if (secret_file_refresh(&p->password, &e) != 0) {
        log_warn(MOD, "the former password is kept", F_STR("error", e.msg));
    }
}

static void finish_close(struct sentinel_port *p)
{
    if (!p->closing || p->open > 0) {
        return;
    }
    secret_file_release(&p->password);
    p->on_closed(p->on_closed_arg);
}

static void on_part_closed(void *arg)
{
    struct sentinel_port *p = arg;
    p->open--;
    finish_close(p);
}

void sentinel_port_close(struct sentinel_port *p, closer_fn *on_closed, void *arg)
{
    p->closing = true;
    p->on_closed = on_closed;
    p->on_closed_arg = arg;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        if (p->slots[i].used) {
            close_slot(&p->slots[i]);
        }
    }
    for (size_t i = 0; i < p->name_count; i++) {
        if (p->names[i].resolver != NULL) {
            p->open++;
            resolver_close(p->names[i].resolver, on_part_closed, p);
            closer_close(&p->closer, (uv_handle_t *)&p->names[i].timer);
        }
    }
    p->open++;
    closer_finish(&p->closer, on_part_closed, p);
}
