#include "agent/shell/engine_stats.h"

#include "lib/base/check.h"
#include "lib/base/log.h"

#define MOD "engine"
#define NAME(suffix) "redis_pod_agent_" suffix

static const char *const failover_names[] = {FAILOVER_OUTCOMES(RPA_ENUM_NAME)};
static const char *const handover_names[] = {HANDOVER_OUTCOMES(RPA_ENUM_NAME)};
static const double handover_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                         0.5,   1,    2.5,   5,    10,  30};

const char *failover_outcome_name(enum failover_outcome o)
{
    return failover_names[o];
}

const char *handover_outcome_name(enum handover_verdict v)
{
    return handover_names[v];
}

void engine_stats_init(struct engine_stats *s)
{
    *s = (struct engine_stats){
        .handover_seconds = {.bounds = handover_bounds, .bound_count = ARRAY_LEN(handover_bounds)}};
}

/* ---- decisions ---- */

static void count_failover(struct engine_stats *s, const struct history_entry *e)
{
    switch (e->what) {
    case DECIDED_COMMITTED:
        s->failovers[e->mechanism][FAILOVER_COMMITTED]++;
        return;
    case DECIDED_FALLBACK:
        s->failovers[e->mechanism][FAILOVER_FALLBACK]++;
        return;
    case DECIDED_YIELD:
        s->failovers[e->mechanism][FAILOVER_YIELDED]++;
        return;
    case DECIDED_GIVE_UP:
        s->failovers[e->mechanism][FAILOVER_GIVEN_UP]++;
        return;
    case DECIDED_STAND:
    case DECIDED_CHOSEN:
    case DECIDED_VOTED:
    case DECIDED_ORDER:
    case DECIDED_ANNOUNCE:
    case DECIDED_DEMOTE_PEER:
    case DECIDED_FENCE_ON:
    case DECIDED_FENCE_OFF:
    case DECIDED_LAUNCH:
    case DECISION_COUNT:
        return;
    }
}

static void log_decision(const struct history_entry *e)
{
    char addr[ADDR_TEXT_MAX] = "";
    if (addr_is_set(&e->addr)) {
        (void)addr_text(&e->addr, addr);
    }
    bool has_age = e->age_us != UINT64_MAX;
    /* Each order by its own name: one hand-over gives more of them than the log's limit for
     * repeats. */
    bool order = e->what == DECIDED_ORDER;
    log_info(order ? "order" : MOD, order ? order_name(e->order) : decision_text(e->what),
             F_STR("mechanism", mechanism_name(e->mechanism)), F_STR("why", why_text(e->why)),
             F_STR("addr", addr), F_U64("proof_epoch", e->epoch),
             F_F64("evidence_age_ms", has_age ? (double)e->age_us / 1e3 : -1));
}

static void decided(struct engine_stats *s, const struct history_entry *e)
{
    if (e == NULL) {
        return;
    }
    s->decisions[e->mechanism][e->what]++;
    count_failover(s, e);
    log_decision(e);
}

/* ---- hand-overs ---- */

static void handover_told(struct engine_stats *s, const struct handover *h)
{
    if (h->running || h->serial == s->handover_serial) {
        return;
    }
    s->handover_serial = h->serial;
    s->handovers[h->verdict]++;
    if (h->verdict == HANDOVER_DONE) {
        s->handover_us = h->duration_us;
        prom_histogram_observe(&s->handover_seconds, (double)h->duration_us / 1e6);
    }
    log_info(MOD, "the hand-over has ended", F_STR("asked_by", drain_by_name(h->by)),
             F_STR("verdict", handover_verdict_text(h->verdict)),
             F_STR("why", h->why != NULL ? h->why : ""), F_F64("ms", (double)h->duration_us / 1e3),
             F_F64("writes_held_ms", (double)h->held_us / 1e3));
}

/* ---- orders ---- */

static void pause_ended(struct engine_stats *s, uint64_t now_us)
{
    s->paused_us = engine_stats_paused_us(s, now_us);
    s->pause_until_us = 0;
}

static void order_done(struct engine_stats *s, const struct core_event *ev)
{
    for (size_t i = 0; i < ENGINE_ORDERS_MAX; i++) {
        struct engine_order *o = &s->sent[i];
        if (o->op == 0 || o->op != ev->op) {
            continue;
        }
        o->op = 0;
        s->orders[o->order][ev->u.order.outcome]++;
        if (!o->local || ev->u.order.outcome != OUTCOME_OK) {
            return;
        }
        if (o->order == ORDER_PAUSE) {
            pause_ended(s, ev->now_us);
            s->pause_from_us = ev->now_us;
            s->pause_until_us = ev->now_us + o->value * 1000;
        } else if (o->order == ORDER_UNPAUSE) {
            pause_ended(s, ev->now_us);
        }
        return;
    }
}

uint64_t engine_stats_paused_us(const struct engine_stats *s, uint64_t now_us)
{
    bool pausing = s->pause_until_us != 0;
    return s->paused_us +
           (pausing ? u64_since(u64_min(now_us, s->pause_until_us), s->pause_from_us) : 0);
}

void engine_stats_action(struct engine_stats *s, const struct core *c, const struct core_action *a)
{
    if (a->type == ACT_ORDER) {
        s->sent[s->sent_next] = (struct engine_order){.op = a->op,
                                                      .order = a->order,
                                                      .local = a->slot == MEMBER_LOCAL,
                                                      .value = a->value};
        s->sent_next = (s->sent_next + 1) % ENGINE_ORDERS_MAX;
    } else if (a->type == ACT_DECIDED) {
        decided(s, history_at(&c->history, a->index));
    } else if (a->type == ACT_DRAIN_TOLD) {
        handover_told(s, &c->handover);
    }
}

