#include "agent/core/history.h"

static const char *const mechanism_names[] = {MECHANISMS(RPA_ENUM_NAME)};
static const char *const decision_texts[] = {DECISIONS(RPA_ENUM_NAME)};
static const char *const why_texts[] = {WHYS(RPA_ENUM_NAME)};

const char *mechanism_name(enum mechanism m)
{
    return mechanism_names[m];
}

const char *decision_text(enum decision d)
{
    return decision_texts[d];
}

const char *why_text(enum why w)
{
    return why_texts[w];
}

struct history_entry *history_add(struct history *h, uint64_t now_us, uint64_t wall_ms)
{
    struct history_entry *e = &h->entries[h->count++ % HISTORY_MAX];
    *e = (struct history_entry){.at_us = now_us, .wall_ms = wall_ms, .age_us = UINT64_MAX};
    return e;
}

void history_done(struct history *h, uint64_t op, enum outcome outcome)
{
    for (size_t i = 0; i < HISTORY_MAX; i++) {
        struct history_entry *e = &h->entries[i];
        if (e->op == op && !e->done) {
            e->done = true;
            e->outcome = outcome;
        }
    }
}

const struct history_entry *history_at(const struct history *h, uint64_t index)
{
    bool there = index < h->count && h->count - index <= HISTORY_MAX;
    return there ? &h->entries[index % HISTORY_MAX] : NULL;
}
