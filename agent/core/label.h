/* The role as it is to be stored in the API, and as it is: one slot, newest wins.
 *
 *      want() differs from observed          PATCH answered 2xx, or the watch shows it
 *   clean ------------------> due ---> in flight ------------------------------> clean
 *                              ^          | 429, 5xx, 403, no answer: wait (full jitter,
 *                              +----------+ Retry-After); 409, 404, 422: read the Pod first
 *   another uid under the Pod's name: foreign, nothing is written any more
 *
 * Level-triggered: what is compared is what is *stored*, so a label edited by hand is
 * repaired. There is never more than one request in flight; while one is, a newer wish
 * only replaces the slot, so wishes are neither lost nor reordered. At most
 * LABEL_BURST writes at once and LABEL_PER_MINUTE in a minute (two writers that fight). */
#ifndef RPA_CORE_LABEL_H
#define RPA_CORE_LABEL_H

#include "agent/core/role.h"
#include "lib/base/rng.h"
#include "lib/codec/pod.h"

#define LABEL_RETRY_MIN_US 50000U
#define LABEL_RETRY_MAX_US 5000000U
#define LABEL_BURST 20U
#define LABEL_PER_MINUTE 60U

/* How an API request ended, in the words of what to do next. */
#define API_OUTCOMES(X)                                                   \
    X(API_OK, "ok")                                                       \
    X(API_UNREACHABLE, "no response") /* connect, TLS, time-out, reset */ \
    X(API_UNAUTHORIZED, "401")                                            \
    X(API_FORBIDDEN, "403")                                               \
    X(API_NOT_FOUND, "404")                                               \
    X(API_CONFLICT, "409")                                                \
    X(API_INVALID, "422") /* another uid, or refused by a policy */       \
    X(API_THROTTLED, "429")                                               \
    X(API_SERVER_ERROR, "5xx")                                            \
    X(API_OTHER, "other")

enum api_outcome { API_OUTCOMES(RPA_ENUM_MEMBER) API_OUTCOME_COUNT };

struct label_value {
    enum role_state role;
    uint64_t epoch;
    char run_id[RUN_ID_LEN + 1];
    enum role_reason reason; /* not compared */
    uint64_t since_wall_ms;  /* not compared */
    uint64_t decided_us;     /* when the proof for it arrived; for the latency histogram */
};

struct label {
    char uid[POD_UID_MAX + 1]; /* of my Pod; "" until configured or read */
    bool legacy;               /* a second key is written too */
    bool wanted;
    struct label_value want;

    bool observed;
    bool foreign; /* the Pod of this name is not mine */
    struct pod seen;
    uint64_t desync_since_us; /* want differs from observed since; 0 it does not */

    uint64_t op; /* of the request in flight; 0 none */
    struct label_value sent;
    bool read_first; /* the next request is a GET */
    bool reading;    /* the request in flight is one */
    uint64_t not_before_us;
    uint64_t patience_us; /* until when the server has asked to be left alone (Retry-After) */
    unsigned failures;
    enum api_outcome last;
    uint64_t last_us;
    uint64_t last_ok_us;
    uint64_t patches;      /* sent */
    uint64_t acknowledged; /* answered 2xx */

    double tokens;
    uint64_t tokens_us;
    struct rng rng;
};

enum label_request { LABEL_NOTHING, LABEL_PATCH, LABEL_GET };

const char *api_outcome_name(enum api_outcome o);

void label_init(struct label *l, const char *uid, bool legacy, uint64_t seed, uint64_t now_us);
void label_want(struct label *l, const struct label_value *v, uint64_t now_us);

/* A Pod of my name as the API has it. An older resourceVersion than the last one is
 * ignored (they are comparable numbers since Kubernetes 1.35, and in fact ever since). */
void label_observe(struct label *l, const struct pod *pod, uint64_t now_us);
/* The watch no longer shows the Pod: it is gone, or its labels have left the selector. The
 * Pod is read; only if there is none by its name (or another) it is `foreign`. */
void label_doubt(struct label *l);

/* What is to be sent now; `op` becomes the request in flight. */
enum label_request label_next(struct label *l, uint64_t op, uint64_t now_us);

/* The answer to `op`; pod: as returned with API_OK, else NULL. False: not the request in
 * flight, ignored. *ret_latency_us: decision to acknowledgement of a PATCH whose wish is
 * still the current one; 0 otherwise. */
bool label_done(struct label *l, uint64_t op, enum api_outcome outcome, const struct pod *pod,
                uint64_t retry_after_us, uint64_t now_us, uint64_t *ret_latency_us);

bool label_is_synced(const struct label *l);
uint64_t label_next_deadline(const struct label *l, uint64_t now_us);

#endif
