#include "lib/io/redis_conn_impl.h"

#include <errno.h>
#include <limits.h>
#include <sys/un.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 1000
#define SECRET_CHECK_US 1000000

/* A connection that lived shorter than this counts as flapping, and only the first few
 * losses of a flapping one are answered by an immediate attempt: a failover of Sentinel
 * kills its clients more than once, a peer that accepts and closes does it for ever. */
#define FLAP_US 100000
#define FLAPS_IMMEDIATE 3

static const char *const down_names[] = {REDIS_DOWNS(RPA_ENUM_NAME)};

const char *redis_down_name(enum redis_down why)
{
    return down_names[why];
}

static enum err_code err_code_of(enum redis_down why)
{
    switch (why) {
    case REDIS_DOWN_NONE:
        return ERR_NONE;
    case REDIS_DOWN_RESOLVE:
    case REDIS_DOWN_REFUSED:
    case REDIS_DOWN_UNREACHABLE:
    case REDIS_DOWN_EOF:
        return ERR_UNAVAILABLE;
    case REDIS_DOWN_TIMEOUT:
        return ERR_TIMEOUT;
    case REDIS_DOWN_AUTH:
        return ERR_DENIED;
    case REDIS_DOWN_PROTO:
        return ERR_PROTO;
    case REDIS_DOWN_LIMIT:
        return ERR_LIMIT;
    case REDIS_DOWN_STOPPED:
        return ERR_CANCELED;
    }
    return ERR_SYS;
}

/* --- the timer ------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer);

static void timer_set(struct redis_conn *c, uint64_t delay_ms)
{
    c->timer_at_us = loop_now_us() + delay_ms * 1000;
    REQUIRE(uv_timer_start(&c->timer, on_timer, delay_ms, 0) == 0);
}

/* An earlier wake-up than the needed one is left alone: most deadlines are met, so the timer
 * is not touched for each command. */
static void wake_by(struct redis_conn *c, uint64_t at_us)
{
    if (!uv_is_active((const uv_handle_t *)&c->timer) || c->timer_at_us > at_us) {
        timer_set(c, (u64_since(at_us, loop_now_us()) + 999) / 1000);
    }
}

bool redis_conn_has_subscriptions(const struct redis_conn *c)
{
    return c->subscriptions[false].argv != NULL || c->subscriptions[true].argv != NULL;
}

/* RESP2 takes no AUTH on a subscribed connection, and an authenticated one stays so. */
static bool watches_secret(const struct redis_conn *c)
{
    return c->cfg.password != NULL && c->cfg.password->path != NULL &&
           !redis_conn_has_subscriptions(c);
}

/* While a command waits, its answer is taken for imminent: the idle time after it may end
 * long before its deadline. */
void redis_conn_wake_in_time(struct redis_conn *c)
{
    const struct redis_command *head = redis_session_head(c);
    uint64_t idle_from_us = head != NULL ? loop_now_us() : c->last_reply_us;
    uint64_t at_us = idle_from_us + (uint64_t)c->cfg.ping_idle_ms * 1000;

    if (head != NULL) {
        at_us = u64_min(at_us, head->deadline_us);
    }
    if (c->state == REDIS_STATE_UP && watches_secret(c)) {
        at_us = u64_min(at_us, c->secret_checked_us + SECRET_CHECK_US);
    }
    wake_by(c, at_us);
}

void redis_conn_set_up(struct redis_conn *c)
{
    c->state = REDIS_STATE_UP;
    c->up_since_us = loop_now_us();
    c->secret_checked_us = c->up_since_us;
    redis_conn_wake_in_time(c);
    c->ops.up(c->ops.arg);
}

/* --- losing it ------------------------------------------------------------------------------ */

static void failure_set(struct redis_failure *f, enum redis_down why, const struct err *err)
{
    f->why = why;
    f->err = *err;
    f->err.code = err_code_of(why);
}

