#include "agent/core/probe.h"

#include <inttypes.h>

static const char *const paths[] = {PROBES(RPA_ENUM_NAME)};

const char *probe_path(enum probe p)
{
    return paths[p];
}

static uint64_t age_us(uint64_t now_us, uint64_t then_us)
{
    return then_us == 0 ? UINT64_MAX : u64_since(now_us, then_us);
}

static struct probe_check *add(struct probe_answer *a, const char *name, bool ok, bool counts,
                               uint64_t observed_age_us)
{
    struct probe_check *k = &a->checks[a->count++];
    *k = (struct probe_check){.name = name, .ok = ok, .counts = counts, .age_us = observed_age_us};
    a->ok = a->ok && (ok || !counts);
    return k;
}

/* Sentences longer than the detail are cut. */
#define SAY(k, ...) ((void)snprintf((k)->detail, sizeof(k)->detail, __VA_ARGS__))

static bool serves(const struct local *l, uint64_t now_us)
{
    return local_is_proven(l, now_us) && l->state != ROLE_LOCAL_LOADING;
}

static const char *down_text(const struct local *l)
{
    return l->down == LOCAL_DOWN_NONE ? "not yet connected" : local_down_name(l->down);
}

static void say_fault(struct probe_check *k, enum resp_fault fault)
{
    const char *text = "";
    switch (fault) {
    case RESP_FAULT_NONE:
        break;
    case RESP_FAULT_LOADING:
        text = "it is loading its data set";
        break;
    case RESP_FAULT_BUSY:
        text = "it runs a script or function; SCRIPT KILL or FUNCTION KILL ends one";
        break;
    case RESP_FAULT_MASTERDOWN:
        text = "a replica without its master that is not to serve old data";
        break;
    case RESP_FAULT_NOAUTH:
        text = "it wants a password; set --redis-password-file";
        break;
    case RESP_FAULT_WRONGPASS:
        text = "look at --redis-user and --redis-password-file";
        break;
    case RESP_FAULT_NOPERM:
        text = "the ACL of --redis-user must allow ROLE and INFO";
        break;
    case RESP_FAULT_OTHER:
        text = "an error that the agent does not know";
        break;
    }
    SAY(k, "Redis refuses ROLE with %s: %s", resp_fault_name(fault), text);
}

static void check_redis(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct local *l = &c->local;
    bool ok = serves(l, now_us);
    struct probe_check *k = add(a, "redis", ok, true, age_us(now_us, l->role_us));
    if (!l->connected) {
        SAY(k, "no connection to Redis (%s)%s", down_text(l),
            ok ? "; its last ROLE still counts" : "");
    } else if (l->fault != RESP_FAULT_NONE) {
        say_fault(k, l->fault);
    } else if (l->role_us == 0) {
        SAY(k, "Redis has not answered ROLE on this connection yet");
    } else if (!local_is_proven(l, now_us)) {
        SAY(k, "Redis is connected and has not answered ROLE for more than %u ms",
            ROLE_PROOF_US / 1000);
    } else if (!ok) {
        SAY(k, "Redis is loading its data set");
    } else {
        SAY(k, "Redis says that it is %s", redis_role_name(l->role.role));
    }
}

static void check_role(const struct core *c, struct probe_answer *a, bool ok, uint64_t now_us)
{
    const struct role *r = &c->role;
    struct probe_check *k = add(a, "role", ok, true, age_us(now_us, r->since_us));
    SAY(k, "%s at epoch %" PRIu64 ": %s", role_state_name(r->state), r->epoch,
        role_reason_text(r->reason));
}

