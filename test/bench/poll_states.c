/* When does a server change its mind?
 *
 * usage: poll_states PERIOD_US (role|name):ADDRESS:PORT...
 *
 * role asks a Redis for its ROLE, name asks a Sentinel for the address of "mymaster", every
 * PERIOD_US. Prints "NS INDEX VALUE" when an answer differs from the one before it, with the
 * CLOCK_MONOTONIC time at which it was read: the first word of ROLE, the address without its port,
 * "-" for none within 200 ms or a broken connection. Ends by a signal. */
#include "test/bench/conn.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define TARGETS_MAX 16
#define REPLY_TIMEOUT_NS 200000000L
#define IDLE_NS 50000000L
#define VALUE_MAX 64

static const char ask_role[] = "*1\r\n$4\r\nROLE\r\n";
static const char ask_name[] = "*3\r\n$8\r\nSENTINEL\r\n$23\r\nget-master-addr-by-name\r\n"
                               "$8\r\nmymaster\r\n";

enum state { CLOSED, CONNECTING, IDLE, WAITING };

struct target {
    struct sockaddr_in to;
    const char *command;
    int fd;
    enum state state;
    int64_t due_ns; /* of the next try or question; when waiting: patience ends */
    int64_t asked_ns;
    char value[VALUE_MAX];
};

static void note(struct target *t, size_t index, const char *value)
{
    if (strcmp(t->value, value) != 0) {
        (void)snprintf(t->value, sizeof t->value, "%s", value);
        (void)printf("%lld %zu %s\n", (long long)now_ns(), index, value);
    }
}

static void drop(struct target *t, size_t index, int64_t period_ns)
{
    note(t, index, "-");
    if (t->fd >= 0) {
        (void)close(t->fd);
    }
    t->fd = -1;
    t->state = CLOSED;
    t->due_ns = now_ns() + period_ns;
}

/* The first bulk string of an array, which both answers begin with. */
static bool first_word(char *reply, char *out)
{
    char *head = strchr(reply, '$');
    char *word = head != NULL ? strstr(head, "\r\n") : NULL;
    char *end = word != NULL ? strstr(word + 2, "\r\n") : NULL;
    if (reply[0] != '*' || end == NULL || end - word - 2 >= VALUE_MAX) {
        return false;
    }
    *end = '\0';
    (void)snprintf(out, VALUE_MAX, "%s", word + 2);
    return true;
}

static void read_reply(struct target *t, size_t index, int64_t period_ns)
{
    char reply[4096], value[VALUE_MAX];
    ssize_t n = recv(t->fd, reply, sizeof reply - 1, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    reply[n > 0 ? n : 0] = '\0';
    if (t->state != WAITING || n <= 0 || !first_word(reply, value)) {
        drop(t, index, period_ns);
        return;
    }
    note(t, index, value);
    t->state = IDLE;
    t->due_ns = t->asked_ns + period_ns;
}

static void act(struct target *t, size_t index, int64_t period_ns)
{
    if (now_ns() < t->due_ns) {
        return;
    }
    switch (t->state) {
    case CLOSED:
        t->fd = begin_connect(&t->to);
        if (t->fd < 0) {
            drop(t, index, period_ns);
            return;
        }
        t->state = CONNECTING;
        t->due_ns = now_ns() + REPLY_TIMEOUT_NS;
        break;
    case IDLE:
        t->asked_ns = now_ns();
        t->state = WAITING;
        t->due_ns = t->asked_ns + REPLY_TIMEOUT_NS;
        if (send(t->fd, t->command, strlen(t->command), MSG_NOSIGNAL) < 0) {
            drop(t, index, period_ns);
        }
        break;
    case CONNECTING:
    case WAITING:
        drop(t, index, period_ns);
        break;
    }
}

static void on_ready(struct target *t, size_t index, int64_t period_ns)
{
    if (t->state != CONNECTING) {
        read_reply(t, index, period_ns);
    } else if (is_connected(t->fd)) {
        t->state = IDLE;
        t->due_ns = now_ns();
    } else {
        drop(t, index, period_ns);
    }
}

static bool turn(struct target *targets, size_t count, int64_t period_ns)
{
    struct pollfd fds[TARGETS_MAX];
    int64_t wait_ns = IDLE_NS, now = now_ns();
    for (size_t i = 0; i < count; i++) {
        short events = targets[i].state == CONNECTING ? POLLOUT : POLLIN;
        fds[i] = (struct pollfd){.fd = targets[i].fd, .events = events};
        wait_ns = targets[i].due_ns - now < wait_ns ? targets[i].due_ns - now : wait_ns;
    }
    struct timespec wait = {.tv_nsec = wait_ns > 0 ? wait_ns : 0};
    if (ppoll(fds, count, &wait, NULL) < 0 && errno != EINTR) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd >= 0 && fds[i].revents != 0) {
            on_ready(&targets[i], i, period_ns);
        }
        act(&targets[i], i, period_ns);
    }
    return true;
}

/* KIND:ADDRESS:PORT */
static bool parse(const char *text, struct target *out)
{
    char ip[INET_ADDRSTRLEN];
    const char *address = strchr(text, ':');
    const char *port = address != NULL ? strchr(address + 1, ':') : NULL;
    if (port == NULL || (size_t)(port - address - 1) >= sizeof ip) {
        return false;
    }
    memcpy(ip, address + 1, (size_t)(port - address - 1));
    ip[port - address - 1] = '\0';
    bool is_name = strncmp(text, "name:", 5) == 0;
    *out = (struct target){.fd = -1, .command = is_name ? ask_name : ask_role};
    return (is_name || strncmp(text, "role:", 5) == 0) && parse_address(ip, port + 1, &out->to);
}

int main(int argc, char **argv)
{
    static struct target targets[TARGETS_MAX];
    size_t count = argc > 2 ? (size_t)argc - 2 : 0;
    bool valid = count > 0 && count <= TARGETS_MAX;
    for (size_t i = 0; i < count && valid; i++) {
        valid = parse(argv[i + 2], &targets[i]);
    }
    if (!valid) {
        (void)fputs("usage: poll_states PERIOD_US (role|name):ADDRESS:PORT...\n", stderr);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    int64_t period_ns = strtoll(argv[1], NULL, 10) * 1000;
    while (turn(targets, count, period_ns)) {
    }
    return 1;
}
