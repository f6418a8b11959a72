/* What the tests of the Kubernetes client share: a client, a scripted peer in the place of
 * the API server, and what the client told, as one line of text. */
#ifndef RPA_TEST_IO_KUBE_FIXTURE_H
#define RPA_TEST_IO_KUBE_FIXTURE_H

#include "test/io/http_peer.h"

#include "lib/io/kube_client.h"

#define HEAD_OF(status) "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"
#define CHUNKED HEAD_OF("200 OK") "Transfer-Encoding: chunked\r\n\r\n"
#define LAST_CHUNK "0\r\n\r\n"

/* A Pod of the API with the fields that the client reads. */
#define POD_JSON(name, rv)                                                   \
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name \
    "\",\"namespace\":\"ns\",\"uid\":\"uid-" name "\",\"resourceVersion\":\"" rv "\"}}"
#define EVENT_JSON(type, name, rv) "{\"type\":\"" type "\",\"object\":" POD_JSON(name, rv) "}\n"
#define BOOKMARK_JSON(rv)                                                                      \
    "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{" \
    "\"resourceVersion\":\"" rv "\"}}}\n"
#define STATUS_JSON(code, reason)                                                                  \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"no, because " \
    "\",\"reason\":\"" reason "\",\"code\":" code "}"
#define LIST_JSON(rv, next, items)                                                        \
    "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv \
    "\",\"continue\":\"" next "\"},\"items\":[" items "]}"

struct kube_answer {
    unsigned done; /* times */
    enum err_code code;
    long http_status;
    bool has_pod;
    struct pod pod;
    bool has_status;
    struct kube_status status;
    uint64_t retry_after_ms;
    uint64_t elapsed_us;
};

struct kube_fixture {
    struct bed bed;
    struct peer peer;
    char url[64];
    char token_file[64];
    struct kube_client_config cfg;
    struct kube_client *client;
    bool closed;
    struct buf told; /* "resync pod:redis-0@5 synced down:410 …" */
    enum err_code down_code;
    struct kube_answer answers[8];
    size_t answers_used;
    const char *stop_at;  /* the word at which the watch is stopped from inside the callback */
    const char *close_at; /* … the client closed … */
    const char *restart_at;
};

int kube_set_up(void **state);
int kube_tear_down(void **state);
void kube_new_client(struct kube_fixture *f); /* in place of the present one */

struct kube_answer *kube_answer(struct kube_fixture *f);
kube_done_fn kube_on_done;
void kube_write_token(const struct kube_fixture *f, const char *token);

/* One JSON document as a whole response. */
void kube_reply(struct kube_fixture *f, size_t request, const char *status, const char *json);
/* Starts a watch response; then pieces of it; then its end. */
void kube_stream(struct kube_fixture *f, size_t request);
void kube_send(struct kube_fixture *f, size_t request, struct sv bytes);
void kube_end(struct kube_fixture *f, size_t request);

void kube_expect_request(struct kube_fixture *f, size_t request, const char *text);
void kube_expect_told(struct kube_fixture *f, const char *told);

#define KUBE_TEST(name) cmocka_unit_test_setup_teardown(name, kube_set_up, kube_tear_down)

#endif
