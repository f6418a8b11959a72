/* Events of Sentinel: those of captured failovers, every type, malformed payloads, cuts. */
#include "lib/codec/sentinel_event.h"

#include "test/unit/support/fixture.h"

#define ID "52f93660999e507abefa4365e00ce45764090531"
#define EVENTS_MAX 64

static struct sentinel_event parse(const char *channel, const char *payload)
{
    struct sentinel_event ev;
    struct err e;

    if (sentinel_event_parse(&ev, sv_from(channel), sv_from(payload), &e) != 0) {
        fail_msg("%s", e.msg);
    }
    return ev;
}

/* A file of captured lines, all of which must parse. */
static size_t parse_file(const char *path, struct sentinel_event events[static EVENTS_MAX])
{
    size_t len, count = 0;
    char *bytes = data_read(path, &len);
    struct sv rest = {bytes, len};

    while (rest.ptr != NULL && rest.len > 0) {
        struct sv payload = sv_split(&rest, '\n');
        struct sv channel = sv_split(&payload, '\t');
        struct err e;
        assert_true(count < EVENTS_MAX);
        if (sentinel_event_parse(&events[count], channel, payload, &e) != 0) {
            fail_msg("%s: %s", path, e.msg);
        }
        if (events[count].type != SENTINEL_EVENT_OTHER) {
            assert_sv_equal(channel, sentinel_event_name(events[count].type));
        }
        count++;
    }
    free(bytes);
    return count;
}

static const struct sentinel_event *find(const struct sentinel_event *events, size_t count,
                                         enum sentinel_event_type type)
{
    for (size_t i = 0; i < count; i++) {
        if (events[i].type == type) {
            return &events[i];
        }
    }
    return NULL;
}

/* The types of `wanted` stand in `events` in this order, with any others between them. */
static void assert_order(const struct sentinel_event *events, size_t count,
                         const enum sentinel_event_type *wanted, size_t wanted_count)
{
    size_t next = 0;

    for (size_t i = 0; i < count && next < wanted_count; i++) {
        next += events[i].type == wanted[next];
    }
    if (next < wanted_count) {
        fail_msg("%s is missing or out of order", sentinel_event_name(wanted[next]));
    }
}

static const enum sentinel_event_type leader_crash[] = {
    SENTINEL_EVENT_SDOWN,          SENTINEL_EVENT_ODOWN,          SENTINEL_EVENT_NEW_EPOCH,
    SENTINEL_EVENT_TRY_FAILOVER,   SENTINEL_EVENT_VOTE,           SENTINEL_EVENT_ELECTED_LEADER,
    SENTINEL_EVENT_SELECT_SLAVE,   SENTINEL_EVENT_SELECTED_SLAVE, SENTINEL_EVENT_SEND_NOONE,
    SENTINEL_EVENT_WAIT_PROMOTION, SENTINEL_EVENT_PROMOTED_SLAVE, SENTINEL_EVENT_RECONF_SLAVES,
    SENTINEL_EVENT_FAILOVER_END,   SENTINEL_EVENT_SWITCH_MASTER,  SENTINEL_EVENT_SLAVE,
};
static const enum sentinel_event_type follower[] = {
    SENTINEL_EVENT_NEW_EPOCH,
    SENTINEL_EVENT_CONFIG_UPDATE,
    SENTINEL_EVENT_SWITCH_MASTER,
    SENTINEL_EVENT_SLAVE,
};

/* What the events of one Sentinel about one failover say of each other. */
static void assert_consistent(const struct sentinel_event *events, size_t count)
{
    const struct sentinel_event *sw = find(events, count, SENTINEL_EVENT_SWITCH_MASTER);

    assert_non_null(sw);
    assert_true(sw->about_master);
    assert_false(addr_eq(&sw->instance, &sw->master));
    bool before = true;
    for (size_t i = 0; i < count; i++) {
        const struct sentinel_event *ev = &events[i];
        before = before && ev != sw;
        if (addr_is_set(&ev->instance)) {
            assert_string_equal(ev->master_name, "mymaster");
            assert_true(ev == sw || addr_eq(&ev->master, before ? &sw->master : &sw->instance));
            assert_true(ev == sw || ev->about_master == addr_eq(&ev->instance, &ev->master));
        }
        if (ev->type == SENTINEL_EVENT_SELECTED_SLAVE ||
            ev->type == SENTINEL_EVENT_PROMOTED_SLAVE) {
            assert_true(addr_eq(&ev->instance, &sw->instance));
            assert_false(ev->about_sentinel);
        }
        if (ev->type == SENTINEL_EVENT_CONFIG_UPDATE) {
            assert_true(ev->about_sentinel);
        }
    }
}

