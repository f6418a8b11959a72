#include "lib/base/sv.h"

#include <strings.h>

struct sv sv_from(const char *s)
{
    return s == NULL ? (struct sv){NULL, 0} : (struct sv){s, strlen(s)};
}

bool sv_eq(struct sv a, struct sv b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool sv_eq_str(struct sv a, const char *b)
{
    return sv_eq(a, sv_from(b));
}

bool sv_eq_nocase(struct sv a, const char *b)
{
    return a.len == strlen(b) && (a.len == 0 || strncasecmp(a.ptr, b, a.len) == 0);
}

bool sv_starts_with(struct sv v, const char *prefix)
{
    size_t n = strlen(prefix);
    return v.len >= n && (n == 0 || memcmp(v.ptr, prefix, n) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct sv sv_trim(struct sv v)
{
    while (v.len > 0 && is_blank(v.ptr[0])) {
        v.ptr++;
        v.len--;
    }
    while (v.len > 0 && is_blank(v.ptr[v.len - 1])) {
        v.len--;
    }
    return v;
}

struct sv sv_split(struct sv *rest, char sep)
{
    struct sv part = *rest;
    const char *hit = rest->len == 0 ? NULL : memchr(rest->ptr, sep, rest->len);
    if (hit == NULL) {
        *rest = (struct sv){NULL, 0};
        return part;
    }
    part.len = (size_t)(hit - rest->ptr);
    rest->ptr += part.len + 1;
    rest->len -= part.len + 1;
    return part;
}

bool sv_to_u64(struct sv v, uint64_t *ret)
{
    if (v.len == 0) {
        return false;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(v.ptr[i] - '0'), &n)) {
            return false;
        }
    }
    *ret = n;
    return true;
}

bool sv_to_i64(struct sv v, int64_t *ret)
{
    bool negative = v.len > 0 && v.ptr[0] == '-';
    if (negative) {
        v.ptr++;
        v.len--;
    }
    uint64_t n;
    if (!sv_to_u64(v, &n) || n > (uint64_t)INT64_MAX + (negative ? 1U : 0U)) {
        return false;
    }
    *ret = negative ? (int64_t)(0U - n) : (int64_t)n;
    return true;
}

bool sv_to_host_port(struct sv v, struct sv *ret_host, uint16_t *ret_port)
{
    struct sv host;
    struct sv port;
    if (v.len > 0 && v.ptr[0] == '[') {
        const char *end = memchr(v.ptr, ']', v.len);
        if (end == NULL) {
            return false;
        }
        host = (struct sv){v.ptr + 1, (size_t)(end - v.ptr) - 1};
        size_t used = host.len + 2;
        if (used >= v.len || v.ptr[used] != ':') {
            return false;
        }
        port = (struct sv){v.ptr + used + 1, v.len - used - 1};
    } else {
        port = v;
        host = sv_split(&port, ':');
        if (port.ptr == NULL || memchr(port.ptr, ':', port.len) != NULL) {
            return false;
        }
    }
    uint64_t n;
    if (host.len == 0 || !sv_to_u64(port, &n) || n == 0 || n > UINT16_MAX) {
        return false;
    }
    *ret_host = host;
    *ret_port = (uint16_t)n;
    return true;
}

static size_t utf8_len_of_lead(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

size_t sv_utf8_len(struct sv v)
{
    const unsigned char *p = (const unsigned char *)v.ptr;
    size_t n = v.len == 0 ? 0 : utf8_len_of_lead(p[0]);
    if (n > v.len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if (n > 1 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
                  (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))) {
        return 0;
    }
    return n;
}

bool str_copy(char *dst, size_t dst_size, struct sv src)
{
    if (src.len >= dst_size) {
        dst[0] = '\0';
        return false;
    }
    if (src.len > 0) {
        memcpy(dst, src.ptr, src.len);
    }
    dst[src.len] = '\0';
    return true;
}
