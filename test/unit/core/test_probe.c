/* The probes: every path in every role, what expires and when, and that what only tells never
 * decides. */
#include "agent/core/probe.h"

#include "test/unit/core/core_rig.h"

static struct probe_answer ask_at(const struct rig *r, enum probe p, uint64_t now_us)
{
    struct probe_answer a;
    probe_answer(&r->core, p, PROBE_NO_LIMIT, now_us, &a);
    assert_in_range(a.count, 1, PROBE_CHECKS_MAX);
    bool ok = true;
    for (size_t i = 0; i < a.count; i++) {
        ok = ok && (a.checks[i].ok || !a.checks[i].counts);
        assert_true(a.checks[i].detail[0] != '\0');
    }
    assert_int_equal(a.ok, ok);
    return a;
}

static bool is_ok(const struct rig *r, enum probe p)
{
    return ask_at(r, p, r->now_us).ok;
}

/* Not inlined: gcc would warn of what assert_non_null has excluded. */
__attribute__((noinline)) static const struct probe_check *check_of(const struct probe_answer *a,
                                                                    const char *name)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->checks[i].name, name) == 0) {
            return &a->checks[i];
        }
    }
    return NULL;
}

#define assert_says(k, text)                                   \
    do {                                                       \
        assert_non_null(k);                                    \
        if (strstr((k)->detail, (text)) == NULL) {             \
            fail_msg("'%s' has no '%s'", (k)->detail, (text)); \
        }                                                      \
    } while (0)

static void settled(struct rig *r, enum redis_role role)
{
    rig_init(r);
    bool is_master = role == REDIS_ROLE_MASTER;
    rig_settle(r, role, is_master ? ME : OTHER, is_master ? "master" : "replica");
    assert_int_equal(r->core.role.state, is_master ? ROLE_MASTER : ROLE_REPLICA);
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"/livez",   "/startupz",  "/readyz", "/master",
                                        "/replica", "/read-only", "/health"};
    assert_int_equal(ARRAY_LEN(paths), PROBE_COUNT);
    for (unsigned p = 0; p < PROBE_COUNT; p++) {
        assert_string_equal(probe_path((enum probe)p), paths[p]);
    }
}

/* Which role answers which path, in the order of enum role_state. */
static void test_every_role(void **state)
{
    (void)state;
    static const struct {
        enum probe probe;
        const char *answers; /* unset pending master replica demoted draining fenced */
    } rows[] = {
        {PROBE_LIVE, "yyyyyyy"},   {PROBE_STARTUP, "yyyyyyy"}, {PROBE_READY, "--yyy--"},
        {PROBE_MASTER, "--y----"}, {PROBE_REPLICA, "---y---"}, {PROBE_READ_ONLY, "--yy---"},
        {PROBE_HEALTH, "yyyyyyy"},
    };
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned s = 0; s < ROLE_STATE_COUNT; s++) {
            r.core.role.state = (enum role_state)s;
            if (is_ok(&r, rows[i].probe) != (rows[i].answers[s] == 'y')) {
                fail_msg("%s as %s", probe_path(rows[i].probe),
                         role_state_name((enum role_state)s));
            }
        }
    }
}

/* Without a proof of ROLE for more than 3 s only the loop and the start are well. */
static void test_answers_expire(void **state)
{
    (void)state;
    static const enum redis_role roles[] = {REDIS_ROLE_MASTER, REDIS_ROLE_SLAVE};
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct rig r;
        settled(&r, roles[i]);
        for (unsigned p = 0; p < PROBE_COUNT; p++) {
            uint64_t end_us = r.core.local.role_us + ROLE_PROOF_US;
            bool before = ask_at(&r, (enum probe)p, end_us).ok;
            bool after = ask_at(&r, (enum probe)p, end_us + 1).ok;
            bool never = p == PROBE_LIVE || p == PROBE_STARTUP;
            assert_int_equal(before, p != (i == 0 ? PROBE_REPLICA : PROBE_MASTER));
            assert_int_equal(after, never);
        }
        struct probe_answer a = ask_at(&r, PROBE_READY, r.core.local.role_us + ROLE_PROOF_US + 1);
        assert_says(check_of(&a, "redis"), "not answered ROLE for more than 3000 ms");
        assert_int_equal(check_of(&a, "redis")->age_us, ROLE_PROOF_US + 1);
        assert_true(check_of(&a, "role")->ok);
    }
}

