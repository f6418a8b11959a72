/* Structured log: one JSON object a line on stderr.
 *
 *     log_info("role", "role changed", F_STR("from", a), F_U64("epoch", 7));
 *     {"ts":"2026-01-01T00:00:00.000Z","level":"info","mod":"role","msg":"role changed",
 *      "pod":"redis-0","role":"master","from":"pending","epoch":7}
 *
 * `msg` is a constant, so that it can be searched; data goes into typed fields. Only the
 * shell and the commands log: lib/io and agent/core return errors and actions instead.
 * Repeats of one (mod, msg) pair beyond LOG_BURST in LOG_WINDOW_MS are dropped and counted
 * in `suppressed` of the next one that is written. A line is at most LOG_LINE_MAX bytes and
 * is one write(2), which is given up when stderr would block: logging never stops the loop.
 * One thread. The sink and the context are the only globals of the project. */
#ifndef RPA_BASE_LOG_H
#define RPA_BASE_LOG_H

#include "lib/base/sv.h"

#define LOG_LINE_MAX 4096 /* PIPE_BUF: what a pipe that is ready takes without blocking */
#define LOG_BURST 5
#define LOG_WINDOW_MS 10000

#define LOG_LEVELS(X)                                              \
    X(LOG_ERROR, "error") /* someone must act */                   \
    X(LOG_WARN, "warn")   /* degraded, and what is done instead */ \
    X(LOG_INFO, "info")   /* a state has changed */                \
    X(LOG_DEBUG, "debug") /* every event */

enum log_level { LOG_LEVELS(RPA_ENUM_MEMBER) LOG_LEVEL_COUNT };

enum log_field_type {
    LOG_FIELD_STR,
    LOG_FIELD_SV,
    LOG_FIELD_U64,
    LOG_FIELD_I64,
    LOG_FIELD_F64,
    LOG_FIELD_BOOL
};

struct log_field {
    const char *key;
    enum log_field_type type;
    union {
        const char *str;
        struct sv sv;
        uint64_t u64;
        int64_t i64;
        double f64;
        bool boolean;
    } v;
};

#define F_STR(k, x) ((struct log_field){.key = (k), .type = LOG_FIELD_STR, .v.str = (x)})
#define F_SV(k, x) ((struct log_field){.key = (k), .type = LOG_FIELD_SV, .v.sv = (x)})
#define F_U64(k, x) ((struct log_field){.key = (k), .type = LOG_FIELD_U64, .v.u64 = (x)})
#define F_I64(k, x) ((struct log_field){.key = (k), .type = LOG_FIELD_I64, .v.i64 = (x)})
#define F_F64(k, x) ((struct log_field){.key = (k), .type = LOG_FIELD_F64, .v.f64 = (x)})
#define F_BOOL(k, x) ((struct log_field){.key = (k), .type = LOG_FIELD_BOOL, .v.boolean = (x)})

const char *log_level_name(enum log_level level);
bool log_level_from(struct sv name, enum log_level *ret) MUST_USE;

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Fields that stand in every line from now on; copied, cut at 128 bytes; NULL leaves the
 * present value, "" removes it. */
void log_set_context(const char *pod, const char *role, uint64_t epoch);

/* Replaces stderr (tests). NULL restores it. The line ends with '\n'. */
typedef void log_sink_fn(void *arg, struct sv line);
void log_set_sink(log_sink_fn *sink, void *arg);

void log_write(enum log_level level, const char *mod, const char *msg,
               const struct log_field *fields, size_t count);

#define LOG_AT(level, mod, msg, ...)                                                   \
    do {                                                                               \
        if (log_enabled(level)) {                                                      \
            const struct log_field log_fields_[] = {F_STR(NULL, NULL), ##__VA_ARGS__}; \
            log_write(level, mod, msg, log_fields_ + 1, ARRAY_LEN(log_fields_) - 1);   \
        }                                                                              \
    } while (0)
#define log_error(mod, msg, ...) LOG_AT(LOG_ERROR, mod, msg, ##__VA_ARGS__)
#define log_warn(mod, msg, ...) LOG_AT(LOG_WARN, mod, msg, ##__VA_ARGS__)
#define log_info(mod, msg, ...) LOG_AT(LOG_INFO, mod, msg, ##__VA_ARGS__)
#define log_debug(mod, msg, ...) LOG_AT(LOG_DEBUG, mod, msg, ##__VA_ARGS__)

#endif
