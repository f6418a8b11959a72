/* What is known of the Redis beside the agent, in one word: every fault and loss, first sync,
 * link, another process, and each limit in time. */
#include "agent/core/local.h"

#include "test/unit/core/role_fixture.h"

static const struct role_reply master = {.role = REDIS_ROLE_MASTER, .offset = 1};
static const struct role_reply slave = {.role = REDIS_ROLE_SLAVE, .link = REPL_LINK_CONNECTED};
static const struct role_reply slave_down = {.role = REDIS_ROLE_SLAVE, .link = REPL_LINK_CONNECT};

static struct info info_of(const char *run_id)
{
    struct info info = {.has = 1U << INFO_RUN_ID};
    memcpy(info.run_id, run_id, sizeof info.run_id);
    return info;
}

/* As INFO has it in a slave; down_s < 0: the link is up. */
static struct info slave_info(const char *run_id, bool syncing, int64_t down_s)
{
    struct info info = info_of(run_id);
    info.has |= 1U << INFO_SYNC | 1U << INFO_LINK_UP;
    info.sync_in_progress = syncing;
    info.link_up = down_s < 0;
    if (down_s > 0) {
        info.has |= 1U << INFO_LINK_DOWN_S;
        info.link_down_s = (uint64_t)down_s;
    }
    return info;
}

/* Connected at NOW_US, nothing asked yet. */
static struct local connected(void)
{
    struct local l;
    local_init(&l, NOW_US);
    local_up(&l, NOW_US);
    return l;
}

static void answer(struct local *l, const struct role_reply *role, struct info info, uint64_t us)
{
    local_role(l, role, us, us);
    local_info(l, &info, us, us);
}

static enum role_local at(struct local *l, uint64_t now_us)
{
    local_update(l, now_us);
    return l->state;
}

#define assert_local(l, now_us, wanted) \
    assert_string_equal(role_local_name(at(l, now_us)), role_local_name(wanted))

/* The state turns at at_us and no microsecond earlier, and that is announced. */
static void assert_expires(struct local *l, uint64_t at_us, enum role_local wanted)
{
    enum role_local before = at(l, at_us - 1);
    assert_true(before != wanted);
    for (uint64_t now_us = NOW_US; now_us < at_us;) {
        uint64_t next_us = local_next_deadline(l, now_us);
        assert_true(next_us > now_us && next_us <= at_us);
        assert_local(l, next_us - 1, before);
        now_us = next_us;
    }
    assert_local(l, at_us, wanted);
    assert_int_equal(l->state_since_us, at_us);
    assert_local(l, at_us + 1, wanted);
    assert_int_equal(l->state_since_us, at_us);
}

static void test_never_connected(void **state)
{
    (void)state;
    struct local l;
    local_init(&l, NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_UNKNOWN);
    assert_false(local_is_proven(&l, NOW_US));
    assert_expires(&l, NOW_US + ROLE_PROOF_US + 1, ROLE_LOCAL_SILENT);
    assert_false(l.ever_answered);
}

static void test_role_expires(void **state)
{
    (void)state;
    struct local l = connected();
    local_role(&l, &master, NOW_US, NOW_US + 2000000); /* the answer waited in the socket */
    assert_local(&l, NOW_US + 2000000, ROLE_LOCAL_MASTER);
    assert_true(local_is_proven(&l, NOW_US + ROLE_PROOF_US));
    assert_false(local_is_proven(&l, NOW_US + ROLE_PROOF_US + 1));
    assert_expires(&l, NOW_US + ROLE_PROOF_US + 1, ROLE_LOCAL_SILENT);
    local_role(&l, &master, NOW_US + 9000000, NOW_US + 9000000);
    assert_local(&l, NOW_US + 9000000, ROLE_LOCAL_MASTER);
}

