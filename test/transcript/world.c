#include "test/transcript/world.h"

#include "lib/base/check.h"

#define EPOCH_US 60000000U /* the core's time at the transcript's beginning */
#define WALL_MS 1800000000000U

void world_init(struct world *w)
{
    *w = (struct world){.mode = CORE_MODE_SENTINEL, .sentinel_count = 3, .eager = true};
    w->api.watches = true;
    w->resource_version = 100;
    buf_init(&w->out, 1024 * 1024);
    REQUIRE(addr_parse(&w->me, SV("10.0.0.1:6379")));
    struct pod *own = world_pod(w, "redis-0");
    REQUIRE(own == &w->pods[0]);
}

void world_release(struct world *w)
{
    buf_release(&w->out);
}

static struct world_pending *later(struct world *w, enum world_pending_type type, uint64_t after_us)
{
    REQUIRE(w->pending_count < WORLD_PENDING_MAX);
    struct world_pending *p = &w->pending[w->pending_count++];
    *p = (struct world_pending){.at_us = w->now_us + after_us,
                                .seq = w->seq++,
                                .type = type,
                                .gen = w->gen};
    return p;
}

/* ---- the core's actions ---- */

static void store_label(struct world *w, const struct label_value *v)
{
    struct pod *own = &w->pods[0];
    REQUIRE(str_copy(own->role, sizeof own->role, sv_from(role_state_name(v->role))));
    own->role_epoch = v->epoch;
    own->has_role_epoch = true;
    memcpy(own->run_id, v->run_id, sizeof own->run_id);
    if (v->role != ROLE_DEMOTED) {
        own->demoted_by_epoch = 0;
    }
    world_wrote(w, own);
}

/* The request reaches the API server: from here on its answer is fixed. */
static void serve(struct world *w, struct world_pending *p)
{
    bool is_patch = p->label.role != ROLE_UNSET;
    bool about_writes = w->api.outcome == API_CONFLICT || w->api.outcome == API_INVALID;
    p->outcome = !is_patch && about_writes ? API_OK : w->api.outcome;
    if (w->api.loses && is_patch) {
        p->outcome = API_UNREACHABLE;
    }
    if (is_patch && w->api.outcome == API_OK) {
        store_label(w, &p->label);
    }
    p->pod = w->pods[0];
}

static void request(struct world *w, const struct core_action *a)
{
    struct world_pending *p = later(w, PENDING_API, w->api.holds ? UINT32_MAX : WORLD_API_US);
    p->op = a->op;
    if (a->type == ACT_PATCH_POD) {
        p->label = a->label;
    }
    if (!w->api.holds) {
        serve(w, p);
    }
}

static void obey_core(struct world *w, const struct core_action *a)
{
    switch (a->type) {
    case ACT_READ_LOCAL:
        later(w, PENDING_ROLE, w->redis.conn == CONN_FROZEN ? WORLD_ANSWER_US : WORLD_ROLE_US)->op =
            a->op;
        if (a->info) {
            later(w, PENDING_INFO, w->redis.conn == CONN_FROZEN ? WORLD_ANSWER_US : WORLD_INFO_US)
                ->op = a->op;
        }
        return;
    case ACT_READ_SENTINEL: {
        bool frozen = w->sentinels[a->slot].conn == CONN_FROZEN;
        struct world_pending *p = later(w, PENDING_VIEW, frozen ? WORLD_ANSWER_US : WORLD_VIEW_US);
        p->op = a->op;
        p->slot = a->slot;
        return;
    }
    case ACT_PATCH_POD:
    case ACT_GET_POD:
        request(w, a);
        return;
    case ACT_KICK_LOCAL:
    case ACT_KUBE_EVENT:
    case ACT_ROLE_CHANGED:
    case ACT_LABEL_ACKED:
    case ACT_GAP:
    case ACT_LOOK_SENTINEL:
    case ACT_VOTE:
    case ACT_ANNOUNCE:
    case ACT_FORCE_FAILOVER:
    case ACT_MEMBER_OPEN:
    case ACT_MEMBER_CLOSE:
    case ACT_MEMBER_KICK:
    case ACT_READ_MEMBER:
    case ACT_ORDER:
    case ACT_LAUNCH_ANSWER:
    case ACT_DEMOTE_PEER:
    case ACT_CLEAR_HANDOVER:
    case ACT_DECIDED:
    case ACT_DRAIN_TOLD:
    case CORE_ACT_COUNT:
        return;
    }
}

void world_send(struct world *w, struct core_event ev)
{
    if (!w->running) {
        return;
    }
    ev.now_us = EPOCH_US + w->now_us;
    ev.wall_ms = WALL_MS + w->now_us / 1000;
    w->stepped_us = w->now_us;
    core_step(&w->core, &ev, &w->actions);
    world_print_actions(w);
    for (size_t i = 0; i < w->actions.count; i++) {
        obey_core(w, &w->actions.items[i]);
    }
}

