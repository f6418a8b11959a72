/* Host names to addresses without blocking the loop (uv_getaddrinfo on uv's thread pool),
 * with a deadline of ours: a resolver that hangs costs one pool thread, never the loop.
 *
 * resolver_start accepts one look-up: exactly one later callback follows, also after
 * resolver_cancel (ERR_CANCELED). A numeric address is answered the same way, without the
 * pool. A new start while one is under way is refused (-1, no callback).
 *
 * getaddrinfo cannot be interrupted: after a time-out, a cancel or a close its thread goes
 * on until it returns, and so does uv_run (uv_loop_close is EBUSY until then), but no close
 * callback waits for it. A resolver never has two under way: a start for the same host takes
 * over the one that is running, a start for another one waits for its end. */
#ifndef RPA_IO_RESOLVER_H
#define RPA_IO_RESOLVER_H

#include <netinet/in.h>

#include "lib/codec/addr.h"
#include "lib/io/loop.h"

#define RESOLVER_ADDRS_MAX 16
#define IP_TEXT_MAX INET6_ADDRSTRLEN

struct resolved {
    size_t count; /* ≥ 1 where err is NULL; in the order of the resolver, duplicates removed */
    char ip[RESOLVER_ADDRS_MAX][IP_TEXT_MAX];
};

typedef void resolver_fn(void *arg, const struct resolved *result, const struct err *err);

struct resolver; /* opaque, because uv's request may outlive a cancelled owner */

struct resolver *resolver_new(uv_loop_t *loop);
int resolver_start(struct resolver *r, const char *host, uint64_t timeout_ms, resolver_fn *cb,
                   void *arg, struct err *e) MUST_USE;
void resolver_cancel(struct resolver *r);
void resolver_close(struct resolver *r, closer_fn *on_closed, void *arg); /* frees r afterwards */

#endif
