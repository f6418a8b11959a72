/* What a hostile or broken peer sends, and what the client makes of it. */
#include "lib/io/redis_conn.h"

#include <malloc.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "test/io/redis_peer.h"

#define REPLY_MAX 65536

static int setup(void **state)
{
    int rc = fixture_setup(state);
    struct fixture *x = *state;

    REDIS_RULES(&x->peer, ANSWER("PING", PONG));
    x->cfg.reply_max_bytes = REPLY_MAX;
    fixture_start_until_up(x);
    return rc;
}

/* Without the waits that a flapping connection is punished with. */
static void wait_until_up(struct fixture *x)
{
    client_act(&x->client, ACT_KICK);
    BED_RUN_UNTIL(&x->bed, redis_conn_is_up(x->client.conn));
}

/* Asks, and sends `bytes` as the answer, whole or a byte each turn. */
static void answer_with(struct fixture *x, struct sv bytes, bool drip)
{
    unsigned replies = x->client.replies;
    unsigned downs = x->client.downs;
    size_t step = drip ? 1 : bytes.len;

    wait_until_up(x);
    assert_true(client_send(&x->client, "ROLE"));
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "ROLE") == 1);
    for (size_t at = 0; at < bytes.len; at += step) {
        redis_peer_send(&x->peer, bytes.ptr + at, step);
        uv_run(&x->bed.loop, UV_RUN_NOWAIT);
        uv_run(&x->bed.loop, UV_RUN_NOWAIT);
    }
    BED_RUN_UNTIL(&x->bed, x->client.replies > replies);
    redis_peer_forget(&x->peer, "ROLE");
    if (x->client.reply_err != ERR_NONE) {
        BED_RUN_UNTIL(&x->bed, x->client.downs > downs);
    }
}

static void assert_lost(struct fixture *x, enum redis_down why, enum err_code code)
{
    assert_int_equal(x->client.why, why);
    assert_int_equal(x->client.reply_err, code);
    assert_int_equal(x->client.err.code, code);
}

/* --- good replies --------------------------------------------------------------------------- */

static const struct {
    const char *bytes;
    const char *text;
} good[] = {
    {"+OK\r\n", "OK"},
    {"+\r\n", ""},
    {"-LOADING Redis is loading\r\n", "(LOADING Redis is loading)"},
    {":0\r\n", "0"},
    {":-9223372036854775808\r\n", "-9223372036854775808"},
    {":9223372036854775807\r\n", "9223372036854775807"},
    {"$0\r\n\r\n", "''"},
    {"$-1\r\n", "nil"},
    {"*-1\r\n", "nil"},
    {"*0\r\n", "[]"},
    {"$5\r\na\r\nbc\r\n", "'a\r\nbc'"},
    {"*3\r\n*0\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n+s\r\n", "[[] [1 ['x']] s]"},
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", "[[[[[[[7]]]]]]]"}, /* RESP_DEPTH_MAX */
    {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n", "[[[[[[[]]]]]]]"},
};

static void test_good_replies(void **state)
{
    struct fixture *x = *state;

    for (int drip = 0; drip < 2; drip++) {
        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
            answer_with(x, sv_from(good[i].bytes), drip == 1);
            assert_int_equal(x->client.reply_err, ERR_NONE);
            assert_string_equal(x->client.reply, good[i].text);
        }
    }
    assert_int_equal(x->client.downs, 0);
}

static void test_replies_in_one_packet(void **state)
{
    struct fixture *x = *state;

    for (unsigned i = 0; i < 3; i++) {
        assert_true(client_send(&x->client, "ROLE"));
    }
    BED_RUN_UNTIL(&x->bed, redis_peer_count(&x->peer, "ROLE") == 3);
    redis_peer_send_str(&x->peer, "+a\r\n$1\r\nb\r\n*1\r\n:3\r\n");
    BED_RUN_UNTIL(&x->bed, x->client.replies == 3);
    assert_string_equal(x->client.reply, "[3]");
}

