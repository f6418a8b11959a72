#include "lib/base/jsonw.h"
#include "lib/codec/pod.h"

#define EVENT_MESSAGE_MAX 1024 /* apimachinery's validation of core/v1 Event */

/* The longest part of at most max_bytes that ends between two characters. */
static struct sv cut_text(struct sv text, size_t max_bytes)
{
    size_t end = max_bytes;
    if (text.len <= max_bytes) {
        return text;
    }
    while (end > 0 && max_bytes - end < 4 && (text.ptr[end] & 0xC0) == 0x80) {
        end--;
    }
    return (struct sv){text.ptr, end};
}

static void write_number_text(struct jsonw *w, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    jsonw_str(w, key, text);
}

bool pod_patch_write(struct buf *out, const struct pod_patch *patch, const struct pod_keys *keys)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_open_object(&w, NULL);
    jsonw_open_object(&w, "metadata");
    jsonw_str(&w, "uid", patch->uid);
    jsonw_open_object(&w, "labels");
    jsonw_str(&w, keys->role, patch->role);
    if (keys->role_legacy != NULL) {
        jsonw_str(&w, keys->role_legacy, patch->role);
    }
    jsonw_close(&w);
    jsonw_open_object(&w, "annotations");
    write_number_text(&w, POD_ANNOTATION_PREFIX "role-epoch", patch->role_epoch);
    jsonw_str(&w, POD_ANNOTATION_PREFIX "role-since", patch->role_since);
    jsonw_str(&w, POD_ANNOTATION_PREFIX "run-id", patch->run_id[0] == '\0' ? NULL : patch->run_id);
    jsonw_str(&w, POD_ANNOTATION_PREFIX "reason", patch->reason);
    if (!patch->demoted) {
        jsonw_null(&w, POD_ANNOTATION_PREFIX "demoted-by-epoch");
    }
    jsonw_close(&w);
    jsonw_close(&w);
    jsonw_close(&w);
    return !out->overflow;
}

bool pod_demote_write(struct buf *out, const struct pod *peer, uint64_t epoch,
                      const struct pod_keys *keys)
{
    char reason[64];
    struct jsonw w;
    (void)snprintf(reason, sizeof reason, "another Pod became master at epoch %llu",
                   (unsigned long long)epoch);
    jsonw_init(&w, out);
    jsonw_open_object(&w, NULL);
    jsonw_open_object(&w, "metadata");
    jsonw_str(&w, "uid", peer->uid);
    jsonw_str(&w, "resourceVersion", peer->resource_version);
    jsonw_open_object(&w, "labels");
    jsonw_str(&w, keys->role, "demoted");
    if (keys->role_legacy != NULL && peer->role_legacy[0] != '\0') {
        jsonw_str(&w, keys->role_legacy, "demoted");
    }
    jsonw_close(&w);
    jsonw_open_object(&w, "annotations");
    write_number_text(&w, POD_ANNOTATION_PREFIX "demoted-by-epoch", epoch);
    jsonw_str(&w, POD_ANNOTATION_PREFIX "reason", reason);
    jsonw_close(&w);
    jsonw_close(&w);
    jsonw_close(&w);
    return !out->overflow;
}

bool pod_clear_handover_write(struct buf *out, const char *uid)
{
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_open_object(&w, NULL);
    jsonw_open_object(&w, "metadata");
    jsonw_str(&w, "uid", uid);
    jsonw_open_object(&w, "annotations");
    jsonw_null(&w, POD_ANNOTATION_PREFIX "handover");
    jsonw_close(&w);
    jsonw_close(&w);
    jsonw_close(&w);
    return !out->overflow;
}

bool kube_event_write(struct buf *out, const struct kube_event *ev)
{
    struct jsonw w;
    struct sv message = sv_from(ev->message);
    message = cut_text(message, EVENT_MESSAGE_MAX);
    jsonw_init(&w, out);
    jsonw_open_object(&w, NULL);
    jsonw_str(&w, "apiVersion", "v1");
    jsonw_str(&w, "kind", "Event");
    jsonw_open_object(&w, "metadata");
    jsonw_str(&w, "name", ev->name);
    jsonw_str(&w, "namespace", ev->namespace_name);
    jsonw_close(&w);
    jsonw_open_object(&w, "involvedObject");
    jsonw_str(&w, "apiVersion", "v1");
    jsonw_str(&w, "kind", "Pod");
    jsonw_str(&w, "name", ev->pod_name);
    jsonw_str(&w, "namespace", ev->namespace_name);
    jsonw_str(&w, "uid", ev->pod_uid);
    jsonw_close(&w);
    jsonw_str(&w, "type", ev->type);
    jsonw_str(&w, "reason", ev->reason);
    jsonw_sv(&w, "message", message);
    jsonw_open_object(&w, "source");
    jsonw_str(&w, "component", "redis-pod-agent");
    jsonw_str(&w, "host", ev->component_host);
    jsonw_close(&w);
    jsonw_str(&w, "firstTimestamp", ev->time);
    jsonw_str(&w, "lastTimestamp", ev->time);
    jsonw_u64(&w, "count", 1);
    jsonw_close(&w);
    return !out->overflow;
}
