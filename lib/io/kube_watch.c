#include "lib/io/kube_watch.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

#define URL_MAX_BYTES 16384
#define REFUSAL_MAX_BYTES 65536
#define SERVER_TIMEOUT_MIN_S 300
#define SERVER_TIMEOUT_MAX_S 600

/* What a decoder's callback needs: the owner may stop or start the watch in between. */
struct pass {
    struct kube_watch *w;
    uint64_t run;
};

static void open_list(struct kube_watch *w);
static void open_watch(struct kube_watch *w);

/* --- waiting ------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct kube_watch *w = container_of(timer, struct kube_watch, timer);

    if (w->must_list) {
        w->next[0] = '\0';
        w->resync_told = false;
        open_list(w);
    } else {
        open_watch(w);
    }
}

static uint64_t jitter_ms(struct kube_watch *w)
{
    uint64_t high = KUBE_WATCH_BACKOFF_MIN_MS;

    for (unsigned i = 0; i < w->failures && high < KUBE_WATCH_BACKOFF_MAX_MS; i++) {
        high *= 2;
    }
    high = u64_min(high, KUBE_WATCH_BACKOFF_MAX_MS);
    return KUBE_WATCH_BACKOFF_MIN_MS + rng_below(&w->rng, high - KUBE_WATCH_BACKOFF_MIN_MS + 1);
}

static void wait_ms(struct kube_watch *w, uint64_t ms)
{
    w->state = KUBE_WATCH_WAITING;
    uv_timer_start(&w->timer, on_timer, ms, 0);
}

/* err or http_status. */
static void fail(struct kube_watch *w, long http_status, const struct err *err,
                 uint64_t retry_after_ms)
{
    w->failures++;
    w->down = true;
    if (w->failures >= KUBE_WATCH_RELIST_AFTER) {
        w->must_list = true;
    }
    wait_ms(w, retry_after_ms + jitter_ms(w));
    w->ops.watch_down(w->ops.arg, err ? 0 : http_status, err);
}

static uint64_t retry_after_of(const struct http_result *result)
{
    struct kube_status status;
    uint64_t ms = result->retry_after_ms;

    if (kube_status_parse(&status, result->body, NULL) == 0) {
        ms = u64_max(ms, u64_min(status.retry_after_s, HTTP_RETRY_AFTER_MAX_MS / 1000) * 1000);
    }
    return ms;
}

static void fail_result(struct kube_watch *w, const struct http_result *result)
{
    if (result->err) {
        fail(w, 0, result->err, 0);
    } else {
        fail(w, result->status, NULL, retry_after_of(result));
    }
}

/* Starts what `call` says on w->exchange. */
static void start_exchange(struct kube_watch *w, const struct kube_call *call)
{
    struct err err;

    w->exchange = kube_exchange_start(w->session, call, &err);
    if (!w->exchange) {
        fail(w, 0, &err, 0);
    }
}

static void add_selector(const struct kube_watch *w, struct buf *url)
{
    if (w->selector[0] != '\0') {
        buf_add_str(url, "&labelSelector=");
        kube_url_escape(url, w->selector);
    }
}

/* --- list ---------------------------------------------------------------------------------- */

static bool tell_resync(struct kube_watch *w, uint64_t run)
{
    if (w->run == run && !w->resync_told) {
        w->resync_told = true;
        w->ops.resync(w->ops.arg);
    }
    return w->run == run;
}

static void on_list_pod(void *arg, const struct pod *pod)
{
    const struct pass *pass = arg;
    struct kube_watch *w = pass->w;

    if (tell_resync(w, pass->run)) {
        w->ops.pod(w->ops.arg, pod);
    }
}

static void list_complete(struct kube_watch *w)
{
    uint64_t run = w->run;

    w->must_list = false;
    w->down = false;
    w->ops.synced(w->ops.arg);
    if (w->run == run) {
        open_watch(w);
    }
}

