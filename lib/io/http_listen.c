#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io/http_server.h"

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static socklen_t address_len(const union address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

static bool split(struct sv text, struct sv *ret_host, uint16_t *ret_port)
{
    const char *colon = memrchr(text.ptr, ':', text.len);
    uint64_t port;

    if (!colon) {
        return false;
    }
    *ret_host = (struct sv){text.ptr, (size_t)(colon - text.ptr)};
    if (!sv_to_u64((struct sv){colon + 1, text.len - ret_host->len - 1}, &port) ||
        port > UINT16_MAX) {
        return false;
    }
    *ret_port = (uint16_t)port;
    return true;
}

static bool parse(struct sv host, uint16_t port, union address *ret)
{
    char text[INET6_ADDRSTRLEN];

    memset(ret, 0, sizeof(*ret));
    if (host.len == 0) {
        ret->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        return true;
    }
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        ret->in6.sin6_family = AF_INET6;
        ret->in6.sin6_port = htons(port);
        return str_copy(text, sizeof(text), (struct sv){host.ptr + 1, host.len - 2}) &&
               inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1;
    }
    ret->in.sin_family = AF_INET;
    ret->in.sin_port = htons(port);
    return str_copy(text, sizeof(text), host) && inet_pton(AF_INET, text, &ret->in.sin_addr) == 1;
}

static int bind_listen(union address *a)
{
    int on = 1;
    int off = 0;
    int saved;
    socklen_t len = address_len(a);
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->any.sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    }
    if (bind(fd, &a->any, len) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, &a->any, &len) == 0) {
        return fd;
    }
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int http_listen(const char *address, uint16_t *ret_port, struct err *e)
{
    struct sv host;
    uint16_t port;
    union address a;
    int fd;

    if (!split(sv_from(address), &host, &port) || !parse(host, port, &a)) {
        return err_set(e, ERR_INVAL, "listen address '%s' is not HOST:PORT with a numeric host",
                       address);
    }
    fd = bind_listen(&a);
    if (fd < 0 && host.len == 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        memset(&a, 0, sizeof(a));
        a.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        fd = bind_listen(&a);
    }
    if (fd < 0) {
        return err_set_errno(e, errno, "listen on %s", address);
    }
    *ret_port = ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
    return fd;
}
