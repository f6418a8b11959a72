#include "test/unit/support/resp_decode.h"

#include "lib/base/mem.h"

#define VALUE_BYTES_MIN 3 /* "+" CR LF */

static bool take_line(struct sv *rest, struct sv *ret)
{
    const char *cr = rest->len == 0 ? NULL : memchr(rest->ptr, '\r', rest->len);
    size_t len = cr == NULL ? 0 : (size_t)(cr - rest->ptr);

    if (cr == NULL || len + 2 > rest->len || cr[1] != '\n') {
        return false;
    }
    *ret = (struct sv){rest->ptr, len};
    rest->ptr += len + 2;
    rest->len -= len + 2;
    return true;
}

static bool take_bulk(struct sv *rest, uint64_t len, struct sv *ret)
{
    if (rest->len < 2 || len > rest->len - 2 || memcmp(rest->ptr + len, "\r\n", 2) != 0) {
        return false;
    }
    *ret = (struct sv){rest->ptr, (size_t)len};
    rest->ptr += len + 2;
    rest->len -= (size_t)len + 2;
    return true;
}

static bool take_value(struct resp_decoded *d, struct resp *r, struct sv *rest, unsigned depth);

static bool take_array(struct resp_decoded *d, struct resp *r, struct sv *rest, uint64_t count,
                       unsigned depth)
{
    struct resp *elems = d->nodes + d->count;

    /* No whole reply has more values than its bytes allow. */
    if (depth >= RESP_DEPTH_MAX || count > d->cap - d->count) {
        return false;
    }
    d->count += (size_t)count;
    *r = (struct resp){.type = RESP_ARRAY, .elems = elems, .count = (size_t)count};
    for (size_t i = 0; i < count; i++) {
        if (!take_value(d, &elems[i], rest, depth + 1)) {
            return false;
        }
    }
    return true;
}

static bool take_value(struct resp_decoded *d, struct resp *r, struct sv *rest, unsigned depth)
{
    struct sv line;
    uint64_t len;

    if (!take_line(rest, &line) || line.len == 0) {
        return false;
    }
    char kind = *line.ptr;
    line.ptr++;
    line.len--;
    *r = (struct resp){.type = RESP_NIL, .str = line};
    switch (kind) {
    case '+':
        r->type = RESP_STATUS;
        return true;
    case '-':
        r->type = RESP_ERROR;
        return true;
    case ':':
        *r = (struct resp){.type = RESP_INTEGER};
        return sv_to_i64(line, &r->integer);
    case '$':
    case '*':
        if (sv_eq_str(line, "-1")) {
            *r = (struct resp){.type = RESP_NIL};
            return true;
        }
        if (!sv_to_u64(line, &len)) {
            return false;
        }
        if (kind == '*') {
            return take_array(d, r, rest, len, depth);
        }
        r->type = RESP_STRING;
        return take_bulk(rest, len, &r->str);
    default:
        return false;
    }
}

bool resp_decode(struct resp_decoded *ret, struct sv bytes)
{
    struct resp_decoded d = {.count = 1, .cap = bytes.len / VALUE_BYTES_MIN + 1};

    d.nodes = xcalloc(d.cap, sizeof(*d.nodes));
    if (!take_value(&d, d.nodes, &bytes, 0) || bytes.len != 0) {
        free(d.nodes);
        return false;
    }
    *ret = d;
    return true;
}

void resp_decoded_free(struct resp_decoded *d)
{
    free(d->nodes);
    *d = (struct resp_decoded){NULL, 0, 0};
}
