#include "lib/io/redis_conn_impl.h"

#include "lib/base/check.h"

static const char *const kind_names[] = {REDIS_COMMAND_KINDS(RPA_ENUM_NAME)};

const char *redis_command_kind_name(enum redis_command_kind kind)
{
    return kind_names[kind];
}

/* --- pending commands ---------------------------------------------------------------------- */

struct redis_command *redis_session_head(struct redis_conn *c)
{
    return c->pending_count == 0 ? NULL : &c->pending[c->pending_first];
}

static struct redis_command pending_pop(struct redis_conn *c)
{
    struct redis_command cmd = *redis_session_head(c);

    c->pending_first = (c->pending_first + 1) % REDIS_PENDING_CAP;
    c->pending_count--;
    if (cmd.kind == REDIS_COMMAND_USER) {
        c->pending_user--;
    }
    return cmd;
}

bool redis_session_is_overdue(struct redis_conn *c)
{
    const struct redis_command *head = redis_session_head(c);

    return head != NULL && head->deadline_us <= loop_now_us();
}

void redis_session_fail(struct redis_conn *c, const struct err *err)
{
    struct err copy = *err;

    /* A callback may call anything; nothing new is accepted, because the state is not up. */
    while (c->pending_count > 0) {
        struct redis_command cmd = pending_pop(c);
        if (cmd.kind == REDIS_COMMAND_USER) {
            cmd.cb(cmd.arg, NULL, &copy);
        }
    }
}

/* --- commands ------------------------------------------------------------------------------- */

static void send_command(struct redis_conn *c, struct redis_command cmd, size_t argc,
                         const char **argv, const size_t *lens)
{
    REQUIRE(c->pending_count < REDIS_PENDING_CAP);
    cmd.deadline_us = loop_now_us() + (uint64_t)c->cfg.command_timeout_ms * 1000;
    c->pending[(c->pending_first + c->pending_count) % REDIS_PENDING_CAP] = cmd;
    c->pending_count++;
    if (cmd.kind == REDIS_COMMAND_USER) {
        c->pending_user++;
    }
    redis_uv_send(c->link, argc, argv, lens);
    redis_conn_wake_in_time(c);
}

void redis_session_ping(struct redis_conn *c)
{
    send_command(c, (struct redis_command){.kind = REDIS_COMMAND_PING}, 1, (const char *[]){"PING"},
                 NULL);
}

void redis_session_auth(struct redis_conn *c)
{
    struct sv password = secret_reveal(&c->cfg.password->value);
    struct sv user = sv_from(c->cfg.user);
    const char *argv[3] = {"AUTH", user.ptr, password.ptr};
    size_t lens[3] = {4, user.len, password.len};
    size_t argc = 3;

    if (c->cfg.user == NULL) {
        argv[1] = password.ptr;
        lens[1] = password.len;
        argc = 2;
    }
    c->secret_generation = c->cfg.password->generation;
    send_command(c, (struct redis_command){.kind = REDIS_COMMAND_AUTH}, argc, argv, lens);
}

int redis_conn_command(struct redis_conn *c, size_t argc, const char *const *argv,
                       redis_reply_fn *cb, void *arg, struct err *e)
{
    const char *args[REDIS_CONN_ARGS_MAX];

    if (c->closer.closing || c->state != REDIS_STATE_UP) {
        return err_set(e, ERR_UNAVAILABLE, "not connected");
    }
    if (redis_conn_has_subscriptions(c)) {
        return err_set(e, ERR_INVAL, "a subscribed connection takes no commands");
    }
    if (argc == 0 || argc > REDIS_CONN_ARGS_MAX) {
        return err_set(e, ERR_INVAL, "a command has 1 to %d arguments", REDIS_CONN_ARGS_MAX);
    }
    if (c->pending_user >= REDIS_CONN_PENDING_MAX) {
        return err_set(e, ERR_LIMIT, "%d commands wait for an answer", REDIS_CONN_PENDING_MAX);
    }
    for (size_t i = 0; i < argc; i++) {
        args[i] = argv[i];
    }
    send_command(c, (struct redis_command){.kind = REDIS_COMMAND_USER, .cb = cb, .arg = arg}, argc,
                 args, NULL);
    return 0;
}

