/* A miniature shell around one real core: connections that come and go, answers that carry
 * the op of their question, a timer, a watch, and a process that can die, or stop for a
 * while and find everything that came meanwhile in its sockets.
 *
 * Every message to an agent is an agent_msg. Those of one connection keep their order and
 * die with it; a message belongs to one life of the process. */
#ifndef RPA_TEST_SIM_AGENT_H
#define RPA_TEST_SIM_AGENT_H

#include "agent/core/core.h"
#include "test/sim/engine_truth.h"
#include "test/sim/limits.h"
#include "test/sim/model_api.h"
#include "test/sim/model_redis.h"
#include "test/sim/model_sentinel.h"

struct world;
struct sim_msg;

/* Connections: the local Redis, its hellos, for each slot of a Sentinel commands and events,
 * and the members. */
#define CONN_LOCAL 0U
#define CONN_HELLO 1U
#define CONN_COMMANDS(slot) (2U + 2U * (unsigned)(slot))
#define CONN_EVENTS(slot) (3U + 2U * (unsigned)(slot))
#define CONN_MEMBER(slot) (2U + 2U * SIM_SLOTS_MAX + (unsigned)(slot))
#define CONN_COUNT (2U + 2U * SIM_SLOTS_MAX + MEMBERS_MAX)
#define CONN_NONE CONN_COUNT

#define PENDING_MAX 64

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_UP };

enum agent_msg_kind {
    AGENT_TIMER,
    AGENT_CONNECTED,
    AGENT_LOST, /* refused, closed, not answered */
    AGENT_RECONNECT,
    AGENT_NO_ANSWER, /* op of a command has run out */
    AGENT_ROLE,
    AGENT_INFO,
    AGENT_VIEW,
    AGENT_MYID,
    AGENT_LOOK,
    AGENT_MEMBER_INFO,
    AGENT_DONE, /* of an order, a vote, an announcement, a forced failover */
    AGENT_LAUNCH,
    AGENT_PROCESS_DEAD,
    AGENT_DRAIN,
    AGENT_NEWS,
    AGENT_HELLO,
    AGENT_API_ANSWER,
    AGENT_OWN_POD,
    AGENT_LIST,
    AGENT_WATCH_EVENT,
    AGENT_WATCH_LOST,
    AGENT_WATCH_START,
    AGENT_HOUSEKEEPING
};

#define REQUESTS(X)                 \
    X(REQUEST_ROLE, "role")         \
    X(REQUEST_VIEW, "view")         \
    X(REQUEST_LOOK, "look")         \
    X(REQUEST_VOTE, "vote")         \
    X(REQUEST_ANNOUNCE, "announce") \
    X(REQUEST_FAILOVER, "failover") \
    X(REQUEST_INFO, "info")         \
    X(REQUEST_ORDER, "order")

enum request_kind { REQUESTS(RPA_ENUM_MEMBER) };

/* A command on its way to its peer. What has left the agent may arrive after the agent has
 * given it up, or died. */
struct request {
    struct request *next;
    uint64_t at_us; /* not before */
    enum request_kind kind;
    unsigned agent;
    unsigned conn;
    uint64_t conn_gen;
    int redis;    /* the peer; -1 it is a Sentinel */
    int sentinel; /* … this one */
    uint64_t peer_gen;
    bool arrived; /* it waits in the socket of a peer that is frozen */
    bool info;    /* ROLE */
    struct core_action act;
    struct said said; /* what the candidate knew when it said so */
};

/* How one of them ended. */
struct request_end {
    enum request_kind kind;
    enum outcome outcome;
    bool is_master;
    uint64_t min_replicas;
    bool down;
    uint64_t leader;
    uint64_t leader_epoch;
};

struct agent_msg {
    struct agent_msg *next;
    uint64_t at_us;
    enum agent_msg_kind kind;
    uint64_t life;
    unsigned conn; /* CONN_NONE: of no connection */
    uint64_t conn_gen;
    uint64_t op;
    bool ok;
    union {
        enum local_down why;
        struct {
            enum resp_fault fault;
            struct role_reply role;
        } role;
        struct redis_snap info;
        struct sentinel_snap view;
        uint64_t id;
        struct sentinel_news news;
        struct hello_msg hello;
        struct look_snap look;
        struct request_end end;
        struct {
            enum drain_by by;
            uint64_t budget_us;
        } drain;
        struct {
            enum api_outcome outcome;
            uint64_t retry_after_us;
        } api;
        struct {
            enum watch_type type;
            uint64_t rv;
            bool compacted;
        } watch;
    } u;
    struct pod *pod;       /* owned; NULL none */
    struct api_list *list; /* owned; NULL none */
};

struct conn {
    enum conn_state state;
    uint64_t gen;
    unsigned tries;
    uint64_t up_us;
    uint64_t silent_us;  /* nothing could come since; 0: it could */
    uint64_t op;         /* read without an answer; 0 none */
    struct request *out; /* commands on their way, in order */
    struct request *out_tail;
    bool out_pumping;
    size_t pending; /* other commands without an answer */
    struct {
        uint64_t op;
        enum request_kind kind;
    } pendings[PENDING_MAX];
    struct agent_msg *head; /* on their way, in order */
    struct agent_msg *tail;
    bool pumping;
};

enum watch_state { WATCH_IDLE, WATCH_LISTING, WATCH_LIVE };

