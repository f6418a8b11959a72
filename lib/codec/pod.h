/* Pods as the API server writes them, and what we write to it: the only user of cJSON.
 *
 * Fields per kubernetes.io/docs/reference/kubernetes-api (Pod v1, ObjectMeta, Status,
 * WatchEvent, Event v1). Unknown fields are skipped. Texts that do not fit their array make
 * the object ERR_LIMIT: a cut-off uid would be another uid. Every parser leaves *ret untouched
 * where it fails. A text ends at its first U+0000, which no valid field has. */
#ifndef RPA_CODEC_POD_H
#define RPA_CODEC_POD_H

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define POD_NAME_MAX 253 /* RFC 1123 subdomain */
#define POD_UID_MAX 63
#define POD_LABEL_MAX 63 /* label value */
#define POD_RV_MAX 63    /* resourceVersion: opaque */
#define POD_REASON_MAX 255
#define POD_IP_MAX 45
#define POD_JSON_MAX (1024 * 1024)          /* one Pod, one watch line */
#define POD_LIST_JSON_MAX (4 * 1024 * 1024) /* one page of a list */
#define POD_JSON_DEPTH_MAX 64
/* Values in one Pod and in one page of a list (100 Pods); the largest Pods seen have a thousand.
 * They bound memory (about 100 bytes each) and, with the sizes, the time that a parser holds
 * the loop up: less than 50 ms for the worst page. */
#define POD_JSON_VALUES_MAX 32768
#define POD_LIST_JSON_VALUES_MAX 131072

#define POD_ANNOTATION_PREFIX "redis-pod-agent/"

/* Which labels carry the role; given by configuration. */
struct pod_keys {
    const char *role;        /* never NULL */
    const char *role_legacy; /* NULL: none */
};

struct pod {
    char name[POD_NAME_MAX + 1];
    char uid[POD_UID_MAX + 1];
    char resource_version[POD_RV_MAX + 1];
    char controller_uid[POD_UID_MAX + 1]; /* of the ownerReference with controller: true; "" none */
    char ip[POD_IP_MAX + 1];              /* status.podIP; "" before it has one */
    char hostname[POD_NAME_MAX + 1];      /* spec.hostname */
    char subdomain[POD_NAME_MAX + 1];     /* spec.subdomain */
    char role[POD_LABEL_MAX + 1];         /* value of the role label; "" absent */
    char role_legacy[POD_LABEL_MAX + 1];
    char instance[POD_LABEL_MAX + 1]; /* label app.kubernetes.io/instance */
    char app_name[POD_LABEL_MAX + 1]; /* label app.kubernetes.io/name */
    uint64_t role_epoch;              /* annotation role-epoch; 0 absent or not a number */
    bool has_role_epoch;
    uint64_t demoted_by_epoch;       /* annotation demoted-by-epoch, set by a peer; 0 absent */
    char run_id[41];                 /* annotation run-id */
    char reason[POD_REASON_MAX + 1]; /* annotation reason, cut (prose) */
    char role_since[40];             /* annotation role-since */
    bool fence;                      /* annotation fence is "true" */
    char handover[POD_NAME_MAX + 1]; /* annotation handover, set by a person; "" absent */
    bool terminating;                /* metadata.deletionTimestamp is set */
    int ordinal;                     /* trailing number of the name; -1 none */
};

/* The number behind the last dash of a StatefulSet Pod's name; -1: none. */
int pod_ordinal(const char *name);

/* One Pod object. ERR_PROTO: not JSON, not a Pod, no name or uid. */
int pod_parse(struct pod *ret, struct sv json, const struct pod_keys *keys, struct err *e) MUST_USE;

/* A PodList: `each` is called for every item in order (items that do not parse are counted
 * in ret->bad and skipped). */
struct pod_list {
    char resource_version[POD_RV_MAX + 1];
    char next[512]; /* metadata.continue; "" at the end */
    size_t count;
    size_t bad;
};
typedef void pod_each_fn(void *arg, const struct pod *pod);
int pod_list_parse(struct pod_list *ret, struct sv json, const struct pod_keys *keys,
                   pod_each_fn *each, void *arg, struct err *e) MUST_USE;

/* A metav1.Status: what the API server says when it refuses. Texts are cut. */
struct kube_status {
    uint64_t code;
    uint64_t retry_after_s; /* details.retryAfterSeconds; 0 none */
    char reason[64];
    char message[256];
};
int kube_status_parse(struct kube_status *ret, struct sv json, struct err *e) MUST_USE;

#define WATCH_TYPES(X)            \
    X(WATCH_ADDED, "ADDED")       \
    X(WATCH_MODIFIED, "MODIFIED") \
    X(WATCH_DELETED, "DELETED")   \
    X(WATCH_BOOKMARK, "BOOKMARK") \
    X(WATCH_ERROR, "ERROR")

enum watch_type { WATCH_TYPES(RPA_ENUM_MEMBER) };

struct watch_event {
    enum watch_type type;
    struct pod pod;            /* ADDED, MODIFIED, DELETED; BOOKMARK: resource_version only */
    struct kube_status status; /* ERROR */
};

const char *watch_type_name(enum watch_type type);
int watch_event_parse(struct watch_event *ret, struct sv line, const struct pod_keys *keys,
                      struct err *e) MUST_USE;

/* Splits a watch body, which comes in pieces of any size, into its lines and parses them.
 * `each` gets every event in order. A bad line ends the stream with -1 (ERR_PROTO; ERR_LIMIT
 * beyond POD_JSON_MAX): the caller lists again. */
struct watch_decoder {
    struct buf line;
    struct pod_keys keys;
};
typedef void watch_each_fn(void *arg, const struct watch_event *ev);
void watch_decoder_init(struct watch_decoder *d, const struct pod_keys *keys);
void watch_decoder_release(struct watch_decoder *d);
void watch_decoder_reset(struct watch_decoder *d);
int watch_decoder_feed(struct watch_decoder *d, struct sv bytes, watch_each_fn *each, void *arg,
                       struct err *e) MUST_USE;

/* The merge patch (RFC 7386) that carries a role. uid is the precondition: the API server
 * answers 422 where the Pod of that name has another one. */
struct pod_patch {
    const char *uid;
    const char *role;
    uint64_t role_epoch;
    const char *role_since; /* RFC 3339 */
    const char *run_id;     /* "" writes null: unknown */
    bool demoted;           /* false: the mark of a peer's demotion is removed */
    const char *reason;
};
bool pod_patch_write(struct buf *out, const struct pod_patch *patch, const struct pod_keys *keys);

/* The merge patch that takes the role `master` from another Pod, as it was last seen: the API
 * server answers 409 where it has changed since, 422 where it is another Pod of that name. It
 * changes no more than the admission policy allows on another Pod: the role labels to `demoted`
 * (the legacy one only where the Pod has it), reason and demoted-by-epoch. */
bool pod_demote_write(struct buf *out, const struct pod *peer, uint64_t epoch,
                      const struct pod_keys *keys);

/* The merge patch that removes the annotation handover from the Pod of this uid. */
bool pod_clear_handover_write(struct buf *out, const char *uid);

/* A core/v1 Event about a Pod. */
struct kube_event {
    const char *namespace_name;
    const char *name; /* unique in the namespace */
    const char *pod_name;
    const char *pod_uid;
    const char *type;    /* Normal, Warning */
    const char *reason;  /* UpperCamelCase */
    const char *message; /* ≤ 1024 bytes; cut between characters */
    const char *time;    /* RFC 3339 */
    const char *component_host;
};
bool kube_event_write(struct buf *out, const struct kube_event *ev);

#endif
