#include <stdio.h>

#include "agent/cmd/ask.h"
#include "agent/cmd/cmd.h"

#define TIMEOUT_MS 5000

static void on_bytes(void *arg, struct sv bytes)
{
    (void)arg;
    (void)fwrite(bytes.ptr, 1, bytes.len, stdout);
}

int cmd_status(struct options *o)
{
    const char *path = o->json ? "/status" : o->history ? "/status?text&history" : "/status?text";
    struct ask ask = {.method = "GET", .path = path, .timeout_ms = TIMEOUT_MS, .chunk = on_bytes};
    return ask_agent(o, &ask);
}
