/* A watch stream, whole and in pieces of a length that the input's first byte seeds: the same
 * events, the same end. */
#include "lib/base/check.h"
#include "lib/base/rng.h"
#include "lib/codec/pod.h"
#include "test/fuzz/fuzz.h"

static const struct pod_keys keys = {.role = "role"};

static void note(void *arg, const struct watch_event *ev)
{
    buf_addf(arg, "%d|%s|%s|%s|%s|%llu|%d|%u|%s|%s\n", ev->type, ev->pod.name, ev->pod.uid,
             ev->pod.resource_version, ev->pod.role, (unsigned long long)ev->pod.role_epoch,
             ev->pod.ordinal, (unsigned)ev->status.code, ev->status.reason, ev->status.message);
}

static size_t next_step(struct rng *rng)
{
    /* Mostly single bytes and short runs, as a slow peer sends them. */
    return (size_t)(1 + rng_below(rng, rng_below(rng, 4) == 0 ? 512 : 4));
}

static void run(struct buf *out, struct sv stream, struct rng *rng)
{
    struct watch_decoder d;
    struct err e = {.code = ERR_NONE};
    int rc = 0;

    watch_decoder_init(&d, &keys);
    while (stream.len > 0 && rc == 0) {
        size_t step = rng == NULL ? stream.len : (size_t)u64_min(next_step(rng), stream.len);
        rc = watch_decoder_feed(&d, (struct sv){stream.ptr, step}, note, out, &e);
        stream.ptr += step;
        stream.len -= step;
    }
    REQUIRE(d.line.len <= POD_JSON_MAX);
    buf_addf(out, "%d %s %s\n", rc, err_code_name(e.code), rc == 0 ? "" : e.msg);
    watch_decoder_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUF struct buf whole;
    AUTO_BUF struct buf pieces;
    struct rng rng;

    buf_init(&whole, (size_t)16 << 20);
    buf_init(&pieces, (size_t)16 << 20);
    if (size == 0) {
        return 0;
    }
    rng_seed(&rng, data[0]);
    struct sv stream = {(const char *)data + 1, size - 1};
    run(&whole, stream, NULL);
    run(&pieces, stream, &rng);
    REQUIRE(sv_eq(buf_sv(&whole), buf_sv(&pieces)));
    return 0;
}
