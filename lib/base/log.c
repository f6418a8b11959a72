#include "lib/base/log.h"

#include <poll.h>
#include <unistd.h>

#include "lib/base/jsonw.h"

#define LOG_REPEAT_SLOTS 64

struct repeat {
    const char *mod;
    const char *msg; /* constants: compared by address */
    uint64_t window_start_ms;
    uint64_t count;
};

static const char *const level_names[] = {LOG_LEVELS(RPA_ENUM_NAME)};

static struct {
    enum log_level level;
    log_sink_fn *sink;
    void *sink_arg;
    char pod[128];
    char role[128];
    uint64_t epoch;
    struct repeat repeats[LOG_REPEAT_SLOTS];
} state = {.level = LOG_INFO};

const char *log_level_name(enum log_level level)
{
    return (size_t)level < ARRAY_LEN(level_names) ? level_names[level] : "unknown";
}

bool log_level_from(struct sv name, enum log_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (sv_eq_str(name, level_names[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_set_level(enum log_level level)
{
    state.level = level;
}

bool log_enabled(enum log_level level)
{
    return level <= state.level;
}

static void set_text(char *dst, size_t size, const char *value)
{
    if (value != NULL) {
        (void)snprintf(dst, size, "%s", value);
    }
}

void log_set_context(const char *pod, const char *role, uint64_t epoch)
{
    set_text(state.pod, sizeof state.pod, pod);
    set_text(state.role, sizeof state.role, role);
    state.epoch = epoch;
}

void log_set_sink(log_sink_fn *sink, void *arg)
{
    state.sink = sink;
    state.sink_arg = arg;
}

/* True where the line is to be written; *ret_suppressed: how many before it were not. */
static bool admit(const char *mod, const char *msg, uint64_t now_ms, uint64_t *ret_suppressed)
{
    size_t slot = ((uintptr_t)msg >> 3) % LOG_REPEAT_SLOTS;
    struct repeat *r = &state.repeats[slot];
    *ret_suppressed = 0;
    if (r->mod != mod || r->msg != msg) {
        *r = (struct repeat){.mod = mod, .msg = msg, .window_start_ms = now_ms};
    } else if (u64_since(now_ms, r->window_start_ms) >= LOG_WINDOW_MS) {
        *ret_suppressed = r->count > LOG_BURST ? r->count - LOG_BURST : 0;
        r->window_start_ms = now_ms;
        r->count = 0;
    }
    r->count++;
    return r->count <= LOG_BURST;
}

static void add_field(struct jsonw *w, const struct log_field *f)
{
    switch (f->type) {
    case LOG_FIELD_STR:
        jsonw_str(w, f->key, f->v.str);
        return;
    case LOG_FIELD_SV:
        jsonw_sv(w, f->key, f->v.sv);
        return;
    case LOG_FIELD_U64:
        jsonw_u64(w, f->key, f->v.u64);
        return;
    case LOG_FIELD_I64:
        jsonw_i64(w, f->key, f->v.i64);
        return;
    case LOG_FIELD_F64:
        jsonw_f64(w, f->key, f->v.f64);
        return;
    case LOG_FIELD_BOOL:
        jsonw_bool(w, f->key, f->v.boolean);
        return;
    }
}

static void add_context(struct jsonw *w)
{
    if (state.pod[0] != '\0') {
        jsonw_str(w, "pod", state.pod);
    }
    if (state.role[0] != '\0') {
        jsonw_str(w, "role", state.role);
        jsonw_u64(w, "epoch", state.epoch);
    }
}

/* Whoever reads our stderr may have stopped reading; setting O_NONBLOCK instead would change
 * the descriptor for every process that shares it. */
static void write_unless_blocked(struct sv line)
{
    struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0) {
        ssize_t ignored = write(STDERR_FILENO, line.ptr, line.len);
        (void)ignored;
    }
}

void log_write(enum log_level level, const char *mod, const char *msg,
               const struct log_field *fields, size_t count)
{
    struct timespec wall;
    struct timespec mono;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    (void)clock_gettime(CLOCK_MONOTONIC, &mono);
    uint64_t suppressed = 0;
    uint64_t now_ms = (uint64_t)mono.tv_sec * 1000 + (uint64_t)mono.tv_nsec / 1000000;
    if (level != LOG_DEBUG && !admit(mod, msg, now_ms, &suppressed)) {
        return;
    }
    struct tm utc;
    char date[32] = "";
    if (gmtime_r(&wall.tv_sec, &utc) != NULL) {
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    }
    char ts[48];
    (void)snprintf(ts, sizeof ts, "%s.%03ldZ", date, wall.tv_nsec / 1000000);

    AUTO_BUF struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    struct jsonw w;
    jsonw_init(&w, &line);
    jsonw_open_object(&w, NULL);
    jsonw_str(&w, "ts", ts);
    jsonw_str(&w, "level", log_level_name(level));
    jsonw_str(&w, "mod", mod);
    jsonw_str(&w, "msg", msg);
    add_context(&w);
    for (size_t i = 0; i < count; i++) {
        add_field(&w, &fields[i]);
    }
    if (suppressed > 0) {
        jsonw_u64(&w, "suppressed", suppressed);
    }
    jsonw_close(&w);
    buf_add_char(&line, '\n');
    if (line.overflow) {
        /* A line that does not fit would be cut into something that is not JSON. */
        buf_reset(&line);
        buf_addf(&line,
                 "{\"ts\":\"%s\",\"level\":\"%s\",\"mod\":\"%s\",\"msg\":\"%s\",\"cut\":true}\n",
                 ts, log_level_name(level), mod, msg);
    }
    if (state.sink != NULL) {
        state.sink(state.sink_arg, buf_sv(&line));
    } else {
        write_unless_blocked(buf_sv(&line));
    }
}
