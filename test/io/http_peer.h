/* What the HTTP tests run against: a loop that must end empty, TCP endpoints that can
 * misbehave on purpose, and a scripted HTTP/1.1 server on the same loop. */
#ifndef RPA_TEST_IO_HTTP_PEER_H
#define RPA_TEST_IO_HTTP_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/io/loop.h"

#define PEER_WIRES_MAX 320
#define PEER_REQUESTS_MAX 256

struct bed {
    uv_loop_t loop;
    uv_timer_t tick; /* turns the loop at least every 5 ms, so that waits are bounded */
};

void bed_open(struct bed *bed);
void bed_close(struct bed *bed); /* fails the test unless uv_loop_close() == 0 */

/* Turns the loop until `condition`, or fails the test after 10 s. */
#define BED_RUN_UNTIL(bed, condition)                            \
    do {                                                         \
        uint64_t give_up_us_ = loop_now_us() + 10 * 1000 * 1000; \
        while (!(condition)) {                                   \
            if (loop_now_us() > give_up_us_) {                   \
                fail_msg("waited in vain for: %s", #condition);  \
            }                                                    \
            uv_run(&(bed)->loop, UV_RUN_ONCE);                   \
        }                                                        \
    } while (0)

/* Turns the loop for a time in which something must NOT happen. */
void bed_run_for_ms(struct bed *bed, uint64_t ms);

void bed_on_closed(void *flag); /* a closer_fn that sets a bool */

/* --- one TCP endpoint ------------------------------------------------------------------- */

struct wire {
    struct bed *bed;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_idle_t dripper;
    struct buf in;
    struct buf drip;
    size_t drip_sent;
    bool connected;
    bool eof;   /* the other side has ended in order */
    bool reset; /* or by RST */
    bool closing;
    unsigned handles;
    void (*on_data)(struct wire *w);
    void (*on_dripped)(struct wire *w);
    void *arg;
};

struct wire *wire_connect(struct bed *bed, uint16_t port);
void wire_send(struct wire *w, struct sv bytes);
void wire_drip(struct wire *w, struct sv bytes); /* a byte each turn of the loop */
void wire_half_close(struct wire *w);            /* FIN behind what was sent */
void wire_reset(struct wire *w);                 /* RST at once; closed */
void wire_close(struct wire *w);                 /* closed; the memory goes on the loop */
bool wire_has(const struct wire *w, const char *text);

/* --- a scripted server ------------------------------------------------------------------- */

enum peer_then { PEER_KEEP, PEER_HALF_CLOSE, PEER_CLOSE, PEER_RESET };

struct peer_step {
    const char *reply; /* NULL: none */
    size_t reply_len;  /* 0: strlen */
    enum peer_then then;
    bool drip;
};

struct peer_request {
    char *text; /* head and body */
    size_t wire;
};

struct peer {
    struct bed *bed;
    uv_tcp_t listener;
    uint16_t port;
    bool open;
    bool closed;
    struct wire *wires[PEER_WIRES_MAX]; /* in the order of accept; NULL: gone */
    size_t wires_count;                 /* ever accepted */
    struct peer_request requests[PEER_REQUESTS_MAX];
    size_t requests_count;
    const struct peer_step *steps; /* one for each request, in order; then silence */
    size_t steps_count;
    /* Instead of steps, where it is set. */
    void (*on_request)(struct peer *p, size_t request);
    void *arg;
};

void peer_open(struct peer *p, struct bed *bed);
void peer_close(struct peer *p);
void peer_script(struct peer *p, const struct peer_step *steps, size_t count);
/* The wire that request `i` came on. */
struct wire *peer_wire(struct peer *p, size_t i);
void peer_act(struct peer *p, size_t request, const struct peer_step *step);
bool peer_got(const struct peer *p, size_t request, const char *text);
const char *peer_url(const struct peer *p, const char *path, char *buf, size_t size);

#define PEER_SCRIPT(p, ...)                                     \
    do {                                                        \
        static const struct peer_step steps_[] = {__VA_ARGS__}; \
        peer_script(p, steps_, ARRAY_LEN(steps_));              \
    } while (0)

#endif
