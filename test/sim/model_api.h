/* Model of the API server: the Pods of one namespace, their history for watches, requests
 * that may be refused, lost, late, or done without an answer.
 *
 * One Pod of the namespace belongs to another controller and carries `master` for ever: no
 * agent may take it for a peer. */
#ifndef RPA_TEST_SIM_MODEL_API_H
#define RPA_TEST_SIM_MODEL_API_H

#include "agent/core/core.h"
#include "test/sim/limits.h"

struct world;

#define API_LOG 256
#define API_FOREIGN SIM_PODS_MAX /* index of the Pod that is nobody's peer */
#define API_PODS (SIM_PODS_MAX + 1)
#define API_TIMEOUT_US (5 * SECOND)

struct api_pod {
    bool exists;
    struct pod pod;
    enum role_state stored;   /* the label; ROLE_UNSET: none, or a word of nobody */
    uint64_t master_until_us; /* last time at which it was `master` */
    uint64_t created_us;
    uint64_t agent_until_us; /* last write of the label by its agent */
    uint64_t demoted_us;     /* last demotion by a peer */
    unsigned incarnation;
    bool unselected; /* its labels have left the selector of the watches */
};

struct api_change {
    uint64_t rv;
    enum watch_type type;
    unsigned index;
    struct pod pod;
};

struct api {
    uint64_t rv;
    struct api_pod pods[API_PODS];
    struct api_change log[API_LOG]; /* rv % API_LOG */
    uint64_t compacted_rv;          /* watches from before get 410 */
    bool down;
    unsigned errors;           /* permille of requests that are refused */
    uint64_t slow_us;          /* requests and answers take up to so long */
    unsigned lost;             /* permille of answers that never come */
    bool policy[SIM_PODS_MAX]; /* patches of this Pod are refused with 422 */
};

struct api_list {
    uint64_t rv;
    size_t count;
    struct pod pods[API_PODS];
};

struct api_request {
    unsigned agent;
    uint64_t life;
    uint64_t op;
    bool patch;
    bool demote; /* of another Pod */
    bool clear;  /* of the annotation handover */
    unsigned pod;
    uint64_t epoch;
    char rv[POD_RV_MAX + 1]; /* demote: the precondition */
    char uid[POD_UID_MAX + 1];
    struct label_value label;
    bool legacy;
};

void api_init(struct world *w);
void api_create_pod(struct world *w, unsigned i);
void api_terminate_pod(struct world *w, unsigned i);
void api_remove_pod(struct world *w, unsigned i);

/* Between the two the Pod may be changed; the second makes it a new version. */
struct pod *api_edit(struct world *w, unsigned i);
void api_commit(struct world *w, unsigned i);
/* Somebody edits the labels that the watches select by: to a watch the Pod is gone, or new. */
void api_select(struct world *w, unsigned i, bool selected);

bool api_reachable(const struct world *w, unsigned agent);
/* Takes over what `request` says. No answer: the client's time-out is the client's. */
void api_send(struct world *w, const struct api_request *request);
/* NULL: compacted, list again. */
const struct api_change *api_change_after(const struct world *w, uint64_t rv, bool *ret_none);
void api_fill_list(const struct world *w, struct api_list *ret);

#endif
