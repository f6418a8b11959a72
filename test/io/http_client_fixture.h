/* What the tests of the HTTP client share: a client, a scripted peer, and records of what
 * became of each request. */
#ifndef RPA_TEST_IO_HTTP_CLIENT_FIXTURE_H
#define RPA_TEST_IO_HTTP_CLIENT_FIXTURE_H

#include "test/io/http_peer.h"

#include "lib/io/http_client.h"

#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

struct fixture;

/* One request and what became of it. */
struct outcome {
    struct fixture *f;
    struct http_request_handle *handle;
    unsigned done; /* times */
    enum err_code code;
    char text[256];
    long status;
    char body[512];
    uint64_t retry_after_ms;
    uint64_t elapsed_us;
    unsigned started;
    long started_status;
    unsigned chunks;
    char chunked[512];
    bool refuse_chunk;
    void (*in_chunk)(struct outcome *o);
    void (*in_done)(struct outcome *o);
    struct outcome *other;
};

struct fixture {
    struct bed bed;
    struct peer peer;
    struct http_client *client;
    char url[128];
    bool closed;
    /* Not on a test's stack: what is under way when it ends is told in tear_down. */
    struct outcome outcomes[16];
    size_t outcomes_used;
};

struct outcome *fresh(struct fixture *f);

/* GET /path?a=1 of the plain peer, 5 s, 256 bytes. */
struct http_call call_of(struct fixture *f, struct outcome *o);
void send_call(struct fixture *f, struct outcome *o, const struct http_call *call);
void get(struct fixture *f, struct outcome *o);
void stream(struct fixture *f, struct outcome *o); /* a watch: chunks, no total time-out */
void cancel(struct outcome *o);
void on_done(void *arg, const struct http_result *result);
bool on_chunk(void *arg, struct sv bytes);

int set_up(void **state);
int tear_down(void **state);

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
