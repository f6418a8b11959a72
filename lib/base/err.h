/* The error object: what went wrong, in words for a person and a code for the caller.
 *
 * The caller owns it and passes it as the last parameter. On success it is untouched. On
 * failure the function returns -1 (or NULL) with code, sys and msg set. On the way up each
 * level may put itself in front: err_wrap(e, "INFO from %s", host) makes
 * "INFO from redis-0: no reply in 500 ms". A NULL err is allowed everywhere: then only the
 * return value speaks. Messages are cut at sizeof(msg) - 1 bytes; nothing is allocated. */
#ifndef RPA_BASE_ERR_H
#define RPA_BASE_ERR_H

#include "lib/base/defs.h"

/* Codes say what the caller can do about it. */
#define ERR_CODES(X)                                                              \
    X(ERR_NONE, "ok")                                                             \
    X(ERR_INVAL, "invalid")           /* the caller's or user's input is wrong */ \
    X(ERR_TIMEOUT, "timeout")         /* no answer within our deadline */         \
    X(ERR_UNAVAILABLE, "unavailable") /* not reachable now: try again later */    \
    X(ERR_PROTO, "protocol")          /* the peer does not speak as documented */ \
    X(ERR_CORRUPT, "corrupt")         /* data that cannot be what it claims */    \
    X(ERR_DENIED, "denied")           /* credentials or permission */             \
    X(ERR_NOTFOUND, "not found")                                                  \
    X(ERR_CONFLICT, "conflict") /* somebody else changed it: read again */        \
    X(ERR_CANCELED, "canceled") /* we stopped it ourselves */                     \
    X(ERR_LIMIT, "limit")       /* a cap of ours was reached */                   \
    X(ERR_SYS, "system")        /* errno in sys */

enum err_code { ERR_CODES(RPA_ENUM_MEMBER) ERR_CODE_COUNT };

struct err {
    enum err_code code;
    int sys; /* errno, libuv, curl or HTTP number that code was made from; 0: none */
    char msg[232];
};

const char *err_code_name(enum err_code code);

/* Sets code and message; returns -1, so that `return err_set(…)` ends a function. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF(3, 4);

/* As err_set with ERR_SYS, and ": strerror(sys)" behind the message. */
int err_set_errno(struct err *e, int sys, const char *fmt, ...) PRINTF(3, 4);

/* Puts "text: " before the present message; code and sys stay. Returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

#endif
