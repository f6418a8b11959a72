#include "lib/io/http_transfer.h"

#include <string.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

#define HEADER_MAX_BYTES (SECRET_MAX_BYTES + 64)

static bool is_success(long status)
{
    return status >= 200 && status <= 299;
}

static void note_progress(struct http_request_handle *h)
{
    h->progress_us = loop_now_us();
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_request_handle *h = arg;
    size_t len = size * count;

    if (h->state != HTTP_RUNNING) {
        return CURL_WRITEFUNC_ERROR;
    }
    note_progress(h);
    if (h->chunk && is_success(h->status)) {
        bool more = h->chunk(h->arg, (struct sv){data, len});
        if (!more) {
            struct err err;
            err_set(&err, ERR_CANCELED, "ended by the receiver");
            http_transfer_end(h, &err);
        }
        return h->state == HTTP_RUNNING ? len : CURL_WRITEFUNC_ERROR;
    }
    if (!buf_add(&h->body, data, len)) {
        struct err err;
        err_set(&err, ERR_LIMIT, "response body beyond %zu bytes", h->body.max_bytes);
        http_transfer_end(h, &err);
        return CURL_WRITEFUNC_ERROR;
    }
    return len;
}

static void parse_retry_after(struct http_request_handle *h, struct sv line)
{
    struct sv value = line;
    struct sv name = sv_split(&value, ':');
    uint64_t seconds;

    if (sv_eq_nocase(name, "retry-after") && value.ptr && sv_to_u64(sv_trim(value), &seconds)) {
        h->retry_after_ms = u64_min(seconds, HTTP_RETRY_AFTER_MAX_MS / 1000) * 1000;
    }
}

static void head_complete(struct http_request_handle *h)
{
    long status = 0;

    curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200) { /* 100 Continue, 103: the real head follows */
        return;
    }
    h->status = status;
    if (h->started) {
        h->started(h->arg, status);
    }
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_request_handle *h = arg;
    struct sv line = {data, size * count};

    if (h->state != HTTP_RUNNING) {
        return CURL_WRITEFUNC_ERROR;
    }
    note_progress(h);
    if (h->status != 0) { /* trailers */
        return line.len;
    }
    if (sv_starts_with(line, "HTTP/")) {
        h->retry_after_ms = 0;
    } else if (sv_trim(line).len == 0) {
        head_complete(h);
    } else {
        parse_retry_after(h, line);
    }
    return h->state == HTTP_RUNNING ? line.len : CURL_WRITEFUNC_ERROR;
}

static int on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
                       curl_off_t ulnow)
{
    struct http_request_handle *h = arg;

    (void)dltotal;
    (void)dlnow;
    (void)ultotal;
    if (ulnow != h->uploaded) {
        h->uploaded = ulnow;
        note_progress(h);
    }
    return 0;
}

/* Comes right before the request is written, on new and on reused connections. */
static int on_connected(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct http_request_handle *h = arg;

    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    h->local_port = local_port;
    note_progress(h);
    return CURL_PREREQFUNC_OK;
}

static void add_header(struct http_request_handle *h, const char *name, struct sv value)
{
    struct buf line;
    struct curl_slist *grown;

    buf_init(&line, HEADER_MAX_BYTES);
    buf_addf(&line, "%s: ", name);
    buf_add_sv(&line, value);
    REQUIRE(!line.overflow);
    grown = curl_slist_append(h->headers, buf_str(&line));
    REQUIRE(grown);
    h->headers = grown;
    explicit_bzero(line.data, line.len);
    buf_release(&line);
}

static void set_headers(struct http_request_handle *h, const struct http_call *call)
{
    add_header(h, "Accept", sv_from(call->accept ? call->accept : "application/json"));
    if (call->content_type) {
        add_header(h, "Content-Type", sv_from(call->content_type));
    }
    if (call->bearer.len > 0) {
        struct buf value;
        buf_init(&value, HEADER_MAX_BYTES);
        buf_add_str(&value, "Bearer ");
        buf_add_sv(&value, call->bearer);
        REQUIRE(!value.overflow);
        add_header(h, "Authorization", buf_sv(&value));
        explicit_bzero(value.data, value.len);
        buf_release(&value);
    }
    /* Without this libcurl waits a second for "100 Continue" before a larger body. */
    h->headers = curl_slist_append(h->headers, "Expect:");
    REQUIRE(h->headers);
    curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
}

static void set_method(CURL *easy, const struct http_call *call)
{
    if (call->content_type) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, call->body.len > 0 ? call->body.ptr : "");
    }
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    }
}

static void set_connection(CURL *easy, const struct http_client_config *cfg, struct sv ca)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A resolver thread that hangs is left behind; joining it would block the loop. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)cfg->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (ca.len > 0) {
        struct curl_blob blob = {.len = ca.len, .flags = CURL_BLOB_COPY};
        blob.data = xmalloc(ca.len); /* its field is not const, though the bytes are */
        memcpy(blob.data, ca.ptr, ca.len);
        curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
        free(blob.data);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static void set_callbacks(struct http_request_handle *h)
{
    curl_easy_setopt(h->easy, CURLOPT_PRIVATE, (void *)h);
    curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->curl_text);
    curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, (void *)h);
    curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, (void *)h);
    curl_easy_setopt(h->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h->easy, CURLOPT_XFERINFODATA, (void *)h);
    curl_easy_setopt(h->easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(h->easy, CURLOPT_PREREQDATA, (void *)h);
}

