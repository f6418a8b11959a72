/* One connection to one Redis or Sentinel on hiredis: resolve, connect, AUTH, commands with
 * a deadline each, our own PING, subscriptions, and reconnection for as long as it lives.
 *
 * Lifecycle: redis_conn_new (no I/O), redis_conn_start, redis_conn_stop (idempotent;
 * pending commands get ERR_CANCELED), redis_conn_close(c, cb), once; c is gone in cb.
 *
 * States: idle -> resolving -> connecting -> authenticating -> up -> (lost) waiting -> resolving …
 * After the loss of a connection that was up the first attempt is immediate (a numeric host
 * or a unix socket needs no look-up), but for one that has been up for less than 100 ms four
 * times in a row; further attempts wait a full-jitter time: uniform in
 * [10 ms, min(1 s, 10 ms * 2^n)]. redis_conn_kick() ends a wait at once (a hint says the
 * peer may be back). A name with several addresses: each is tried once in an attempt, with
 * connect_timeout_ms each, and `down` tells what the first of them gave.
 *
 * Callbacks never fire from inside start, command, subscribe, stop, kick or close, and all
 * of these may be called from inside every callback. Replies and payloads are valid during
 * the callback. A command accepted (0) gets exactly one callback; refused (-1: not up, or
 * REDIS_CONN_PENDING_MAX waiting) gets none. When a connection is lost, first its commands
 * get their callbacks, then `down` is told.
 *
 * Deadlines: a command without an answer after command_timeout_ms severs the connection
 * (RESP has no request ids: what comes later cannot be told apart). What the kernel already
 * has is read first, so a stall of this process severs nothing. A PING goes out after
 * ping_idle_ms without a whole reply from the peer (bytes that drip are no sign of life),
 * and counts as a command; so a half-open connection is found within ping_idle_ms +
 * command_timeout_ms.
 *
 * Caps: a reply beyond reply_max_bytes, RESP_DEPTH_MAX (arrays in each other) or
 * RESP_NODES_MAX severs the connection with ERR_LIMIT; what is buffered of an unfinished
 * reply never grows beyond reply_max_bytes + 16 KiB.
 *
 * AUTH: `AUTH [user] password` where a secret file is configured; it is refreshed before
 * each connect, and once a second while connected: a change sends AUTH again (not on a
 * connection with subscriptions, where RESP2 does not take it; that stays authenticated). An
 * error to that one is tried again each second, and the connection stays as it was: in a
 * rotation the file may change before Redis does.
 * An error to the first AUTH or to SUBSCRIBE, and NOAUTH, WRONGPASS and NOPERM to our PING, put the
 * connection down with REDIS_DOWN_AUTH, and it tries again; so does a secret file that could
 * never be read, but only when Redis has accepted the connection. AUTH answered "no password
 * is set" is taken as success. The server's text is never part of err here: some errors
 * repeat the arguments, and so the password. */
#ifndef RPA_IO_REDIS_CONN_H
#define RPA_IO_REDIS_CONN_H

#include "lib/base/rng.h"
#include "lib/codec/resp.h"
#include "lib/io/loop.h"
#include "lib/io/resolver.h"
#include "lib/io/secret_file.h"

#define REDIS_CONN_PENDING_MAX 64
#define REDIS_CONN_ARGS_MAX 16

#define REDIS_DOWNS(X)                                                                           \
    X(REDIS_DOWN_NONE, "none")                                                                   \
    X(REDIS_DOWN_RESOLVE, "resolve") /* the name gives no address */                             \
    X(REDIS_DOWN_REFUSED, "refused") /* nobody listens (or the socket file is not there) */      \
    X(REDIS_DOWN_UNREACHABLE, "unreachable") /* no route, host down, connect timed out */        \
    X(REDIS_DOWN_EOF, "closed")              /* an established connection was closed or reset */ \
    X(REDIS_DOWN_TIMEOUT, "timeout")         /* a command was not answered in time */            \
    X(REDIS_DOWN_AUTH, "auth")               /* NOAUTH, WRONGPASS, NOPERM, protected mode */     \
    X(REDIS_DOWN_PROTO, "protocol")          /* not RESP */                                      \
    X(REDIS_DOWN_LIMIT, "limit")             /* a reply beyond our caps */                       \
    X(REDIS_DOWN_STOPPED, "stopped")         /* redis_conn_stop */

enum redis_down { REDIS_DOWNS(RPA_ENUM_MEMBER) };

const char *redis_down_name(enum redis_down why);

struct redis_conn;

struct redis_conn_ops {
    /* Authenticated, answering PING (LOADING, BUSY, MASTERDOWN and MISCONF count as
     * answering) and all subscriptions confirmed. */
    void (*up)(void *arg);
    /* After an up: the connection is lost. Without an up: an attempt has failed. `why` is
     * also told for every further failed attempt, so that "refused" can be seen. STOPPED is
     * told, later, when a connection that was up is stopped or closed; an attempt that is
     * stopped tells nothing. */
    void (*down)(void *arg, enum redis_down why, const struct err *err);
    /* A published message, never before `up`; NULL where the owner never subscribes. */
    void (*message)(void *arg, struct sv channel, struct sv payload);
    void *arg;
};

struct redis_conn_config {
    const char *host; /* name or IP; NULL where unix_path is set */
    uint16_t port;
    const char *unix_path;        /* NULL: TCP */
    const char *user;             /* NULL: default user */
    struct secret_file *password; /* not owned; NULL: none. Shared between connections */
    uint32_t connect_timeout_ms;
    uint32_t command_timeout_ms;
    uint32_t ping_idle_ms;
    size_t reply_max_bytes; /* at most INT_MAX, as the other limits not 0 */
    uint64_t rng_seed;
};

typedef void redis_reply_fn(void *arg, const struct resp *reply, const struct err *err);

/* Opaque: hiredis frees its context on its own schedule. */
struct redis_conn *redis_conn_new(uv_loop_t *loop, const struct redis_conn_config *cfg,
                                  const struct redis_conn_ops *ops);
void redis_conn_start(struct redis_conn *c);
void redis_conn_stop(struct redis_conn *c);
void redis_conn_close(struct redis_conn *c, closer_fn *on_closed, void *arg); /* frees c */
void redis_conn_kick(struct redis_conn *c);
bool redis_conn_is_up(const struct redis_conn *c);

/* reply is NULL where err is set. An error reply of the server is a reply, not an err. */
int redis_conn_command(struct redis_conn *c, size_t argc, const char *const *argv,
                       redis_reply_fn *cb, void *arg, struct err *e) MUST_USE;

/* Channels (patterns: true uses PSUBSCRIBE) to be subscribed after each connect, before
 * `up` is told. To be called before start, at most once for each kind. A connection with
 * subscriptions takes no commands (RESP2); its PING goes on. Names are copied. */
void redis_conn_subscribe(struct redis_conn *c, const char *const *channels, size_t count,
                          bool patterns);

#endif
