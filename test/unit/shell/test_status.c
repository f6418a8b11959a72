/* /status as JSON and as text: what a person is told about the engine. */
#include "agent/shell/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "agent/shell/driver.h"
#include "agent/shell/mechanisms.h"
#include "agent/shell/status_text.h"
#include "lib/base/mem.h"

struct fixture {
    struct config cfg;
    struct driver *d;
    struct core *c;
    struct buf out;
    cJSON *json;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->d = xcalloc(1, sizeof *f->d);
    f->c = &f->d->core;
    f->d->cfg = &f->cfg;
    (void)snprintf(f->cfg.pod_name, sizeof f->cfg.pod_name, "redis-0");
    f->cfg.mode = CORE_MODE_SENTINEL;
    f->c->cfg.mode = CORE_MODE_SENTINEL;
    f->c->cfg.labels = true;
    f->c->cfg.on = (struct core_switches){.crash = true, .hand_over = true, .fence = true};
    buf_init(&f->out, 1024 * 1024);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cJSON_Delete(f->json);
    buf_release(&f->out);
    free(f->d);
    free(f);
    return 0;
}

static cJSON *json(struct fixture *f, const char *key)
{
    cJSON_Delete(f->json);
    buf_reset(&f->out);
    status_write(f->d, &f->out);
    assert_false(f->out.overflow);
    f->json = cJSON_Parse(buf_str(&f->out));
    assert_non_null(f->json);
    cJSON *member = cJSON_GetObjectItemCaseSensitive(f->json, key);
    assert_non_null(member);
    return member;
}

static const char *string_of(const cJSON *object, const char *key)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_non_null(member);
    return cJSON_GetStringValue(member);
}

static double number_of(const cJSON *object, const char *key)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(member));
    return member->valuedouble;
}

static void assert_text(struct fixture *f, bool history, const char *part)
{
    buf_reset(&f->out);
    status_text_write(f->d, &f->out, history);
    if (strstr(buf_str(&f->out), part) == NULL) {
        fail_msg("'%s' is not in:\n%s", part, buf_str(&f->out));
    }
}

static struct history_entry *decide(struct fixture *f, enum mechanism m, enum decision what)
{
    struct history_entry *e = history_add(&f->c->history, loop_now_us(), 1700000000123);
    e->mechanism = m;
    e->what = what;
    return e;
}

static void test_a_new_agent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cJSON_GetArraySize(json(f, "history")), 0);
    assert_int_equal(cJSON_GetArraySize(json(f, "members")), 0);
    assert_string_equal(string_of(json(f, "candidacy"), "state"), "idle");
    assert_null(string_of(json(f, "hand_over"), "verdict"));
    assert_text(f, false, "candidacy   none so far\n");
    assert_text(f, false, "hand-over   none so far\n");
    assert_text(f, false, "waits for   Redis to answer ROLE\n");
    assert_text(f, false, "decisions   0 so far\n");
}

static void test_history(void **state)
{
    struct fixture *f = *state;
    struct history_entry *e = decide(f, MECHANISM_CRASH, DECIDED_STAND);
    e->why = WHY_PROCESS_ENDED;
    e->age_us = 1250;
    e = decide(f, MECHANISM_CRASH, DECIDED_ORDER);
    e->order = ORDER_PROMOTE;
    e->op = 7;
    e->epoch = 12;
    (void)!addr_set(&e->addr, SV("10.0.0.2"), 6379);
    history_done(&f->c->history, 7, OUTCOME_UNKNOWN);
    const cJSON *history = json(f, "history");
    assert_int_equal(cJSON_GetArraySize(history), 2);
    const cJSON *one = cJSON_GetArrayItem(history, 0);
    assert_string_equal(string_of(one, "mechanism"), "crash");
    assert_string_equal(string_of(one, "why"), "the process of redis-server has ended");
    assert_string_equal(string_of(one, "time"), "2023-11-14T22:13:20.123Z");
    assert_true(number_of(one, "evidence_age_ms") == 1.25);
    assert_null(string_of(one, "outcome"));
    const cJSON *two = cJSON_GetArrayItem(history, 1);
    assert_string_equal(string_of(two, "order"), "promote");
    assert_string_equal(string_of(two, "addr"), "10.0.0.2:6379");
    assert_string_equal(string_of(two, "outcome"), "unknown");
    assert_true(number_of(two, "epoch") == 12);
    assert_text(f, false,
                "2023-11-14T22:13:20.123Z  crash         stands for election: the process of "
                "redis-server has ended; evidence 1.2 ms old\n");
    assert_text(f, false, "order promote 10.0.0.2:6379 at epoch 12; unknown\n");
}

static void test_a_full_history(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < HISTORY_MAX + 10; i++) {
        decide(f, MECHANISM_ENFORCE, DECIDED_ORDER)->epoch = i;
    }
    const cJSON *history = json(f, "history");
    assert_int_equal(cJSON_GetArraySize(history), HISTORY_MAX);
    assert_true(number_of(cJSON_GetArrayItem(history, 0), "number") == 10);
    assert_text(f, false, "decisions   266 so far; the last:\n");
    assert_text(f, false, "at epoch 258");
    assert_null(strstr(buf_str(&f->out), "at epoch 257"));
    assert_text(f, true, "at epoch 10\n");
    assert_null(strstr(buf_str(&f->out), "at epoch 9\n"));
}

