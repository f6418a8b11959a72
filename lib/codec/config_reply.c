#include "lib/codec/config_reply.h"

int config_get_u64(const struct resp *r, const char *name, uint64_t *ret, struct err *e)
{
    struct sv text;
    if (r->type != RESP_ARRAY || r->count % 2 != 0) {
        return resp_refuse(r, "CONFIG GET", e);
    }
    if (!resp_field(r, name, &text)) {
        return err_set(e, ERR_NOTFOUND, "CONFIG GET: no parameter %s", name);
    }
    if (!sv_to_u64(text, ret)) {
        return err_set(e, ERR_PROTO, "CONFIG GET: %s is '%.*s', not a number", name,
                       (int)u64_min(text.len, 60), text.ptr);
    }
    return 0;
}
