/* No gap and no duplicate: clients follow model API servers whose Pods keep changing while
 * list pages expire, streams break, lines are cut and histories are compacted, all by one
 * seed (MODEL_SEED; when things meet still depends on the machine). In the end each client
 * must know exactly what its server has, and on the way no change may come twice or out of
 * order. */
#include "test/io/http_peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "lib/base/rng.h"
#include "lib/io/kube_client.h"

#define CLIENTS 12
#define NAMES 9
#define PAGE 4 /* smaller than the client asks for, as a server may */
#define HISTORY_MAX 4096
#define DISRUPTIONS 4 /* of each client: every further one waits about twice as long */
#define RUN_MS 2500

struct change {
    unsigned name;
    bool gone;
};

/* A server, its client, and what the client believes. */
struct side {
    struct peer peer;
    struct kube_client *client;
    char url[64];
    struct rng rng;
    bool closed;
    bool calm;
    unsigned disruptions;

    struct change history[HISTORY_MAX]; /* by resourceVersion */
    uint64_t version;
    uint64_t compacted;      /* what is not above is forgotten */
    uint64_t present[NAMES]; /* resourceVersion; 0: not there */
    struct wire *watcher;
    uint64_t sent;   /* resourceVersion up to which the watcher has been sent */
    uint64_t listed; /* resourceVersion of the list under way */
    uint64_t snapshot[NAMES];

    uint64_t believed[NAMES];
    uint64_t told; /* highest resourceVersion told since the last resync */
    bool live;
    unsigned resyncs;
    unsigned downs;
    unsigned events;
};

/* --- the server ------------------------------------------------------------------------------- */

static void change_something(struct side *s)
{
    unsigned name = (unsigned)rng_below(&s->rng, NAMES);
    bool gone = s->present[name] != 0 && rng_below(&s->rng, 3) == 0;

    REQUIRE(s->version + 1 < HISTORY_MAX);
    s->version++;
    s->history[s->version] = (struct change){name, gone};
    s->present[name] = gone ? 0 : s->version;
}

static void add_pod(struct buf *b, unsigned name, uint64_t version)
{
    buf_addf(b,
             "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"redis-%u\",\"uid\":\"u%u\","
             "\"resourceVersion\":\"%" PRIu64 "\"}}",
             name, name, version);
}

static void send_json(struct wire *w, const char *status, struct sv json)
{
    AUTO_BUF struct buf b;

    buf_init(&b, 1024 * 1024);
    buf_addf(&b, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, json.len);
    buf_add_sv(&b, json);
    wire_send(w, buf_sv(&b));
}

static void send_gone(struct wire *w)
{
    send_json(w, "410 Gone", SV("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}"));
}

static void send_page(struct side *s, struct wire *w, unsigned from)
{
    AUTO_BUF struct buf b;
    unsigned name = from;
    unsigned items = 0;

    if (from == 0) {
        s->listed = s->version;
        memcpy(s->snapshot, s->present, sizeof(s->snapshot));
    }
    buf_init(&b, 1024 * 1024);
    buf_add_str(&b, "{\"kind\":\"PodList\",\"items\":[");
    for (; name < NAMES && items < PAGE; name++) {
        if (s->snapshot[name]) {
            buf_add_str(&b, items++ ? "," : "");
            add_pod(&b, name, s->snapshot[name]);
        }
    }
    buf_addf(&b, "],\"metadata\":{\"resourceVersion\":\"%" PRIu64 "\"", s->listed);
    if (name < NAMES) {
        buf_addf(&b, ",\"continue\":\"%u\"", name);
    }
    buf_add_str(&b, "}}");
    send_json(w, "200 OK", buf_sv(&b));
}

static void send_chunk(struct wire *w, struct sv bytes)
{
    AUTO_BUF struct buf b;

    buf_init(&b, 1024 * 1024);
    buf_addf(&b, "%zx\r\n", bytes.len);
    buf_add_sv(&b, bytes);
    buf_add_str(&b, "\r\n");
    wire_send(w, buf_sv(&b));
}

static void add_event(struct side *s, struct buf *b, uint64_t version)
{
    const struct change *c = &s->history[version];

    buf_addf(b, "{\"type\":\"%s\",\"object\":",
             c->gone ? "DELETED" : (version % 2 ? "ADDED" : "MODIFIED"));
    add_pod(b, c->name, version);
    buf_add_str(b, "}\n");
}

/* Everything that the watcher has not got yet, in two pieces cut anywhere. */
static void feed_watcher(struct side *s)
{
    AUTO_BUF struct buf b;
    size_t cut;

    buf_init(&b, 1024 * 1024);
    if (!s->watcher || s->sent == s->version) {
        return;
    }
    while (s->sent < s->version) {
        add_event(s, &b, ++s->sent);
    }
    if (rng_below(&s->rng, 4) == 0) {
        buf_addf(&b,
                 "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":"
                 "{\"resourceVersion\":\"%" PRIu64 "\"}}}\n",
                 s->sent);
    }
    cut = 1 + (size_t)rng_below(&s->rng, b.len - 1);
    send_chunk(s->watcher, (struct sv){b.data, cut});
    send_chunk(s->watcher, (struct sv){b.data + cut, b.len - cut});
}