static void test_what_it_waits_for(void **state)
{
    struct fixture *f = *state;
    f->c->local.role_us = loop_now_us();
    f->c->local.connected = true;
    f->c->label.observed = true;
    f->c->cfg.labels = false;
    assert_text(f, false, "waits for   nothing\n");
    f->c->cfg.labels = true;
    f->c->label.wanted = true;
    f->c->label.want.role = ROLE_MASTER;
    f->c->label.last_us = 1;
    f->c->label.last = API_FORBIDDEN;
    f->c->role.holding = true;
    f->c->input.newest = (struct newest){.n = 3, .fresh = 1};
    f->c->succession.serial = 1;
    f->c->succession.state = SUCCESSION_VOTES;
    f->c->succession.mechanism = MECHANISM_GONE;
    f->c->fence.state = FENCE_SETTING;
    assert_text(f, false, "waits for   the votes of a majority\n");
    assert_text(f, false, "1 of 3 Sentinels answer\n");
    assert_text(f, false, "the API server to store the label master (last answer: 403)\n");
    assert_text(f, false, "Redis to take the new min-replicas-to-write\n");
    assert_string_equal(string_of(json(f, "candidacy"), "reason"), "gone");
    for (size_t s = SUCCESSION_GATHER; s < SUCCESSION_STATE_COUNT; s++) {
        f->c->succession.state = (enum succession_state)s;
        assert_text(f, false, "waits for   ");
        assert_null(strstr(buf_str(&f->out), "(null)"));
    }
}

static void test_a_hand_over(void **state)
{
    struct fixture *f = *state;
    struct handover *h = &f->c->handover;
    h->serial = 1;
    h->running = true;
    h->by = DRAIN_BY_ANNOTATION;
    h->named_us = 1;
    h->lines[h->count++] = (struct handover_line){.step = HANDOVER_VOTED, .why = ""};
    assert_text(f, false, "asked by annotation ");
    assert_text(f, false, "a majority of the Sentinels voted\n");
    assert_text(f, false, "the successor to carry the label\n");
    h->running = false;
    h->verdict = HANDOVER_DONE;
    h->duration_us = 21500;
    h->held_us = 2500;
    const cJSON *told = json(f, "hand_over");
    assert_string_equal(string_of(told, "verdict"), "handed over");
    assert_true(number_of(told, "took_ms") == 21.5);
    assert_true(number_of(told, "writes_held_ms") == 2.5);
    assert_text(f, false, "handed over, in 21.5 ms, writes held for 2.5 ms\n");
}

static void test_members(void **state)
{
    struct fixture *f = *state;
    struct member *m = &f->c->members.at[3];
    (void)!addr_set(&m->addr, SV("10.0.0.9"), 6380);
    assert_text(f, false, "members     10.0.0.9:6380 unreachable for ");
    m->up = true;
    assert_text(f, false, "10.0.0.9:6380 connected, not asked yet\n");
    m->info_us = loop_now_us();
    m->info.role = REDIS_ROLE_SLAVE;
    m->info.slave_offset = 4711;
    assert_text(f, false, "10.0.0.9:6380 slave, offset 4711, asked ");
    const cJSON *one = cJSON_GetArrayItem(json(f, "members"), 0);
    assert_true(number_of(one, "offset") == 4711);
}

static const struct mechanism_state *state_of(const struct core *c, const char *name)
{
    static struct mechanism_state states[MECHANISM_STATES_MAX];
    size_t count = mechanism_states(c, states);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(states[i].name, name) == 0) {
            return &states[i];
        }
    }
    fail_msg("no mechanism %s", name);
    return NULL;
}

static void test_mechanisms_that_cannot_work_say_why(void **state)
{
    struct fixture *f = *state;
    assert_true(state_of(f->c, "crash")->on);
    assert_null(state_of(f->c, "crash")->note);
    assert_false(state_of(f->c, "repair")->on);
    f->c->succession.fallback = true;
    f->c->fence.useless = true;
    assert_non_null(strstr(state_of(f->c, "crash")->note, "asked to fail over instead"));
    assert_non_null(strstr(state_of(f->c, "fence")->note, "min-replicas-max-lag 0"));
    assert_null(state_of(f->c, "repair")->note); /* off: nothing to explain */
    f->c->cfg.mode = CORE_MODE_REPLICATION;
    assert_non_null(strstr(state_of(f->c, "crash")->note, "no Sentinel"));
    assert_non_null(strstr(state_of(f->c, "hand-over")->note, "FAILOVER"));
    f->c->cfg.on.peer_demotion = true;
    f->c->cfg.labels = false;
    assert_non_null(strstr(state_of(f->c, "peer-demotion")->note, "no API server"));
    const cJSON *all = json(f, "mechanisms");
    assert_int_equal(cJSON_GetArraySize(all), MECHANISM_STATES_MAX);
    assert_text(f, false, "crash         on: no effect: there is no Sentinel in this mode\n");
    assert_text(f, false, "repair        off\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_agent),
        TEST(test_history),
        TEST(test_a_full_history),
        TEST(test_what_it_waits_for),
        TEST(test_a_hand_over),
        TEST(test_members),
        TEST(test_mechanisms_that_cannot_work_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
