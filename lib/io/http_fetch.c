#include "lib/io/http_fetch.h"

#include <curl/curl.h>

struct transfer {
    const struct http_fetch *fetch;
    CURL *easy;
};

static size_t on_bytes(char *bytes, size_t one, size_t count, void *arg)
{
    const struct transfer *t = arg;
    long status = 0;

    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    return t->fetch->chunk(t->fetch->arg, status, (struct sv){bytes, one * count}) ? one * count
                                                                                   : 0;
}

static enum err_code code_of(CURLcode rc)
{
    if (rc == CURLE_OPERATION_TIMEDOUT) {
        return ERR_TIMEOUT;
    }
    if (rc == CURLE_WRITE_ERROR) {
        return ERR_CANCELED;
    }
    if (rc == CURLE_WEIRD_SERVER_REPLY || rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_HTTP2) {
        return ERR_PROTO;
    }
    return rc == CURLE_URL_MALFORMAT ? ERR_INVAL : ERR_UNAVAILABLE;
}

static bool set_options(struct transfer *t, struct curl_slist *headers, char *error)
{
    const struct http_fetch *f = t->fetch;
    CURL *c = t->easy;

    return curl_easy_setopt(c, CURLOPT_URL, f->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, f->method) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)f->connect_timeout_ms) ==
               CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)f->total_timeout_ms) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, t) == CURLE_OK;
}

int http_fetch(const struct http_fetch *f, long *ret_status, struct err *e)
{
    struct transfer t = {.fetch = f, .easy = curl_easy_init()};
    struct curl_slist *headers = f->header != NULL ? curl_slist_append(NULL, f->header) : NULL;
    char error[CURL_ERROR_SIZE] = "";
    CURLcode rc = CURLE_OUT_OF_MEMORY;

    *ret_status = 0;
    if (t.easy != NULL && (headers != NULL || f->header == NULL) &&
        set_options(&t, headers, error)) {
        rc = curl_easy_perform(t.easy);
        (void)curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, ret_status);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(t.easy);
    if (rc == CURLE_OK) {
        return 0;
    }
    return err_set(e, code_of(rc), "%s: %s", f->url,
                   error[0] != '\0' ? error : curl_easy_strerror(rc));
}
