/* A hello: what is read, written again, reads the same. */
#include "lib/base/buf.h"
#include "lib/base/check.h"
#include "lib/codec/sentinel_reply.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sentinel_hello h, again;
    struct err e = {.code = ERR_NONE};

    h.master_epoch = 77;
    if (sentinel_hello_parse(&h, (struct sv){(const char *)data, size}, &e) != 0) {
        REQUIRE(e.code == ERR_PROTO);
        REQUIRE(h.master_epoch == 77);
        return 0;
    }
    AUTO_BUF struct buf text;
    buf_init(&text, 4096);
    REQUIRE(sentinel_hello_write(&text, &h));
    REQUIRE(sentinel_hello_parse(&again, buf_sv(&text), NULL) == 0);
    REQUIRE(addr_eq(&h.sentinel, &again.sentinel) && addr_eq(&h.master, &again.master));
    REQUIRE(strcmp(h.sentinel_id, again.sentinel_id) == 0 && strlen(h.sentinel_id) == RUN_ID_LEN);
    REQUIRE(strcmp(h.master_name, again.master_name) == 0 && h.master_name[0] != '\0');
    REQUIRE(h.current_epoch == again.current_epoch && h.master_epoch == again.master_epoch);
    /* Zeros before a number are all that the text may lose. */
    REQUIRE(text.len <= size);
    return 0;
}
