/* What the Redis tests run against: a scripted server on the test's own loop that parses
 * commands and answers by rules, or misbehaves on purpose; and a client with counters. */
#ifndef RPA_TEST_IO_REDIS_PEER_H
#define RPA_TEST_IO_REDIS_PEER_H

#include "lib/io/redis_conn.h"
#include "test/io/http_peer.h"

#define REDIS_PEER_COMMANDS_MAX 512
#define PONG "+PONG\r\n"
#define SUBSCRIBED_PONG "*2\r\n$4\r\npong\r\n$0\r\n\r\n"

enum redis_peer_then {
    REDIS_PEER_KEEP,
    REDIS_PEER_HALF_CLOSE, /* FIN, and goes on reading */
    REDIS_PEER_CLOSE,
    REDIS_PEER_RESET,
    REDIS_PEER_DRIP, /* the reply goes out a byte each turn of the loop */
};

/* The first rule that fits a command and is not used up answers it; without one: silence. */
struct redis_rule {
    const char *command; /* how it begins, arguments joined by blanks */
    const char *reply;   /* NULL: none */
    enum redis_peer_then then;
    unsigned times; /* 0: always */
};

struct redis_wire;

struct redis_peer {
    struct bed *bed;
    union {
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } listener;
    bool is_unix;
    bool open;
    unsigned handles;
    uint16_t port;
    char path[100];
    const struct redis_rule *rules;
    size_t rules_count;
    unsigned used[16];
    struct redis_wire *wire; /* the newest; NULL: gone */
    unsigned accepted;
    const char *greeting; /* sent on accept */
    enum redis_peer_then on_accept;
    char *commands[REDIS_PEER_COMMANDS_MAX];
    size_t commands_count;
    void (*on_command)(struct redis_peer *p, const char *command); /* before the rules */
    void *arg;
};

/* address: "127.0.0.1", "::1", "127.0.0.2", or the path of a unix socket. port: 0 for any.
 * False: there is no such address on this machine. */
bool redis_peer_open(struct redis_peer *p, struct bed *bed, const char *address, uint16_t port);
void redis_peer_rules(struct redis_peer *p, const struct redis_rule *rules, size_t count);
void redis_peer_send(struct redis_peer *p, const void *bytes, size_t len);
void redis_peer_send_str(struct redis_peer *p, const char *text);
void redis_peer_then(struct redis_peer *p, enum redis_peer_then then);
void redis_peer_stop_listening(struct redis_peer *p);
void redis_peer_listen(struct redis_peer *p); /* again, on the same port or path */
void redis_peer_deafen(struct redis_peer *p); /* stops reading */
void redis_peer_hear(struct redis_peer *p);   /* and begins again */
size_t redis_peer_count(const struct redis_peer *p, const char *command);
/* Drops those that begin so from the list; "": all. */
void redis_peer_forget(struct redis_peer *p, const char *command);
void redis_peer_close(struct redis_peer *p); /* turns the loop until all is closed */

#define ANSWER(c, r)                 \
    {                                \
        .command = (c), .reply = (r) \
    }
#define ANSWER_THEN(c, r, t)                      \
    {                                             \
        .command = (c), .reply = (r), .then = (t) \
    }
#define ANSWER_TIMES(c, r, n)                      \
    {                                              \
        .command = (c), .reply = (r), .times = (n) \
    }

#define REDIS_RULES(p, ...)                                      \
    do {                                                         \
        static const struct redis_rule rules_[] = {__VA_ARGS__}; \
        redis_peer_rules(p, rules_, ARRAY_LEN(rules_));          \
    } while (0)

/* --- the client ------------------------------------------------------------------------- */

enum client_act {
    ACT_NONE,
    ACT_STOP,
    ACT_RESTART, /* stop and start */
    ACT_CLOSE,
    ACT_KICK,
    ACT_COMMAND, /* one more PING as a command */
};

struct client {
    struct bed *bed;
    struct redis_conn *conn; /* NULL after redis_conn_close */
    bool closed;
    unsigned ups;
    unsigned downs;
    unsigned down_by[REDIS_DOWN_STOPPED + 1];
    enum redis_down why; /* the last */
    struct err err;      /* the last */
    unsigned accepted;   /* commands */
    unsigned replies;    /* callbacks of commands */
    unsigned errors;     /* of them with err */
    enum err_code reply_err;
    char reply[512];    /* the last, as text: see resp_text() */
    char messages[512]; /* "channel=payload;" each */
    unsigned messages_count;
    unsigned in_api; /* no callback may come while it is not 0 */
    enum client_act in_up, in_down, in_reply, in_message;
};

struct redis_conn_config client_config(const struct redis_peer *p);
void client_open(struct client *c, struct bed *bed, const struct redis_conn_config *cfg);
void client_start(struct client *c);
void client_act(struct client *c, enum client_act act);
bool client_send(struct client *c, const char *command); /* words; false: refused */
void client_close(struct client *c); /* turns the loop; commands have had one callback each */

/* --- both of them ------------------------------------------------------------------------- */

struct fixture {
    struct bed bed;
    struct redis_peer peer; /* on 127.0.0.1 */
    struct client client;
    struct redis_conn_config cfg; /* of the peer; to be changed before fixture_start */
};

int fixture_setup(void **state);
int fixture_teardown(void **state); /* closes the client where it is open */
void fixture_start(struct fixture *x);
void fixture_start_until_up(struct fixture *x);

/* Turns the loop without giving a timer of some milliseconds the time to fire. */
void fixture_turn(struct fixture *x, unsigned times);

#define FIXTURE_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
