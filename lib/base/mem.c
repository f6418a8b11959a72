#include "lib/base/mem.h"

#include "lib/base/check.h"

static void *require_memory(void *p)
{
    if (p == NULL) {
        check_failed("out of memory", "mem", 0);
    }
    return p;
}

void *xmalloc(size_t size)
{
    return require_memory(malloc(size == 0 ? 1 : size));
}

void *xcalloc(size_t count, size_t size)
{
    return require_memory(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *xrealloc(void *ptr, size_t size)
{
    return require_memory(realloc(ptr, size == 0 ? 1 : size));
}

char *xstrndup(const char *s, size_t len)
{
    char *copy = xmalloc(len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *xstrdup(const char *s)
{
    return xstrndup(s, strlen(s));
}

void mem_auto_free(void *pointer_to_pointer)
{
    void *p;
    memcpy(&p, pointer_to_pointer, sizeof p);
    free(p);
}
