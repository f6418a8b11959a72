/* The option table: precedence, every kind of wrong value, suggestions, what is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/shell/config.h"
#include "agent/shell/options.h"

#define ARGS_MAX 40

struct parsed {
    struct options o;
    char *argv[ARGS_MAX];
    char *env[ARGS_MAX];
    char text[8192]; /* getopt permutes argv, so it must be writable */
};

/* `args` and `env` are blank-separated words. */
static int split(struct parsed *p, size_t *used, const char *words, char **out, int count)
{
    struct sv rest = sv_from(words);
    while (rest.ptr != NULL && rest.len > 0) {
        struct sv word = sv_split(&rest, ' ');
        out[count++] = p->text + *used;
        memcpy(p->text + *used, word.ptr, word.len);
        *used += word.len;
        p->text[(*used)++] = '\0';
    }
    out[count] = NULL;
    return count;
}

static void parse(struct parsed *p, const char *args, const char *env)
{
    size_t used = 0;
    memset(p, 0, sizeof *p);
    int argc = split(p, &used, "redis-pod-agent", p->argv, 0);
    argc = split(p, &used, args, p->argv, argc);
    (void)split(p, &used, env, p->env, 0);
    options_parse(&p->o, argc, p->argv, p->env);
}

static void assert_error(struct parsed *p, const char *part)
{
    if (strstr(buf_str(&p->o.errors), part) == NULL) {
        fail_msg("'%s' is not in:\n%s", part, buf_str(&p->o.errors));
    }
}

static void test_defaults_are_valid(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "", "");
    assert_string_equal(buf_str(&p.o.errors), "");
    assert_string_equal(option_text(&p.o, OPT_REDIS_ADDR), "127.0.0.1:6379");
    assert_string_equal(option_text(&p.o, OPT_SENTINEL_MASTER), "mymaster");
    assert_string_equal(option_text(&p.o, OPT_HTTP_ADDR), "[::]:8080");
    assert_string_equal(option_text(&p.o, OPT_ROLE_LABEL), "role");
    assert_true(option_switch(&p.o, OPT_EAGER));
    options_release(&p.o);
}

static void test_flag_wins_over_environment_over_second_name(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "--pod-name a", "POD_NAME=c RPA_POD_NAME=b");
    assert_string_equal(option_text(&p.o, OPT_POD_NAME), "a");
    assert_int_equal(p.o.values[OPT_POD_NAME].source, OPTION_FROM_FLAG);
    options_release(&p.o);
    parse(&p, "", "POD_NAME=c RPA_POD_NAME=b");
    assert_string_equal(option_text(&p.o, OPT_POD_NAME), "b");
    options_release(&p.o);
    parse(&p, "", "RPA_POD_NAME=b POD_NAME=c");
    assert_string_equal(option_text(&p.o, OPT_POD_NAME), "b");
    options_release(&p.o);
    parse(&p, "", "POD_NAME=c");
    assert_string_equal(option_text(&p.o, OPT_POD_NAME), "c");
    options_release(&p.o);
}

static void test_wrong_values_say_which_where_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        const char *env;
        const char *parts[3];
    } cases[] = {
        {"--sentinel-count x", "", {"--sentinel-count", "(from the command line)", "0 to 16"}},
        {"", "RPA_SENTINEL_COUNT=17", {"'17'", "(from RPA_SENTINEL_COUNT)", "0 to 16"}},
        {"--sentinel-count -1", "", {"'-1'", "", ""}},
        {"--redis-addr nowhere", "", {"--redis-addr", "host:port or unix:/path", ""}},
        {"--redis-addr h:0", "", {"--redis-addr", "", ""}},
        {"--redis-addr h:65536", "", {"--redis-addr", "", ""}},
        {"--redis-addr unix:relative", "", {"--redis-addr", "", ""}},
        {"--sentinel-addrs a:1,b", "", {"--sentinel-addrs", "'a:1,b'", ""}},
        {"--sentinel-master=", "", {"--sentinel-master", "1 to 127", ""}},
        {"--kube-url ftp://x", "", {"--kube-url", "or none", ""}},
        {"--kube-url https://u@x", "", {"--kube-url", "", ""}},
        {"--kube-url https://x/path", "", {"--kube-url", "", ""}},
        {"--http-addr 8080", "", {"--http-addr", "[address]:port", ""}},
        {"--role-label -x", "", {"--role-label", "label key", ""}},
        {"--role-label a/b/c", "", {"--role-label", "", ""}},
        {"--mode both", "", {"--mode", "auto, standalone, replication, sentinel, cluster", ""}},
        {"--eager yes", "", {"--eager", "on, off", ""}},
        {"--crash maybe", "", {"--crash", "on, off", ""}},
        {"--fence-after 2499", "", {"--fence-after", "2500 to 600000", ""}},
        {"--drain-timeout 0", "", {"--drain-timeout", "1 to 3600", ""}},
        {"--max-lag 1m", "", {"--max-lag", "0 to 1099511627776", ""}},
        {"--log-level loud", "", {"--log-level", "error, warn, info, debug", ""}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        parse(&p, cases[i].args, cases[i].env);
        for (size_t k = 0; k < 3; k++) {
            if (cases[i].parts[k] != NULL) {
                assert_error(&p, cases[i].parts[k]);
            }
        }
        assert_false(p.o.usage_error);
        options_release(&p.o);
    }
}

