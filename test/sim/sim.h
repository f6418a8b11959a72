/* A cluster in one process on a virtual clock: real cores of agents, models of everything
 * around them. One seed gives one history, on every machine: all chance comes from one
 * struct rng, and events of the same time keep the order in which they were made.
 *
 *   scenario ── faults ──> redis, sentinel, api models <── conns, requests ──> agent ── core
 *                                       │                                        │
 *                                       └──────────> truth ──> invariants <──────┘
 *
 * Node i carries Redis i, agent i and, unless they stand apart, Sentinel i. Times are
 * microseconds of the virtual clock; nothing is asked of the machine's clock. Indexes of
 * Redis, Pods and agents are the same number; -1 is "none".
 *
 * Messages are owned by the queue until their function has run; `data` is freed after it.
 *
 * The models are written from the behaviour that redis.io/docs/management/sentinel and the
 * measured timelines of the project describe, not to be complete: what no agent can see is
 * left out. */
#ifndef RPA_TEST_SIM_SIM_H
#define RPA_TEST_SIM_SIM_H

#include "agent/core/core.h"
#include "lib/base/rng.h"
#include "test/sim/agent.h"
#include "test/sim/coverage.h"
#include "test/sim/engine_truth.h"
#include "test/sim/invariants.h"
#include "test/sim/ledger.h"
#include "test/sim/limits.h"
#include "test/sim/model_api.h"
#include "test/sim/model_redis.h"
#include "test/sim/model_sentinel.h"

struct world;
struct sim_msg;
typedef void sim_fn(struct world *w, struct sim_msg *m);

struct sim_msg {
    uint64_t at_us;
    uint64_t seq;
    sim_fn *fn;
    unsigned to;
    unsigned from;
    uint64_t gen; /* of the receiver's process or connection; fn compares */
    uint64_t a;
    uint64_t b;
    int64_t c;
    void *data;
    struct sim_msg *next; /* in the list of free ones */
};

struct sim_queue {
    struct sim_msg **heap;
    size_t count;
    size_t cap;
    uint64_t seq;
    struct sim_msg *free;
};

/* What a seed decides before the first event. */
struct sim_config {
    unsigned pods;
    unsigned sentinels; /* 0: a mode without Sentinel */
    unsigned quorum;
    enum core_mode mode;
    uint64_t down_after_us;
    uint64_t failover_timeout_us;
    uint64_t sync_us;     /* of a full synchronisation */
    uint64_t delay_us;    /* between nodes, one way; with as much jitter */
    bool host_names;      /* Sentinels spell addresses as names */
    bool sentinels_apart; /* not on the nodes of the Redis Pods */
    bool eager;
    bool legacy;
    bool uid_known;
    bool dup_slot;      /* the first Sentinel is configured under two names */
    bool bootstrap;     /* at first no Sentinel knows a master */
    bool peer_demotion; /* somebody demotes the label of a deposed master */
    bool loading_error; /* ROLE is refused with LOADING; else it is answered */
    bool without_agents;
    struct core_switches on;
    bool all_on;
    bool launch; /* redis-server is started through the helper */
    uint64_t fence_after_us;
    uint64_t max_lag;
    unsigned writers;
    uint64_t think_us; /* of a client between two writes */
    uint64_t chaos_us; /* how long faults are injected */
    uint64_t fault_mean_us;
    unsigned event_loss; /* permille of the Sentinels' events */
    unsigned event_dup;
    unsigned event_reorder;
    unsigned reply_dup; /* permille of completions that come twice */
};

struct sim_net {
    bool cut[SIM_NODES][SIM_NODES]; /* from, to */
    uint64_t extra_us[SIM_NODES];   /* on everything from and to this node */
    unsigned loss;                  /* permille of messages that need a retransmission */
};

/* Ids that agents have made up: a number each, as the models use them. */
struct sim_names {
    char (*text)[RUN_ID_LEN + 1];
    size_t count;
    size_t cap;
};

