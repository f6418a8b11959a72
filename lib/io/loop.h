/* One uv loop on one thread: clock, and the close protocol that every object here follows.
 *
 * Objects embed their handles. Each successful uv_*_init is paired with closer_add(); each
 * handle is closed with closer_close(), whose callback counts down; when x_close() has been
 * called and the count is zero, the owner's callback fires: once, never from inside
 * x_close() itself, and only then may the owner's memory go. A loop whose objects are all
 * closed gives uv_loop_close() == 0; every test in test/io ends by checking that. */
#ifndef RPA_IO_LOOP_H
#define RPA_IO_LOOP_H

#include <uv.h>

#include "lib/base/err.h"

/* Monotonic microseconds; not the loop's cached time, which is as old as the iteration. */
uint64_t loop_now_us(void);

/* Realtime in milliseconds since 1970, for texts only: it may jump. */
uint64_t loop_wall_ms(void);

typedef void closer_fn(void *arg);

struct closer {
    uv_loop_t *loop;
    unsigned open_handles; /* and children held */
    bool closing;
    closer_fn *on_closed;
    void *arg;
    uv_idle_t defer; /* makes on_closed asynchronous even with no handle open */
};

void closer_init(struct closer *c, uv_loop_t *loop);

/* Counts a handle that was just initialised; its data pointer becomes the closer's, so the
 * owner is found with container_of on the handle. */
void closer_add(struct closer *c, uv_handle_t *handle);

/* Closes one counted handle. Safe while closing; not twice for one handle. */
void closer_close(struct closer *c, uv_handle_t *handle);

/* Count something that is not a handle of the owner: a child with a close callback of its
 * own. The owner's memory may be gone when closer_release returns. */
void closer_hold(struct closer *c);
void closer_release(struct closer *c);

/* From here on `on_closed` fires once, as soon as all handles are closed. */
void closer_finish(struct closer *c, closer_fn *on_closed, void *arg);

#endif
