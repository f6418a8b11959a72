#include "lib/codec/role_reply.h"

static const char *const role_names[] = {REDIS_ROLES(RPA_ENUM_NAME)};
static const char *const link_names[] = {REPL_LINKS(RPA_ENUM_NAME)};

const char *redis_role_name(enum redis_role role)
{
    return role_names[role];
}

const char *repl_link_name(enum repl_link link)
{
    return link_names[link];
}

static bool signed_at(const struct resp *r, size_t i, int64_t *ret)
{
    if (i >= r->count || r->elems[i].type != RESP_INTEGER) {
        return false;
    }
    *ret = r->elems[i].integer;
    return true;
}

/* ["master", offset, [[ip, port, offset], …]] */
static bool parse_master(struct role_reply *out, const struct resp *r)
{
    out->role = REDIS_ROLE_MASTER;
    if (!signed_at(r, 1, &out->offset) || r->count < 3 || r->elems[2].type != RESP_ARRAY) {
        return false;
    }
    const struct resp *replicas = &r->elems[2];
    for (size_t i = 0; i < replicas->count; i++) {
        if (replicas->elems[i].type != RESP_ARRAY || replicas->elems[i].count < 3) {
            return false;
        }
    }
    out->replica_count = (unsigned)u64_min(replicas->count, UINT32_MAX);
    return true;
}

/* ["slave", master ip, master port, link state, offset] */
static bool parse_slave(struct role_reply *out, const struct resp *r)
{
    struct sv host;
    struct sv link;
    uint64_t port;
    out->role = REDIS_ROLE_SLAVE;
    if (!resp_str_at(r, 1, &host) || !resp_u64_at(r, 2, &port) ||
        !addr_set(&out->master, host, port) || !resp_str_at(r, 3, &link) ||
        !signed_at(r, 4, &out->offset)) {
        return false;
    }
    for (size_t i = REPL_LINK_CONNECT; i < ARRAY_LEN(link_names); i++) {
        if (sv_eq_str(link, link_names[i])) {
            out->link = (enum repl_link)i;
        }
    }
    return true;
}

int role_reply_parse(struct role_reply *ret, const struct resp *r, struct err *e)
{
    struct role_reply out = {.offset = 0};
    struct sv word;
    bool ok = false;
    if (!resp_str_at(r, 0, &word)) {
        return err_set(e, ERR_PROTO, "ROLE: an array that starts with a word is wanted, not %s",
                       resp_type_name(r->type));
    }
    if (sv_eq_str(word, "master")) {
        ok = parse_master(&out, r);
    } else if (sv_eq_str(word, "slave")) {
        ok = parse_slave(&out, r);
    } else if (sv_eq_str(word, "sentinel")) {
        out.role = REDIS_ROLE_SENTINEL;
        ok = true;
    }
    if (!ok) {
        return err_set(e, ERR_PROTO, "ROLE: '%.*s' with %zu elements is not of the documented form",
                       (int)u64_min(word.len, 32), word.ptr, r->count);
    }
    *ret = out;
    return 0;
}
