#include "test/unit/core/core_rig.h"

static const struct addr me = {.host = "10.0.0.1", .port = 6379}; /* ME */

struct core_config rig_config(void)
{
    return (struct core_config){.mode = CORE_MODE_SENTINEL,
                                .sentinel_count = 3,
                                .me = &me,
                                .me_count = 1,
                                .sentinel_master = "mymaster",
                                .pod_name = "redis-0",
                                .pod_uid = UID,
                                .labels = true,
                                .eager = true,
                                .seed = 1};
}

void rig_init_with(struct rig *r, const struct core_config *cfg)
{
    *r = (struct rig){.now_us = NOW_US};
    core_init(&r->core, cfg, r->now_us);
}

void rig_init(struct rig *r)
{
    struct core_config cfg = rig_config();
    rig_init_with(r, &cfg);
}

const struct core_action *rig_action(const struct rig *r, enum core_act type, size_t n)
{
    for (size_t i = 0; i < r->out.count; i++) {
        if (r->out.items[i].type == type && n-- == 0) {
            return &r->out.items[i];
        }
    }
    return NULL;
}

size_t rig_count(const struct rig *r, enum core_act type)
{
    size_t n = 0;
    while (rig_action(r, type, n) != NULL) {
        n++;
    }
    return n;
}

void rig_send(struct rig *r, struct core_event ev)
{
    ev.now_us = r->now_us;
    ev.wall_ms = WALL_MS + (r->now_us - NOW_US) / 1000;
    core_step(&r->core, &ev, &r->out);
    /* Whatever happens, the next step is announced, soon, and never for a moment that is over. */
    uint64_t next_us = core_next_deadline(&r->core);
    assert_true(next_us > r->now_us);
    assert_true(next_us <= r->now_us + CORE_LOCAL_PERIOD_US);
}

void rig_event(struct rig *r, enum core_event_type type)
{
    rig_send(r, (struct core_event){.type = type});
}

void rig_tick(struct rig *r, uint64_t after_us)
{
    r->now_us += after_us;
    rig_event(r, CORE_TICK);
}

void rig_slot_event(struct rig *r, enum core_event_type type, size_t slot)
{
    rig_send(r, (struct core_event){.type = type, .slot = slot});
}

void rig_local_down(struct rig *r, enum local_down why)
{
    rig_send(r, (struct core_event){.type = CORE_LOCAL_DOWN, .u.down = why});
}

void rig_role(struct rig *r, enum redis_role role)
{
    struct role_reply reply = {.role = role, .offset = 1};
    if (role == REDIS_ROLE_SLAVE) {
        reply.link = REPL_LINK_CONNECTED;
        reply.master = addr_from(OTHER);
    }
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = r->core.local_read.op};
    ev.u.role.role = &reply;
    rig_send(r, ev);
}

void rig_fault(struct rig *r, enum resp_fault fault)
{
    struct core_event ev = {.type = CORE_LOCAL_ROLE, .op = r->core.local_read.op};
    ev.u.role.fault = fault;
    rig_send(r, ev);
}

void rig_info(struct rig *r, const char *run_id)
{
    struct info info = {.has = 1U << INFO_RUN_ID | 1U << INFO_LINK_UP, .link_up = true};
    memcpy(info.run_id, run_id, sizeof info.run_id);
    rig_send(r,
             (struct core_event){.type = CORE_LOCAL_INFO, .op = r->core.info_op, .u.info = &info});
}

void rig_view(struct rig *r, size_t slot, const char *named, uint64_t epoch)
{
    struct view v = view_of(&r->core.evidence, named, epoch);
    v.asked_us = 0; /* the core knows when it asked */
    rig_send(r, (struct core_event){.type = CORE_SENTINEL_VIEW,
                                    .slot = slot,
                                    .op = r->core.sentinel_read[slot].op,
                                    .u.view = &v});
}

void rig_sentinel_event(struct rig *r, size_t slot, enum sentinel_event_type type)
{
    struct sentinel_event e = {.type = type, .master_name = "mymaster"};
    rig_send(r, (struct core_event){.type = CORE_SENTINEL_EVENT, .slot = slot, .u.sentinel = &e});
}

void rig_pod(struct rig *r, struct pod p)
{
    rig_send(r, (struct core_event){.type = CORE_POD, .u.pod = &p});
}

void rig_api(struct rig *r, enum api_outcome outcome, const struct pod *p)
{
    struct core_event ev = {.type = CORE_API_DONE, .op = r->core.label.op};
    ev.u.api.outcome = outcome;
    ev.u.api.pod = p;
    rig_send(r, ev);
}

struct pod rig_pod_of(int ordinal, const char *role, uint64_t epoch)
{
    struct pod p = {.ordinal = ordinal,
                    .controller_uid = SET_UID,
                    .resource_version = "100",
                    .has_role_epoch = true,
                    .role_epoch = epoch};
    (void)snprintf(p.name, sizeof p.name, "redis-%d", ordinal);
    (void)snprintf(p.uid, sizeof p.uid, "%s-%d", UID, ordinal);
    if (ordinal == 0) {
        (void)str_copy(p.uid, sizeof p.uid, sv_from(UID));
        memcpy(p.run_id, RUN_A, sizeof p.run_id);
    }
    assert_true(str_copy(p.role, sizeof p.role, sv_from(role)));
    return p;
}

void rig_settle(struct rig *r, enum redis_role role, const char *named, const char *label)
{
    rig_send(r, (struct core_event){.type = CORE_SENTINELS, .u.sentinel_count = 3});
    rig_event(r, CORE_PODS_RESYNC);
    rig_pod(r, rig_pod_of(0, label, EPOCH));
    rig_pod(r, rig_pod_of(1, "replica", EPOCH));
    rig_pod(r, rig_pod_of(2, "replica", EPOCH));
    rig_event(r, CORE_PODS_SYNCED);
    for (size_t slot = 0; slot < 3; slot++) {
        char id[RUN_ID_LEN + 1];
        rig_send(r, (struct core_event){.type = CORE_SENTINEL_ID,
                                        .slot = slot,
                                        .u.id = sentinel_id(slot, id)});
        rig_slot_event(r, CORE_SENTINEL_UP, slot);
        rig_view(r, slot, named, EPOCH);
    }
    rig_event(r, CORE_LOCAL_UP);
    for (int i = 0; i < 2; i++) { /* the first ROLE is a turn, which is asked again with INFO */
        rig_role(r, role);
        rig_info(r, RUN_A);
    }
    if (r->core.local_read.op != 0) {
        rig_role(r, role);
    }
    for (size_t slot = 0; slot < 3; slot++) {
        if (r->core.sentinel_read[slot].op != 0) {
            rig_view(r, slot, named, EPOCH);
        }
    }
}