static uint64_t number_behind(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void on_request(struct peer *p, size_t request)
{
    struct side *s = container_of(p, struct side, peer);
    const char *text = p->requests[request].text;
    struct wire *w = peer_wire(p, request);
    uint64_t from = number_behind(text, "resourceVersion=");

    if (strstr(text, "watch=true")) {
        if (from < s->compacted) {
            send_gone(w);
            return;
        }
        wire_send(w, SV("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
        s->watcher = w;
        s->sent = from;
        feed_watcher(s);
    } else {
        unsigned page = (unsigned)number_behind(text, "continue=");
        if (page > 0 && s->listed < s->compacted) {
            send_gone(w);
        } else {
            send_page(s, w, page);
        }
    }
}

/* One thing that goes wrong with a stream. */
static void disrupt(struct side *s)
{
    struct wire *w = s->watcher;
    size_t last = s->peer.requests_count - 1;

    if (!w || w != s->peer.wires[s->peer.requests[last].wire]) {
        return;
    }
    s->disruptions++;
    change_something(s); /* it misses something */
    switch (rng_below(&s->rng, 6)) {
    case 0:
        peer_act(&s->peer, last, &(struct peer_step){.then = PEER_RESET});
        break;
    case 1: /* half an event, and the end */
        send_chunk(w, SV("{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"meta"));
        wire_send(w, SV("0\r\n\r\n"));
        break;
    case 2:
        feed_watcher(s);
        wire_send(w, SV("0\r\n\r\n"));
        break;
    case 3:
        s->compacted = s->version;
        wire_send(w, SV("0\r\n\r\n"));
        break;
    case 4:
        send_chunk(w, SV("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n"));
        break;
    default:
        feed_watcher(s);
        wire_half_close(w);
        break;
    }
    s->watcher = NULL;
}

static void live_a_little(struct side *s)
{
    if (rng_below(&s->rng, 4) == 0) {
        change_something(s);
        feed_watcher(s);
    }
    if (rng_below(&s->rng, 400) == 0) {
        s->compacted = s->version;
    }
    if (s->disruptions < DISRUPTIONS && rng_below(&s->rng, 30) == 0) {
        disrupt(s);
    }
}

/* --- the owner -------------------------------------------------------------------------------- */

static unsigned name_of(const struct pod *pod)
{
    unsigned name;

    REQUIRE(sscanf(pod->name, "redis-%u", &name) == 1 && name < NAMES);
    return name;
}

static uint64_t version_of(const struct side *s, const struct pod *pod)
{
    uint64_t version;

    REQUIRE(sv_to_u64(sv_from(pod->resource_version), &version));
    /* Live events come in order and once; those of a list come in any. */
    if (s->live) {
        assert_true(version > s->told);
    }
    return version;
}

static void on_resync(void *arg)
{
    struct side *s = arg;

    memset(s->believed, 0, sizeof(s->believed));
    s->live = false;
    s->told = 0;
    s->resyncs++;
}

static void on_pod(void *arg, const struct pod *pod)
{
    struct side *s = arg;
    uint64_t version = version_of(s, pod);

    s->believed[name_of(pod)] = version;
    s->told = u64_max(s->told, version);
    s->events++;
}

static void on_gone(void *arg, const struct pod *pod)
{
    struct side *s = arg;

    assert_true(s->live);
    s->told = version_of(s, pod);
    assert_true(s->believed[name_of(pod)] != 0);
    s->believed[name_of(pod)] = 0;
    s->events++;
}

static void on_synced(void *arg)
{
    ((struct side *)arg)->live = true;
}

static void on_watch_down(void *arg, long http_status, const struct err *err)
{
    (void)http_status;
    (void)err;
    ((struct side *)arg)->downs++;
}

/* --- the test --------------------------------------------------------------------------------- */

static void side_open(struct side *s, struct bed *bed, uint64_t seed)
{
    struct kube_watch_ops ops = {
        .resync = on_resync,
        .pod = on_pod,
        .gone = on_gone,
        .synced = on_synced,
        .watch_down = on_watch_down,
        .arg = s,
    };

    rng_seed(&s->rng, seed);
    for (int i = 0; i < 5; i++) {
        change_something(s);
    }
    peer_open(&s->peer, bed);
    s->peer.on_request = on_request;
    s->client = kube_client_new(&bed->loop,
                                &(struct kube_client_config){
                                    .url = peer_url(&s->peer, "", s->url, sizeof(s->url)),
                                    .namespace_name = "ns",
                                    .user_agent = "test-agent/1",
                                    .keys = {.role = "role"},
                                    .request_timeout_ms = 2000,
                                    .watch_idle_ms = 20000,
                                    .rng_seed = seed,
                                },
                                &ops);
    kube_client_watch_start(s->client, "app=redis");
}

static void test_followers_agree_with_their_servers(void **state)
{
    struct bed bed;
    const char *given = getenv("MODEL_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 1;
    struct side *sides = xcalloc(CLIENTS, sizeof(*sides));
    uint64_t end_us = loop_now_us() + RUN_MS * 1000;
    unsigned sums[3] = {0};

    (void)state;
    print_message("MODEL_SEED=%" PRIu64 "\n", seed);
    bed_open(&bed);
    for (unsigned i = 0; i < CLIENTS; i++) {
        side_open(&sides[i], &bed, seed + i);
    }
    while (loop_now_us() < end_us) {
        uv_run(&bed.loop, UV_RUN_ONCE);
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (sides[i].version + 2 < HISTORY_MAX) {
                live_a_little(&sides[i]);
            }
        }
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct side *s = &sides[i];
        BED_RUN_UNTIL(&bed, memcmp(s->believed, s->present, sizeof(s->present)) == 0);
        assert_true(s->resyncs >= 1);
        sums[0] += s->events;
        sums[1] += s->downs;
        sums[2] += s->resyncs;
        kube_client_close(s->client, bed_on_closed, &s->closed);
    }
    print_message("%u events, %u failures told, %u lists\n", sums[0], sums[1], sums[2]);
    assert_true(sums[1] > CLIENTS && sums[2] > CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        BED_RUN_UNTIL(&bed, sides[i].closed);
        peer_close(&sides[i].peer);
    }
    bed_close(&bed);
    free(sides);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_followers_agree_with_their_servers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
