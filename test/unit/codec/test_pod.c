/* Pods: of a real kube-apiserver, malformed, at each limit. */
#include "lib/codec/pod.h"

#include "test/unit/support/fixture.h"

static const struct pod_keys keys = {.role = "role"};
static const struct pod_keys both_keys = {.role = "role", .role_legacy = "example.com/redis-role"};

static struct pod parse_with(struct sv json, const struct pod_keys *k)
{
    struct pod pod;
    struct err e;

    if (pod_parse(&pod, json, k, &e) != 0) {
        fail_msg("%s", e.msg);
    }
    return pod;
}

static struct pod parse(const char *json)
{
    return parse_with(sv_from(json), &keys);
}

static void test_captured_pod(void **state)
{
    (void)state;
    size_t len;
    char *json = data_read("kube/pod.json", &len);
    struct pod pod = parse_with((struct sv){json, len}, &keys);

    assert_string_equal(pod.name, "redis-0");
    assert_int_equal(pod.ordinal, 0);
    assert_sv_equal(json_first_text(json, "uid"), pod.uid);
    assert_sv_equal(json_first_text(json, "resourceVersion"), pod.resource_version);
    const char *owners = strstr(json, "\"ownerReferences\"");
    assert_non_null(owners);
    assert_sv_equal(json_first_text(owners, "uid"), pod.controller_uid);
    assert_string_equal(pod.ip, "10.0.0.0");
    assert_string_equal(pod.hostname, "redis-0");
    assert_string_equal(pod.subdomain, "redis-headless");
    assert_string_equal(pod.role, "master");
    assert_string_equal(pod.role_legacy, "");
    assert_string_equal(pod.instance, "redis");
    assert_string_equal(pod.app_name, "redis");
    assert_true(pod.has_role_epoch);
    assert_int_equal(pod.role_epoch, 7);
    assert_int_equal(pod.demoted_by_epoch, 0);
    assert_string_equal(pod.run_id, "0123456789abcdef000000000000000000000000");
    assert_string_equal(pod.role_since, "2026-01-02T03:04:05Z");
    assert_string_equal(pod.reason, "named by 3 of 3 Sentinels, \"epoch 7\" \xe2\x86\x92 master");
    assert_false(pod.fence);
    assert_false(pod.terminating);
    free(json);
}

static void test_smallest_pod(void **state)
{
    (void)state;
    struct pod pod = parse(" {\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}\r\n");

    assert_string_equal(pod.name, "p");
    assert_string_equal(pod.uid, "u");
    assert_string_equal(pod.resource_version, "");
    assert_string_equal(pod.controller_uid, "");
    assert_string_equal(pod.ip, "");
    assert_string_equal(pod.role, "");
    assert_int_equal(pod.ordinal, -1);
    assert_false(pod.has_role_epoch || pod.fence || pod.terminating);
}

static void test_labels(void **state)
{
    (void)state;
    static const char json[] =
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"r-1\",\"uid\":\"u\",\"labels\":{"
        "\"example.com/redis-role\":\"replica\",\"Role\":\"wrong\",\"role\":\"master\","
        "\"app.kubernetes.io/instance\":\"one\",\"app.kubernetes.io/name\":\"redis\"}}}";
    struct pod pod = parse_with(SV(json), &both_keys);

    assert_string_equal(pod.role, "master");
    assert_string_equal(pod.role_legacy, "replica");
    assert_string_equal(pod.instance, "one");
    assert_string_equal(pod.app_name, "redis");
    pod = parse_with(SV(json), &keys);
    assert_string_equal(pod.role_legacy, "");
}

static void test_annotations(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"role-epoch", "\"18446744073709551615\""},
        {"role-epoch", "\"0\""},
        {"role-epoch", "\"\""},
        {"role-epoch", "\"-1\""},
        {"role-epoch", "\"7 \""},
        {"role-epoch", "7"},
        {"demoted-by-epoch", "\"9\""},
        {"demoted-by-epoch", "\"x\""},
        {"demoted-by-epoch", "\"9x\""},
        {"fence", "\"true\""},
        {"fence", "true"},
        {"fence", "\"TRUE\""},
        {"fence", "\"\""},
        {"handover", "\"redis-2\""},
        {"handover", "true"},
        {"Handover", "\"redis-2\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char json[256];
        (void)snprintf(json, sizeof(json),
                       "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{"
                       "\"redis-pod-agent/%s\":%s}}}",
                       rows[i].name, rows[i].value);
        struct pod pod = parse(json);
        assert_int_equal(pod.has_role_epoch, i < 2);
        assert_true(pod.role_epoch == (i == 0 ? UINT64_MAX : 0));
        assert_int_equal(pod.demoted_by_epoch, i == 6 ? 9 : 0);
        assert_int_equal(pod.fence, i == 9);
        assert_string_equal(pod.handover, i == 13 ? "redis-2" : "");
    }
}

