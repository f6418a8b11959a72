/* What is written to the API server: the whole text, and its limits. */
#include "lib/codec/pod.h"

#include "test/unit/support/fixture.h"

static const struct pod_patch patch = {
    .uid = "u-1",
    .role = "master",
    .role_epoch = UINT64_MAX,
    .role_since = "2026-01-02T03:04:05Z",
    .run_id = "0123",
    .reason = "named by \"3\"",
};

static void test_patch(void **state)
{
    (void)state;
    struct pod_keys keys = {.role = "role", .role_legacy = "old/role"};
    struct pod_patch p = patch;
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    assert_true(pod_patch_write(&out, &p, &keys));
    assert_string_equal(
        buf_str(&out),
        "{\"metadata\":{\"uid\":\"u-1\",\"labels\":{\"role\":\"master\",\"old/role\":\"master\"},"
        "\"annotations\":{\"redis-pod-agent/role-epoch\":\"18446744073709551615\","
        "\"redis-pod-agent/role-since\":\"2026-01-02T03:04:05Z\","
        "\"redis-pod-agent/run-id\":\"0123\",\"redis-pod-agent/reason\":\"named by \\\"3\\\"\","
        "\"redis-pod-agent/demoted-by-epoch\":null}}}");
    buf_reset(&out);
    keys.role_legacy = NULL;
    p.run_id = "";
    p.demoted = true;
    assert_true(pod_patch_write(&out, &p, &keys));
    assert_non_null(strstr(buf_str(&out), "\"labels\":{\"role\":\"master\"},"));
    assert_non_null(strstr(buf_str(&out), "\"redis-pod-agent/run-id\":null,"));
    assert_null(strstr(buf_str(&out), "demoted-by-epoch"));
}

/* What is written is what is read back, when the server has merged it. */
static void test_patch_is_read_back(void **state)
{
    (void)state;
    const struct pod_keys keys = {.role = "role"};
    AUTO_BUF struct buf out;
    AUTO_BUF struct buf merged;
    struct pod pod;
    struct err e;

    buf_init(&out, 4096);
    buf_init(&merged, 4096);
    assert_true(pod_patch_write(&out, &patch, &keys));
    const char *inside = buf_str(&out) + strlen("{\"metadata\":{");
    buf_addf(&merged, "{\"metadata\":{\"name\":\"redis-4\",%s", inside);
    assert_int_equal(pod_parse(&pod, buf_sv(&merged), &keys, &e), 0);
    assert_string_equal(pod.uid, patch.uid);
    assert_string_equal(pod.role, patch.role);
    assert_true(pod.has_role_epoch && pod.role_epoch == patch.role_epoch);
    assert_string_equal(pod.role_since, patch.role_since);
    assert_string_equal(pod.run_id, patch.run_id);
    assert_string_equal(pod.reason, patch.reason);
}

static const struct pod peer = {
    .name = "redis-1",
    .uid = "u-2",
    .resource_version = "4711",
    .role = "master",
    .role_legacy = "master",
};

#define DEMOTED_NOTES                                              \
    "\"annotations\":{\"redis-pod-agent/demoted-by-epoch\":\"7\"," \
    "\"redis-pod-agent/reason\":\"another Pod became master at epoch 7\"}}}"

/* No key beside these: the admission policy refuses any other on another Pod. */
static void test_demotion(void **state)
{
    (void)state;
    const struct pod_keys one = {.role = "role"};
    const struct pod_keys two = {.role = "role", .role_legacy = "old/role"};
    struct pod without = peer;
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    assert_true(pod_demote_write(&out, &peer, 7, &two));
    assert_string_equal(
        buf_str(&out), "{\"metadata\":{\"uid\":\"u-2\",\"resourceVersion\":\"4711\","
                       "\"labels\":{\"role\":\"demoted\",\"old/role\":\"demoted\"}," DEMOTED_NOTES);
    buf_reset(&out);
    assert_true(pod_demote_write(&out, &peer, 7, &one));
    assert_string_equal(buf_str(&out),
                        "{\"metadata\":{\"uid\":\"u-2\",\"resourceVersion\":\"4711\","
                        "\"labels\":{\"role\":\"demoted\"}," DEMOTED_NOTES);
    buf_reset(&out);
    without.role_legacy[0] = '\0';
    assert_true(pod_demote_write(&out, &without, UINT64_MAX, &two));
    assert_null(strstr(buf_str(&out), "old/role"));
    assert_non_null(strstr(buf_str(&out), "demoted-by-epoch\":\"18446744073709551615\""));
    assert_non_null(strstr(buf_str(&out), "at epoch 18446744073709551615\""));
}

