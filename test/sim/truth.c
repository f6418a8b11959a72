#include "test/sim/sim.h"

/* An answer counts for VIEW_FRESH_US from its question; what it says is not older. */
#define PROOF_US (VIEW_FRESH_US + 50 * MS)
#define ROLE_WINDOW_US (ROLE_PROOF_US + 50 * MS)
#define EAGER_WINDOW_US (ROLE_EAGER_US + 2 * SECOND)
#define WATCH_LAG_US (3 * SECOND)

/* ---- recording ---- */

static bool same_snap(const struct sentinel_snap *a, const struct sentinel_snap *b)
{
    return a->monitors == b->monitors && a->addr == b->addr && a->named == b->named &&
           a->run_id == b->run_id && a->flags == b->flags && a->epoch == b->epoch &&
           a->others == b->others;
}

void truth_note_sentinels(struct world *w)
{
    struct truth *t = &w->truth;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        struct fact now = {.from_us = w->now_us, .up = sentinel_answers(w, k)};
        sentinel_snapshot(w, k, &now.snap);
        size_t n = t->fact_count[k];
        const struct fact *last = n > 0 ? &t->facts[k][(n - 1) % TRUTH_FACTS] : NULL;
        if (last == NULL || last->up != now.up || !same_snap(&last->snap, &now.snap)) {
            t->facts[k][n % TRUTH_FACTS] = now;
            t->fact_count[k]++;
        }
    }
}

static struct election *election_of(struct world *w, uint64_t epoch, uint64_t candidate)
{
    struct truth *t = &w->truth;
    size_t first = t->election_count > TRUTH_ELECTIONS ? t->election_count - TRUTH_ELECTIONS : 0;
    for (size_t n = t->election_count; n > first; n--) {
        struct election *e = &t->elections[(n - 1) % TRUTH_ELECTIONS];
        if (e->epoch == epoch && e->candidate == candidate) {
            return e;
        }
    }
    struct election *e = &t->elections[t->election_count++ % TRUTH_ELECTIONS];
    *e = (struct election){.epoch = epoch, .candidate = candidate, .selected = -1};
    return e;
}

void truth_note_vote(struct world *w, unsigned voter, uint64_t epoch, uint64_t candidate)
{
    election_of(w, epoch, candidate)->votes |= 1U << voter;
}

unsigned truth_votes(const struct world *w, uint64_t epoch, uint64_t candidate)
{
    for (size_t n = 0; n < TRUTH_ELECTIONS; n++) {
        const struct election *e = &w->truth.elections[n];
        if (e->epoch == epoch && e->candidate == candidate) {
            return e->votes;
        }
    }
    return 0;
}

void truth_note_selected(struct world *w, uint64_t epoch, uint64_t candidate, int redis)
{
    election_of(w, epoch, candidate)->selected = redis;
}

void truth_note_promoted(struct world *w, int redis)
{
    for (size_t n = 0; n < TRUTH_ELECTIONS; n++) {
        struct election *e = &w->truth.elections[n];
        if (e->epoch != 0 && e->selected == redis && e->promoted_us == 0) {
            e->promoted_us = w->now_us;
        }
    }
}

/* ---- asking ---- */

int truth_newest(const struct world *w, unsigned among, uint64_t *ret_epoch)
{
    uint64_t epoch = 0;
    unsigned naming[SIM_PODS_MAX] = {0};
    unsigned different = 0;
    int best = -1;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        if ((among & (1U << k)) != 0 && w->sentinels[k].monitors) {
            epoch = u64_max(epoch, w->sentinels[k].config_epoch);
        }
    }
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        if ((among & (1U << k)) != 0 && s->monitors && s->config_epoch == epoch) {
            int named = sentinel_named(s);
            different += naming[named] == 0 ? 1 : 0;
            naming[named]++;
            best = best < 0 || naming[named] > naming[best] ? named : best;
        }
    }
    *ret_epoch = epoch;
    bool decided = best >= 0 && (different == 1 || 2 * naming[best] > w->cfg.sentinels);
    return decided ? best : -1;
}

static bool was_master(const struct world *w, unsigned i, uint64_t within_us)
{
    const struct redis *r = &w->redis[i];
    bool is_master = r->alive && r->upstream < 0;
    return is_master || u64_since(w->now_us, r->master_until_us) <= within_us;
}

/* What the Sentinels may have answered within the window about Redis i at this epoch. */
struct testimony {
    unsigned heard;   /* Sentinels that could give an answer that is no newer */
    unsigned unaware; /* Sentinels that could say that they know no master */
    bool named;
    bool unflagged;
    bool my_id;
};

