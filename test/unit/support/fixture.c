#include "test/unit/support/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"

char *bytes_dup(struct sv v)
{
    char *copy = malloc(v.len);

    assert_true(copy != NULL || v.len == 0);
    if (v.len > 0) {
        memcpy(copy, v.ptr, v.len);
    }
    return copy;
}

char *data_read(const char *path, size_t *ret_len)
{
    char full[4096];
    char *data = NULL;
    size_t len = 0;
    size_t got;
    char part[4096];

    (void)snprintf(full, sizeof(full), "%s/%s", TEST_DATA_DIR, path);
    FILE *file = fopen(full, "rb");
    if (file == NULL) {
        fail_msg("cannot read %s", full);
    }
    while ((got = fread(part, 1, sizeof(part), file)) > 0) {
        data = xrealloc(data, len + got + 1);
        memcpy(data + len, part, got);
        len += got;
        data[len] = '\0';
    }
    (void)fclose(file);
    if (len == 0) {
        fail_msg("%s is empty", full);
    }
    *ret_len = len;
    return data;
}

struct sv json_first_text(const char *json, const char *name)
{
    char start[64];

    (void)snprintf(start, sizeof(start), "\"%s\":\"", name);
    const char *at = strstr(json, start);
    assert_non_null(at);
    struct sv rest = sv_from(at + strlen(start));
    return sv_split(&rest, '"');
}

void assert_aborts(void (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        /* cmocka turns the abort of a test into a failure; here it is what is wanted. */
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(null, STDERR_FILENO);
        fn(arg);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fail_msg("no abort: wait status %#x", (unsigned)status);
    }
}
