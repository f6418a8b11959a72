/* The HTTP client over TLS and HTTP/2, against h2_peer.py. Skipped where that cannot run. */
#include "test/io/http_client_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"

#define PYTHON_OF_SETUP TEST_SOURCE_DIR "/../build/venv/bin/python3"

/* A child process that serves. */
struct h2_peer {
    struct bed *bed;
    uv_process_t process;
    uv_pipe_t out;
    uv_pipe_t in;
    char dir[64];
    char ca_file[96];
    struct buf printed;
    unsigned port;
    bool exited;
    bool ended; /* its output */
};

struct tls {
    struct fixture *f;
    struct h2_peer peer;
    struct h2_peer other;
    char ca_file[96];
};

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    (void)handle;
    *ret = uv_buf_init(xmalloc(size), (unsigned)size);
}

static void on_printed(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct h2_peer *p = stream->data;
    struct sv text;
    uint64_t port;

    if (n > 0) {
        buf_add(&p->printed, bytes->base, (size_t)n);
        text = buf_sv(&p->printed);
        if (sv_starts_with(text, "port ") && text.ptr[text.len - 1] == '\n' &&
            sv_to_u64(sv_trim((struct sv){text.ptr + 5, text.len - 5}), &port)) {
            p->port = (unsigned)port;
        }
    } else if (n < 0) {
        p->ended = true;
    }
    free(bytes->base);
}

static void on_exit_of_peer(uv_process_t *process, int64_t status, int term_signal)
{
    struct h2_peer *p = process->data;

    (void)status;
    (void)term_signal;
    p->exited = true;
}

static void h2_peer_start(struct h2_peer *p, struct bed *bed, const char *san)
{
    char python[] = PYTHON_OF_SETUP;
    char fallback[] = "python3";
    char script[] = TEST_SOURCE_DIR "/io/h2_peer.py";
    char san_flag[] = "--san";
    char san_text[64];
    bool has_venv = access(python, X_OK) == 0;
    char *args[] = {has_venv ? python : fallback, script, p->dir, san_flag, san_text, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&p->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&p->out},
        {.flags = UV_IGNORE},
    };
    uv_process_options_t options = {
        .file = args[0],
        .args = args,
        .stdio = stdio,
        .stdio_count = ARRAY_LEN(stdio),
        .exit_cb = on_exit_of_peer,
    };

    p->bed = bed;
    str_copy(san_text, sizeof(san_text), sv_from(san));
    str_copy(p->dir, sizeof(p->dir), SV("/tmp/test-h2-XXXXXX"));
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->ca_file, sizeof(p->ca_file), "%s/ca.pem", p->dir);
    buf_init(&p->printed, 256);
    uv_pipe_init(&bed->loop, &p->in, 0);
    uv_pipe_init(&bed->loop, &p->out, 0);
    p->process.data = p;
    p->out.data = p;
    if (uv_spawn(&bed->loop, &p->process, &options) != 0) {
        p->exited = true;
        p->ended = true;
        return;
    }
    uv_read_start((uv_stream_t *)&p->out, on_alloc, on_printed);
    BED_RUN_UNTIL(bed, p->port != 0 || p->exited);
}

static void remove_in(const char *dir, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    unlink(path);
}

static void h2_peer_stop(struct h2_peer *p)
{
    static const char *const files[] = {"ca.pem", "ca.key", "peer.pem", "peer.key", "trust.pem"};

    if (!p->bed) {
        return;
    }
    if (!p->exited) {
        uv_process_kill(&p->process, SIGKILL);
        BED_RUN_UNTIL(p->bed, p->exited && p->ended);
    }
    uv_close((uv_handle_t *)&p->process, NULL);
    uv_close((uv_handle_t *)&p->in, NULL);
    uv_close((uv_handle_t *)&p->out, NULL);
    bed_run_for_ms(p->bed, 10);
    buf_release(&p->printed);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        remove_in(p->dir, files[i]);
    }
    assert_int_equal(rmdir(p->dir), 0);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[8192];
    FILE *in = fopen(from, "r");
    assert_non_null(in);
    size_t n = fread(bytes, 1, sizeof(bytes), in);
    fclose(in);
    FILE *out = fopen(to, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
}