static void hear(const struct world *w, const struct fact *f, unsigned i, uint64_t epoch,
                 struct testimony *t, bool *heard)
{
    const uint32_t against =
        1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_O_DOWN | 1U << SENTINEL_FLAG_FAILOVER;
    if (!f->snap.monitors || f->snap.epoch <= epoch) {
        *heard = true;
    }
    if (!f->snap.monitors || f->snap.epoch != epoch || f->snap.named != (int)i) {
        return;
    }
    t->named = true;
    bool elsewhere = f->snap.addr != f->snap.named;
    t->unflagged = t->unflagged || elsewhere || (f->snap.flags & against) == 0;
    t->my_id = t->my_id || elsewhere || f->snap.run_id == 0 || f->snap.run_id == w->redis[i].run_id;
}

static struct testimony listen(const struct world *w, unsigned i, uint64_t epoch)
{
    struct testimony t = {.heard = 0};
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        bool heard = false;
        bool unaware = false;
        size_t count = w->truth.fact_count[k];
        size_t first = count > TRUTH_FACTS ? count - TRUTH_FACTS : 0;
        uint64_t until_us = w->now_us;
        for (size_t n = count; n > first && until_us + PROOF_US >= w->now_us; n--) {
            const struct fact *f = &w->truth.facts[k][(n - 1) % TRUTH_FACTS];
            if (f->up) {
                hear(w, f, i, epoch, &t, &heard);
                unaware = unaware || !f->snap.monitors;
            }
            until_us = f->from_us;
        }
        t.heard += heard ? 1 : 0;
        t.unaware += unaware ? 1 : 0;
    }
    return t;
}

static const char *against_majority(const struct world *w, unsigned i, uint64_t epoch)
{
    const struct redis *r = &w->redis[i];
    struct testimony t = listen(w, i, epoch);
    if (2 * t.heard <= w->cfg.sentinels) {
        return "no majority of the Sentinels can have said so within 3 s";
    }
    if (!t.named) {
        return "no Sentinel has named it at this epoch within 3 s";
    }
    if (!t.unflagged) {
        return "every Sentinel that named it had it flagged as down or failing over";
    }
    if (!t.my_id && u64_since(w->now_us, r->started_us) < ROLE_OLD_ME_US) {
        return "every Sentinel that named it meant the process before this one";
    }
    return NULL;
}

/* The Sentinel that leads it was stopped meanwhile, or its news came late. */
static bool is_under_way(const struct world *w, const struct election *e)
{
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        const struct sentinel_model *s = &w->sentinels[k];
        if (s->id == e->candidate && s->failover != FAILOVER_NONE &&
            s->failover_epoch == e->epoch) {
            return true;
        }
    }
    return false;
}

static const char *against_eager(const struct world *w, unsigned i, uint64_t epoch)
{
    const char *why = "no Sentinel ran a failover with this epoch that selected it";
    for (size_t n = 0; n < TRUTH_ELECTIONS; n++) {
        const struct election *e = &w->truth.elections[n];
        if (e->epoch != epoch || e->selected != (int)i) {
            continue;
        }
        unsigned votes = (unsigned)__builtin_popcount(e->votes);
        if (2 * votes <= w->cfg.sentinels) {
            why = "the Sentinel that selected it was not elected by a majority";
        } else if (e->promoted_us == 0 && w->engine.named != (int)i) {
            why = "it was selected and not promoted";
        } else if (u64_since(w->now_us, e->promoted_us) > EAGER_WINDOW_US && !is_under_way(w, e) &&
                   w->engine.named != (int)i) {
            why = "its promotion is too long ago";
        } else {
            return NULL;
        }
    }
    return why;
}

static const char *against_bootstrap(const struct world *w, unsigned i)
{
    struct testimony t = listen(w, i, 0);
    if (2 * t.unaware <= w->cfg.sentinels) {
        return "no majority of the Sentinels is without a master";
    }
    bool watches = w->now_us >= w->truth.agents[i].api_clean_us;
    for (unsigned j = 0; j < w->cfg.pods; j++) {
        const struct api_pod *p = &w->api.pods[j];
        bool old = p->exists && u64_since(w->now_us, p->created_us) > WATCH_LAG_US;
        if (watches && old && j < i) {
            return "it is not the lowest Pod";
        }
    }
    return NULL;
}

const char *truth_against_master(const struct world *w, unsigned i, enum role_reason reason,
                                 uint64_t epoch)
{
    const struct api_pod *own = &w->api.pods[i];
    if (reason == ROLE_WHY_ADOPTED) {
        bool stored = own->stored == ROLE_MASTER || own->master_until_us >= w->agents[i].started_us;
        return stored ? NULL : "no such label was stored since the agent started";
    }
    if (!was_master(w, i, ROLE_WINDOW_US)) {
        return "its Redis has not been a master for 3 s";
    }
    if (reason == ROLE_WHY_MAJORITY) {
        return against_majority(w, i, epoch);
    }
    if (reason == ROLE_WHY_EAGER) {
        return against_eager(w, i, epoch);
    }
    if (reason == ROLE_WHY_BOOTSTRAP) {
        return against_bootstrap(w, i);
    }
    if (reason == ROLE_WHY_NO_SENTINEL) {
        return w->cfg.sentinels == 0 ? NULL : "there are Sentinels in this mode";
    }
    return "this is no reason for it";
}
