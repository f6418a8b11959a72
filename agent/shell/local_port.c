#include "agent/shell/local_port.h"

#include "agent/shell/redis_batch.h"
#include "agent/shell/redis_order.h"
#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOD "redis"
#define CONNECT_TIMEOUT_MS 1000
#define COMMAND_TIMEOUT_MS 1500
#define PING_IDLE_MS 1000
#define HELLO_CHANNEL "__sentinel__:hello"

static const char *const info_sections[] = {"server", "replication", "persistence"};

static void send_event(struct local_port *p, struct core_event *ev)
{
    p->sink.event(p->sink.arg, ev);
}

static void on_up(void *arg)
{
    struct local_port *p = arg;
    log_info(MOD, "connected");
    send_event(p, &(struct core_event){.type = CORE_LOCAL_UP});
}

static void on_down(void *arg, enum redis_down why, const struct err *err)
{
    struct local_port *p = arg;
    if (why == REDIS_DOWN_STOPPED) {
        return; /* our own doing */
    }
    p->counters->downs[PORT_REDIS][why]++;
    log_warn(MOD, "not connected", F_STR("why", redis_down_name(why)), F_STR("error", err->msg));
    send_event(p, &(struct core_event){.type = CORE_LOCAL_DOWN, .u.down = port_down_of(why)});
}

static void on_hello_up(void *arg)
{
    struct local_port *p = arg;
    send_event(p, &(struct core_event){.type = CORE_LOCAL_HINT});
}

static void on_hello_down(void *arg, enum redis_down why, const struct err *err)
{
    struct local_port *p = arg;
    (void)err;
    if (why == REDIS_DOWN_EOF) {
        send_event(p, &(struct core_event){.type = CORE_LOCAL_HINT});
    }
}

static void on_hello(void *arg, struct sv channel, struct sv payload)
{
    struct local_port *p = arg;
    struct sentinel_hello hello;
    struct err e;
    if (!sv_eq_str(channel, HELLO_CHANNEL) || sentinel_hello_parse(&hello, payload, &e) != 0) {
        p->counters->bad_replies++;
        return;
    }
    send_event(p, &(struct core_event){.type = CORE_HELLO, .u.hello = &hello});
}

void local_port_init(struct local_port *p, uv_loop_t *loop, const struct config *cfg,
                     struct port_sink sink, struct port_counters *counters)
{
    *p = (struct local_port){.sink = sink, .counters = counters, .loop = loop};
    secret_file_init(&p->password, cfg->redis_password_file);
    struct redis_conn_config conn = {
        .host = cfg->redis_unix_path == NULL ? cfg->redis.host : NULL,
        .port = cfg->redis.port,
        .unix_path = cfg->redis_unix_path,
        .user = cfg->redis_user,
        .password = &p->password,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .command_timeout_ms = COMMAND_TIMEOUT_MS,
        .ping_idle_ms = PING_IDLE_MS,
        .reply_max_bytes = INFO_TEXT_MAX,
        .rng_seed = uv_hrtime(),
    };
    struct redis_conn_ops ops = {.up = on_up, .down = on_down, .arg = p};
    p->commands = redis_conn_new(loop, &conn, &ops);
    if (cfg->mode == CORE_MODE_SENTINEL) {
        struct redis_conn_ops hello_ops = {.up = on_hello_up,
                                           .down = on_hello_down,
                                           .message = on_hello,
                                           .arg = p};
        static const char *const channels[] = {HELLO_CHANNEL};
        conn.rng_seed++;
        p->hellos = redis_conn_new(loop, &conn, &hello_ops);
        redis_conn_subscribe(p->hellos, channels, ARRAY_LEN(channels), false);
    }
}

void local_port_start(struct local_port *p)
{
    redis_conn_start(p->commands);
    if (p->hellos != NULL) {
        redis_conn_start(p->hellos);
    }
}

/* ---- reads ---- */

/* ROLE, and behind it the sections of INFO. */
struct local_read {
    struct redis_batch batch;
    struct local_port *port;
    uint64_t op;
    bool role_told;
    bool info;
    bool info_failed;
    struct buf text;
};

