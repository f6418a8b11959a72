#include "lib/codec/sentinel_reply.h"

static const char *const flag_names[] = {SENTINEL_FLAGS(RPA_ENUM_NAME)};

const char *sentinel_flag_name(enum sentinel_flag flag)
{
    return flag_names[flag];
}

static int refuse(const struct resp *r, const char *what, struct err *e)
{
    if (r->type == RESP_ERROR && sv_starts_with(r->str, "ERR No such master")) {
        return err_set(e, ERR_NOTFOUND, "%s: no such master", what);
    }
    return resp_refuse(r, what, e);
}

static uint32_t parse_flags(struct sv text)
{
    uint32_t flags = 0;
    while (text.ptr != NULL) {
        struct sv word = sv_split(&text, ',');
        for (size_t f = 0; f < SENTINEL_FLAG_COUNT; f++) {
            flags |= sv_eq_str(word, flag_names[f]) ? 1U << f : 0;
        }
    }
    return flags;
}

static bool number_field(const struct resp *r, const char *key, uint64_t *ret)
{
    struct sv text;
    return resp_field(r, key, &text) && sv_to_u64(text, ret);
}

int sentinel_master_parse(struct sentinel_master *ret, const struct resp *r, struct err *e)
{
    struct sentinel_master out = {.flags = 0};
    struct sv host;
    struct sv id;
    struct sv flags;
    uint64_t port;
    if (r->type != RESP_ARRAY) {
        return refuse(r, "SENTINEL MASTER", e);
    }
    if (!resp_field(r, "ip", &host) || !number_field(r, "port", &port) ||
        !addr_set(&out.addr, host, port) || !resp_field(r, "flags", &flags) ||
        !number_field(r, "config-epoch", &out.config_epoch) ||
        !number_field(r, "quorum", &out.quorum) ||
        !number_field(r, "num-other-sentinels", &out.num_other_sentinels)) {
        return err_set(e, ERR_PROTO, "SENTINEL MASTER: a field is missing or not a number");
    }
    out.flags = parse_flags(flags);
    if (resp_field(r, "runid", &id)) {
        (void)!run_id_copy(out.run_id, id);
    }
    (void)!number_field(r, "num-slaves", &out.num_slaves);
    (void)!number_field(r, "down-after-milliseconds", &out.down_after_ms);
    (void)!number_field(r, "failover-timeout", &out.failover_timeout_ms);
    *ret = out;
    return 0;
}

int sentinel_addr_parse(struct addr *ret, const struct resp *r, struct err *e)
{
    struct addr out;
    struct sv host;
    uint64_t port;
    if (r->type == RESP_NIL) {
        return err_set(e, ERR_NOTFOUND, "GET-MASTER-ADDR-BY-NAME: no such master");
    }
    if (r->type != RESP_ARRAY) {
        return refuse(r, "GET-MASTER-ADDR-BY-NAME", e);
    }
    if (!resp_str_at(r, 0, &host) || !resp_u64_at(r, 1, &port) || !addr_set(&out, host, port)) {
        return err_set(e, ERR_PROTO, "GET-MASTER-ADDR-BY-NAME: host and port are wanted");
    }
    *ret = out;
    return 0;
}

int sentinel_myid_parse(char ret[static RUN_ID_LEN + 1], const struct resp *r, struct err *e)
{
    if (r->type != RESP_STRING) {
        return refuse(r, "SENTINEL MYID", e);
    }
    if (!run_id_copy(ret, r->str)) {
        return err_set(e, ERR_PROTO, "SENTINEL MYID: 40 hexadecimal digits are wanted");
    }
    return 0;
}

int sentinel_vote_parse(struct sentinel_vote *ret, const struct resp *r, struct err *e)
{
    static const char what[] = "IS-MASTER-DOWN-BY-ADDR";
    struct sentinel_vote out = {.leader_id = ""};
    struct sv leader;
    uint64_t down;
    if (r->type != RESP_ARRAY) {
        return refuse(r, what, e);
    }
    if (!resp_u64_at(r, 0, &down) || down > 1 || !resp_str_at(r, 1, &leader) ||
        !resp_u64_at(r, 2, &out.epoch) ||
        !(sv_eq_str(leader, "*") || run_id_copy(out.leader_id, leader))) {
        return err_set(e, ERR_PROTO, "%s: 0 or 1, a run-id or *, and an epoch are wanted", what);
    }
    out.down = down == 1;
    *ret = out;
    return 0;
}

