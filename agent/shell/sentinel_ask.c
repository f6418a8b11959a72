/* What is asked of a Sentinel, and told to one (sentinel.c, sentinelCommand,
 * sentinelPublishCommand): each request is a record of its own on the slot's commands'
 * connection. */
#include <inttypes.h>

#include "agent/shell/redis_batch.h"
#include "agent/shell/redis_order.h"
#include "agent/shell/sentinel_port.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOD "sentinel"
#define HELLO_CHANNEL "__sentinel__:hello"
#define HELLO_MAX 1024
#define IS_MASTER_DOWN "IS-MASTER-DOWN-BY-ADDR"
/* With epoch 0 no vote is given whatever id asks, but "*" is not told the vote. */
#define NOBODY_ID "0000000000000000000000000000000000000000"

static void send_event(struct sentinel_slot *s, struct core_event *ev)
{
    ev->slot = (size_t)(s - s->port->slots);
    s->port->sink.event(s->port->sink.arg, ev);
}

static void log_bad_reply(struct sentinel_slot *s, const char *what, const struct err *e)
{
    s->port->counters->bad_replies++;
    log_warn(MOD, "cannot read an answer", F_STR("host", s->addr.host), F_STR("to", what),
             F_STR("error", e->msg));
}

/* ---- the view ---- */

enum { VIEW_FIRST, VIEW_NAMED, VIEW_LAST };

struct view_read {
    struct redis_batch batch;
    struct sentinel_slot *slot;
    uint64_t op;
    bool failed;
    bool torn; /* the configuration changed between the first and the last answer */
    bool has_first;
    bool has_named;
    bool no_master;
    struct sentinel_master first;
    struct addr named;
};

static void take_master(struct view_read *r, const struct resp *reply)
{
    struct sentinel_master m;
    struct err e = {.code = ERR_NONE};
    if (sentinel_master_parse(&m, reply, &e) != 0) {
        r->no_master = r->no_master || e.code == ERR_NOTFOUND;
        r->failed = r->failed || e.code != ERR_NOTFOUND;
        if (e.code != ERR_NOTFOUND) {
            log_bad_reply(r->slot, "SENTINEL MASTER", &e);
        }
        return;
    }
    if (r->has_first && r->first.config_epoch != m.config_epoch) {
        r->failed = r->torn = true;
    }
    r->has_first = true;
    r->first = m;
}

static void on_view_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct view_read *r = container_of(b, struct view_read, batch);
    struct err e = {.code = ERR_NONE};
    if (index != VIEW_NAMED) {
        take_master(r, reply);
    } else if (sentinel_addr_parse(&r->named, reply, &e) == 0) {
        r->has_named = true;
    } else {
        r->failed = r->failed || e.code != ERR_NOTFOUND;
    }
}

static void on_view_done(struct redis_batch *b)
{
    struct view_read *r = container_of(b, struct view_read, batch);
    struct core_event ev = {.type = CORE_SENTINEL_VIEW, .op = r->op};
    struct view v = {.knows_master = false};
    bool whole = b->whole && !r->failed;
    if (whole && r->has_first && r->has_named && !r->no_master) {
        v = (struct view){.knows_master = true,
                          .addr = r->first.addr,
                          .named = r->named,
                          .flags = r->first.flags,
                          .epoch = r->first.config_epoch,
                          .others = r->first.num_other_sentinels,
                          .quorum = r->first.quorum,
                          .down_after_us = u64_min(r->first.down_after_ms, UINT32_MAX) * 1000};
        memcpy(v.run_id, r->first.run_id, sizeof v.run_id);
        ev.u.view = &v;
    } else if (whole && r->no_master && !r->has_first && !r->has_named) {
        ev.u.view = &v;
    }
    if (ev.u.view != NULL) {
        r->slot->master = v.addr;
    }
    send_event(r->slot, &ev);
    if (r->torn) {
        send_event(r->slot, &(struct core_event){.type = CORE_SENTINEL_HINT});
    }
    free(r);
}