static void test_live_is_about_the_loop(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    assert_true(is_ok(&r, PROBE_LIVE));
    settled(&r, REDIS_ROLE_MASTER);
    rig_local_down(&r, LOCAL_DOWN_REFUSED);
    r.core.label.foreign = true;
    struct probe_answer a = ask_at(&r, PROBE_LIVE, r.now_us + 5000000);
    assert_true(a.ok);
    assert_int_equal(a.count, 1);
    assert_int_equal(a.checks[0].age_us, 5000000);
}

static void test_startup(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    struct probe_answer a = ask_at(&r, PROBE_STARTUP, r.now_us);
    assert_false(a.ok);
    assert_true(a.checks[0].age_us == UINT64_MAX);
    assert_says(&a.checks[0], "not yet connected");
    rig_local_down(&r, LOCAL_DOWN_REFUSED);
    a = ask_at(&r, PROBE_STARTUP, r.now_us);
    assert_false(a.ok);
    assert_says(&a.checks[0], "connection refused");
    rig_event(&r, CORE_LOCAL_UP);
    a = ask_at(&r, PROBE_READY, r.now_us);
    assert_says(check_of(&a, "redis"), "not answered ROLE on this connection yet");
    rig_fault(&r, RESP_FAULT_LOADING);
    assert_true(is_ok(&r, PROBE_STARTUP));
    rig_local_down(&r, LOCAL_DOWN_REFUSED);
    assert_true(is_ok(&r, PROBE_STARTUP)); /* it has started once */
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        enum resp_fault fault;
        const char *says;
    } rows[] = {
        {RESP_FAULT_LOADING, "loading"},
        {RESP_FAULT_BUSY, "SCRIPT KILL"},
        {RESP_FAULT_MASTERDOWN, "MASTERDOWN"},
        {RESP_FAULT_NOAUTH, "--redis-password-file"},
        {RESP_FAULT_WRONGPASS, "--redis-user"},
        {RESP_FAULT_NOPERM, "ACL"},
        {RESP_FAULT_OTHER, "ERR"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rig r;
        settled(&r, REDIS_ROLE_MASTER);
        rig_event(&r, CORE_LOCAL_HINT);
        rig_fault(&r, rows[i].fault);
        r.core.role.state = ROLE_MASTER; /* whatever the role makes of it */
        static const enum probe probes[] = {PROBE_READY, PROBE_MASTER, PROBE_READ_ONLY,
                                            PROBE_HEALTH};
        for (size_t p = 0; p < ARRAY_LEN(probes); p++) {
            struct probe_answer a = ask_at(&r, probes[p], r.now_us);
            assert_false(a.ok);
            assert_says(check_of(&a, "redis"), rows[i].says);
        }
        assert_true(is_ok(&r, PROBE_LIVE) && is_ok(&r, PROBE_STARTUP));
    }
}

static void test_loading_by_info(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    r.core.local.state = ROLE_LOCAL_LOADING;
    struct probe_answer a = ask_at(&r, PROBE_READY, r.now_us);
    assert_false(a.ok);
    assert_says(check_of(&a, "redis"), "loading its data set");
    assert_false(is_ok(&r, PROBE_HEALTH));
}

static void test_a_connection_that_was_lost_just_now(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_SLAVE);
    rig_local_down(&r, LOCAL_DOWN_CLOSED);
    struct probe_answer a = ask_at(&r, PROBE_REPLICA, r.now_us);
    assert_true(a.ok);
    assert_says(check_of(&a, "redis"), "connection closed");
    assert_says(check_of(&a, "redis"), "still counts");
    a = ask_at(&r, PROBE_REPLICA, r.now_us + ROLE_PROOF_US + 1);
    assert_false(a.ok);
    assert_says(check_of(&a, "redis"), "connection closed");
}

/* ---- the lag ---- */

static struct rig replica_with_lag(int64_t received, int64_t applied)
{
    struct rig r;
    settled(&r, REDIS_ROLE_SLAVE);
    r.core.local.info.has |= 1U << INFO_SLAVE_OFFSET | 1U << INFO_SLAVE_READ_OFFSET;
    r.core.local.info.slave_read_offset = received;
    r.core.local.info.slave_offset = applied;
    return r;
}

static bool lag_ok(const struct rig *r, uint64_t limit, uint64_t now_us)
{
    struct probe_answer a;
    probe_answer(&r->core, PROBE_REPLICA, limit, now_us, &a);
    assert_non_null(check_of(&a, "sync"));
    assert_int_equal(check_of(&a, "sync")->counts, limit != PROBE_NO_LIMIT);
    return a.ok;
}

