/* Lists of Pods and Status objects: of a real kube-apiserver, malformed, at each limit. */
#include "lib/codec/pod.h"

#include "test/unit/support/fixture.h"

static const struct pod_keys keys = {.role = "role"};

struct seen {
    size_t count;
    struct pod last;
    int ordinals[8];
};

static void keep(void *arg, const struct pod *pod)
{
    struct seen *seen = arg;

    assert_true(seen->count < ARRAY_LEN(seen->ordinals));
    seen->ordinals[seen->count++] = pod->ordinal;
    seen->last = *pod;
}

static int parse_list(struct pod_list *ret, struct sv json, struct seen *seen, struct err *e)
{
    *seen = (struct seen){.count = 0};
    return pod_list_parse(ret, json, &keys, keep, seen, e);
}

static void test_captured_lists(void **state)
{
    (void)state;
    struct seen seen;
    struct pod_list list;
    size_t len;
    char *json = data_read("kube/list.json", &len);

    assert_int_equal(parse_list(&list, (struct sv){json, len}, &seen, NULL), 0);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.bad, 0);
    assert_string_equal(list.next, "");
    assert_sv_equal(json_first_text(json, "resourceVersion"), list.resource_version);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen.ordinals[i], i);
    }
    assert_string_equal(seen.last.role, "replica");
    assert_string_equal(seen.last.ip, "10.0.0.2");
    free(json);

    json = data_read("kube/list_page.json", &len);
    assert_int_equal(parse_list(&list, (struct sv){json, len}, &seen, NULL), 0);
    assert_int_equal(list.count, 2);
    assert_sv_equal(json_first_text(json, "continue"), list.next);
    assert_true(list.next[0] != '\0');
    free(json);
}

static void test_list_forms(void **state)
{
    (void)state;
    struct seen seen;
    struct pod_list list = {.bad = 77};
    struct err e = {.code = ERR_NONE};
    char json[1024], token[600];

    assert_int_equal(parse_list(&list, SV("{\"kind\":\"PodList\",\"items\":null}"), &seen, NULL),
                     0);
    assert_int_equal(list.count + list.bad, 0);
    assert_int_equal(parse_list(&list, SV("{\"kind\":\"PodList\",\"items\":[]}"), &seen, NULL), 0);
    assert_int_equal(
        parse_list(&list,
                   SV("{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},"
                      "\"items\":[{},7,{\"metadata\":{\"name\":\"a-1\",\"uid\":\"u\"}},"
                      "{\"kind\":\"Node\",\"metadata\":{\"name\":\"a-2\",\"uid\":\"u\"}}]}"),
                   &seen, NULL),
        0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.bad, 3);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.ordinals[0], 1);
    assert_string_equal(list.resource_version, "9");

    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"kind\":\"PodList\"}",
        "{\"kind\":\"PodList\",\"items\":{}}",
        "{\"kind\":\"Pod\",\"items\":[]}",
        "{\"items\":[]}",
        "{\"kind\":\"PodList\",\"items\":[]",
        "{\"kind\":\"Status\",\"items\":null}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        list.bad = 77;
        assert_err(parse_list(&list, sv_from(bad[i]), &seen, &e), &e, ERR_PROTO);
        assert_int_equal(list.bad, 77);
        assert_int_equal(seen.count, 0);
    }
    memset(token, 't', sizeof(token));
    for (size_t len = sizeof(list.next) - 1; len <= sizeof(list.next); len++) {
        (void)snprintf(json, sizeof(json),
                       "{\"kind\":\"PodList\",\"metadata\":{\"continue\":\"%.*s\"},\"items\":[]}",
                       (int)len, token);
        int rc = parse_list(&list, sv_from(json), &seen, &e);
        assert_int_equal(rc, len < sizeof(list.next) ? 0 : -1);
    }
    assert_string_equal(err_code_name(e.code), err_code_name(ERR_LIMIT));
    (void)
        snprintf(json, sizeof(json),
                 "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"%.*s\"},\"items\":[]}",
                 POD_RV_MAX + 1, token);
    assert_err(parse_list(&list, sv_from(json), &seen, &e), &e, ERR_LIMIT);
}

