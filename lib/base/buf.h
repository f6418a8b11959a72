/* Growable byte buffer with a mandatory maximum, always NUL-terminated behind its end.
 *
 * buf_init sets the maximum and allocates nothing; every add returns false, and leaves the
 * content as it was, where the maximum would be passed, and sets `overflow`, which stays
 * set until buf_reset: so a writer may add many parts and ask once at the end. buf_reset
 * keeps the memory for reuse, buf_release frees it (safe on an initialised or released
 * buffer). data is valid until the next add or release. */
#ifndef RPA_BASE_BUF_H
#define RPA_BASE_BUF_H

#include "lib/base/sv.h"

struct buf {
    char *data; /* NULL until the first add; use buf_str() for a C string */
    size_t len;
    size_t cap;
    size_t max_bytes;
    bool overflow;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b);
void buf_reset(struct buf *b);

bool buf_add(struct buf *b, const void *bytes, size_t len);
bool buf_add_str(struct buf *b, const char *s);
bool buf_add_sv(struct buf *b, struct sv v);
bool buf_add_char(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);

/* Drops the first `len` bytes (≤ b->len); the rest moves to the front. */
void buf_consume(struct buf *b, size_t len);

struct sv buf_sv(const struct buf *b);
const char *buf_str(const struct buf *b);

#define AUTO_BUF __attribute__((cleanup(buf_release)))

#endif
