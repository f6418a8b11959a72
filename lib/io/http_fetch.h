/* One HTTP request that blocks until it is over, for commands that have no loop.
 *
 * No redirects, no proxy, http only, no body. Bytes of the answer are given to `chunk` as they
 * come, whatever the status. Source of the options: curl.se/libcurl/c/curl_easy_setopt.html. */
#ifndef RPA_IO_HTTP_FETCH_H
#define RPA_IO_HTTP_FETCH_H

#include "lib/base/err.h"
#include "lib/base/sv.h"

struct http_fetch {
    const char *method; /* GET, POST */
    const char *url;
    const char *header; /* "Name: value"; NULL: none */
    uint64_t connect_timeout_ms;
    uint64_t total_timeout_ms;
    /* false: enough, the request ends with ERR_CANCELED. status: that of the answer */
    bool (*chunk)(void *arg, long status, struct sv bytes);
    void *arg;
};

/* *ret_status is 0 where no answer has begun. UNAVAILABLE: no connection, or cut off before the
 * end; TIMEOUT; PROTO: not HTTP. */
int http_fetch(const struct http_fetch *f, long *ret_status, struct err *e) MUST_USE;

#endif