static void test_longest_reply(void **state)
{
    struct fixture *x = *state;
    AUTO_FREE char *bytes = xmalloc(REPLY_MAX + 64);

    int head = snprintf(bytes, 64, "$%d\r\n", REPLY_MAX);
    memset(bytes + head, 'x', REPLY_MAX);
    memcpy(bytes + head + REPLY_MAX, "\r\n", 2);
    answer_with(x, (struct sv){bytes, (size_t)head + REPLY_MAX + 2}, false);
    assert_int_equal(x->client.reply_err, ERR_NONE);
}

/* glibc's count of bytes in use; always 0 under AddressSanitizer. */
static void test_memory_is_flat(void **state)
{
    struct fixture *x = *state;
    size_t before = 0;

    redis_peer_rules(&x->peer, NULL, 0);
    for (unsigned i = 0; i < 3000; i++) {
        answer_with(x, SV("*3\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n"), false);
        if (i == 500) {
            before = mallinfo2().uordblks;
        }
    }
    assert_in_range(mallinfo2().uordblks, 0, before + 16384);
}

/* --- beyond the caps -------------------------------------------------------------------------- */

static const char *const beyond[] = {
    "*1000000000\r\n",          "*65536\r\n", /* with the array itself one node too many */
    "*4611686018427387903\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n",
    "*60000\r\n*60000\r\n", /* promises that add up */
};

static void test_beyond_the_caps(void **state)
{
    struct fixture *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
        answer_with(x, sv_from(beyond[i]), false);
        assert_lost(x, REDIS_DOWN_LIMIT, ERR_LIMIT);
    }
    assert_int_equal(x->client.down_by[REDIS_DOWN_LIMIT], ARRAY_LEN(beyond));
}

static void test_one_byte_too_long(void **state)
{
    struct fixture *x = *state;
    AUTO_FREE char *bytes = xmalloc(REPLY_MAX + 64);

    int head = snprintf(bytes, 64, "$%d\r\n", REPLY_MAX + 1);
    memset(bytes + head, 'x', REPLY_MAX + 1);
    memcpy(bytes + head + REPLY_MAX + 1, "\r\n", 2);
    answer_with(x, (struct sv){bytes, (size_t)head + REPLY_MAX + 3}, false);
    assert_lost(x, REDIS_DOWN_LIMIT, ERR_LIMIT);
}

static void test_strings_that_add_up(void **state)
{
    struct fixture *x = *state;
    AUTO_FREE char *bytes = xmalloc(2 * REPLY_MAX);
    size_t len = (size_t)snprintf(bytes, 64, "*80\r\n");

    for (int i = 0; i < 70; i++) { /* each well below the cap */
        len += (size_t)snprintf(bytes + len, 64, "$1000\r\n");
        memset(bytes + len, 'x', 1000);
        memcpy(bytes + len + 1000, "\r\n", 2);
        len += 1002;
    }
    answer_with(x, (struct sv){bytes, len}, false);
    assert_lost(x, REDIS_DOWN_LIMIT, ERR_LIMIT);
}

/* A flood that never ends must be cut at the cap, not when memory is gone. */
static void flood(struct fixture *x, const char *head)
{
    enum { CHUNK = 16384, CHUNKS = 6400 }; /* 100 MiB */
    AUTO_FREE char *bytes = xmalloc(CHUNK);
    unsigned downs = x->client.downs;
    unsigned sent = 0;

    wait_until_up(x);
    memset(bytes, 'x', CHUNK);
    assert_true(client_send(&x->client, "ROLE"));
    redis_peer_send_str(&x->peer, head);
    while (x->client.downs == downs && sent < CHUNKS) {
        redis_peer_send(&x->peer, bytes, CHUNK);
        uv_run(&x->bed.loop, UV_RUN_NOWAIT);
        sent++;
    }
    assert_in_range(sent, REPLY_MAX / CHUNK, REPLY_MAX / CHUNK + 8);
    assert_lost(x, REDIS_DOWN_LIMIT, ERR_LIMIT);
}