struct agent {
    bool running;
    bool stopped; /* SIGSTOP */
    uint64_t life;
    uint64_t started_us;
    uint64_t ended_us;   /* died last */
    uint64_t resumed_us; /* start, or end of the last stop */
    uint64_t clock_us;   /* its monotonic clock minus the world's */
    int64_t wall_offset_ms;
    struct core core;
    unsigned slots;
    unsigned slot_sentinel[SIM_SLOTS_MAX];
    char uid[POD_UID_MAX + 1];
    unsigned incarnation; /* of the Pod it belongs to */

    struct conn conns[CONN_COUNT];
    bool member_open[MEMBERS_MAX];
    int member_redis[MEMBERS_MAX]; /* -1: nobody has this address */
    struct agent_msg *inbox;       /* while stopped */
    struct agent_msg *inbox_tail;
    uint64_t timer_us;
    uint64_t timer_gen;
    bool stepping;
    struct core_event deferred[CORE_ACTIONS_MAX];
    size_t deferred_count;

    uint64_t api_op;
    struct api_request api_request;
    uint64_t other_ops[PENDING_MAX]; /* of DEMOTE_PEER and CLEAR_HANDOVER; 0 free */
    uint64_t launch_op;
    uint64_t own_tries;
    enum watch_state watch;
    uint64_t watch_rv;
    uint64_t watch_at_us; /* last in the order of what is on its way */
    uint64_t watch_gen;
    bool watch_hung;
    uint64_t watch_live_us;
};

/* ---- agent.c: life, messages, events into the core, actions out of it ---- */

void agent_start(struct world *w, unsigned i);
void agent_kill(struct world *w, unsigned i);
void agent_stop(struct world *w, unsigned i);
void agent_continue(struct world *w, unsigned i);

struct agent_msg *agent_msg_new(struct world *w, unsigned i, enum agent_msg_kind kind);
/* Takes the message over. */
void agent_post(struct world *w, unsigned i, uint64_t delay_us, struct agent_msg *m);
void agent_msg_free(struct agent_msg *m);
/* Of a queue that is given up: frees the agent_msg that `m` carries, if any. */
void agent_drop_queued(struct sim_msg *m);
void agent_feed(struct world *w, unsigned i, struct core_event *ev);
/* After this step; from inside of one. */
void agent_defer(struct world *w, unsigned i, const struct core_event *ev);
void agent_ask_launch(struct world *w, unsigned i);
void agent_tell_dead(struct world *w, unsigned i);
void agent_drain(struct world *w, unsigned i, enum drain_by by, uint64_t budget_us);

/* ---- agent_conn.c: connections ---- */

void conn_reset_all(struct world *w, unsigned i);
void conn_connect(struct world *w, unsigned i, unsigned conn);
/* In the connection's order. Takes the message over. */
void conn_post(struct world *w, unsigned i, unsigned conn, uint64_t delay_us, struct agent_msg *m);
void conn_lost(struct world *w, unsigned i, unsigned conn, enum local_down why);
void conn_on_connected(struct world *w, unsigned i, unsigned conn);
void conn_housekeeping(struct world *w, unsigned i);
/* The peer closes it. */
void conn_close_by_peer(struct world *w, unsigned i, unsigned conn);
void conn_peer_died(struct world *w, int redis, int sentinel);
/* Redis closes the connections of all agents' members but this agent's. */
void conn_close_members(struct world *w, unsigned redis, unsigned but);
void conn_open_member(struct world *w, unsigned i, size_t slot, const struct addr *addr);
void conn_close_member(struct world *w, unsigned i, size_t slot);
bool conn_is_sentinel(unsigned conn);
size_t conn_slot(unsigned conn);
int conn_redis(const struct world *w, unsigned i, unsigned conn);
uint64_t conn_timeout(unsigned conn);
void conn_send_news(struct world *w, unsigned sentinel, const struct sentinel_news *news);
void conn_send_hello(struct world *w, unsigned i, const struct hello_msg *hello);
unsigned conn_peer_node(const struct world *w, unsigned i, unsigned conn);
bool conn_peer_answers(const struct world *w, unsigned i, unsigned conn);

/* ---- agent_request.c: commands, what they do at their peer, and how they end ---- */

/* False: there is no connection. */
bool request_send(struct world *w, unsigned i, unsigned conn, enum request_kind kind,
                  const struct core_action *act);
/* What was sent and not answered ends as unknown; to be told by request_tell_ended(). */
struct request_ends {
    size_t count;
    struct {
        uint64_t op;
        enum request_kind kind;
    } at[PENDING_MAX];
};
void request_abandon(struct world *w, struct conn *c, struct request_ends *ret);
void request_tell_ended(struct world *w, unsigned i, unsigned conn, const struct request_ends *ends,
                        bool defer);
bool request_is_pending(const struct conn *c, uint64_t op);
void request_free_all(struct conn *c);
void request_free_orphan(struct sim_msg *m);
void request_end_event(struct world *w, unsigned conn, uint64_t op, const struct request_end *end,
                       struct core_event *ret);
void request_refused(struct core_event *ret, const struct core_action *act);

/* ---- agent_events.c: what the core is told of them ---- */

void conn_on_message(struct world *w, unsigned i, struct agent_msg *m);

/* ---- agent_kube.c: requests and the watch ---- */

void kube_start(struct world *w, unsigned i);
bool kube_request(struct world *w, unsigned i, const struct core_action *a);
void kube_request_other(struct world *w, unsigned i, const struct core_action *a);
void kube_on_message(struct world *w, unsigned i, struct agent_msg *m);
void kube_changed(struct world *w); /* something was written: watches have news */
void kube_break_watch(struct world *w, unsigned i);

#endif
