#include "lib/io/kube_client.h"

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "lib/io/kube_exchange.h"
#include "lib/io/kube_watch.h"

#define URL_MAX_BYTES 4096
#define CONNECT_TIMEOUT_MAX_MS 5000

struct kube_client {
    struct kube_client_config cfg;
    char *pods_url;   /* …/api/v1/namespaces/NS/pods */
    char *events_url; /* …/api/v1/namespaces/NS/events */
    struct kube_session session;
    struct kube_watch watch;
    struct closer closer;
    bool closing;
    closer_fn *on_closed;
    void *on_closed_arg;
};

/* --- requests ------------------------------------------------------------------------------ */

struct request {
    struct kube_client *client;
    bool wants_pod;
    kube_done_fn *cb;
    void *arg;
};

static void report_refusal(const struct request *r, struct kube_result *out, struct sv body)
{
    struct kube_status status;

    if (kube_status_parse(&status, body, NULL) == 0) {
        uint64_t ms = u64_min(status.retry_after_s, HTTP_RETRY_AFTER_MAX_MS / 1000) * 1000;
        out->status = &status;
        out->retry_after_ms = u64_max(out->retry_after_ms, ms);
    }
    r->cb(r->arg, out);
}

static void report_pod(const struct request *r, struct kube_result *out, struct sv body)
{
    struct pod pod;
    struct err err;

    if (pod_parse(&pod, body, &r->client->cfg.keys, &err) == 0) {
        out->pod = &pod;
    } else {
        err.code = ERR_PROTO; /* the caller cannot mend a Pod that is too large, either */
        out->err = &err;
        out->http_status = 0;
    }
    r->cb(r->arg, out);
}

static void on_done(void *arg, const struct http_result *result)
{
    struct request *r = arg;
    struct kube_result out = {
        .err = result->err,
        .http_status = result->err ? 0 : result->status,
        .retry_after_ms = result->retry_after_ms,
        .elapsed_us = result->elapsed_us,
    };

    if (!result->err && (result->status < 200 || result->status > 299)) {
        report_refusal(r, &out, result->body);
    } else if (!result->err && r->wants_pod) {
        report_pod(r, &out, result->body);
    } else {
        r->cb(r->arg, &out);
    }
    free(r);
}

static int request_start(struct kube_client *c, struct kube_call *call, bool wants_pod,
                         kube_done_fn *cb, void *arg, struct err *e)
{
    struct request *r = xcalloc(1, sizeof(*r));

    r->client = c;
    r->wants_pod = wants_pod;
    r->cb = cb;
    r->arg = arg;
    call->total_timeout_ms = c->cfg.request_timeout_ms;
    call->response_max_bytes = POD_JSON_MAX;
    call->done = on_done;
    call->arg = r;
    if (!kube_exchange_start(&c->session, call, e)) {
        free(r);
        return -1;
    }
    return 0;
}

static int pod_url(struct buf *url, const struct kube_client *c, const char *name, struct err *e)
{
    if (name[0] == '\0') { /* would be the list of all */
        return err_set(e, ERR_INVAL, "Pod name is empty");
    }
    buf_addf(url, "%s/", c->pods_url);
    kube_url_escape(url, name);
    return url->overflow ? err_set(e, ERR_INVAL, "Pod name is too long") : 0;
}

int kube_client_get_pod(struct kube_client *c, const char *name, kube_done_fn *cb, void *arg,
                        struct err *e)
{
    AUTO_BUF struct buf url;

    buf_init(&url, URL_MAX_BYTES);
    if (pod_url(&url, c, name, e) != 0) {
        return -1;
    }
    struct kube_call call = {.verb = KUBE_VERB_GET, .method = "GET", .url = buf_str(&url)};
    return request_start(c, &call, true, cb, arg, e);
}

