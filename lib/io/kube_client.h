/* The part of the Kubernetes API that an agent needs: GET and PATCH of a Pod, creation of
 * Events, and LIST+WATCH of the Pods of its namespace. Knows nothing of roles.
 *
 * Tokens: read from a file before each request when it has changed, and again on 401, after
 * which the request is sent once more. TLS: verified against ca_file.
 *
 * Requests: accepted (0) means exactly one later callback. They are never retried here
 * (but the one after 401): whoever has an intent keeps it and decides.
 *
 * Watch (kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of
 * changes"): LIST (limit 100 a page, `continue`), then WATCH from its resourceVersion with
 * bookmarks. The owner is told: resync (forget all: a new list begins), pod (present), gone,
 * synced (the list is complete; from here on live). 410, a broken line, an ERROR event: list
 * again. An end of the stream, a time-out of the server: watch again from the last
 * resourceVersion. No byte within watch_idle_ms, bookmarks included: the connection is taken
 * for half-open, dropped and watched again. Failures: full jitter from 50 ms to 5 s,
 * Retry-After honoured; each is told with `watch_down`. */
#ifndef RPA_IO_KUBE_CLIENT_H
#define RPA_IO_KUBE_CLIENT_H

#include "lib/codec/pod.h"
#include "lib/io/http_client.h"

struct kube_client;

struct kube_client_config {
    const char *url; /* scheme://host:port, without a path */
    const char *namespace_name;
    const char *token_file; /* NULL: no Authorization */
    const char *ca_file;    /* NULL: system trust */
    const char *user_agent;
    struct pod_keys keys;
    uint64_t request_timeout_ms;
    uint64_t watch_idle_ms;
    uint64_t rng_seed;
};

struct kube_result {
    const struct err *err;            /* transport; NULL: the server answered */
    long http_status;                 /* 0 with err */
    const struct pod *pod;            /* 2xx with a Pod, else NULL */
    const struct kube_status *status; /* refusal with a Status body, else NULL */
    uint64_t retry_after_ms;
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

/* Counters for metrics, by verb and result; read-only for the owner. */
#define KUBE_VERBS(X)          \
    X(KUBE_VERB_GET, "get")    \
    X(KUBE_VERB_LIST, "list")  \
    X(KUBE_VERB_WATCH, "watch") \
    X(KUBE_VERB_PATCH, "patch") \
    X(KUBE_VERB_CREATE, "create")

enum kube_verb { KUBE_VERBS(RPA_ENUM_MEMBER) KUBE_VERB_COUNT };

#define KUBE_OUTCOMES(X)                                                                     \
    X(KUBE_OUTCOME_2XX, "2xx") X(KUBE_OUTCOME_401, "401") X(KUBE_OUTCOME_403, "403")          \
    X(KUBE_OUTCOME_404, "404") X(KUBE_OUTCOME_409, "409") X(KUBE_OUTCOME_410, "410")          \
    X(KUBE_OUTCOME_422, "422") X(KUBE_OUTCOME_429, "429") X(KUBE_OUTCOME_4XX, "4xx")          \
    X(KUBE_OUTCOME_5XX, "5xx") X(KUBE_OUTCOME_NONE, "no_response")

enum kube_outcome { KUBE_OUTCOMES(RPA_ENUM_MEMBER) KUBE_OUTCOME_COUNT };

struct kube_counters {
    uint64_t requests[KUBE_VERB_COUNT][KUBE_OUTCOME_COUNT];
    uint64_t watch_restarts;
};

const char *kube_verb_name(enum kube_verb verb);
const char *kube_outcome_name(enum kube_outcome outcome);

struct kube_client *kube_client_new(uv_loop_t *loop, const struct kube_client_config *cfg,
                                    const struct kube_watch_ops *ops);
const struct kube_counters *kube_client_counters(const struct kube_client *c);

int kube_client_get_pod(struct kube_client *c, const char *name, kube_done_fn *cb, void *arg,
                        struct err *e) MUST_USE;
int kube_client_patch_pod(struct kube_client *c, const char *name, struct sv merge_patch,
                          kube_done_fn *cb, void *arg, struct err *e) MUST_USE;
int kube_client_create_event(struct kube_client *c, struct sv body, kube_done_fn *cb, void *arg,
                             struct err *e) MUST_USE;

/* label_selector: NULL or "" for all Pods of the namespace; copied. */
void kube_client_watch_start(struct kube_client *c, const char *label_selector);
void kube_client_watch_stop(struct kube_client *c);
void kube_client_reload(struct kube_client *c); /* SIGHUP: read token and CA again */
void kube_client_close(struct kube_client *c, closer_fn *on_closed, void *arg); /* frees c */

#endif
