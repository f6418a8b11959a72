#include "test/io/http_client_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"

struct outcome *fresh(struct fixture *f)
{
    assert_true(f->outcomes_used < ARRAY_LEN(f->outcomes));
    return &f->outcomes[f->outcomes_used++];
}

void on_done(void *arg, const struct http_result *result)
{
    struct outcome *o = arg;

    o->done++;
    o->handle = NULL;
    o->code = result->err ? result->err->code : ERR_NONE;
    str_copy(o->text, sizeof(o->text), sv_from(result->err ? result->err->msg : ""));
    o->status = result->status;
    str_copy(o->body, sizeof(o->body), result->body);
    o->retry_after_ms = result->retry_after_ms;
    o->elapsed_us = result->elapsed_us;
    if (o->in_done) {
        o->in_done(o);
    }
}

bool on_chunk(void *arg, struct sv bytes)
{
    struct outcome *o = arg;
    size_t len = strlen(o->chunked);

    assert_int_equal(o->done, 0);
    o->chunks++;
    str_copy(o->chunked + len, sizeof(o->chunked) - len, bytes);
    if (o->in_chunk) {
        o->in_chunk(o);
    }
    return !o->refuse_chunk;
}

static void on_started(void *arg, long status)
{
    struct outcome *o = arg;

    o->started++;
    o->started_status = status;
}

struct http_call call_of(struct fixture *f, struct outcome *o)
{
    o->f = f;
    return (struct http_call){
        .method = "GET",
        .url = peer_url(&f->peer, "/path?a=1", f->url, sizeof(f->url)),
        .total_timeout_ms = 5000,
        .response_max_bytes = 256,
        .done = on_done,
        .arg = o,
    };
}

void send_call(struct fixture *f, struct outcome *o, const struct http_call *call)
{
    struct err e = {0};

    o->handle = http_client_send(f->client, call, &e);
    assert_string_equal(e.msg, "");
    assert_non_null(o->handle);
    assert_int_equal(o->done, 0);
}

void get(struct fixture *f, struct outcome *o)
{
    struct http_call call = call_of(f, o);

    send_call(f, o, &call);
}

void stream(struct fixture *f, struct outcome *o)
{
    struct http_call call = call_of(f, o);

    call.total_timeout_ms = 0;
    call.chunk = on_chunk;
    call.started = on_started;
    send_call(f, o, &call);
}

int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));

    bed_open(&f->bed);
    peer_open(&f->peer, &f->bed);
    f->client = http_client_new(&f->bed.loop, &(struct http_client_config){
                                                  .user_agent = "test-agent/1",
                                                  .connect_timeout_ms = 2000,
                                              });
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->client) {
        http_client_close(f->client, bed_on_closed, &f->closed);
        assert_false(f->closed);
    }
    BED_RUN_UNTIL(&f->bed, f->closed);
    peer_close(&f->peer);
    bed_close(&f->bed);
    free(f);
    return 0;
}

void cancel(struct outcome *o)
{
    http_client_cancel(o->f->client, o->handle);
}
