/* A password or token read from a file: a type that no formatter accepts.
 *
 * There is no accessor that returns a C string by accident: secret_reveal() is the one
 * word to search for when asking where secrets go. secret_clear() overwrites the bytes.
 * Limit: SECRET_MAX_BYTES; a trailing newline of the file is not part of the secret. */
#ifndef RPA_BASE_SECRET_H
#define RPA_BASE_SECRET_H

#include "lib/base/sv.h"

#define SECRET_MAX_BYTES 16384

struct secret {
    char *hidden;
    size_t len;
};

void secret_set(struct secret *s, struct sv value); /* value.len ≤ SECRET_MAX_BYTES */
void secret_clear(struct secret *s);
bool secret_is_set(const struct secret *s);
bool secret_eq(const struct secret *s, struct sv value);
struct sv secret_reveal(const struct secret *s);

#endif