/* Prose is cut; anything else that does not fit is absent, never a part of itself. */
static void test_long_annotations(void **state)
{
    (void)state;
    char json[2048], text[400];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)snprintf(json, sizeof(json),
                   "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"annotations\":{"
                   "\"redis-pod-agent/reason\":\"%s\",\"redis-pod-agent/run-id\":\"%.41s\","
                   "\"redis-pod-agent/role-since\":\"%.40s\","
                   "\"redis-pod-agent/handover\":\"%.254s\"}}}",
                   text, text, text, text);
    struct pod pod = parse(json);
    assert_int_equal(strlen(pod.reason), POD_REASON_MAX);
    assert_string_equal(pod.run_id, "");
    assert_string_equal(pod.role_since, "");
    assert_string_equal(pod.handover, "");
}

static void test_ordinals(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int ordinal;
    } rows[] = {
        {"redis-0", 0},
        {"redis-12", 12},
        {"my-redis-3", 3},
        {"redis", -1},
        {"redis-", -1},
        {"redis-x", -1},
        {"redis-1x", -1},
        {"7", -1},
        {"-7", 7},
        {"r-2147483647", 2147483647},
        {"r-2147483648", -1},
        {"r-99999999999999999999", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char json[128];
        (void)snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\"}}",
                       rows[i].name);
        assert_int_equal(parse(json).ordinal, rows[i].ordinal);
    }
}

static void test_controller(void **state)
{
    (void)state;
    struct pod pod =
        parse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"ownerReferences\":["
              "7,{\"uid\":\"a\"},{\"uid\":\"b\",\"controller\":false},"
              "{\"uid\":\"c\",\"controller\":\"true\"},"
              "{\"uid\":\"d\",\"controller\":true},{\"uid\":\"e\",\"controller\":true}]}}");
    assert_string_equal(pod.controller_uid, "d");
    pod = parse(
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"ownerReferences\":{\"controller\":true}}}");
    assert_string_equal(pod.controller_uid, "");
}

static void test_terminating(void **state)
{
    (void)state;
    assert_true(parse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\","
                      "\"deletionTimestamp\":\"2026-01-02T03:04:05Z\"}}")
                    .terminating);
    assert_false(parse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"deletionTimestamp\":null}}")
                     .terminating);
}

static void test_fields_of_another_type_are_absent(void **state)
{
    (void)state;
    struct pod pod = parse("{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":[\"role\"],"
                           "\"annotations\":\"x\",\"ownerReferences\":null,\"resourceVersion\":7},"
                           "\"spec\":[],\"status\":{\"podIP\":[\"10.0.0.1\"]}}");
    assert_string_equal(pod.role, "");
    assert_string_equal(pod.resource_version, "");
    assert_string_equal(pod.ip, "");
}

static void assert_refused(struct sv json, enum err_code code)
{
    struct pod pod = {.ordinal = 77};
    struct err e = {.code = ERR_NONE};

    if (pod_parse(&pod, json, &keys, &e) == 0) {
        fail_msg("'%.*s' was taken", (int)u64_min(json.len, 200), json.ptr);
    }
    assert_err(-1, &e, code);
    assert_int_equal(pod.ordinal, 77);
    assert_int_equal(pod_parse(&pod, json, &keys, NULL), -1);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "x",
        "null",
        "7",
        "\"Pod\"",
        "[]",
        "[{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}]",
        "{}",
        "{\"metadata\":{}}",
        "{\"metadata\":{\"name\":\"p\"}}",
        "{\"metadata\":{\"uid\":\"u\"}}",
        "{\"metadata\":{\"name\":\"\",\"uid\":\"u\"}}",
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"\"}}",
        "{\"metadata\":{\"name\":7,\"uid\":\"u\"}}",
        "{\"metadata\":[\"name\",\"uid\"]}",
        "{\"Metadata\":{\"name\":\"p\",\"uid\":\"u\"}}",
        "{\"kind\":\"Node\",\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}",
        "{\"kind\":\"pod\",\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}",
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}} x",
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}{}",
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},}",
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\\x\"}}",
        "{\"metadata\":{\"name\":\"p\",\"uid\":\"\\ud800\"}}",
        "{\"metadata\":{'name':'p','uid':'u'}}",
        "]]]]{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_refused(sv_from(bad[i]), ERR_PROTO);
    }
    assert_refused(sv_from(NULL), ERR_PROTO);
    assert_refused(SV("\0\0\0\0"), ERR_PROTO);
}

