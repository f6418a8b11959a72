#include "test/io/port_log.h"

#include "lib/base/check.h"

static void copy(struct port_told *t)
{
    struct core_event *ev = &t->ev;
    if (ev->type == CORE_LOCAL_INFO || ev->type == CORE_MEMBER_INFO) {
        t->has = ev->u.info != NULL;
        t->copy.info = t->has ? *ev->u.info : t->copy.info;
        ev->u.info = NULL;
    } else if (ev->type == CORE_SENTINEL_VIEW) {
        t->has = ev->u.view != NULL;
        t->copy.view = t->has ? *ev->u.view : t->copy.view;
        ev->u.view = NULL;
    } else if (ev->type == CORE_SENTINEL_LOOK) {
        t->has = ev->u.look != NULL;
        t->copy.look = t->has ? *ev->u.look : t->copy.look;
        ev->u.look = NULL;
    } else if (ev->type == CORE_LOCAL_ROLE) {
        t->has = ev->u.role.role != NULL;
        t->copy.role = t->has ? *ev->u.role.role : t->copy.role;
        ev->u.role.role = NULL;
    } else if (ev->type == CORE_API_DONE) {
        t->has = ev->u.api.pod != NULL;
        ev->u.api.pod = NULL;
    }
}

static void on_event(void *arg, struct core_event *ev)
{
    struct port_log *log = arg;
    REQUIRE(log->count < PORT_LOG_MAX);
    struct port_told *t = &log->told[log->count++];
    t->ev = *ev;
    copy(t);
}

struct port_sink port_log_sink(struct port_log *log)
{
    return (struct port_sink){.event = on_event, .arg = log};
}

static bool fits(const struct port_told *t, enum core_event_type type, uint64_t op)
{
    return t->ev.type == type && (op == 0 || t->ev.op == op);
}

size_t port_log_count(const struct port_log *log, enum core_event_type type, uint64_t op)
{
    size_t n = 0;
    for (size_t i = 0; i < log->count; i++) {
        n += fits(&log->told[i], type, op) ? 1 : 0;
    }
    return n;
}

const struct port_told *port_log_last(const struct port_log *log, enum core_event_type type,
                                      uint64_t op)
{
    for (size_t i = log->count; i > 0; i--) {
        if (fits(&log->told[i - 1], type, op)) {
            return &log->told[i - 1];
        }
    }
    return NULL;
}