void engine_stats_event(struct engine_stats *s, const struct core_event *ev)
{
    if (ev->type == CORE_ORDER_DONE) {
        order_done(s, ev);
    }
}

/* ---- metrics ---- */

/* Combinations that never were are left out: they would be most of the page. */
static void write_decisions(const struct engine_stats *s, struct buf *out)
{
    promtext_family(out, NAME("decisions_total"), PROM_COUNTER,
                    "Decisions of the failover engine, as told by /status.");
    for (size_t m = 0; m < MECHANISM_COUNT; m++) {
        for (size_t w = 0; w < DECISION_COUNT; w++) {
            const struct prom_label labels[] = {{"mechanism", mechanism_name((enum mechanism)m)},
                                                {"what", decision_text((enum decision)w)}};
            if (s->decisions[m][w] > 0) {
                promtext_u64(out, NAME("decisions_total"), labels, ARRAY_LEN(labels),
                             s->decisions[m][w]);
            }
        }
    }
}

static void write_failovers(const struct engine_stats *s, struct buf *out)
{
    promtext_family(out, NAME("failovers_total"), PROM_COUNTER,
                    "Candidacies of this agent by the reason to stand and by their end.");
    for (size_t m = MECHANISM_CRASH; m <= MECHANISM_REPAIR; m++) {
        for (size_t o = 0; o < FAILOVER_OUTCOME_COUNT; o++) {
            const struct prom_label labels[] = {{"mechanism", mechanism_name((enum mechanism)m)},
                                                {"outcome",
                                                 failover_outcome_name((enum failover_outcome)o)}};
            promtext_u64(out, NAME("failovers_total"), labels, ARRAY_LEN(labels),
                         s->failovers[m][o]);
        }
    }
}

static void write_orders(const struct engine_stats *s, struct buf *out)
{
    promtext_family(out, NAME("orders_total"), PROM_COUNTER,
                    "Orders to this Redis and to the others, by how they ended.");
    for (size_t o = 0; o < ORDER_COUNT; o++) {
        for (size_t e = 0; e < OUTCOME_COUNT; e++) {
            const struct prom_label labels[] = {{"order", order_name((enum order)o)},
                                                {"outcome", outcome_name((enum outcome)e)}};
            if (s->orders[o][e] > 0) {
                promtext_u64(out, NAME("orders_total"), labels, ARRAY_LEN(labels), s->orders[o][e]);
            }
        }
    }
}

static void write_handovers(const struct engine_stats *s, struct buf *out)
{
    promtext_family(out, NAME("handovers_total"), PROM_COUNTER,
                    "Planned hand-overs that this agent was asked for, by verdict.");
    for (size_t v = HANDOVER_DONE; v < HANDOVER_VERDICT_COUNT; v++) {
        const struct prom_label label = {"verdict",
                                         handover_outcome_name((enum handover_verdict)v)};
        promtext_u64(out, NAME("handovers_total"), &label, 1, s->handovers[v]);
    }
    promtext_family(out, NAME("handover_seconds"), PROM_HISTOGRAM,
                    "Request to verdict of the hand-overs that succeeded.");
    promtext_histogram(out, NAME("handover_seconds"), &s->handover_seconds);
    promtext_family(out, NAME("handover_last_seconds"), PROM_GAUGE,
                    "The last hand-over that succeeded; 0: none yet.");
    promtext_value(out, NAME("handover_last_seconds"), NULL, 0, (double)s->handover_us / 1e6);
}

static void write_fence_and_peers(const struct core *c, struct buf *out)
{
    bool on = c->fence.state == FENCE_ON || c->fence.state == FENCE_LIFTING;
    promtext_family(out, NAME("fenced"), PROM_GAUGE,
                    "1 while this Redis is made to refuse writes.");
    promtext_u64(out, NAME("fenced"), NULL, 0, on ? 1 : 0);
    promtext_family(out, NAME("peer_demotions_total"), PROM_COUNTER,
                    "PATCHes that take the label off another Pod, by what became of them.");
    const struct prom_label done = {"outcome", "done"};
    const struct prom_label refused = {"outcome", "refused"};
    promtext_u64(out, NAME("peer_demotions_total"), &done, 1, c->demotions.done);
    promtext_u64(out, NAME("peer_demotions_total"), &refused, 1, c->demotions.refused);
}

void engine_stats_write(const struct engine_stats *s, const struct core *c, struct buf *out,
                        uint64_t now_us)
{
    write_failovers(s, out);
    write_decisions(s, out);
    write_orders(s, out);
    write_handovers(s, out);
    write_fence_and_peers(c, out);
    promtext_family(out, NAME("handover_running"), PROM_GAUGE, "1 while a hand-over is under way.");
    promtext_u64(out, NAME("handover_running"), NULL, 0, c->handover.running ? 1 : 0);
    promtext_family(out, NAME("writes_held_seconds_total"), PROM_COUNTER,
                    "Time for which this Redis has held writes by order of the agent.");
    promtext_value(out, NAME("writes_held_seconds_total"), NULL, 0,
                   (double)engine_stats_paused_us(s, now_us) / 1e6);
}
