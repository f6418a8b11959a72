/* INFO (redis.io/commands/info): the fields of sections server, replication and persistence
 * that roles and probes need. Unknown keys are skipped; a key that is missing, or whose
 * value does not parse, leaves its bit in `has` unset: callers ask the bit, never guess. */
#ifndef RPA_CODEC_INFO_H
#define RPA_CODEC_INFO_H

#include "lib/codec/addr.h"
#include "lib/codec/role_reply.h"

#define RUN_ID_LEN 40
#define INFO_TEXT_MAX (1024 * 1024) /* longer answers are refused with ERR_LIMIT */
#define INFO_REPLICAS_MAX 32        /* further slaveN lines are counted, not kept */

#define INFO_FIELDS(X)                                    \
    X(INFO_RUN_ID, "run_id")                              \
    X(INFO_VERSION, "redis_version")                      \
    X(INFO_UPTIME, "uptime_in_seconds")                   \
    X(INFO_ROLE, "role")                                  \
    X(INFO_MASTER, "master_host") /* and master_port */   \
    X(INFO_LINK_UP, "master_link_status")                 \
    X(INFO_LINK_DOWN_S, "master_link_down_since_seconds") \
    X(INFO_SYNC, "master_sync_in_progress")               \
    X(INFO_SLAVE_OFFSET, "slave_repl_offset")             \
    X(INFO_SLAVE_READ_OFFSET, "slave_read_repl_offset")   \
    X(INFO_MASTER_OFFSET, "master_repl_offset")           \
    X(INFO_REPLID, "master_replid")                       \
    X(INFO_REPLID2, "master_replid2")                     \
    X(INFO_SECOND_OFFSET, "second_repl_offset")           \
    X(INFO_PRIORITY, "slave_priority")                    \
    X(INFO_REPLICAS, "connected_slaves")                  \
    X(INFO_LOADING, "loading")                            \
    X(INFO_BGSAVE, "rdb_bgsave_in_progress")              \
    X(INFO_CLUSTER, "cluster_enabled")                    \
    X(INFO_MODE, "redis_mode")

enum info_field { INFO_FIELDS(RPA_ENUM_MEMBER) INFO_FIELD_COUNT };

_Static_assert(INFO_FIELD_COUNT <= 32, "a bit of `has` for each field");

struct info_replica {
    struct addr addr;
    bool online; /* state=online */
    int64_t offset;
    uint64_t lag_s;
};

struct info {
    uint32_t has; /* bit 1U << INFO_… */
    char run_id[RUN_ID_LEN + 1];
    char version[32];
    uint64_t uptime_s;
    enum redis_role role;
    struct addr master;
    bool link_up;
    uint64_t link_down_s; /* Redis writes -1 where the link was never up: the bit is unset then */
    bool sync_in_progress;
    int64_t slave_offset;      /* applied */
    int64_t slave_read_offset; /* received; Redis 7.0 and later */
    int64_t master_offset;
    char replid[RUN_ID_LEN + 1];
    char replid2[RUN_ID_LEN + 1]; /* history before the last promotion; "" (all zeros) none */
    int64_t second_offset;        /* first byte that is no more of it; -1 none */
    uint64_t priority;
    uint64_t replica_count;
    struct info_replica replicas[INFO_REPLICAS_MAX];
    size_t replicas_kept;
    bool loading; /* also where async_loading is 1 */
    bool bgsave;
    bool cluster_enabled; /* from cluster_enabled or redis_mode:cluster */
    char mode[16];        /* standalone, sentinel, cluster; Valkey calls the key server_mode */
};

/* False, and dst untouched, where text is not 40 lower-case hexadecimal digits (util.c,
 * getRandomHexChars): run-ids, replication ids and the ids of Sentinels. */
bool run_id_copy(char dst[static RUN_ID_LEN + 1], struct sv text) MUST_USE;

bool info_has(const struct info *info, enum info_field field);

/* ERR_PROTO where the text holds no field that we know; ERR_LIMIT where it is too long. */
int info_parse(struct info *ret, struct sv text, struct err *e) MUST_USE;

#endif