static void test_lag(void **state)
{
    (void)state;
    struct rig r = replica_with_lag(1500, 1000);
    assert_true(lag_ok(&r, 500, r.now_us));
    assert_false(lag_ok(&r, 499, r.now_us));
    assert_true(lag_ok(&r, PROBE_NO_LIMIT, r.now_us));
    struct probe_answer a = ask_at(&r, PROBE_REPLICA, r.now_us);
    assert_says(check_of(&a, "sync"), "500 bytes");
    r = replica_with_lag(1000, 1000);
    assert_true(lag_ok(&r, 0, r.now_us));
    r = replica_with_lag(900, 1000);
    assert_true(lag_ok(&r, 0, r.now_us));
}

/* Not known is more than any limit, and no reason not to be ready. */
static void test_lag_that_is_not_known(void **state)
{
    (void)state;
    for (int why = 0; why < 5; why++) {
        struct rig r = replica_with_lag(1000, 1000);
        uint64_t now_us = r.now_us;
        if (why == 0) {
            r.core.local.info.has &= ~(1U << INFO_SLAVE_READ_OFFSET);
        } else if (why == 1) {
            r.core.local.info.has &= ~(1U << INFO_SLAVE_OFFSET);
        } else if (why == 2) {
            r.core.local.role.link = REPL_LINK_CONNECT;
        } else if (why == 3) {
            r.core.local.run_id[0] = '\0';
        } else {
            r.core.local.info_us = now_us - ROLE_PROOF_US;
            assert_true(lag_ok(&r, 0, now_us));
            r.core.local.info_us = now_us - ROLE_PROOF_US - 1;
        }
        assert_false(lag_ok(&r, PROBE_NO_LIMIT - 1, now_us));
        assert_true(lag_ok(&r, PROBE_NO_LIMIT, now_us));
        assert_true(is_ok(&r, PROBE_READY));
    }
}

static void test_lag_is_asked_of_replicas_only(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    struct probe_answer a = ask_at(&r, PROBE_READY, r.now_us);
    assert_null(check_of(&a, "sync"));
    r = replica_with_lag(1500, 1000);
    probe_answer(&r.core, PROBE_READY, 1, r.now_us, &a); /* the limit is /replica's */
    assert_true(a.ok);
    assert_false(check_of(&a, "sync")->counts);
}

/* ---- what only tells ---- */

static void test_silent_sentinels_are_told(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    struct probe_answer a = ask_at(&r, PROBE_MASTER, r.now_us);
    assert_true(check_of(&a, "sentinel")->ok);
    assert_says(check_of(&a, "sentinel"), "3 of 3 answer; verdict me; epoch 5 names 10.0.0.1:6379");
    for (size_t slot = 0; slot < 3; slot++) {
        rig_slot_event(&r, CORE_SENTINEL_DOWN, slot);
    }
    uint64_t since_us = r.now_us;
    while (r.now_us < since_us + 600000000) {
        rig_tick(&r, CORE_LOCAL_PERIOD_US);
        rig_role(&r, REDIS_ROLE_MASTER);
        rig_info(&r, RUN_A);
    }
    static const enum probe probes[] = {PROBE_MASTER, PROBE_READY, PROBE_READ_ONLY};
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        a = ask_at(&r, probes[i], r.now_us);
        assert_true(a.ok);
        assert_false(check_of(&a, "sentinel")->ok);
        assert_says(check_of(&a, "sentinel"), "0 of 3 answer, which is no majority; master is "
                                              "held, for 600000 ms now");
    }
}

static void test_a_majority_without_a_master_is_told(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    for (size_t slot = 0; slot < 3; slot++) {
        r.core.evidence.sentinels[slot].view.knows_master = false;
    }
    struct probe_answer a = ask_at(&r, PROBE_MASTER, r.now_us);
    assert_says(check_of(&a, "sentinel"), "agree on no master");
    assert_true(a.ok);
}

