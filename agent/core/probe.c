#include "agent/core/probe.h"

#include <inttypes.h>

static const char *const paths[] = {PROBES(RPA_ENUM_NAME)};

#define NEVER UINT64_MAX

const char *probe_path(enum probe p)
{
    return paths[p];
}

static uint64_t age_us(uint64_t now_us, uint64_t then_us)
{
    return then_us == 0 ? NEVER : u64_since(now_us, then_us);
}

static struct probe_check *add(struct probe_answer *a, const char *name, bool ok, bool counts,
                               uint64_t observed_age_us)
{
    struct probe_check *c = &a->checks[a->count++];
    *c = (struct probe_check){.name = name, .ok = ok, .counts = counts, .age_us = observed_age_us};
    a->ok = a->ok && (ok || !counts);
    return c;
}

static bool serves(const struct local *l, uint64_t now_us)
{
    return local_is_proven(l, now_us) && l->state != ROLE_LOCAL_LOADING;
}

static void check_redis(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct local *l = &c->local;
    bool ok = serves(l, now_us);
    struct probe_check *k = add(a, "redis", ok, true, age_us(now_us, l->role_us));
    if (!l->connected) {
        (void)snprintf(k->detail, sizeof k->detail, "%s", local_down_name(l->down));
    } else if (l->fault != RESP_FAULT_NONE) {
        (void)snprintf(k->detail, sizeof k->detail, "ROLE is answered with %s", resp_fault_name(l->fault));
    } else if (l->state == ROLE_LOCAL_LOADING) {
        (void)snprintf(k->detail, sizeof k->detail, "loading its data set");
    } else if (!ok) {
        (void)snprintf(k->detail, sizeof k->detail, "ROLE has not been answered for %u ms",
                       ROLE_PROOF_US / 1000);
    }
}

static void check_role(const struct core *c, struct probe_answer *a, bool ok, uint64_t now_us)
{
    const struct role *r = &c->role;
    struct probe_check *k = add(a, "role", ok, true, age_us(now_us, r->since_us));
    (void)snprintf(k->detail, sizeof k->detail, "%s at epoch %" PRIu64 ": %.100s",
                   role_state_name(r->state), r->epoch, role_reason_text(r->reason));
}

static void check_lag(const struct core *c, struct probe_answer *a, uint64_t max_lag_bytes,
                      uint64_t now_us)
{
    const struct local *l = &c->local;
    bool known = l->link_down_since_us == 0 && local_is_proven(l, now_us) &&
                 info_has(&l->info, INFO_SLAVE_OFFSET) && info_has(&l->info, INFO_SLAVE_READ_OFFSET);
    uint64_t lag = 0;
    if (known && l->info.slave_read_offset > l->info.slave_offset) {
        lag = (uint64_t)(l->info.slave_read_offset - l->info.slave_offset);
    }
    struct probe_check *k = add(a, "lag", known && lag <= max_lag_bytes, true, age_us(now_us, l->info_us));
    if (known) {
        (void)snprintf(k->detail, sizeof k->detail, "%" PRIu64 " bytes received and not applied", lag);
    } else {
        (void)snprintf(k->detail, sizeof k->detail, "not known: the link is down, or Redis is older than 7.0");
    }
}

static void tell_sentinel(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct role_input *in = &c->input;
    if (in->verdict == VERDICT_OFF) {
        return;
    }
    struct newest newest;
    evidence_newest(&c->evidence, now_us, &newest);
    struct probe_check *k = add(a, "sentinel", newest.majority, false, NEVER);
    int n = snprintf(k->detail, sizeof k->detail, "%u of %u answer, verdict %s", newest.fresh, newest.n,
                     verdict_name(in->verdict));
    if (c->role.holding && n > 0 && (size_t)n < sizeof k->detail) {
        (void)snprintf(k->detail + n, sizeof k->detail - (size_t)n, "; the role has been held for %" PRIu64 " ms",
                       u64_since(now_us, c->role.hold_since_us) / 1000);
    }
}

static void tell_label(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct label *l = &c->label;
    if (!c->cfg.labels) {
        return;
    }
    struct probe_check *k = add(a, "label", label_is_synced(l), false, age_us(now_us, l->last_us));
    if (l->foreign) {
        (void)snprintf(k->detail, sizeof k->detail, "the Pod of this name in the API is another one");
    } else if (l->wanted) {
        (void)snprintf(k->detail, sizeof k->detail, "%s is wanted, %s is stored%s%s", role_state_name(l->want.role),
                       !l->observed ? "an unknown value" : l->seen.role[0] == '\0' ? "none" : l->seen.role,
                       l->failures > 0 ? "; the API server's last answer: " : "",
                       l->failures > 0 ? api_outcome_name(l->last) : "");
    }
}

static bool is_ready_role(enum role_state s)
{
    return s == ROLE_MASTER || s == ROLE_REPLICA || s == ROLE_DEMOTED;
}

void probe_answer(const struct core *c, enum probe p, uint64_t max_lag_bytes, uint64_t now_us,
                  struct probe_answer *ret)
{
    enum role_state s = c->role.state;
    *ret = (struct probe_answer){.ok = true};
    switch (p) {
    case PROBE_COUNT:
        return;
    case PROBE_LIVE:
        (void)add(ret, "loop", true, true, u64_since(now_us, c->now_us));
        return;
    case PROBE_STARTUP:
        (void)snprintf(add(ret, "redis", c->local.ever_answered, true, age_us(now_us, c->local.answered_us))->detail,
                       sizeof ret->checks[0].detail, "%s", local_down_name(c->local.down));
        return;
    case PROBE_HEALTH:
        check_redis(c, ret, now_us);
        return;
    case PROBE_READY:
        check_redis(c, ret, now_us);
        check_role(c, ret, is_ready_role(s), now_us);
        break;
    case PROBE_MASTER:
        check_redis(c, ret, now_us);
        check_role(c, ret, s == ROLE_MASTER, now_us);
        break;
    case PROBE_REPLICA:
        check_redis(c, ret, now_us);
        check_role(c, ret, s == ROLE_REPLICA, now_us);
        if (max_lag_bytes != PROBE_NO_LIMIT) {
            check_lag(c, ret, max_lag_bytes, now_us);
        }
        break;
    case PROBE_READ_ONLY:
        check_redis(c, ret, now_us);
        check_role(c, ret, s == ROLE_MASTER || s == ROLE_REPLICA, now_us);
        break;
    }
    tell_sentinel(c, ret, now_us);
    tell_label(c, ret, now_us);
}
