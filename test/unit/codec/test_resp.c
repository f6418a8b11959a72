/* Reading a reply tree: what an error reply means, elements, fields; and the decoder of the
 * tests, which the other codec tests stand on. */
#include "test/unit/support/fixture.h"
#include "test/unit/support/resp_decode.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(resp_type_name(RESP_NIL), "nil");
    assert_string_equal(resp_type_name(RESP_ARRAY), "array");
    assert_string_equal(resp_fault_name(RESP_FAULT_NONE), "none");
    assert_string_equal(resp_fault_name(RESP_FAULT_OTHER), "ERR");
}

static void test_fault_is_the_first_word(void **state)
{
    (void)state;
    /* Texts as Redis 7.0 and, for AUTH, Redis 5 send them. */
    static const struct {
        const char *text;
        enum resp_fault fault;
    } rows[] = {
        {"LOADING Redis is loading the dataset in memory", RESP_FAULT_LOADING},
        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
         RESP_FAULT_BUSY},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
         RESP_FAULT_MASTERDOWN},
        {"NOAUTH Authentication required.", RESP_FAULT_NOAUTH},
        {"WRONGPASS invalid username-password pair or user is disabled.", RESP_FAULT_WRONGPASS},
        {"ERR invalid password", RESP_FAULT_WRONGPASS},
        {"NOPERM User default has no permissions to run the 'role' command", RESP_FAULT_NOPERM},
        {"ERR Client sent AUTH, but no password is set", RESP_FAULT_OTHER},
        {"ERR unknown command 'ROLE'", RESP_FAULT_OTHER},
        {"READONLY You can't write against a read only replica.", RESP_FAULT_OTHER},
        {"BUSYGROUP Consumer Group name already exists", RESP_FAULT_OTHER},
        {"none", RESP_FAULT_OTHER},
        {"loading", RESP_FAULT_OTHER},
        {" LOADING", RESP_FAULT_OTHER},
        {"LOADING", RESP_FAULT_LOADING},
        {"", RESP_FAULT_OTHER},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct resp r = {.type = RESP_ERROR, .str = sv_from(rows[i].text)};
        if (resp_fault(&r) != rows[i].fault) {
            fail_msg("'%s' is %s", rows[i].text, resp_fault_name(resp_fault(&r)));
        }
    }
    for (int type = RESP_NIL; type <= RESP_ARRAY; type++) {
        struct resp r = {.type = (enum resp_type)type, .str = SV("LOADING")};
        assert_int_equal(resp_fault(&r), type == RESP_ERROR ? RESP_FAULT_LOADING : RESP_FAULT_NONE);
    }
}

static void test_elements(void **state)
{
    (void)state;
    struct resp_decoded d;
    struct sv text = SV("kept");
    uint64_t n = 77;

    assert_true(
        resp_decode(&d, SV("*7\r\n$2\r\nab\r\n+OK\r\n:12\r\n$2\r\n34\r\n:-1\r\n$-1\r\n*0\r\n")));
    const struct resp *r = d.nodes;
    assert_true(resp_str_at(r, 0, &text));
    assert_sv_equal(text, "ab");
    assert_true(resp_str_at(r, 1, &text));
    assert_sv_equal(text, "OK");
    assert_true(resp_u64_at(r, 2, &n));
    assert_int_equal(n, 12);
    assert_true(resp_u64_at(r, 3, &n));
    assert_int_equal(n, 34);
    assert_false(resp_str_at(r, 2, &text));
    assert_false(resp_u64_at(r, 0, &n));
    assert_false(resp_u64_at(r, 4, &n)); /* negative */
    for (size_t i = 5; i < 9; i++) {     /* nil, an array, and beyond the end */
        assert_false(resp_u64_at(r, i, &n));
        assert_false(resp_str_at(r, i, &text));
    }
    assert_int_equal(n, 34);
    assert_sv_equal(text, "OK");
    assert_false(resp_str_at(&r->elems[0], 0, &text)); /* not an array */
    assert_false(resp_u64_at(&r->elems[2], 0, &n));
    resp_decoded_free(&d);
}

static void test_fields(void **state)
{
    (void)state;
    struct resp_decoded d;
    struct sv text = SV("kept");

    assert_true(resp_decode(&d, SV("*7\r\n:1\r\n$1\r\nx\r\n$1\r\na\r\n$1\r\n1\r\n"
                                   "$1\r\nb\r\n:2\r\n$1\r\nc\r\n")));
    assert_true(resp_field(d.nodes, "a", &text));
    assert_sv_equal(text, "1");
    assert_false(resp_field(d.nodes, "x", &text)); /* a value is not a key */
    assert_false(resp_field(d.nodes, "b", &text)); /* not a text */
    assert_false(resp_field(d.nodes, "c", &text)); /* no value behind it */
    assert_false(resp_field(d.nodes, "", &text));
    assert_false(resp_field(&d.nodes[1], "a", &text));
    assert_sv_equal(text, "1");
    resp_decoded_free(&d);
}

static void test_decoder_refuses_what_is_not_one_reply(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\r\n",
        "+OK",
        "+OK\n",
        "+OK\r",
        "OK\r\n",
        ":\r\n",
        ":1a\r\n",
        ":+1\r\n",
        ": 1\r\n",
        "$3\r\nab\r\n",
        "$2\r\nabc\r\n",
        "$2\r\nab",
        "$-2\r\n",
        "$a\r\n",
        "*1\r\n",
        "*2\r\n:1\r\n",
        "*-2\r\n",
        "*0\r\n:1\r\n",
        "+a\r\n+b\r\n",
        "*9999999\r\n",
        "$99999999999999999999\r\n",
        "_\r\n",
        "%1\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    struct resp_decoded d;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *exact = bytes_dup(sv_from(bad[i]));
        if (resp_decode(&d, (struct sv){exact, strlen(bad[i])})) {
            fail_msg("'%s' was taken", bad[i]);
        }
        free(exact);
    }
    assert_true(resp_decode(&d, SV("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n")));
    resp_decoded_free(&d);
    assert_true(resp_decode(&d, SV("*-1\r\n")));
    assert_int_equal(d.nodes[0].type, RESP_NIL);
    resp_decoded_free(&d);
}

static void test_decoder_refuses_every_cut_of_a_real_reply(void **state)
{
    (void)state;
    size_t len;
    char *bytes = data_read("sentinel/master.resp", &len);
    struct resp_decoded d;

    for (size_t cut = 0; cut < len; cut++) {
        char *exact = bytes_dup((struct sv){bytes, cut});
        assert_false(resp_decode(&d, (struct sv){exact, cut}));
        free(exact);
    }
    assert_true(resp_decode(&d, (struct sv){bytes, len}));
    assert_int_equal(d.nodes[0].count, 40);
    resp_decoded_free(&d);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_fault_is_the_first_word),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_decoder_refuses_what_is_not_one_reply),
        cmocka_unit_test(test_decoder_refuses_every_cut_of_a_real_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
