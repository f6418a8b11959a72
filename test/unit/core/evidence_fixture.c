#include "test/unit/core/evidence_fixture.h"

struct evidence evidence_of(unsigned configured)
{
    struct evidence ev;
    struct addr me = addr_from(ME);
    evidence_init(&ev, configured);
    evidence_add_my_addr(&ev, &me);
    for (size_t i = 0; i < configured; i++) {
        char id[RUN_ID_LEN + 1];
        evidence_set_id(&ev, i, sentinel_id(i, id));
    }
    return ev;
}

const char *sentinel_id(size_t slot, char out[static RUN_ID_LEN + 1])
{
    memset(out, 'c' + (int)slot, RUN_ID_LEN);
    out[RUN_ID_LEN] = '\0';
    return out;
}

struct view view_of(const struct evidence *ev, const char *named, uint64_t epoch)
{
    struct view v = {.asked_us = NOW_US,
                     .knows_master = true,
                     .addr = addr_from(named),
                     .named = addr_from(named),
                     .run_id = RUN_A,
                     .epoch = epoch,
                     .others = ev->configured - 1,
                     .quorum = 2};
    return v;
}

void see(struct evidence *ev, size_t count, const char *named, uint64_t epoch)
{
    struct view v = view_of(ev, named, epoch);
    for (size_t i = 0; i < count; i++) {
        evidence_view(ev, i, &v);
    }
}

struct newest newest_at(const struct evidence *ev, uint64_t now_us)
{
    struct newest n;
    evidence_newest(ev, now_us, &n);
    return n;
}

enum verdict verdict_at(const struct evidence *ev, uint64_t now_us)
{
    struct newest n = newest_at(ev, now_us);
    return evidence_verdict(ev, &n, RUN_A, now_us);
}
