#include "agent/core/handover.h"

#include "lib/base/buf.h"

static const char *const by_names[] = {DRAIN_BYS(RPA_ENUM_NAME)};
static const char *const step_texts[] = {HANDOVER_STEPS(RPA_ENUM_NAME)};
static const char *const verdict_texts[] = {HANDOVER_VERDICTS(RPA_ENUM_NAME)};

const char *drain_by_name(enum drain_by by)
{
    return by_names[by];
}

const char *handover_verdict_text(enum handover_verdict v)
{
    return verdict_texts[v];
}

const char *handover_line_text(const struct handover_line *l, char *out, size_t size)
{
    char addr[ADDR_TEXT_MAX] = "";
    double ms = (double)l->after_us / 1e3;
    if (addr_is_set(&l->addr)) {
        (void)addr_text(&l->addr, addr);
    }
    if (l->step == HANDOVER_VERDICT && l->verdict == HANDOVER_DONE) {
        (void)snprintf(out, size, "%8.1f ms  handed over to %s in %.1f ms, 0 bytes behind", ms,
                       addr, ms);
        return out;
    }
    const char *what =
        l->step == HANDOVER_VERDICT ? verdict_texts[l->verdict] : step_texts[l->step];
    const char *why = l->why != NULL ? l->why : "";
    (void)snprintf(out, size, "%8.1f ms  %s%s%s%s%s", ms, what, addr[0] != '\0' ? ": " : "", addr,
                   why[0] != '\0' ? ": " : "", why);
    return out;
}
