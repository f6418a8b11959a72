/* host:port as Redis and Sentinel write it: the host is an IP or a name, compared as
 * spelled (without case, and with IPv6 compared by value), never resolved here. */
#ifndef RPA_CODEC_ADDR_H
#define RPA_CODEC_ADDR_H

#include "lib/base/sv.h"

#define HOST_MAX 255 /* RFC 1035 2.3.4; Redis's own limit is higher and never needed */

struct addr {
    char host[HOST_MAX + 1]; /* "" = none */
    uint16_t port;
};

#define ADDR_TEXT_MAX (HOST_MAX + 9) /* "[host]:65535" and NUL */

bool addr_is_set(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_set(struct addr *a, struct sv host, uint64_t port) MUST_USE; /* false: too long, port not 1..65535, empty */
bool addr_parse(struct addr *a, struct sv text) MUST_USE; /* sv_to_host_port's forms */
const char *addr_text(const struct addr *a, char out[static ADDR_TEXT_MAX]); /* returns out */

#endif