struct http_request_handle *http_transfer_new(const struct http_client_config *cfg, struct sv ca,
                                              const struct http_call *call, struct err *e)
{
    struct sv url = sv_from(call->url);
    struct http_request_handle *h;

    REQUIRE(call->done && call->method);
    REQUIRE(call->bearer.len <= SECRET_MAX_BYTES);
    if (!sv_starts_with(url, "http://") && !sv_starts_with(url, "https://")) {
        err_set(e, ERR_INVAL, "URL is neither http:// nor https://");
        return NULL;
    }
    h = xcalloc(1, sizeof(*h));
    h->easy = curl_easy_init();
    REQUIRE(h->easy);
    h->chunk = call->chunk;
    h->started = call->started;
    h->done = call->done;
    h->arg = call->arg;
    h->total_timeout_ms = call->total_timeout_ms;
    h->idle_timeout_ms = call->idle_timeout_ms;
    buf_init(&h->body, call->response_max_bytes);
    curl_easy_setopt(h->easy, CURLOPT_URL, call->url);
    curl_easy_setopt(h->easy, CURLOPT_USERAGENT, cfg->user_agent);
    if (sv_starts_with(url, "https://")) {
        /* Wait for the connection being made and share it, rather than make a second one.
         * Not without TLS: there libcurl would wait for the first answer. */
        curl_easy_setopt(h->easy, CURLOPT_PIPEWAIT, 1L);
    }
    set_connection(h->easy, cfg, ca);
    set_method(h->easy, call);
    set_headers(h, call);
    set_callbacks(h);
    if (!call->chunk && strcmp(call->method, "HEAD") != 0) {
        /* Refuses a larger Content-Length before its first byte. */
        curl_easy_setopt(h->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)call->response_max_bytes);
    }
    h->sent_us = loop_now_us();
    h->progress_us = h->sent_us;
    return h;
}

void http_transfer_free(struct http_request_handle *h)
{
    REQUIRE(!h->in_multi);
    curl_easy_cleanup(h->easy);
    for (struct curl_slist *s = h->headers; s; s = s->next) {
        explicit_bzero(s->data, strlen(s->data));
    }
    curl_slist_free_all(h->headers);
    buf_release(&h->body);
    free(h);
}

void http_transfer_end(struct http_request_handle *h, const struct err *err)
{
    if (h->state == HTTP_ENDED || h->state == HTTP_DONE) {
        return;
    }
    h->state = HTTP_ENDED;
    if (err) {
        h->err = *err;
    }
}

static enum err_code err_code_of(CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return ERR_TIMEOUT;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
        code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_INVALIDCERTSTATUS) {
        return ERR_DENIED;
    }
    if (code == CURLE_URL_MALFORMAT) {
        return ERR_INVAL;
    }
    /* Filesize: ours; out of memory: a header line beyond libcurl's cap of 100 KiB. */
    if (code == CURLE_FILESIZE_EXCEEDED || code == CURLE_OUT_OF_MEMORY) {
        return ERR_LIMIT;
    }
    /* UNSUPPORTED_PROTOCOL: an HTTP/0.9 answer, that is: bytes that are no HTTP. */
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
        code == CURLE_BAD_CONTENT_ENCODING) {
        return ERR_PROTO;
    }
    return ERR_UNAVAILABLE;
}

void http_transfer_end_curl(struct http_request_handle *h, CURLcode code)
{
    struct err err;
    const char *text = h->curl_text[0] != '\0' ? h->curl_text : curl_easy_strerror(code);

    if (code == CURLE_OK) {
        http_transfer_end(h, NULL);
        return;
    }
    err_set(&err, err_code_of(code), "%s", text);
    err.sys = (int)code;
    http_transfer_end(h, &err);
}

void http_transfer_report(struct http_request_handle *h)
{
    bool well = h->err.code == ERR_NONE;
    struct http_result result = {
        .err = well ? NULL : &h->err,
        .status = h->status,
        .body = well ? buf_sv(&h->body) : (struct sv){"", 0},
        .retry_after_ms = h->retry_after_ms,
        .elapsed_us = u64_since(loop_now_us(), h->sent_us),
    };

    REQUIRE(h->state == HTTP_ENDED);
    h->state = HTTP_DONE;
    h->done(h->arg, &result);
}

static uint64_t idle_deadline_us(const struct http_request_handle *h)
{
    return h->idle_timeout_ms ? h->progress_us + h->idle_timeout_ms * 1000 : UINT64_MAX;
}

static uint64_t total_deadline_us(const struct http_request_handle *h)
{
    return h->total_timeout_ms ? h->sent_us + h->total_timeout_ms * 1000 : UINT64_MAX;
}

uint64_t http_transfer_deadline_us(const struct http_request_handle *h)
{
    return u64_min(idle_deadline_us(h), total_deadline_us(h));
}

void http_transfer_timed_out(const struct http_request_handle *h, uint64_t now_us,
                             struct err *ret_err)
{
    if (now_us >= total_deadline_us(h)) {
        err_set(ret_err, ERR_TIMEOUT, "no complete answer within %llu ms",
                (unsigned long long)h->total_timeout_ms);
    } else {
        err_set(ret_err, ERR_TIMEOUT, "no byte for %llu ms",
                (unsigned long long)h->idle_timeout_ms);
    }
}
