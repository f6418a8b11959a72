/* RESP from a peer, through hiredis's reader into our trees: whatever comes, and in whatever
 * pieces, the bounds hold, and a byte at a time gives the same as all at once. */
#include "lib/io/redis_tree.h"

#include "lib/base/buf.h"
#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"

#define REPLY_MAX 4096

static void add_text(struct buf *out, const struct resp *r, unsigned depth)
{
    REQUIRE(depth <= RESP_DEPTH_MAX);
    buf_addf(out, "%u:%lld:", r->type, (long long)r->integer);
    buf_add_sv(out, r->str);
    REQUIRE(r->str.ptr == NULL || r->str.ptr[r->str.len] == '\0');
    for (size_t i = 0; i < r->count; i++) {
        add_text(out, &r->elems[i], depth + 1);
    }
    buf_add_char(out, '\n');
}

/* All replies as text, then the error that ended them. */
static void parse(struct buf *out, const char *bytes, size_t len, size_t step)
{
    redisReader *reader = redisReaderCreateWithFunctions(NULL);
    struct redis_tree tree;
    void *reply = NULL;
    int rc = REDIS_OK;

    redis_tree_init(&tree, REPLY_MAX, reader);
    for (size_t at = 0; at < len && rc == REDIS_OK; at += step) {
        REQUIRE(redisReaderFeed(reader, bytes + at, len - at < step ? len - at : step) == REDIS_OK);
        while ((rc = redisReaderGetReply(reader, &reply)) == REDIS_OK && reply != NULL) {
            REQUIRE(reply == &tree.root && tree.nodes <= RESP_NODES_MAX && tree.bytes <= REPLY_MAX);
            add_text(out, reply, 0);
            redis_tree_reset(&tree);
        }
    }
    buf_addf(out, "%d %s", rc, err_code_name(tree.refused.code));
    redisReaderFree(reader);
    redis_tree_release(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct buf whole, dripped;

    if (size > 65536) {
        return 0;
    }
    buf_init(&whole, 16 * 1024 * 1024);
    buf_init(&dripped, 16 * 1024 * 1024);
    parse(&whole, bytes, size, size);
    parse(&dripped, bytes, size, 1);
    REQUIRE(sv_eq(buf_sv(&whole), buf_sv(&dripped)));
    buf_release(&whole);
    buf_release(&dripped);
    return 0;
}
