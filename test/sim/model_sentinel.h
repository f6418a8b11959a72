/* Model of one redis-sentinel that watches one master: its views of the instances, S_DOWN
 * and O_DOWN, votes, the failover it may lead, hellos, and what it tells its clients.
 *
 * States of a failover, and what ends each (redis.io/docs/management/sentinel; times as
 * measured on real Sentinels: timeline.c holds the model to them):
 *
 *   none -> wait-start -> select-slave -> send-noone -> wait-promotion -> reconf -> update
 *             | no majority   | none good    | no link      | INFO: not yet
 *             +---------------+--------------+--------------+--> abort -> none */
#ifndef RPA_TEST_SIM_MODEL_SENTINEL_H
#define RPA_TEST_SIM_MODEL_SENTINEL_H

#include "agent/core/core.h"
#include "test/sim/limits.h"
#include "test/sim/model_redis.h"

struct world;
struct sim_msg;

#define SENTINEL_INFO_PERIOD_US (10 * SECOND)
#define SENTINEL_HELLO_PERIOD_US (2 * SECOND)

enum failover_state {
    FAILOVER_NONE,
    FAILOVER_WAIT_START,
    FAILOVER_SELECT,
    FAILOVER_SEND_NOONE,
    FAILOVER_WAIT_PROMOTION,
    FAILOVER_RECONF,
    FAILOVER_UPDATE
};

enum reconf_state { RECONF_NOT, RECONF_SENT, RECONF_RUNNING, RECONF_DONE };

/* What a Sentinel knows of a Redis. */
struct known_redis {
    bool known;
    bool connected;
    uint64_t conn_gen;        /* the process at the other end */
    uint64_t ping_us;         /* last sent */
    uint64_t ping_pending_us; /* oldest unanswered; 0 none */
    uint64_t available_us;
    uint64_t publish_us;
    bool held;         /* a PUBLISH waits for the end of a pause, and all that is behind it */
    uint64_t kill_gen; /* of the connection */
    uint64_t info_asked_us;
    uint64_t info_us; /* last answer; 0 none */
    bool s_down;
    uint64_t s_down_us;
    uint64_t run_id; /* 0 not known */
    bool says_master;
    uint64_t role_us; /* since when it says so */
    int says_upstream;
    uint64_t upstream_us;
    bool link_up;
    uint64_t link_down_us;
    int64_t offset;
    enum reconf_state reconf;
    uint64_t reconf_us;
};

/* What a Sentinel knows of another one. */
struct known_sentinel {
    uint64_t id; /* 0 not known */
    bool master_down;
    uint64_t reply_us;
    uint64_t leader;
    uint64_t leader_epoch;
};

struct sentinel_model {
    bool alive;
    bool frozen;
    bool refuses; /* answers every command of an agent with an error */
    bool denies;  /* … only votes, announcements and forced failovers */
    uint64_t gen;
    uint64_t life; /* of the process */
    uint64_t id;
    uint64_t last_tick_us;
    uint64_t tilt_until_us;
    uint64_t up_since_us;

    bool monitors;
    int master;
    uint64_t current_epoch;
    uint64_t config_epoch;
    uint64_t leader;
    uint64_t leader_epoch;
    bool o_down;
    uint64_t o_down_us;

    enum failover_state failover;
    bool forced;
    uint64_t failover_epoch;
    uint64_t start_us;
    uint64_t change_us;
    int promoted;

    struct known_redis redis[SIM_PODS_MAX];
    struct known_sentinel peers[SIM_SENTINELS_MAX];
};

/* SENTINEL MASTER and GET-MASTER-ADDR-BY-NAME, small enough for a message. */
struct sentinel_snap {
    bool monitors;
    int addr;
    int named;
    uint64_t run_id;
    uint32_t flags;
    uint64_t epoch;
    uint64_t others;
};

/* IS-MASTER-DOWN-BY-ADDR as a question, SENTINELS and REPLICAS, likewise. */
struct look_snap {
    bool down;
    uint64_t leader;
    uint64_t leader_epoch;
    uint64_t peers[SIM_SENTINELS_MAX]; /* 0: not known */
    uint32_t peer_flags[SIM_SENTINELS_MAX];
    unsigned replicas; /* bit a Redis */
    uint64_t run_ids[SIM_PODS_MAX];
    uint32_t replica_flags[SIM_PODS_MAX];
};

/* A published event, small enough for a message. */
struct sentinel_news {
    enum sentinel_event_type type;
    int instance; /* -1: none */
    int master;
    uint64_t epoch;
    uint64_t leader;
};

struct hello_msg {
    unsigned sentinel;
    uint64_t id;
    uint64_t current_epoch;
    int master;
    uint64_t config_epoch;
};

/* ---- model_sentinel.c ---- */

/* master -1: it monitors nothing. */
void sentinel_start(struct world *w, unsigned k);
void sentinel_fresh(struct world *w, unsigned k, int master); /* an empty configuration */
void sentinel_monitor(struct world *w, unsigned k, int master);
void sentinel_kill(struct world *w, unsigned k);
void sentinel_freeze(struct world *w, unsigned k, bool frozen);
/* SENTINEL FAILOVER; false: refused. */
bool sentinel_force_failover(struct world *w, unsigned k);

bool sentinel_answers(const struct world *w, unsigned k);
int sentinel_named(const struct sentinel_model *s);
void sentinel_snapshot(const struct world *w, unsigned k, struct sentinel_snap *ret);
void sentinel_tell(struct world *w, unsigned k, enum sentinel_event_type type, int instance);

bool sentinel_tilted(const struct world *w, const struct sentinel_model *s);
/* Gives or refuses a vote; returns whom it has voted for. */
uint64_t sentinel_vote(struct world *w, unsigned k, uint64_t epoch, uint64_t candidate,
                       uint64_t *ret_epoch);
void sentinel_switch_master(struct world *w, unsigned k, int to);
void sentinel_force_hello(struct world *w, unsigned k);
void sentinel_on_info(struct world *w, unsigned k, unsigned i, const struct redis_snap *snap);

/* ---- sentinel_failover.c: the failover that one leads ---- */

void sentinel_start_failover(struct world *w, unsigned k);
void sentinel_failover_step(struct world *w, unsigned k);
int sentinel_choose_replica(const struct world *w, const struct sentinel_model *s);
/* The promoted one says master. */
void sentinel_promotion_seen(struct world *w, unsigned k);

/* ---- sentinel_wire.c: what goes between Sentinels and Redis ---- */

void sentinel_contact(struct world *w, unsigned k, unsigned i);
void sentinel_take_configuration(struct world *w, unsigned k, const struct hello_msg *h);
void sentinel_ask_peers(struct world *w, unsigned k, bool forced);
bool sentinel_send_replicaof(struct world *w, unsigned k, unsigned i, int upstream);

/* ---- sentinel_agent.c: what agents ask and tell ---- */

void sentinel_address(unsigned k, struct addr *ret);
/* False: refused. */
bool sentinel_look(const struct world *w, unsigned k, struct look_snap *ret);
void sentinel_look_text(const struct world *w, const struct look_snap *s,
                        struct sentinel_look *ret);
/* Whether it holds the master for down. */
bool sentinel_answer_vote(struct world *w, unsigned k, const struct addr *master, uint64_t epoch,
                          uint64_t candidate, uint64_t *ret_leader, uint64_t *ret_epoch);
void sentinel_take_announcement(struct world *w, unsigned k, const struct core_action *a);

#endif
