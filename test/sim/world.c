#include <inttypes.h>
#include <stdarg.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define RETRANSMISSION_US (200 * MS)

/* ---- queue: a binary heap by time, then by order of making ---- */

static bool is_before(const struct sim_msg *a, const struct sim_msg *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void push(struct sim_queue *q, struct sim_msg *m)
{
    if (q->count == q->cap) {
        q->cap = q->cap == 0 ? 1024 : 2 * q->cap;
        q->heap = xrealloc(q->heap, q->cap * sizeof(struct sim_msg *));
    }
    size_t i = q->count++;
    while (i > 0 && is_before(m, q->heap[(i - 1) / 2])) {
        q->heap[i] = q->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    q->heap[i] = m;
}

static struct sim_msg *pop(struct sim_queue *q)
{
    struct sim_msg *top = q->heap[0];
    struct sim_msg *last = q->heap[--q->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= q->count) {
            break;
        }
        if (child + 1 < q->count && is_before(q->heap[child + 1], q->heap[child])) {
            child++;
        }
        if (!is_before(q->heap[child], last)) {
            break;
        }
        q->heap[i] = q->heap[child];
        i = child;
    }
    q->heap[i] = last;
    return top;
}

struct sim_msg *sim_at(struct world *w, uint64_t at_us, sim_fn *fn)
{
    struct sim_queue *q = &w->queue;
    struct sim_msg *m = q->free;
    if (m != NULL) {
        q->free = m->next;
    } else {
        m = xmalloc(sizeof *m);
    }
    *m = (struct sim_msg){.at_us = u64_max(at_us, w->now_us), .seq = q->seq++, .fn = fn};
    push(q, m);
    return m;
}

struct sim_msg *sim_in(struct world *w, uint64_t delay_us, sim_fn *fn)
{
    return sim_at(w, w->now_us + delay_us, fn);
}

void world_run(struct world *w, uint64_t until_us)
{
    struct sim_queue *q = &w->queue;
    while (!w->failed && q->count > 0 && q->heap[0]->at_us <= until_us) {
        struct sim_msg *m = pop(q);
        w->now_us = m->at_us;
        w->coverage->events++;
        m->fn(w, m);
        free(m->data);
        m->next = q->free;
        q->free = m;
        invariants_step(w);
    }
    if (!w->failed) {
        w->now_us = u64_max(w->now_us, until_us);
    }
}

/* ---- chance ---- */

bool sim_chance(struct world *w, unsigned permille)
{
    return permille > 0 && rng_below(&w->rng, 1000) < permille;
}

uint64_t sim_between(struct world *w, uint64_t low, uint64_t high)
{
    return low + rng_below(&w->rng, high - low + 1);
}

/* ---- names ---- */

const struct addr *sim_addr(const struct world *w, int redis)
{
    static const struct addr none = {.host = ""};
    static const struct addr nowhere = {.host = "127.0.0.1", .port = 1};
    if (redis < 0) {
        return &none;
    }
    if (redis == SIM_NOWHERE) {
        return &nowhere;
    }
    return w->cfg.host_names ? &w->addr_name[redis] : &w->addr_ip[redis];
}

int sim_redis_at(const struct world *w, const struct addr *a)
{
    for (unsigned i = 0; i < w->cfg.pods; i++) {
        if (addr_eq(a, &w->addr_ip[i]) || addr_eq(a, &w->addr_name[i])) {
            return (int)i;
        }
    }
    return SIM_NOWHERE;
}

unsigned sim_sentinel_node(const struct world *w, unsigned sentinel)
{
    return w->cfg.sentinels_apart ? SIM_PODS_MAX + sentinel : sentinel;
}

void sim_hex_id(uint64_t id, char out[static RUN_ID_LEN + 1])
{
    if (id == 0) {
        out[0] = '\0';
        return;
    }
    (void)snprintf(out, RUN_ID_LEN + 1, "%016" PRIx64 "%024" PRIx64, id, id & 0xffffffU);
}

uint64_t sim_intern(struct world *w, const char *text)
{
    struct sim_names *n = &w->names;
    for (size_t i = n->count; i > 0; i--) {
        if (strcmp(n->text[i - 1], text) == 0) {
            return i;
        }
    }
    if (n->count == n->cap) {
        n->cap = n->cap == 0 ? 64 : 2 * n->cap;
        n->text = xrealloc(n->text, n->cap * sizeof *n->text);
    }
    REQUIRE(str_copy(n->text[n->count], sizeof n->text[0], sv_from(text)));
    return ++n->count;
}

void sim_id_text(const struct world *w, uint64_t id, char out[static RUN_ID_LEN + 1])
{
    if (id > 0 && id <= w->names.count) {
        memcpy(out, w->names.text[id - 1], RUN_ID_LEN + 1);
    } else {
        sim_hex_id(id, out);
    }
}

static void name_addresses(struct world *w)
{
    for (unsigned i = 0; i < SIM_PODS_MAX; i++) {
        char host[64];
        (void)snprintf(host, sizeof host, "10.0.0.%u", 10 + i);
        REQUIRE(addr_set(&w->addr_ip[i], sv_from(host), 6379));
        (void)snprintf(host, sizeof host, "redis-%u.redis-headless", i);
        REQUIRE(addr_set(&w->addr_name[i], sv_from(host), 6379));
    }
}

/* ---- network ---- */

bool net_reaches(const struct world *w, unsigned a, unsigned b)
{
    return a == b || (!w->net.cut[a][b] && !w->net.cut[b][a]);
}

uint64_t net_delay(struct world *w, unsigned a, unsigned b)
{
    if (a == b) {
        return sim_between(w, 20, 120);
    }
    uint64_t delay_us = w->cfg.delay_us + rng_below(&w->rng, w->cfg.delay_us + 1) +
                        w->net.extra_us[a] + w->net.extra_us[b];
    if (sim_chance(w, w->net.loss)) {
        delay_us += RETRANSMISSION_US * sim_between(w, 1, 3);
    }
    return delay_us;
}

void net_heal(struct world *w)
{
    memset(&w->net, 0, sizeof w->net);
}

/* ---- life of a world ---- */

void world_init(struct world *w, uint64_t seed, struct coverage *coverage, int trace)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->coverage = coverage;
    w->trace = trace;
    w->now_us = SECOND;
    rng_seed(&w->rng, seed);
    name_addresses(w);
    ledger_init(w);
}

