/* One agent's core on a virtual clock, and what stands around it: a Redis, Sentinels, the API
 * server, as far as the core can see them. A transcript sets what they are; they answer by
 * themselves, each after a fixed delay, and the core is ticked when it asks to be.
 *
 * Times are microseconds since the transcript's beginning; what the core is given starts a minute
 * later, so that no time is ever 0. Everything is a value in one struct; nothing is allocated. */
#ifndef TEST_TRANSCRIPT_WORLD_H
#define TEST_TRANSCRIPT_WORLD_H

#include "agent/core/core.h"
#include "agent/core/probe.h"
#include "lib/base/buf.h"

#define WORLD_ROLE_US 200U         /* a ROLE is answered after */
#define WORLD_INFO_US 300U         /* … and its INFO */
#define WORLD_VIEW_US 500U         /* a Sentinel's view */
#define WORLD_CONNECT_US 200U      /* a connection that succeeds, or is refused */
#define WORLD_RECONNECT_US 100000U /* between attempts that fail */
#define WORLD_ANSWER_US 1000000U   /* after so long the shell gives an answer up */
#define WORLD_WATCH_US 1000U       /* a write is seen by the watch after */
#define WORLD_API_US 2000U         /* … and answered */

#define WORLD_PENDING_MAX 256
#define WORLD_PODS_MAX 8

enum world_conn { CONN_UP, CONN_REFUSED, CONN_FROZEN, CONN_DENIED };

struct world_redis {
    enum world_conn conn;
    enum resp_fault fault; /* to ROLE; NONE: it is answered */
    struct role_reply role;
    struct info info;
};

struct world_sentinel {
    enum world_conn conn;
    struct view view; /* asked_us is the core's business */
};

enum world_pending_type {
    PENDING_ROLE,
    PENDING_INFO,
    PENDING_VIEW,
    PENDING_CONNECT, /* to Redis */
    PENDING_CONNECT_SENTINEL,
    PENDING_WATCH, /* a Pod as it was when it was written */
    PENDING_API,
};

struct world_pending {
    uint64_t at_us;
    uint64_t seq;
    enum world_pending_type type;
    unsigned gen; /* of the agent; answers to a former one are dropped */
    uint64_t op;
    size_t slot;
    enum api_outcome outcome;
    struct pod pod;
    struct label_value label; /* of a PATCH that is held; role UNSET: it is a GET */
};

struct world_api {
    enum api_outcome outcome; /* of every request */
    uint64_t retry_after_us;
    bool holds;   /* requests hang until they are answered by another setting */
    bool loses;   /* writes are stored, and their answers lost */
    bool watches; /* the watch delivers */
};

struct world {
    /* configuration */
    enum core_mode mode;
    unsigned sentinel_count;
    struct addr me;
    bool eager;
    bool trace_reads;

    uint64_t now_us;
    uint64_t stepped_us;      /* when the core was stepped last */
    uint64_t frozen_until_us; /* the process is stopped: nothing is delivered before */
    bool running;
    unsigned gen;
    struct core core;
    struct core_actions actions;

    struct world_redis redis;
    struct world_sentinel sentinels[EVIDENCE_SENTINELS_MAX];
    struct world_api api;
    struct pod pods[WORLD_PODS_MAX]; /* as stored; 0 is my own; name "" = free */
    uint64_t resource_version;

    struct world_pending pending[WORLD_PENDING_MAX];
    size_t pending_count;
    uint64_t seq;
    struct buf out; /* what the core did, a line each */
};

void world_init(struct world *w);
void world_release(struct world *w);

/* Delivers everything up to and at at_us. */
void world_run_until(struct world *w, uint64_t at_us);

void world_start_agent(struct world *w); /* also a restart */
void world_connect(struct world *w);     /* what Redis is now, after WORLD_CONNECT_US */
void world_cut(struct world *w, enum local_down why);
void world_connect_sentinel(struct world *w, size_t slot);
void world_cut_sentinel(struct world *w, size_t slot);
void world_send(struct world *w, struct core_event ev);
/* The stored Pod was written: the watch shows it. */
void world_wrote(struct world *w, struct pod *p);
void world_list(struct world *w);
/* Requests that hang are answered as w->api says now. */
void world_answer_held(struct world *w);
struct pod *world_pod(struct world *w, const char *name); /* made where it is not there */

/* print.c */
void world_print_actions(struct world *w);
void world_print_probe(struct world *w, enum probe p, uint64_t max_lag_bytes);
void world_print_line(struct world *w, uint64_t at_us, struct sv text);

/* words.c: one line of a transcript. False: not understood. */
bool world_obey(struct world *w, struct sv words);

#endif