/* As Kubernetes does it: a new file takes the name. */
static void trust(const struct tls *t, const struct h2_peer *whom)
{
    char fresh[128];

    snprintf(fresh, sizeof(fresh), "%s.new", t->ca_file);
    copy_file(whom->ca_file, fresh);
    assert_int_equal(rename(fresh, t->ca_file), 0);
}

static int set_up_tls(void **state)
{
    struct tls *t = xcalloc(1, sizeof(*t));
    struct fixture *f;

    assert_int_equal(set_up((void **)&t->f), 0);
    f = t->f;
    *state = t;
    h2_peer_start(&t->peer, &f->bed, "IP:127.0.0.1");
    if (!t->peer.port) {
        print_message("skipped: h2_peer.py does not run (python3 with h2, openssl; see "
                      "scripts/setup)\n");
        return 0;
    }
    snprintf(t->ca_file, sizeof(t->ca_file), "%s/trust.pem", t->peer.dir);
    trust(t, &t->peer);
    http_client_close(f->client, bed_on_closed, &f->closed);
    BED_RUN_UNTIL(&f->bed, f->closed);
    f->closed = false;
    f->client = http_client_new(&f->bed.loop, &(struct http_client_config){
                                                  .user_agent = "test-agent/1",
                                                  .ca_file = t->ca_file,
                                                  .connect_timeout_ms = 2000,
                                              });
    return 0;
}

static int tear_down_tls(void **state)
{
    struct tls *t = *state;
    struct fixture *f = t->f;

    h2_peer_stop(&t->other);
    h2_peer_stop(&t->peer);
    free(t);
    return tear_down((void **)&f);
}

#define SKIP_WITHOUT_PEER(t)   \
    do {                       \
        if (!(t)->peer.port) { \
            skip();            \
        }                      \
    } while (0)

static struct http_call call_to(struct tls *t, const struct h2_peer *peer, const char *path,
                                struct outcome *o)
{
    struct http_call call = call_of(t->f, o);

    snprintf(t->f->url, sizeof(t->f->url), "https://127.0.0.1:%u%s", peer->port, path);
    call.url = t->f->url;
    return call;
}

static struct outcome *start_get(struct tls *t, const char *path, uint64_t timeout_ms)
{
    struct outcome *o = fresh(t->f);
    struct http_call call = call_to(t, &t->peer, path, o);

    call.total_timeout_ms = timeout_ms;
    send_call(t->f, o, &call);
    return o;
}

static struct outcome *start_stream(struct tls *t, const char *path, uint64_t idle_ms)
{
    struct outcome *o = fresh(t->f);
    struct http_call call = call_to(t, &t->peer, path, o);

    call.total_timeout_ms = 0;
    call.idle_timeout_ms = idle_ms;
    call.chunk = on_chunk;
    send_call(t->f, o, &call);
    return o;
}

static struct outcome *ask_of(struct tls *t, const struct h2_peer *peer)
{
    struct outcome *o = fresh(t->f);
    struct http_call call = call_to(t, peer, "/ok", o);

    send_call(t->f, o, &call);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    return o;
}

static unsigned connection_of_next(struct tls *t)
{
    struct outcome *o = ask_of(t, &t->peer);
    unsigned got = 0;

    assert_string_equal(o->text, "");
    assert_int_equal(sscanf(o->body, "connection %u ", &got), 1);
    return got;
}

static void expect_ok_on(struct tls *t, unsigned connection)
{
    assert_int_equal(connection_of_next(t), connection);
}

/* --- HTTP/2 ----------------------------------------------------------------------------------- */

static void test_requests_share_one_connection(void **state)
{
    struct tls *t = *state;
    struct outcome *all[10];

    SKIP_WITHOUT_PEER(t);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        all[i] = start_get(t, "/ok", 5000);
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        BED_RUN_UNTIL(&t->f->bed, all[i]->done);
        assert_string_equal(all[i]->text, "");
        assert_true(strncmp(all[i]->body, "connection 1 ", 13) == 0);
    }
}

