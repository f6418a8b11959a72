#include <stdio.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/io/fake_dns.h"
#include "test/io/redis_peer.h"

/* "[OK 5 'text' nil (ERR text)]": one line for a whole tree. */
static void resp_text(struct buf *out, const struct resp *r)
{
    switch (r->type) {
    case RESP_NIL:
        buf_add_str(out, "nil");
        break;
    case RESP_STATUS:
        buf_add_sv(out, r->str);
        break;
    case RESP_ERROR:
        buf_addf(out, "(%.*s)", SV_ARG(r->str));
        break;
    case RESP_INTEGER:
        buf_addf(out, "%lld", (long long)r->integer);
        break;
    case RESP_STRING:
        buf_addf(out, "'%.*s'", SV_ARG(r->str));
        break;
    case RESP_ARRAY:
        buf_add_char(out, '[');
        for (size_t i = 0; i < r->count; i++) {
            buf_add_str(out, i == 0 ? "" : " ");
            resp_text(out, &r->elems[i]);
        }
        buf_add_char(out, ']');
        break;
    }
}

static void on_up(void *arg)
{
    struct client *c = arg;

    assert_int_equal(c->in_api, 0);
    assert_false(c->closed);
    assert_int_equal(c->replies, c->accepted); /* those of the last connection are settled */
    c->ups++;
    client_act(c, c->in_up);
}

static void on_down(void *arg, enum redis_down why, const struct err *err)
{
    struct client *c = arg;

    assert_int_equal(c->in_api, 0);
    assert_false(c->closed);
    assert_int_equal(c->replies, c->accepted);
    assert_int_not_equal(err->code, ERR_NONE);
    assert_true(err->msg[0] != '\0');
    c->downs++;
    c->down_by[why]++;
    c->why = why;
    c->err = *err;
    client_act(c, c->in_down);
}

static void on_message(void *arg, struct sv channel, struct sv payload)
{
    struct client *c = arg;
    size_t len = strlen(c->messages);

    assert_int_equal(c->in_api, 0);
    assert_true(c->conn == NULL || redis_conn_is_up(c->conn));
    c->messages_count++;
    snprintf(c->messages + len, sizeof(c->messages) - len, "%.*s=%.*s;", SV_ARG(channel),
             SV_ARG(payload));
    client_act(c, c->in_message);
}

static void on_reply(void *arg, const struct resp *reply, const struct err *err)
{
    struct client *c = arg;
    struct buf text;

    assert_int_equal(c->in_api, 0);
    assert_false(c->closed);
    assert_true((reply == NULL) == (err != NULL));
    c->replies++;
    assert_true(c->replies <= c->accepted);
    c->reply_err = err == NULL ? ERR_NONE : err->code;
    if (err != NULL) {
        c->errors++;
    } else {
        buf_init(&text, 1024 * 1024);
        resp_text(&text, reply);
        snprintf(c->reply, sizeof(c->reply), "%s", buf_str(&text));
        buf_release(&text);
    }
    client_act(c, c->in_reply);
}

static void on_closed(void *arg)
{
    struct client *c = arg;

    assert_int_equal(c->in_api, 0);
    assert_false(c->closed);
    assert_int_equal(c->replies, c->accepted);
    c->closed = true;
}

struct redis_conn_config client_config(const struct redis_peer *p)
{
    struct redis_conn_config cfg = {
        .connect_timeout_ms = 2000,
        .command_timeout_ms = 2000,
        .ping_idle_ms = 2000,
        .reply_max_bytes = 65536,
        .rng_seed = 1,
    };

    if (p->is_unix) {
        cfg.unix_path = p->path;
    } else {
        cfg.host = p->path;
        cfg.port = p->port;
    }
    return cfg;
}

void client_open(struct client *c, struct bed *bed, const struct redis_conn_config *cfg)
{
    const struct redis_conn_ops ops = {
        .up = on_up,
        .down = on_down,
        .message = on_message,
        .arg = c,
    };

    *c = (struct client){.bed = bed};
    c->conn = redis_conn_new(&bed->loop, cfg, &ops);
}

void client_start(struct client *c)
{
    c->in_api++;
    redis_conn_start(c->conn);
    c->in_api--;
}

bool client_send(struct client *c, const char *command)
{
    AUTO_FREE char *text = xstrdup(command);
    struct sv rest = sv_from(text);
    const char *argv[32];
    size_t argc = 0;
    struct err e = {.code = ERR_NONE};

    while (rest.ptr != NULL) {
        struct sv word = sv_split(&rest, ' ');
        REQUIRE(argc < ARRAY_LEN(argv));
        text[(size_t)(word.ptr - text) + word.len] = '\0';
        argv[argc++] = word.ptr;
    }
    c->in_api++;
    int rc = redis_conn_command(c->conn, argc, argv, on_reply, c, &e);
    c->in_api--;
    if (rc == 0) {
        c->accepted++;
    } else {
        c->reply_err = e.code;
    }
    return rc == 0;
}

void client_act(struct client *c, enum client_act act)
{
    if (act == ACT_NONE || c->conn == NULL) {
        return;
    }
    if (act == ACT_COMMAND) {
        client_send(c, "PING");
        return;
    }
    c->in_api++;
    if (act == ACT_STOP || act == ACT_RESTART) {
        redis_conn_stop(c->conn);
        redis_conn_stop(c->conn);
    }
    if (act == ACT_RESTART) {
        redis_conn_start(c->conn);
    }
    if (act == ACT_KICK) {
        redis_conn_kick(c->conn);
    }
    if (act == ACT_CLOSE) {
        redis_conn_close(c->conn, on_closed, c);
        c->conn = NULL;
    }
    c->in_api--;
}

void client_close(struct client *c)
{
    client_act(c, ACT_CLOSE);
    BED_RUN_UNTIL(c->bed, c->closed);
}

int fixture_setup(void **state)
{
    struct fixture *x = xcalloc(1, sizeof(*x));

    fake_dns_reset();
    bed_open(&x->bed);
    assert_true(redis_peer_open(&x->peer, &x->bed, "127.0.0.1", 0));
    x->cfg = client_config(&x->peer);
    *state = x;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *x = *state;

    if (x->client.bed != NULL && !x->client.closed) {
        client_close(&x->client);
    }
    redis_peer_close(&x->peer);
    bed_close(&x->bed);
    free(x);
    return 0;
}

void fixture_start(struct fixture *x)
{
    client_open(&x->client, &x->bed, &x->cfg);
    client_start(&x->client);
}

void fixture_start_until_up(struct fixture *x)
{
    fixture_start(x);
    BED_RUN_UNTIL(&x->bed, x->client.ups == 1);
}

void fixture_turn(struct fixture *x, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uv_run(&x->bed.loop, UV_RUN_NOWAIT);
    }
}