void redis_conn_lose(struct redis_conn *c, enum redis_down why, const struct err *err)
{
    REQUIRE(c->link != NULL && c->state != REDIS_STATE_LOST);
    failure_set(&c->loss, why, err);
    c->loss_was_up = c->state == REDIS_STATE_UP;
    if (c->state == REDIS_STATE_CONNECTING && c->failure.why == REDIS_DOWN_NONE) {
        c->failure = c->loss;
    }
    if (c->state != REDIS_STATE_CONNECTING) {
        c->failure = c->loss;
        c->addrs.count = 0; /* it has answered: no other address is tried */
    }
    c->state = REDIS_STATE_LOST;
    uv_timer_stop(&c->timer);
    redis_uv_close(c->link);
}

static uint64_t retry_delay_ms(struct redis_conn *c, bool was_up)
{
    if (was_up) {
        bool flapping = loop_now_us() - c->up_since_us < FLAP_US;
        c->flaps = flapping ? c->flaps + 1 : 0;
        c->attempts_failed = c->flaps > FLAPS_IMMEDIATE ? c->flaps - FLAPS_IMMEDIATE : 0;
    } else {
        c->attempts_failed++;
    }
    if (c->kicked || c->attempts_failed == 0) {
        return 0;
    }
    uint64_t max_ms = RETRY_MAX_MS;
    if (c->attempts_failed < 7) { /* 10 * 2^7 is beyond the maximum */
        max_ms = u64_min(max_ms, (uint64_t)RETRY_MIN_MS << c->attempts_failed);
    }
    return RETRY_MIN_MS + rng_below(&c->rng, max_ms - RETRY_MIN_MS + 1);
}

/* The end of an attempt, or of a connection that was up. */
static void attempt_over(struct redis_conn *c, bool was_up)
{
    struct redis_failure f = c->failure;

    c->state = REDIS_STATE_WAITING;
    timer_set(c, retry_delay_ms(c, was_up));
    c->kicked = false;
    c->ops.down(c->ops.arg, f.why, &f.err);
}

/* --- one attempt ---------------------------------------------------------------------------- */

static void on_connected(void *arg)
{
    struct redis_conn *c = arg;

    c->state = REDIS_STATE_AUTHENTICATING;
    uv_timer_stop(&c->timer);
    redis_session_begin(c);
}

static void on_reply(void *arg, const struct resp *reply)
{
    redis_session_reply(arg, reply);
}

static enum redis_down down_of(enum redis_state state, const struct err *err)
{
    if (err->code == ERR_PROTO) {
        return REDIS_DOWN_PROTO;
    }
    if (err->code == ERR_LIMIT) {
        return REDIS_DOWN_LIMIT;
    }
    /* A SYN is refused with ECONNREFUSED; ECONNRESET is the end of what was established, when
     * connect and reset are seen together. */
    if (state != REDIS_STATE_CONNECTING || err->sys == ECONNRESET) {
        return REDIS_DOWN_EOF;
    }
    bool refused = err->sys == ECONNREFUSED || err->sys == ENOENT;
    return refused ? REDIS_DOWN_REFUSED : REDIS_DOWN_UNREACHABLE;
}

static void on_lost(void *arg, const struct err *err)
{
    struct redis_conn *c = arg;

    redis_conn_lose(c, down_of(c->state, err), err);
}

static void connect_next(struct redis_conn *c);
static void attempt(struct redis_conn *c);

static void attempt_if_due(struct redis_conn *c)
{
    if (c->attempt_due && c->state == REDIS_STATE_WAITING) {
        attempt(c);
    }
}

