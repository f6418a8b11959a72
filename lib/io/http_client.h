/* HTTP(S) requests on libcurl's multi interface and uv: keep-alive, HTTP/2 over TLS by ALPN
 * with many requests on one connection, a cap on every body, deadlines of our own.
 *
 * Lifecycle: http_client_new (no I/O), http_client_send any number of times,
 * http_client_close(c, cb): what is still under way ends with ERR_CANCELED, then cb fires.
 *
 * A request accepted (a handle is returned) gets exactly one `done`, later and never from
 * inside http_client_send, _cancel or _close; the handle is valid until `done` is called.
 * Every function here may be called from inside every callback.
 *
 * Bodies are collected up to response_max_bytes, or given piecewise to `chunk` where it is
 * set (watch). No redirects, no proxy, no .netrc, no compression, http and https only.
 * libcurl itself sends a request again, once, where a kept-alive connection turns out to
 * have been closed by the peer before it answered anything (RFC 9112 9.3.1, RFC 9113 8.7).
 *
 * A request that runs into a time-out while nothing at all came on its connection takes the
 * connection with it (and all others on it: ERR_UNAVAILABLE): it is taken for half-open, and
 * the next request must not queue up behind it.
 *
 * The program must ignore SIGPIPE. One thread.
 *
 * Source of the traps avoided: curl.se/libcurl/c/curl_multi_socket_action.html: after
 * *every* curl_multi_socket_action the info queue is read to its end; a failed poll is passed
 * on as CURL_CSELECT_ERR; a timer of 0 becomes 1 ms. */
#ifndef RPA_IO_HTTP_CLIENT_H
#define RPA_IO_HTTP_CLIENT_H

#include "lib/base/buf.h"
#include "lib/io/loop.h"
#include "lib/io/secret_file.h"

#define HTTP_CLIENT_REQUESTS_MAX 64   /* under way at once; more are refused with ERR_LIMIT */
#define HTTP_CLIENT_CONNECTIONS_MAX 8 /* further requests wait for a free one */
#define HTTP_CLIENT_CA_MAX_BYTES (1024 * 1024)
#define HTTP_RETRY_AFTER_MAX_MS (5 * 60 * 1000)

struct http_client;
struct http_request_handle;

struct http_result {
    /* NULL: an HTTP response came, whole. TIMEOUT; UNAVAILABLE (no connection, reset, cut
     * short, HTTP/2 GOAWAY and RST_STREAM); PROTO (not HTTP); LIMIT (beyond
     * response_max_bytes); CANCELED; DENIED (TLS trust); INVAL (URL). */
    const struct err *err;
    long status;             /* HTTP status; 0 without a response; may be set beside err */
    struct sv body;          /* empty where chunks were taken */
    uint64_t retry_after_ms; /* Retry-After in seconds form; 0 none; capped */
    uint64_t elapsed_us;     /* since http_client_send */
};

typedef void http_done_fn(void *arg, const struct http_result *result);
/* Called for 2xx bodies only; the body of a refusal is collected into the result. false ends
 * the request with ERR_CANCELED. */
typedef bool http_chunk_fn(void *arg, struct sv bytes);
/* The head of the final response is complete. */
typedef void http_started_fn(void *arg, long status);

struct http_call {
    const char *method; /* GET, HEAD, PATCH, POST, PUT, DELETE */
    const char *url;
    const char *content_type;  /* NULL: no body */
    struct sv body;            /* copied */
    const char *accept;        /* NULL: application/json */
    struct sv bearer;          /* Authorization; copied; empty: none */
    uint64_t total_timeout_ms; /* from send to the last byte: ERR_TIMEOUT; 0: none (watch) */
    uint64_t idle_timeout_ms;  /* no byte of this request's, sent or received, for this long:
                                * ERR_TIMEOUT (HTTP/2 PINGs do not count); 0: none */
    size_t response_max_bytes;
    http_chunk_fn *chunk;     /* NULL: collect */
    http_started_fn *started; /* NULL: not told */
    http_done_fn *done;
    void *arg;
};

struct http_client_config { /* copied */
    const char *user_agent;
    const char *ca_file; /* NULL: the system's trust; read again, before a request, when it has
                          * changed, and what follows goes over new connections. Where it can
                          * no longer be read the trust stays as it was */
    uint64_t connect_timeout_ms;
};

struct http_client *http_client_new(uv_loop_t *loop, const struct http_client_config *cfg);
/* NULL: refused, and no callback (LIMIT, CANCELED while closing, SYS or INVAL: ca_file). */
struct http_request_handle *http_client_send(struct http_client *c, const struct http_call *call,
                                             struct err *e) MUST_USE;
/* Its `done` follows with ERR_CANCELED, and no further chunk. */
void http_client_cancel(struct http_client *c, struct http_request_handle *h);
void http_client_close(struct http_client *c, closer_fn *on_closed, void *arg); /* frees c */

#endif