static void test_valid_forms(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "--redis-addr unix:/run/redis.sock",
        "--redis-addr [::1]:6379",
        "--sentinel-addrs a:1,[::1]:2",
        "--announce-addrs ::1,10.0.0.1:6380,redis-0.redis",
        "--http-addr :0",
        "--http-addr 127.0.0.1:0",
        "--kube-url none",
        "--kube-url http://127.0.0.1:1",
        "--role-label example.com/role",
        "--sentinel-count 16",
        "--eager off",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        parse(&p, cases[i], "");
        assert_string_equal(buf_str(&p.o.errors), "");
        options_release(&p.o);
    }
}

static void test_unknown_names_are_errors_with_a_suggestion(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "", "RPA_SENTINEL_ADRS=a:1 HOME=x");
    assert_error(&p, "RPA_SENTINEL_ADRS: no such option; did you mean RPA_SENTINEL_ADDRS?");
    assert_null(strstr(buf_str(&p.o.errors), "HOME"));
    assert_false(p.o.usage_error);
    options_release(&p.o);
    parse(&p, "--redis-adr x", "");
    assert_error(&p, "did you mean --redis-addr?");
    assert_true(p.o.usage_error);
    options_release(&p.o);
    parse(&p, "--pod-name", "");
    assert_error(&p, "--pod-name: needs a value");
    assert_true(p.o.usage_error);
    options_release(&p.o);
    parse(&p, "stray", "");
    assert_error(&p, "'stray'");
    assert_true(p.o.usage_error);
    options_release(&p.o);
}

static void test_all_errors_at_once(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "--eager maybe --mode x --nonsense", "RPA_LOG_LEVEL=loud RPA_FOO=1");
    assert_error(&p, "--eager");
    assert_error(&p, "--mode");
    assert_error(&p, "--nonsense");
    assert_error(&p, "--log-level");
    assert_error(&p, "RPA_FOO");
    options_release(&p.o);
}

static void test_help_and_markdown_name_every_option(void **state)
{
    (void)state;
    AUTO_BUF struct buf help;
    AUTO_BUF struct buf table;
    buf_init(&help, OPTIONS_ERRORS_MAX);
    buf_init(&table, OPTIONS_ERRORS_MAX);
    options_write_help(&help);
    options_write_markdown(&table);
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        char env[64];
        assert_non_null(strstr(buf_str(&help), option_spec((enum option_id)id)->flag));
        assert_non_null(strstr(buf_str(&help), option_env_name((enum option_id)id, env)));
        assert_non_null(strstr(buf_str(&table), option_spec((enum option_id)id)->flag));
    }
}

#define IN_KUBE \
    "--kube-url http://127.0.0.1:1 --pod-name redis-2 --pod-namespace n --pod-ip 10.0.0.2 "

static void test_config_completes_addresses(void **state)
{
    (void)state;
    struct parsed p;
    struct config c;
    char text[ADDR_TEXT_MAX];
    parse(&p,
          IN_KUBE "--sentinel-addrs a:1,b:2,c:3 --redis-addr 127.0.0.1:7000 "
                  "--announce-addrs redis-2.redis,other:7001,fd00::2",
          "");
    assert_int_equal(config_from_options(&c, &p.o), 0);
    assert_int_equal(c.mode, CORE_MODE_SENTINEL);
    assert_int_equal(c.sentinel_count, 3);
    assert_int_equal(c.me_count, 4);
    assert_string_equal(addr_text(&c.me[0], text), "10.0.0.2:7000");
    assert_string_equal(addr_text(&c.me[1], text), "redis-2.redis:7000");
    assert_string_equal(addr_text(&c.me[2], text), "other:7001");
    assert_string_equal(addr_text(&c.me[3], text), "[fd00::2]:7000");
    assert_true(c.kube);
    assert_null(c.kube_token_file); /* never a default token over plain HTTP */
    options_release(&p.o);
}

