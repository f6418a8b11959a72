/* The core's requests to the API server, several at once, and the Events of its decisions. */
#include "agent/shell/kube_port.h"

#include "lib/base/mem.h"
#include "test/io/http_peer.h"
#include "test/io/port_log.h"

#define POD(name, uid)                                                       \
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name \
    "\",\"namespace\":\"ns\",\"uid\":\"" uid "\",\"resourceVersion\":\"5\"}}"
#define CONFLICT "{\"kind\":\"Status\",\"code\":409,\"reason\":\"Conflict\",\"message\":\"no\"}"

struct port_fixture {
    struct bed bed;
    struct peer peer;
    char url[64];
    struct config *cfg;
    struct port_counters counters;
    struct port_log *log;
    struct kube_port *port;
};

static int setup(void **state)
{
    struct port_fixture *f = xcalloc(1, sizeof *f);
    f->cfg = xcalloc(1, sizeof *f->cfg);
    f->log = xcalloc(1, sizeof *f->log);
    f->port = xcalloc(1, sizeof *f->port);
    bed_open(&f->bed);
    peer_open(&f->peer, &f->bed);
    f->cfg->kube = true;
    f->cfg->keys.role = "role";
    (void)str_copy(f->cfg->kube_url, sizeof f->cfg->kube_url,
                   sv_from(peer_url(&f->peer, "", f->url, sizeof f->url)));
    (void)str_copy(f->cfg->pod_name, sizeof f->cfg->pod_name, SV("redis-0"));
    (void)str_copy(f->cfg->pod_namespace, sizeof f->cfg->pod_namespace, SV("ns"));
    f->cfg->pod_selector = "app=redis";
    kube_port_init(f->port, &f->bed.loop, f->cfg, port_log_sink(f->log), &f->counters);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct port_fixture *f = *state;
    bool closed = false;
    kube_port_close(f->port, bed_on_closed, &closed);
    BED_RUN_UNTIL(&f->bed, closed);
    peer_close(&f->peer);
    bed_close(&f->bed);
    free(f->port);
    free(f->log);
    free(f->cfg);
    free(f);
    return 0;
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static size_t find_request(const struct peer *p, const char *text)
{
    size_t i = 0;
    while (i < p->requests_count && !peer_got(p, i, text)) {
        i++;
    }
    return i;
}

/* The request with this text; waits for it. */
static size_t request(struct port_fixture *f, const char *text)
{
    BED_RUN_UNTIL(&f->bed, find_request(&f->peer, text) < f->peer.requests_count);
    return find_request(&f->peer, text);
}

static void reply(struct port_fixture *f, size_t request, const char *status, const char *json)
{
    AUTO_BUF struct buf b;
    buf_init(&b, 64 * 1024);
    buf_addf(&b, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             status, strlen(json), json);
    assert_false(b.overflow);
    wire_send(peer_wire(&f->peer, request), buf_sv(&b));
}

static const struct port_told *until_done(struct port_fixture *f, uint64_t op)
{
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_API_DONE, op) > 0);
    assert_int_equal(port_log_count(f->log, CORE_API_DONE, op), 1);
    return port_log_last(f->log, CORE_API_DONE, op);
}

static struct pod peer_pod(const char *name)
{
    struct pod p = {.uid = "u", .resource_version = "77", .role = "master"};
    (void)snprintf(p.name, sizeof p.name, "%s", name);
    return p;
}

static void test_own_and_peers_go_out_in_parallel(void **state)
{
    struct port_fixture *f = *state;
    struct label_value own = {.role = ROLE_MASTER, .epoch = 4};
    struct pod one = peer_pod("redis-1");
    struct pod two = peer_pod("redis-2");
    assert_true(kube_port_patch(f->port, 10, "uid-0", &own));
    assert_true(kube_port_demote(f->port, 11, &one, 4));
    assert_true(kube_port_demote(f->port, 12, &two, 4));
    size_t first = request(f, "PATCH /api/v1/namespaces/ns/pods/redis-0 ");
    size_t second = request(f, "PATCH /api/v1/namespaces/ns/pods/redis-1 ");
    size_t third = request(f, "PATCH /api/v1/namespaces/ns/pods/redis-2 ");
    assert_true(peer_got(&f->peer, first, "\"role\":\"master\""));
    assert_true(peer_got(&f->peer, second, "\"role\":\"demoted\""));
    assert_true(peer_got(&f->peer, second, "\"resourceVersion\":\"77\""));
    assert_true(peer_got(&f->peer, second, "demoted-by-epoch\":\"4\""));
    /* Answered in another order than asked. */
    reply(f, third, "409 Conflict", CONFLICT);
    assert_int_equal(until_done(f, 12)->ev.u.api.outcome, API_CONFLICT);
    reply(f, second, "200 OK", POD("redis-1", "u"));
    assert_int_equal(until_done(f, 11)->ev.u.api.outcome, API_OK);
    assert_int_equal(port_log_count(f->log, CORE_API_DONE, 10), 0);
    reply(f, first, "200 OK", POD("redis-0", "uid-0"));
    assert_true(until_done(f, 10)->has);
}

