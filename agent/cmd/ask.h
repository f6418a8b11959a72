/* What `drain` and `status` have in common: a request to the agent of this Pod, at its
 * --http-addr; an address that stands for all is asked on loopback. */
#ifndef RPA_CMD_ASK_H
#define RPA_CMD_ASK_H

#include "agent/shell/options.h"
#include "lib/base/sv.h"

struct ask {
    const char *method;
    const char *path;   /* with its query */
    const char *header; /* NULL: none */
    uint64_t timeout_ms;
    /* Bytes of a 2xx answer as they come; those of others go to stderr. */
    void (*chunk)(void *arg, struct sv bytes);
    void *arg;
};

/* EXIT_CODE_OK: a whole 2xx answer has come. Else an error has been printed: _UNAVAILABLE (no
 * answer), _FAILURE (refused, broken off). */
int ask_agent(const struct options *o, const struct ask *ask);

/* The URL of `path`; out holds ASK_URL_MAX. */
#define ASK_URL_MAX 400
const char *ask_url(const char *http_addr, const char *path, char *out);

#endif
