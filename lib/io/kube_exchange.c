#include "lib/io/kube_exchange.h"

#include <string.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

struct kube_exchange {
    struct kube_session *session;
    struct http_request_handle *request;
    struct kube_call call;
    char *url;
    char *body;
    bool tried_again;
    bool canceled;
    uint64_t earlier_us; /* what the first try took */
};

static const char *const verb_names[] = {KUBE_VERBS(RPA_ENUM_NAME)};
static const char *const outcome_names[] = {KUBE_OUTCOMES(RPA_ENUM_NAME)};

const char *kube_verb_name(enum kube_verb verb)
{
    REQUIRE((size_t)verb < ARRAY_LEN(verb_names));
    return verb_names[verb];
}

const char *kube_outcome_name(enum kube_outcome outcome)
{
    REQUIRE((size_t)outcome < ARRAY_LEN(outcome_names));
    return outcome_names[outcome];
}

static enum kube_outcome outcome_of(long status)
{
    switch (status) {
    case 401:
        return KUBE_OUTCOME_401;
    case 403:
        return KUBE_OUTCOME_403;
    case 404:
        return KUBE_OUTCOME_404;
    case 409:
        return KUBE_OUTCOME_409;
    case 410:
        return KUBE_OUTCOME_410;
    case 422:
        return KUBE_OUTCOME_422;
    case 429:
        return KUBE_OUTCOME_429;
    default:
        break;
    }
    if (status >= 200 && status <= 299) {
        return KUBE_OUTCOME_2XX;
    }
    if (status >= 300 && status <= 499) { /* redirects are refusals: none is followed */
        return KUBE_OUTCOME_4XX;
    }
    return status >= 500 ? KUBE_OUTCOME_5XX : KUBE_OUTCOME_NONE;
}

void kube_url_escape(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        unsigned char ch = (unsigned char)*p;
        bool unreserved = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                          (ch >= '0' && ch <= '9') || strchr("-._~", ch);

        if (unreserved) {
            buf_add_char(out, (char)ch);
        } else {
            buf_addf(out, "%%%02X", ch);
        }
    }
}

static void exchange_free(struct kube_exchange *x)
{
    free(x->url);
    free(x->body);
    free(x);
}

static bool on_chunk(void *arg, struct sv bytes)
{
    struct kube_exchange *x = arg;

    return !x->canceled && x->call.chunk(x->call.arg, bytes);
}

static void on_started(void *arg, long status)
{
    struct kube_exchange *x = arg;

    if (!x->canceled && x->call.started && (status != 401 || x->tried_again)) {
        x->call.started(x->call.arg, status);
    }
}

static void on_done(void *arg, const struct http_result *result);

static int send_now(struct kube_exchange *x, struct err *e)
{
    struct http_call call = {
        .method = x->call.method,
        .url = x->url,
        .content_type = x->call.content_type,
        .body = x->call.body,
        .bearer = secret_reveal(&x->session->token.value),
        .total_timeout_ms = x->call.total_timeout_ms,
        .idle_timeout_ms = x->call.idle_timeout_ms,
        .response_max_bytes = x->call.response_max_bytes,
        .chunk = x->call.chunk ? on_chunk : NULL,
        .started = on_started,
        .done = on_done,
        .arg = x,
    };

    x->request = http_client_send(x->session->http, &call, e);
    return x->request ? 0 : -1;
}

static bool send_again(struct kube_exchange *x, const struct http_result *result)
{
    if (x->tried_again || x->canceled || result->err || result->status != 401) {
        return false;
    }
    x->tried_again = true;
    x->earlier_us = result->elapsed_us;
    /* Also with the token unchanged: an API server that has just restarted refuses good ones. */
    (void)secret_file_refresh(&x->session->token, NULL);
    return send_now(x, NULL) == 0;
}

static void count(const struct kube_exchange *x, const struct http_result *result)
{
    bool by_us = x->canceled || (result->err && result->err->code == ERR_CANCELED);
    /* An answer that breaks off is none; a watch always ends somehow, what counts is whether
     * it was granted. */
    bool cut = result->err && x->call.verb != KUBE_VERB_WATCH;

    if (!by_us || (x->call.verb == KUBE_VERB_WATCH && result->status != 0)) {
        x->session->counters
            .requests[x->call.verb][cut ? KUBE_OUTCOME_NONE : outcome_of(result->status)]++;
    }
}

static void on_done(void *arg, const struct http_result *result)
{
    struct kube_exchange *x = arg;
    struct http_result total = *result;

    count(x, result);
    if (send_again(x, result)) {
        return;
    }
    total.elapsed_us += x->earlier_us;
    if (!x->canceled) {
        x->call.done(x->call.arg, &total);
    }
    exchange_free(x);
}

static int load_token(struct kube_session *s, struct err *e)
{
    struct err err;

    if (secret_file_refresh(&s->token, &err) == 0 || secret_is_set(&s->token.value)) {
        return 0; /* the old value may still be good; 401 tells */
    }
    if (e) {
        *e = err;
    }
    return err_wrap(e, "token");
}

struct kube_exchange *kube_exchange_start(struct kube_session *s, const struct kube_call *call,
                                          struct err *e)
{
    struct kube_exchange *x;

    if (load_token(s, e) != 0) {
        return NULL;
    }
    x = xcalloc(1, sizeof(*x));
    x->session = s;
    x->call = *call;
    x->url = xstrdup(call->url);
    x->body = xmalloc(call->body.len + 1);
    if (call->body.len > 0) {
        memcpy(x->body, call->body.ptr, call->body.len);
    }
    x->call.body = (struct sv){x->body, call->body.len};
    if (send_now(x, e) != 0) {
        exchange_free(x);
        return NULL;
    }
    return x;
}

void kube_exchange_cancel(struct kube_exchange *x)
{
    x->canceled = true;
    http_client_cancel(x->session->http, x->request);
}
