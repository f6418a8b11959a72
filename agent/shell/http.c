#include "agent/shell/http.h"

#include <inttypes.h>

#include "agent/core/probe.h"
#include "agent/shell/driver.h"
#include "agent/shell/metrics.h"
#include "agent/shell/status.h"
#include "agent/shell/status_text.h"

#define TEXT "text/plain; charset=utf-8"
#define JSON "application/json"
#define HTML "text/html; charset=utf-8"

/* One line a check, as the API server's own /readyz?verbose writes it. */
static void write_checks(struct buf *out, const char *path, const struct probe_answer *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct probe_check *c = &a->checks[i];
        const char *mark = c->ok ? "[+]" : c->counts ? "[-]" : "[ ]";
        buf_addf(out, "%s%s %s", mark, c->name, c->ok ? "ok" : c->counts ? "failed" : "not ok");
        if (c->detail[0] != '\0') {
            buf_addf(out, ": %s", c->detail);
        }
        if (c->age_us != UINT64_MAX) {
            buf_addf(out, " (%" PRIu64 " ms ago)", c->age_us / 1000);
        }
        buf_add_char(out, '\n');
    }
    buf_addf(out, "%s check %s\n", path + 1, a->ok ? "passed" : "failed");
}

static void answer_probe(struct driver *d, enum probe probe, const struct http_request *req,
                         struct http_response *res)
{
    uint64_t max_lag = PROBE_NO_LIMIT;
    const char *lag = http_request_query(req, "lag");
    if (probe == PROBE_REPLICA && lag != NULL && !sv_to_u64(sv_from(lag), &max_lag)) {
        res->status = 400;
        buf_addf(res->body, "lag: a number of bytes is wanted\n");
        return;
    }
    struct probe_answer a;
    probe_answer(&d->core, probe, max_lag, loop_now_us(), &a);
    res->status = a.ok ? 200 : 503;
    /* A role that is held for want of proof is always told: since when, and why. */
    bool brief = a.ok && !d->core.role.holding && http_request_query(req, "verbose") == NULL;
    if (brief) {
        buf_add_str(res->body, "ok\n");
    } else {
        write_checks(res->body, probe_path(probe), &a);
    }
}

static void answer_index(struct driver *d, struct http_response *res)
{
    static const char *const paths[] = {"/livez",   "/startupz",    "/readyz?verbose", "/master",
                                        "/primary", "/replica",     "/read-only",      "/health",
                                        "/status",  "/status?text", "/metrics"};
    const struct role *r = &d->core.role;
    res->content_type = HTML;
    buf_addf(res->body,
             "<!doctype html><html lang=en><meta charset=utf-8><title>redis-pod-agent</title>"
             "<h1>redis-pod-agent</h1><p>%s is <b>%s</b> (epoch %" PRIu64 "): %s.</p><ul>",
             d->cfg->pod_name, role_state_name(r->state), r->epoch, role_reason_text(r->reason));
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        buf_addf(res->body, "<li><a href=\"%s\">%s</a>", paths[i], paths[i]);
    }
    buf_add_str(res->body, "</ul></html>\n");
}

static void answer_drain(struct driver *d, const struct http_request *req,
                         struct http_response *res)
{
    if (d->stopping) {
        res->status = 503;
        buf_add_str(res->body, "the agent is stopping\n");
        return;
    }
    drain_handle(&d->drain, req, res);
}

const char *http_methods(void *driver, const char *path)
{
    (void)driver;
    return strcmp(path, DRAIN_PATH) == 0 ? "GET, POST" : NULL;
}

void http_handle(void *driver, const struct http_request *req, struct http_response *res)
{
    struct driver *d = driver;
    const char *path = strcmp(req->path, "/primary") == 0 ? probe_path(PROBE_MASTER) : req->path;
    d->http_requests++;
    res->status = 200;
    res->content_type = TEXT;
    for (size_t p = 0; p < PROBE_COUNT; p++) {
        if (strcmp(path, probe_path((enum probe)p)) == 0) {
            answer_probe(d, (enum probe)p, req, res);
            return;
        }
    }
    if (strcmp(path, "/status") == 0 && http_request_query(req, "text") != NULL) {
        status_text_write(d, res->body, http_request_query(req, "history") != NULL);
    } else if (strcmp(path, "/status") == 0) {
        res->content_type = JSON;
        status_write(d, res->body);
    } else if (strcmp(path, "/metrics") == 0) {
        res->content_type = PROMTEXT_CONTENT_TYPE;
        metrics_write(d, res->body);
    } else if (strcmp(path, DRAIN_PATH) == 0) {
        answer_drain(d, req, res);
    } else if (strcmp(path, "/") == 0) {
        answer_index(d, res);
    } else {
        res->status = 404;
        buf_add_str(res->body, "not found; / lists what is served\n");
    }
}
