/* Model of one redis-server: process, role, replication, persistence of the role.
 *
 * A role change by Sentinel closes all clients' connections, as its transaction does; an order
 * of an agent does only what its command does. What is written goes to the replicas as a stream,
 * and each holds a position of some history (test/sim/ledger.h). */
#ifndef RPA_TEST_SIM_MODEL_REDIS_H
#define RPA_TEST_SIM_MODEL_REDIS_H

#include "agent/core/core.h"
#include "test/sim/ledger.h"
#include "test/sim/limits.h"

struct world;

#define SIM_NOWHERE ((int)SIM_PODS_MAX) /* as upstream: 127.0.0.1:1, a held start */
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

    uint64_t replid; /* a history of the ledger */
    uint64_t replid2;
    int64_t offset;
    int64_t offset2;
    uint64_t ping_us;     /* a master's next PING to its replicas */
    uint64_t link_serial; /* changes with every link to a master */
    bool streaming;       /* something of it is on its way */
    int64_t ack_offset;   /* what the master was told last */
    uint64_t ack_us;

    uint64_t paused_until_us; /* CLIENT PAUSE … WRITE; 0 none */
    uint64_t min_replicas;    /* min-replicas-to-write */
    uint64_t stored_min_replicas;
    uint64_t kill_gen;     /* of the last CLIENT KILL TYPE normal */
    uint64_t failover_gen; /* FAILOVER under way; 0 none */

    bool launching; /* its helper has asked how to start */
    uint64_t launch_gen;
    uint64_t trouble_us; /* last time at which it began or ended not to be well */
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
    uint64_t replid;
    uint64_t replid2;
    int64_t offset2;
    int64_t ack_offset[SIM_PODS_MAX];
    uint64_t ack_age_us[SIM_PODS_MAX];
};

void redis_init(struct world *w, unsigned i, int upstream);
void redis_start(struct world *w, unsigned i);
void redis_kill(struct world *w, unsigned i, bool lose_data);
void redis_freeze(struct world *w, unsigned i, bool frozen);
void redis_busy(struct world *w, unsigned i, bool busy);
/* Sentinel's REPLICAOF with CONFIG REWRITE and CLIENT KILL; upstream -1: NO ONE. */
void redis_replicaof(struct world *w, unsigned i, int upstream);

/* ---- redis_order.c: what agents order; agent is the one on whose connection it came ---- */

void redis_follow(struct world *w, unsigned i, int upstream);
void redis_promote(struct world *w, unsigned i);
void redis_pause(struct world *w, unsigned i, uint64_t for_us);
void redis_unpause(struct world *w, unsigned i);
void redis_kill_normal(struct world *w, unsigned i, unsigned agent);
void redis_rewrite(struct world *w, unsigned i);
void redis_set_min_replicas(struct world *w, unsigned i, uint64_t value);
void redis_failover(struct world *w, unsigned i, unsigned to, uint64_t timeout_us);
/* What the launch helper is told; without `launch` nobody asks. */
void redis_launch(struct world *w, unsigned i, enum launch how, int upstream);
void redis_ask_launch(struct world *w, unsigned i);

/* ---- model_redis.c ---- */

void redis_set_upstream(struct world *w, unsigned i, int upstream);
struct position redis_position(const struct redis *r);
/* The master's stream grows. */
void redis_advance(struct world *w, unsigned i, int64_t bytes);
bool redis_is_paused(const struct world *w, unsigned i);
unsigned redis_count_replicas(const struct world *w, unsigned i);
/* A write that comes now is acknowledged. */
bool redis_takes_writes(const struct world *w, unsigned i);
void redis_begin(struct world *w, unsigned i, int upstream);

bool redis_answers(const struct world *w, unsigned i); /* commands, INFO and ROLE included */
bool redis_loading(const struct world *w, unsigned i);
bool redis_acks_writes(const struct world *w, unsigned i);
void redis_snapshot(const struct world *w, unsigned i, struct redis_snap *ret);
void redis_role_reply(const struct world *w, unsigned i, struct role_reply *ret);
void redis_snap_to_info(const struct world *w, const struct redis_snap *s, struct info *ret);

#endif
