#include "agent/core/engine.h"

bool engine_is_on(const struct core *c)
{
    const struct core_switches *on = &c->cfg.on;
    return c->cfg.mode == CORE_MODE_SENTINEL &&
           (on->crash || on->hand_over || on->gone || on->repair || on->harmless || on->enforce);
}

void engine_decided(struct core *c, struct core_actions *out, enum mechanism m, enum decision what,
                    enum why why, const struct addr *addr, uint64_t epoch)
{
    struct history_entry *e = history_add(&c->history, c->now_us, c->wall_ms);
    e->mechanism = m;
    e->what = what;
    e->why = why;
    e->epoch = epoch;
    if (addr != NULL) {
        e->addr = *addr;
    }
    core_actions_add(out, ACT_DECIDED)->index = (size_t)(c->history.count - 1);
}

uint64_t engine_order(struct core *c, struct core_actions *out, enum mechanism m, size_t slot,
                      enum order order, const struct addr *addr, uint64_t value, uint64_t age_us)
{
    struct core_action *a = core_actions_add(out, ACT_ORDER);
    uint64_t op = c->next_op++;
    a->op = op;
    a->slot = slot;
    a->order = order;
    a->value = value;
    if (addr != NULL) {
        a->addr = *addr;
    }
    if (order == ORDER_GET_FENCE) {
        return op; /* a read */
    }
    struct history_entry *e = history_add(&c->history, c->now_us, c->wall_ms);
    e->mechanism = m;
    e->what = DECIDED_ORDER;
    e->order = order;
    e->age_us = age_us;
    e->op = op;
    e->addr = addr != NULL ? *addr : slot < MEMBERS_MAX ? c->members.at[slot].addr : e->addr;
    core_actions_add(out, ACT_DECIDED)->index = (size_t)(c->history.count - 1);
    return op;
}

void engine_look(struct core *c)
{
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        c->look[i].due_us = c->now_us;
    }
}

bool engine_read_member(struct core *c, size_t slot, struct core_actions *out)
{
    return members_read(&c->members, slot, &c->next_op, c->now_us, out);
}

bool engine_pod_has(const struct pod *p, const struct addr *a)
{
    if (p->name[0] == '\0') {
        return false;
    }
    struct addr ip;
    if (addr_set(&ip, sv_from(p->ip), a->port) && addr_eq(&ip, a)) {
        return true;
    }
    /* A StatefulSet's Pod is its host name in every spelling of its DNS name. */
    const char *host = p->hostname[0] != '\0' ? p->hostname : p->name;
    size_t len = strlen(host);
    return strncasecmp(a->host, host, len) == 0 && (a->host[len] == '\0' || a->host[len] == '.');
}

const struct pod *engine_pod_at(const struct core *c, const struct addr *a)
{
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        if (engine_pod_has(&c->peers[i], a)) {
            return &c->peers[i];
        }
    }
    return NULL;
}

bool engine_majority_names(const struct core *c)
{
    const struct newest *n = &c->input.newest;
    return n->known && 2 * n->naming > n->n;
}

static void found(struct core *c, const struct addr *a, struct core_actions *out)
{
    /* Port 1 is nobody: a Redis that is held follows it. */
    if (addr_is_set(a) && a->port != 1 && !evidence_is_me(&c->evidence, a)) {
        members_found(&c->members, a, c->now_us, out);
    }
}

static void find_members(struct core *c, struct core_actions *out)
{
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        const struct view *v = &c->evidence.sentinels[i].view;
        const struct look_slot *l = &c->look[i];
        if (v->asked_us != 0 && v->knows_master) {
            found(c, &v->named, out);
            found(c, &v->addr, out);
        }
        for (size_t k = 0; l->seen_us != 0 && k < l->look.replica_count; k++) {
            found(c, &l->look.replicas[k].addr, out);
        }
    }
    members_expire(&c->members, c->now_us, out);
}

/* The history in which this Redis is in sync, as master by proof or as replica. */
static void keep_mark(struct core *c)
{
    const struct info *in = &c->local.info;
    bool fresh = c->local.connected && c->local.info_us != 0 && c->local.run_id[0] != '\0' &&
                 c->local.info_us > c->mark.seen_us;
    if (!fresh || !info_has(in, INFO_REPLID) || !info_has(in, INFO_ROLE)) {
        return;
    }
    bool master = in->role == REDIS_ROLE_MASTER && c->role.state == ROLE_MASTER &&
                  !c->role.holding && info_has(in, INFO_MASTER_OFFSET) &&
                  strcmp(c->role.run_id, c->local.run_id) == 0;
    bool slave = in->role == REDIS_ROLE_SLAVE && info_has(in, INFO_LINK_UP) && in->link_up &&
                 info_has(in, INFO_SYNC) && !in->sync_in_progress &&
                 info_has(in, INFO_SLAVE_OFFSET) && in->slave_offset > 1;
    if (!master && !slave) {
        return;
    }
    c->mark.known = true;
    memcpy(c->mark.replid, in->replid, sizeof c->mark.replid);
    c->mark.as_slave = slave;
    c->mark.offset = master ? in->master_offset : in->slave_offset;
    c->mark.seen_us = c->local.info_us;
    memcpy(c->mark.run_id, c->local.run_id, sizeof c->mark.run_id);
}

static void issue_looks(struct core *c, struct core_actions *out)
{
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        struct look_slot *l = &c->look[i];
        /* The shell spells the question as the last view did. */
        if (!c->sentinel_up[i] || l->op != 0 || c->now_us < l->due_us ||
            c->evidence.sentinels[i].view.asked_us == 0) {
            continue;
        }
        for (size_t k = 0; k < MEMBERS_MAX; k++) {
            (void)engine_read_member(c, k, out); /* who is a replica, for a later adoption */
        }
        struct core_action *a = core_actions_add(out, ACT_LOOK_SENTINEL);
        a->slot = i;
        a->op = l->op = c->next_op++;
        l->asked_us = c->now_us;
        l->due_us = c->now_us + ENGINE_LOOK_PERIOD_US;
    }
}

void engine_step(struct core *c, struct core_actions *out)
{
    fence_step(c, out);
    peer_step(c, out);
    handover_begin_if_asked(c, out);
    if (c->cfg.mode == CORE_MODE_REPLICATION) {
        handover_step(c, out);
        return;
    }
    if (!engine_is_on(c)) {
        return;
    }
    find_members(c, out);
    keep_mark(c);
    stand_watch(c, out);
    succession_step(c, out);
    handover_step(c, out);
    stand_step(c, out);
    succession_step(c, out);
    follow_step(c, out);
    issue_looks(c, out);
}

uint64_t engine_next_deadline(const struct core *c)
{
    uint64_t next = u64_min(fence_next_deadline(c), peer_next_deadline(c));
    next = u64_min(next, handover_next_deadline(c));
    if (!engine_is_on(c)) {
        return next;
    }
    for (size_t i = 0; i < c->sentinel_slots; i++) {
        if (c->sentinel_up[i] && c->look[i].op == 0 &&
            c->evidence.sentinels[i].view.asked_us != 0) {
            next = u64_min(next, c->look[i].due_us);
        }
    }
    next = u64_min(next, succession_next_deadline(c));
    next = u64_min(next, stand_next_deadline(c));
    return u64_min(next, follow_next_deadline(c));
}
