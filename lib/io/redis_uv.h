/* One socket to one Redis: hiredis's buffers, command formatter and reply parser driven by
 * a uv_poll_t. No name resolution, no reconnection, no deadlines: that is redis_conn.h.
 *
 * Of hiredis: redisContext over a socket that we connect ourselves (hiredis resolves names
 * by blocking, loses errno and cuts off long paths), and redisReader with redis_tree.h. Not
 * its asynchronous layer: that assert()s on what the peer sends, as a reply that nobody asked
 * for or a push whose first element is no string (1.2.0, async.c, redisProcessCallbacks and
 * __redisGetSubscribeCallback), and no peer may be able to end this process.
 *
 * Lifecycle: redis_uv_connect -> ops.connected -> ops.reply … -> ops.lost, once, at any
 * point. The owner answers `lost` with redis_uv_close, which may be called at any time and
 * from inside every callback; ops.closed follows later, once, and then the object is gone.
 * Nothing else is called after redis_uv_close. */
#ifndef RPA_IO_REDIS_UV_H
#define RPA_IO_REDIS_UV_H

#include <sys/socket.h>

#include "lib/codec/resp.h"
#include "lib/io/loop.h"

struct redis_uv;

struct redis_uv_ops {
    void (*connected)(void *arg);
    /* The tree is valid during the callback. */
    void (*reply)(void *arg, const struct resp *reply);
    /* UNAVAILABLE (sys: errno; 0: closed by the peer), PROTO or LIMIT. */
    void (*lost)(void *arg, const struct err *err);
    void (*closed)(void *arg);
    void *arg;
};

/* NULL: the kernel refused at once (UNAVAILABLE, sys: errno); no callback will follow.
 * A reply beyond reply_max_bytes, RESP_DEPTH_MAX or RESP_NODES_MAX is lost with LIMIT. */
struct redis_uv *redis_uv_connect(uv_loop_t *loop, const struct sockaddr *addr, socklen_t addr_len,
                                  size_t reply_max_bytes, const struct redis_uv_ops *ops,
                                  struct err *e) MUST_USE;

/* Sends one command: at once as far as the socket takes it. Only after `connected`. A
 * failure is told later, by `lost`. lens: NULL for NUL-terminated arguments. */
void redis_uv_send(struct redis_uv *u, size_t argc, const char **argv, const size_t *lens);

/* Handles now what the kernel already has, with the usual callbacks. To be called before a
 * deadline is judged: after a stall of this process timers come before sockets. */
void redis_uv_drain(struct redis_uv *u);

void redis_uv_close(struct redis_uv *u);

#endif
