#include "agent/shell/metrics.h"

#include "agent/shell/driver.h"
#include "version.h"

#define NAME(suffix) "redis_pod_agent_" suffix

static void gauge(struct buf *out, const char *name, const char *help, double value)
{
    promtext_family(out, name, PROM_GAUGE, help);
    promtext_value(out, name, NULL, 0, value);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
    promtext_family(out, name, PROM_COUNTER, help);
    promtext_u64(out, name, NULL, 0, value);
}

static double age_s(uint64_t now_us, uint64_t then_us)
{
    return then_us == 0 ? -1 : (double)u64_since(now_us, then_us) / 1e6;
}

static void write_build(struct buf *out)
{
    const struct prom_label labels[] = {{"version", RPA_VERSION}, {"revision", RPA_GIT_REVISION}};
    promtext_family(out, NAME("build_info"), PROM_GAUGE, "Version of the agent; always 1.");
    promtext_u64(out, NAME("build_info"), labels, ARRAY_LEN(labels), 1);
}

static void write_role(const struct driver *d, struct buf *out, uint64_t now_us)
{
    const struct role *r = &d->core.role;
    promtext_family(out, NAME("role"), PROM_GAUGE,
                    "1 for the role that this Pod has, 0 for the others.");
    for (size_t s = ROLE_PENDING; s < ROLE_STATE_COUNT; s++) {
        const struct prom_label label = {"role", role_state_name((enum role_state)s)};
        promtext_u64(out, NAME("role"), &label, 1, r->state == (enum role_state)s ? 1 : 0);
    }
    gauge(out, NAME("role_epoch"), "Sentinel config-epoch that proves the role.", (double)r->epoch);
    gauge(out, NAME("role_age_seconds"), "Time since the role last changed; -1 before the first.",
          age_s(now_us, r->since_us));
    gauge(out, NAME("role_held_seconds"),
          "Time for which the role has been kept for want of proof; 0 while it is proven.",
          r->holding ? age_s(now_us, r->hold_since_us) : 0);
    counter(out, NAME("role_changes_total"), "Changes of the role.", d->role_changes);
}

static void write_label(const struct driver *d, struct buf *out, uint64_t now_us)
{
    const struct label *l = &d->core.label;
    gauge(out, NAME("label_in_sync"), "1 where the stored label is the wanted one.",
          label_is_synced(l) ? 1 : 0);
    gauge(out, NAME("label_desync_seconds"),
          "Time for which wanted and stored label have differed.",
          l->desync_since_us == 0 ? 0 : age_s(now_us, l->desync_since_us));
    counter(out, NAME("label_patches_total"), "PATCH requests sent for the label.", l->patches);
    counter(out, NAME("label_acknowledged_total"), "PATCH requests answered 2xx.", l->acknowledged);
    promtext_family(out, NAME("label_latency_seconds"), PROM_HISTOGRAM,
                    "Role proven to label acknowledged by the API server.");
    promtext_histogram(out, NAME("label_latency_seconds"), &d->label_latency);
}

static void write_evidence(const struct driver *d, struct buf *out, uint64_t now_us)
{
    const struct core *c = &d->core;
    const struct newest *n = &c->input.newest;
    gauge(out, NAME("redis_up"), "1 where ROLE was answered within 3 s.",
          local_is_proven(&c->local, now_us) ? 1 : 0);
    gauge(out, NAME("redis_proof_age_seconds"), "Age of the last answered ROLE; -1: none yet.",
          age_s(now_us, c->local.role_us));
    gauge(out, NAME("sentinels_configured"), "Sentinels that are configured.",
          c->evidence.configured);
    gauge(out, NAME("sentinels_reachable"), "Sentinels with a view younger than 3 s.", n->fresh);
    gauge(out, NAME("sentinels_agreeing"), "Sentinels that name the newest master.", n->naming);
    promtext_family(out, NAME("sentinel_verdict"), PROM_GAUGE,
                    "1 for what the Sentinels prove about this Redis.");
    for (size_t v = 0; v < VERDICT_COUNT; v++) {
        const struct prom_label label = {"verdict", verdict_name((enum verdict)v)};
        promtext_u64(out, NAME("sentinel_verdict"), &label, 1,
                     c->input.verdict == (enum verdict)v ? 1 : 0);
    }
    unsigned masters = strcmp(c->label.seen.role, role_state_name(ROLE_MASTER)) == 0 ? 1 : 0;
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        masters += strcmp(c->peers[i].role, role_state_name(ROLE_MASTER)) == 0 ? 1 : 0;
    }
    gauge(out, NAME("masters_labelled"), "Pods of the set that carry the master label, as watched.",
          masters);
}

