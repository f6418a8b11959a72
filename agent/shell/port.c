#include "agent/shell/port.h"

static const char *const target_names[] = {PORT_TARGETS(RPA_ENUM_NAME)};

const char *port_target_name(enum port_target t)
{
    return target_names[t];
}
