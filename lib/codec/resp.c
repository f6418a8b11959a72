#include "lib/codec/resp.h"

static const char *const type_names[] = {RESP_TYPES(RPA_ENUM_NAME)};
static const char *const fault_names[] = {RESP_FAULTS(RPA_ENUM_NAME)};

const char *resp_type_name(enum resp_type type)
{
    return type_names[type];
}

const char *resp_fault_name(enum resp_fault fault)
{
    return fault_names[fault];
}

enum resp_fault resp_fault(const struct resp *r)
{
    if (r->type != RESP_ERROR) {
        return RESP_FAULT_NONE;
    }
    if (sv_eq_str(r->str, "ERR invalid password")) {
        return RESP_FAULT_WRONGPASS;
    }
    struct sv rest = r->str;
    struct sv word = sv_split(&rest, ' ');
    for (size_t f = RESP_FAULT_LOADING; f < RESP_FAULT_OTHER; f++) {
        if (sv_eq_str(word, fault_names[f])) {
            return (enum resp_fault)f;
        }
    }
    return RESP_FAULT_OTHER;
}

/* Of a command and of a subcommand: Redis 7 (server.c, rejectCommand), 6 (networking.c,
 * addReplySubcommandSyntaxError) and 5 (sentinel.c). */
static bool is_unknown_command(struct sv text)
{
    static const char *const starts[] = {"ERR unknown command", "ERR unknown subcommand",
                                         "ERR Unknown subcommand",
                                         "ERR Unknown sentinel subcommand"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        if (sv_starts_with(text, starts[i])) {
            return true;
        }
    }
    return false;
}

int resp_refuse(const struct resp *r, const char *what, struct err *e)
{
    enum err_code code = ERR_PROTO;
    switch (resp_fault(r)) {
    case RESP_FAULT_NONE:
        return err_set(e, ERR_PROTO, "%s: not of the documented form (%s)", what,
                       resp_type_name(r->type));
    case RESP_FAULT_NOAUTH:
    case RESP_FAULT_WRONGPASS:
    case RESP_FAULT_NOPERM:
        code = ERR_DENIED;
        break;
    case RESP_FAULT_OTHER:
        code = is_unknown_command(r->str) ? ERR_DENIED : ERR_PROTO;
        break;
    case RESP_FAULT_LOADING:
    case RESP_FAULT_BUSY:
    case RESP_FAULT_MASTERDOWN:
        break;
    }
    return err_set(e, code, "%s: %.*s", what, (int)u64_min(r->str.len, 100), r->str.ptr);
}

static const struct resp *element(const struct resp *r, size_t i)
{
    return r->type == RESP_ARRAY && i < r->count ? &r->elems[i] : NULL;
}

bool resp_str_at(const struct resp *r, size_t i, struct sv *ret)
{
    const struct resp *e = element(r, i);
    if (e == NULL || (e->type != RESP_STRING && e->type != RESP_STATUS)) {
        return false;
    }
    *ret = e->str;
    return true;
}

bool resp_u64_at(const struct resp *r, size_t i, uint64_t *ret)
{
    const struct resp *e = element(r, i);
    struct sv text;
    if (e != NULL && e->type == RESP_INTEGER && e->integer >= 0) {
        *ret = (uint64_t)e->integer;
        return true;
    }
    return resp_str_at(r, i, &text) && sv_to_u64(text, ret);
}

bool resp_field(const struct resp *r, const char *key, struct sv *ret)
{
    struct sv name;
    if (r->type != RESP_ARRAY) {
        return false;
    }
    for (size_t i = 0; i + 1 < r->count; i += 2) {
        if (resp_str_at(r, i, &name) && sv_eq_str(name, key)) {
            return resp_str_at(r, i + 1, ret);
        }
    }
    return false;
}