/* ---- deliveries ---- */

static void deliver_role(struct world *w, const struct world_pending *p)
{
    if (w->redis.conn == CONN_FROZEN) {
        world_cut(w, LOCAL_DOWN_SILENT);
        later(w, PENDING_CONNECT, WORLD_RECONNECT_US);
        return;
    }
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = p->op};
    ev.u.role.fault = w->redis.fault;
    ev.u.role.role = &w->redis.role;
    world_send(w, ev);
}

static void deliver_info(struct world *w, const struct world_pending *p)
{
    bool refused = w->redis.fault != RESP_FAULT_NONE || w->redis.conn != CONN_UP;
    world_send(w, (struct core_event){.type = CORE_LOCAL_INFO,
                                      .op = p->op,
                                      .u.info = refused ? NULL : &w->redis.info});
}

static void deliver_view(struct world *w, const struct world_pending *p)
{
    struct world_sentinel *s = &w->sentinels[p->slot];
    if (s->conn != CONN_UP) {
        world_cut_sentinel(w, p->slot);
        return;
    }
    world_send(w, (struct core_event){.type = CORE_SENTINEL_VIEW,
                                      .slot = p->slot,
                                      .op = p->op,
                                      .u.view = &s->view});
}

static void deliver_connect(struct world *w)
{
    switch (w->redis.conn) {
    case CONN_UP:
        world_send(w, (struct core_event){.type = CORE_LOCAL_UP});
        return;
    case CONN_REFUSED:
        world_cut(w, LOCAL_DOWN_REFUSED);
        break;
    case CONN_FROZEN:
        world_cut(w, LOCAL_DOWN_SILENT);
        break;
    case CONN_DENIED:
        world_cut(w, LOCAL_DOWN_DENIED);
        break;
    }
    later(w, PENDING_CONNECT, WORLD_RECONNECT_US);
}

static void deliver_connect_sentinel(struct world *w, size_t slot)
{
    if (w->sentinels[slot].conn != CONN_UP) {
        later(w, PENDING_CONNECT_SENTINEL, WORLD_RECONNECT_US)->slot = slot;
        return;
    }
    char id[RUN_ID_LEN + 1] = "";
    memset(id, 'a' + (int)slot, RUN_ID_LEN);
    world_send(w, (struct core_event){.type = CORE_SENTINEL_ID, .slot = slot, .u.id = id});
    world_send(w, (struct core_event){.type = CORE_SENTINEL_UP, .slot = slot});
}

static void deliver_api(struct world *w, const struct world_pending *p)
{
    struct core_event ev = {.type = CORE_API_DONE, .op = p->op};
    ev.u.api.outcome = p->outcome;
    ev.u.api.pod = p->outcome == API_OK ? &p->pod : NULL;
    ev.u.api.retry_after_us = p->outcome == API_OK ? 0 : w->api.retry_after_us;
    world_send(w, ev);
}

static void deliver(struct world *w, const struct world_pending *p)
{
    if (p->gen != w->gen) {
        return;
    }
    switch (p->type) {
    case PENDING_ROLE:
        deliver_role(w, p);
        return;
    case PENDING_INFO:
        deliver_info(w, p);
        return;
    case PENDING_VIEW:
        deliver_view(w, p);
        return;
    case PENDING_CONNECT:
        deliver_connect(w);
        return;
    case PENDING_CONNECT_SENTINEL:
        deliver_connect_sentinel(w, p->slot);
        return;
    case PENDING_WATCH:
        if (w->api.watches) {
            world_send(w, (struct core_event){.type = CORE_POD, .u.pod = &p->pod});
        }
        return;
    case PENDING_API:
        deliver_api(w, p);
        return;
    }
}

static size_t first_pending(const struct world *w)
{
    size_t first = 0;
    for (size_t i = 1; i < w->pending_count; i++) {
        const struct world_pending *a = &w->pending[i];
        const struct world_pending *b = &w->pending[first];
        if (a->at_us < b->at_us || (a->at_us == b->at_us && a->seq < b->seq)) {
            first = i;
        }
    }
    return first;
}

void world_run_until(struct world *w, uint64_t at_us)
{
    for (;;) {
        uint64_t tick_us = w->running ? core_next_deadline(&w->core) - EPOCH_US : UINT64_MAX;
        size_t first = first_pending(w);
        bool is_tick = w->pending_count == 0 || tick_us < w->pending[first].at_us;
        uint64_t next_us = u64_max(is_tick ? tick_us : w->pending[first].at_us, w->frozen_until_us);
        if (next_us > at_us) {
            w->now_us = at_us;
            return;
        }
        w->now_us = u64_max(w->now_us, next_us);
        if (is_tick) {
            world_send(w, (struct core_event){.type = CORE_TICK});
        } else {
            struct world_pending p = w->pending[first];
            w->pending[first] = w->pending[--w->pending_count];
            deliver(w, &p);
        }
    }
}