static void test_list_size_limits(void **state)
{
    (void)state;
    AUTO_BUF struct buf json;
    struct seen seen;
    struct pod_list list;
    struct err e;

    buf_init(&json, POD_LIST_JSON_MAX + 1);
    buf_add_str(&json, "{\"kind\":\"PodList\",\"items\":[]}");
    while (json.len < POD_LIST_JSON_MAX) {
        buf_add_char(&json, ' ');
    }
    assert_int_equal(parse_list(&list, buf_sv(&json), &seen, NULL), 0);
    buf_add_char(&json, ' ');
    assert_err(parse_list(&list, buf_sv(&json), &seen, &e), &e, ERR_LIMIT);
    buf_reset(&json);
    buf_add_str(&json, "{\"kind\":\"PodList\",\"items\":[0");
    for (size_t i = 0; i < POD_LIST_JSON_VALUES_MAX; i++) {
        buf_add_str(&json, ",0");
    }
    buf_add_str(&json, "]}");
    assert_err(parse_list(&list, buf_sv(&json), &seen, &e), &e, ERR_LIMIT);
}

static void test_captured_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *path, *reason, *part;
        uint64_t code;
    } rows[] = {
        {"kube/status_400.json", "BadRequest", "continue", 400},
        {"kube/status_403.json", "Forbidden", "cannot delete", 403},
        {"kube/status_404.json", "NotFound", "not found", 404},
        {"kube/status_409.json", "Conflict", "has been modified", 409},
        {"kube/status_422.json", "Invalid", "field is immutable", 422},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len;
        char *json = data_read(rows[i].path, &len);
        struct kube_status status;
        assert_int_equal(kube_status_parse(&status, (struct sv){json, len}, NULL), 0);
        assert_int_equal(status.code, rows[i].code);
        assert_string_equal(status.reason, rows[i].reason);
        assert_non_null(strstr(status.message, rows[i].part));
        assert_int_equal(status.retry_after_s, 0);
        free(json);
    }
}

static void test_status_forms(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        uint64_t value;
    } numbers[] = {
        {"1", 1},     {"0", 0},      {"-1", 0},   {"1.9", 1}, {"1e9", 1000000000}, {"1e300", 0},
        {"\"1\"", 0}, {"1e1000", 0}, {"null", 0}, {"[]", 0},  {"1000000001", 0},
    };
    struct kube_status status;
    struct err e;
    char json[1024], text[400];

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        (void)snprintf(json, sizeof(json),
                       "{\"kind\":\"Status\",\"code\":%s,\"details\":{\"retryAfterSeconds\":%s}}",
                       numbers[i].number, numbers[i].number);
        assert_int_equal(kube_status_parse(&status, sv_from(json), NULL), 0);
        assert_int_equal(status.code, numbers[i].value);
        assert_int_equal(status.retry_after_s, numbers[i].value);
        assert_string_equal(status.reason, "");
    }
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)snprintf(json, sizeof(json), "{\"kind\":\"Status\",\"reason\":\"%s\",\"message\":\"%s\"}",
                   text, text);
    assert_int_equal(kube_status_parse(&status, sv_from(json), NULL), 0);
    assert_int_equal(strlen(status.reason), sizeof(status.reason) - 1);
    assert_int_equal(strlen(status.message), sizeof(status.message) - 1);
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"kind\":\"Pod\"}",
        "{\"kind\":\"Status\"",
        "<html>502 Bad Gateway</html>",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        status.code = 77;
        assert_err(kube_status_parse(&status, sv_from(bad[i]), &e), &e, ERR_PROTO);
        assert_int_equal(status.code, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_lists),   cmocka_unit_test(test_list_forms),
        cmocka_unit_test(test_list_size_limits), cmocka_unit_test(test_captured_statuses),
        cmocka_unit_test(test_status_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
