#include "agent/core/label.h"

#include "lib/base/check.h"

static const char *const outcome_names[] = {API_OUTCOMES(RPA_ENUM_NAME)};

const char *api_outcome_name(enum api_outcome o)
{
    return outcome_names[o];
}

void label_init(struct label *l, const char *uid, bool legacy, uint64_t seed, uint64_t now_us)
{
    *l = (struct label){.legacy = legacy, .tokens = LABEL_BURST, .tokens_us = now_us};
    (void)str_copy(l->uid, sizeof l->uid, sv_from(uid));
    rng_seed(&l->rng, seed);
}

static bool matches(const struct label *l, const struct label_value *v)
{
    const char *name = role_state_name(v->role);
    /* Whose run-id it is matters where a process is vouched for. */
    bool run_id = v->role == ROLE_PENDING || strcmp(l->seen.run_id, v->run_id) == 0;
    return l->observed && strcmp(l->seen.role, name) == 0 && l->seen.has_role_epoch &&
           l->seen.role_epoch == v->epoch && run_id &&
           (!l->legacy || strcmp(l->seen.role_legacy, name) == 0);
}

bool label_is_synced(const struct label *l)
{
    return l->wanted && matches(l, &l->want);
}

static void note_desync(struct label *l, uint64_t now_us)
{
    if (!l->wanted || l->foreign || label_is_synced(l)) {
        l->desync_since_us = 0;
    } else if (l->desync_since_us == 0) {
        l->desync_since_us = now_us;
    }
}

void label_want(struct label *l, const struct label_value *v, uint64_t now_us)
{
    bool same = l->wanted && l->want.role == v->role && l->want.epoch == v->epoch;
    /* A first failure's wait belongs to the wish that failed: a new role goes out at once,
     * unless the server itself asked for patience. */
    if (!same) {
        l->not_before_us = l->patience_us;
    }
    l->wanted = true;
    l->want = *v;
    note_desync(l, now_us);
}

static bool is_older(const char *rv, const char *than)
{
    uint64_t a;
    uint64_t b;
    return sv_to_u64(sv_from(rv), &a) && sv_to_u64(sv_from(than), &b) && a < b;
}

void label_observe(struct label *l, const struct pod *pod, uint64_t now_us)
{
    if (l->uid[0] == '\0') {
        memcpy(l->uid, pod->uid, sizeof l->uid);
    }
    if (strcmp(l->uid, pod->uid) != 0) {
        l->foreign = true;
        note_desync(l, now_us);
        return;
    }
    if (l->observed && is_older(pod->resource_version, l->seen.resource_version)) {
        return;
    }
    l->observed = true;
    l->seen = *pod;
    note_desync(l, now_us);
}

void label_doubt(struct label *l)
{
    l->read_first = true;
}

static void refill(struct label *l, uint64_t now_us)
{
    double earned = (double)u64_since(now_us, l->tokens_us) * (LABEL_PER_MINUTE / 60e6);
    l->tokens = l->tokens + earned > LABEL_BURST ? LABEL_BURST : l->tokens + earned;
    l->tokens_us = now_us;
}

/* Nothing is written before the Pod has been seen once: what is stored may be right. */
static bool is_due(const struct label *l)
{
    bool differs = l->wanted && l->observed && !label_is_synced(l);
    return !l->foreign && l->op == 0 && (l->read_first || differs);
}

enum label_request label_next(struct label *l, uint64_t op, uint64_t now_us)
{
    if (!is_due(l) || now_us < l->not_before_us) {
        return LABEL_NOTHING;
    }
    l->reading = l->read_first;
    if (l->reading) {
        l->op = op;
        return LABEL_GET;
    }
    refill(l, now_us);
    if (l->tokens < 1) {
        return LABEL_NOTHING;
    }
    l->tokens -= 1;
    l->op = op;
    l->sent = l->want;
    /* A repair is as old as the edit, not as the wish. */
    l->sent.decided_us = u64_max(l->want.decided_us, l->desync_since_us);
    l->patches++;
    return LABEL_PATCH;
}

static void back_off(struct label *l, uint64_t floor_us, uint64_t now_us)
{
    l->failures++;
    unsigned shift = l->failures > 7 ? 7 : l->failures;
    uint64_t ceiling_us = u64_min((uint64_t)LABEL_RETRY_MIN_US << shift, LABEL_RETRY_MAX_US);
    uint64_t wait_us = LABEL_RETRY_MIN_US + rng_below(&l->rng, ceiling_us);
    l->not_before_us = now_us + u64_max(floor_us, wait_us);
    if (floor_us > 0) {
        l->patience_us = now_us + floor_us;
    }
}

bool label_done(struct label *l, uint64_t op, enum api_outcome outcome, const struct pod *pod,
                uint64_t retry_after_us, uint64_t now_us, uint64_t *ret_latency_us)
{
    *ret_latency_us = 0;
    if (op == 0 || op != l->op) {
        return false;
    }
    bool was_read = l->reading;
    l->op = 0;
    l->last = outcome;
    l->last_us = now_us;
    switch (outcome) {
    case API_OK:
        REQUIRE(pod != NULL);
        l->last_ok_us = now_us;
        l->not_before_us = 0;
        l->read_first = false;
        label_observe(l, pod, now_us);
        /* A read that succeeds is no sign that the write which was refused will. */
        if (!was_read || label_is_synced(l)) {
            l->failures = 0;
        }
        if (!was_read) {
            l->acknowledged++;
            bool current = l->want.role == l->sent.role && l->want.epoch == l->sent.epoch;
            *ret_latency_us = current ? u64_since(now_us, l->sent.decided_us) : 0;
        }
        return true;
    case API_CONFLICT:
    case API_INVALID:
    case API_NOT_FOUND:
        if (was_read && outcome == API_NOT_FOUND) {
            l->foreign = true;
            note_desync(l, now_us);
            return true;
        }
        l->read_first = true;
        /* The first conflict is read and retried at once; a refusal by policy comes back
         * with every retry and must not become a loop. */
        back_off(l, 0, now_us);
        if (l->failures == 1) {
            l->not_before_us = 0;
        }
        return true;
    case API_UNREACHABLE:
    case API_UNAUTHORIZED:
    case API_FORBIDDEN:
    case API_THROTTLED:
    case API_SERVER_ERROR:
    case API_OTHER:
        back_off(l, retry_after_us, now_us);
        return true;
    case API_OUTCOME_COUNT:
        break;
    }
    return true;
}

uint64_t label_next_deadline(const struct label *l, uint64_t now_us)
{
    if (!is_due(l)) {
        return UINT64_MAX;
    }
    uint64_t token_us = l->tokens >= 1 ? 0 : l->tokens_us + 1000000U * 60U / LABEL_PER_MINUTE;
    return u64_max(u64_max(l->not_before_us, token_us), now_us + 1);
}