static void test_captured_failovers(void **state)
{
    (void)state;
    static const char *const kinds[] = {"crash", "planned"};

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        unsigned leaders = 0;
        for (int sentinel = 0; sentinel < 3; sentinel++) {
            struct sentinel_event events[EVENTS_MAX];
            char path[64];
            (void)snprintf(path, sizeof(path), "sentinel/events_%s_%d.txt", kinds[k], sentinel);
            size_t count = parse_file(path, events);
            assert_consistent(events, count);
            const struct sentinel_event *epoch = find(events, count, SENTINEL_EVENT_NEW_EPOCH);
            const struct sentinel_event *vote = find(events, count, SENTINEL_EVENT_VOTE);
            assert_int_equal(epoch->epoch, k + 1);
            assert_true(vote == NULL || vote->epoch == epoch->epoch);
            assert_true(vote == NULL || strlen(vote->leader_id) == RUN_ID_LEN);
            if (find(events, count, SENTINEL_EVENT_ELECTED_LEADER) == NULL) {
                assert_order(events, count, follower, ARRAY_LEN(follower));
                continue;
            }
            leaders++;
            /* A planned failover has no +sdown and +odown. */
            size_t skip = k == 0 ? 0 : 2;
            assert_order(events, count, leader_crash + skip, ARRAY_LEN(leader_crash) - skip);
        }
        assert_int_equal(leaders, 1);
    }
}

static void test_captured_rare_events(void **state)
{
    (void)state;
    struct sentinel_event events[EVENTS_MAX];
    size_t count = parse_file("sentinel/events_rare.txt", events);

    assert_true(find(events, count, SENTINEL_EVENT_RESET_MASTER)->about_master);
    assert_true(find(events, count, SENTINEL_EVENT_SENTINEL)->about_sentinel);
    const struct sentinel_event *monitor = find(events, count, SENTINEL_EVENT_MONITOR);
    assert_string_equal(monitor->master_name, "another");
    assert_true(monitor->about_master);
    const struct sentinel_event *tilt = find(events, count, SENTINEL_EVENT_TILT);
    assert_string_equal(tilt->master_name, "");
    assert_false(addr_is_set(&tilt->instance));
}

static void test_every_type_about_an_instance(void **state)
{
    (void)state;
    for (int t = SENTINEL_EVENT_SDOWN; t < SENTINEL_EVENT_COUNT; t++) {
        enum sentinel_event_type type = (enum sentinel_event_type)t;
        const char *name = sentinel_event_name(type);
        struct sentinel_event ev;
        bool own_form = type == SENTINEL_EVENT_SWITCH_MASTER || type == SENTINEL_EVENT_NEW_EPOCH ||
                        type == SENTINEL_EVENT_VOTE || type == SENTINEL_EVENT_TILT ||
                        type == SENTINEL_EVENT_NOT_TILT;

        assert_true(name[0] == '+' || name[0] == '-');
        for (int other = 0; other < t; other++) {
            assert_string_not_equal(name, sentinel_event_name((enum sentinel_event_type)other));
        }
        if (own_form) {
            continue;
        }
        ev = parse(name, "master m1 10.0.0.1 6379");
        assert_int_equal(ev.type, type);
        assert_true(ev.about_master);
        assert_false(ev.about_sentinel);
        assert_string_equal(ev.master_name, "m1");
        assert_true(addr_eq(&ev.instance, &ev.master));
        ev =
            parse(name, "slave [fd00::2]:6380 fd00::2 6380 @ m1 redis-0.redis 6379 and more words");
        assert_false(ev.about_master || ev.about_sentinel);
        assert_string_equal(ev.instance.host, "fd00::2");
        assert_int_equal(ev.instance.port, 6380);
        assert_string_equal(ev.master.host, "redis-0.redis");
        assert_int_equal(ev.master.port, 6379);
        ev = parse(name, "sentinel " ID " 10.0.0.9 26379 @ m1 10.0.0.1 6379");
        assert_true(ev.about_sentinel);
        assert_false(ev.about_master);
        assert_int_equal(sentinel_event_parse(&ev, sv_from(name), SV("master m1"), NULL), -1);
    }
}

