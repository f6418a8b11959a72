/* ROLE (redis.io/commands/role): who a Redis says it is, in one small reply. */
#ifndef RPA_CODEC_ROLE_REPLY_H
#define RPA_CODEC_ROLE_REPLY_H

#include "lib/codec/addr.h"
#include "lib/codec/resp.h"

#define REDIS_ROLES(X)             \
    X(REDIS_ROLE_MASTER, "master") \
    X(REDIS_ROLE_SLAVE, "slave")   \
    X(REDIS_ROLE_SENTINEL, "sentinel")

enum redis_role { REDIS_ROLES(RPA_ENUM_MEMBER) };

/* State of a replica's link, the words of ROLE. */
#define REPL_LINKS(X)                     \
    X(REPL_LINK_NONE, "none")             \
    X(REPL_LINK_CONNECT, "connect")       \
    X(REPL_LINK_CONNECTING, "connecting") \
    X(REPL_LINK_HANDSHAKE, "handshake")   \
    X(REPL_LINK_SYNC, "sync")             \
    X(REPL_LINK_CONNECTED, "connected")

enum repl_link { REPL_LINKS(RPA_ENUM_MEMBER) };

struct role_reply {
    enum redis_role role;
    int64_t offset;      /* master: its replication offset; slave: what it has, -1 before a sync */
    struct addr master;  /* slave only */
    enum repl_link link; /* slave only; a word that we do not know is REPL_LINK_NONE */
    unsigned replica_count; /* master only: replicas attached */
};

const char *redis_role_name(enum redis_role role);
const char *repl_link_name(enum repl_link link);

/* ERR_PROTO where the reply is not of the documented form; *ret is then untouched. */
int role_reply_parse(struct role_reply *ret, const struct resp *r, struct err *e) MUST_USE;

#endif
