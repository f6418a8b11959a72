#include "lib/io/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/mem.h"

void secret_file_init(struct secret_file *f, const char *path_or_null)
{
    *f = (struct secret_file){.path = path_or_null == NULL ? NULL : xstrdup(path_or_null)};
}

void secret_file_release(struct secret_file *f)
{
    secret_clear(&f->value);
    free(f->path);
    *f = (struct secret_file){.path = NULL};
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool secret_file_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

static int fail_errno(struct err *e, int sys, const char *path)
{
    enum err_code code = ERR_SYS;

    if (sys == ENOENT || sys == ENOTDIR) {
        code = ERR_NOTFOUND;
    } else if (sys == EACCES || sys == EPERM) {
        code = ERR_DENIED;
    }
    err_set_errno(e, sys, "secret file %s", path);
    if (e != NULL) {
        e->code = code;
    }
    return -1;
}

/* Reads into `bytes` until the end of the file; the length, or -1 with errno. */
static ssize_t read_all(int fd, char *bytes, size_t cap)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t n = read(fd, bytes + len, cap - len);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            len += (size_t)n;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)len;
}

static int take_value(struct secret_file *f, struct sv value, struct err *e)
{
    if (value.len > 0 && value.ptr[value.len - 1] == '\n') {
        value.len--;
    }
    if (value.len == 0) {
        return err_set(e, ERR_INVAL, "secret file %s is empty", f->path);
    }
    if (value.len > SECRET_MAX_BYTES) {
        return err_set(e, ERR_LIMIT, "secret file %s is longer than %d bytes", f->path,
                       SECRET_MAX_BYTES);
    }
    if (!secret_eq(&f->value, value)) {
        secret_set(&f->value, value);
        f->generation++;
    }
    return 0;
}

static int read_fd(struct secret_file *f, int fd, struct err *e)
{
    char bytes[SECRET_MAX_BYTES + 2]; /* a newline, and one byte that shows it is too long */
    struct stat now;
    int rc = -1;

    /* Taken before the read: a write that follows it changes the times and is seen later. */
    if (fstat(fd, &now) != 0) {
        return fail_errno(e, errno, f->path);
    }
    if (!S_ISREG(now.st_mode)) {
        return err_set(e, ERR_INVAL, "secret file %s is not a regular file", f->path);
    }
    ssize_t len = read_all(fd, bytes, sizeof(bytes));
    if (len < 0) {
        return fail_errno(e, errno, f->path);
    }
    rc = take_value(f, (struct sv){bytes, (size_t)len}, e);
    explicit_bzero(bytes, sizeof(bytes));
    if (rc == 0) {
        f->seen = now;
    }
    return rc;
}

int secret_file_refresh(struct secret_file *f, struct err *e)
{
    struct stat now;

    if (f->path == NULL) {
        return 0;
    }
    if (stat(f->path, &now) != 0) {
        return fail_errno(e, errno, f->path);
    }
    if (secret_is_set(&f->value) && secret_file_same(&now, &f->seen)) {
        return 0;
    }
    /* Non-blocking, so that a FIFO in the place of the file cannot stop the loop. */
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return fail_errno(e, errno, f->path);
    }
    int rc = read_fd(f, fd, e);
    close(fd);
    return rc;
}
