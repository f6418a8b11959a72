/* SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME and MYID from any reply. */
#include "lib/codec/sentinel_reply.h"

#include "lib/base/check.h"
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
    case RESP_FAULT_OTHER:
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
