#include "agent/core/peer.h"

#include "agent/core/engine.h"

#define PEER_RETRY_US 100000U

static bool is_to_be_demoted(const struct core *c, size_t slot)
{
    const struct pod *p = &c->peers[slot];
    return p->name[0] != '\0' && strcmp(p->role, role_state_name(ROLE_MASTER)) == 0 &&
           p->role_epoch <= c->role.epoch && c->label.observed &&
           strcmp(p->controller_uid, c->label.seen.controller_uid) == 0 &&
           c->label.seen.controller_uid[0] != '\0';
}

static bool may_demote(const struct core *c)
{
    /* Only a proof of its own, never a label that was merely found or held. */
    return c->cfg.on.peer_demotion && c->cfg.labels && c->role.state == ROLE_MASTER &&
           !c->role.holding && c->cfg.mode == CORE_MODE_SENTINEL &&
           (c->role.reason == ROLE_WHY_MAJORITY || c->role.reason == ROLE_WHY_EAGER);
}

void peer_step(struct core *c, struct core_actions *out)
{
    if (!may_demote(c)) {
        return;
    }
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        if (!is_to_be_demoted(c, i)) {
            continue;
        }
        if (c->demotions.of[i].epoch != c->role.epoch) {
            uint64_t op = c->demotions.of[i].op;
            memset(&c->demotions.of[i], 0, sizeof c->demotions.of[i]);
            c->demotions.of[i].op = op;
            c->demotions.of[i].epoch = c->role.epoch;
        }
        bool same = strcmp(c->demotions.of[i].tried, c->peers[i].resource_version) == 0;
        if (c->demotions.of[i].op != 0 || c->demotions.of[i].tries >= PEER_TRIES_MAX ||
            c->now_us < c->demotions.of[i].not_before_us ||
            (same && c->demotions.of[i].tries > 0 && c->demotions.of[i].not_before_us == 0)) {
            continue;
        }
        c->demotions.of[i].op = c->next_op++;
        c->demotions.of[i].tries++;
        c->demotions.of[i].not_before_us = 0;
        memcpy(c->demotions.of[i].tried, c->peers[i].resource_version,
               sizeof c->demotions.of[i].tried);
        struct core_action *a = core_actions_add(out, ACT_DEMOTE_PEER);
        a->index = i;
        a->op = c->demotions.of[i].op;
        a->epoch = c->role.epoch;
        struct addr addr = {.port = 0};
        (void)!addr_set(&addr, sv_from(c->peers[i].name), 1);
        engine_decided(c, out, MECHANISM_PEER_DEMOTION, DECIDED_DEMOTE_PEER, WHY_NEWEST, &addr,
                       c->role.epoch);
    }
}

bool peer_on_api(struct core *c, uint64_t op, enum api_outcome outcome, uint64_t retry_after_us)
{
    for (size_t i = 0; op != 0 && i < CORE_PEERS_MAX; i++) {
        if (c->demotions.of[i].op != op) {
            continue;
        }
        c->demotions.of[i].op = 0;
        c->demotions.done += outcome == API_OK ? 1 : 0;
        c->demotions.refused += outcome != API_OK ? 1 : 0;
        /* A conflict waits for the watch, the rest for a while. */
        if (outcome != API_OK && outcome != API_CONFLICT) {
            c->demotions.of[i].not_before_us = c->now_us + u64_max(retry_after_us, PEER_RETRY_US);
        }
        return true;
    }
    return false;
}

void peer_forget(struct core *c, size_t slot)
{
    memset(&c->demotions.of[slot], 0, sizeof c->demotions.of[slot]);
}

uint64_t peer_next_deadline(const struct core *c)
{
    uint64_t next = UINT64_MAX;
    if (!may_demote(c)) {
        return next;
    }
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        bool waits = c->demotions.of[i].not_before_us > c->now_us && is_to_be_demoted(c, i);
        next = waits ? u64_min(next, c->demotions.of[i].not_before_us) : next;
    }
    return next;
}