static void test_config_modes_and_contradictions(void **state)
{
    (void)state;
    static const struct {
        const char *args;
        const char *part; /* NULL: valid */
    } cases[] = {
        {"--kube-url none", NULL},
        {"--kube-url none --mode cluster", "not supported yet"},
        {"--kube-url none --mode sentinel", "needs the Sentinels' addresses"},
        {"--kube-url none --mode standalone --sentinel-addrs a:1", "contradicts"},
        {"--kube-url none --sentinel-addrs a:1,b:1 --sentinel-count 1 --pod-ip 10.0.0.1",
         "less than"},
        {"--kube-url none --sentinel-count 3", "no address"},
        {"--kube-url none --sentinel-addrs a:1", "cannot be compared"},
        {"--kube-url none --redis-user u", "needs --redis-password-file"},
        {"--kube-url http://127.0.0.1:1 --pod-namespace n", "--pod-name"},
        {"--kube-url http://127.0.0.1:1 --pod-name a-0", "--pod-namespace"},
        {"--pod-name a-0 --pod-namespace n", "not in a Pod"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parsed p;
        struct config c;
        parse(&p, cases[i].args, "");
        int bad = config_from_options(&c, &p.o);
        assert_int_equal(bad, cases[i].part == NULL ? 0 : -1);
        if (cases[i].part != NULL) {
            assert_error(&p, cases[i].part);
        }
        options_release(&p.o);
    }
}

static void test_config_of_the_engine(void **state)
{
    (void)state;
    struct parsed p;
    struct config c;
    parse(&p, "--kube-url none", "");
    assert_int_equal(config_from_options(&c, &p.o), 0);
    assert_true(c.on.crash && c.on.hand_over && c.on.gone && c.on.repair && c.on.harmless);
    assert_true(c.on.enforce && c.on.peer_demotion && c.on.sweep && c.on.fence);
    assert_int_equal(c.max_lag_bytes, 64 * 1024 * 1024);
    assert_int_equal(c.fence_after_us, 2500000);
    assert_int_equal(c.drain_timeout_us, 20000000);
    assert_null(c.launch_socket);
    options_release(&p.o);
    parse(&p,
          "--kube-url none --max-lag 0 --fence-after 5000 --drain-timeout 60 "
          "--launch-socket /run/redis/launch.sock",
          "RPA_CRASH=off RPA_PEER_DEMOTION=off");
    assert_int_equal(config_from_options(&c, &p.o), 0);
    assert_false(c.on.crash || c.on.peer_demotion);
    assert_true(c.on.gone && c.on.fence);
    assert_int_equal(c.max_lag_bytes, 0);
    assert_int_equal(c.fence_after_us, 5000000);
    assert_int_equal(c.drain_timeout_us, 60000000);
    assert_string_equal(c.launch_socket, "/run/redis/launch.sock");
    options_release(&p.o);
    char flag[200] = "--kube-url none --launch-socket /";
    memset(flag + strlen(flag), 'x', 107);
    parse(&p, flag, "");
    assert_int_equal(config_from_options(&c, &p.o), -1);
    assert_error(&p, "longer than the path of a unix socket");
    options_release(&p.o);
}

static void test_flags_of_single_commands(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p, "--history", "");
    assert_true(p.o.history && !p.o.json && !p.o.markdown);
    options_release(&p.o);
    parse(&p, "--json", "");
    assert_true(p.o.json && !p.o.history && !p.o.markdown);
    options_release(&p.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_valid),
        cmocka_unit_test(test_flag_wins_over_environment_over_second_name),
        cmocka_unit_test(test_wrong_values_say_which_where_and_what_is_allowed),
        cmocka_unit_test(test_valid_forms),
        cmocka_unit_test(test_unknown_names_are_errors_with_a_suggestion),
        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_help_and_markdown_name_every_option),
        cmocka_unit_test(test_config_completes_addresses),
        cmocka_unit_test(test_config_modes_and_contradictions),
        cmocka_unit_test(test_config_of_the_engine),
        cmocka_unit_test(test_flags_of_single_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
