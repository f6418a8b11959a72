/* The close protocol: told once, later, and only when everything is closed. */
#include "lib/io/loop.h"

#include "test/io/http_peer.h"

struct object {
    struct closer closer;
    uv_timer_t timer;
    uv_idle_t idle;
    unsigned closed;
    bool in_api;
};

static void on_closed(void *arg)
{
    struct object *o = arg;

    assert_false(o->in_api);
    assert_int_equal(o->closer.open_handles, 0);
    o->closed++;
}

static void finish(struct object *o)
{
    o->in_api = true;
    closer_finish(&o->closer, on_closed, o);
    o->in_api = false;
    assert_int_equal(o->closed, 0);
}

static void test_without_handles(void **state)
{
    struct bed bed;
    struct object o = {.closed = 0};

    (void)state;
    bed_open(&bed);
    closer_init(&o.closer, &bed.loop);
    finish(&o);
    BED_RUN_UNTIL(&bed, o.closed > 0);
    bed_close(&bed);
    assert_int_equal(o.closed, 1);
}

static void add_handles(struct object *o, struct bed *bed)
{
    closer_init(&o->closer, &bed->loop);
    assert_int_equal(uv_timer_init(&bed->loop, &o->timer), 0);
    closer_add(&o->closer, (uv_handle_t *)&o->timer);
    assert_int_equal(uv_idle_init(&bed->loop, &o->idle), 0);
    closer_add(&o->closer, (uv_handle_t *)&o->idle);
}

static void test_waits_for_every_handle(void **state)
{
    struct bed bed;
    struct object o = {.closed = 0};

    (void)state;
    bed_open(&bed);
    add_handles(&o, &bed);
    closer_close(&o.closer, (uv_handle_t *)&o.timer);
    finish(&o);
    for (int i = 0; i < 5; i++) {
        uv_run(&bed.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(o.closed, 0);
    closer_close(&o.closer, (uv_handle_t *)&o.idle); /* also after finish */
    BED_RUN_UNTIL(&bed, o.closed > 0);
    bed_close(&bed);
    assert_int_equal(o.closed, 1);
}

static void test_a_handle_closed_early_is_not_the_end(void **state)
{
    struct bed bed;
    struct object o = {.closed = 0};

    (void)state;
    bed_open(&bed);
    add_handles(&o, &bed);
    closer_close(&o.closer, (uv_handle_t *)&o.timer);
    closer_close(&o.closer, (uv_handle_t *)&o.idle);
    for (int i = 0; i < 5; i++) {
        uv_run(&bed.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(o.closed, 0);
    assert_int_equal(o.closer.open_handles, 0);
    finish(&o);
    BED_RUN_UNTIL(&bed, o.closed > 0);
    bed_close(&bed);
    assert_int_equal(o.closed, 1);
}

static void test_waits_for_children(void **state)
{
    struct bed bed;
    struct object parent = {.closed = 0};

    (void)state;
    bed_open(&bed);
    closer_init(&parent.closer, &bed.loop);
    closer_hold(&parent.closer);
    finish(&parent);
    for (int i = 0; i < 5; i++) {
        uv_run(&bed.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(parent.closed, 0);
    closer_release(&parent.closer);
    assert_int_equal(parent.closed, 1);
    bed_close(&bed);
}

static void test_clocks(void **state)
{
    uint64_t a = loop_now_us();
    uint64_t wall = loop_wall_ms();

    (void)state;
    assert_true(loop_now_us() >= a);
    assert_true(wall > 1700000000000u); /* milliseconds: after 2023 */
    assert_true(wall < 10000000000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_handles),
        cmocka_unit_test(test_waits_for_every_handle),
        cmocka_unit_test(test_a_handle_closed_early_is_not_the_end),
        cmocka_unit_test(test_waits_for_children),
        cmocka_unit_test(test_clocks),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