/* --- replies -------------------------------------------------------------------------------- */

static void lose_text(struct redis_conn *c, enum redis_down why, const char *text)
{
    struct err err;

    err_set(&err, ERR_UNAVAILABLE, "%s", text);
    redis_conn_lose(c, why, &err);
}

static void maybe_up(struct redis_conn *c)
{
    if (c->state == REDIS_STATE_AUTHENTICATING && c->pending_count == 0) {
        redis_conn_set_up(c);
    }
}

static bool str_has(struct sv text, const char *part)
{
    return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* Never the server's text: "unknown command" repeats the arguments, the password with them. */
static void lose_auth(struct redis_conn *c, const char *command, const struct resp *r)
{
    struct err err;

    err_set(&err, ERR_DENIED, "%s refused: %s", command, resp_fault_name(resp_fault(r)));
    redis_conn_lose(c, REDIS_DOWN_AUTH, &err);
}

/* True where it was one of the two errors that Redis sends, before it has read anything, to
 * a client that it then closes (networking.c, acceptCommonHandler, clientAcceptHandler). */
static bool take_refusal(struct redis_conn *c, const struct resp *r)
{
    if (r->type != RESP_ERROR) {
        return false;
    }
    if (sv_starts_with(r->str, "DENIED")) {
        lose_text(c, REDIS_DOWN_AUTH, "refused: protected mode");
        return true;
    }
    if (str_has(r->str, "max number of clients")) {
        lose_text(c, REDIS_DOWN_EOF, "refused: max number of clients reached");
        return true;
    }
    return false;
}

static void on_auth_reply(struct redis_conn *c, const struct resp *r)
{
    /* No password is set: acl.c, authCommand; the first text before, the second since 6.0. */
    bool is_needless =
        r->type == RESP_ERROR && (str_has(r->str, "no password is set") ||
                                  str_has(r->str, "without any password configured"));

    if (r->type == RESP_ERROR && !is_needless && c->state == REDIS_STATE_UP) {
        /* The file was changed before Redis was: a refused AUTH leaves the connection as it was
         * authenticated (acl.c, authCommand), and it is tried again. */
        c->secret_generation--;
    } else if (r->type == RESP_ERROR && !is_needless) {
        lose_auth(c, "AUTH", r);
    } else if (r->type != RESP_ERROR && !(r->type == RESP_STATUS && sv_eq_str(r->str, "OK"))) {
        lose_text(c, REDIS_DOWN_PROTO, "AUTH was not answered with OK or an error");
    } else {
        maybe_up(c);
    }
}

static bool is_pong(const struct resp *r)
{
    struct sv word;

    if (r->type == RESP_ARRAY) { /* the form on a subscribed connection */
        return r->count == 2 && resp_str_at(r, 0, &word) && sv_eq_nocase(word, "pong");
    }
    return r->type == RESP_STATUS && sv_eq_nocase(r->str, "PONG");
}

static void on_ping_reply(struct redis_conn *c, const struct resp *r)
{
    switch (resp_fault(r)) {
    case RESP_FAULT_NOAUTH:
    case RESP_FAULT_WRONGPASS:
    case RESP_FAULT_NOPERM:
        lose_auth(c, "PING", r);
        return;
    case RESP_FAULT_NONE:
        if (!is_pong(r)) {
            lose_text(c, REDIS_DOWN_PROTO, "PING was not answered with PONG");
            return;
        }
        break;
    case RESP_FAULT_LOADING:
    case RESP_FAULT_BUSY:
    case RESP_FAULT_MASTERDOWN:
    case RESP_FAULT_OTHER: /* MISCONF and the like: it answers, whatever it complains of */
        break;
    }
    maybe_up(c);
}

static void on_subscribe_refused(struct redis_conn *c, const struct resp *r)
{
    if (r->type != RESP_ERROR) {
        lose_text(c, REDIS_DOWN_PROTO, "SUBSCRIBE was not answered with a confirmation");
    } else {
        lose_auth(c, "SUBSCRIBE", r);
    }
}

static void on_confirmation(struct redis_conn *c)
{
    struct redis_command *head = redis_session_head(c);

    if (head == NULL || head->kind != REDIS_COMMAND_SUBSCRIBE) {
        lose_text(c, REDIS_DOWN_PROTO, "a confirmation of no subscription");
        return;
    }
    head->confirmations--;
    if (head->confirmations == 0) {
        pending_pop(c);
        maybe_up(c);
    }
}

/* True where it was a pushed message or confirmation, and it has been dealt with
 * (redis.io/docs/latest/develop/pubsub, "Format of pushed messages"). */
static bool take_push(struct redis_conn *c, const struct resp *r)
{
    struct sv word, channel, payload;
    bool pattern = r->count == 4;

    if (r->type != RESP_ARRAY || r->count < 3 || !resp_str_at(r, 0, &word)) {
        return false;
    }
    if (r->count == 3 && (sv_eq_str(word, "subscribe") || sv_eq_str(word, "psubscribe"))) {
        on_confirmation(c);
        return true;
    }
    if (!sv_eq_str(word, pattern ? "pmessage" : "message") ||
        !resp_str_at(r, pattern ? 2 : 1, &channel) || !resp_str_at(r, pattern ? 3 : 2, &payload)) {
        return false;
    }
    /* Before `up` it is as if the subscription had begun a moment later. */
    if (c->state == REDIS_STATE_UP && c->ops.message != NULL) {
        c->ops.message(c->ops.arg, channel, payload);
    }
    return true;
}

void redis_session_reply(struct redis_conn *c, const struct resp *r)
{
    c->last_reply_us = loop_now_us();
    if (redis_conn_has_subscriptions(c) && take_push(c, r)) {
        return;
    }
    struct redis_command *head = redis_session_head(c);
    if (head == NULL) {
        lose_text(c, REDIS_DOWN_PROTO, "a reply that nobody asked for");
        return;
    }
    if (head->kind == REDIS_COMMAND_SUBSCRIBE) { /* its confirmations are pushes */
        on_subscribe_refused(c, r);
        return;
    }
    struct redis_command cmd = pending_pop(c);
    if (cmd.kind == REDIS_COMMAND_USER) {
        cmd.cb(cmd.arg, r, NULL);
    } else if (take_refusal(c, r)) {
        return;
    } else if (cmd.kind == REDIS_COMMAND_AUTH) {
        on_auth_reply(c, r);
    } else {
        on_ping_reply(c, r);
    }
}

/* --- the beginning -------------------------------------------------------------------------- */

static void subscribe(struct redis_conn *c, const struct redis_subscription *s)
{
    if (s->argv != NULL) {
        send_command(c,
                     (struct redis_command){
                         .kind = REDIS_COMMAND_SUBSCRIBE,
                         .confirmations = s->argc - 1,
                     },
                     s->argc, s->argv, NULL);
    }
}

/* All at once: a connection is up one round trip after it is established. */
void redis_session_begin(struct redis_conn *c)
{
    c->last_reply_us = loop_now_us();
    if (c->cfg.password != NULL && c->cfg.password->path != NULL) {
        if (!secret_is_set(&c->cfg.password->value)) {
            redis_conn_lose(c, REDIS_DOWN_AUTH, &c->secret_err);
            return;
        }
        redis_session_auth(c);
    }
    redis_session_ping(c);
    subscribe(c, &c->subscriptions[false]);
    subscribe(c, &c->subscriptions[true]);
}
