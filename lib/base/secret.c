#include "lib/base/secret.h"

#include "lib/base/check.h"
#include "lib/base/mem.h"

void secret_set(struct secret *s, struct sv value)
{
    REQUIRE(value.len <= SECRET_MAX_BYTES);
    secret_clear(s);
    s->hidden = xstrndup(value.len == 0 ? "" : value.ptr, value.len);
    s->len = value.len;
}

void secret_clear(struct secret *s)
{
    if (s->hidden != NULL) {
        explicit_bzero(s->hidden, s->len);
        free(s->hidden);
    }
    *s = (struct secret){NULL, 0};
}

bool secret_is_set(const struct secret *s)
{
    return s->len > 0;
}

bool secret_eq(const struct secret *s, struct sv value)
{
    return sv_eq(secret_reveal(s), value);
}

struct sv secret_reveal(const struct secret *s)
{
    return (struct sv){s->hidden, s->len};
}