static void on_link_closed(void *arg)
{
    struct redis_conn *c = arg;
    struct redis_failure loss = c->loss;

    c->link = NULL;
    redis_session_fail(c, &loss.err);
    if (c->state == REDIS_STATE_LOST && c->addr_next < c->addrs.count) {
        connect_next(c);
    } else if (c->state == REDIS_STATE_LOST) {
        attempt_over(c, c->loss_was_up);
    } else if (c->loss_was_up) { /* stopped, and perhaps started again */
        c->ops.down(c->ops.arg, loss.why, &loss.err);
    }
    attempt_if_due(c);
    closer_release(&c->closer);
}

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static int make_address(const struct redis_conn *c, const char *ip, union address *ret,
                        socklen_t *ret_len, struct err *e)
{
    memset(ret, 0, sizeof(*ret));
    if (ip == NULL) {
        ret->un.sun_family = AF_UNIX;
        *ret_len = sizeof(ret->un);
        if (!str_copy(ret->un.sun_path, sizeof(ret->un.sun_path), sv_from(c->cfg.unix_path))) {
            return err_set(e, ERR_INVAL, "the socket's path is too long");
        }
        return 0;
    }
    if (uv_ip4_addr(ip, c->cfg.port, &ret->in) == 0) {
        *ret_len = sizeof(ret->in);
        return 0;
    }
    *ret_len = sizeof(ret->in6);
    return uv_ip6_addr(ip, c->cfg.port, &ret->in6) == 0
               ? 0
               : err_set(e, ERR_INVAL, "%s is no address", ip);
}

static int connect_one(struct redis_conn *c, const char *ip, struct err *e)
{
    const struct redis_uv_ops ops = {
        .connected = on_connected,
        .reply = on_reply,
        .lost = on_lost,
        .closed = on_link_closed,
        .arg = c,
    };
    union address addr;
    socklen_t addr_len;

    if (make_address(c, ip, &addr, &addr_len, e) != 0) {
        return -1;
    }
    c->link = redis_uv_connect(c->closer.loop, &addr.sa, addr_len, c->cfg.reply_max_bytes, &ops, e);
    if (c->link == NULL) {
        return -1;
    }
    closer_hold(&c->closer);
    c->state = REDIS_STATE_CONNECTING;
    timer_set(c, c->cfg.connect_timeout_ms);
    return 0;
}

/* What the first address gives is the result of all: it is the one that the resolver
 * prefers (RFC 6724), and the others may have no route at all. */
static void connect_next(struct redis_conn *c)
{
    while (c->addr_next < c->addrs.count) {
        const char *ip = c->cfg.unix_path != NULL ? NULL : c->addrs.ip[c->addr_next];
        struct err err = {.code = ERR_NONE};
        c->addr_next++;
        if (connect_one(c, ip, &err) == 0) {
            return;
        }
        if (c->failure.why == REDIS_DOWN_NONE) {
            failure_set(&c->failure, down_of(REDIS_STATE_CONNECTING, &err), &err);
        }
    }
    attempt_over(c, false);
}

static void on_resolved(void *arg, const struct resolved *result, const struct err *err)
{
    struct redis_conn *c = arg;

    c->resolving = false;
    if (c->state == REDIS_STATE_RESOLVING && err != NULL) {
        failure_set(&c->failure, REDIS_DOWN_RESOLVE, err);
        attempt_over(c, false);
    } else if (c->state == REDIS_STATE_RESOLVING) {
        c->addrs = *result;
        connect_next(c);
    }
    attempt_if_due(c);
}

/* One address of no look-up: a unix socket (never read), or a numeric host. */
static bool needs_no_lookup(const struct redis_conn *c)
{
    union address addr;
    socklen_t len;

    return c->cfg.unix_path != NULL || make_address(c, c->cfg.host, &addr, &len, NULL) == 0;
}

