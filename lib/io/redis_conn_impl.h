/* Shared by the two halves of redis_conn, and by nobody else: redis_conn.c (addresses,
 * attempts, deadlines, lifecycle) and redis_session.c (what is said on an established
 * connection). Only redis_conn.c writes `state`, but for redis_conn_set_up(). */
#ifndef RPA_IO_REDIS_CONN_IMPL_H
#define RPA_IO_REDIS_CONN_IMPL_H

#include "lib/io/redis_conn.h"
#include "lib/io/redis_uv.h"

/* Our own commands (AUTH, PING, SUBSCRIBE, PSUBSCRIBE) come on top of the caller's. */
#define REDIS_PENDING_CAP (REDIS_CONN_PENDING_MAX + 8)

/*  idle --start--> waiting --due--> resolving --> connecting --> authenticating --> up
 *                     ^                 |              |               |            |
 *                     |                 |              +---- lost <----+------------+
 *                     +-----------------+----------------------+
 * stop leads to idle from everywhere. lost: the socket is being closed. */
enum redis_state {
    REDIS_STATE_IDLE,
    REDIS_STATE_WAITING,
    REDIS_STATE_RESOLVING,
    REDIS_STATE_CONNECTING,
    REDIS_STATE_AUTHENTICATING,
    REDIS_STATE_UP,
    REDIS_STATE_LOST,
};

#define REDIS_COMMAND_KINDS(X)         \
    X(REDIS_COMMAND_USER, "a command") \
    X(REDIS_COMMAND_AUTH, "AUTH")      \
    X(REDIS_COMMAND_PING, "PING")      \
    X(REDIS_COMMAND_SUBSCRIBE, "SUBSCRIBE")

enum redis_command_kind { REDIS_COMMAND_KINDS(RPA_ENUM_MEMBER) };

struct redis_command {
    enum redis_command_kind kind;
    redis_reply_fn *cb; /* REDIS_COMMAND_USER */
    void *arg;
    size_t confirmations; /* REDIS_COMMAND_SUBSCRIBE: still to come */
    uint64_t deadline_us;
};

struct redis_subscription {
    const char **argv; /* the command and its channels, in `text`; NULL: none */
    size_t argc;
    char *text;
};

struct redis_failure {
    enum redis_down why; /* REDIS_DOWN_NONE: none yet */
    struct err err;
};

struct redis_conn {
    struct closer closer;
    uv_timer_t timer; /* the one next deadline, whatever the state */
    uint64_t timer_at_us;
    struct redis_conn_config cfg; /* its strings are the three below */
    char *host;
    char *unix_path;
    char *user;
    struct redis_conn_ops ops;
    struct rng rng;
    enum redis_state state;
    struct redis_subscription subscriptions[2]; /* channels, patterns */

    /* The attempt. */
    struct resolver *resolver;
    bool resolving; /* its callback is owed: also after a stop */
    struct resolved addrs;
    size_t addr_next;
    struct redis_uv *link;        /* present until its `closed`: one at a time */
    bool attempt_due;             /* wanted while a link or look-up of before was ending */
    struct redis_failure failure; /* of the attempt: what its first address gave */
    struct redis_failure loss;    /* of the link that is being closed */
    bool loss_was_up;
    unsigned attempts_failed; /* since the connection was last up */
    unsigned flaps;
    bool kicked;
    uint64_t up_since_us;

    /* The session. */
    uint64_t last_reply_us;
    uint64_t secret_checked_us;
    uint64_t secret_generation; /* that this link is authenticated with */
    struct err secret_err;
    struct redis_command pending[REDIS_PENDING_CAP]; /* ring, in the order of sending */
    size_t pending_first;
    size_t pending_count;
    size_t pending_user;

    closer_fn *on_closed;
    void *on_closed_arg;
};

/* --- redis_conn.c --- */

/* Ends the link for this reason; nothing of the session may be touched afterwards. */
void redis_conn_lose(struct redis_conn *c, enum redis_down why, const struct err *err);
void redis_conn_set_up(struct redis_conn *c);
/* Arms the timer for what is due next. */
void redis_conn_wake_in_time(struct redis_conn *c);
bool redis_conn_has_subscriptions(const struct redis_conn *c);

/* --- redis_session.c --- */

void redis_session_begin(struct redis_conn *c);
void redis_session_reply(struct redis_conn *c, const struct resp *reply);
void redis_session_ping(struct redis_conn *c);
void redis_session_auth(struct redis_conn *c);

/* Each command that waits gets its one callback, with err. */
void redis_session_fail(struct redis_conn *c, const struct err *err);

/* The oldest command without an answer; NULL: none. */
struct redis_command *redis_session_head(struct redis_conn *c);
bool redis_session_is_overdue(struct redis_conn *c);
const char *redis_command_kind_name(enum redis_command_kind kind);

#endif