static void test_floods(void **state)
{
    struct fixture *x = *state;

    flood(x, "$104857600\r\n");
    flood(x, "$9223372036854775807\r\n");
    flood(x, "+a line without an end ");
    flood(x, "*2\r\n+a\r\n$104857600\r\n");
    flood(x, "*1\r\n$");
}

/* --- not RESP2 -------------------------------------------------------------------------------- */

static const char *const garbage[] = {
    "HTTP/1.1 400 Bad Request\r\n\r\n",
    "\r\n",
    "\0\0\0\0",
    "$abc\r\n",
    "$-2\r\n",
    "$\r\n",
    "*-2\r\n",
    "*x\r\n",
    "*9223372036854775807\r\n",
    ":12x\r\n",
    ":\r\n",
    ":9223372036854775808\r\n",
    "*1\r\n!\r\n",
    "%1\r\n+a\r\n+b\r\n", /* RESP3 from here on */
    "~1\r\n+a\r\n",
    ">2\r\n+a\r\n+b\r\n",
    ">0\r\n",
    ",1.5\r\n",
    "#t\r\n",
    "_\r\n",
    "(12345678901234567890\r\n",
    "=7\r\ntxt:abc\r\n",
    "|1\r\n+a\r\n+b\r\n",
    "*1\r\n_\r\n",
};

static void test_garbage(void **state)
{
    struct fixture *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        struct sv bytes = sv_from(garbage[i]);
        if (bytes.len == 0) {
            bytes.len = 4;
        }
        answer_with(x, bytes, false);
        assert_lost(x, REDIS_DOWN_PROTO, ERR_PROTO);
    }
    assert_int_equal(x->client.down_by[REDIS_DOWN_PROTO], ARRAY_LEN(garbage));
}

/* Every one of these ends a process that uses hiredis's asynchronous layer. */
static const char *const unasked[] = {
    "+OK\r\n",
    "-ERR out of nowhere\r\n",
    "*3\r\n:1\r\n:2\r\n:3\r\n",
    "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
    "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n+x\r\n",
    "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n",
};

static void test_reply_that_nobody_asked_for(void **state)
{
    struct fixture *x = *state;

    for (size_t i = 0; i < ARRAY_LEN(unasked); i++) {
        wait_until_up(x);
        redis_peer_send_str(&x->peer, unasked[i]);
        BED_RUN_UNTIL(&x->bed, x->client.downs == i + 1);
        assert_int_equal(x->client.why, REDIS_DOWN_PROTO);
    }
    assert_int_equal(x->client.messages_count, 0);
}

static void test_noise(void **state)
{
    struct fixture *x = *state;
    struct rng rng;
    static const char alphabet[] = "+-:$*0123456789\r\n\r\n\r\nx";

    rng_seed(&rng, 20260101);
    for (int round = 0; round < 200; round++) {
        char bytes[64];
        size_t len = rng_below(&rng, sizeof(bytes)) + 1;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = alphabet[rng_below(&rng, sizeof(alphabet) - 1)];
        }
        wait_until_up(x);
        assert_true(client_send(&x->client, "ROLE"));
        redis_peer_send(&x->peer, bytes, len);
        redis_peer_then(&x->peer, REDIS_PEER_CLOSE);
        BED_RUN_UNTIL(&x->bed, x->client.downs == (unsigned)round + 1);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good_replies),
        TEST(test_replies_in_one_packet),
        TEST(test_longest_reply),
        TEST(test_memory_is_flat),
        TEST(test_beyond_the_caps),
        TEST(test_one_byte_too_long),
        TEST(test_strings_that_add_up),
        TEST(test_floods),
        TEST(test_garbage),
        TEST(test_reply_that_nobody_asked_for),
        TEST(test_noise),
    };

    return cmocka_run_group_tests_name("redis_wire", tests, NULL, NULL);
}
