#include "agent/shell/member_port.h"

#include "agent/shell/redis_batch.h"
#include "agent/shell/redis_order.h"
#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOD "member"
#define CONNECT_TIMEOUT_MS 1000
#define COMMAND_TIMEOUT_MS 1500
#define PING_IDLE_MS 1000

/* persistence: whether it is loading. */
static const char *const info_sections[] = {"server", "replication", "persistence"};

struct member_conn {
    struct member_port *port;
    size_t slot;
    struct addr addr;
    struct redis_conn *redis;
    bool failing; /* its failure has been logged */
};

static void send_event(const struct member_conn *m, struct core_event *ev)
{
    ev->slot = m->slot;
    m->port->sink.event(m->port->sink.arg, ev);
}

/* ---- connections ---- */

static void on_up(void *arg)
{
    struct member_conn *m = arg;
    log_info(MOD, "connected", F_STR("host", m->addr.host), F_U64("port", m->addr.port));
    m->failing = false;
    send_event(m, &(struct core_event){.type = CORE_MEMBER_UP});
}

static void on_down(void *arg, enum redis_down why, const struct err *err)
{
    struct member_conn *m = arg;
    if (why == REDIS_DOWN_STOPPED) {
        return; /* our own doing */
    }
    m->port->counters->downs[PORT_MEMBER][why]++;
    if (!m->failing) {
        log_warn(MOD, "not connected", F_STR("host", m->addr.host), F_U64("port", m->addr.port),
                 F_STR("why", redis_down_name(why)), F_STR("error", err->msg));
    }
    m->failing = true;
    send_event(m, &(struct core_event){.type = CORE_MEMBER_DOWN, .u.down = port_down_of(why)});
}

void member_port_open(struct member_port *p, size_t slot, const struct addr *addr)
{
    REQUIRE(slot < MEMBERS_MAX);
    member_port_shut(p, slot);
    struct member_conn *m = xcalloc(1, sizeof *m);
    m->port = p;
    m->slot = slot;
    m->addr = *addr;
    struct redis_conn_config conn = {
        .host = m->addr.host,
        .port = m->addr.port,
        .user = p->cfg->redis_user,
        .password = &p->password,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .command_timeout_ms = COMMAND_TIMEOUT_MS,
        .ping_idle_ms = PING_IDLE_MS,
        .reply_max_bytes = INFO_TEXT_MAX,
        .rng_seed = uv_hrtime() + slot,
    };
    struct redis_conn_ops ops = {.up = on_up, .down = on_down, .arg = m};
    m->redis = redis_conn_new(p->loop, &conn, &ops);
    closer_hold(&p->closer);
    p->slots[slot] = m;
    redis_conn_start(m->redis);
}

static void on_conn_closed(void *arg)
{
    struct member_conn *m = arg;
    struct member_port *p = m->port;
    free(m);
    closer_release(&p->closer);
}

void member_port_shut(struct member_port *p, size_t slot)
{
    REQUIRE(slot < MEMBERS_MAX);
    struct member_conn *m = p->slots[slot];
    if (m != NULL) {
        p->slots[slot] = NULL;
        redis_conn_close(m->redis, on_conn_closed, m);
    }
}

void member_port_kick(struct member_port *p, size_t slot)
{
    REQUIRE(slot < MEMBERS_MAX);
    if (p->slots[slot] != NULL) {
        redis_conn_kick(p->slots[slot]->redis);
    }
}

/* ---- reads and orders ---- */

struct member_read {
    struct redis_batch batch;
    const struct member_conn *member;
    uint64_t op;
    bool failed;
    struct buf text;
};

static void on_read_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct member_read *r = container_of(b, struct member_read, batch);
    (void)index;
    if (reply->type == RESP_STRING) {
        buf_add_sv(&r->text, reply->str);
        buf_add_str(&r->text, "\r\n");
        return;
    }
    r->failed = true;
    if (reply->type == RESP_ERROR) {
        log_warn(MOD, "INFO was refused", F_STR("host", r->member->addr.host),
                 F_SV("reply", reply->str));
    }
}

static void free_read(struct member_read *r)
{
    buf_release(&r->text);
    free(r);
}

static void on_read_done(struct redis_batch *b)
{
    struct member_read *r = container_of(b, struct member_read, batch);
    struct core_event ev = {.type = CORE_MEMBER_INFO, .op = r->op};
    struct info info;
    struct err e;
    if (b->whole && !r->failed && !r->text.overflow) {
        if (info_parse(&info, buf_sv(&r->text), &e) == 0) {
            ev.u.info = &info;
        } else {
            r->member->port->counters->bad_replies++;
            log_warn(MOD, "cannot read the answer to INFO", F_STR("host", r->member->addr.host),
                     F_STR("error", e.msg));
        }
    }
    send_event(r->member, &ev);
    free_read(r);
}

bool member_port_read(struct member_port *p, size_t slot, uint64_t op)
{
    static const struct redis_batch_ops ops = {.reply = on_read_reply, .done = on_read_done};
    REQUIRE(slot < MEMBERS_MAX);
    if (p->slots[slot] == NULL) {
        return false;
    }
    struct member_read *r = xcalloc(1, sizeof *r);
    redis_batch_init(&r->batch, &ops);
    r->member = p->slots[slot];
    r->op = op;
    buf_init(&r->text, INFO_TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(info_sections); i++) {
        REDIS_BATCH_ADD(&r->batch, r->member->redis, "INFO", info_sections[i]);
    }
    if (redis_batch_is_empty(&r->batch)) {
        free_read(r);
        return false;
    }
    return true;
}

bool member_port_order(struct member_port *p, const struct core_action *a)
{
    REQUIRE(a->slot < MEMBERS_MAX);
    struct member_conn *m = p->slots[a->slot];
    char to[ADDR_TEXT_MAX];
    return m != NULL && redis_order_send(m->redis, a, addr_text(&m->addr, to), p->sink);
}

/* ---- the port ---- */

void member_port_init(struct member_port *p, uv_loop_t *loop, const struct config *cfg,
                      struct port_sink sink, struct port_counters *counters)
{
    *p = (struct member_port){.sink = sink, .counters = counters, .loop = loop, .cfg = cfg};
    secret_file_init(&p->password, cfg->redis_password_file);
    closer_init(&p->closer, loop);
}

void member_port_reload(struct member_port *p)
{
    struct err e;
    if (secret_file_refresh(&p->password, &e) != 0) {
        log_warn(MOD, "the former password is kept", F_STR("error", e.msg));
    }
}

static void on_all_closed(void *arg)
{
    struct member_port *p = arg;
    secret_file_release(&p->password);
    p->on_closed(p->on_closed_arg);
}

void member_port_close(struct member_port *p, closer_fn *on_closed, void *arg)
{
    p->on_closed = on_closed;
    p->on_closed_arg = arg;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        member_port_shut(p, i);
    }
    closer_finish(&p->closer, on_all_closed, p);
}
