/* The part of the Kubernetes API that an agent needs: GET and PATCH of a Pod, creation of
 * Events, and LIST+WATCH of the Pods of its namespace. Knows nothing of roles.
 *
 * Lifecycle: kube_client_new (no I/O), requests and at most one watch, kube_client_close(c,
 * cb): pending requests end with ERR_CANCELED, then cb fires. No callback fires from inside
 * a function of this header; every one of them may be called from inside every callback.
 *
 * Tokens: read from a file before each request when it has changed, and again on 401, after
 * which the request is sent once more. TLS: verified against ca_file.
 *
 * Requests: accepted (0) means exactly one later callback; refused (-1: no readable token or
 * CA, too many under way, closing) means none. They are never retried here (but the one after
 * 401): whoever has an intent keeps it and decides.
 *
 * Watch (kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of
 * changes"): LIST (limit 100 a page, `continue`), then WATCH from its resourceVersion with
 * bookmarks and a server time-out of 300 to 600 s. The owner is told:
 *   resync      forget all, a new list begins. Only once its first page is here: a list that
 *               fails leaves the owner's memory as it was;
 *   pod, gone   present (new or changed), deleted;
 *   synced      what was told is complete, and from here on live: after each list, and after
 *               a watch_down as soon as the watch runs again without a list;
 *   watch_down  one failure: err, or the HTTP status (of the answer or of an ERROR event).
 * 410, a broken line, an ERROR event, a resourceVersion that is refused: list again. An end of
 * the stream, a time-out of the server: watch again from the last resourceVersion, bookmarks'
 * included. No byte within watch_idle_ms: the connection is taken for half-open, dropped and
 * watched again. Waits after failures: full jitter, uniform in [50 ms, min(5 s, 50 ms * 2^n)]
 * for the n-th in a row, Retry-After honoured; n starts over once a watch has lived for 5 s.
 * A stream that ends in order but sooner counts towards n without being told. After
 * KUBE_WATCH_RELIST_AFTER failures in a row it lists again: its resourceVersion may be what
 * fails. */
#ifndef RPA_IO_KUBE_CLIENT_H
#define RPA_IO_KUBE_CLIENT_H

#include "lib/codec/pod.h"
#include "lib/io/http_client.h"

#define KUBE_LIST_PAGE 100
#define KUBE_WATCH_BACKOFF_MIN_MS 50
#define KUBE_WATCH_BACKOFF_MAX_MS 5000
#define KUBE_WATCH_SETTLED_MS 5000
#define KUBE_WATCH_RELIST_AFTER 3

struct kube_client;

struct kube_client_config { /* copied */
    const char *url;        /* scheme://host:port, without a path */
    const char *namespace_name;
    const char *token_file; /* NULL: no Authorization */
    const char *ca_file;    /* NULL: system trust */
    const char *user_agent;
    struct pod_keys keys; /* the texts are not copied: they must outlive the client */
    uint64_t request_timeout_ms;
    uint64_t watch_idle_ms;
    uint64_t rng_seed;
};

struct kube_result {
    /* NULL: the server answered. As http_result's; PROTO also: a 2xx that is not a Pod. */
    const struct err *err;
    long http_status;                 /* 0 with err */
    const struct pod *pod;            /* 2xx with a Pod, else NULL (Events) */
    const struct kube_status *status; /* refusal with a Status body, else NULL */
    uint64_t retry_after_ms;          /* header or Status, the longer one; 0 none */
    uint64_t elapsed_us;
};
typedef void kube_done_fn(void *arg, const struct kube_result *result);

struct kube_watch_ops {
    void (*resync)(void *arg);
    void (*pod)(void *arg, const struct pod *pod);
    void (*gone)(void *arg, const struct pod *pod);
    void (*synced)(void *arg);
    void (*watch_down)(void *arg, long http_status, const struct err *err); /* err or status */
    void *arg;
};

/* Counters for metrics, by verb and result; read-only for the owner. Both answers count where
 * a request is sent again after 401; what the client cancels itself does not. */
#define KUBE_VERBS(X)           \
    X(KUBE_VERB_GET, "get")     \
    X(KUBE_VERB_LIST, "list")   \
    X(KUBE_VERB_WATCH, "watch") \
    X(KUBE_VERB_PATCH, "patch") \
    X(KUBE_VERB_CREATE, "create")

enum kube_verb { KUBE_VERBS(RPA_ENUM_MEMBER) KUBE_VERB_COUNT };

#define KUBE_OUTCOMES(X)       \
    X(KUBE_OUTCOME_2XX, "2xx") \
    X(KUBE_OUTCOME_401, "401") \
    X(KUBE_OUTCOME_403, "403") \
    X(KUBE_OUTCOME_404, "404") \
    X(KUBE_OUTCOME_409, "409") \
    X(KUBE_OUTCOME_410, "410") \
    X(KUBE_OUTCOME_422, "422") \
    X(KUBE_OUTCOME_429, "429") \
    X(KUBE_OUTCOME_4XX, "4xx") \
    X(KUBE_OUTCOME_5XX, "5xx") \
    X(KUBE_OUTCOME_NONE, "no_response")

enum kube_outcome { KUBE_OUTCOMES(RPA_ENUM_MEMBER) KUBE_OUTCOME_COUNT };

struct kube_counters {
    uint64_t requests[KUBE_VERB_COUNT][KUBE_OUTCOME_COUNT];
    uint64_t watch_restarts; /* watch streams opened after the first */
};

const char *kube_verb_name(enum kube_verb verb);
const char *kube_outcome_name(enum kube_outcome outcome);

/* ops: copied; NULL where no watch is ever started. */
struct kube_client *kube_client_new(uv_loop_t *loop, const struct kube_client_config *cfg,
                                    const struct kube_watch_ops *ops);
const struct kube_counters *kube_client_counters(const struct kube_client *c);

int kube_client_get_pod(struct kube_client *c, const char *name, kube_done_fn *cb, void *arg,
                        struct err *e) MUST_USE;
int kube_client_patch_pod(struct kube_client *c, const char *name, struct sv merge_patch,
                          kube_done_fn *cb, void *arg, struct err *e) MUST_USE;
int kube_client_create_event(struct kube_client *c, struct sv body, kube_done_fn *cb, void *arg,
                             struct err *e) MUST_USE;

/* label_selector: NULL or "" for all Pods of the namespace; copied. Where a watch runs it is
 * stopped first. */
void kube_client_watch_start(struct kube_client *c, const char *label_selector);
/* No further callback of the watch, until it is started again. */
void kube_client_watch_stop(struct kube_client *c);
/* SIGHUP: read the token again now. What changes in the files is seen without it. */
void kube_client_reload(struct kube_client *c);
void kube_client_close(struct kube_client *c, closer_fn *on_closed, void *arg); /* frees c */

#endif