static void test_handover_is_cleared(void **state)
{
    (void)state;
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    assert_true(pod_clear_handover_write(&out, "u-\"1\""));
    assert_string_equal(buf_str(&out), "{\"metadata\":{\"uid\":\"u-\\\"1\\\"\","
                                       "\"annotations\":{\"redis-pod-agent/handover\":null}}}");
}

static struct kube_event event_with(const char *message)
{
    return (struct kube_event){
        .namespace_name = "ns",
        .name = "redis-0.17f",
        .pod_name = "redis-0",
        .pod_uid = "u-1",
        .type = "Normal",
        .reason = "RoleChanged",
        .message = message,
        .time = "2026-01-02T03:04:05Z",
        .component_host = "node-1",
    };
}

static void test_event(void **state)
{
    (void)state;
    struct kube_event ev = event_with("replica -> master");
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    assert_true(kube_event_write(&out, &ev));
    assert_string_equal(
        buf_str(&out),
        "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"redis-0.17f\","
        "\"namespace\":\"ns\"},\"involvedObject\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
        "\"name\":\"redis-0\",\"namespace\":\"ns\",\"uid\":\"u-1\"},\"type\":\"Normal\","
        "\"reason\":\"RoleChanged\",\"message\":\"replica -> master\","
        "\"source\":{\"component\":\"redis-pod-agent\",\"host\":\"node-1\"},"
        "\"firstTimestamp\":\"2026-01-02T03:04:05Z\",\"lastTimestamp\":\"2026-01-02T03:04:05Z\","
        "\"count\":1}");
}

static void assert_message(const char *message, size_t kept, const char *end)
{
    struct kube_event ev = event_with(message);
    AUTO_BUF struct buf out;

    buf_init(&out, 8192);
    assert_true(kube_event_write(&out, &ev));
    struct sv text = json_first_text(buf_str(&out), "message");
    assert_int_equal(text.len, kept);
    assert_sv_equal(((struct sv){text.ptr + text.len - strlen(end), strlen(end)}), end);
}

static void test_message_is_cut_between_characters(void **state)
{
    (void)state;
    char text[1100];

    memset(text, 'x', sizeof(text));
    text[1024] = '\0';
    assert_message(text, 1024, "x");
    memset(text, 'x', sizeof(text));
    text[1099] = '\0';
    assert_message(text, 1024, "x");
    for (size_t at = 1020; at < 1024; at++) {
        memset(text, 'x', sizeof(text) - 1);
        memcpy(text + at, "\xf0\x9f\x99\x82", 4);
        assert_message(text, at == 1020 ? 1024 : at, at == 1020 ? "\xf0\x9f\x99\x82" : "x");
    }
    /* What is no UTF-8 at all is cut as well, and each of its bytes is written as U+FFFD. */
    memset(text, '\x80', sizeof(text) - 1);
    assert_message(text, 1020 * strlen("\\ufffd"), "\\ufffd");
}

static void test_overflow(void **state)
{
    (void)state;
    const struct pod_keys keys = {.role = "role"};
    struct kube_event ev = event_with("m");

    for (size_t max = 0; max < 200; max += 10) {
        AUTO_BUF struct buf out;
        buf_init(&out, max);
        assert_false(pod_patch_write(&out, &patch, &keys));
        buf_reset(&out);
        assert_false(kube_event_write(&out, &ev));
    }
}

static void test_limits_are_exact(void **state)
{
    (void)state;
    const struct pod_keys keys = {.role = "role"};
    AUTO_BUF struct buf demotion;
    AUTO_BUF struct buf clearance;

    buf_init(&demotion, 4096);
    buf_init(&clearance, 4096);
    assert_true(pod_demote_write(&demotion, &peer, 7, &keys));
    assert_true(pod_clear_handover_write(&clearance, "u"));
    for (size_t max = 0; max <= demotion.len; max++) {
        AUTO_BUF struct buf out;
        buf_init(&out, max);
        assert_int_equal(pod_demote_write(&out, &peer, 7, &keys), max == demotion.len);
        buf_reset(&out);
        assert_int_equal(pod_clear_handover_write(&out, "u"), max >= clearance.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch),    cmocka_unit_test(test_patch_is_read_back),
        cmocka_unit_test(test_demotion), cmocka_unit_test(test_handover_is_cleared),
        cmocka_unit_test(test_event),    cmocka_unit_test(test_message_is_cut_between_characters),
        cmocka_unit_test(test_overflow), cmocka_unit_test(test_limits_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
