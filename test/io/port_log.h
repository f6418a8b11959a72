/* What a port told its sink, copied: the events point to memory of the callback. */
#ifndef RPA_TEST_IO_PORT_LOG_H
#define RPA_TEST_IO_PORT_LOG_H

#include "agent/shell/port.h"

#define PORT_LOG_MAX 64

struct port_told {
    struct core_event ev;
    bool has; /* ev's pointer was set; it points to the copy below */
    union {
        struct info info;
        struct view view;
        struct sentinel_look look;
        struct role_reply role;
    } copy;
};

struct port_log {
    struct port_told told[PORT_LOG_MAX];
    size_t count;
};

struct port_sink port_log_sink(struct port_log *log);
/* How many of a type; with op where it is not 0. */
size_t port_log_count(const struct port_log *log, enum core_event_type type, uint64_t op);
/* The last of a type and op (0: any); NULL: none. */
const struct port_told *port_log_last(const struct port_log *log, enum core_event_type type,
                                      uint64_t op);

#endif