static void test_forms_of_their_own(void **state)
{
    (void)state;
    struct sentinel_event ev = parse("+switch-master", "m1 10.0.0.1 6379 redis-1 6380");

    assert_string_equal(ev.master_name, "m1");
    assert_string_equal(ev.master.host, "10.0.0.1");
    assert_int_equal(ev.master.port, 6379);
    assert_string_equal(ev.instance.host, "redis-1");
    assert_int_equal(ev.instance.port, 6380);
    ev = parse("+new-epoch", "18446744073709551615");
    assert_true(ev.epoch == UINT64_MAX);
    assert_string_equal(ev.master_name, "");
    ev = parse("+vote-for-leader", ID " 9");
    assert_string_equal(ev.leader_id, ID);
    assert_int_equal(ev.epoch, 9);
    ev = parse("+tilt", "#tilt mode entered");
    assert_int_equal(ev.type, SENTINEL_EVENT_TILT);
    ev = parse("-tilt", "");
    assert_int_equal(ev.type, SENTINEL_EVENT_NOT_TILT);
}

static void test_unknown_channels_are_no_error(void **state)
{
    (void)state;
    static const char *const channels[] = {
        "+slave-reconf-sent", "+SDOWN", "sdown", "", "+sdown2", "__sentinel__:hello",
    };
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        struct sentinel_event ev = parse(channels[i], "anything at all");
        assert_int_equal(ev.type, SENTINEL_EVENT_OTHER);
        assert_string_equal(ev.master_name, "");
        assert_false(addr_is_set(&ev.instance));
    }
}

static const struct {
    const char *channel, *payload;
} malformed[] = {
    {"+sdown", ""},
    {"+sdown", "master"},
    {"+sdown", "master m1 10.0.0.1"},
    {"+sdown", "master m1 10.0.0.1 0"},
    {"+sdown", "master m1 10.0.0.1 x"},
    {"+sdown", "master m1 10.0.0.1 65536"},
    {"+sdown", "master  10.0.0.1 6379"},
    {"+sdown", "master m1  6379"},
    {"+sdown", "replica r1 10.0.0.2 6379 @ m1 10.0.0.1 6379"},
    {"+sdown", " master m1 10.0.0.1 6379"},
    {"+sdown", "slave s1 10.0.0.2 6379"},
    {"+sdown", "slave s1 10.0.0.2 6379 @"},
    {"+sdown", "slave s1 10.0.0.2 6379 @ m1"},
    {"+sdown", "slave s1 10.0.0.2 6379 @ m1 10.0.0.1"},
    {"+sdown", "slave s1 10.0.0.2 6379 @ m1 10.0.0.1 x"},
    {"+sdown", "slave s1 10.0.0.2 6379 # m1 10.0.0.1 6379"},
    {"+sdown", "slave s1 10.0.0.2 6379 @  10.0.0.1 6379"},
    {"+switch-master", ""},
    {"+switch-master", "m1 10.0.0.1 6379 10.0.0.2"},
    {"+switch-master", " 10.0.0.1 6379 10.0.0.2 6379"},
    {"+switch-master", "m1 10.0.0.1 0 10.0.0.2 6379"},
    {"+switch-master", "m1 10.0.0.1 6379 10.0.0.2 6379x"},
    {"+switch-master", "m1  6379 10.0.0.2 6379"},
    {"+new-epoch", ""},
    {"+new-epoch", "x"},
    {"+new-epoch", "-1"},
    {"+vote-for-leader", ""},
    {"+vote-for-leader", ID},
    {"+vote-for-leader", ID " x"},
    {"+vote-for-leader", ID "0 1"},
    {"+vote-for-leader", "52f93660999e507abefa4365e00ce4576409053 1"},
    {"+config-update-from", "10.0.0.1 26379"},
};

