#include "lib/base/jsonw.h"

#include <inttypes.h>
#include <math.h>

#include "lib/base/check.h"

void jsonw_init(struct jsonw *w, struct buf *out)
{
    *w = (struct jsonw){.out = out};
}

/* Length of the valid UTF-8 sequence at p, or 0 (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF). */
static size_t utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
    if (n == 0 || n > left) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)) {
        return 0;
    }
    return n;
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
            size_t n = utf8_len(p + i, v.len - i);
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
