/* String view: <pointer, length> into bytes that somebody else owns and that need no NUL.
 *
 * All wire data is handled as views, so that a missing terminator cannot matter. Number
 * parsing is strict: the whole view, no sign where unsigned, no blanks, no overflow. */
#ifndef RPA_BASE_SV_H
#define RPA_BASE_SV_H

#include "lib/base/defs.h"

struct sv {
    const char *ptr;
    size_t len;
};

#define SV(literal) ((struct sv){(literal), sizeof(literal) - 1})
#define SV_ARG(v) (int)(v).len, (v).ptr /* for "%.*s" */

struct sv sv_from(const char *s); /* NULL gives the empty view */
bool sv_eq(struct sv a, struct sv b);
bool sv_eq_str(struct sv a, const char *b);
bool sv_eq_nocase(struct sv a, const char *b);
bool sv_starts_with(struct sv v, const char *prefix);
struct sv sv_trim(struct sv v); /* blanks, tabs, CR and LF at both ends */

/* Takes the part before the first `sep` off *rest and returns it; the whole rest where
 * there is none. *rest becomes {NULL, 0} when it is used up, so a loop ends on
 * rest.ptr == NULL and "a,,b" gives an empty middle part. */
struct sv sv_split(struct sv *rest, char sep);

/* True and *ret set, or false and *ret untouched. */
bool sv_to_u64(struct sv v, uint64_t *ret) MUST_USE;
bool sv_to_i64(struct sv v, int64_t *ret) MUST_USE;

/* "host:port", "[v6]:port", "v6:port" is refused as ambiguous. Port 1 to 65535. */
bool sv_to_host_port(struct sv v, struct sv *ret_host, uint16_t *ret_port) MUST_USE;

/* Length of the UTF-8 sequence that v starts with, 0 where it starts with none (RFC 3629: no
 * overlong form, no surrogate, nothing above U+10FFFF). */
size_t sv_utf8_len(struct sv v);

/* Copies into a fixed array with a NUL. False, and an empty string, where it does not fit:
 * a cut-off name is never taken for the name. */
bool str_copy(char *dst, size_t dst_size, struct sv src);

#endif
