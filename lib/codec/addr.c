#include "lib/codec/addr.h"

#include <arpa/inet.h>
#include <strings.h>

bool addr_is_set(const struct addr *a)
{
    return a->host[0] != '\0';
}

/* The address as 16 bytes, IPv4 as its mapped form (RFC 4291 2.5.5.2). */
static bool to_binary(const char *host, struct in6_addr *ret)
{
    struct in_addr v4;
    if (inet_pton(AF_INET6, host, ret) == 1) {
        return true;
    }
    if (inet_pton(AF_INET, host, &v4) != 1) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    ret->s6_addr[10] = 0xff;
    ret->s6_addr[11] = 0xff;
    memcpy(&ret->s6_addr[12], &v4, sizeof v4);
    return true;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    struct in6_addr left;
    struct in6_addr right;
    if (a->port != b->port) {
        return false;
    }
    if (strcasecmp(a->host, b->host) == 0) {
        return true;
    }
    return to_binary(a->host, &left) && to_binary(b->host, &right) &&
           memcmp(&left, &right, sizeof left) == 0;
}

static bool is_host(struct sv host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == '\0' || strchr("-._:%", c) == NULL)) {
            return false;
        }
    }
    return host.len > 0 && host.len <= HOST_MAX;
}

bool addr_set(struct addr *a, struct sv host, uint64_t port)
{
    if (!is_host(host) || port == 0 || port > UINT16_MAX) {
        return false;
    }
    (void)str_copy(a->host, sizeof a->host, host);
    a->port = (uint16_t)port;
    return true;
}

bool addr_parse(struct addr *a, struct sv text)
{
    struct sv host;
    uint16_t port;
    return sv_to_host_port(text, &host, &port) && addr_set(a, host, port);
}

const char *addr_text(const struct addr *a, char out[static ADDR_TEXT_MAX])
{
    bool v6 = strchr(a->host, ':') != NULL;
    (void)snprintf(out, ADDR_TEXT_MAX, "%s%s%s:%u", v6 ? "[" : "", a->host, v6 ? "]" : "",
                   (unsigned)a->port);
    return out;
}
