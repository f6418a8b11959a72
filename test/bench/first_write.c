/* When does this Redis take its first write?
 *
 * usage: first_write ADDRESS PORT TIMEOUT_MS
 *
 * Sends SET, two thousand times a second, until it is answered +OK, through refusals (READONLY)
 * and closed connections. Prints "ready" at the first refusal and then "accepted NS", the
 * CLOCK_MONOTONIC time at which +OK was read; exit status 1 after TIMEOUT_MS without. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NS 500000L
#define REPLY_TIMEOUT_S 1

static const char command[] = "*3\r\n$3\r\nSET\r\n$11\r\nfirst-write\r\n$1\r\n1\r\n";

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int open_connection(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    struct timeval limit = {.tv_sec = REPLY_TIMEOUT_S};
    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (const struct sockaddr *)to, sizeof *to) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* 1: accepted, 0: refused, -1: the connection is of no more use. */
static int try_write(int fd)
{
    char reply[512];
    if (send(fd, command, sizeof command - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof command - 1)) {
        return -1;
    }
    ssize_t n = recv(fd, reply, sizeof reply, 0);
    if (n <= 0 || reply[n - 1] != '\n') {
        return -1;
    }
    return reply[0] == '+' ? 1 : 0;
}

/* Ends early when the connection is closed, as Sentinel does when it promotes. */
static void pause_between(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timespec interval = {.tv_nsec = INTERVAL_NS};
    (void)ppoll(&p, fd >= 0 ? 1 : 0, &interval, NULL);
}

static bool wait_for_write(const struct sockaddr_in *to, int64_t deadline_ns)
{
    int fd = -1;
    bool ready = false;
    for (int64_t t = now_ns(); t < deadline_ns; t = now_ns()) {
        fd = fd < 0 ? open_connection(to) : fd;
        int result = fd < 0 ? -1 : try_write(fd);
        if (result == 1) {
            (void)printf("accepted %lld\n", (long long)now_ns());
            (void)close(fd);
            return true;
        }
        if (result == 0 && !ready) {
            ready = true;
            (void)puts("ready");
        }
        bool was_open = fd >= 0;
        if (result < 0 && fd >= 0) {
            (void)close(fd);
            fd = -1;
        }
        /* What was closed is opened again at once. */
        if (result == 0 || !was_open) {
            pause_between(fd);
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        (void)fputs("usage: first_write ADDRESS PORT TIMEOUT_MS\n", stderr);
        return 2;
    }
    to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    int64_t deadline_ns = now_ns() + strtoll(argv[3], NULL, 10) * 1000000;
    return wait_for_write(&to, deadline_ns) ? 0 : 1;
}
