#include "agent/shell/redis_order.h"

#include <inttypes.h>

#include "agent/shell/redis_batch.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/codec/config_reply.h"

#define MOD "order"
#define MIN_REPLICAS "min-replicas-to-write"
#define MAX_LAG "min-replicas-max-lag"

struct order_record {
    struct redis_batch batch;
    struct port_sink sink;
    enum order order;
    struct core_event done; /* as far as it is known; outcome UNKNOWN until it is */
    char to[ADDR_TEXT_MAX];
};

enum outcome outcome_of_refusal(const struct resp *reply)
{
    struct err e;
    (void)resp_refuse(reply, "", &e);
    return e.code == ERR_DENIED ? OUTCOME_DENIED : OUTCOME_REFUSED;
}

static enum outcome outcome_of_reply(const struct resp *reply)
{
    switch (reply->type) {
    case RESP_ERROR:
        return outcome_of_refusal(reply);
    case RESP_STATUS: /* also "OK Already connected to specified master" */
        return sv_starts_with(reply->str, "OK") ? OUTCOME_OK : OUTCOME_UNKNOWN;
    case RESP_INTEGER: /* CLIENT KILL: how many */
        return OUTCOME_OK;
    case RESP_NIL:
    case RESP_STRING:
    case RESP_ARRAY:
        break;
    }
    return OUTCOME_UNKNOWN;
}

/* Behind a REPLICAOF NO ONE that was accepted. */
static void take_role(struct order_record *r, const struct resp *reply)
{
    struct role_reply role;
    struct err e;
    if (r->done.u.order.outcome != OUTCOME_OK) {
        return;
    }
    r->done.u.order.outcome = OUTCOME_UNKNOWN;
    if (role_reply_parse(&role, reply, &e) == 0) {
        r->done.u.order.is_master = role.role == REDIS_ROLE_MASTER;
        r->done.u.order.outcome = r->done.u.order.is_master ? OUTCOME_OK : OUTCOME_REFUSED;
    }
}

static void take_parameter(struct order_record *r, size_t index, const struct resp *reply)
{
    struct err e;
    bool first = index == 0;
    uint64_t *value = first ? &r->done.u.order.min_replicas : &r->done.u.order.max_lag_s;
    enum outcome outcome = OUTCOME_OK;
    if (config_get_u64(reply, first ? MIN_REPLICAS : MAX_LAG, value, &e) != 0) {
        outcome = e.code == ERR_DENIED || e.code == ERR_NOTFOUND ? OUTCOME_DENIED : OUTCOME_REFUSED;
    }
    if (first || r->done.u.order.outcome == OUTCOME_OK) {
        r->done.u.order.outcome = outcome;
    }
}

static void on_reply(struct redis_batch *b, size_t index, const struct resp *reply)
{
    struct order_record *r = container_of(b, struct order_record, batch);
    if (reply->type == RESP_ERROR) {
        log_warn(MOD, "Redis refuses an order", F_STR("order", order_name(r->order)),
                 F_STR("redis", r->to), F_SV("reply", reply->str));
    }
    if (r->order == ORDER_GET_FENCE) {
        take_parameter(r, index, reply);
    } else if (index == 0) {
        r->done.u.order.outcome = outcome_of_reply(reply);
    } else {
        take_role(r, reply);
    }
}

static void on_done(struct redis_batch *b)
{
    struct order_record *r = container_of(b, struct order_record, batch);
    /* The half of an OK is none. */
    if (!b->whole && r->done.u.order.outcome == OUTCOME_OK) {
        r->done.u.order.outcome = OUTCOME_UNKNOWN;
    }
    r->sink.event(r->sink.arg, &r->done);
    free(r);
}

static void add_commands(struct redis_batch *b, struct redis_conn *c, const struct core_action *a)
{
    char number[24];
    char port[8];
    (void)snprintf(number, sizeof number, "%" PRIu64, a->value);
    (void)snprintf(port, sizeof port, "%u", (unsigned)a->addr.port);
    switch (a->order) {
    case ORDER_PAUSE:
        REDIS_BATCH_ADD(b, c, "CLIENT", "PAUSE", number, "WRITE");
        return;
    case ORDER_UNPAUSE:
        REDIS_BATCH_ADD(b, c, "CLIENT", "UNPAUSE");
        return;
    case ORDER_FOLLOW:
        REDIS_BATCH_ADD(b, c, "REPLICAOF", a->addr.host, port);
        return;
    case ORDER_PROMOTE:
        REDIS_BATCH_ADD(b, c, "REPLICAOF", "NO", "ONE");
        REDIS_BATCH_ADD(b, c, "ROLE");
        return;
    case ORDER_KILL_NORMAL:
        REDIS_BATCH_ADD(b, c, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        return;
    case ORDER_REWRITE:
        REDIS_BATCH_ADD(b, c, "CONFIG", "REWRITE");
        return;
    case ORDER_GET_FENCE: /* Redis 6.2 takes one pattern each */
        REDIS_BATCH_ADD(b, c, "CONFIG", "GET", MIN_REPLICAS);
        REDIS_BATCH_ADD(b, c, "CONFIG", "GET", MAX_LAG);
        return;
    case ORDER_SET_FENCE:
        REDIS_BATCH_ADD(b, c, "CONFIG", "SET", MIN_REPLICAS, number);
        return;
    case ORDER_FAILOVER:
        REDIS_BATCH_ADD(b, c, "FAILOVER", "TO", a->addr.host, port, "TIMEOUT", number);
        return;
    case ORDER_COUNT:
        return;
    }
}

bool redis_order_send(struct redis_conn *c, const struct core_action *a, const char *to,
                      struct port_sink sink)
{
    static const struct redis_batch_ops ops = {.reply = on_reply, .done = on_done};
    struct order_record *r = xcalloc(1, sizeof *r);
    redis_batch_init(&r->batch, &ops);
    r->sink = sink;
    r->order = a->order;
    r->done = (struct core_event){.type = CORE_ORDER_DONE, .op = a->op};
    r->done.u.order.outcome = OUTCOME_UNKNOWN;
    (void)str_copy(r->to, sizeof r->to, sv_from(to));
    add_commands(&r->batch, c, a);
    if (redis_batch_is_empty(&r->batch)) {
        free(r);
        return false;
    }
    return true;
}
