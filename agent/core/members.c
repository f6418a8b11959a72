#include "agent/core/members.h"

#include "lib/base/check.h"

size_t members_find(const struct members *m, const struct addr *a)
{
    size_t i = 0;
    while (i < MEMBERS_MAX && !(addr_is_set(&m->at[i].addr) && addr_eq(&m->at[i].addr, a))) {
        i++;
    }
    return i;
}

static size_t free_slot(const struct members *m)
{
    size_t i = 0;
    while (i < MEMBERS_MAX && addr_is_set(&m->at[i].addr)) {
        i++;
    }
    return i;
}

void members_found(struct members *m, const struct addr *a, uint64_t now_us,
                   struct core_actions *out)
{
    size_t i = members_find(m, a);
    if (i < MEMBERS_MAX) {
        m->at[i].found_us = now_us;
        return;
    }
    i = free_slot(m);
    if (i == MEMBERS_MAX) {
        m->dropped++;
        return;
    }
    m->at[i] = (struct member){.addr = *a, .found_us = now_us, .down_us = now_us};
    struct core_action *open = core_actions_add(out, ACT_MEMBER_OPEN);
    open->slot = i;
    open->addr = *a;
}

void members_expire(struct members *m, uint64_t now_us, struct core_actions *out)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct member *p = &m->at[i];
        if (addr_is_set(&p->addr) && u64_since(now_us, p->found_us) > MEMBERS_KEEP_US) {
            *p = (struct member){.up = false};
            core_actions_add(out, ACT_MEMBER_CLOSE)->slot = i;
        }
    }
}

bool members_read(struct members *m, size_t slot, uint64_t *op, uint64_t now_us,
                  struct core_actions *out)
{
    REQUIRE(slot < MEMBERS_MAX);
    struct member *p = &m->at[slot];
    bool failed = p->failed_us != 0 && u64_since(now_us, p->failed_us) < MEMBERS_RETRY_US;
    if (!p->up || p->op != 0 || failed) {
        return false;
    }
    struct core_action *a = core_actions_add(out, ACT_READ_MEMBER);
    a->slot = slot;
    a->op = p->op = (*op)++;
    p->asked_us = now_us;
    return true;
}

void members_up(struct members *m, size_t slot, uint64_t now_us)
{
    REQUIRE(slot < MEMBERS_MAX);
    struct member *p = &m->at[slot];
    if (addr_is_set(&p->addr)) {
        p->up = true;
        p->refusals = 0;
        p->failed_us = 0;
        p->down_us = now_us;
        p->info_us = 0;
        p->op = 0;
    }
}

void members_lost(struct members *m, size_t slot, bool refused, uint64_t now_us)
{
    REQUIRE(slot < MEMBERS_MAX);
    struct member *p = &m->at[slot];
    if (!addr_is_set(&p->addr)) {
        return;
    }
    if (p->up) {
        p->down_us = now_us;
    }
    p->up = false;
    p->op = 0;
    p->info_us = 0;
    p->refusals = refused ? p->refusals + 1 : 0;
    p->refused_us = refused ? now_us : 0;
}

void members_info(struct members *m, size_t slot, uint64_t op, const struct info *info)
{
    REQUIRE(slot < MEMBERS_MAX);
    struct member *p = &m->at[slot];
    if (op == 0 || p->op != op) {
        return;
    }
    p->op = 0;
    p->failed_us = info == NULL ? p->asked_us : 0;
    if (info != NULL) {
        p->info = *info;
        p->info_us = p->asked_us;
        if (info_has(info, INFO_ROLE) && info->role == REDIS_ROLE_SLAVE &&
            info_has(info, INFO_LINK_UP) && info->link_up) {
            memcpy(p->slave_run_id, info->run_id, sizeof p->slave_run_id);
        }
    }
}

void members_distrust(struct members *m)
{
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        m->at[i].info_us = 0;
        m->at[i].op = 0;
    }
}

const struct info *members_info_since(const struct members *m, size_t slot, uint64_t since_us)
{
    const struct member *p = &m->at[slot];
    return p->up && p->info_us != 0 && p->info_us >= since_us ? &p->info : NULL;
}
