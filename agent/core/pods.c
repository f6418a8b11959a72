#include "agent/core/pods.h"

#include "agent/core/engine.h"

static bool is_own(const struct core *c, const struct pod *p)
{
    return strcmp(p->name, c->pod_name) == 0;
}

/* My set: the Pods of my controller. Until my own Pod has been read nobody is a peer. */
static bool is_peer(const struct core *c, const struct pod *p)
{
    return c->label.observed && c->label.seen.controller_uid[0] != '\0' &&
           strcmp(p->controller_uid, c->label.seen.controller_uid) == 0;
}

static size_t peer_slot(const struct core *c, const char *name)
{
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        if (strcmp(c->peers[i].name, name) == 0) {
            return i;
        }
    }
    return CORE_PEERS_MAX;
}

void pods_seen(struct core *c, const struct pod *p)
{
    if (is_own(c, p)) {
        label_observe(&c->label, p, c->now_us);
        c->own_listed = true;
        return;
    }
    size_t i = peer_slot(c, p->name);
    if (i == CORE_PEERS_MAX) {
        /* Before the own Pod is known every Pod may be a peer; the question is asked when
         * the set is read. */
        if (c->label.observed && !is_peer(c, p)) {
            return;
        }
        i = peer_slot(c, "");
    }
    if (i == CORE_PEERS_MAX) {
        c->peers_dropped++;
        return;
    }
    if (c->peers[i].name[0] != '\0' && strcmp(c->peers[i].uid, p->uid) != 0) {
        stand_on_pod_gone(c, &c->peers[i]);
        peer_forget(c, i);
    }
    c->peers[i] = *p;
    c->peer_listed[i] = true;
}

void pods_gone(struct core *c, const struct pod *p)
{
    if (is_own(c, p)) {
        if (strcmp(p->uid, c->label.uid) == 0) {
            label_doubt(&c->label);
        }
        return;
    }
    size_t i = peer_slot(c, p->name);
    if (i < CORE_PEERS_MAX) {
        stand_on_pod_gone(c, &c->peers[i]);
        peer_forget(c, i);
        c->peers[i] = (struct pod){.name = ""};
    }
}

void pods_resync(struct core *c)
{
    memset(c->peer_listed, 0, sizeof c->peer_listed);
    c->own_listed = false;
    c->listing = true;
    c->peers_dropped = 0;
}

void pods_synced(struct core *c)
{
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        if (c->peers[i].name[0] != '\0' && (!c->peer_listed[i] || !is_peer(c, &c->peers[i]))) {
            if (is_peer(c, &c->peers[i])) {
                stand_on_pod_gone(c, &c->peers[i]);
            }
            peer_forget(c, i);
            c->peers[i] = (struct pod){.name = ""};
        }
    }
    if (c->listing && !c->own_listed && c->label.observed) {
        label_doubt(&c->label);
    }
    c->listing = false;
    c->peers_synced = true;
}

void pods_gather(const struct core *c, struct role_input *in)
{
    in->lowest_ordinal = c->ordinal >= 0;
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        const struct pod *p = &c->peers[i];
        if (p->name[0] == '\0' || !is_peer(c, p)) {
            continue;
        }
        if (p->ordinal >= 0 && p->ordinal < c->ordinal) {
            in->lowest_ordinal = false;
        }
        if (strcmp(p->role, role_state_name(ROLE_MASTER)) != 0) {
            continue;
        }
        if (!in->peer_master || p->role_epoch > in->peer_master_epoch) {
            in->peer_master_epoch = p->role_epoch;
            in->peer_master_first = false;
        }
        in->peer_master = true;
        if (p->role_epoch == in->peer_master_epoch && p->ordinal < c->ordinal) {
            in->peer_master_first = true;
        }
    }
}
