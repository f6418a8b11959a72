#include "lib/io/loop.h"

#include "lib/base/check.h"

uint64_t loop_now_us(void)
{
    return uv_hrtime() / 1000;
}

uint64_t loop_wall_ms(void)
{
    struct timespec ts;

    REQUIRE(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void closer_init(struct closer *c, uv_loop_t *loop)
{
    *c = (struct closer){.loop = loop};
}

void closer_hold(struct closer *c)
{
    c->open_handles++;
}

void closer_release(struct closer *c)
{
    REQUIRE(c->open_handles > 0);
    c->open_handles--;
    if (c->closing && c->open_handles == 0) {
        c->on_closed(c->arg);
    }
}

void closer_add(struct closer *c, uv_handle_t *handle)
{
    handle->data = c;
    closer_hold(c);
}

static void handle_closed(uv_handle_t *handle)
{
    closer_release(handle->data);
}

void closer_close(struct closer *c, uv_handle_t *handle)
{
    REQUIRE(handle->data == c);
    REQUIRE(!uv_is_closing(handle));
    uv_close(handle, handle_closed);
}

void closer_finish(struct closer *c, closer_fn *on_closed, void *arg)
{
    REQUIRE(!c->closing);
    c->closing = true;
    c->on_closed = on_closed;
    c->arg = arg;
    /* A handle that exists only to be closed: its callback is the earliest moment at which
     * the owner can be told without being called from inside this function. */
    REQUIRE(uv_idle_init(c->loop, &c->defer) == 0);
    closer_add(c, (uv_handle_t *)&c->defer);
    closer_close(c, (uv_handle_t *)&c->defer);
}