static void test_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        struct sentinel_event ev = {.epoch = 77};
        struct err e = {.code = ERR_NONE};
        int rc = sentinel_event_parse(&ev, sv_from(malformed[i].channel),
                                      sv_from(malformed[i].payload), &e);
        if (rc == 0) {
            fail_msg("%s '%s' was taken", malformed[i].channel, malformed[i].payload);
        }
        assert_err(rc, &e, ERR_PROTO);
        assert_int_equal(ev.epoch, 77);
    }
    struct sentinel_event ev;
    assert_int_equal(sentinel_event_parse(&ev, SV("+sdown"), sv_from(NULL), NULL), -1);
    assert_int_equal(sentinel_event_parse(&ev, SV("+sdown"), SV("master m\0 h 1"), NULL), -1);
    assert_int_equal(sentinel_event_parse(&ev, SV("+vote-for-leader"),
                                          SV("52f93660999e507abefa4365e00ce4576409053\0 1"), NULL),
                     -1);
    assert_int_equal(sentinel_event_parse(&ev, sv_from(NULL), sv_from(NULL), NULL), 0);
}

static void test_limits(void **state)
{
    (void)state;
    char payload[SENTINEL_PAYLOAD_MAX + 1];
    struct sentinel_event ev;
    struct err e = {.code = ERR_NONE};

    memset(payload, 'x', sizeof(payload));
    memcpy(payload, "master m1 10.0.0.1 6379 ", 24);
    struct sv fits = {payload, SENTINEL_PAYLOAD_MAX}, too_long = {payload, sizeof(payload)};
    assert_int_equal(sentinel_event_parse(&ev, SV("+sdown"), fits, &e), 0);
    assert_err(sentinel_event_parse(&ev, SV("+sdown"), too_long, &e), &e, ERR_LIMIT);
    assert_err(sentinel_event_parse(&ev, SV("+unknown"), too_long, &e), &e, ERR_LIMIT);

    for (size_t len = sizeof(ev.master_name) - 1; len <= sizeof(ev.master_name); len++) {
        int n = snprintf(payload, sizeof(payload), "%0*d 10.0.0.1 1 10.0.0.2 1", (int)len, 0);
        int rc =
            sentinel_event_parse(&ev, SV("+switch-master"), (struct sv){payload, (size_t)n}, &e);
        assert_int_equal(rc, len < sizeof(ev.master_name) ? 0 : -1);
    }
}

static void test_every_cut(void **state)
{
    (void)state;
    static const struct {
        const char *channel, *payload;
        size_t whole; /* bytes from which on it is complete */
    } rows[] = {
        {"+sdown", "slave s1 10.0.0.2 6379 @ m1 10.0.0.1 6379", 38},
        {"+odown", "master m1 10.0.0.1 6379 #quorum 2/2", 20},
        {"+switch-master", "m1 10.0.0.1 6379 10.0.0.2 6379", 27},
        {"+vote-for-leader", ID " 12", 42},
        {"+new-epoch", "12", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t cut = 0; cut <= strlen(rows[i].payload); cut++) {
            char *exact = bytes_dup((struct sv){rows[i].payload, cut});
            struct sentinel_event ev;
            int rc =
                sentinel_event_parse(&ev, sv_from(rows[i].channel), (struct sv){exact, cut}, NULL);
            if ((rc == 0) != (cut >= rows[i].whole)) {
                fail_msg("%s '%.*s'", rows[i].channel, (int)cut, rows[i].payload);
            }
            free(exact);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_failovers),
        cmocka_unit_test(test_captured_rare_events),
        cmocka_unit_test(test_every_type_about_an_instance),
        cmocka_unit_test(test_forms_of_their_own),
        cmocka_unit_test(test_unknown_channels_are_no_error),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