static void test_refused_is_dead(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &master, info_of(RUN_A), NOW_US);
    local_lost(&l, LOCAL_DOWN_CLOSED, NOW_US + 1);
    assert_local(&l, NOW_US + 1, ROLE_LOCAL_MASTER); /* the proof is still young */
    local_lost(&l, LOCAL_DOWN_REFUSED, NOW_US + 2);
    local_lost(&l, LOCAL_DOWN_REFUSED, NOW_US + 3);
    assert_local(&l, NOW_US + 3, ROLE_LOCAL_DEAD);
    assert_int_equal(l.refused_since_us, NOW_US + 2);
    assert_string_equal(l.run_id, "");
    /* A time-out in between: not known to be dead any more. */
    local_lost(&l, LOCAL_DOWN_SILENT, NOW_US + 4);
    assert_local(&l, NOW_US + 4, ROLE_LOCAL_MASTER);
    local_lost(&l, LOCAL_DOWN_REFUSED, NOW_US + 5);
    assert_int_equal(l.refused_since_us, NOW_US + 5);
    local_up(&l, NOW_US + 6);
    assert_int_equal(l.refused_since_us, 0);
    assert_true(l.ever_answered);
}

static void test_lost_otherwise(void **state)
{
    (void)state;
    static const enum local_down downs[] = {LOCAL_DOWN_CLOSED, LOCAL_DOWN_SILENT,
                                            LOCAL_DOWN_BROKEN};
    for (size_t i = 0; i < ARRAY_LEN(downs); i++) {
        struct local l = connected();
        answer(&l, &master, info_of(RUN_A), NOW_US);
        local_lost(&l, downs[i], NOW_US + 1);
        assert_expires(&l, NOW_US + ROLE_PROOF_US + 1, ROLE_LOCAL_SILENT);
    }
    struct local l = connected();
    answer(&l, &master, info_of(RUN_A), NOW_US);
    local_lost(&l, LOCAL_DOWN_DENIED, NOW_US + 1);
    assert_local(&l, NOW_US + 1, ROLE_LOCAL_DENIED);
    assert_local(&l, NOW_US + 3600000000U, ROLE_LOCAL_DENIED);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        enum resp_fault fault;
        enum role_local at_once;
        enum role_local after_proof;
    } rows[] = {
        {RESP_FAULT_LOADING, ROLE_LOCAL_LOADING, ROLE_LOCAL_SILENT},
        {RESP_FAULT_BUSY, ROLE_LOCAL_BUSY, ROLE_LOCAL_SILENT},
        {RESP_FAULT_NOAUTH, ROLE_LOCAL_DENIED, ROLE_LOCAL_DENIED},
        {RESP_FAULT_WRONGPASS, ROLE_LOCAL_DENIED, ROLE_LOCAL_DENIED},
        {RESP_FAULT_NOPERM, ROLE_LOCAL_DENIED, ROLE_LOCAL_DENIED},
        {RESP_FAULT_MASTERDOWN, ROLE_LOCAL_UNKNOWN, ROLE_LOCAL_SILENT},
        {RESP_FAULT_OTHER, ROLE_LOCAL_UNKNOWN, ROLE_LOCAL_SILENT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct local l = connected();
        answer(&l, &master, info_of(RUN_A), NOW_US);
        local_fault(&l, rows[i].fault, NOW_US);
        assert_false(local_is_proven(&l, NOW_US));
        assert_local(&l, NOW_US, rows[i].at_once);
        assert_local(&l, NOW_US + ROLE_PROOF_US, rows[i].at_once);
        assert_local(&l, NOW_US + ROLE_PROOF_US + 1, rows[i].after_proof);
        /* A good ROLE ends it, a new connection forgets it. */
        struct local again = l;
        local_role(&l, &master, NOW_US + 9000000, NOW_US + 9000000);
        assert_local(&l, NOW_US + 9000000, ROLE_LOCAL_MASTER);
        local_up(&again, NOW_US + 9000000);
        assert_int_equal(again.fault, RESP_FAULT_NONE);
    }
}

/* LOADING and BUSY go on for as long as they are told. */
static void test_a_fault_that_is_repeated(void **state)
{
    (void)state;
    struct local l = connected();
    for (uint64_t s = 0; s < 60; s++) {
        local_fault(&l, RESP_FAULT_BUSY, NOW_US + s * 1000000);
        assert_local(&l, NOW_US + s * 1000000 + 999999, ROLE_LOCAL_BUSY);
    }
    assert_int_equal(l.state_since_us, NOW_US + 999999);
}

