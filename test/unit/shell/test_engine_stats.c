/* The engine's counters: decisions, orders by their op, time of held writes, hand-overs. */
#include "agent/shell/engine_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

struct fixture {
    struct core *core;
    struct engine_stats stats;
    struct buf log;
    struct buf out;
};

static void on_line(void *arg, struct sv line)
{
    struct fixture *f = arg;
    buf_add_sv(&f->log, line);
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->core = xcalloc(1, sizeof *f->core);
    engine_stats_init(&f->stats);
    buf_init(&f->log, 1024 * 1024);
    buf_init(&f->out, 1024 * 1024);
    log_set_sink(on_line, f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    log_set_sink(NULL, NULL);
    buf_release(&f->log);
    buf_release(&f->out);
    free(f->core);
    free(f);
    return 0;
}

static void assert_written(struct fixture *f, uint64_t now_us, const char *line)
{
    buf_reset(&f->out);
    engine_stats_write(&f->stats, f->core, &f->out, now_us);
    if (strstr(buf_str(&f->out), line) == NULL) {
        fail_msg("'%s' is not in:\n%s", line, buf_str(&f->out));
    }
}

static void decide(struct fixture *f, enum mechanism m, enum decision what, enum why why)
{
    struct history_entry *e = history_add(&f->core->history, 1000, 1700000000000);
    e->mechanism = m;
    e->what = what;
    e->why = why;
    e->age_us = 1500;
    struct core_action a = {.type = ACT_DECIDED, .index = f->core->history.count - 1};
    engine_stats_action(&f->stats, f->core, &a);
}

static void order(struct fixture *f, uint64_t op, enum order what, size_t slot, uint64_t value)
{
    struct core_action a = {
        .type = ACT_ORDER, .op = op, .order = what, .slot = slot, .value = value};
    engine_stats_action(&f->stats, f->core, &a);
}

static void done(struct fixture *f, uint64_t op, enum outcome outcome, uint64_t now_us)
{
    struct core_event ev = {.type = CORE_ORDER_DONE, .op = op, .now_us = now_us};
    ev.u.order.outcome = outcome;
    engine_stats_event(&f->stats, &ev);
}

static void test_decisions(void **state)
{
    struct fixture *f = *state;
    decide(f, MECHANISM_CRASH, DECIDED_STAND, WHY_PROCESS_ENDED);
    decide(f, MECHANISM_CRASH, DECIDED_COMMITTED, WHY_NONE);
    decide(f, MECHANISM_CRASH, DECIDED_STAND, WHY_REFUSED_TWICE);
    decide(f, MECHANISM_CRASH, DECIDED_GIVE_UP, WHY_NO_VOTES);
    decide(f, MECHANISM_REPAIR, DECIDED_YIELD, WHY_OTHER_CANDIDATE);
    assert_written(f, 0,
                   "redis_pod_agent_decisions_total{mechanism=\"crash\","
                   "what=\"stands for election\"} 2\n");
    assert_written(
        f, 0, "redis_pod_agent_failovers_total{mechanism=\"crash\",outcome=\"committed\"} 1\n");
    assert_written(f, 0,
                   "redis_pod_agent_failovers_total{mechanism=\"crash\",outcome=\"given-up\"} 1\n");
    assert_written(f, 0,
                   "redis_pod_agent_failovers_total{mechanism=\"repair\",outcome=\"yielded\"} 1\n");
    assert_written(
        f, 0, "redis_pod_agent_failovers_total{mechanism=\"hand-over\",outcome=\"committed\"} 0\n");
    assert_non_null(strstr(buf_str(&f->log), "the process of redis-server has ended"));
    assert_non_null(strstr(buf_str(&f->log), "\"evidence_age_ms\":1.5"));
}

static void test_a_decision_that_the_ring_has_lost(void **state)
{
    struct fixture *f = *state;
    struct core_action a = {.type = ACT_DECIDED, .index = 7};
    engine_stats_action(&f->stats, f->core, &a);
    assert_int_equal(f->log.len, 0);
}

static void test_orders_by_outcome(void **state)
{
    struct fixture *f = *state;
    order(f, 11, ORDER_FOLLOW, MEMBER_LOCAL, 0);
    order(f, 12, ORDER_PROMOTE, 3, 0);
    done(f, 12, OUTCOME_UNKNOWN, 100);
    done(f, 11, OUTCOME_OK, 200);
    done(f, 11, OUTCOME_OK, 300); /* counted once */
    done(f, 99, OUTCOME_OK, 300); /* nobody's */
    done(f, 0, OUTCOME_OK, 300);
    assert_written(f, 0, "redis_pod_agent_orders_total{order=\"follow\",outcome=\"ok\"} 1\n");
    assert_written(f, 0, "redis_pod_agent_orders_total{order=\"promote\",outcome=\"unknown\"} 1\n");
    assert_null(strstr(buf_str(&f->out), "order=\"pause\""));
    for (uint64_t op = 100; op < 100 + 2 * ENGINE_ORDERS_MAX; op++) {
        order(f, op, ORDER_REWRITE, MEMBER_LOCAL, 0); /* never answered */
    }
    done(f, 100 + 2 * ENGINE_ORDERS_MAX - 1, OUTCOME_REFUSED, 400);
    assert_written(f, 0, "redis_pod_agent_orders_total{order=\"rewrite\",outcome=\"refused\"} 1\n");
}

static void test_time_of_held_writes(void **state)
{
    struct fixture *f = *state;
    order(f, 1, ORDER_PAUSE, MEMBER_LOCAL, 2000);
    assert_int_equal(engine_stats_paused_us(&f->stats, 5000000), 0); /* not answered */
    done(f, 1, OUTCOME_OK, 1000000);
    assert_int_equal(engine_stats_paused_us(&f->stats, 1500000), 500000);
    order(f, 2, ORDER_UNPAUSE, MEMBER_LOCAL, 0);
    done(f, 2, OUTCOME_OK, 1600000);
    assert_int_equal(engine_stats_paused_us(&f->stats, 9000000), 600000);
    /* Left to expire; a pause elsewhere, and one that was refused, hold nothing here. */
    order(f, 3, ORDER_PAUSE, MEMBER_LOCAL, 1000);
    done(f, 3, OUTCOME_OK, 10000000);
    order(f, 4, ORDER_PAUSE, 2, 9000);
    done(f, 4, OUTCOME_OK, 10000000);
    assert_int_equal(engine_stats_paused_us(&f->stats, 20000000), 1600000);
    order(f, 5, ORDER_PAUSE, MEMBER_LOCAL, 1000);
    done(f, 5, OUTCOME_REFUSED, 30000000);
    assert_written(f, 40000000, "redis_pod_agent_writes_held_seconds_total 1.6\n");
    /* Renewed before it expires: held all the time. */
    order(f, 6, ORDER_PAUSE, MEMBER_LOCAL, 1000);
    done(f, 6, OUTCOME_OK, 50000000);
    order(f, 7, ORDER_PAUSE, MEMBER_LOCAL, 1000);
    done(f, 7, OUTCOME_OK, 50500000);
    assert_int_equal(engine_stats_paused_us(&f->stats, 60000000), 1600000 + 1500000);
}

static void test_handovers(void **state)
{
    struct fixture *f = *state;
    struct handover *h = &f->core->handover;
    struct core_action told = {.type = ACT_DRAIN_TOLD};
    h->serial = 1;
    h->running = true;
    engine_stats_action(&f->stats, f->core, &told);
    assert_written(f, 0, "redis_pod_agent_handover_running 1\n");
    assert_written(f, 0, "redis_pod_agent_handovers_total{verdict=\"handed-over\"} 0\n");
    h->running = false;
    h->verdict = HANDOVER_DONE;
    h->duration_us = 40000;
    engine_stats_action(&f->stats, f->core, &told);
    engine_stats_action(&f->stats, f->core, &told); /* the same one */
    assert_written(f, 0, "redis_pod_agent_handover_running 0\n");
    assert_written(f, 0, "redis_pod_agent_handovers_total{verdict=\"handed-over\"} 1\n");
    assert_written(f, 0, "redis_pod_agent_handover_seconds_bucket{le=\"0.05\"} 1\n");
    assert_written(f, 0, "redis_pod_agent_handover_last_seconds 0.04\n");
    h->serial = 2;
    h->verdict = HANDOVER_FAILED;
    h->duration_us = 9000000;
    engine_stats_action(&f->stats, f->core, &told);
    assert_written(f, 0, "redis_pod_agent_handovers_total{verdict=\"failed\"} 1\n");
    assert_written(f, 0, "redis_pod_agent_handover_last_seconds 0.04\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_decisions),         TEST(test_a_decision_that_the_ring_has_lost),
        TEST(test_orders_by_outcome), TEST(test_time_of_held_writes),
        TEST(test_handovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
