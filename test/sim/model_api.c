#include <inttypes.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define SET_UID "set-1"
#define OTHER_SET_UID "set-2"

static void set_text(char *dst, size_t size, const char *text)
{
    REQUIRE(str_copy(dst, size, sv_from(text)));
}

/* ---- Pods ---- */

struct pod *api_edit(struct world *w, unsigned i)
{
    return &w->api.pods[i].pod;
}

static void log_change(struct world *w, unsigned i, enum watch_type type)
{
    struct api *api = &w->api;
    struct api_pod *p = &api->pods[i];
    api->rv++;
    (void)snprintf(p->pod.resource_version, sizeof p->pod.resource_version, "%" PRIu64, api->rv);
    struct api_change *change = &api->log[api->rv % API_LOG];
    change->rv = api->rv;
    change->type = type;
    change->index = i;
    change->pod = p->pod;
    kube_changed(w);
}

static void note_stored(struct world *w, unsigned i)
{
    struct api_pod *p = &w->api.pods[i];
    enum role_state stored = ROLE_UNSET;
    if (!p->exists || !role_state_from(sv_from(p->pod.role), &stored)) {
        stored = ROLE_UNSET;
    }
    if (p->stored == ROLE_MASTER && stored != ROLE_MASTER) {
        p->master_until_us = w->now_us;
    }
    p->stored = stored;
}

void api_commit(struct world *w, unsigned i)
{
    note_stored(w, i);
    log_change(w, i, w->api.pods[i].unselected ? WATCH_BOOKMARK : WATCH_MODIFIED);
}

void api_select(struct world *w, unsigned i, bool selected)
{
    struct api_pod *p = &w->api.pods[i];
    if (p->exists && p->unselected == selected) {
        p->unselected = !selected;
        sim_trace(w, "pod redis-%u is %s the selector", i, selected ? "back in" : "out of");
        log_change(w, i, selected ? WATCH_ADDED : WATCH_DELETED);
    }
}

void api_create_pod(struct world *w, unsigned i)
{
    struct api_pod *p = &w->api.pods[i];
    bool foreign = i == API_FOREIGN;
    unsigned incarnation = p->incarnation + 1;
    memset(p, 0, sizeof *p);
    p->exists = true;
    p->incarnation = incarnation;
    p->created_us = w->now_us;
    struct pod *pod = &p->pod;
    (void)snprintf(pod->name, sizeof pod->name, "%s-%u", foreign ? "other" : "redis",
                   foreign ? 0 : i);
    (void)snprintf(pod->uid, sizeof pod->uid, "%016" PRIx64 "-%u", rng_next(&w->rng), i);
    set_text(pod->controller_uid, sizeof pod->controller_uid, foreign ? OTHER_SET_UID : SET_UID);
    (void)snprintf(pod->ip, sizeof pod->ip, "10.0.0.%u", 10 + i);
    pod->ordinal = foreign ? 0 : (int)i;
    if (foreign) {
        set_text(pod->role, sizeof pod->role, role_state_name(ROLE_MASTER));
        pod->has_role_epoch = true;
        pod->role_epoch = 1000;
    }
    note_stored(w, i);
    log_change(w, i, WATCH_ADDED);
    sim_trace(w, "pod %s is created", pod->name);
}

void api_terminate_pod(struct world *w, unsigned i)
{
    api_edit(w, i)->terminating = true;
    sim_trace(w, "pod redis-%u is deleted", i);
    api_commit(w, i);
}

void api_remove_pod(struct world *w, unsigned i)
{
    struct api_pod *p = &w->api.pods[i];
    p->exists = false;
    note_stored(w, i);
    log_change(w, i, p->unselected ? WATCH_BOOKMARK : WATCH_DELETED);
    sim_trace(w, "pod redis-%u is gone", i);
}

void api_init(struct world *w)
{
    w->api.rv = 100;
    w->api.compacted_rv = w->api.rv;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        api_create_pod(w, i);
    }
    api_create_pod(w, API_FOREIGN);
}

/* ---- reading ---- */

void api_fill_list(const struct world *w, struct api_list *ret)
{
    ret->rv = w->api.rv;
    ret->count = 0;
    for (unsigned i = 0; i < API_PODS; i++) {
        if (w->api.pods[i].exists && !w->api.pods[i].unselected) {
            ret->pods[ret->count++] = w->api.pods[i].pod;
        }
    }
}

const struct api_change *api_change_after(const struct world *w, uint64_t rv, bool *ret_none)
{
    const struct api *api = &w->api;
    *ret_none = rv >= api->rv;
    if (*ret_none) {
        return NULL;
    }
    const struct api_change *change = &api->log[(rv + 1) % API_LOG];
    return rv >= api->compacted_rv && change->rv == rv + 1 ? change : NULL;
}

bool api_reachable(const struct world *w, unsigned agent)
{
    return !w->api.down && net_reaches(w, agent, SIM_API_NODE);
}

/* ---- requests ---- */

