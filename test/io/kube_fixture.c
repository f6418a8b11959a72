#include "test/io/kube_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"

static void tell(struct kube_fixture *f, const char *word)
{
    buf_addf(&f->told, "%s%s", f->told.len > 0 ? " " : "", word);
    if (f->stop_at && strcmp(word, f->stop_at) == 0) {
        f->stop_at = NULL;
        kube_client_watch_stop(f->client);
    }
    if (f->restart_at && strcmp(word, f->restart_at) == 0) {
        f->restart_at = NULL;
        kube_client_watch_start(f->client, "again");
    }
    if (f->close_at && strcmp(word, f->close_at) == 0) {
        f->close_at = NULL;
        kube_client_close(f->client, bed_on_closed, &f->closed);
        f->client = NULL;
    }
}

static void tell_pod(struct kube_fixture *f, const char *what, const struct pod *pod)
{
    char word[512];

    snprintf(word, sizeof(word), "%s:%s@%s", what, pod->name, pod->resource_version);
    tell(f, word);
}

static void on_resync(void *arg)
{
    tell(arg, "resync");
}

static void on_pod(void *arg, const struct pod *pod)
{
    tell_pod(arg, "pod", pod);
}

static void on_gone(void *arg, const struct pod *pod)
{
    tell_pod(arg, "gone", pod);
}

static void on_synced(void *arg)
{
    tell(arg, "synced");
}

static void on_watch_down(void *arg, long http_status, const struct err *err)
{
    struct kube_fixture *f = arg;
    char word[64];

    assert_true((http_status != 0) != (err != NULL));
    f->down_code = err ? err->code : ERR_NONE;
    if (err) {
        snprintf(word, sizeof(word), "down:%s", err_code_name(err->code));
    } else {
        snprintf(word, sizeof(word), "down:%ld", http_status);
    }
    tell(f, word);
}

void kube_write_token(const struct kube_fixture *f, const char *token)
{
    char fresh[80];

    snprintf(fresh, sizeof(fresh), "%s.new", f->token_file);
    FILE *out = fopen(fresh, "w");
    REQUIRE(out);
    fputs(token, out);
    fclose(out);
    REQUIRE(rename(fresh, f->token_file) == 0);
}

void kube_new_client(struct kube_fixture *f)
{
    struct kube_watch_ops ops = {
        .resync = on_resync,
        .pod = on_pod,
        .gone = on_gone,
        .synced = on_synced,
        .watch_down = on_watch_down,
        .arg = f,
    };

    if (f->client) {
        kube_client_close(f->client, bed_on_closed, &f->closed);
        BED_RUN_UNTIL(&f->bed, f->closed);
        f->closed = false;
    }
    f->client = kube_client_new(&f->bed.loop, &f->cfg, &ops);
}

int kube_set_up(void **state)
{
    struct kube_fixture *f = xcalloc(1, sizeof(*f));
    int fd;

    bed_open(&f->bed);
    peer_open(&f->peer, &f->bed);
    buf_init(&f->told, 1024 * 1024);
    str_copy(f->token_file, sizeof(f->token_file), SV("/tmp/test-token-XXXXXX"));
    fd = mkstemp(f->token_file);
    REQUIRE(fd >= 0);
    close(fd);
    kube_write_token(f, "token-1\n");
    f->cfg = (struct kube_client_config){
        .url = peer_url(&f->peer, "", f->url, sizeof(f->url)),
        .namespace_name = "ns",
        .token_file = f->token_file,
        .user_agent = "test-agent/1",
        .keys = {.role = "role"},
        .request_timeout_ms = 2000,
        .watch_idle_ms = 5000,
        .rng_seed = 7,
    };
    kube_new_client(f);
    *state = f;
    return 0;
}

int kube_tear_down(void **state)
{
    struct kube_fixture *f = *state;

    if (f->client) {
        kube_client_close(f->client, bed_on_closed, &f->closed);
        assert_false(f->closed);
    }
    BED_RUN_UNTIL(&f->bed, f->closed);
    peer_close(&f->peer);
    bed_close(&f->bed);
    buf_release(&f->told);
    unlink(f->token_file);
    free(f);
    return 0;
}

struct kube_answer *kube_answer(struct kube_fixture *f)
{
    REQUIRE(f->answers_used < ARRAY_LEN(f->answers));
    return &f->answers[f->answers_used++];
}

void kube_on_done(void *arg, const struct kube_result *result)
{
    struct kube_answer *a = arg;

    a->done++;
    a->code = result->err ? result->err->code : ERR_NONE;
    a->http_status = result->http_status;
    a->has_pod = result->pod != NULL;
    if (result->pod) {
        a->pod = *result->pod;
    }
    a->has_status = result->status != NULL;
    if (result->status) {
        a->status = *result->status;
    }
    a->retry_after_ms = result->retry_after_ms;
    a->elapsed_us = result->elapsed_us;
}

void kube_reply(struct kube_fixture *f, size_t request, const char *status, const char *json)
{
    AUTO_BUF struct buf b;

    buf_init(&b, 16 * 1024 * 1024);
    buf_addf(&b, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             status, strlen(json));
    buf_add_str(&b, json);
    REQUIRE(!b.overflow);
    wire_send(peer_wire(&f->peer, request), buf_sv(&b));
}

void kube_stream(struct kube_fixture *f, size_t request)
{
    wire_send(peer_wire(&f->peer, request), SV(CHUNKED));
}

void kube_send(struct kube_fixture *f, size_t request, struct sv bytes)
{
    AUTO_BUF struct buf b;

    buf_init(&b, 16 * 1024 * 1024);
    buf_addf(&b, "%zx\r\n", bytes.len);
    buf_add_sv(&b, bytes);
    buf_add_str(&b, "\r\n");
    wire_send(peer_wire(&f->peer, request), buf_sv(&b));
}

void kube_end(struct kube_fixture *f, size_t request)
{
    wire_send(peer_wire(&f->peer, request), SV(LAST_CHUNK));
}

void kube_expect_request(struct kube_fixture *f, size_t request, const char *text)
{
    BED_RUN_UNTIL(&f->bed, f->peer.requests_count > request);
    if (!peer_got(&f->peer, request, text)) {
        fail_msg("'%s' is not in request %zu: %s", text, request, f->peer.requests[request].text);
    }
}

void kube_expect_told(struct kube_fixture *f, const char *told)
{
    uint64_t give_up_us = loop_now_us() + 5 * 1000 * 1000;

    while (strcmp(buf_str(&f->told), told) != 0 && loop_now_us() < give_up_us) {
        uv_run(&f->bed.loop, UV_RUN_ONCE);
    }
    assert_string_equal(buf_str(&f->told), told);
}