bool sentinel_port_read(struct sentinel_port *p, size_t slot, uint64_t op)
{
    static const struct redis_batch_ops ops = {.reply = on_view_reply, .done = on_view_done};
    struct sentinel_slot *s = &p->slots[slot];
    const char *name = p->cfg->sentinel_master;
    if (!s->used) {
        return false;
    }
    struct view_read *r = xcalloc(1, sizeof *r);
    redis_batch_init(&r->batch, &ops);
    r->slot = s;
    r->op = op;
    REDIS_BATCH_ADD(&r->batch, s->commands, "SENTINEL", "MASTER", name);
    REDIS_BATCH_ADD(&r->batch, s->commands, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", name);
    REDIS_BATCH_ADD(&r->batch, s->commands, "SENTINEL", "MASTER", name);
    if (redis_batch_is_empty(&r->batch)) {
        free(r);
        return false;
    }
    return true;
}

/* ---- the look ---- */

enum { LOOK_VOTE, LOOK_PEERS, LOOK_REPLICAS };

struct look_read {
    struct redis_batch batch;
    struct sentinel_slot *slot;
    uint64_t op;
    bool failed;
    struct sentinel_look look;
};

static void on_look_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct look_read *r = container_of(b, struct look_read, batch);
    struct err e;
    int rc = index == LOOK_VOTE    ? sentinel_vote_parse(&r->look.vote, reply, &e)
             : index == LOOK_PEERS ? sentinel_peers_parse(&r->look, reply, &e)
                                   : sentinel_replicas_parse(&r->look, reply, &e);
    if (rc != 0) {
        r->failed = true;
        log_bad_reply(r->slot,
                      index == LOOK_VOTE    ? "SENTINEL " IS_MASTER_DOWN
                      : index == LOOK_PEERS ? "SENTINEL SENTINELS"
                                            : "SENTINEL REPLICAS",
                      &e);
    }
}

static void on_look_done(struct redis_batch *b)
{
    struct look_read *r = container_of(b, struct look_read, batch);
    struct core_event ev = {.type = CORE_SENTINEL_LOOK, .op = r->op};
    ev.u.look = b->whole && !r->failed ? &r->look : NULL;
    send_event(r->slot, &ev);
    free(r);
}

static void add_is_master_down(struct redis_batch *b, const struct sentinel_slot *s,
                               const struct addr *master, uint64_t epoch, const char *id)
{
    char port[8];
    char number[24];
    (void)snprintf(port, sizeof port, "%u", (unsigned)master->port);
    (void)snprintf(number, sizeof number, "%" PRIu64, epoch);
    REDIS_BATCH_ADD(b, s->commands, "SENTINEL", IS_MASTER_DOWN, master->host, port, number, id);
}

bool sentinel_port_look(struct sentinel_port *p, size_t slot, uint64_t op)
{
    static const struct redis_batch_ops ops = {.reply = on_look_reply, .done = on_look_done};
    struct sentinel_slot *s = &p->slots[slot];
    const char *name = p->cfg->sentinel_master;
    if (!s->used || !addr_is_set(&s->master)) {
        return false;
    }
    struct look_read *r = xcalloc(1, sizeof *r);
    redis_batch_init(&r->batch, &ops);
    r->slot = s;
    r->op = op;
    add_is_master_down(&r->batch, s, &s->master, 0, NOBODY_ID);
    REDIS_BATCH_ADD(&r->batch, s->commands, "SENTINEL", "SENTINELS", name);
    REDIS_BATCH_ADD(&r->batch, s->commands, "SENTINEL", "REPLICAS", name);
    if (redis_batch_is_empty(&r->batch)) {
        free(r);
        return false;
    }
    return true;
}

/* ---- votes, announcements, forced failovers ---- */

struct sentinel_request {
    struct redis_batch batch;
    struct sentinel_slot *slot;
    const char *what;
    struct core_event done; /* outcome UNKNOWN until it is known */
};

static void log_refusal(const struct sentinel_request *r, const struct resp *reply)
{
    if (reply->type == RESP_ERROR) {
        log_warn(MOD, "a Sentinel refuses a request", F_STR("host", r->slot->addr.host),
                 F_STR("request", r->what), F_SV("reply", reply->str));
    }
}