static bool lag_of(const struct local *l, uint64_t now_us, uint64_t *ret_bytes)
{
    const struct info *info = &l->info;
    bool recent =
        l->run_id[0] != '\0' && l->info_us != 0 && u64_since(now_us, l->info_us) <= ROLE_PROOF_US;
    bool told = info_has(info, INFO_SLAVE_OFFSET) && info_has(info, INFO_SLAVE_READ_OFFSET);
    if (!recent || !told || l->role.link != REPL_LINK_CONNECTED) {
        return false;
    }
    int64_t bytes = info->slave_read_offset - info->slave_offset;
    *ret_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    return true;
}

/* limited: a limit on the lag was asked for, so that this check decides. */
static void check_sync(const struct core *c, struct probe_answer *a, uint64_t max_lag_bytes,
                       uint64_t now_us)
{
    const struct local *l = &c->local;
    bool limited = max_lag_bytes != PROBE_NO_LIMIT;
    uint64_t lag = 0;
    bool known = lag_of(l, now_us, &lag);
    bool ok = limited ? known && lag <= max_lag_bytes : l->role.link == REPL_LINK_CONNECTED;
    struct probe_check *k = add(a, "sync", ok, limited, age_us(now_us, l->info_us));
    if (l->role.link != REPL_LINK_CONNECTED) {
        SAY(k, "the link to the master at %.80s is not up (%s)", l->role.master.host,
            repl_link_name(l->role.link));
    } else if (known) {
        SAY(k, "%" PRIu64 " bytes are received and not applied", lag);
    } else {
        SAY(k,
            "the link is up; what is not applied yet is not known (no INFO within %u ms, or "
            "Redis is older than 7.0)",
            ROLE_PROOF_US / 1000);
    }
}

static uint64_t last_view_us(const struct evidence *ev)
{
    uint64_t last_us = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        last_us = u64_max(last_us, ev->sentinels[i].view.asked_us);
    }
    return last_us;
}

static void tell_sentinel(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    if (c->cfg.sentinel_count == 0) {
        return;
    }
    struct newest newest;
    evidence_newest(&c->evidence, now_us, &newest);
    struct probe_check *k =
        add(a, "sentinel", newest.majority, false, age_us(now_us, last_view_us(&c->evidence)));
    char held[64] = "";
    if (c->role.holding) {
        (void)snprintf(held, sizeof held, "; %s is held, for %" PRIu64 " ms now",
                       role_state_name(c->role.state),
                       u64_since(now_us, c->role.hold_since_us) / 1000);
    }
    const char *verdict = verdict_name(c->input.verdict);
    if (newest.known) {
        SAY(k, "%u of %u answer; verdict %s; epoch %" PRIu64 " names %.40s:%u%s", newest.fresh,
            newest.n, verdict, newest.epoch, newest.addr.host, newest.addr.port, held);
    } else if (newest.majority) {
        SAY(k, "%u of %u answer; verdict %s; they agree on no master%s", newest.fresh, newest.n,
            verdict, held);
    } else {
        SAY(k, "%u of %u answer, which is no majority%s", newest.fresh, newest.n, held);
    }
}

static void say_stored(const struct label *l, char *out, size_t size)
{
    if (!l->observed) {
        (void)snprintf(out, size, "not known");
    } else if (l->seen.role[0] == '\0') {
        (void)snprintf(out, size, "absent");
    } else {
        (void)snprintf(out, size, "%s at epoch %" PRIu64, l->seen.role, l->seen.role_epoch);
    }
}

static void tell_label(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct label *l = &c->label;
    struct probe_check *k = add(a, "label", label_is_synced(l), false, UINT64_MAX);
    char stored[POD_LABEL_MAX + 40];
    say_stored(l, stored, sizeof stored);
    if (l->foreign) {
        SAY(k, "the Pod of this name in the API is gone or another one: nothing is written");
    } else if (!l->wanted) {
        SAY(k, "the stored label is %s; nothing is decided yet", stored);
    } else if (k->ok) {
        SAY(k, "%s is stored", stored);
    } else {
        SAY(k, "%s at epoch %" PRIu64 " is wanted, for %" PRIu64 " ms; the stored label is %s",
            role_state_name(l->want.role), l->want.epoch, age_us(now_us, l->desync_since_us) / 1000,
            stored);
    }
}