static void test_stream_beside_requests(void **state)
{
    struct tls *t = *state;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    o = start_stream(t, "/stream", 0);
    BED_RUN_UNTIL(&t->f->bed, o->chunks);
    expect_ok_on(t, 1);
    cancel(o);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_int_equal(o->code, ERR_CANCELED);
    expect_ok_on(t, 1);
}

static void test_resets_and_goaway(void **state)
{
    static const char *const paths[] = {"/rst", "/rst-body", "/abort"};
    struct tls *t = *state;

    SKIP_WITHOUT_PEER(t);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct outcome *o = start_get(t, paths[i], 5000);
        BED_RUN_UNTIL(&t->f->bed, o->done);
        assert_int_equal(o->code, ERR_UNAVAILABLE);
        assert_true(o->elapsed_us < 3 * 1000 * 1000);
    }
    ask_of(t, &t->peer);
}

/* A stream that GOAWAY disowns may be sent again by libcurl, and the peer disowns it again:
 * whatever it does must end, and in UNAVAILABLE. */
static void test_goaway(void **state)
{
    struct tls *t = *state;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    o = start_get(t, "/goaway", 5000);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_int_equal(o->code, ERR_UNAVAILABLE);
    assert_true(o->elapsed_us < 3 * 1000 * 1000);
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_NONE);
}

static void test_goaway_behind_an_answer(void **state)
{
    struct tls *t = *state;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    o = start_get(t, "/goaway-served", 5000);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_string_equal(o->text, "");
    bed_run_for_ms(&t->f->bed, 50);
    expect_ok_on(t, 2);
}

static void test_other_streams_die_with_the_connection(void **state)
{
    struct tls *t = *state;
    struct outcome *watch;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    watch = start_stream(t, "/stream", 0);
    BED_RUN_UNTIL(&t->f->bed, watch->chunks);
    o = start_get(t, "/abort", 5000);
    BED_RUN_UNTIL(&t->f->bed, watch->done && o->done);
    assert_int_equal(watch->code, ERR_UNAVAILABLE);
    assert_int_equal(o->code, ERR_UNAVAILABLE);
    assert_true(connection_of_next(t) > 1); /* libcurl may have tried again in between */
}

/* --- time-outs and half-open connections ------------------------------------------------------ */

static void test_pings_are_no_bytes_of_a_request(void **state)
{
    struct tls *t = *state;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    o = start_stream(t, "/ping", 200);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_int_equal(o->code, ERR_TIMEOUT);
    assert_int_equal(o->chunks, 1);
    expect_ok_on(t, 1); /* but they show that the connection lives */
}

/* Without care the next request would be multiplexed onto the connection that nobody reads. */
static void test_next_request_leaves_a_half_open_connection(void **state)
{
    struct tls *t = *state;
    struct outcome *watch;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    watch = start_stream(t, "/stream", 0);
    BED_RUN_UNTIL(&t->f->bed, watch->chunks);
    o = start_get(t, "/freeze", 100);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_int_equal(o->code, ERR_TIMEOUT);
    BED_RUN_UNTIL(&t->f->bed, watch->done);
    assert_int_equal(watch->code, ERR_UNAVAILABLE);
    expect_ok_on(t, 2);
}

static void test_half_open_connection_without_other_streams(void **state)
{
    struct tls *t = *state;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    expect_ok_on(t, 1);
    o = start_get(t, "/freeze", 100);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_int_equal(o->code, ERR_TIMEOUT);
    expect_ok_on(t, 2);
}

static void test_slow_answer_leaves_a_live_connection_alone(void **state)
{
    struct tls *t = *state;
    struct outcome *watch;
    struct outcome *o;
    unsigned chunks;

    SKIP_WITHOUT_PEER(t);
    watch = start_stream(t, "/drip", 1000);
    BED_RUN_UNTIL(&t->f->bed, watch->chunks);
    o = start_get(t, "/hold", 150);
    BED_RUN_UNTIL(&t->f->bed, o->done);
    assert_int_equal(o->code, ERR_TIMEOUT);
    expect_ok_on(t, 1);
    chunks = watch->chunks;
    BED_RUN_UNTIL(&t->f->bed, watch->chunks > chunks);
    assert_int_equal(watch->done, 0);
}

