/* Internal to the Kubernetes client: one HTTP exchange with the API server, with its token,
 * its second try after 401 and its place in the counters. Used by requests and by the watch.
 *
 * Accepted (not NULL): exactly one `done`, later; after kube_exchange_cancel: none. */
#ifndef RPA_IO_KUBE_EXCHANGE_H
#define RPA_IO_KUBE_EXCHANGE_H

#include "lib/io/kube_client.h"
#include "lib/io/secret_file.h"

struct kube_session {
    struct http_client *http;
    struct secret_file token;
    struct kube_counters counters;
};

struct kube_call {
    enum kube_verb verb;
    const char *method;
    const char *url;          /* copied */
    const char *content_type; /* constant; NULL: no body */
    struct sv body;           /* copied */
    uint64_t total_timeout_ms;
    uint64_t idle_timeout_ms;
    size_t response_max_bytes;
    http_chunk_fn *chunk;     /* as in struct http_call */
    http_started_fn *started; /* not told of the 401 that is tried again */
    http_done_fn *done;
    void *arg;
};

struct kube_exchange;

struct kube_exchange *kube_exchange_start(struct kube_session *s, const struct kube_call *call,
                                          struct err *e) MUST_USE;
void kube_exchange_cancel(struct kube_exchange *x);

/* Appends percent-encoded (RFC 3986 2.1): all but unreserved characters. */
void kube_url_escape(struct buf *out, const char *text);

#endif
