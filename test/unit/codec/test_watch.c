/* Watch events and the decoder that cuts a stream into them: captured, malformed, in pieces. */
#include "lib/base/buf.h"
#include "lib/base/rng.h"
#include "lib/codec/pod.h"
#include "test/unit/support/fixture.h"

static const struct pod_keys keys = {.role = "role"};

/* All that a decoder delivered, as text, so that two runs can be compared. */
static void note(void *arg, const struct watch_event *ev)
{
    struct buf *seen = arg;

    buf_addf(seen, "%s %s %s %s %s %d %d %u %s\n", watch_type_name(ev->type), ev->pod.name,
             ev->pod.uid, ev->pod.resource_version, ev->pod.role, ev->pod.ordinal,
             ev->pod.terminating, (unsigned)ev->status.code, ev->status.reason);
    assert_false(seen->overflow);
}

static int feed(struct watch_decoder *d, struct sv bytes, struct buf *seen, struct err *e)
{
    char *exact = bytes_dup(bytes);
    int rc = watch_decoder_feed(d, (struct sv){exact, bytes.len}, note, seen, e);

    free(exact);
    return rc;
}

static void test_captured_stream(void **state)
{
    (void)state;
    static const char *const wanted[] = {"ADDED",   "MODIFIED", "MODIFIED", "MODIFIED",
                                         "DELETED", "BOOKMARK", "ERROR"};
    size_t len, count = 0;
    char *stream = data_read("kube/watch.txt", &len);
    struct sv rest = {stream, len};

    while (rest.ptr != NULL && rest.len > 0) {
        struct sv line = sv_split(&rest, '\n');
        struct watch_event ev;
        struct err e;
        if (watch_event_parse(&ev, line, &keys, &e) != 0) {
            fail_msg("%s", e.msg);
        }
        assert_string_equal(watch_type_name(ev.type), wanted[count]);
        count++;
        switch (ev.type) {
        case WATCH_ADDED:
            assert_string_equal(ev.pod.role, "pending");
            break;
        case WATCH_MODIFIED:
            assert_string_equal(ev.pod.name, "redis-3");
            assert_string_equal(ev.pod.role, "replica");
            assert_int_equal(ev.pod.terminating, count > 2);
            break;
        case WATCH_DELETED:
            assert_int_equal(ev.pod.ordinal, 3);
            break;
        case WATCH_BOOKMARK:
            assert_true(ev.pod.resource_version[0] != '\0');
            assert_string_equal(ev.pod.name, "");
            break;
        case WATCH_ERROR:
            assert_int_equal(ev.status.code, 410);
            assert_string_equal(ev.status.reason, "Expired");
            break;
        }
    }
    assert_int_equal(count, ARRAY_LEN(wanted));
    free(stream);
}

/* Whole, a byte at a time, cut once at every place, and cut at random. */
static void test_pieces_do_not_matter(void **state)
{
    (void)state;
    size_t len;
    char *stream = data_read("kube/watch.txt", &len);
    struct watch_decoder d;
    AUTO_BUF struct buf whole;
    AUTO_BUF struct buf pieces;
    struct rng rng;
    struct err e;

    buf_init(&whole, 65536);
    buf_init(&pieces, 65536);
    watch_decoder_init(&d, &keys);
    assert_int_equal(feed(&d, (struct sv){stream, len}, &whole, &e), 0);
    assert_true(whole.len > 0);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(feed(&d, (struct sv){stream + i, 1}, &pieces, &e), 0);
    }
    assert_string_equal(buf_str(&whole), buf_str(&pieces));
    for (size_t cut = 0; cut <= len; cut += 7) {
        buf_reset(&pieces);
        assert_int_equal(feed(&d, (struct sv){stream, cut}, &pieces, &e), 0);
        assert_int_equal(feed(&d, (struct sv){stream + cut, len - cut}, &pieces, &e), 0);
        assert_string_equal(buf_str(&whole), buf_str(&pieces));
    }
    rng_seed(&rng, 1);
    for (int round = 0; round < 50; round++) {
        buf_reset(&pieces);
        for (size_t at = 0; at < len;) {
            size_t part = (size_t)u64_min(rng_below(&rng, 3000), len - at);
            assert_int_equal(feed(&d, (struct sv){stream + at, part}, &pieces, &e), 0);
            at += part;
        }
        assert_string_equal(buf_str(&whole), buf_str(&pieces));
    }
    watch_decoder_release(&d);
    free(stream);
}