/* --- trust ------------------------------------------------------------------------------------ */

static void test_foreign_ca_is_denied(void **state)
{
    struct tls *t = *state;

    SKIP_WITHOUT_PEER(t);
    h2_peer_start(&t->other, &t->f->bed, "IP:127.0.0.1");
    assert_int_equal(ask_of(t, &t->other)->code, ERR_DENIED);
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_NONE);
}

static void test_certificate_for_another_host_is_denied(void **state)
{
    struct tls *t = *state;

    SKIP_WITHOUT_PEER(t);
    h2_peer_start(&t->other, &t->f->bed, "DNS:example.org");
    trust(t, &t->other);
    assert_int_equal(ask_of(t, &t->other)->code, ERR_DENIED);
}

static void test_ca_replaced_on_disk(void **state)
{
    struct tls *t = *state;
    struct outcome *watch;

    SKIP_WITHOUT_PEER(t);
    h2_peer_start(&t->other, &t->f->bed, "IP:127.0.0.1");
    watch = start_stream(t, "/drip", 0);
    BED_RUN_UNTIL(&t->f->bed, watch->chunks);
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_NONE);

    trust(t, &t->other);
    assert_int_equal(ask_of(t, &t->other)->code, ERR_NONE);
    /* Not over the connection that the old trust made, which is still there. */
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_DENIED);
    assert_int_equal(watch->done, 0);

    trust(t, &t->peer);
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_NONE);
}

static void test_ca_file_that_cannot_be_used(void **state)
{
    struct tls *t = *state;
    struct outcome *o;
    struct http_call call;
    struct err e = {0};
    FILE *garbage;

    SKIP_WITHOUT_PEER(t);
    o = fresh(t->f);
    call = call_to(t, &t->peer, "/ok", o);
    assert_int_equal(unlink(t->ca_file), 0);
    assert_null(http_client_send(t->f->client, &call, &e));
    assert_int_equal(e.code, ERR_SYS);
    garbage = fopen(t->ca_file, "w");
    assert_non_null(garbage);
    fclose(garbage);
    assert_null(http_client_send(t->f->client, &call, &e));
    assert_int_equal(e.code, ERR_INVAL); /* empty */
    garbage = fopen(t->ca_file, "w");
    assert_non_null(garbage);
    fputs("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", garbage);
    fclose(garbage);
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_DENIED);

    trust(t, &t->peer);
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_NONE);
    assert_int_equal(unlink(t->ca_file), 0); /* once read, the trust stays */
    assert_int_equal(ask_of(t, &t->peer)->code, ERR_NONE);
}

static void test_close_during_the_handshake(void **state)
{
    struct tls *t = *state;
    struct outcome *o;

    SKIP_WITHOUT_PEER(t);
    o = start_get(t, "/ok", 5000);
    uv_run(&t->f->bed.loop, UV_RUN_ONCE);
    uv_run(&t->f->bed.loop, UV_RUN_ONCE);
    http_client_close(t->f->client, bed_on_closed, &t->f->closed);
    t->f->client = NULL;
    BED_RUN_UNTIL(&t->f->bed, t->f->closed);
    assert_int_equal(o->done, 1);
    assert_int_equal(o->code, ERR_CANCELED);
}

int main(void)
{
#define TLS(name) cmocka_unit_test_setup_teardown(name, set_up_tls, tear_down_tls)
    const struct CMUnitTest tests[] = {
        TLS(test_requests_share_one_connection),
        TLS(test_stream_beside_requests),
        TLS(test_resets_and_goaway),
        TLS(test_goaway),
        TLS(test_goaway_behind_an_answer),
        TLS(test_other_streams_die_with_the_connection),
        TLS(test_pings_are_no_bytes_of_a_request),
        TLS(test_next_request_leaves_a_half_open_connection),
        TLS(test_half_open_connection_without_other_streams),
        TLS(test_slow_answer_leaves_a_live_connection_alone),
        TLS(test_foreign_ca_is_denied),
        TLS(test_certificate_for_another_host_is_denied),
        TLS(test_ca_replaced_on_disk),
        TLS(test_ca_file_that_cannot_be_used),
        TLS(test_close_during_the_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