static void test_the_label_is_told(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    struct probe_answer a = ask_at(&r, PROBE_READY, r.now_us);
    assert_true(check_of(&a, "label")->ok);
    assert_says(check_of(&a, "label"), "master at epoch 5 is stored");
    assert_says(check_of(&a, "api"), "no request was needed yet");
    rig_pod(&r, rig_pod_of(0, "replica", EPOCH));
    a = ask_at(&r, PROBE_READY, r.now_us + 7000);
    assert_true(a.ok);
    assert_false(check_of(&a, "label")->ok);
    assert_says(check_of(&a, "label"), "master at epoch 5 is wanted, for 7 ms; the stored label "
                                       "is replica at epoch 5");
    rig_pod(&r, rig_pod_of(0, "", 0));
    a = ask_at(&r, PROBE_READY, r.now_us);
    assert_says(check_of(&a, "label"), "the stored label is absent");
    r.core.label.foreign = true;
    a = ask_at(&r, PROBE_READY, r.now_us);
    assert_true(a.ok);
    assert_says(check_of(&a, "label"), "gone or another one");
}

static void test_the_label_before_anything_is_known(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    struct probe_answer a = ask_at(&r, PROBE_READY, r.now_us);
    assert_false(a.ok);
    assert_says(check_of(&a, "label"), "the stored label is not known; nothing is decided yet");
    assert_says(check_of(&a, "role"), "unset");
    assert_says(check_of(&a, "redis"), "not yet connected");
    assert_true(check_of(&a, "redis")->age_us == UINT64_MAX);
}

static void test_every_answer_of_the_api_is_told(void **state)
{
    (void)state;
    static const char *const says[] = {
        [API_OK] = "answered",      [API_UNREACHABLE] = "does not answer",
        [API_UNAUTHORIZED] = "401", [API_FORBIDDEN] = "403",
        [API_NOT_FOUND] = "404",    [API_CONFLICT] = "409",
        [API_INVALID] = "422",      [API_THROTTLED] = "429",
        [API_SERVER_ERROR] = "5xx", [API_OTHER] = "does not know",
    };
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    for (unsigned o = 0; o < API_OUTCOME_COUNT; o++) {
        r.core.label.last = (enum api_outcome)o;
        r.core.label.last_us = r.now_us - 4000;
        struct probe_answer a = ask_at(&r, PROBE_MASTER, r.now_us);
        assert_true(a.ok);
        assert_int_equal(check_of(&a, "api")->ok, o == API_OK);
        assert_int_equal(check_of(&a, "api")->age_us, 4000);
        assert_says(check_of(&a, "api"), says[o]);
    }
}

static void test_what_is_not_there_is_not_told(void **state)
{
    (void)state;
    struct rig r;
    struct core_config cfg = rig_config();
    cfg.mode = CORE_MODE_STANDALONE;
    cfg.sentinel_count = 0;
    cfg.labels = false;
    rig_init_with(&r, &cfg);
    rig_event(&r, CORE_LOCAL_UP);
    rig_role(&r, REDIS_ROLE_MASTER);
    struct probe_answer a = ask_at(&r, PROBE_MASTER, r.now_us);
    assert_true(a.ok);
    assert_null(check_of(&a, "sentinel"));
    assert_null(check_of(&a, "label"));
    assert_null(check_of(&a, "api"));
}

/* Readiness follows the role, never the deletion timestamp. */
static void test_a_terminating_master_is_ready(void **state)
{
    (void)state;
    struct rig r;
    settled(&r, REDIS_ROLE_MASTER);
    struct pod p = rig_pod_of(0, "master", EPOCH);
    p.terminating = true;
    rig_pod(&r, p);
    assert_true(is_ok(&r, PROBE_READY) && is_ok(&r, PROBE_MASTER));
    settled(&r, REDIS_ROLE_SLAVE);
    p = rig_pod_of(0, "replica", EPOCH);
    p.terminating = true;
    rig_pod(&r, p);
    assert_false(is_ok(&r, PROBE_READY) || is_ok(&r, PROBE_REPLICA));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_every_role),
        cmocka_unit_test(test_answers_expire),
        cmocka_unit_test(test_live_is_about_the_loop),
        cmocka_unit_test(test_startup),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_loading_by_info),
        cmocka_unit_test(test_a_connection_that_was_lost_just_now),
        cmocka_unit_test(test_lag),
        cmocka_unit_test(test_lag_that_is_not_known),
        cmocka_unit_test(test_lag_is_asked_of_replicas_only),
        cmocka_unit_test(test_silent_sentinels_are_told),
        cmocka_unit_test(test_a_majority_without_a_master_is_told),
        cmocka_unit_test(test_the_label_is_told),
        cmocka_unit_test(test_the_label_before_anything_is_known),
        cmocka_unit_test(test_every_answer_of_the_api_is_told),
        cmocka_unit_test(test_what_is_not_there_is_not_told),
        cmocka_unit_test(test_a_terminating_master_is_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
