/* Model of one redis-server: process, role, replication, persistence of the role.
 *
 * A role change by Sentinel or by REPLICAOF closes all clients' connections, as the
 * transaction that Sentinel sends does. Offsets count acknowledged writes. */
#ifndef RPA_TEST_SIM_MODEL_REDIS_H
#define RPA_TEST_SIM_MODEL_REDIS_H

#include "agent/core/core.h"
#include "test/sim/limits.h"

struct world;

#define REDIS_REPL_TIMEOUT_US (20 * SECOND)

struct redis {
    bool alive;
    bool frozen;
    bool busy;       /* runs a script */
    uint64_t gen;    /* of the process */
    uint64_t run_id; /* as a number */
    uint64_t started_us;
    uint64_t loading_until_us;
    uint64_t silent_since_us; /* dead, frozen or busy since; 0: answers */
    uint64_t died_us;

    int upstream;             /* -1: master */
    int stored_upstream;      /* what a restart finds in redis.conf */
    uint64_t repl_gen;        /* changes when the links of its replicas are cut */
    uint64_t master_until_us; /* last time at which ROLE said master */

    enum repl_link link;
    uint64_t link_gen; /* repl_gen of the upstream */
    uint64_t next_try_us;
    uint64_t sync_until_us;
    uint64_t link_lost_us; /* 0: has never been up in this process */
    uint64_t silent_link_us;
    bool synced; /* this process has had a whole data set from a master */

    uint64_t replid;
    uint64_t replid2;
    int64_t offset;
    int64_t offset2;
};

/* What INFO says, small enough for a message. */
struct redis_snap {
    uint64_t run_id;
    int upstream;
    bool link_up;
    bool syncing;
    bool link_was_up;
    uint64_t link_down_us;
    int64_t offset;
    bool loading;
    unsigned replicas; /* bit a Redis */
};

void redis_init(struct world *w, unsigned i, int upstream);
void redis_start(struct world *w, unsigned i);
void redis_kill(struct world *w, unsigned i, bool lose_data);
void redis_freeze(struct world *w, unsigned i, bool frozen);
void redis_busy(struct world *w, unsigned i, bool busy);
/* REPLICAOF with CONFIG REWRITE and CLIENT KILL; upstream -1: NO ONE. */
void redis_replicaof(struct world *w, unsigned i, int upstream);

bool redis_answers(const struct world *w, unsigned i); /* commands, INFO and ROLE included */
bool redis_loading(const struct world *w, unsigned i);
bool redis_acks_writes(const struct world *w, unsigned i);
void redis_snapshot(const struct world *w, unsigned i, struct redis_snap *ret);
void redis_role_reply(const struct world *w, unsigned i, struct role_reply *ret);
void redis_snap_to_info(const struct world *w, const struct redis_snap *s, struct info *ret);

#endif
