/* Answers to probes, from what the core knows: status and the checks behind it, in the
 * style of the API server's own /readyz?verbose. Pure; the HTTP handler only renders.
 *
 * Every answer about a role expires with the proof of the local ROLE (ROLE_PROOF_US). That
 * Sentinel or the API server is silent never makes an answer negative: it is told in a check
 * that does not count. Readiness follows the role, never the deletion timestamp.
 *
 * What each path asks for; every row but the first two also names the checks that only tell:
 *   /livez      that the loop could answer; the Pod's label, Redis and Sentinel do not matter
 *   /startupz   Redis has answered once since the agent started, be it with a refusal
 *   /readyz     role master, replica or demoted; ROLE proven; neither loading nor busy
 *   /master     role master, and as /readyz
 *   /replica    role replica, and as /readyz; with a limit also the lag below
 *   /read-only  role master or replica, and as /readyz
 *   /health     a PING would be answered with PONG: ROLE proven, neither loading nor busy */
#ifndef RPA_CORE_PROBE_H
#define RPA_CORE_PROBE_H

#include "agent/core/core.h"

#define PROBE_CHECKS_MAX 6
#define PROBE_DETAIL_MAX 160
#define PROBE_NO_LIMIT UINT64_MAX

#define PROBES(X)                    \
    X(PROBE_LIVE, "/livez")          \
    X(PROBE_STARTUP, "/startupz")    \
    X(PROBE_READY, "/readyz")        \
    X(PROBE_MASTER, "/master")       \
    X(PROBE_REPLICA, "/replica")     \
    X(PROBE_READ_ONLY, "/read-only") \
    X(PROBE_HEALTH, "/health")

enum probe { PROBES(RPA_ENUM_MEMBER) PROBE_COUNT };

struct probe_check {
    const char *name; /* loop, redis, role, sync, sentinel, label, api */
    bool ok;
    bool counts;     /* false: told, but does not decide */
    uint64_t age_us; /* of the observation; UINT64_MAX: there was none, or it is not one */
    char detail[PROBE_DETAIL_MAX]; /* a sentence for a person; cut where it does not fit */
};

struct probe_answer {
    bool ok; /* every check that counts is ok */
    size_t count;
    struct probe_check checks[PROBE_CHECKS_MAX];
};

const char *probe_path(enum probe p);

/* max_lag_bytes: PROBE_REPLICA's limit on the bytes that the replica has received from its
 * master and not yet applied (INFO replication: slave_read_repl_offset minus
 * slave_repl_offset, Redis 7.0 and later), as of the last INFO, which is about a second old.
 * It says nothing of what the master has not sent yet, or of what is under way in the
 * network: a replica cannot know that. It is unknown, which is more than any limit, where the
 * link is down, where this connection has had no INFO within ROLE_PROOF_US, and with an older
 * Redis. PROBE_NO_LIMIT asks for none. now_us: of this moment, not of the last step. */
void probe_answer(const struct core *c, enum probe p, uint64_t max_lag_bytes, uint64_t now_us,
                  struct probe_answer *ret);

#endif