/* ROLE is answered while the data set is read; INFO tells that it is. */
static void test_loading_by_info(void **state)
{
    (void)state;
    struct local l = connected();
    struct info info = info_of(RUN_A);
    info.has |= 1U << INFO_LOADING;
    info.loading = true;
    answer(&l, &master, info, NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_LOADING);
    assert_true(local_is_proven(&l, NOW_US));
    info.loading = false;
    local_info(&l, &info, NOW_US + 1, NOW_US + 1);
    assert_local(&l, NOW_US + 1, ROLE_LOCAL_MASTER);
}

static void test_not_the_redis_that_was_meant(void **state)
{
    (void)state;
    struct local l = connected();
    struct info info = info_of(RUN_A);
    info.has |= 1U << INFO_CLUSTER;
    info.cluster_enabled = true;
    answer(&l, &master, info, NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_CLUSTER);
    static const struct role_reply sentinel = {.role = REDIS_ROLE_SENTINEL};
    struct local s = connected();
    answer(&s, &sentinel, info_of(RUN_A), NOW_US);
    assert_local(&s, NOW_US, ROLE_LOCAL_SENTINEL);
}

static void test_first_sync(void **state)
{
    (void)state;
    struct local l = connected();
    local_role(&l, &slave_down, NOW_US, NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_UNKNOWN); /* no INFO yet: "not done" is no fact */
    struct info info = slave_info(RUN_A, true, 0);
    local_info(&l, &info, NOW_US, NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_SYNCING);
    /* The link is up for ROLE, but the data set is still coming. */
    answer(&l, &slave, slave_info(RUN_A, true, -1), NOW_US + 1);
    assert_local(&l, NOW_US + 1, ROLE_LOCAL_SYNCING);
    /* A newer ROLE waits for the INFO that belongs to it. */
    local_role(&l, &slave, NOW_US + 2, NOW_US + 2);
    assert_local(&l, NOW_US + 2, ROLE_LOCAL_UNKNOWN);
    info = slave_info(RUN_A, false, -1);
    local_info(&l, &info, NOW_US + 2, NOW_US + 2);
    assert_local(&l, NOW_US + 2, ROLE_LOCAL_SLAVE);
    /* Once done it stays done: a later full sync is not a first one. */
    answer(&l, &slave_down, slave_info(RUN_A, true, 0), NOW_US + 3);
    assert_local(&l, NOW_US + 3, ROLE_LOCAL_SLAVE);
}

/* A slave that never had a link tells no number of seconds; one that had, does. */
static void test_first_sync_of_an_agent_that_starts_late(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &slave_down, slave_info(RUN_A, false, 0), NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_SYNCING);
    answer(&l, &slave_down, slave_info(RUN_A, false, 5), NOW_US + 1);
    assert_local(&l, NOW_US + 1, ROLE_LOCAL_SLAVE);
    struct local down = connected();
    answer(&down, &slave_down, slave_info(RUN_A, false, 61), NOW_US);
    assert_local(&down, NOW_US, ROLE_LOCAL_LINK_DOWN);
}

static void test_link_tolerance(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &slave, slave_info(RUN_A, false, -1), NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_SLAVE);
    uint64_t since_us = NOW_US + 1000000;
    uint64_t us = since_us;
    for (; us < since_us + LOCAL_LINK_DOWN_US; us += 1000000) {
        answer(&l, &slave_down, slave_info(RUN_A, false, 0), us);
        assert_local(&l, us, ROLE_LOCAL_SLAVE);
    }
    local_role(&l, &slave_down, us, us);
    assert_local(&l, us, ROLE_LOCAL_SLAVE);
    assert_int_equal(local_next_deadline(&l, us), us + 1);
    assert_local(&l, us + 1, ROLE_LOCAL_LINK_DOWN);
    local_role(&l, &slave, us + 2, us + 2);
    assert_local(&l, us + 2, ROLE_LOCAL_SLAVE);
    /* Up in between: the minute begins anew. */
    local_role(&l, &slave_down, us + 3, us + 3);
    assert_int_equal(l.link_down_since_us, us + 3);
}

