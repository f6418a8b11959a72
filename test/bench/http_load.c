/* How long do GETs take, one after the other over one keep-alive connection?
 *
 * usage: http_load ADDRESS PORT PATH COUNT
 *
 * Prints a line "STATUS NS" for each: from before the request is written to when the whole
 * answer has been read. Exit status 1 where the connection breaks or is closed. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPLY_TIMEOUT_S 5
#define ANSWER_MAX 65536

struct sample {
    int status;
    int64_t ns;
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int open_connection(const char *address, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = REPLY_TIMEOUT_S};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        perror("connect");
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return fd;
}

/* Whole when the header has ended and Content-Length bytes follow. */
static bool is_whole(const char *answer, size_t len)
{
    const char *end = strstr(answer, "\r\n\r\n");
    const char *field = strcasestr(answer, "\r\nContent-Length:");
    if (end == NULL || field == NULL || field > end) {
        return false;
    }
    size_t body = strtoul(field + strlen("\r\nContent-Length:"), NULL, 10);
    return len >= (size_t)(end - answer) + 4 + body;
}

static bool get(int fd, const char *request, size_t request_len, struct sample *out)
{
    static const char version[] = "HTTP/1.1 ";
    char answer[ANSWER_MAX];
    size_t len = 0;
    int64_t start_ns = now_ns();
    if (send(fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
        return false;
    }
    do {
        ssize_t n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        answer[len] = '\0';
    } while (!is_whole(answer, len));
    out->ns = now_ns() - start_ns;
    if (strncmp(answer, version, sizeof version - 1) != 0) {
        return false;
    }
    out->status = (int)strtol(answer + sizeof version - 1, NULL, 10);
    return true;
}

int main(int argc, char **argv)
{
    char request[512];
    if (argc != 5) {
        (void)fputs("usage: http_load ADDRESS PORT PATH COUNT\n", stderr);
        return 2;
    }
    size_t count = strtoul(argv[4], NULL, 10);
    int len =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
    struct sample *samples = calloc(count + 1, sizeof *samples);
    int fd = open_connection(argv[1], argv[2]);
    size_t done = 0;
    if (samples != NULL && fd >= 0 && len > 0 && (size_t)len < sizeof request) {
        while (done < count && get(fd, request, (size_t)len, &samples[done])) {
            done++;
        }
        for (size_t i = 0; i < done; i++) {
            (void)printf("%d %lld\n", samples[i].status, (long long)samples[i].ns);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(samples);
    return done == count ? 0 : 1;
}
