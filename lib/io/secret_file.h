/* A secret that lives in a file and is read again when the file changes.
 *
 * Kubernetes replaces mounted secrets by renaming a symlink, so what is compared is
 * (device, inode, size, mtime, ctime) of the file behind the path. Reading is synchronous:
 * the file is on tmpfs and capped at SECRET_MAX_BYTES; one trailing newline is dropped. */
#ifndef RPA_IO_SECRET_FILE_H
#define RPA_IO_SECRET_FILE_H

#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/secret.h"

struct secret_file {
    char *path; /* NULL: no secret is configured */
    struct secret value;
    struct stat seen;
    uint64_t generation; /* grows with every change of the value */
};

/* The same content as far as the file system tells: device, inode, size and both times. */
bool secret_file_same(const struct stat *a, const struct stat *b);

void secret_file_init(struct secret_file *f, const char *path_or_null);
void secret_file_release(struct secret_file *f);

/* Reads if the file has changed since the last time. -1 and the old value kept where it
 * cannot be read, is empty (ERR_INVAL) or too long (ERR_LIMIT). 0 without a path. */
int secret_file_refresh(struct secret_file *f, struct err *e);

#endif