/* Redis knows better than we since when its link is down. */
static void test_link_tolerance_counts_redis_seconds(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &slave_down, slave_info(RUN_A, false, 59), NOW_US);
    assert_local(&l, NOW_US, ROLE_LOCAL_SLAVE);
    uint64_t end_us = NOW_US - 59000000 + LOCAL_LINK_DOWN_US;
    assert_int_equal(local_next_deadline(&l, NOW_US), end_us + 1);
    assert_local(&l, end_us, ROLE_LOCAL_SLAVE);
    assert_local(&l, end_us + 1, ROLE_LOCAL_LINK_DOWN);
    /* An absurd number is only long ago. */
    struct info info = slave_info(RUN_A, false, INT64_MAX);
    local_info(&l, &info, end_us + 2, end_us + 2);
    assert_local(&l, end_us + 2, ROLE_LOCAL_LINK_DOWN);
}

static void test_another_process_has_synced_nothing(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &slave, slave_info(RUN_A, false, -1), NOW_US);
    local_lost(&l, LOCAL_DOWN_CLOSED, NOW_US + 1);
    local_up(&l, NOW_US + 2);
    local_role(&l, &slave, NOW_US + 2, NOW_US + 2);
    /* It may be the same or not: until INFO says, nothing is known. */
    assert_local(&l, NOW_US + 2, ROLE_LOCAL_UNKNOWN);
    struct local same = l;
    struct info info = slave_info(RUN_A, true, -1);
    local_info(&same, &info, NOW_US + 2, NOW_US + 2);
    assert_local(&same, NOW_US + 2, ROLE_LOCAL_SLAVE);
    info = slave_info(RUN_B, true, -1);
    local_info(&l, &info, NOW_US + 2, NOW_US + 2);
    assert_local(&l, NOW_US + 2, ROLE_LOCAL_SYNCING);
    assert_string_equal(l.run_id, RUN_B);
}

static void test_master_since(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &slave, slave_info(RUN_A, false, -1), NOW_US);
    assert_int_equal(l.master_since_us, 0);
    local_role(&l, &master, NOW_US + 1, NOW_US + 5);
    local_role(&l, &master, NOW_US + 6, NOW_US + 7);
    assert_int_equal(l.master_since_us, NOW_US + 1);
    local_role(&l, &slave, NOW_US + 8, NOW_US + 8);
    assert_int_equal(l.master_since_us, 0);
    local_role(&l, &master, NOW_US + 9, NOW_US + 9);
    local_lost(&l, LOCAL_DOWN_CLOSED, NOW_US + 10);
    assert_int_equal(l.master_since_us, 0);
}

static void test_distrust(void **state)
{
    (void)state;
    struct local l = connected();
    answer(&l, &slave, slave_info(RUN_A, false, -1), NOW_US);
    local_distrust(&l, NOW_US);
    assert_false(local_is_proven(&l, NOW_US));
    assert_string_equal(l.run_id, "");
    assert_local(&l, NOW_US, ROLE_LOCAL_UNKNOWN);
    /* What is no opinion but history stays: the same process had its first sync. */
    answer(&l, &slave, slave_info(RUN_A, false, -1), NOW_US + 1);
    assert_local(&l, NOW_US + 1, ROLE_LOCAL_SLAVE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_connected),
        cmocka_unit_test(test_role_expires),
        cmocka_unit_test(test_refused_is_dead),
        cmocka_unit_test(test_lost_otherwise),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_a_fault_that_is_repeated),
        cmocka_unit_test(test_loading_by_info),
        cmocka_unit_test(test_not_the_redis_that_was_meant),
        cmocka_unit_test(test_first_sync),
        cmocka_unit_test(test_first_sync_of_an_agent_that_starts_late),
        cmocka_unit_test(test_link_tolerance),
        cmocka_unit_test(test_link_tolerance_counts_redis_seconds),
        cmocka_unit_test(test_another_process_has_synced_nothing),
        cmocka_unit_test(test_master_since),
        cmocka_unit_test(test_distrust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
