/* Internal to the Kubernetes client: the LIST+WATCH machine. What its owner is told, and
 * when, stands in kube_client.h.
 *
 *               start                    list complete
 *   STOPPED ------------> WAITING -----> LISTING ----------> WATCHING
 *      ^                  ^  ^  |           |                 |    |
 *      | stop (any state) |  |  +-----------|---------------->+    | ended in order after
 *                         |  |    must_list | failed               | KUBE_WATCH_SETTLED_MS:
 *                         |  +--------------+                      | WATCHING again
 *                         +----------------------------------------+ failed, or ended too soon
 */
#ifndef RPA_IO_KUBE_WATCH_H
#define RPA_IO_KUBE_WATCH_H

#include "lib/base/rng.h"
#include "lib/io/kube_exchange.h"

enum kube_watch_state { KUBE_WATCH_STOPPED, KUBE_WATCH_WAITING, KUBE_WATCH_LISTING, KUBE_WATCHING };

struct kube_watch {
    struct kube_session *session;
    struct kube_watch_ops ops;
    const struct pod_keys *keys;
    const char *pods_url; /* of the namespace's Pods, without a query */
    uint64_t request_timeout_ms;
    uint64_t idle_ms;
    struct rng rng;

    enum kube_watch_state state;
    uint64_t run; /* grows with each start and stop: a callback may have done either */
    char *selector;
    uv_timer_t timer;
    struct kube_exchange *exchange;
    unsigned failures; /* in a row */
    bool must_list;    /* resource_version is not to be used */
    bool down;         /* told, and not yet synced since */
    bool opened_before;

    char resource_version[POD_RV_MAX + 1]; /* up to here the owner was told everything */
    char next[sizeof(((struct pod_list *)0)->next)];
    bool resync_told; /* in this list */

    struct watch_decoder decoder;
    uint64_t granted_us; /* 0: no 2xx yet */
    struct err broken;   /* why the stream was given up; ERR_NONE: it was not */
    bool refused;        /* an ERROR event came */
    struct kube_status refusal;
};

/* Sets the pointers that kube_watch borrows; timer: initialised and closed by the caller. */
void kube_watch_init(struct kube_watch *w, struct kube_session *session,
                     const struct kube_client_config *cfg, const struct kube_watch_ops *ops,
                     const char *pods_url);
void kube_watch_start(struct kube_watch *w, const char *label_selector);
void kube_watch_stop(struct kube_watch *w);
void kube_watch_release(struct kube_watch *w); /* after a stop */

#endif