static void attempt(struct redis_conn *c)
{
    struct err err = {.code = ERR_NONE};

    c->attempt_due = c->link != NULL || c->resolving;
    if (c->attempt_due) {
        return;
    }
    uv_timer_stop(&c->timer);
    c->addrs.count = 0;
    c->addr_next = 0;
    c->failure.why = REDIS_DOWN_NONE;
    if (c->cfg.password != NULL) {
        /* An unreadable file is told when Redis has answered: "refused" must be seen. */
        c->secret_err.code = ERR_NONE;
        (void)secret_file_refresh(c->cfg.password, &c->secret_err);
    }
    if (needs_no_lookup(c)) {
        c->addrs.count = 1;
        (void)str_copy(c->addrs.ip[0], IP_TEXT_MAX, sv_from(c->cfg.host));
        connect_next(c);
        return;
    }
    c->state = REDIS_STATE_RESOLVING;
    if (resolver_start(c->resolver, c->cfg.host, c->cfg.connect_timeout_ms, on_resolved, c, &err) !=
        0) {
        failure_set(&c->failure, REDIS_DOWN_RESOLVE, &err);
        attempt_over(c, false);
        return;
    }
    c->resolving = true;
}

/* --- deadlines ------------------------------------------------------------------------------ */

static void check_secret(struct redis_conn *c, uint64_t now_us)
{
    if (!watches_secret(c) || now_us < c->secret_checked_us + SECRET_CHECK_US) {
        return;
    }
    c->secret_checked_us = now_us;
    /* Unreadable for the moment: the connection stays as it is authenticated. */
    if (secret_file_refresh(c->cfg.password, NULL) == 0 &&
        c->cfg.password->generation != c->secret_generation &&
        c->pending_count < REDIS_PENDING_CAP - 1) {
        redis_session_auth(c);
    }
}

static void tick(struct redis_conn *c)
{
    struct err err;

    if (redis_session_is_overdue(c)) {
        redis_uv_drain(c->link);
        if (c->state != REDIS_STATE_AUTHENTICATING && c->state != REDIS_STATE_UP) {
            return;
        }
    }
    if (redis_session_is_overdue(c)) {
        err_set(&err, ERR_TIMEOUT, "no answer to %s in %u ms",
                redis_command_kind_name(redis_session_head(c)->kind), c->cfg.command_timeout_ms);
        redis_conn_lose(c, REDIS_DOWN_TIMEOUT, &err);
        return;
    }
    uint64_t now_us = loop_now_us();
    if (c->state == REDIS_STATE_UP) {
        check_secret(c, now_us);
        if (c->pending_count == 0 &&
            now_us >= c->last_reply_us + (uint64_t)c->cfg.ping_idle_ms * 1000) {
            redis_session_ping(c);
        }
    }
    redis_conn_wake_in_time(c);
}

static void on_connect_deadline(struct redis_conn *c)
{
    struct err err;

    redis_uv_drain(c->link);
    if (c->state == REDIS_STATE_CONNECTING) {
        err_set(&err, ERR_TIMEOUT, "not connected in %u ms", c->cfg.connect_timeout_ms);
        redis_conn_lose(c, REDIS_DOWN_UNREACHABLE, &err);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct redis_conn *c = container_of(timer, struct redis_conn, timer);

    switch (c->state) {
    case REDIS_STATE_WAITING:
        attempt(c);
        break;
    case REDIS_STATE_CONNECTING:
        on_connect_deadline(c);
        break;
    case REDIS_STATE_AUTHENTICATING:
    case REDIS_STATE_UP:
        tick(c);
        break;
    case REDIS_STATE_IDLE:
    case REDIS_STATE_RESOLVING:
    case REDIS_STATE_LOST:
        break;
    }
}

/* --- lifecycle ------------------------------------------------------------------------------ */

static char *copy_or_null(const char *s)
{
    return s == NULL ? NULL : xstrdup(s);
}

struct redis_conn *redis_conn_new(uv_loop_t *loop, const struct redis_conn_config *cfg,
                                  const struct redis_conn_ops *ops)
{
    struct redis_conn *c = xcalloc(1, sizeof(*c));

    REQUIRE((cfg->host == NULL) != (cfg->unix_path == NULL));
    REQUIRE(cfg->connect_timeout_ms > 0 && cfg->command_timeout_ms > 0 && cfg->ping_idle_ms > 0);
    REQUIRE(cfg->reply_max_bytes > 0 && cfg->reply_max_bytes <= INT_MAX);
    c->cfg = *cfg;
    c->cfg.host = c->host = copy_or_null(cfg->host);
    c->cfg.unix_path = c->unix_path = copy_or_null(cfg->unix_path);
    c->cfg.user = c->user = copy_or_null(cfg->user);
    c->ops = *ops;
    rng_seed(&c->rng, cfg->rng_seed);
    closer_init(&c->closer, loop);
    REQUIRE(uv_timer_init(loop, &c->timer) == 0);
    closer_add(&c->closer, (uv_handle_t *)&c->timer);
    c->resolver = resolver_new(loop);
    closer_hold(&c->closer);
    return c;
}

void redis_conn_subscribe(struct redis_conn *c, const char *const *channels, size_t count,
                          bool patterns)
{
    struct redis_subscription *s = &c->subscriptions[patterns];
    size_t text_len = 0;

    REQUIRE(c->state == REDIS_STATE_IDLE && s->argv == NULL && count > 0);
    for (size_t i = 0; i < count; i++) {
        text_len += strlen(channels[i]) + 1;
    }
    s->text = xmalloc(text_len);
    s->argc = count + 1;
    s->argv = xcalloc(s->argc, sizeof(*s->argv));
    s->argv[0] = patterns ? "PSUBSCRIBE" : "SUBSCRIBE";
    char *p = s->text;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(channels[i]) + 1;
        memcpy(p, channels[i], size);
        s->argv[i + 1] = p;
        p += size;
    }
}