static void test_the_handover_annotation_is_removed(void **state)
{
    struct port_fixture *f = *state;
    assert_true(kube_port_clear_handover(f->port, 3, "uid-0"));
    size_t i = request(f, "PATCH /api/v1/namespaces/ns/pods/redis-0 ");
    assert_true(peer_got(&f->peer, i, "\"redis-pod-agent/handover\":null"));
    assert_true(peer_got(&f->peer, i, "\"uid\":\"uid-0\""));
    reply(f, i, "200 OK", POD("redis-0", "uid-0"));
    assert_int_equal(until_done(f, 3)->ev.u.api.outcome, API_OK);
}

static void test_many_at_once(void **state)
{
    struct port_fixture *f = *state;
    struct pod peer = peer_pod("redis-1");
    for (uint64_t op = 1; op <= CORE_PEERS_MAX; op++) {
        assert_true(kube_port_demote(f->port, op, &peer, 4));
    }
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        BED_RUN_UNTIL(&f->bed, f->peer.requests_count > i);
        reply(f, i, "200 OK", POD("redis-1", "u"));
    }
    BED_RUN_UNTIL(&f->bed, port_log_count(f->log, CORE_API_DONE, 0) == CORE_PEERS_MAX);
    for (uint64_t op = 1; op <= CORE_PEERS_MAX; op++) {
        assert_int_equal(until_done(f, op)->ev.u.api.outcome, API_OK);
    }
}

/* --- Events ----------------------------------------------------------------------------------- */

static struct history_entry decision(enum mechanism m, enum decision what, uint64_t at_us)
{
    struct history_entry e = {.mechanism = m,
                              .what = what,
                              .at_us = at_us,
                              .wall_ms = 1000,
                              .epoch = 9,
                              .why = WHY_PROCESS_ENDED,
                              .addr = {.host = "10.0.0.2", .port = 6379}};
    return e;
}

static void test_decisions_become_events(void **state)
{
    struct port_fixture *f = *state;
    static const struct {
        enum decision what;
        const char *reason, *text;
    } rows[] = {
        {DECIDED_STAND, "FailoverStarted", "10.0.0.2:6379: the process of redis-server has ended"},
        {DECIDED_COMMITTED, "FailoverDone", "names the new master 10.0.0.2:6379"},
        {DECIDED_GIVE_UP, "FailoverGivenUp", "\"type\":\"Warning\""},
        {DECIDED_FENCE_ON, "Fenced", "\"type\":\"Warning\""},
        {DECIDED_FENCE_OFF, "Unfenced", "\"type\":\"Normal\""},
        {DECIDED_DEMOTE_PEER, "PeerDemoted", "demotes a peer's label 10.0.0.2: "},
    };
    kube_port_start(f->port);
    reply(f, request(f, "GET /api/v1/namespaces/ns/pods/redis-0 "), "200 OK",
          POD("redis-0", "uid-0"));
    (void)request(f, "GET /api/v1/namespaces/ns/pods?");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct history_entry e = decision(MECHANISM_CRASH, rows[i].what, 1);
        char reason[64];
        kube_port_decision(f->port, &e);
        (void)snprintf(reason, sizeof reason, "\"reason\":\"%s\"", rows[i].reason);
        size_t at = request(f, reason);
        assert_true(peer_got(&f->peer, at, rows[i].text));
        assert_true(peer_got(&f->peer, at, "crash: "));
        reply(f, at, "201 Created", "{}");
        BED_RUN_UNTIL(&f->bed, f->counters.events_sent == i + 1);
    }
}

static void test_what_is_no_event(void **state)
{
    struct port_fixture *f = *state;
    struct history_entry e = decision(MECHANISM_CRASH, DECIDED_ORDER, 1);
    kube_port_decision(f->port, &e);
    assert_int_equal(f->port->queue_len, 0);
    /* Every attempt of one that stands again and again. */
    for (uint64_t at_us = 1; at_us < 9 * 1000 * 1000; at_us += 500 * 1000) {
        e = decision(MECHANISM_REPAIR, DECIDED_STAND, at_us);
        kube_port_decision(f->port, &e);
        e = decision(MECHANISM_REPAIR, DECIDED_GIVE_UP, at_us);
        kube_port_decision(f->port, &e);
    }
    assert_int_equal(f->port->queue_len, 2);
    e = decision(MECHANISM_CRASH, DECIDED_STAND, 9 * 1000 * 1000);
    kube_port_decision(f->port, &e);
    assert_int_equal(f->port->queue_len, 3);
    e = decision(MECHANISM_REPAIR, DECIDED_STAND, 11 * 1000 * 1000);
    kube_port_decision(f->port, &e);
    assert_int_equal(f->port->queue_len, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PORT_TEST(test_own_and_peers_go_out_in_parallel),
        PORT_TEST(test_the_handover_annotation_is_removed),
        PORT_TEST(test_many_at_once),
        PORT_TEST(test_decisions_become_events),
        PORT_TEST(test_what_is_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