static void on_list_done(void *arg, const struct http_result *result)
{
    struct kube_watch *w = arg;
    struct pass pass = {w, w->run};
    struct pod_list page;
    struct err err;
    int rc;

    w->exchange = NULL;
    if (result->err || result->status < 200 || result->status > 299) {
        fail_result(w, result);
        return;
    }
    rc = pod_list_parse(&page, result->body, w->keys, on_list_pod, &pass, &err);
    if (w->run != pass.run) {
        return;
    }
    if (rc != 0) {
        err_wrap(&err, "list of Pods");
        fail(w, 0, &err, 0);
        return;
    }
    if (!tell_resync(w, pass.run)) {
        return;
    }
    memcpy(w->resource_version, page.resource_version, sizeof(w->resource_version));
    memcpy(w->next, page.next, sizeof(w->next));
    if (w->next[0] != '\0') {
        open_list(w);
    } else {
        list_complete(w);
    }
}

static void open_list(struct kube_watch *w)
{
    struct buf url;

    buf_init(&url, URL_MAX_BYTES);
    buf_addf(&url, "%s?limit=%d", w->pods_url, KUBE_LIST_PAGE);
    add_selector(w, &url);
    if (w->next[0] != '\0') {
        buf_add_str(&url, "&continue=");
        kube_url_escape(&url, w->next);
    }
    REQUIRE(!url.overflow);
    w->state = KUBE_WATCH_LISTING;
    start_exchange(w, &(struct kube_call){
                          .verb = KUBE_VERB_LIST,
                          .method = "GET",
                          .url = buf_str(&url),
                          .total_timeout_ms = w->request_timeout_ms,
                          .response_max_bytes = POD_LIST_JSON_MAX,
                          .done = on_list_done,
                          .arg = w,
                      });
    buf_release(&url);
}

/* --- watch ---------------------------------------------------------------------------------- */

static void on_granted(void *arg, long status)
{
    struct kube_watch *w = arg;

    if (status < 200 || status > 299) {
        return;
    }
    w->granted_us = loop_now_us();
    if (w->down) {
        w->down = false;
        w->ops.synced(w->ops.arg);
    }
}

static void on_event(void *arg, const struct watch_event *ev)
{
    const struct pass *pass = arg;
    struct kube_watch *w = pass->w;

    if (w->run != pass->run || w->refused) {
        return;
    }
    if (ev->type == WATCH_ERROR) {
        w->refused = true;
        w->refusal = ev->status;
        return;
    }
    memcpy(w->resource_version, ev->pod.resource_version, sizeof(w->resource_version));
    switch (ev->type) {
    case WATCH_ADDED:
    case WATCH_MODIFIED:
        w->ops.pod(w->ops.arg, &ev->pod);
        break;
    case WATCH_DELETED:
        w->ops.gone(w->ops.arg, &ev->pod);
        break;
    case WATCH_BOOKMARK:
    case WATCH_ERROR:
        break;
    }
}

static bool on_chunk(void *arg, struct sv bytes)
{
    struct kube_watch *w = arg;
    struct pass pass = {w, w->run};
    struct err err;
    int rc = watch_decoder_feed(&w->decoder, bytes, on_event, &pass, &err);

    if (w->run != pass.run) {
        return false;
    }
    if (rc != 0) {
        w->broken = err;
        err_wrap(&w->broken, "watch of Pods");
    }
    return rc == 0 && !w->refused;
}

/* A resourceVersion that the server does not take, or a request that it will never take in
 * this form: only a list leads on. */
static bool wants_list(long status)
{
    return status == 400 || status == 404 || status == 410 || status == 422;
}