/* Every field that names something has its longest value, and none longer. */
static void test_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        size_t max;
    } rows[] = {
        {"{\"metadata\":{\"uid\":\"u\",\"name\":\"", "\"}}", POD_NAME_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"", "\"}}", POD_UID_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"resourceVersion\":\"", "\"}}", POD_RV_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"role\":\"", "\"}}}",
         POD_LABEL_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{"
         "\"app.kubernetes.io/instance\":\"",
         "\"}}}", POD_LABEL_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"app.kubernetes.io/name\":\"",
         "\"}}}", POD_LABEL_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"labels\":{\"example.com/redis-role\":\"",
         "\"}}}", POD_LABEL_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\",\"ownerReferences\":[{\"controller\":true,"
         "\"uid\":\"",
         "\"}]}}", POD_UID_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"status\":{\"podIP\":\"", "\"}}",
         POD_IP_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"spec\":{\"hostname\":\"", "\"}}",
         POD_NAME_MAX},
        {"{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"spec\":{\"subdomain\":\"", "\"}}",
         POD_NAME_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t more = 0; more < 2; more++) {
            char json[1024], value[300];
            struct pod pod;
            struct err e;
            memset(value, '1', sizeof(value));
            value[rows[i].max + more] = '\0';
            (void)snprintf(json, sizeof(json), "%s%s%s", rows[i].before, value, rows[i].after);
            int rc = pod_parse(&pod, sv_from(json), &both_keys, &e);
            if (more == 0) {
                assert_int_equal(rc, 0);
            } else {
                assert_err(rc, &e, ERR_LIMIT);
            }
        }
    }
}

/* {"metadata":…,"x":FILL…} with `count` times `fill`, closed by `end`. */
static void write_big(struct buf *out, const char *start, const char *fill, size_t count,
                      const char *end)
{
    buf_addf(out, "{\"metadata\":{\"name\":\"p\",\"uid\":\"u\"},\"x\":%s", start);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(out, fill);
    }
    buf_add_str(out, end);
    assert_false(out->overflow);
}

static void test_size_limit_is_exact(void **state)
{
    (void)state;
    AUTO_BUF struct buf json;

    buf_init(&json, 2 * POD_JSON_MAX);
    write_big(&json, "\"", "x", POD_JSON_MAX, "\"}");
    size_t extra = json.len - POD_JSON_MAX;
    buf_reset(&json);
    write_big(&json, "\"", "x", POD_JSON_MAX - extra, "\"}");
    assert_int_equal(json.len, POD_JSON_MAX);
    parse_with(buf_sv(&json), &keys);
    buf_add_char(&json, ' ');
    assert_refused(buf_sv(&json), ERR_LIMIT);
}

static void test_depth_limit_is_exact(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        AUTO_BUF struct buf json;
        buf_init(&json, 4096);
        write_big(&json, "", "[", POD_JSON_DEPTH_MAX - 1 + more, "");
        for (size_t i = 0; i < POD_JSON_DEPTH_MAX - 1 + more; i++) {
            buf_add_char(&json, ']');
        }
        buf_add_char(&json, '}');
        if (more == 0) {
            parse_with(buf_sv(&json), &keys);
        } else {
            assert_refused(buf_sv(&json), ERR_LIMIT);
        }
    }
    /* Brackets in strings are text, whatever quotes and backslashes stand before them. */
    AUTO_BUF struct buf json;
    buf_init(&json, 4096);
    write_big(&json, "\"\\\"\\\\", "[{", 200, "\"}");
    parse_with(buf_sv(&json), &keys);
    buf_reset(&json);
    write_big(&json, "[", "{\"a\":[]},", 200, "{}]}");
    parse_with(buf_sv(&json), &keys);
}

static void test_value_limit(void **state)
{
    (void)state;
    AUTO_BUF struct buf json;

    buf_init(&json, POD_JSON_MAX);
    write_big(&json, "[0", ",0", POD_JSON_VALUES_MAX - 10, "]}");
    parse_with(buf_sv(&json), &keys);
    buf_reset(&json);
    write_big(&json, "[0", ",0", POD_JSON_VALUES_MAX, "]}");
    assert_refused(buf_sv(&json), ERR_LIMIT);
}

static void test_every_cut_of_a_pod(void **state)
{
    (void)state;
    size_t len;
    char *json = data_read("kube/pod.json", &len);
    size_t whole = sv_trim((struct sv){json, len}).len;

    for (size_t cut = 0; cut < len; cut++) {
        char *exact = bytes_dup((struct sv){json, cut});
        struct pod pod;
        assert_int_equal(pod_parse(&pod, (struct sv){exact, cut}, &keys, NULL),
                         cut < whole ? -1 : 0);
        free(exact);
    }
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_pod),
        cmocka_unit_test(test_smallest_pod),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_annotations),
        cmocka_unit_test(test_long_annotations),
        cmocka_unit_test(test_ordinals),
        cmocka_unit_test(test_controller),
        cmocka_unit_test(test_terminating),
        cmocka_unit_test(test_fields_of_another_type_are_absent),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_size_limit_is_exact),
        cmocka_unit_test(test_depth_limit_is_exact),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_every_cut_of_a_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