/* False where r is no instance. Without an address that can be written *ret has none. */
static bool parse_instance(struct sentinel_instance *ret, const struct resp *r)
{
    struct sv host;
    struct sv flags;
    struct sv id;
    uint64_t port;
    *ret = (struct sentinel_instance){.flags = 0};
    if (!resp_field(r, "ip", &host) || !number_field(r, "port", &port) ||
        !resp_field(r, "flags", &flags)) {
        return false;
    }
    ret->flags = parse_flags(flags);
    if (resp_field(r, "runid", &id)) {
        (void)!run_id_copy(ret->run_id, id);
    }
    (void)!addr_set(&ret->addr, host, port);
    return true;
}

/* ret has room for max; *ret_count and ret are touched only where all of r can be read. */
static int parse_instances(struct sentinel_instance *ret, size_t max, size_t *ret_count,
                           const struct resp *r, const char *what, struct err *e)
{
    struct sentinel_instance parsed;
    size_t count = 0;
    if (r->type != RESP_ARRAY) {
        return refuse(r, what, e);
    }
    for (size_t i = 0; i < r->count; i++) {
        if (!parse_instance(&parsed, &r->elems[i])) {
            return err_set(e, ERR_PROTO, "%s: element %zu has no ip, port or flags", what, i);
        }
    }
    for (size_t i = 0; i < r->count && count < max; i++) {
        if (parse_instance(&parsed, &r->elems[i]) && addr_is_set(&parsed.addr)) {
            ret[count++] = parsed;
        }
    }
    *ret_count = count;
    return 0;
}

int sentinel_peers_parse(struct sentinel_look *look, const struct resp *r, struct err *e)
{
    return parse_instances(look->peers, ARRAY_LEN(look->peers), &look->peer_count, r,
                           "SENTINEL SENTINELS", e);
}

int sentinel_replicas_parse(struct sentinel_look *look, const struct resp *r, struct err *e)
{
    return parse_instances(look->replicas, ARRAY_LEN(look->replicas), &look->replica_count, r,
                           "SENTINEL REPLICAS", e);
}

int sentinel_hello_parse(struct sentinel_hello *ret, struct sv payload, struct err *e)
{
    struct sentinel_hello out = {.current_epoch = 0};
    struct sv field[8];
    size_t count = 0;
    while (payload.ptr != NULL && count < ARRAY_LEN(field)) {
        field[count++] = sv_split(&payload, ',');
    }
    uint64_t port;
    uint64_t master_port;
    if (count != ARRAY_LEN(field) || payload.ptr != NULL || !sv_to_u64(field[1], &port) ||
        !addr_set(&out.sentinel, field[0], port) || !run_id_copy(out.sentinel_id, field[2]) ||
        !sv_to_u64(field[3], &out.current_epoch) || field[4].len == 0 ||
        memchr(field[4].ptr, '\0', field[4].len) != NULL ||
        !str_copy(out.master_name, sizeof out.master_name, field[4]) ||
        !sv_to_u64(field[6], &master_port) || !addr_set(&out.master, field[5], master_port) ||
        !sv_to_u64(field[7], &out.master_epoch)) {
        return err_set(e, ERR_PROTO,
                       "hello: eight fields with a run-id, epochs and addresses are wanted");
    }
    *ret = out;
    return 0;
}

bool sentinel_hello_write(struct buf *out, const struct sentinel_hello *h)
{
    char id[RUN_ID_LEN + 1];
    if (!addr_is_set(&h->sentinel) || !addr_is_set(&h->master) || h->master_name[0] == '\0' ||
        strchr(h->master_name, ',') != NULL || !run_id_copy(id, sv_from(h->sentinel_id))) {
        return false;
    }
    return buf_addf(out, "%s,%u,%s,%llu,%s,%s,%u,%llu", h->sentinel.host, h->sentinel.port, id,
                    (unsigned long long)h->current_epoch, h->master_name, h->master.host,
                    h->master.port, (unsigned long long)h->master_epoch);
}
