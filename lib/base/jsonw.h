/* Append-only JSON writer on a buf: commas, quotes and escapes are its business.
 *
 *     struct jsonw w; jsonw_init(&w, &buf);
 *     jsonw_open_object(&w, NULL); jsonw_str(&w, "role", "master"); jsonw_close(&w);
 *
 * Inside an object every call names a key; inside an array the key is NULL. Bytes that are
 * not valid UTF-8 become U+FFFD, so the output is always JSON. Misuse (a key missing, a
 * close too many, deeper than JSONW_DEPTH_MAX) is a bug and aborts. Overflow is told by
 * the buffer. */
#ifndef RPA_BASE_JSONW_H
#define RPA_BASE_JSONW_H

#include "lib/base/buf.h"

#define JSONW_DEPTH_MAX 16

struct jsonw {
    struct buf *out;
    unsigned depth;
    bool first[JSONW_DEPTH_MAX];
    bool is_object[JSONW_DEPTH_MAX];
};

void jsonw_init(struct jsonw *w, struct buf *out);
void jsonw_open_object(struct jsonw *w, const char *key);
void jsonw_open_array(struct jsonw *w, const char *key);
void jsonw_close(struct jsonw *w); /* the innermost object or array */
void jsonw_str(struct jsonw *w, const char *key, const char *value); /* NULL: null */
void jsonw_sv(struct jsonw *w, const char *key, struct sv value);
void jsonw_u64(struct jsonw *w, const char *key, uint64_t value);
void jsonw_i64(struct jsonw *w, const char *key, int64_t value);
void jsonw_f64(struct jsonw *w, const char *key, double value); /* not finite: null */
void jsonw_bool(struct jsonw *w, const char *key, bool value);
void jsonw_null(struct jsonw *w, const char *key);

#endif