/* An agent dies right after it has done this. */
struct sim_trap {
    bool armed;
    enum core_act act;
    enum order order;
    unsigned skip; /* so many of them first */
    bool redis_too;
};

enum sim_engine { SIM_ENGINE_DRAWN, SIM_ENGINE_OFF, SIM_ENGINE_MIXED, SIM_ENGINE_ON };

struct world {
    uint64_t now_us;
    uint64_t seed;
    struct rng rng;
    struct sim_queue queue;
    struct sim_config cfg;
    struct sim_net net;
    struct addr addr_ip[SIM_PODS_MAX];
    struct addr addr_name[SIM_PODS_MAX];

    struct redis redis[SIM_PODS_MAX];
    struct sentinel_model sentinels[SIM_SENTINELS_MAX];
    struct api api;
    struct agent agents[SIM_PODS_MAX];

    struct ledger ledger;
    struct sim_names names;
    struct engine_truth engine;
    struct sim_trap trap;
    enum sim_engine engine_of_all; /* DRAWN: the seed decides */
    uint64_t rebuilt_us;           /* Sentinels were, the last time */
    bool started;                  /* what starts now is no part of the cluster at rest */
    bool ambush;                   /* the next promotion meets a misfortune */
    bool calm;                     /* faults are over: what remains must settle */
    struct truth truth;
    struct coverage *coverage;
    int trace; /* 0 none, 1 what happens, 2 every step of a core too */
    bool failed;
    char failure[512];
    const char *invariant;
};

/* ---- world.c: clock, queue, network ---- */

void world_init(struct world *w, uint64_t seed, struct coverage *coverage, int trace);
void world_release(struct world *w);
/* Runs until nothing is left before `until_us`, or an invariant is broken. */
void world_run(struct world *w, uint64_t until_us);

struct sim_msg *sim_at(struct world *w, uint64_t at_us, sim_fn *fn);
struct sim_msg *sim_in(struct world *w, uint64_t delay_us, sim_fn *fn);

bool sim_chance(struct world *w, unsigned permille);
uint64_t sim_between(struct world *w, uint64_t low, uint64_t high); /* both included */

/* The Redis of this address as the Sentinels spell it. */
const struct addr *sim_addr(const struct world *w, int redis);
int sim_redis_at(const struct world *w, const struct addr *a); /* or SIM_NOWHERE */
unsigned sim_sentinel_node(const struct world *w, unsigned sentinel);
void sim_hex_id(uint64_t id, char out[static RUN_ID_LEN + 1]);
uint64_t sim_intern(struct world *w, const char *text);
void sim_id_text(const struct world *w, uint64_t id, char out[static RUN_ID_LEN + 1]);

bool net_reaches(const struct world *w, unsigned a, unsigned b); /* both ways */
uint64_t net_delay(struct world *w, unsigned a, unsigned b);
void net_heal(struct world *w);

void sim_trace(const struct world *w, const char *fmt, ...) PRINTF(2, 3);
/* The first broken invariant ends the run. `name` is static. */
void sim_fail(struct world *w, const char *name, const char *fmt, ...) PRINTF(3, 4);

/* ---- scenario.c, faults.c ---- */

/* Draws the configuration; chaos_us is the caller's. */
void scenario_init(struct world *w);
/* Starts everything, at rest. */
void scenario_start(struct world *w);
/* Starts, injects faults, heals, and waits for calm. */
void scenario_run(struct world *w);
/* A label was written: the future engine's peer demotion, where the seed has it. */
void scenario_on_label(struct world *w, unsigned i);
void fault_inject(struct world *w);
/* Sentinel k has just sent REPLICAOF NO ONE. */
void fault_on_promotion(struct world *w, unsigned k);
/* Agent i has just done this. */
void fault_on_action(struct world *w, unsigned i, const struct core_action *a);
void fault_heal_all(struct world *w);

/* ---- timeline.c: the models against the measured times ---- */

bool timeline_check(bool print);

#endif
