/* What a Sentinel answers: SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME, MYID, SENTINELS, REPLICAS
 * and IS-MASTER-DOWN-BY-ADDR; and the hello message (redis.io/docs/management/sentinel;
 * sentinel.c, sentinelCommand, addReplySentinelRedisInstance and sentinelSendHello).
 *
 * Where an answer is refused, the target is untouched. "-ERR No such master with that name" is
 * ERR_NOTFOUND, any other error reply is as resp_refuse() says. */
#ifndef RPA_CODEC_SENTINEL_REPLY_H
#define RPA_CODEC_SENTINEL_REPLY_H

#include "lib/base/buf.h"
#include "lib/codec/addr.h"
#include "lib/codec/info.h"
#include "lib/codec/resp.h"

/* Flags of the "flags" field that change what a view proves; others are ignored. */
#define SENTINEL_FLAGS(X)                             \
    X(SENTINEL_FLAG_S_DOWN, "s_down")                 \
    X(SENTINEL_FLAG_O_DOWN, "o_down")                 \
    X(SENTINEL_FLAG_FAILOVER, "failover_in_progress") \
    X(SENTINEL_FLAG_FORCE, "force_failover")          \
    X(SENTINEL_FLAG_DISCONNECTED, "disconnected")     \
    X(SENTINEL_FLAG_MASTER_DOWN, "master_down")

enum sentinel_flag { SENTINEL_FLAGS(RPA_ENUM_MEMBER) SENTINEL_FLAG_COUNT };

struct sentinel_master {
    struct addr addr;
    char run_id[RUN_ID_LEN + 1]; /* "" while the Sentinel does not know it yet */
    uint32_t flags;              /* bit 1U << SENTINEL_FLAG_… */
    uint64_t config_epoch;
    uint64_t num_slaves;
    uint64_t num_other_sentinels;
    uint64_t quorum;
    uint64_t down_after_ms;
    uint64_t failover_timeout_ms;
};

struct sentinel_hello {
    struct addr sentinel;
    char sentinel_id[RUN_ID_LEN + 1];
    uint64_t current_epoch;
    char master_name[128];
    struct addr master;
    uint64_t master_epoch;
};

/* SENTINEL IS-MASTER-DOWN-BY-ADDR: whom this Sentinel has voted for. With epoch 0 it is a
 * question only (sentinel.c, sentinelVoteLeader). leader_id "" is its "*": with epoch 0 it has
 * not voted or does not know the address; with another it has forgotten for whom, because it was
 * restarted or has switched to another master since. */
struct sentinel_vote {
    bool down;
    char leader_id[RUN_ID_LEN + 1];
    uint64_t epoch;
};

#define SENTINEL_PEERS_MAX 16
#define SENTINEL_REPLICAS_MAX 32

/* One element of SENTINEL SENTINELS or SENTINEL REPLICAS. */
struct sentinel_instance {
    struct addr addr;
    char run_id[RUN_ID_LEN + 1]; /* "" not known */
    uint32_t flags;              /* bit 1U << SENTINEL_FLAG_… */
};

/* Everything that a candidate asks a Sentinel before it asks for a vote. Elements beyond the
 * arrays are left out. */
struct sentinel_look {
    struct sentinel_vote vote;
    size_t peer_count;
    struct sentinel_instance peers[SENTINEL_PEERS_MAX];
    size_t replica_count;
    struct sentinel_instance replicas[SENTINEL_REPLICAS_MAX];
};

const char *sentinel_flag_name(enum sentinel_flag flag);

/* The [key, value, …] array of SENTINEL MASTER. ip, port, flags, config-epoch, quorum and
 * num-other-sentinels must be there, else ERR_PROTO; numbers that are not are 0. */
int sentinel_master_parse(struct sentinel_master *ret, const struct resp *r,
                          struct err *e) MUST_USE;

/* [ip, port]; nil gives ERR_NOTFOUND. */
int sentinel_addr_parse(struct addr *ret, const struct resp *r, struct err *e) MUST_USE;

/* 40 hex digits of SENTINEL MYID. */
int sentinel_myid_parse(char ret[static RUN_ID_LEN + 1], const struct resp *r,
                        struct err *e) MUST_USE;

/* [down, leader or "*", epoch] of SENTINEL IS-MASTER-DOWN-BY-ADDR. A leader that is neither "*"
 * nor a run-id is ERR_PROTO. */
int sentinel_vote_parse(struct sentinel_vote *ret, const struct resp *r, struct err *e) MUST_USE;

/* SENTINEL SENTINELS into the peers, SENTINEL REPLICAS or SLAVES into the replicas of a look;
 * the rest of it is untouched. An element without ip, port or flags makes the answer ERR_PROTO;
 * one whose address addr_set() does not take is left out. */
int sentinel_peers_parse(struct sentinel_look *look, const struct resp *r, struct err *e) MUST_USE;
int sentinel_replicas_parse(struct sentinel_look *look, const struct resp *r,
                            struct err *e) MUST_USE;

/* "ip,port,runid,current_epoch,master_name,master_ip,master_port,master_epoch" */
int sentinel_hello_parse(struct sentinel_hello *ret, struct sv payload, struct err *e) MUST_USE;

/* The same text. False, and nothing written: an address, the name or the run-id is not set, the
 * name has a comma, or the text does not fit. */
bool sentinel_hello_write(struct buf *out, const struct sentinel_hello *h) MUST_USE;

#endif