static void answer(struct world *w, const struct api_request *r, enum api_outcome outcome,
                   uint64_t retry_after_us, const struct pod *pod)
{
    w->coverage->outcomes[outcome]++;
    if (w->net.cut[SIM_API_NODE][r->agent] || sim_chance(w, w->api.lost)) {
        return;
    }
    struct agent_msg *m = agent_msg_new(w, r->agent, AGENT_API_ANSWER);
    m->life = r->life;
    m->op = r->op;
    m->u.api.outcome = outcome;
    m->u.api.retry_after_us = retry_after_us;
    if (pod != NULL) {
        m->pod = xmalloc(sizeof *m->pod);
        *m->pod = *pod;
    }
    uint64_t delay_us =
        net_delay(w, SIM_API_NODE, r->agent) + rng_below(&w->rng, w->api.slow_us + 1);
    agent_post(w, r->agent, delay_us, m);
}

static void refuse(struct world *w, const struct api_request *r)
{
    static const enum api_outcome outcomes[] = {API_THROTTLED,  API_SERVER_ERROR, API_UNAUTHORIZED,
                                                API_FORBIDDEN,  API_CONFLICT,     API_OTHER,
                                                API_UNREACHABLE};
    enum api_outcome outcome = outcomes[rng_below(&w->rng, ARRAY_LEN(outcomes))];
    if (outcome == API_CONFLICT && !r->patch) {
        outcome = API_SERVER_ERROR;
    }
    uint64_t retry_after_us = outcome == API_THROTTLED ? sim_between(w, 1, 2) * SECOND : 0;
    answer(w, r, outcome, retry_after_us, NULL);
}

static void apply(struct world *w, const struct api_request *r)
{
    struct api_pod *p = &w->api.pods[r->agent];
    struct pod *pod = api_edit(w, r->agent);
    const char *name = role_state_name(r->label.role);
    sim_trace(w, "pod redis-%u is labelled %s, epoch %" PRIu64 " (was %s)", r->agent, name,
              r->label.epoch, pod->role);
    set_text(pod->role, sizeof pod->role, name);
    if (r->legacy) {
        set_text(pod->role_legacy, sizeof pod->role_legacy, name);
    }
    pod->has_role_epoch = true;
    pod->role_epoch = r->label.epoch;
    set_text(pod->run_id, sizeof pod->run_id, r->label.run_id);
    set_text(pod->reason, sizeof pod->reason, role_reason_text(r->label.reason));
    if (r->label.role != ROLE_DEMOTED) {
        pod->demoted_by_epoch = 0;
    }
    p->agent_until_us = w->now_us;
    api_commit(w, r->agent);
    scenario_on_label(w, r->agent);
}

static void demote(struct world *w, const struct api_request *r)
{
    struct pod *pod = api_edit(w, r->pod);
    sim_trace(w, "pod %s is demoted by redis-%u at epoch %" PRIu64, pod->name, r->agent, r->epoch);
    set_text(pod->role, sizeof pod->role, role_state_name(ROLE_DEMOTED));
    if (r->legacy) {
        set_text(pod->role_legacy, sizeof pod->role_legacy, role_state_name(ROLE_DEMOTED));
    }
    pod->demoted_by_epoch = r->epoch;
    w->api.pods[r->pod].demoted_us = w->now_us;
    api_commit(w, r->pod);
}

static void on_other_request(struct world *w, const struct api_request *r)
{
    const struct api_pod *p = &w->api.pods[r->pod];
    if (!p->exists) {
        answer(w, r, API_NOT_FOUND, 0, NULL);
    } else if (strcmp(r->uid, p->pod.uid) != 0 || w->api.policy[r->agent]) {
        answer(w, r, API_INVALID, 0, NULL);
    } else if (r->demote && strcmp(r->rv, p->pod.resource_version) != 0) {
        answer(w, r, API_CONFLICT, 0, NULL);
    } else {
        if (r->demote) {
            demote(w, r);
        } else {
            api_edit(w, r->pod)->handover[0] = '\0';
            api_commit(w, r->pod);
        }
        answer(w, r, API_OK, 0, &p->pod);
    }
}

static void on_request(struct world *w, struct sim_msg *m)
{
    const struct api_request *r = m->data;
    const struct api_pod *p = &w->api.pods[r->agent];
    if (w->api.down) {
        return;
    }
    if (sim_chance(w, w->api.errors)) {
        refuse(w, r);
    } else if (r->demote || r->clear) {
        on_other_request(w, r);
    } else if (!p->exists) {
        answer(w, r, API_NOT_FOUND, 0, NULL);
    } else if (!r->patch) {
        answer(w, r, API_OK, 0, &p->pod);
    } else if (strcmp(r->uid, p->pod.uid) != 0 || w->api.policy[r->agent]) {
        answer(w, r, API_INVALID, 0, NULL);
    } else {
        apply(w, r);
        answer(w, r, API_OK, 0, &p->pod);
    }
}

void api_send(struct world *w, const struct api_request *request)
{
    unsigned agent = request->agent;
    if (w->api.down && sim_chance(w, 700)) {
        answer(w, request, API_UNREACHABLE, 0, NULL);
        return;
    }
    if (w->api.down || w->net.cut[agent][SIM_API_NODE]) {
        return;
    }
    struct api_request *copy = xmalloc(sizeof *copy);
    *copy = *request;
    uint64_t delay_us = net_delay(w, agent, SIM_API_NODE) + rng_below(&w->rng, w->api.slow_us + 1);
    sim_in(w, delay_us, on_request)->data = copy;
}
