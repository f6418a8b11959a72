/* The log: what a line holds, levels, context, repeats on a clock of the test's, and that a
 * reader who does not read cannot stop the writer. */
#include "lib/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "test/unit/support/fixture.h"

/* Stands in for libc's in this executable. */
static int64_t wall_ms, mono_ms;

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    int64_t ms = clock == CLOCK_REALTIME ? wall_ms : mono_ms;

    *ret = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return 0;
}

struct lines {
    struct buf text;
    unsigned count;
};

static void keep(void *arg, struct sv line)
{
    struct lines *lines = arg;

    buf_add_sv(&lines->text, line);
    lines->count++;
}

static int setup(void **state)
{
    static struct lines lines;

    buf_init(&lines.text, 1 << 20);
    lines.count = 0;
    wall_ms = 1767323045678; /* 2026-01-02T03:04:05.678Z */
    mono_ms += 1000000;      /* beyond any window of an earlier test */
    log_set_level(LOG_INFO);
    log_set_context("", "", 0);
    log_set_sink(keep, &lines);
    *state = &lines;
    return 0;
}

static int teardown(void **state)
{
    struct lines *lines = *state;

    log_set_sink(NULL, NULL);
    buf_release(&lines->text);
    return 0;
}

static void test_line_with_every_field_type(void **state)
{
    struct lines *lines = *state;

    log_info("role", "role changed", F_STR("from", "pending"), F_SV("sv", SV("x")),
             F_U64("epoch", 7), F_I64("offset", -1), F_F64("seconds", 0.25), F_BOOL("eager", true),
             F_STR("none", NULL));
    assert_string_equal(buf_str(&lines->text),
                        "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"mod\":\"role\","
                        "\"msg\":\"role changed\",\"from\":\"pending\",\"sv\":\"x\",\"epoch\":7,"
                        "\"offset\":-1,\"seconds\":0.25,\"eager\":true,\"none\":null}\n");
}

static void test_line_without_fields(void **state)
{
    struct lines *lines = *state;

    log_error("m", "plain");
    assert_string_equal(buf_str(&lines->text),
                        "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"error\",\"mod\":\"m\","
                        "\"msg\":\"plain\"}\n");
}

static void test_levels(void **state)
{
    struct lines *lines = *state;

    for (int level = 0; level < LOG_LEVEL_COUNT; level++) {
        enum log_level parsed;
        assert_true(log_level_from(sv_from(log_level_name((enum log_level)level)), &parsed));
        assert_int_equal(parsed, level);
        log_set_level((enum log_level)level);
        lines->count = 0;
        log_error("m", "levels: error");
        log_warn("m", "levels: warn");
        log_info("m", "levels: info");
        log_debug("m", "levels: debug");
        assert_int_equal(lines->count, level + 1);
        assert_true(log_enabled((enum log_level)level));
        assert_int_equal(log_enabled(LOG_DEBUG), level == LOG_DEBUG);
    }
    enum log_level kept = LOG_WARN;
    assert_false(log_level_from(SV("WARN"), &kept));
    assert_false(log_level_from(SV(""), &kept));
    assert_int_equal(kept, LOG_WARN);
    assert_string_equal(log_level_name(LOG_LEVEL_COUNT), "unknown");
}

static unsigned evaluations;

static uint64_t evaluate(void)
{
    return ++evaluations;
}

static void test_fields_of_a_disabled_level_are_not_evaluated(void **state)
{
    (void)state;
    log_debug("m", "off", F_U64("n", evaluate()));
    assert_int_equal(evaluations, 0);
    log_info("m", "on", F_U64("n", evaluate()));
    assert_int_equal(evaluations, 1);
}

