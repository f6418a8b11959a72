/* An event: the first line is the channel, the rest the payload. Words behind the documented
 * ones never change what is read. */
#include "lib/codec/sentinel_event.h"

#include "lib/base/buf.h"
#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"

static void check(const struct sentinel_event *ev, struct sv channel)
{
    REQUIRE(ev->type == SENTINEL_EVENT_OTHER || sv_eq_str(channel, sentinel_event_name(ev->type)));
    REQUIRE(memchr(ev->master_name, '\0', sizeof(ev->master_name)) != NULL);
    REQUIRE(addr_is_set(&ev->instance) == (ev->instance.port != 0));
    /* Who names an instance names the master, its address and its name. */
    REQUIRE(addr_is_set(&ev->instance) == addr_is_set(&ev->master));
    REQUIRE(addr_is_set(&ev->instance) == (ev->master_name[0] != '\0'));
    REQUIRE(!(ev->about_master && ev->about_sentinel));
    REQUIRE((ev->leader_id[0] != '\0') == (ev->type == SENTINEL_EVENT_VOTE));
    REQUIRE(ev->leader_id[0] == '\0' || strlen(ev->leader_id) == RUN_ID_LEN);
    REQUIRE(ev->epoch == 0 || ev->type == SENTINEL_EVENT_VOTE ||
            ev->type == SENTINEL_EVENT_NEW_EPOCH);
}

static void check_same(const struct sentinel_event *a, const struct sentinel_event *b)
{
    REQUIRE(a->type == b->type && a->epoch == b->epoch);
    REQUIRE(a->about_master == b->about_master && a->about_sentinel == b->about_sentinel);
    REQUIRE(strcmp(a->master_name, b->master_name) == 0);
    REQUIRE(strcmp(a->leader_id, b->leader_id) == 0);
    REQUIRE(addr_eq(&a->instance, &b->instance) && addr_eq(&a->master, &b->master));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv payload = {(const char *)data, size};
    struct sv channel = sv_split(&payload, '\n');
    struct sentinel_event ev = {.epoch = 77}, again;
    struct err e = {.code = ERR_NONE};

    if (sentinel_event_parse(&ev, channel, payload, &e) != 0) {
        REQUIRE(e.code == (payload.len > SENTINEL_PAYLOAD_MAX ? ERR_LIMIT : ERR_PROTO));
        REQUIRE(ev.epoch == 77);
        return 0;
    }
    check(&ev, channel);
    AUTO_BUF struct buf longer;
    buf_init(&longer, SENTINEL_PAYLOAD_MAX);
    buf_add_sv(&longer, payload);
    buf_add_str(&longer, " more words");
    if (!longer.overflow) {
        REQUIRE(sentinel_event_parse(&again, channel, buf_sv(&longer), NULL) == 0);
        check_same(&ev, &again);
    }
    return 0;
}
