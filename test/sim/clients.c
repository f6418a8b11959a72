#include "lib/base/mem.h"
#include "test/sim/sim.h"

/* Clients that look up the master, write to it one command at a time, and look it up again
 * whenever a write does not succeed. */

#define ANSWER_US SECOND /* a client waits for so long */
#define LOOKUP_US (20 * MS)

static void on_turn(struct world *w, struct sim_msg *m);

static struct writer *at(struct world *w, unsigned n)
{
    return &w->ledger.writers[n];
}

static void next_turn(struct world *w, unsigned n, uint64_t in_us)
{
    struct sim_msg *m = sim_in(w, in_us, on_turn);
    m->to = n;
    m->gen = ++at(w, n)->serial;
    at(w, n)->state = WRITER_THINKS;
    at(w, n)->write = 0;
}

static void look_again(struct world *w, unsigned n)
{
    w->ledger.refused++;
    at(w, n)->redis = -1;
    next_turn(w, n, sim_between(w, LOOKUP_US, 3 * LOOKUP_US));
}

/* ---- finding the master ---- */

static int by_label(struct world *w)
{
    int found = -1;
    unsigned seen = 0;
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if (w->api.pods[i].exists && w->api.pods[i].stored == ROLE_MASTER &&
            rng_below(&w->rng, ++seen) == 0) {
            found = (int)i;
        }
    }
    return found;
}

static int by_sentinel(struct world *w, unsigned node)
{
    unsigned k = (unsigned)rng_below(&w->rng, w->cfg.sentinels);
    const struct sentinel_model *s = &w->sentinels[k];
    bool answers = sentinel_answers(w, k) && net_reaches(w, node, sim_sentinel_node(w, k));
    return answers && s->monitors ? sentinel_named(s) : -1;
}

/* ---- writing ---- */

static void note_write(struct world *w, unsigned n, unsigned i)
{
    struct ledger *l = &w->ledger;
    struct redis *r = &w->redis[i];
    if (l->write_count == l->write_cap) {
        l->write_cap = l->write_cap == 0 ? 1024 : 2 * l->write_cap;
        l->writes = xrealloc(l->writes, l->write_cap * sizeof *l->writes);
    }
    redis_advance(w, i, (int64_t)sim_between(w, 20, 100));
    l->histories[r->replid].written = r->offset;
    l->writes[l->write_count++] = (struct write_of_client){.at = redis_position(r),
                                                           .done_us = w->now_us,
                                                           .redis = i,
                                                           .proven = engine_is_proven(w, i)};
    at(w, n)->write = l->write_count;
    engine_on_write(w, i);
}

static void on_answer(struct world *w, struct sim_msg *m)
{
    struct writer *c = at(w, m->to);
    if (m->gen != c->serial) {
        return;
    }
    if (m->b == 0) {
        look_again(w, m->to);
        return;
    }
    if (net_reaches(w, c->node, m->from)) {
        w->ledger.writes[m->b - 1].acked_us = w->now_us;
        w->ledger.acked++;
        next_turn(w, m->to, sim_between(w, w->cfg.think_us / 4, 2 * w->cfg.think_us));
    }
}

/* At the Redis: done, refused, held by a pause, or not even read. */
static void on_write(struct world *w, struct sim_msg *m)
{
    unsigned n = m->to;
    unsigned i = m->from;
    struct writer *c = at(w, n);
    const struct redis *r = &w->redis[i];
    if (m->gen != c->serial || c->gen != r->gen || !net_reaches(w, c->node, i)) {
        return;
    }
    c->state = WRITER_ASKS;
    if (!redis_answers(w, i) || r->busy || redis_is_paused(w, i)) {
        return; /* clients_resume */
    }
    if (redis_takes_writes(w, i)) {
        note_write(w, n, i);
    }
    c->state = WRITER_WAITS;
    struct sim_msg *answer = sim_in(w, net_delay(w, i, c->node), on_answer);
    answer->to = n;
    answer->from = i;
    answer->gen = m->gen;
    answer->b = c->write;
}

static void on_timeout(struct world *w, struct sim_msg *m)
{
    if (m->gen == at(w, m->to)->serial) {
        look_again(w, m->to);
    }
}

static void on_turn(struct world *w, struct sim_msg *m)
{
    unsigned n = m->to;
    struct writer *c = at(w, n);
    if (m->gen != c->serial) {
        return;
    }
    if (c->redis < 0) {
        c->redis = c->by_sentinel ? by_sentinel(w, c->node) : by_label(w);
        bool up = c->redis >= 0 && w->redis[c->redis].alive &&
                  net_reaches(w, c->node, (unsigned)c->redis);
        if (!up) {
            look_again(w, n);
            return;
        }
        c->gen = w->redis[c->redis].gen;
    }
    c->state = WRITER_WAITS;
    struct sim_msg *ask = sim_in(w, net_delay(w, c->node, (unsigned)c->redis), on_write);
    ask->to = n;
    ask->from = (unsigned)c->redis;
    ask->gen = c->serial;
    struct sim_msg *timeout = sim_in(w, ANSWER_US, on_timeout);
    timeout->to = n;
    timeout->gen = c->serial;
}

/* ---- what happens to their connections ---- */

void clients_resume(struct world *w, unsigned i)
{
    for (unsigned n = 0; n < w->ledger.writer_count; n++) {
        struct writer *c = at(w, n);
        if (c->redis == (int)i && c->state == WRITER_ASKS) {
            struct sim_msg *again = sim_in(w, 1, on_write);
            again->to = n;
            again->from = i;
            again->gen = c->serial;
        }
    }
}

void clients_dropped(struct world *w, unsigned i)
{
    for (unsigned n = 0; n < w->ledger.writer_count; n++) {
        if (at(w, n)->redis == (int)i) {
            look_again(w, n);
        }
    }
}

void clients_start(struct world *w)
{
    struct ledger *l = &w->ledger;
    l->writer_count = w->cfg.writers;
    for (unsigned n = 0; n < l->writer_count; n++) {
        struct writer *c = at(w, n);
        *c = (struct writer){.redis = -1};
        c->by_sentinel = w->cfg.sentinels > 0 && n % 3 == 2;
        c->node = n == 0 ? SIM_API_NODE : (n - 1) % w->cfg.pods;
        next_turn(w, n, sim_between(w, 0, SECOND));
    }
}