static void write_connections(const struct driver *d, struct buf *out)
{
    promtext_family(out, NAME("connection_losses_total"), PROM_COUNTER,
                    "Lost connections and failed attempts, by target and reason.");
    for (size_t t = 0; t < PORT_TARGET_COUNT; t++) {
        for (size_t why = REDIS_DOWN_RESOLVE; why < PORT_DOWN_COUNT; why++) {
            const struct prom_label labels[] = {{"target", port_target_name((enum port_target)t)},
                                                {"reason", redis_down_name((enum redis_down)why)}};
            promtext_u64(out, NAME("connection_losses_total"), labels, ARRAY_LEN(labels),
                         d->counters.downs[t][why]);
        }
    }
    counter(out, NAME("unreadable_replies_total"),
            "Answers of Redis or Sentinel that did not parse.", d->counters.bad_replies);
}

static void write_api(const struct driver *d, struct buf *out)
{
    if (d->kube.client == NULL) {
        return;
    }
    const struct kube_counters *k = kube_client_counters(d->kube.client);
    promtext_family(out, NAME("api_requests_total"), PROM_COUNTER, "Requests to the API server.");
    for (size_t v = 0; v < KUBE_VERB_COUNT; v++) {
        for (size_t o = 0; o < KUBE_OUTCOME_COUNT; o++) {
            const struct prom_label labels[] = {{"verb", kube_verb_name((enum kube_verb)v)},
                                                {"code", kube_outcome_name((enum kube_outcome)o)}};
            if (k->requests[v][o] > 0) {
                promtext_u64(out, NAME("api_requests_total"), labels, ARRAY_LEN(labels),
                             k->requests[v][o]);
            }
        }
    }
    counter(out, NAME("watch_restarts_total"), "Times the watch was begun anew.",
            k->watch_restarts);
    gauge(out, NAME("watch_up"), "1 where the watch delivers.", d->kube.watch_up ? 1 : 0);
    counter(out, NAME("kube_events_sent_total"), "Kubernetes Events written.",
            d->counters.events_sent);
    counter(out, NAME("kube_events_dropped_total"), "Kubernetes Events given up.",
            d->counters.events_dropped);
}

void metrics_write(const struct driver *d, struct buf *out)
{
    uint64_t now_us = loop_now_us();
    write_build(out);
    write_role(d, out, now_us);
    write_label(d, out, now_us);
    write_evidence(d, out, now_us);
    engine_stats_write(&d->engine, &d->core, out, now_us);
    write_connections(d, out);
    write_api(d, out);
    counter(out, NAME("http_requests_total"), "HTTP requests answered.", d->http_requests);
    counter(out, NAME("clock_gaps_total"), "Times the agent was stopped for longer than 2.5 s.",
            d->core.gaps);
    counter(out, NAME("worker_restarts_total"), "Times the parent has started a new worker.",
            d->restarts);
    promtext_family(out, NAME("loop_lag_seconds"), PROM_HISTOGRAM,
                    "How late the loop's timer fired.");
    promtext_histogram(out, NAME("loop_lag_seconds"), &d->loop_lag);
}
