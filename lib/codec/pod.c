#include "lib/codec/pod.h"

#include <cjson/cJSON.h>

static const char *const watch_type_names[] = {WATCH_TYPES(RPA_ENUM_NAME)};

const char *watch_type_name(enum watch_type type)
{
    return watch_type_names[type];
}

static void delete_json(cJSON **j)
{
    cJSON_Delete(*j);
}

#define AUTO_JSON __attribute__((cleanup(delete_json)))

struct limits {
    const char *what;
    size_t bytes_max;
    size_t values_max;
};

static const struct limits pod_limits = {"Pod", POD_JSON_MAX, POD_JSON_VALUES_MAX};
static const struct limits list_limits = {"PodList", POD_LIST_JSON_MAX, POD_LIST_JSON_VALUES_MAX};
static const struct limits status_limits = {"Status", POD_JSON_MAX, POD_JSON_VALUES_MAX};
static const struct limits event_limits = {"watch event", POD_JSON_MAX, POD_JSON_VALUES_MAX};

/* Nesting and the number of values are bounded before cJSON, which recurses and allocates for
 * each value, sees the text. Opening brackets and commas together are as many as values. */
static bool is_too_big(struct sv json, size_t values_max)
{
    size_t depth = 0;
    size_t values = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (in_string) {
            i += c == '\\' ? 1 : 0;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',') {
            values++;
        } else if (c == '{' || c == '[') {
            values++;
            if (++depth > POD_JSON_DEPTH_MAX) {
                return true;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return values > values_max;
}

static cJSON *parse_object(struct sv json, const struct limits *limits, struct err *e)
{
    if (json.len > limits->bytes_max) {
        (void)err_set(e, ERR_LIMIT, "%s of %zu bytes; at most %zu are read", limits->what, json.len,
                      limits->bytes_max);
        return NULL;
    }
    if (is_too_big(json, limits->values_max)) {
        (void)err_set(e, ERR_LIMIT, "%s: nested deeper than %d or more than %zu values",
                      limits->what, POD_JSON_DEPTH_MAX, limits->values_max);
        return NULL;
    }
    const char *end = NULL;
    cJSON *root = json.len == 0 ? NULL : cJSON_ParseWithLengthOpts(json.ptr, json.len, &end, false);
    if (root != NULL) {
        struct sv rest = {end, json.len - (size_t)(end - json.ptr)};
        if (cJSON_IsObject(root) && sv_trim(rest).len == 0) {
            return root;
        }
        cJSON_Delete(root);
    }
    (void)err_set(e, ERR_PROTO, "%s: not a JSON object", limits->what);
    return NULL;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

/* "" where it is not there or not a string; the text is the tree's. */
static struct sv text_of(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);
    return sv_from(cJSON_IsString(item) ? item->valuestring : "");
}

static void cut_copy(char *dst, size_t size, struct sv text)
{
    if (text.len >= size) {
        text.len = size - 1;
    }
    (void)str_copy(dst, size, text);
}

static const cJSON *controller_of(const cJSON *meta)
{
    const cJSON *owner;
    cJSON_ArrayForEach(owner, member(meta, "ownerReferences"))
    {
        if (cJSON_IsTrue(member(owner, "controller"))) {
            return owner;
        }
    }
    return NULL;
}

static bool take_labels(struct pod *out, const cJSON *labels, const struct pod_keys *keys)
{
    bool ok = str_copy(out->role, sizeof out->role, text_of(labels, keys->role));
    ok = ok && str_copy(out->instance, sizeof out->instance,
                        text_of(labels, "app.kubernetes.io/instance"));
    ok = ok &&
         str_copy(out->app_name, sizeof out->app_name, text_of(labels, "app.kubernetes.io/name"));
    if (keys->role_legacy != NULL) {
        ok = ok && str_copy(out->role_legacy, sizeof out->role_legacy,
                            text_of(labels, keys->role_legacy));
    }
    return ok;
}

/* Annotations may be written by anybody: what does not parse counts as absent. */
static void take_annotations(struct pod *out, const cJSON *notes)
{
    out->has_role_epoch =
        sv_to_u64(text_of(notes, POD_ANNOTATION_PREFIX "role-epoch"), &out->role_epoch);
    if (!sv_to_u64(text_of(notes, POD_ANNOTATION_PREFIX "demoted-by-epoch"),
                   &out->demoted_by_epoch)) {
        out->demoted_by_epoch = 0;
    }
    (void)str_copy(out->run_id, sizeof out->run_id, text_of(notes, POD_ANNOTATION_PREFIX "run-id"));
    (void)str_copy(out->role_since, sizeof out->role_since,
                   text_of(notes, POD_ANNOTATION_PREFIX "role-since"));
    cut_copy(out->reason, sizeof out->reason, text_of(notes, POD_ANNOTATION_PREFIX "reason"));
    (void)str_copy(out->handover, sizeof out->handover,
                   text_of(notes, POD_ANNOTATION_PREFIX "handover"));
    out->fence = sv_eq_str(text_of(notes, POD_ANNOTATION_PREFIX "fence"), "true");
}

static int take_pod(struct pod *ret, const cJSON *json, const struct pod_keys *keys, struct err *e)
{
    const cJSON *meta = member(json, "metadata");
    const cJSON *spec = member(json, "spec");
    struct sv kind = text_of(json, "kind");
    if (kind.len > 0 && !sv_eq_str(kind, "Pod")) { /* items of a list have no kind */
        return err_set(e, ERR_PROTO, "a Pod is wanted, not a %.*s", (int)u64_min(kind.len, 60),
                       kind.ptr);
    }
    struct sv name = text_of(meta, "name");
    struct sv uid = text_of(meta, "uid");
    if (name.len == 0 || uid.len == 0) {
        return err_set(e, ERR_PROTO, "Pod without a name or a uid");
    }
    struct pod out = {.ordinal = -1};
    bool fits = str_copy(out.name, sizeof out.name, name) &&
                str_copy(out.uid, sizeof out.uid, uid) &&
                str_copy(out.resource_version, sizeof out.resource_version,
                         text_of(meta, "resourceVersion")) &&
                str_copy(out.controller_uid, sizeof out.controller_uid,
                         text_of(controller_of(meta), "uid")) &&
                str_copy(out.ip, sizeof out.ip, text_of(member(json, "status"), "podIP")) &&
                str_copy(out.hostname, sizeof out.hostname, text_of(spec, "hostname")) &&
                str_copy(out.subdomain, sizeof out.subdomain, text_of(spec, "subdomain")) &&
                take_labels(&out, member(meta, "labels"), keys);
    if (!fits) {
        return err_set(e, ERR_LIMIT,
                       "Pod %.60s: a name, uid or label is longer than Kubernetes allows",
                       out.name);
    }
    take_annotations(&out, member(meta, "annotations"));
    out.terminating = text_of(meta, "deletionTimestamp").len > 0;
    out.ordinal = pod_ordinal(out.name);
    *ret = out;
    return 0;
}

int pod_parse(struct pod *ret, struct sv json, const struct pod_keys *keys, struct err *e)
{
    AUTO_JSON cJSON *root = parse_object(json, &pod_limits, e);
    return root == NULL ? -1 : take_pod(ret, root, keys, e);
}

int pod_list_parse(struct pod_list *ret, struct sv json, const struct pod_keys *keys,
                   pod_each_fn *each, void *arg, struct err *e)
{
    struct pod_list out = {.count = 0};
    AUTO_JSON cJSON *root = parse_object(json, &list_limits, e);
    if (root == NULL) {
        return -1;
    }
    const cJSON *meta = member(root, "metadata");
    const cJSON *items = member(root, "items");
    if (!sv_eq_str(text_of(root, "kind"), "PodList") ||
        !(cJSON_IsArray(items) || cJSON_IsNull(items))) {
        return err_set(e, ERR_PROTO, "a PodList with items is wanted");
    }
    if (!str_copy(out.resource_version, sizeof out.resource_version,
                  text_of(meta, "resourceVersion")) ||
        !str_copy(out.next, sizeof out.next, text_of(meta, "continue"))) {
        return err_set(e, ERR_LIMIT, "PodList: resourceVersion or continue is too long");
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        struct pod pod;
        if (take_pod(&pod, item, keys, NULL) == 0) {
            out.count++;
            each(arg, &pod);
        } else {
            out.bad++;
        }
    }
    *ret = out;
    return 0;
}

static uint64_t whole_number(const cJSON *item)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > 1e9) {
        return 0;
    }
    return (uint64_t)item->valuedouble;
}

