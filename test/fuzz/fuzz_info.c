/* INFO from any text: bounds hold, and it does not matter whether lines end in LF or CRLF. */
#include "lib/codec/info.h"

#include "lib/base/buf.h"
#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"

#define IS_TEXT(array) (memchr((array), '\0', sizeof(array)) != NULL)

static void check(const struct info *info)
{
    REQUIRE(info->has != 0 && info->has < 1U << INFO_FIELD_COUNT);
    REQUIRE(info->replicas_kept <= INFO_REPLICAS_MAX);
    for (size_t i = 0; i < info->replicas_kept; i++) {
        REQUIRE(IS_TEXT(info->replicas[i].addr.host) && addr_is_set(&info->replicas[i].addr));
        REQUIRE(info->replicas[i].addr.port != 0);
    }
    REQUIRE(info_has(info, INFO_MASTER) == addr_is_set(&info->master));
    REQUIRE(IS_TEXT(info->run_id) && IS_TEXT(info->replid) && IS_TEXT(info->version));
    REQUIRE(IS_TEXT(info->mode) && IS_TEXT(info->master.host));
    REQUIRE(!info_has(info, INFO_RUN_ID) || strlen(info->run_id) == RUN_ID_LEN);
    REQUIRE(!info_has(info, INFO_REPLID) || strlen(info->replid) == RUN_ID_LEN);
    REQUIRE(strlen(info->replid2) == (info_has(info, INFO_REPLID2) ? RUN_ID_LEN : 0));
    REQUIRE((info->second_offset >= 0) == info_has(info, INFO_SECOND_OFFSET));
    REQUIRE(info->second_offset >= -1);
}

static void check_same(const struct info *a, const struct info *b)
{
    REQUIRE(a->has == b->has && a->replicas_kept == b->replicas_kept);
    for (size_t i = 0; i < a->replicas_kept; i++) {
        REQUIRE(addr_eq(&a->replicas[i].addr, &b->replicas[i].addr));
        REQUIRE(a->replicas[i].offset == b->replicas[i].offset);
    }
    REQUIRE(strcmp(a->run_id, b->run_id) == 0 && strcmp(a->version, b->version) == 0);
    REQUIRE(strcmp(a->mode, b->mode) == 0 && strcmp(a->replid, b->replid) == 0);
    REQUIRE(addr_eq(&a->master, &b->master) && a->slave_offset == b->slave_offset);
    REQUIRE(a->loading == b->loading && a->priority == b->priority && a->link_up == b->link_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct info lf, crlf;
    struct err e = {.code = ERR_NONE};

    lf.uptime_s = 77;
    int rc = info_parse(&lf, (struct sv){(const char *)data, size}, &e);
    if (rc == 0) {
        check(&lf);
    } else {
        REQUIRE(e.code == ERR_PROTO || e.code == ERR_LIMIT);
        REQUIRE(lf.uptime_s == 77);
    }
    if (size > INFO_TEXT_MAX / 2) {
        return 0;
    }
    AUTO_BUF struct buf wire;
    buf_init(&wire, INFO_TEXT_MAX);
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n') {
            buf_add_char(&wire, '\r');
        }
        buf_add_char(&wire, (char)data[i]);
    }
    REQUIRE(info_parse(&crlf, buf_sv(&wire), NULL) == rc);
    if (rc == 0) {
        check_same(&lf, &crlf);
    }
    return 0;
}