static void test_context(void **state)
{
    struct lines *lines = *state;
    char long_name[200];

    log_set_context("redis-0", "master", 3);
    log_info("m", "context 1");
    assert_non_null(
        strstr(buf_str(&lines->text),
               "\"msg\":\"context 1\",\"pod\":\"redis-0\",\"role\":\"master\",\"epoch\":3}"));
    buf_reset(&lines->text);
    log_set_context(NULL, "replica", 0);
    log_info("m", "context 2");
    assert_non_null(
        strstr(buf_str(&lines->text),
               "\"msg\":\"context 2\",\"pod\":\"redis-0\",\"role\":\"replica\",\"epoch\":0}"));
    buf_reset(&lines->text);
    memset(long_name, 'p', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    log_set_context(long_name, "", 9);
    log_info("m", "context 3");
    long_name[127] = '\0';
    char wanted[200];
    (void)snprintf(wanted, sizeof(wanted), "\"msg\":\"context 3\",\"pod\":\"%s\"}", long_name);
    assert_non_null(strstr(buf_str(&lines->text), wanted));
}

static void write_repeat(void)
{
    log_warn("m", "repeats");
}

static void test_repeats_are_dropped_and_counted(void **state)
{
    struct lines *lines = *state;

    for (int i = 0; i < 12; i++) {
        write_repeat();
    }
    assert_int_equal(lines->count, LOG_BURST);
    assert_null(strstr(buf_str(&lines->text), "suppressed"));
    mono_ms += LOG_WINDOW_MS - 1;
    write_repeat();
    assert_int_equal(lines->count, LOG_BURST);
    mono_ms += 1;
    write_repeat();
    assert_int_equal(lines->count, LOG_BURST + 1);
    assert_non_null(strstr(buf_str(&lines->text), "\"msg\":\"repeats\",\"suppressed\":8}\n"));
    buf_reset(&lines->text);
    write_repeat();
    assert_int_equal(lines->count, LOG_BURST + 2);
    assert_null(strstr(buf_str(&lines->text), "suppressed"));
}

static void test_debug_lines_are_all_written(void **state)
{
    struct lines *lines = *state;

    log_set_level(LOG_DEBUG);
    for (int i = 0; i < 3 * LOG_BURST; i++) {
        log_debug("m", "debug repeats");
    }
    assert_int_equal(lines->count, 3 * LOG_BURST);
}

static void test_line_that_does_not_fit_stays_json(void **state)
{
    struct lines *lines = *state;
    char text[LOG_LINE_MAX + 1];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_info("m", "long", F_STR("text", text));
    assert_string_equal(buf_str(&lines->text),
                        "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\",\"mod\":\"m\","
                        "\"msg\":\"long\",\"cut\":true}\n");
    text[LOG_LINE_MAX - 200] = '\0';
    buf_reset(&lines->text);
    log_info("m", "fits", F_STR("text", text));
    assert_null(strstr(buf_str(&lines->text), "cut"));
    assert_non_null(strstr(buf_str(&lines->text), text));
}

/* Writes to fd 2 through a pipe of which nobody reads. */
static void test_full_pipe_does_not_block(void **state)
{
    (void)state;
    int fds[2];
    char byte = 'x';
    int old = dup(STDERR_FILENO);

    assert_true(old >= 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    log_set_sink(NULL, NULL);
    log_info("m", "to the pipe");
    char line[256] = "";
    ssize_t got = read(fds[0], line, sizeof(line) - 1);
    while (write(fds[1], &byte, 1) == 1) {
    }
    int write_errno = errno;
    log_info("m", "to a full pipe");
    assert_int_equal(dup2(old, STDERR_FILENO), STDERR_FILENO);
    assert_true(write_errno == EAGAIN);
    assert_true(got > 0);
    assert_non_null(strstr(line, "\"msg\":\"to the pipe\"}\n"));
    (void)close(old);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line_with_every_field_type, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line_without_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_of_a_disabled_level_are_not_evaluated, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_context, setup, teardown),
        cmocka_unit_test_setup_teardown(test_repeats_are_dropped_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_debug_lines_are_all_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line_that_does_not_fit_stays_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_pipe_does_not_block, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
