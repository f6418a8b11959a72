/* JSON from the API server: a Pod means the same alone, in a list and in a watch event. */
#include "lib/base/check.h"
#include "lib/codec/pod.h"
#include "test/fuzz/fuzz.h"

static const struct pod_keys keys = {.role = "role", .role_legacy = "legacy"};

/* What the wrapping below adds to a text that is already at a limit. */
#define WRAP_BYTES 64

#define IS_TEXT(array) (memchr((array), '\0', sizeof(array)) != NULL)

static void check(const struct pod *pod)
{
    REQUIRE(IS_TEXT(pod->name) && pod->name[0] != '\0' && IS_TEXT(pod->uid) && pod->uid[0] != '\0');
    REQUIRE(IS_TEXT(pod->resource_version) && IS_TEXT(pod->controller_uid) && IS_TEXT(pod->ip));
    REQUIRE(IS_TEXT(pod->hostname) && IS_TEXT(pod->subdomain) && IS_TEXT(pod->role));
    REQUIRE(IS_TEXT(pod->role_legacy) && IS_TEXT(pod->instance) && IS_TEXT(pod->app_name));
    REQUIRE(IS_TEXT(pod->run_id) && IS_TEXT(pod->reason) && IS_TEXT(pod->role_since));
    REQUIRE(IS_TEXT(pod->handover));
    REQUIRE(pod->ordinal >= -1);
    REQUIRE(pod->has_role_epoch || pod->role_epoch == 0);
}

static void check_same(const struct pod *a, const struct pod *b)
{
    REQUIRE(strcmp(a->name, b->name) == 0 && strcmp(a->uid, b->uid) == 0);
    REQUIRE(strcmp(a->role, b->role) == 0 && strcmp(a->role_legacy, b->role_legacy) == 0);
    REQUIRE(strcmp(a->controller_uid, b->controller_uid) == 0 && strcmp(a->ip, b->ip) == 0);
    REQUIRE(strcmp(a->reason, b->reason) == 0 && strcmp(a->run_id, b->run_id) == 0);
    REQUIRE(strcmp(a->handover, b->handover) == 0);
    REQUIRE(a->role_epoch == b->role_epoch && a->demoted_by_epoch == b->demoted_by_epoch);
    REQUIRE(a->fence == b->fence && a->terminating == b->terminating && a->ordinal == b->ordinal);
}

static void compare(void *arg, const struct pod *pod)
{
    check(pod);
    check_same(arg, pod);
}

static void check_wrapped(struct sv json, struct pod *pod)
{
    struct pod_list list;
    struct watch_event ev;
    struct err e;

    /* cJSON skips a byte order mark, but only where a text starts. */
    if (json.len + WRAP_BYTES > POD_JSON_MAX || sv_starts_with(json, "\xEF\xBB\xBF")) {
        return;
    }
    AUTO_BUF struct buf text;
    buf_init(&text, POD_JSON_MAX);
    buf_add_str(&text, "{\"kind\":\"PodList\",\"items\":[");
    buf_add_sv(&text, json);
    buf_add_str(&text, "]}");
    if (pod_list_parse(&list, buf_sv(&text), &keys, compare, pod, &e) == 0) {
        REQUIRE(list.count == 1 && list.bad == 0);
    } else {
        REQUIRE(e.code == ERR_LIMIT);
    }
    buf_reset(&text);
    buf_add_str(&text, "{\"type\":\"MODIFIED\",\"object\":");
    buf_add_sv(&text, json);
    buf_add_str(&text, "}");
    if (watch_event_parse(&ev, buf_sv(&text), &keys, &e) == 0) {
        compare(pod, &ev.pod);
    } else {
        REQUIRE(e.code == ERR_LIMIT);
    }
}

static void count(void *arg, const struct pod *pod)
{
    size_t *seen = arg;

    check(pod);
    (*seen)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv json = {(const char *)data, size};
    struct err e = {.code = ERR_NONE};
    struct pod pod = {.ordinal = 77};
    struct pod_list list = {.count = 0};
    struct kube_status status;
    struct watch_event ev;
    size_t seen = 0;

    if (pod_parse(&pod, json, &keys, &e) == 0) {
        check(&pod);
        check_wrapped(json, &pod);
    } else {
        REQUIRE(e.code == ERR_PROTO || e.code == ERR_LIMIT);
        REQUIRE(pod.ordinal == 77);
    }
    (void)!pod_list_parse(&list, json, &keys, count, &seen, &e);
    REQUIRE(seen == list.count);
    if (kube_status_parse(&status, json, &e) == 0) {
        REQUIRE(IS_TEXT(status.reason) && IS_TEXT(status.message));
        REQUIRE(status.code <= 1000000000 && status.retry_after_s <= 1000000000);
    }
    if (watch_event_parse(&ev, json, &keys, &e) == 0) {
        REQUIRE(watch_type_name(ev.type) != NULL);
    }
    return 0;
}
