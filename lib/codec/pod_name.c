#include "lib/codec/pod.h"

int pod_ordinal(const char *name)
{
    const char *dash = strrchr(name, '-');
    uint64_t n;
    if (dash == NULL || !sv_to_u64(sv_from(dash + 1), &n) || n > INT32_MAX) {
        return -1;
    }
    return (int)n;
}
