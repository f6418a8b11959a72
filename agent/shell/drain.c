#include "agent/shell/drain.h"

#include <strings.h>

#include "lib/base/check.h"

void drain_init(struct drain *d, const struct core *core, void (*ask)(void *arg), void *arg)
{
    *d = (struct drain){.core = core, .ask = ask, .arg = arg};
}

static bool is_terminating(const struct core *c)
{
    return c->label.observed && c->label.seen.terminating;
}

/* Adds the lines from number `from` on; the ring may have lost the oldest. */
static void add_lines(struct buf *out, const struct handover *h, uint64_t from)
{
    uint64_t oldest = u64_since(h->count, HANDOVER_LINES_MAX);
    for (uint64_t i = u64_max(from, oldest); i < h->count; i++) {
        char text[HANDOVER_LINE_TEXT_MAX];
        buf_addf(out, "%s\n",
                 handover_line_text(&h->lines[i % HANDOVER_LINES_MAX], text, sizeof text));
    }
}

static void on_client_gone(void *arg)
{
    struct drain_client *client = arg;
    client->stream = NULL;
}

static void refuse(struct http_response *res, unsigned status, const char *why)
{
    res->status = status;
    buf_addf(res->body, "%s\n", why);
}

/* What is known so far is the first piece; drain_told adds the others. */
static void join(struct drain *d, struct http_response *res)
{
    const struct handover *h = &d->core->handover;
    uint64_t left_ms = u64_since(h->deadline_us, loop_now_us()) / 1000;
    for (size_t i = 0; i < ARRAY_LEN(d->clients); i++) {
        struct drain_client *client = &d->clients[i];
        if (client->stream != NULL) {
            continue;
        }
        add_lines(res->body, h, 0);
        client->told = h->count;
        client->serial = h->serial;
        client->stream =
            http_response_stream(res, left_ms + DRAIN_GRACE_MS, on_client_gone, client);
        return;
    }
    refuse(res, 503, "too many clients wait for this hand-over already");
}

static void begin(struct drain *d, struct http_response *res)
{
    const struct handover *h = &d->core->handover;
    uint64_t serial = h->serial;
    d->ask(d->arg);
    if (h->serial == serial) {
        refuse(res, 503, "a hand-over cannot be begun now; /status says what the agent is doing");
        return;
    }
    bool counts = h->verdict != HANDOVER_NOTHING && h->verdict != HANDOVER_OFF;
    d->begun_us = h->running || counts ? loop_now_us() : 0;
    if (h->running) {
        join(d, res);
    } else {
        add_lines(res->body, h, 0);
    }
}

void drain_handle(struct drain *d, const struct http_request *req, struct http_response *res)
{
    const char *header = http_request_header(req, DRAIN_HEADER);
    if (header == NULL || strcasecmp(header, DRAIN_HEADER_VALUE) != 0) {
        refuse(res, 403,
               "this path hands the mastership over to another Pod; it wants the header "
               "\"" DRAIN_HEADER ": " DRAIN_HEADER_VALUE "\"");
        return;
    }
    if (d->core->handover.running) {
        join(d, res);
        return;
    }
    uint64_t since_us = u64_since(loop_now_us(), d->begun_us);
    if (d->begun_us != 0 && since_us < DRAIN_INTERVAL_US && !is_terminating(d->core)) {
        res->retry_after_s = (unsigned)((DRAIN_INTERVAL_US - since_us + 999999) / 1000000);
        refuse(res, 429,
               "there was a hand-over less than a minute ago, and this Pod is not being deleted");
        return;
    }
    begin(d, res);
}

void drain_told(struct drain *d)
{
    const struct handover *h = &d->core->handover;
    for (size_t i = 0; i < ARRAY_LEN(d->clients); i++) {
        struct drain_client *client = &d->clients[i];
        if (client->stream == NULL) {
            continue;
        }
        AUTO_BUF struct buf lines;
        buf_init(&lines, (size_t)HANDOVER_LINES_MAX * (HANDOVER_LINE_TEXT_MAX + 1));
        bool over = !h->running || client->serial != h->serial;
        if (client->serial == h->serial) {
            add_lines(&lines, h, client->told);
            client->told = h->count;
            http_stream_write(client->stream, buf_sv(&lines));
        }
        if (over) {
            http_stream_end(client->stream);
            client->stream = NULL;
        }
    }
    bool nothing = h->verdict == HANDOVER_NOTHING || h->verdict == HANDOVER_OFF;
    if (!h->running && nothing) {
        d->begun_us = 0;
    }
}