static void free_agent(struct agent *a)
{
    for (unsigned c = 0; c <= CONN_COUNT; c++) {
        struct agent_msg *m = c == CONN_COUNT ? a->inbox : a->conns[c].head;
        while (m != NULL) {
            struct agent_msg *next = m->next;
            agent_msg_free(m);
            m = next;
        }
        if (c < CONN_COUNT) {
            request_free_all(&a->conns[c]);
        }
    }
}

void world_release(struct world *w)
{
    for (unsigned i = 0; i < SIM_PODS_MAX; i++) {
        free_agent(&w->agents[i]);
    }
    for (size_t i = 0; i < w->queue.count; i++) {
        agent_drop_queued(w->queue.heap[i]);
        request_free_orphan(w->queue.heap[i]);
        free(w->queue.heap[i]->data);
        free(w->queue.heap[i]);
    }
    while (w->queue.free != NULL) {
        struct sim_msg *next = w->queue.free->next;
        free(w->queue.free);
        w->queue.free = next;
    }
    free(w->queue.heap);
    free(w->names.text);
    ledger_release(w);
}

/* ---- telling ---- */

void sim_trace(const struct world *w, const char *fmt, ...)
{
    va_list args;
    if (w->trace == 0) {
        return;
    }
    printf("[%11.6f] ", (double)(w->now_us) / 1e6);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}

void sim_fail(struct world *w, const char *name, const char *fmt, ...)
{
    va_list args;
    if (w->failed) {
        return;
    }
    w->failed = true;
    w->invariant = name;
    va_start(args, fmt);
    (void)vsnprintf(w->failure, sizeof w->failure, fmt, args);
    va_end(args);
    sim_trace(w, "BROKEN %s: %s", name, w->failure);
}
