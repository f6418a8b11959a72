/* Look-ups: one callback each, in time, whatever getaddrinfo does. */
#include "lib/io/resolver.h"

#include "lib/base/mem.h"
#include "test/io/fake_dns.h"
#include "test/io/http_peer.h"

struct fixture {
    struct bed bed;
    struct resolver *r;
    bool in_api;
    bool closed;
    unsigned calls;
    enum err_code code;
    struct resolved result;
    const char *next; /* looked up from inside the callback */
    bool close_in_callback;
};

static void on_resolver_closed(void *arg)
{
    struct fixture *x = arg;

    assert_false(x->in_api);
    assert_false(x->closed);
    x->closed = true;
}

static void close_resolver(struct fixture *x)
{
    x->in_api = true;
    resolver_close(x->r, on_resolver_closed, x);
    x->in_api = false;
}

static bool start(struct fixture *x, const char *host, uint64_t timeout_ms);

static void on_resolved(void *arg, const struct resolved *result, const struct err *err)
{
    struct fixture *x = arg;

    assert_false(x->in_api);
    assert_false(x->closed);
    assert_true((result == NULL) == (err != NULL));
    x->calls++;
    x->code = err == NULL ? ERR_NONE : err->code;
    if (result != NULL) {
        x->result = *result;
    }
    if (x->next != NULL) {
        const char *host = x->next;
        x->next = NULL;
        assert_true(start(x, host, 5000));
    }
    if (x->close_in_callback) {
        close_resolver(x);
    }
}

static bool start(struct fixture *x, const char *host, uint64_t timeout_ms)
{
    struct err e = {.code = ERR_NONE};
    bool was_in_api = x->in_api;

    x->in_api = true;
    int rc = resolver_start(x->r, host, timeout_ms, on_resolved, x, &e);
    x->in_api = was_in_api;
    x->code = e.code;
    return rc == 0;
}

static int setup(void **state)
{
    struct fixture *x = xcalloc(1, sizeof(*x));

    fake_dns_reset();
    bed_open(&x->bed);
    x->r = resolver_new(&x->bed.loop);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    if (!x->closed) {
        close_resolver(x);
        BED_RUN_UNTIL(&x->bed, x->closed);
    }
    fake_dns_hang(false);
    BED_RUN_UNTIL(&x->bed, fake_dns_running() == 0);
    BED_RUN_UNTIL(&x->bed, x->bed.loop.active_reqs.count == 0); /* uv has heard of it too */
    bed_close(&x->bed);
    free(x);
    return 0;
}

static void test_numeric(void **state)
{
    struct fixture *x = *state;

    assert_true(start(x, "127.0.0.1", 5000));
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    assert_int_equal(x->result.count, 1);
    assert_string_equal(x->result.ip[0], "127.0.0.1");
    assert_true(start(x, "2001:db8::1", 5000));
    BED_RUN_UNTIL(&x->bed, x->calls == 2);
    assert_string_equal(x->result.ip[0], "2001:db8::1");
    assert_int_equal(fake_dns_count(), 0);
}

static void test_name_in_order_without_duplicates(void **state)
{
    struct fixture *x = *state;

    fake_dns_set("redis.test", "127.0.0.2,::1,127.0.0.2,127.0.0.1,::1");
    assert_true(start(x, "redis.test", 5000));
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    assert_int_equal(x->code, ERR_NONE);
    assert_int_equal(x->result.count, 3);
    assert_string_equal(x->result.ip[0], "127.0.0.2");
    assert_string_equal(x->result.ip[1], "::1");
    assert_string_equal(x->result.ip[2], "127.0.0.1");
}

static void test_more_addresses_than_the_maximum(void **state)
{
    struct fixture *x = *state;

    fake_dns_set("many.test",
                 "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8,"
                 "127.0.0.9,127.0.0.10,127.0.0.11,127.0.0.12,127.0.0.13,127.0.0.14,127.0.0.15,"
                 "127.0.0.16,127.0.0.17,127.0.0.18");
    assert_true(start(x, "many.test", 5000));
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    assert_int_equal(x->result.count, RESOLVER_ADDRS_MAX);
    assert_string_equal(x->result.ip[RESOLVER_ADDRS_MAX - 1], "127.0.0.16");
}

static void test_unknown_name(void **state)
{
    struct fixture *x = *state;

    assert_true(start(x, "nowhere.test", 5000));
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    assert_int_equal(x->code, ERR_NOTFOUND);
}

static void test_refused(void **state)
{
    struct fixture *x = *state;
    char longer[HOST_MAX + 2];

    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_false(start(x, "", 5000));
    assert_int_equal(x->code, ERR_INVAL);
    assert_false(start(x, longer, 5000));
    assert_int_equal(x->code, ERR_INVAL);
    assert_true(start(x, "127.0.0.1", 5000));
    assert_false(start(x, "127.0.0.1", 5000));
    assert_int_equal(x->code, ERR_CONFLICT);
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    bed_run_for_ms(&x->bed, 10);
    assert_int_equal(x->calls, 1);
}

