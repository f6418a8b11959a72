#include "test/sim/sim.h"

/* What agents ask of a Sentinel and tell it, as sentinel.c does it: sentinelCommand
 * (IS-MASTER-DOWN-BY-ADDR, SENTINELS, REPLICAS), sentinelPublishCommand and
 * sentinelProcessHelloMessage. */

#define LISTED_US (20 * SECOND) /* what Sentinels list is asked every 10 s */

static struct sentinel_model *at(struct world *w, unsigned k)
{
    return &w->sentinels[k];
}

void sentinel_address(unsigned k, struct addr *ret)
{
    *ret = (struct addr){.port = 26379};
    (void)snprintf(ret->host, sizeof ret->host, "10.0.1.%u", k);
}

/* ---- SENTINEL SENTINELS, SENTINEL REPLICAS ---- */

static uint32_t peer_flags(const struct world *w, unsigned k, unsigned p)
{
    bool reached =
        sentinel_answers(w, p) && net_reaches(w, sim_sentinel_node(w, k), sim_sentinel_node(w, p));
    return reached ? 0 : 1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_DISCONNECTED;
}

bool sentinel_look(const struct world *w, unsigned k, struct look_snap *ret)
{
    const struct sentinel_model *s = &w->sentinels[k];
    *ret = (struct look_snap){.leader = s->leader, .leader_epoch = s->leader_epoch};
    if (!s->monitors || s->refuses) {
        return false;
    }
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        ret->peers[p] = p != k ? s->peers[p].id : 0;
        ret->peer_flags[p] = peer_flags(w, k, p);
    }
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        const struct known_redis *r = &s->redis[i];
        ret->replicas |= r->known && (int)i != s->master ? 1U << i : 0;
        ret->run_ids[i] = r->run_id;
        ret->replica_flags[i] = (r->s_down ? 1U << SENTINEL_FLAG_S_DOWN : 0) |
                                (r->connected ? 0 : 1U << SENTINEL_FLAG_DISCONNECTED);
    }
    ret->down = s->redis[s->master].s_down;
    return true;
}

void sentinel_look_text(const struct world *w, const struct look_snap *s, struct sentinel_look *ret)
{
    ret->vote = (struct sentinel_vote){.down = s->down, .epoch = s->leader_epoch};
    sim_id_text(w, s->leader, ret->vote.leader_id);
    ret->peer_count = ret->replica_count = 0;
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        if (s->peers[p] != 0) {
            struct sentinel_instance *x = &ret->peers[ret->peer_count++];
            *x = (struct sentinel_instance){.flags = s->peer_flags[p]};
            sentinel_address(p, &x->addr);
            sim_hex_id(s->peers[p], x->run_id);
        }
    }
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if ((s->replicas & (1U << i)) != 0) {
            struct sentinel_instance *x = &ret->replicas[ret->replica_count++];
            *x = (struct sentinel_instance){.addr = *sim_addr(w, (int)i),
                                            .flags = s->replica_flags[i]};
            sim_hex_id(s->run_ids[i], x->run_id);
        }
    }
}

/* ---- votes ---- */

bool sentinel_answer_vote(struct world *w, unsigned k, const struct addr *master, uint64_t epoch,
                          uint64_t candidate, uint64_t *ret_leader, uint64_t *ret_epoch)
{
    struct sentinel_model *s = at(w, k);
    *ret_leader = *ret_epoch = 0;
    if (!s->monitors || !addr_eq(master, sim_addr(w, s->master))) {
        return false;
    }
    *ret_leader = sentinel_vote(w, k, epoch, candidate, ret_epoch);
    return s->redis[s->master].s_down && !sentinel_tilted(w, s);
}

/* ---- announcements ---- */

static int peer_of(const struct world *w, unsigned k, const struct core_action *a)
{
    for (unsigned p = 0; p < w->cfg.sentinels; p++) {
        char id[RUN_ID_LEN + 1];
        struct addr addr;
        sim_hex_id(w->sentinels[k].peers[p].id, id);
        sentinel_address(p, &addr);
        if (p != k && id[0] != '\0' && strcmp(id, a->id) == 0 && addr_eq(&addr, &a->as)) {
            return (int)p;
        }
    }
    return -1;
}

static int replica_of(const struct world *w, unsigned k, const struct addr *a)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if (addr_eq(sim_addr(w, (int)i), a) &&
            (w->sentinels[k].redis[i].known || (int)i == w->sentinels[k].master)) {
            return (int)i;
        }
    }
    return -1;
}

void sentinel_take_announcement(struct world *w, unsigned k, const struct core_action *a)
{
    int peer = peer_of(w, k, a);
    int master = replica_of(w, k, &a->addr);
    if (!at(w, k)->monitors) {
        return;
    }
    if (peer < 0 && u64_since(w->now_us, w->rebuilt_us) < LISTED_US) {
        return; /* it was, when the candidate asked */
    }
    if (peer < 0) {
        sim_fail(w, "phantom", "a hello to sentinel-%u is in the name of a Sentinel unknown to it",
                 k);
        return;
    }
    if (master < 0) {
        sim_fail(w, "spelling",
                 "a hello to sentinel-%u names %s, which is none of its replicas so spelled", k,
                 a->addr.host);
        return;
    }
    sentinel_take_configuration(w, k,
                                &(struct hello_msg){.sentinel = (unsigned)peer,
                                                    .id = at(w, k)->peers[peer].id,
                                                    .current_epoch = a->epoch,
                                                    .master = master,
                                                    .config_epoch = a->epoch});
}