static void tell_api(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct label *l = &c->label;
    struct probe_check *k = add(a, "api", l->last == API_OK, false, age_us(now_us, l->last_us));
    const char *text = "";
    switch (l->last) {
    case API_OK:
        text = l->last_us == 0 ? "no request was needed yet" : "the last request was answered";
        break;
    case API_UNREACHABLE:
        text = "the API server does not answer; the label is written once it does";
        break;
    case API_UNAUTHORIZED:
        text = "it refuses the token (401); look at --kube-token-file";
        break;
    case API_FORBIDDEN:
        text = "it forbids the request (403); the Role must allow get and patch of this Pod";
        break;
    case API_NOT_FOUND:
        text = "it knows no Pod of this name (404)";
        break;
    case API_CONFLICT:
        text = "somebody else changed the Pod (409); it is read again";
        break;
    case API_INVALID:
        text = "it refuses the patch (422): another uid, or an admission policy";
        break;
    case API_THROTTLED:
        text = "it asks for patience (429)";
        break;
    case API_SERVER_ERROR:
        text = "it fails (5xx); the label is written once it recovers";
        break;
    case API_OTHER:
    case API_OUTCOME_COUNT:
        text = "it answers with a status that the agent does not know";
        break;
    }
    if (l->failures == 0) {
        SAY(k, "%s", text);
    } else {
        SAY(k, "%s (failures in a row: %u)", text, l->failures);
    }
}

static void tell_startup(const struct core *c, struct probe_answer *a, uint64_t now_us)
{
    const struct local *l = &c->local;
    struct probe_check *k = add(a, "redis", l->ever_answered, true, age_us(now_us, l->answered_us));
    if (l->ever_answered) {
        SAY(k, "Redis has answered");
    } else {
        SAY(k, "Redis has never answered (%s)", down_text(l));
    }
}

/* Whether the present role is what the probe asks for. */
static bool is_asked_for(enum probe p, enum role_state s)
{
    switch (p) {
    case PROBE_LIVE:
    case PROBE_STARTUP:
    case PROBE_HEALTH:
    case PROBE_COUNT:
        return true;
    case PROBE_READY:
        return s == ROLE_MASTER || s == ROLE_REPLICA || s == ROLE_DEMOTED;
    case PROBE_MASTER:
        return s == ROLE_MASTER;
    case PROBE_REPLICA:
        return s == ROLE_REPLICA;
    case PROBE_READ_ONLY:
        return s == ROLE_MASTER || s == ROLE_REPLICA;
    }
    return false;
}

void probe_answer(const struct core *c, enum probe p, uint64_t max_lag_bytes, uint64_t now_us,
                  struct probe_answer *ret)
{
    *ret = (struct probe_answer){.ok = true};
    if (p == PROBE_LIVE) {
        SAY(add(ret, "loop", true, true, u64_since(now_us, c->now_us)), "the loop answers");
        return;
    }
    if (p == PROBE_STARTUP) {
        tell_startup(c, ret, now_us);
        return;
    }
    check_redis(c, ret, now_us);
    if (p != PROBE_HEALTH) {
        check_role(c, ret, is_asked_for(p, c->role.state), now_us);
    }
    bool is_slave = local_is_proven(&c->local, now_us) && c->local.role.role == REDIS_ROLE_SLAVE;
    if (is_slave || (p == PROBE_REPLICA && max_lag_bytes != PROBE_NO_LIMIT)) {
        check_sync(c, ret, p == PROBE_REPLICA ? max_lag_bytes : PROBE_NO_LIMIT, now_us);
    }
    tell_sentinel(c, ret, now_us);
    if (c->cfg.labels) {
        tell_label(c, ret, now_us);
        tell_api(c, ret, now_us);
    }
}
