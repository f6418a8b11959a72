/* host:port as Redis and Sentinel write it: the host is an IP or a name, compared as
 * spelled without case, an IP by value (::1 is 0:0:0:0:0:0:0:1, and 1.2.3.4 is
 * ::ffff:1.2.3.4), never resolved here. */
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

/* False, and *a untouched: host empty, longer than HOST_MAX, or with a byte that neither a name
 * nor an IP has (only letters, digits and "-._:%" are taken, so that an address can stand in any
 * log line, hello or JSON text); port not 1 to 65535. */
bool addr_set(struct addr *a, struct sv host, uint64_t port) MUST_USE;
bool addr_parse(struct addr *a, struct sv text) MUST_USE; /* sv_to_host_port's forms */
const char *addr_text(const struct addr *a, char out[static ADDR_TEXT_MAX]); /* returns out */

#endif