static int take_status(struct kube_status *ret, const cJSON *json, struct err *e)
{
    if (!sv_eq_str(text_of(json, "kind"), "Status")) {
        return err_set(e, ERR_PROTO, "a Status is wanted");
    }
    *ret = (struct kube_status){.code = whole_number(member(json, "code"))};
    ret->retry_after_s = whole_number(member(member(json, "details"), "retryAfterSeconds"));
    cut_copy(ret->reason, sizeof ret->reason, text_of(json, "reason"));
    cut_copy(ret->message, sizeof ret->message, text_of(json, "message"));
    return 0;
}

int kube_status_parse(struct kube_status *ret, struct sv json, struct err *e)
{
    AUTO_JSON cJSON *root = parse_object(json, &status_limits, e);
    return root == NULL ? -1 : take_status(ret, root, e);
}

static bool find_watch_type(struct sv name, enum watch_type *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(watch_type_names); i++) {
        if (sv_eq_str(name, watch_type_names[i])) {
            *ret = (enum watch_type)i;
            return true;
        }
    }
    return false;
}

int watch_event_parse(struct watch_event *ret, struct sv line, const struct pod_keys *keys,
                      struct err *e)
{
    AUTO_JSON cJSON *root = parse_object(line, &event_limits, e);
    if (root == NULL) {
        return -1;
    }
    struct watch_event out = {.pod = {.ordinal = -1}};
    const cJSON *object = member(root, "object");
    if (!find_watch_type(text_of(root, "type"), &out.type)) {
        return err_set(e, ERR_PROTO, "watch event of an unknown type");
    }
    int result = 0;
    switch (out.type) {
    case WATCH_ADDED:
    case WATCH_MODIFIED:
    case WATCH_DELETED:
        result = take_pod(&out.pod, object, keys, e);
        break;
    case WATCH_BOOKMARK: {
        struct sv rv = text_of(member(object, "metadata"), "resourceVersion");
        if (rv.len == 0 ||
            !str_copy(out.pod.resource_version, sizeof out.pod.resource_version, rv)) {
            result = err_set(e, ERR_PROTO, "bookmark without a resourceVersion");
        }
        break;
    }
    case WATCH_ERROR:
        result = take_status(&out.status, object, e);
        break;
    }
    if (result == 0) {
        *ret = out;
    }
    return result;
}
