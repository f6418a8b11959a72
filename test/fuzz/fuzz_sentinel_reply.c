/* Every answer of a Sentinel, and CONFIG GET, from any reply. */
#include "lib/codec/sentinel_reply.h"

#include "lib/base/check.h"
#include "lib/codec/config_reply.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/support/resp_decode.h"

static void check_refusal(const struct resp *r, enum err_code code)
{
    bool is_denied = false;

    switch (resp_fault(r)) {
    case RESP_FAULT_NOAUTH:
    case RESP_FAULT_WRONGPASS:
    case RESP_FAULT_NOPERM:
        is_denied = true;
        break;
    case RESP_FAULT_NONE:
    case RESP_FAULT_LOADING:
    case RESP_FAULT_BUSY:
    case RESP_FAULT_MASTERDOWN:
        break;
    case RESP_FAULT_OTHER:
        /* "unknown" is matched with its word of what, so this is only the necessary part. */
        is_denied = code == ERR_DENIED && (sv_starts_with(r->str, "ERR unknown ") ||
                                           sv_starts_with(r->str, "ERR Unknown "));
        break;
    }
    REQUIRE((code == ERR_DENIED) == is_denied);
    REQUIRE(code == ERR_DENIED || code == ERR_PROTO || code == ERR_NOTFOUND);
    REQUIRE(code != ERR_NOTFOUND || r->type == RESP_ERROR || r->type == RESP_NIL);
}

static void try_master(const struct resp *r)
{
    struct sentinel_master m, untouched;
    struct err e = {.code = ERR_NONE};
    struct sv text;

    memset(&m, 0xA5, sizeof(m));
    untouched = m;
    if (sentinel_master_parse(&m, r, &e) != 0) {
        check_refusal(r, e.code);
        REQUIRE(memcmp(&m, &untouched, sizeof(m)) == 0);
        return;
    }
    REQUIRE(resp_field(r, "ip", &text) && sv_eq_str(text, m.addr.host) && m.addr.port != 0);
    REQUIRE(m.flags < 1U << SENTINEL_FLAG_COUNT);
    REQUIRE(m.run_id[0] == '\0' || strlen(m.run_id) == RUN_ID_LEN);
}

static void check_instances(const struct sentinel_instance *list, size_t count, size_t max,
                            const struct resp *r)
{
    REQUIRE(count <= max && count <= r->count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(addr_is_set(&list[i].addr) && list[i].addr.port != 0);
        REQUIRE(list[i].flags < 1U << SENTINEL_FLAG_COUNT);
        REQUIRE(list[i].run_id[0] == '\0' || strlen(list[i].run_id) == RUN_ID_LEN);
    }
}

static void try_look(const struct resp *r)
{
    struct sentinel_look look, untouched;
    struct err e = {.code = ERR_NONE};

    memset(&look, 0xA5, sizeof(look));
    untouched = look;
    if (sentinel_vote_parse(&look.vote, r, &e) == 0) {
        size_t len = strlen(look.vote.leader_id);
        REQUIRE(len == 0 || len == RUN_ID_LEN);
        look.vote = untouched.vote;
    } else {
        check_refusal(r, e.code);
    }
    if (sentinel_peers_parse(&look, r, &e) != 0) {
        check_refusal(r, e.code);
        REQUIRE(sentinel_replicas_parse(&look, r, NULL) != 0);
        REQUIRE(memcmp(&look, &untouched, sizeof(look)) == 0);
        return;
    }
    check_instances(look.peers, look.peer_count, SENTINEL_PEERS_MAX, r);
    REQUIRE(sentinel_replicas_parse(&look, r, NULL) == 0);
    check_instances(look.replicas, look.replica_count, SENTINEL_REPLICAS_MAX, r);
    REQUIRE(look.peer_count == u64_min(look.replica_count, SENTINEL_PEERS_MAX));
}

static void try_config(const struct resp *r)
{
    uint64_t value = 77;
    struct sv text;
    struct err e = {.code = ERR_NONE};

    if (config_get_u64(r, "min-replicas-to-write", &value, &e) == 0) {
        REQUIRE(resp_field(r, "min-replicas-to-write", &text) && text.len > 0);
    } else {
        REQUIRE(value == 77);
        REQUIRE(e.code == ERR_PROTO || e.code == ERR_DENIED || e.code == ERR_NOTFOUND);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resp_decoded d;
    struct addr addr = {.port = 0};
    char id[RUN_ID_LEN + 1] = "";
    struct err e = {.code = ERR_NONE};

    if (!resp_decode(&d, (struct sv){(const char *)data, size})) {
        return 0;
    }
    try_master(d.nodes);
    try_look(d.nodes);
    try_config(d.nodes);
    if (sentinel_addr_parse(&addr, d.nodes, &e) == 0) {
        REQUIRE(addr_is_set(&addr) && addr.port != 0);
    } else {
        check_refusal(d.nodes, e.code);
        REQUIRE(!addr_is_set(&addr));
    }
    if (sentinel_myid_parse(id, d.nodes, &e) == 0) {
        REQUIRE(strlen(id) == RUN_ID_LEN);
    } else {
        check_refusal(d.nodes, e.code);
        REQUIRE(id[0] == '\0');
    }
    resp_decoded_free(&d);
    return 0;
}
