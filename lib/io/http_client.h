/* HTTP(S) requests on libcurl's multi interface and uv: keep-alive, HTTP/2 over TLS, a cap
 * on every body, a deadline on every request.
 *
 * Request accepted (a handle is returned): exactly one `done` later, never from inside
 * http_client_send; cancelled ones get ERR_CANCELED. Bodies are collected up to
 * response_max_bytes, or given piecewise to `chunk` where it is set (watch): then only the
 * idle time-out ends it, not total_timeout_ms = 0.
 *
 * Source of the traps avoided: curl.se/libcurl/c/curl_multi_socket_action.html and the
 * project's docs: after *every* curl_multi_socket_action the info queue is read to its end;
 * a failed poll is passed on as CURL_CSELECT_ERR; a timer of 0 becomes 1 ms. */
#ifndef RPA_IO_HTTP_CLIENT_H
#define RPA_IO_HTTP_CLIENT_H

#include "lib/base/buf.h"
#include "lib/io/loop.h"
#include "lib/io/secret_file.h"

struct http_client;
struct http_request_handle;

struct http_result {
    const struct err *err;  /* NULL: an HTTP response came; TIMEOUT, UNAVAILABLE, PROTO, LIMIT, CANCELED, DENIED (TLS trust) */
    long status;            /* HTTP status; 0 without a response */
    struct sv body;         /* empty where chunks were taken */
    uint64_t retry_after_ms; /* Retry-After in seconds form; 0 none; capped at 5 min */
    uint64_t elapsed_us;
};

typedef void http_done_fn(void *arg, const struct http_result *result);
/* false ends the request with ERR_CANCELED. Called for 2xx bodies only; the body of a
 * refusal is collected into the result. */
typedef bool http_chunk_fn(void *arg, struct sv bytes);

struct http_call {
    const char *method; /* GET, PATCH, POST */
    const char *url;
    const char *content_type;  /* NULL: no body */
    struct sv body;            /* copied */
    const char *accept;        /* NULL: application/json */
    struct sv bearer;          /* Authorization; copied; empty: none */
    uint64_t total_timeout_ms; /* 0: none (watch) */
    uint64_t idle_timeout_ms;  /* no byte for this long: ERR_TIMEOUT; 0: none */
    size_t response_max_bytes;
    http_chunk_fn *chunk; /* NULL: collect */
    http_done_fn *done;
    void *arg;
};

struct http_client_config {
    const char *user_agent;
    const char *ca_file; /* NULL: the system's trust; read again when it changes */
    uint64_t connect_timeout_ms;
};

struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_config *cfg);
struct http_request_handle *http_client_send(struct http_client *c, const struct http_call *call,
                                             struct err *e) MUST_USE; /* NULL: refused */
void http_client_cancel(struct http_client *c, struct http_request_handle *h);
void http_client_close(struct http_client *c, closer_fn *on_closed, void *arg); /* frees c */

#endif
