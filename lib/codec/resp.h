/* A decoded RESP2 reply, free of the library that decoded it.
 *
 * lib/io makes the tree from what hiredis delivers; the codecs of this folder read it. The
 * tree and all bytes belong to the maker and live as long as the callback that delivers
 * them. Limits at decoding: RESP_DEPTH_MAX levels, RESP_NODES_MAX values, and a size in
 * bytes that the connection sets. */
#ifndef RPA_CODEC_RESP_H
#define RPA_CODEC_RESP_H

#include "lib/base/err.h"
#include "lib/base/sv.h"

#define RESP_DEPTH_MAX 7
#define RESP_NODES_MAX 65536

#define RESP_TYPES(X)          \
    X(RESP_NIL, "nil")         \
    X(RESP_STATUS, "status")   \
    X(RESP_ERROR, "error")     \
    X(RESP_INTEGER, "integer") \
    X(RESP_STRING, "string")   \
    X(RESP_ARRAY, "array")

enum resp_type { RESP_TYPES(RPA_ENUM_MEMBER) };

struct resp {
    enum resp_type type;
    int64_t integer;          /* RESP_INTEGER */
    struct sv str;            /* RESP_STATUS, RESP_ERROR, RESP_STRING */
    const struct resp *elems; /* RESP_ARRAY */
    size_t count;
};

/* What an error reply means for us: its first word (redis.io/docs/reference/protocol-spec,
 * "Simple errors"; the words themselves are in Redis's server.c, createSharedObjects). */
#define RESP_FAULTS(X)                                                                          \
    X(RESP_FAULT_NONE, "none")                                                                  \
    X(RESP_FAULT_LOADING, "LOADING")       /* alive, reads its data set */                      \
    X(RESP_FAULT_BUSY, "BUSY")             /* alive, runs a script or function */               \
    X(RESP_FAULT_MASTERDOWN, "MASTERDOWN") /* replica without link that serves no stale data */ \
    X(RESP_FAULT_NOAUTH, "NOAUTH")         /* a password is wanted */                           \
    X(RESP_FAULT_WRONGPASS, "WRONGPASS")   /* ours is wrong or the user is off */               \
    X(RESP_FAULT_NOPERM, "NOPERM")         /* the ACL forbids the command */                    \
    X(RESP_FAULT_OTHER, "ERR")

enum resp_fault { RESP_FAULTS(RPA_ENUM_MEMBER) };

const char *resp_type_name(enum resp_type type);
const char *resp_fault_name(enum resp_fault fault);

/* RESP_FAULT_NONE for anything that is not an error reply. Before Redis 6.0
 * "ERR invalid password" and "ERR Client sent AUTH, but no password is set" carry no word
 * of their own: the first is WRONGPASS here. */
enum resp_fault resp_fault(const struct resp *r);

/* Element i of an array as text or number; false where it is not there or of another type.
 * Numbers sent as strings (SENTINEL MASTER) are taken by resp_u64_at too. */
bool resp_str_at(const struct resp *r, size_t i, struct sv *ret) MUST_USE;
bool resp_u64_at(const struct resp *r, size_t i, uint64_t *ret) MUST_USE;

/* Value of `key` in a flat [key, value, key, value, …] array. */
bool resp_field(const struct resp *r, const char *key, struct sv *ret) MUST_USE;

/* What is wrong with an answer to `what` that has not the form it should have, as an error:
 * ERR_DENIED where this user will never get another (NOAUTH, WRONGPASS, NOPERM, a command that
 * the server does not have or that was renamed), else ERR_PROTO. Returns -1. */
int resp_refuse(const struct resp *r, const char *what, struct err *e);

#endif
