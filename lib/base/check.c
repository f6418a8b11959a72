#include "lib/base/check.h"

#include <unistd.h>

void check_failed(const char *expr, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"level\":\"error\",\"mod\":\"check\",\"msg\":\"bug: requirement "
                     "failed\",\"file\":\"%s\",\"line\":%d,\"expr\":\"%.200s\"}\n",
                     file, line, expr);
    if (n > 0) {
        /* stdio may be what is broken; nothing useful can be done if this write fails. */
        ssize_t ignored = write(STDERR_FILENO, text, u64_min((uint64_t)n, sizeof text - 1));
        (void)ignored;
    }
    abort();
}