/* ---- what happens around the core ---- */

void world_start_agent(struct world *w)
{
    struct core_config cfg = {.mode = w->mode,
                              .sentinel_count =
                                  w->mode == CORE_MODE_SENTINEL ? w->sentinel_count : 0,
                              .me = &w->me,
                              .me_count = 1,
                              .sentinel_master = "mymaster",
                              .pod_name = w->pods[0].name,
                              .pod_uid = w->pods[0].uid,
                              .labels = true,
                              .eager = w->eager,
                              .seed = 1};
    w->gen++;
    w->running = true;
    core_init(&w->core, &cfg, EPOCH_US + w->now_us);
    later(w, PENDING_CONNECT, WORLD_CONNECT_US);
    world_send(w,
               (struct core_event){.type = CORE_SENTINELS, .u.sentinel_count = cfg.sentinel_count});
    for (size_t slot = 0; slot < cfg.sentinel_count; slot++) {
        world_connect_sentinel(w, slot);
    }
    if (w->api.watches) {
        world_list(w);
    }
}

void world_connect(struct world *w)
{
    later(w, PENDING_CONNECT, WORLD_CONNECT_US);
}

void world_cut(struct world *w, enum local_down why)
{
    for (size_t i = 0; i < w->pending_count;) {
        enum world_pending_type t = w->pending[i].type;
        if (t == PENDING_ROLE || t == PENDING_INFO || t == PENDING_CONNECT) {
            w->pending[i] = w->pending[--w->pending_count];
        } else {
            i++;
        }
    }
    world_send(w, (struct core_event){.type = CORE_LOCAL_DOWN, .u.down = why});
}

void world_connect_sentinel(struct world *w, size_t slot)
{
    later(w, PENDING_CONNECT_SENTINEL, WORLD_CONNECT_US)->slot = slot;
}

void world_cut_sentinel(struct world *w, size_t slot)
{
    for (size_t i = 0; i < w->pending_count;) {
        enum world_pending_type t = w->pending[i].type;
        bool its = t == PENDING_VIEW || t == PENDING_CONNECT_SENTINEL;
        if (its && w->pending[i].slot == slot) {
            w->pending[i] = w->pending[--w->pending_count];
        } else {
            i++;
        }
    }
    world_send(w, (struct core_event){.type = CORE_SENTINEL_DOWN, .slot = slot});
    later(w, PENDING_CONNECT_SENTINEL, WORLD_RECONNECT_US)->slot = slot;
}

void world_wrote(struct world *w, struct pod *p)
{
    (void)snprintf(p->resource_version, sizeof p->resource_version, "%llu",
                   (unsigned long long)++w->resource_version);
    later(w, PENDING_WATCH, WORLD_WATCH_US)->pod = *p;
}

void world_list(struct world *w)
{
    world_send(w, (struct core_event){.type = CORE_PODS_RESYNC});
    for (size_t i = 0; i < WORLD_PODS_MAX; i++) {
        if (w->pods[i].name[0] != '\0') {
            world_send(w, (struct core_event){.type = CORE_POD, .u.pod = &w->pods[i]});
        }
    }
    world_send(w, (struct core_event){.type = CORE_PODS_SYNCED});
}

void world_answer_held(struct world *w)
{
    for (size_t i = 0; i < w->pending_count; i++) {
        struct world_pending *p = &w->pending[i];
        if (p->type == PENDING_API && p->at_us > w->now_us + WORLD_API_US) {
            p->at_us = w->now_us + WORLD_API_US;
            serve(w, p);
        }
    }
}

struct pod *world_pod(struct world *w, const char *name)
{
    struct pod *free_pod = NULL;
    for (size_t i = 0; i < WORLD_PODS_MAX; i++) {
        struct pod *p = &w->pods[i];
        if (strcmp(p->name, name) == 0) {
            return p;
        }
        if (free_pod == NULL && p->name[0] == '\0') {
            free_pod = p;
        }
    }
    REQUIRE(free_pod != NULL);
    *free_pod = (struct pod){.controller_uid = "uid-set", .ordinal = -1};
    REQUIRE(str_copy(free_pod->name, sizeof free_pod->name, sv_from(name)));
    (void)snprintf(free_pod->uid, sizeof free_pod->uid, "uid-%s", name);
    uint64_t ordinal;
    const char *dash = strrchr(name, '-');
    if (dash != NULL && sv_to_u64(sv_from(dash + 1), &ordinal)) {
        free_pod->ordinal = (int)ordinal;
    }
    return free_pod;
}
