#include "agent/shell/local_port.h"

#include "lib/base/check.h"
#include "lib/base/log.h"

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

/* Which of the connection's reasons means what to the core. */
static enum local_down down_of(enum redis_down why)
{
    switch (why) {
    case REDIS_DOWN_REFUSED:
        return LOCAL_DOWN_REFUSED;
    case REDIS_DOWN_EOF:
        return LOCAL_DOWN_CLOSED;
    case REDIS_DOWN_AUTH:
        return LOCAL_DOWN_DENIED;
    case REDIS_DOWN_PROTO:
    case REDIS_DOWN_LIMIT:
        return LOCAL_DOWN_BROKEN;
    case REDIS_DOWN_NONE:
    case REDIS_DOWN_RESOLVE:
    case REDIS_DOWN_UNREACHABLE:
    case REDIS_DOWN_TIMEOUT:
    case REDIS_DOWN_STOPPED:
        return LOCAL_DOWN_SILENT;
    }
    return LOCAL_DOWN_SILENT;
}

static void on_up(void *arg)
{
    struct local_port *p = arg;
    log_info(MOD, "connected");
    p->role_op = 0;
    p->info_op = 0;
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
    p->role_op = 0;
    p->info_op = 0;
    send_event(p, &(struct core_event){.type = CORE_LOCAL_DOWN, .u.down = down_of(why)});
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
    buf_init(&p->info_text, INFO_TEXT_MAX);
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

static void on_role_reply(void *arg, const struct resp *reply, const struct err *err)
{
    struct local_port *p = arg;
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = p->role_op};
    struct role_reply role;
    struct err e;
    p->role_op = 0;
    if (ev.op == 0) {
        return; /* of a connection that is gone */
    }
    if (err == NULL && resp_fault(reply) != RESP_FAULT_NONE) {
        ev.u.role.fault = resp_fault(reply);
        log_warn(MOD, "ROLE was refused", F_SV("reply", reply->str));
    } else if (err == NULL && role_reply_parse(&role, reply, &e) == 0) {
        ev.u.role.role = &role;
    } else if (err == NULL) {
        p->counters->bad_replies++;
        log_warn(MOD, "cannot read the answer to ROLE", F_STR("error", e.msg));
    }
    send_event(p, &ev);
}

static void finish_info(struct local_port *p)
{
    struct core_event ev = {.type = CORE_LOCAL_INFO, .op = p->info_op};
    struct info info;
    struct err e;
    p->info_op = 0;
    if (!p->info_failed && !p->info_text.overflow) {
        if (info_parse(&info, buf_sv(&p->info_text), &e) == 0) {
            ev.u.info = &info;
        } else {
            p->counters->bad_replies++;
            log_warn(MOD, "cannot read the answer to INFO", F_STR("error", e.msg));
        }
    }
    send_event(p, &ev);
}

static void on_info_reply(void *arg, const struct resp *reply, const struct err *err)
{
    struct local_port *p = arg;
    if (p->info_op == 0) {
        return;
    }
    if (err != NULL || reply->type != RESP_STRING) {
        p->info_failed = true;
        if (err == NULL && reply->type == RESP_ERROR) {
            log_warn(MOD, "INFO was refused", F_SV("reply", reply->str));
        }
    } else {
        buf_add_sv(&p->info_text, reply->str);
        buf_add_str(&p->info_text, "\r\n");
    }
    if (--p->info_waiting == 0) {
        finish_info(p);
    }
}

bool local_port_read(struct local_port *p, uint64_t op, bool info)
{
    const char *role[] = {"ROLE"};
    struct err e;
    if (redis_conn_command(p->commands, 1, role, on_role_reply, p, &e) != 0) {
        return false;
    }
    p->role_op = op;
    if (!info) {
        return true;
    }
    p->info_op = op;
    p->info_waiting = 0;
    p->info_failed = false;
    buf_reset(&p->info_text);
    for (size_t i = 0; i < ARRAY_LEN(info_sections); i++) {
        const char *command[] = {"INFO", info_sections[i]};
        if (redis_conn_command(p->commands, 2, command, on_info_reply, p, &e) == 0) {
            p->info_waiting++;
        } else {
            p->info_failed = true;
        }
    }
    if (p->info_waiting == 0) {
        p->info_op = 0;
    }
    return true;
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
    buf_release(&p->info_text);
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
