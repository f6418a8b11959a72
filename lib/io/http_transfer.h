/* Internal to the HTTP client: one request on a libcurl easy handle. It knows how a request
 * is spelled for libcurl and what its callbacks and result codes mean; when it runs and when
 * `done` is called is http_client.c's business.
 *
 * State: QUEUED -> RUNNING (in the multi handle) -> ENDED -> DONE (inside `done`, then freed).
 * Only http_transfer_end() leads to ENDED, once; later ends are ignored. */
#ifndef RPA_IO_HTTP_TRANSFER_H
#define RPA_IO_HTTP_TRANSFER_H

#include <curl/curl.h>

#include "lib/io/http_client.h"

enum http_transfer_state { HTTP_QUEUED, HTTP_RUNNING, HTTP_ENDED, HTTP_DONE };

struct http_request_handle {
    CURL *easy;
    struct curl_slist *headers;
    enum http_transfer_state state;
    bool in_multi;

    http_chunk_fn *chunk;
    http_started_fn *started;
    http_done_fn *done;
    void *arg;
    uint64_t total_timeout_ms;
    uint64_t idle_timeout_ms;

    uint64_t sent_us;     /* accepted */
    uint64_t progress_us; /* last byte of this request in either direction */
    curl_off_t uploaded;  /* at progress_us */
    int local_port;       /* of the connection it goes over; 0: none yet */
    long status;          /* of the final response's head; 0 before it is complete */
    uint64_t retry_after_ms;
    struct buf body;
    struct err err; /* ERR_NONE: a response came */
    char curl_text[CURL_ERROR_SIZE];
};

/* ca: PEM, copied; empty: the system's trust. NULL where the URL is none of ours. */
struct http_request_handle *http_transfer_new(const struct http_client_config *cfg, struct sv ca,
                                              const struct http_call *call, struct err *e) MUST_USE;
void http_transfer_free(struct http_request_handle *h);

void http_transfer_end(struct http_request_handle *h, const struct err *err); /* NULL: well */
void http_transfer_end_curl(struct http_request_handle *h, CURLcode code);

/* Tells `done`. */
void http_transfer_report(struct http_request_handle *h);

/* Monotonic microseconds at which it times out; UINT64_MAX: never. */
uint64_t http_transfer_deadline_us(const struct http_request_handle *h);
/* What to end it with, then. */
void http_transfer_timed_out(const struct http_request_handle *h, uint64_t now_us,
                             struct err *ret_err);

#endif
