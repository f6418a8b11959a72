/* ROLE from any reply: what is taken is complete, what is refused leaves the result alone. */
#include "lib/codec/role_reply.h"

#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"
#include "test/unit/support/resp_decode.h"

static void check(const struct role_reply *role, const struct resp *r)
{
    struct sv word;

    REQUIRE(resp_str_at(r, 0, &word) && sv_eq_str(word, redis_role_name(role->role)));
    switch (role->role) {
    case REDIS_ROLE_MASTER:
        REQUIRE(role->offset == r->elems[1].integer);
        REQUIRE(role->replica_count == r->elems[2].count);
        break;
    case REDIS_ROLE_SLAVE:
        REQUIRE(addr_is_set(&role->master) && role->master.port != 0);
        REQUIRE(role->offset == r->elems[4].integer);
        REQUIRE(repl_link_name(role->link) != NULL);
        break;
    case REDIS_ROLE_SENTINEL:
        break;
    }
    REQUIRE(addr_is_set(&role->master) == (role->role == REDIS_ROLE_SLAVE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resp_decoded d;
    struct role_reply role, untouched;
    struct err e = {.code = ERR_NONE};

    if (!resp_decode(&d, (struct sv){(const char *)data, size})) {
        return 0;
    }
    memset(&role, 0xA5, sizeof(role));
    untouched = role;
    if (role_reply_parse(&role, d.nodes, &e) == 0) {
        REQUIRE(e.code == ERR_NONE);
        check(&role, d.nodes);
    } else {
        REQUIRE(e.code == ERR_PROTO);
        REQUIRE(memcmp(&role, &untouched, sizeof(role)) == 0);
    }
    resp_decoded_free(&d);
    return 0;
}