static void tell_role(struct local_read *r, const struct resp *reply)
{
    struct local_port *p = r->port;
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = r->op};
    struct role_reply role;
    struct err e;
    r->role_told = true;
    if (reply != NULL && resp_fault(reply) != RESP_FAULT_NONE) {
        ev.u.role.fault = resp_fault(reply);
        log_warn(MOD, "ROLE was refused", F_SV("reply", reply->str));
    } else if (reply != NULL && role_reply_parse(&role, reply, &e) == 0) {
        ev.u.role.role = &role;
    } else if (reply != NULL) {
        p->counters->bad_replies++;
        log_warn(MOD, "cannot read the answer to ROLE", F_STR("error", e.msg));
    }
    send_event(p, &ev);
}

static void tell_info(struct local_read *r)
{
    struct local_port *p = r->port;
    struct core_event ev = {.type = CORE_LOCAL_INFO, .op = r->op};
    struct info info;
    struct err e;
    if (r->batch.whole && !r->info_failed && !r->text.overflow) {
        if (info_parse(&info, buf_sv(&r->text), &e) == 0) {
            ev.u.info = &info;
        } else {
            p->counters->bad_replies++;
            log_warn(MOD, "cannot read the answer to INFO", F_STR("error", e.msg));
        }
    }
    send_event(p, &ev);
}

static void on_read_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct local_read *r = container_of(b, struct local_read, batch);
    if (index == 0) {
        tell_role(r, reply);
        return;
    }
    if (reply->type != RESP_STRING) {
        r->info_failed = true;
        if (reply->type == RESP_ERROR) {
            log_warn(MOD, "INFO was refused", F_SV("reply", reply->str));
        }
        return;
    }
    buf_add_sv(&r->text, reply->str);
    buf_add_str(&r->text, "\r\n");
}

static void free_read(struct local_read *r)
{
    buf_release(&r->text);
    free(r);
}

static void on_read_done(struct redis_batch *b)
{
    struct local_read *r = container_of(b, struct local_read, batch);
    if (!r->role_told) {
        tell_role(r, NULL);
    }
    if (r->info) {
        tell_info(r);
    }
    free_read(r);
}

bool local_port_read(struct local_port *p, uint64_t op, bool info)
{
    static const struct redis_batch_ops ops = {.reply = on_read_reply, .done = on_read_done};
    struct local_read *r = xcalloc(1, sizeof *r);
    redis_batch_init(&r->batch, &ops);
    r->port = p;
    r->op = op;
    r->info = info;
    buf_init(&r->text, INFO_TEXT_MAX);
    REDIS_BATCH_ADD(&r->batch, p->commands, "ROLE");
    for (size_t i = 0; info && i < ARRAY_LEN(info_sections); i++) {
        REDIS_BATCH_ADD(&r->batch, p->commands, "INFO", info_sections[i]);
    }
    if (redis_batch_is_empty(&r->batch)) {
        free_read(r);
        return false;
    }
    return true;
}

bool local_port_order(struct local_port *p, const struct core_action *a)
{
    return redis_order_send(p->commands, a, "local", p->sink);
}

void local_port_kick(struct local_port *p)
{
    redis_conn_kick(p->commands);
}

void local_port_reload(struct local_port *p)
{
    struct err e;
    if (secret_file_refresh(&p->password, &e) != 0) {
        log_warn(MOD, "the former password is kept", F_STR("error", e.msg));
    }
}

static void on_conn_closed(void *arg)
{
    struct local_port *p = arg;
    REQUIRE(p->open > 0);
    if (--p->open > 0) {
        return;
    }
    secret_file_release(&p->password);
    p->on_closed(p->on_closed_arg);
}

void local_port_close(struct local_port *p, closer_fn *on_closed, void *arg)
{
    p->on_closed = on_closed;
    p->on_closed_arg = arg;
    p->open = p->hellos != NULL ? 2 : 1;
    if (p->hellos != NULL) {
        redis_conn_close(p->hellos, on_conn_closed, p);
    }
    redis_conn_close(p->commands, on_conn_closed, p);
}
