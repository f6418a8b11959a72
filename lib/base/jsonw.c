#include "lib/base/jsonw.h"

#include <inttypes.h>
#include <math.h>

#include "lib/base/check.h"

void jsonw_init(struct jsonw *w, struct buf *out)
{
    *w = (struct jsonw){.out = out};
}

static void add_quoted(struct buf *out, struct sv v)
{
    const unsigned char *p = (const unsigned char *)v.ptr;
    buf_add_char(out, '"');
    for (size_t i = 0; i < v.len;) {
        if (p[i] == '"' || p[i] == '\\') {
            buf_addf(out, "\\%c", p[i++]);
        } else if (p[i] < 0x20 || p[i] == 0x7F) {
            buf_addf(out, "\\u%04x", p[i++]);
        } else {
            size_t n = sv_utf8_len((struct sv){v.ptr + i, v.len - i});
            if (n == 0) {
                buf_add_str(out, "\\ufffd");
                i++;
            } else {
                buf_add(out, p + i, n);
                i += n;
            }
        }
    }
    buf_add_char(out, '"');
}

static void begin(struct jsonw *w, const char *key)
{
    if (w->depth == 0) {
        REQUIRE(key == NULL);
        return;
    }
    unsigned level = w->depth - 1;
    REQUIRE(w->is_object[level] == (key != NULL));
    if (!w->first[level]) {
        buf_add_char(w->out, ',');
    }
    w->first[level] = false;
    if (key != NULL) {
        add_quoted(w->out, sv_from(key));
        buf_add_char(w->out, ':');
    }
}

static void open_level(struct jsonw *w, const char *key, bool is_object)
{
    begin(w, key);
    REQUIRE(w->depth < JSONW_DEPTH_MAX);
    w->first[w->depth] = true;
    w->is_object[w->depth] = is_object;
    w->depth++;
    buf_add_char(w->out, is_object ? '{' : '[');
}

void jsonw_open_object(struct jsonw *w, const char *key)
{
    open_level(w, key, true);
}

void jsonw_open_array(struct jsonw *w, const char *key)
{
    open_level(w, key, false);
}

void jsonw_close(struct jsonw *w)
{
    REQUIRE(w->depth > 0);
    w->depth--;
    buf_add_char(w->out, w->is_object[w->depth] ? '}' : ']');
}

void jsonw_sv(struct jsonw *w, const char *key, struct sv value)
{
    begin(w, key);
    add_quoted(w->out, value);
}

void jsonw_str(struct jsonw *w, const char *key, const char *value)
{
    if (value == NULL) {
        jsonw_null(w, key);
        return;
    }
    jsonw_sv(w, key, sv_from(value));
}

void jsonw_u64(struct jsonw *w, const char *key, uint64_t value)
{
    begin(w, key);
    buf_addf(w->out, "%" PRIu64, value);
}

void jsonw_i64(struct jsonw *w, const char *key, int64_t value)
{
    begin(w, key);
    buf_addf(w->out, "%" PRId64, value);
}

void jsonw_f64(struct jsonw *w, const char *key, double value)
{
    if (!isfinite(value)) {
        jsonw_null(w, key);
        return;
    }
    begin(w, key);
    buf_addf(w->out, "%.15g", value);
}

void jsonw_bool(struct jsonw *w, const char *key, bool value)
{
    begin(w, key);
    buf_add_str(w->out, value ? "true" : "false");
}

void jsonw_null(struct jsonw *w, const char *key)
{
    begin(w, key);
    buf_add_str(w->out, "null");
}
