#include "agent/cmd/ask.h"

#include <stdio.h>
#include <string.h>

#include "agent/shell/exit_code.h"
#include "lib/io/http_fetch.h"

#define CONNECT_TIMEOUT_MS 2000

const char *ask_url(const char *http_addr, const char *path, char *out)
{
    const char *colon = strrchr(http_addr, ':');
    int host_len = colon != NULL ? (int)(colon - http_addr) : 0;
    struct sv host = {http_addr, (size_t)host_len};
    bool all = host.len == 0 || sv_eq_str(host, "[::]") || sv_eq_str(host, "0.0.0.0");
    /* [::] is bound for both families, and only IPv4's loopback is in every Pod. */
    (void)snprintf(out, ASK_URL_MAX, "http://%.*s%s%s", all ? 9 : host_len,
                   all ? "127.0.0.1" : http_addr, colon != NULL ? colon : "", path);
    return out;
}

static bool on_bytes(void *arg, long status, struct sv bytes)
{
    const struct ask *ask = arg;
    if (status / 100 == 2) {
        ask->chunk(ask->arg, bytes);
    } else {
        (void)fwrite(bytes.ptr, 1, bytes.len, stderr);
    }
    return true;
}

int ask_agent(const struct options *o, const struct ask *ask)
{
    char url[ASK_URL_MAX];
    struct ask copy = *ask;
    struct http_fetch f = {.method = ask->method,
                           .url = ask_url(option_text(o, OPT_HTTP_ADDR), ask->path, url),
                           .header = ask->header,
                           .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                           .total_timeout_ms = ask->timeout_ms,
                           .chunk = on_bytes,
                           .arg = &copy};
    struct err e = {.code = ERR_NONE};
    long status = 0;
    int rc = http_fetch(&f, &status, &e);
    (void)fflush(stdout);
    if (rc != 0 && status == 0) {
        (void)fprintf(stderr, "the agent does not answer: %s; --http-addr says where it is\n",
                      e.msg);
        return EXIT_CODE_UNAVAILABLE;
    }
    if (rc != 0) {
        (void)fprintf(stderr, "the agent broke off: %s\n", e.msg);
        return EXIT_CODE_FAILURE;
    }
    if (status / 100 != 2) {
        (void)fprintf(stderr, "the agent refused: HTTP status %ld\n", status);
        return EXIT_CODE_FAILURE;
    }
    return EXIT_CODE_OK;
}
