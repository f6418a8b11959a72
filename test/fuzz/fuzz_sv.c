/* String views: each function against a slower way to say the same. */
#include "lib/base/sv.h"

#include <errno.h>

#include "lib/base/buf.h"
#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"

static void try_numbers(struct sv v)
{
    char copy[32];
    char *end;
    uint64_t u = 77, u_wanted = 0;
    int64_t i = 77;
    bool is_short = str_copy(copy, sizeof(copy), v) && strlen(copy) == v.len;
    bool digits = is_short && v.len > 0 && strspn(copy, "0123456789") == v.len;

    errno = 0;
    if (digits) {
        u_wanted = strtoull(copy, &end, 10);
    }
    if (!is_short) {
        return; /* up to 11 zeros more than a number has are covered */
    }
    REQUIRE(sv_to_u64(v, &u) == (digits && errno == 0));
    REQUIRE(u == (digits && errno == 0 ? u_wanted : 77));
    bool minus = copy[0] == '-' && v.len > 1 && strspn(copy + 1, "0123456789") == v.len - 1;
    errno = 0;
    long long i_wanted = strtoll(copy, &end, 10);
    bool ok = (digits || minus) && errno == 0;
    REQUIRE(sv_to_i64(v, &i) == ok);
    REQUIRE(i == (ok ? i_wanted : 77));
}

static void try_split(struct sv v, char sep)
{
    AUTO_BUF struct buf joined;
    struct sv rest = v;
    size_t parts = 0, seps = 0;

    buf_init(&joined, v.len + 1);
    for (size_t i = 0; i < v.len; i++) {
        seps += v.ptr[i] == sep;
    }
    while (parts == 0 || rest.ptr != NULL) {
        struct sv part = sv_split(&rest, sep);
        REQUIRE(part.len == 0 || memchr(part.ptr, sep, part.len) == NULL);
        if (parts++ > 0) {
            buf_add_char(&joined, sep);
        }
        buf_add_sv(&joined, part);
    }
    REQUIRE(parts == seps + 1 && !joined.overflow);
    REQUIRE(sv_eq(buf_sv(&joined), v));
}

static void try_trim(struct sv v)
{
    struct sv t = sv_trim(v);

    REQUIRE(t.len <= v.len && sv_eq(sv_trim(t), t));
    REQUIRE(t.len == 0 || (t.ptr >= v.ptr && t.ptr + t.len <= v.ptr + v.len));
    REQUIRE(t.len == 0 || (strchr(" \t\r\n", *t.ptr) == NULL || *t.ptr == '\0'));
}

static void try_host_port(struct sv v)
{
    struct sv host, again;
    uint16_t port, port_again;

    if (!sv_to_host_port(v, &host, &port)) {
        return;
    }
    REQUIRE(host.len > 0 && port > 0);
    AUTO_BUF struct buf text;
    buf_init(&text, v.len + 16);
    buf_add_str(&text, *v.ptr == '[' ? "[" : "");
    buf_add_sv(&text, host);
    buf_addf(&text, "%s:%u", *v.ptr == '[' ? "]" : "", port);
    REQUIRE(sv_to_host_port(buf_sv(&text), &again, &port_again));
    REQUIRE(sv_eq(host, again) && port == port_again && text.len <= v.len);
}

/* By code point, not by byte ranges. */
static size_t slow_utf8_len(struct sv v)
{
    const unsigned char *p = (const unsigned char *)v.ptr;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = v.len == 0          ? 0
               : p[0] < 0x80       ? 1
               : (p[0] >> 5) == 6  ? 2
               : (p[0] >> 4) == 14 ? 3
               : (p[0] >> 3) == 30 ? 4
                                   : 0;
    uint32_t code = n < 2 ? 0 : p[0] & (0x7FU >> n);

    if (n > v.len) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3FU);
    }
    bool bad =
        n > 1 && (code < smallest[n] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF));
    return bad ? 0 : n;
}

static void try_copy(struct sv v)
{
    char out[16];

    memset(out, 'x', sizeof(out));
    bool ok = str_copy(out, sizeof(out), v);
    REQUIRE(ok == (v.len < sizeof(out)));
    REQUIRE(out[ok ? v.len : 0] == '\0' && (!ok || v.len == 0 || memcmp(out, v.ptr, v.len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv v = {(const char *)data, size};

    try_numbers(v);
    try_split(v, ',');
    try_split(v, size > 0 ? (char)data[size / 2] : ' ');
    try_trim(v);
    try_host_port(v);
    REQUIRE(sv_utf8_len(v) == slow_utf8_len(v));
    try_copy(v);
    return 0;
}