int kube_client_patch_pod(struct kube_client *c, const char *name, struct sv merge_patch,
                          kube_done_fn *cb, void *arg, struct err *e)
{
    AUTO_BUF struct buf url;

    buf_init(&url, URL_MAX_BYTES);
    if (pod_url(&url, c, name, e) != 0) {
        return -1;
    }
    struct kube_call call = {
        .verb = KUBE_VERB_PATCH,
        .method = "PATCH",
        .url = buf_str(&url),
        .content_type = "application/merge-patch+json",
        .body = merge_patch,
    };
    return request_start(c, &call, true, cb, arg, e);
}

int kube_client_create_event(struct kube_client *c, struct sv body, kube_done_fn *cb, void *arg,
                             struct err *e)
{
    struct kube_call call = {
        .verb = KUBE_VERB_CREATE,
        .method = "POST",
        .url = c->events_url,
        .content_type = "application/json",
        .body = body,
    };
    return request_start(c, &call, false, cb, arg, e);
}

/* --- the client ------------------------------------------------------------------------------ */

static char *collection_url(const struct kube_client_config *cfg, const char *resource)
{
    AUTO_BUF struct buf url;

    buf_init(&url, URL_MAX_BYTES);
    buf_addf(&url, "%s/api/v1/namespaces/", cfg->url);
    kube_url_escape(&url, cfg->namespace_name);
    buf_addf(&url, "/%s", resource);
    REQUIRE(!url.overflow);
    return xstrdup(buf_str(&url));
}

struct kube_client *kube_client_new(uv_loop_t *loop, const struct kube_client_config *cfg,
                                    const struct kube_watch_ops *ops)
{
    struct kube_client *c = xcalloc(1, sizeof(*c));

    c->cfg = *cfg;
    c->pods_url = collection_url(cfg, "pods");
    c->events_url = collection_url(cfg, "events");
    secret_file_init(&c->session.token, cfg->token_file);
    c->session.http =
        http_client_new(loop, &(struct http_client_config){
                                  .user_agent = cfg->user_agent,
                                  .ca_file = cfg->ca_file,
                                  .connect_timeout_ms =
                                      u64_min(cfg->request_timeout_ms, CONNECT_TIMEOUT_MAX_MS),
                              });
    closer_init(&c->closer, loop);
    uv_timer_init(loop, &c->watch.timer);
    closer_add(&c->closer, (uv_handle_t *)&c->watch.timer);
    kube_watch_init(&c->watch, &c->session, &c->cfg, ops, c->pods_url);
    return c;
}

const struct kube_counters *kube_client_counters(const struct kube_client *c)
{
    return &c->session.counters;
}

void kube_client_watch_start(struct kube_client *c, const char *label_selector)
{
    if (!c->closing) {
        kube_watch_start(&c->watch, label_selector);
    }
}

void kube_client_watch_stop(struct kube_client *c)
{
    kube_watch_stop(&c->watch);
}

void kube_client_reload(struct kube_client *c)
{
    (void)secret_file_refresh(&c->session.token, NULL); /* a failure shows in the next request */
}

static void on_all_closed(void *arg)
{
    struct kube_client *c = arg;
    closer_fn *on_closed = c->on_closed;
    void *on_closed_arg = c->on_closed_arg;

    kube_watch_release(&c->watch);
    secret_file_release(&c->session.token);
    free(c->pods_url);
    free(c->events_url);
    free(c);
    on_closed(on_closed_arg);
}

static void on_http_closed(void *arg)
{
    struct kube_client *c = arg;

    closer_close(&c->closer, (uv_handle_t *)&c->watch.timer);
    closer_finish(&c->closer, on_all_closed, c);
}

void kube_client_close(struct kube_client *c, closer_fn *on_closed, void *arg)
{
    REQUIRE(!c->closing);
    c->closing = true;
    c->on_closed = on_closed;
    c->on_closed_arg = arg;
    kube_watch_stop(&c->watch);
    http_client_close(c->session.http, on_http_closed, c);
}