static const char first[] =
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a-1\",\"uid\":\"u\"}}}";
static const char second[] =
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}";

static void test_line_ends_and_blank_lines(void **state)
{
    (void)state;
    struct watch_decoder d;
    AUTO_BUF struct buf stream;
    AUTO_BUF struct buf seen;
    struct err e;

    buf_init(&stream, 4096);
    buf_init(&seen, 4096);
    watch_decoder_init(&d, &keys);
    buf_addf(&stream, "\n\r\n%s\r\n  \n\n%s\n", first, second);
    for (size_t step = 1; step < 5; step++) {
        buf_reset(&seen);
        for (size_t at = 0; at < stream.len; at += step) {
            size_t part = (size_t)u64_min(step, stream.len - at);
            assert_int_equal(feed(&d, (struct sv){stream.data + at, part}, &seen, &e), 0);
        }
        assert_string_equal(buf_str(&seen), "ADDED a-1 u   1 0 0 \nBOOKMARK   9  -1 0 0 \n");
    }
    watch_decoder_release(&d);
}

static void test_incomplete_line_waits(void **state)
{
    (void)state;
    struct watch_decoder d;
    AUTO_BUF struct buf seen;
    struct err e;

    buf_init(&seen, 4096);
    watch_decoder_init(&d, &keys);
    assert_int_equal(feed(&d, sv_from(first), &seen, &e), 0);
    assert_int_equal(feed(&d, sv_from(NULL), &seen, &e), 0);
    assert_int_equal(seen.len, 0);
    assert_int_equal(feed(&d, SV("\n"), &seen, &e), 0);
    assert_true(seen.len > 0);
    /* A reset forgets the beginning of a line. */
    buf_reset(&seen);
    assert_int_equal(feed(&d, SV("{\"type\":"), &seen, &e), 0);
    watch_decoder_reset(&d);
    assert_int_equal(feed(&d, sv_from(second), &seen, &e), 0);
    assert_int_equal(feed(&d, SV("\n"), &seen, &e), 0);
    assert_string_equal(buf_str(&seen), "BOOKMARK   9  -1 0 0 \n");
    watch_decoder_release(&d);
}

static void test_bad_line_ends_the_stream(void **state)
{
    (void)state;
    struct watch_decoder d;
    AUTO_BUF struct buf stream;
    AUTO_BUF struct buf seen;
    struct err e;

    buf_init(&stream, 4096);
    buf_init(&seen, 4096);
    watch_decoder_init(&d, &keys);
    buf_addf(&stream, "%s\nnonsense\n%s\n", first, second);
    assert_err(feed(&d, buf_sv(&stream), &seen, &e), &e, ERR_PROTO);
    assert_string_equal(buf_str(&seen), "ADDED a-1 u   1 0 0 \n");

    watch_decoder_reset(&d);
    buf_reset(&seen);
    int rc = 0;
    size_t fed = 0;
    for (; fed < stream.len && rc == 0; fed++) {
        rc = feed(&d, (struct sv){stream.data + fed, 1}, &seen, &e);
    }
    assert_err(rc, &e, ERR_PROTO);
    assert_int_equal(fed, strlen(first) + strlen("\nnonsense\n"));
    assert_string_equal(buf_str(&seen), "ADDED a-1 u   1 0 0 \n");

    watch_decoder_reset(&d);
    assert_int_equal(feed(&d, sv_from(second), &seen, &e), 0);
    assert_int_equal(feed(&d, SV("\n"), &seen, &e), 0);
    watch_decoder_release(&d);
}

