/* Asks the agent how this process's redis-server is to be started.
 *
 * launch_ask() connects, asks and waits for the answer, again and again until `timeout_ms`
 * is over, and leaves word of it on stderr. Whatever goes wrong ends as LAUNCH_TO_HELD: no
 * redis-server becomes a master because nobody answered. It leaves no descriptor behind but,
 * where the kernel has no pidfd, the connection, which exec is to inherit. */
#ifndef RPA_LAUNCH_ASK_H
#define RPA_LAUNCH_ASK_H

#include "agent/shell/launch_protocol.h"
#include "lib/base/defs.h"

/* sun_path of unix(7), with its NUL. */
#define LAUNCH_SOCKET_PATH_SIZE 108

enum launch_to { LAUNCH_TO_HELD, LAUNCH_TO_REPLICA, LAUNCH_TO_PLAIN, LAUNCH_TO_STOP };

struct launch_answer {
    enum launch_to to; /* STOP: a signal has come; the number in `signum` */
    int signum;
    char text[LAUNCH_MESSAGE_MAX + 1]; /* what host and port point into */
    char *host;                        /* REPLICA */
    char *port;
};

/* path: shorter than LAUNCH_SOCKET_PATH_SIZE. SIGTERM and SIGINT end the wait: as process 1
 * of a container they would be ignored. */
void launch_ask(struct launch_answer *ret, const char *path, uint64_t timeout_ms);

/* False: not an answer of the protocol; *ret is held then. The text is `len` bytes long. */
bool launch_answer_parse(struct launch_answer *ret, const char *text, size_t len) MUST_USE;

#endif
