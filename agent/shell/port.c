#include "agent/shell/port.h"

static const char *const target_names[] = {PORT_TARGETS(RPA_ENUM_NAME)};

const char *port_target_name(enum port_target t)
{
    return target_names[t];
}

enum local_down port_down_of(enum redis_down why)
{
    switch (why) {
    case REDIS_DOWN_REFUSED:
        return LOCAL_DOWN_REFUSED;
    case REDIS_DOWN_EOF:
        return LOCAL_DOWN_CLOSED;
    case REDIS_DOWN_AUTH:
        return LOCAL_DOWN_DENIED;
    case REDIS_DOWN_PROTO:
    case REDIS_DOWN_LIMIT:
        return LOCAL_DOWN_BROKEN;
    case REDIS_DOWN_NONE:
    case REDIS_DOWN_RESOLVE:
    case REDIS_DOWN_UNREACHABLE:
    case REDIS_DOWN_TIMEOUT:
    case REDIS_DOWN_STOPPED:
        return LOCAL_DOWN_SILENT;
    }
    return LOCAL_DOWN_SILENT;
}
