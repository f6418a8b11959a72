/* CONFIG GET: a captured answer, refusals, what is no number. */
#include "lib/codec/config_reply.h"

#include "test/unit/support/fixture.h"
#include "test/unit/support/resp_decode.h"

static int get(struct sv bytes, const char *name, uint64_t *ret, struct err *e)
{
    struct resp_decoded d;

    if (!resp_decode(&d, bytes)) {
        fail_msg("the test's own text is not RESP: %.*s", SV_ARG(bytes));
    }
    int rc = config_get_u64(d.nodes, name, ret, e);
    resp_decoded_free(&d);
    return rc;
}

static void test_captured(void **state)
{
    (void)state;
    size_t len;
    char *text = data_read("sentinel/config_get.resp", &len);
    struct sv bytes = {text, len};
    struct err e;
    uint64_t n = 77;

    assert_int_equal(get(bytes, "min-replicas-max-lag", &n, &e), 0);
    assert_int_equal(n, 10);
    assert_int_equal(get(bytes, "min-replicas-to-write", &n, &e), 0);
    assert_int_equal(n, 0);
    n = 77;
    assert_err(get(bytes, "min-replicas", &n, &e), &e, ERR_NOTFOUND);
    assert_int_equal(n, 77);
    free(text);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
    } rows[] = {
        {"-NOAUTH Authentication required.\r\n", ERR_DENIED},
        {"-NOPERM this user has no permissions to run the 'config|get' command\r\n", ERR_DENIED},
        {"-ERR unknown command 'CONFIG', with args beginning with: 'GET' \r\n", ERR_DENIED},
        {"-ERR syntax error\r\n", ERR_PROTO},
        {"-LOADING Redis is loading the dataset in memory\r\n", ERR_PROTO},
        {"+OK\r\n", ERR_PROTO},
        {"$-1\r\n", ERR_PROTO},
        {"*1\r\n$1\r\na\r\n", ERR_PROTO},
        {"*0\r\n", ERR_NOTFOUND},
        {"*2\r\n$1\r\na\r\n$0\r\n\r\n", ERR_PROTO},
        {"*2\r\n$1\r\na\r\n$2\r\n-1\r\n", ERR_PROTO},
        {"*2\r\n$1\r\na\r\n$3\r\nyes\r\n", ERR_PROTO},
        {"*2\r\n$1\r\na\r\n$20\r\n18446744073709551616\r\n", ERR_PROTO},
        {"*2\r\n$1\r\nA\r\n$1\r\n1\r\n", ERR_NOTFOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {.code = ERR_NONE};
        uint64_t n = 77;
        assert_err(get(sv_from(rows[i].text), "a", &n, &e), &e, rows[i].code);
        assert_int_equal(n, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