static void on_watch_done(void *arg, const struct http_result *result)
{
    struct kube_watch *w = arg;
    uint64_t lived_us = w->granted_us ? u64_since(loop_now_us(), w->granted_us) : 0;
    bool settled = lived_us >= KUBE_WATCH_SETTLED_MS * 1000;

    w->exchange = NULL;
    if (settled) {
        w->failures = 0;
    }
    if (w->broken.code != ERR_NONE) {
        w->must_list = true;
        fail(w, 0, &w->broken, 0);
    } else if (w->refused) {
        w->must_list = true;
        fail(w, (long)w->refusal.code, NULL,
             u64_min(w->refusal.retry_after_s, HTTP_RETRY_AFTER_MAX_MS / 1000) * 1000);
    } else if (result->err || result->status < 200 || result->status > 299) {
        w->must_list = !result->err && wants_list(result->status);
        fail_result(w, result);
    } else if (settled) {
        wait_ms(w, 0);
    } else {
        w->failures++;
        wait_ms(w, jitter_ms(w));
    }
}

static void open_watch(struct kube_watch *w)
{
    uint64_t timeout_s =
        SERVER_TIMEOUT_MIN_S + rng_below(&w->rng, SERVER_TIMEOUT_MAX_S - SERVER_TIMEOUT_MIN_S + 1);
    struct buf url;

    buf_init(&url, URL_MAX_BYTES);
    buf_addf(&url, "%s?watch=true&allowWatchBookmarks=true&timeoutSeconds=%" PRIu64, w->pods_url,
             timeout_s);
    add_selector(w, &url);
    buf_add_str(&url, "&resourceVersion=");
    kube_url_escape(&url, w->resource_version);
    REQUIRE(!url.overflow);
    w->state = KUBE_WATCHING;
    w->granted_us = 0;
    w->refused = false;
    memset(&w->broken, 0, sizeof(w->broken));
    watch_decoder_reset(&w->decoder);
    w->session->counters.watch_restarts += w->opened_before ? 1 : 0;
    w->opened_before = true;
    start_exchange(w, &(struct kube_call){
                          .verb = KUBE_VERB_WATCH,
                          .method = "GET",
                          .url = buf_str(&url),
                          .idle_timeout_ms = w->idle_ms,
                          .response_max_bytes = REFUSAL_MAX_BYTES,
                          .chunk = on_chunk,
                          .started = on_granted,
                          .done = on_watch_done,
                          .arg = w,
                      });
    buf_release(&url);
}

/* --- for the client --------------------------------------------------------------------------- */

void kube_watch_init(struct kube_watch *w, struct kube_session *session,
                     const struct kube_client_config *cfg, const struct kube_watch_ops *ops,
                     const char *pods_url)
{
    w->session = session;
    w->ops = ops ? *ops : (struct kube_watch_ops){0};
    w->keys = &cfg->keys;
    w->pods_url = pods_url;
    w->request_timeout_ms = cfg->request_timeout_ms;
    w->idle_ms = cfg->watch_idle_ms;
    w->selector = xstrdup("");
    rng_seed(&w->rng, cfg->rng_seed);
    watch_decoder_init(&w->decoder, &cfg->keys);
}

void kube_watch_start(struct kube_watch *w, const char *label_selector)
{
    REQUIRE(w->ops.pod);
    kube_watch_stop(w);
    free(w->selector);
    w->selector = xstrdup(label_selector ? label_selector : "");
    REQUIRE(strlen(w->selector) < URL_MAX_BYTES / 8); /* three bytes each, and the rest */
    w->failures = 0;
    w->must_list = true;
    w->down = false;
    wait_ms(w, 0);
}

void kube_watch_stop(struct kube_watch *w)
{
    w->run++;
    w->state = KUBE_WATCH_STOPPED;
    uv_timer_stop(&w->timer);
    if (w->exchange) {
        kube_exchange_cancel(w->exchange);
        w->exchange = NULL;
    }
}

void kube_watch_release(struct kube_watch *w)
{
    REQUIRE(w->state == KUBE_WATCH_STOPPED);
    watch_decoder_release(&w->decoder);
    free(w->selector);
}