void redis_conn_start(struct redis_conn *c)
{
    if (c->state == REDIS_STATE_IDLE && !c->closer.closing) {
        c->state = REDIS_STATE_WAITING;
        c->attempts_failed = 0;
        c->flaps = 0;
        timer_set(c, 0);
    }
}

void redis_conn_kick(struct redis_conn *c)
{
    if (c->state == REDIS_STATE_WAITING) {
        timer_set(c, 0);
    } else if (c->state == REDIS_STATE_LOST) {
        c->kicked = true;
    }
}

void redis_conn_stop(struct redis_conn *c)
{
    struct err err;

    if (c->closer.closing) {
        return;
    }
    if (c->state == REDIS_STATE_RESOLVING) {
        resolver_cancel(c->resolver);
    }
    if (c->state == REDIS_STATE_CONNECTING || c->state == REDIS_STATE_AUTHENTICATING ||
        c->state == REDIS_STATE_UP) {
        err_set(&err, ERR_CANCELED, "the connection was stopped");
        redis_conn_lose(c, REDIS_DOWN_STOPPED, &err);
    }
    uv_timer_stop(&c->timer);
    c->state = REDIS_STATE_IDLE;
    c->attempt_due = false;
    c->kicked = false;
}

static void on_all_closed(void *arg)
{
    struct redis_conn *c = arg;
    closer_fn *on_closed = c->on_closed;
    void *on_closed_arg = c->on_closed_arg;

    for (size_t i = 0; i < ARRAY_LEN(c->subscriptions); i++) {
        free(c->subscriptions[i].argv);
        free(c->subscriptions[i].text);
    }
    free(c->host);
    free(c->unix_path);
    free(c->user);
    free(c);
    on_closed(on_closed_arg);
}

static void on_resolver_closed(void *arg)
{
    struct redis_conn *c = arg;

    closer_release(&c->closer);
}

void redis_conn_close(struct redis_conn *c, closer_fn *on_closed, void *arg)
{
    redis_conn_stop(c);
    c->on_closed = on_closed;
    c->on_closed_arg = arg;
    resolver_close(c->resolver, on_resolver_closed, c);
    closer_close(&c->closer, (uv_handle_t *)&c->timer);
    closer_finish(&c->closer, on_all_closed, c);
}

bool redis_conn_is_up(const struct redis_conn *c)
{
    return c->state == REDIS_STATE_UP;
}