/* `start` padded by blanks to a line of `len` bytes. */
static void write_padded(struct buf *out, const char *start, size_t len)
{
    buf_reset(out);
    buf_add_str(out, start);
    while (out->len < len) {
        buf_add_char(out, ' ');
    }
    buf_add_char(out, '\n');
    assert_false(out->overflow);
}

static void assert_limit(struct buf *stream, size_t step, bool fits)
{
    struct watch_decoder d;
    AUTO_BUF struct buf seen;
    struct err e;
    int rc = 0;

    buf_init(&seen, 4096);
    watch_decoder_init(&d, &keys);
    for (size_t at = 0; at < stream->len && rc == 0; at += step) {
        size_t part = (size_t)u64_min(step, stream->len - at);
        rc = feed(&d, (struct sv){stream->data + at, part}, &seen, &e);
    }
    if (fits) {
        assert_int_equal(rc, 0);
    } else {
        assert_err(rc, &e, ERR_LIMIT);
    }
    watch_decoder_reset(&d);
    assert_int_equal(feed(&d, SV("\n"), &seen, &e), 0);
    watch_decoder_release(&d);
}

/* An event, and a line of nothing but blanks. */
static void test_line_limit_is_exact_in_any_pieces(void **state)
{
    (void)state;
    const char *const starts[] = {second, ""};
    AUTO_BUF struct buf stream;

    buf_init(&stream, (size_t)2 * POD_JSON_MAX);
    for (size_t s = 0; s < ARRAY_LEN(starts); s++) {
        for (size_t more = 0; more < 2; more++) {
            write_padded(&stream, starts[s], POD_JSON_MAX + more);
            assert_limit(&stream, 65536, more == 0);
            assert_limit(&stream, (size_t)4 * POD_JSON_MAX, more == 0);
        }
    }
}

/* An object of another kind. */
#define NODE "{\"kind\":\"Node\",\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}"

static void test_malformed_events(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"type\":\"ADDED\"}",
        "{\"type\":\"ADDED\",\"object\":null}",
        "{\"type\":\"ADDED\",\"object\":{}}",
        "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}",
        "{\"type\":\"DELETED\",\"object\":{\"kind\":\"Node\",\"metadata\":{\"name\":\"a\"}}}",
        "{\"type\":\"ADDED\",\"object\":" NODE "}",
        "{\"type\":\"added\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}}",
        "{\"type\":\"\",\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}}",
        "{\"type\":7,\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}}",
        "{\"object\":{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}}",
        "{\"type\":\"BOOKMARK\"}",
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}",
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"\"}}}",
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":9}}}",
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Pod\"}}",
        "{\"type\":\"ERROR\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct watch_event ev = {.status = {.code = 77}};
        struct err e = {.code = ERR_NONE};
        if (watch_event_parse(&ev, sv_from(bad[i]), &keys, &e) == 0) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_err(-1, &e, ERR_PROTO);
        assert_int_equal(ev.status.code, 77);
    }
    char json[256], version[100];
    struct watch_event ev;
    memset(version, '1', sizeof(version));
    (void)snprintf(
        json, sizeof(json),
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"%.64s\"}}}",
        version);
    assert_int_equal(watch_event_parse(&ev, sv_from(json), &keys, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_stream),
        cmocka_unit_test(test_pieces_do_not_matter),
        cmocka_unit_test(test_line_ends_and_blank_lines),
        cmocka_unit_test(test_incomplete_line_waits),
        cmocka_unit_test(test_bad_line_ends_the_stream),
        cmocka_unit_test(test_line_limit_is_exact_in_any_pieces),
        cmocka_unit_test(test_malformed_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