static void on_vote_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct sentinel_request *r = container_of(b, struct sentinel_request, batch);
    struct err e;
    (void)index;
    log_refusal(r, reply);
    if (reply->type == RESP_ERROR) {
        r->done.u.vote.outcome = outcome_of_refusal(reply);
    } else if (sentinel_vote_parse(&r->done.u.vote.vote, reply, &e) == 0) {
        r->done.u.vote.outcome = OUTCOME_OK;
    } else {
        log_bad_reply(r->slot, r->what, &e);
    }
}

/* PUBLISH answers how many got it, SENTINEL FAILOVER "OK". */
static void on_done_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct sentinel_request *r = container_of(b, struct sentinel_request, batch);
    (void)index;
    log_refusal(r, reply);
    if (reply->type == RESP_ERROR) {
        r->done.u.outcome = outcome_of_refusal(reply);
    } else if (reply->type == RESP_INTEGER || reply->type == RESP_STATUS) {
        r->done.u.outcome = OUTCOME_OK;
    }
}

static void on_request_done(struct redis_batch *b)
{
    struct sentinel_request *r = container_of(b, struct sentinel_request, batch);
    send_event(r->slot, &r->done);
    free(r);
}

static struct sentinel_request *request_new(struct sentinel_slot *s, const char *what,
                                            const struct redis_batch_ops *ops,
                                            enum core_event_type type, uint64_t op)
{
    struct sentinel_request *r = xcalloc(1, sizeof *r);
    redis_batch_init(&r->batch, ops);
    r->slot = s;
    r->what = what;
    r->done = (struct core_event){.type = type, .op = op};
    return r;
}

static bool request_is_sent(struct sentinel_request *r)
{
    if (!redis_batch_is_empty(&r->batch)) {
        return true;
    }
    free(r);
    return false;
}

bool sentinel_port_vote(struct sentinel_port *p, const struct core_action *a)
{
    static const struct redis_batch_ops ops = {.reply = on_vote_reply, .done = on_request_done};
    struct sentinel_slot *s = &p->slots[a->slot];
    if (!s->used) {
        return false;
    }
    struct sentinel_request *r = request_new(s, "vote", &ops, CORE_SENTINEL_VOTE, a->op);
    r->done.u.vote.outcome = OUTCOME_UNKNOWN;
    add_is_master_down(&r->batch, s, &a->addr, a->epoch, a->id);
    return request_is_sent(r);
}

static const struct redis_batch_ops done_ops = {.reply = on_done_reply, .done = on_request_done};

bool sentinel_port_announce(struct sentinel_port *p, const struct core_action *a)
{
    struct sentinel_slot *s = &p->slots[a->slot];
    struct sentinel_hello hello = {.sentinel = a->as,
                                   .current_epoch = a->epoch,
                                   .master = a->addr,
                                   .master_epoch = a->epoch};
    AUTO_BUF struct buf text;
    buf_init(&text, HELLO_MAX);
    memcpy(hello.sentinel_id, a->id, sizeof hello.sentinel_id);
    if (!s->used ||
        !str_copy(hello.master_name, sizeof hello.master_name, sv_from(p->cfg->sentinel_master)) ||
        !sentinel_hello_write(&text, &hello)) {
        return false;
    }
    struct sentinel_request *r =
        request_new(s, "announcement", &done_ops, CORE_SENTINEL_DONE, a->op);
    r->done.u.outcome = OUTCOME_UNKNOWN;
    REDIS_BATCH_ADD(&r->batch, s->commands, "PUBLISH", HELLO_CHANNEL, buf_str(&text));
    return request_is_sent(r);
}

bool sentinel_port_force(struct sentinel_port *p, size_t slot, uint64_t op)
{
    struct sentinel_slot *s = &p->slots[slot];
    if (!s->used) {
        return false;
    }
    struct sentinel_request *r = request_new(s, "failover", &done_ops, CORE_SENTINEL_DONE, op);
    r->done.u.outcome = OUTCOME_UNKNOWN;
    REDIS_BATCH_ADD(&r->batch, s->commands, "SENTINEL", "FAILOVER", p->cfg->sentinel_master);
    return request_is_sent(r);
}
