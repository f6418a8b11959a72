#include "agent/shell/mechanisms.h"

#define NO_SENTINEL "no effect: there is no Sentinel in this mode"
#define NO_LABELS "no effect: there is no API server"

static const char *note_of_candidacy(const struct core *c)
{
    if (c->cfg.mode != CORE_MODE_SENTINEL) {
        return NO_SENTINEL;
    }
    return c->succession.fallback
               ? "a Sentinel refused votes or announcement: it is asked to fail over instead"
               : NULL;
}

static const char *note_of_handover(const struct core *c)
{
    switch (c->cfg.mode) {
    case CORE_MODE_SENTINEL:
        return note_of_candidacy(c);
    case CORE_MODE_REPLICATION:
        return "by Redis's own FAILOVER: there is no Sentinel in this mode";
    case CORE_MODE_AUTO:
    case CORE_MODE_STANDALONE:
    case CORE_MODE_CLUSTER:
    case CORE_MODE_COUNT:
        break;
    }
    return "no effect in this mode";
}

static const char *note_of_fence(const struct core *c)
{
    if (c->cfg.mode != CORE_MODE_SENTINEL) {
        return NO_SENTINEL;
    }
    return c->fence.useless ? "refused: min-replicas-max-lag 0 keeps Redis from refusing writes"
                            : NULL;
}

size_t mechanism_states(const struct core *c, struct mechanism_state ret[MECHANISM_STATES_MAX])
{
    const struct core_switches *on = &c->cfg.on;
    const char *sentinel = c->cfg.mode == CORE_MODE_SENTINEL ? NULL : NO_SENTINEL;
    const char *labels = c->cfg.labels ? NULL : NO_LABELS;
    const struct mechanism_state states[MECHANISM_STATES_MAX] = {
        {"crash", on->crash, note_of_candidacy(c)},
        {"hand-over", on->hand_over, note_of_handover(c)},
        {"gone", on->gone, labels != NULL ? labels : note_of_candidacy(c)},
        {"repair", on->repair, note_of_candidacy(c)},
        {"harmless", on->harmless, sentinel},
        {"enforce", on->enforce, sentinel},
        {"peer-demotion", on->peer_demotion, labels},
        {"sweep", on->sweep, sentinel},
        {"fence", on->fence, note_of_fence(c)},
    };
    for (size_t i = 0; i < MECHANISM_STATES_MAX; i++) {
        ret[i] = states[i];
        ret[i].note = states[i].on ? states[i].note : NULL;
    }
    return MECHANISM_STATES_MAX;
}
