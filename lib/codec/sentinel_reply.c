#include "lib/codec/sentinel_reply.h"

static const char *const flag_names[] = {SENTINEL_FLAGS(RPA_ENUM_NAME)};

const char *sentinel_flag_name(enum sentinel_flag flag)
{
    return flag_names[flag];
}

static int refuse(const struct resp *r, const char *what, struct err *e)
{
    switch (resp_fault(r)) {
    case RESP_FAULT_NOAUTH:
    case RESP_FAULT_WRONGPASS:
    case RESP_FAULT_NOPERM:
        return err_set(e, ERR_DENIED, "%s: %.*s", what, (int)u64_min(r->str.len, 100), r->str.ptr);
    case RESP_FAULT_NONE:
        return err_set(e, ERR_PROTO, "%s: not of the documented form (%s)", what,
                       resp_type_name(r->type));
    case RESP_FAULT_LOADING:
    case RESP_FAULT_BUSY:
    case RESP_FAULT_MASTERDOWN:
    case RESP_FAULT_OTHER:
        break;
    }
    if (sv_starts_with(r->str, "ERR No such master")) {
        return err_set(e, ERR_NOTFOUND, "%s: no such master", what);
    }
    return err_set(e, ERR_PROTO, "%s: %.*s", what, (int)u64_min(r->str.len, 100), r->str.ptr);
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