static void test_start_inside_the_callback(void **state)
{
    struct fixture *x = *state;

    fake_dns_set("a.test", "127.0.0.1");
    fake_dns_set("b.test", "127.0.0.2");
    x->next = "b.test";
    assert_true(start(x, "a.test", 5000));
    BED_RUN_UNTIL(&x->bed, x->calls == 2);
    assert_string_equal(x->result.ip[0], "127.0.0.2");
}

static void test_close_inside_the_callback(void **state)
{
    struct fixture *x = *state;

    fake_dns_set("a.test", "127.0.0.1");
    x->close_in_callback = true;
    assert_true(start(x, "a.test", 5000));
    BED_RUN_UNTIL(&x->bed, x->closed);
    assert_int_equal(x->calls, 1);
}

static void test_cancel(void **state)
{
    struct fixture *x = *state;
    const char *const hosts[] = {"127.0.0.1", "a.test"};

    fake_dns_set("a.test", "127.0.0.1");
    for (unsigned i = 0; i < ARRAY_LEN(hosts); i++) {
        assert_true(start(x, hosts[i], 5000));
        x->in_api = true;
        resolver_cancel(x->r);
        resolver_cancel(x->r);
        x->in_api = false;
        BED_RUN_UNTIL(&x->bed, x->calls == i + 1);
        assert_int_equal(x->code, ERR_CANCELED);
    }
    resolver_cancel(x->r);                 /* nothing under way */
    assert_true(start(x, "a.test", 5000)); /* usable again */
    BED_RUN_UNTIL(&x->bed, x->calls == 3);
    assert_int_equal(x->code, ERR_NONE);
}

static void test_hang_ends_at_the_deadline(void **state)
{
    struct fixture *x = *state;
    uint64_t before_us = loop_now_us();

    fake_dns_set("a.test", "127.0.0.1");
    fake_dns_hang(true);
    assert_true(start(x, "a.test", 50));
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    assert_int_equal(x->code, ERR_TIMEOUT);
    assert_true(loop_now_us() - before_us >= 45 * 1000);
}

/* However often it is tried, one thread of the pool is all that it costs. */
static void test_hang_takes_one_thread(void **state)
{
    struct fixture *x = *state;

    fake_dns_set("a.test", "127.0.0.1");
    fake_dns_hang(true);
    for (unsigned i = 1; i <= 6; i++) {
        assert_true(start(x, "a.test", 10));
        BED_RUN_UNTIL(&x->bed, x->calls == i);
        assert_int_equal(x->code, ERR_TIMEOUT);
    }
    assert_int_equal(fake_dns_count(), 1);
    assert_true(start(x, "a.test", 5000));
    fake_dns_hang(false); /* the look-up of before answers this start */
    BED_RUN_UNTIL(&x->bed, x->calls == 7);
    assert_int_equal(x->code, ERR_NONE);
    assert_int_equal(fake_dns_count(), 1);
}

static void test_an_old_answer_is_not_taken_for_another_host(void **state)
{
    struct fixture *x = *state;

    fake_dns_set("a.test", "127.0.0.1");
    fake_dns_set("b.test", "127.0.0.2");
    fake_dns_hang(true);
    assert_true(start(x, "a.test", 10));
    BED_RUN_UNTIL(&x->bed, x->calls == 1);
    assert_true(start(x, "b.test", 5000));
    fake_dns_hang(false);
    BED_RUN_UNTIL(&x->bed, x->calls == 2);
    assert_int_equal(x->code, ERR_NONE);
    assert_string_equal(x->result.ip[0], "127.0.0.2");
}

static void test_close_does_not_wait_for_a_hang(void **state)
{
    struct fixture *x = *state;

    fake_dns_hang(true);
    assert_true(start(x, "a.test", 5000));
    BED_RUN_UNTIL(&x->bed, fake_dns_running() == 1);
    close_resolver(x);
    BED_RUN_UNTIL(&x->bed, x->closed);
    assert_int_equal(fake_dns_running(), 1);
    assert_int_equal(x->calls, 1);
    assert_int_equal(x->code, ERR_CANCELED);
}

static void test_close_before_the_answer(void **state)
{
    struct fixture *x = *state;

    assert_true(start(x, "127.0.0.1", 5000));
    close_resolver(x);
    BED_RUN_UNTIL(&x->bed, x->closed);
    assert_int_equal(x->calls, 1);
    assert_int_equal(x->code, ERR_CANCELED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numeric),
        TEST(test_name_in_order_without_duplicates),
        TEST(test_more_addresses_than_the_maximum),
        TEST(test_unknown_name),
        TEST(test_refused),
        TEST(test_start_inside_the_callback),
        TEST(test_close_inside_the_callback),
        TEST(test_cancel),
        TEST(test_hang_ends_at_the_deadline),
        TEST(test_hang_takes_one_thread),
        TEST(test_an_old_answer_is_not_taken_for_another_host),
        TEST(test_close_does_not_wait_for_a_hang),
        TEST(test_close_before_the_answer),
    };

    return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
