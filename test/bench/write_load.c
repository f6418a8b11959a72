/* Clients that write to the master, and a ledger of what was acknowledged.
 *
 * usage: write_load CLIENTS INTERVAL_US PREFIX
 *
 * Each client sets a key of its own every INTERVAL_US and waits for the answer first. Keys are
 * PREFIX:CLIENT:NUMBER, none twice. A connection that breaks, is refused a write or is silent for
 * half a second is opened anew, at the address that was told last. On stdin:
 *   to ADDRESS PORT     new connections go there, those that work stay: clients of a Service
 *   move ADDRESS PORT   those that work are closed, too: clients that listen to Sentinel
 *   start, stop         writes begin; end, and "stopped" is printed when every answer is in
 * Prints "SENT_NS ACKNOWLEDGED_NS ADDRESS KEY" for each acknowledged write, times of
 * CLOCK_MONOTONIC. Ends with stdin. */
#include "test/bench/conn.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define CLIENTS_MAX 64
#define RETRY_NS 1000000L
#define REPLY_TIMEOUT_NS 500000000L
#define IDLE_NS 50000000L
#define KEY_MAX 64
#define LINE_MAX_LEN 128

enum state { CLOSED, CONNECTING, IDLE, WAITING };

struct client {
    int fd;
    enum state state;
    int64_t due_ns; /* CLOSED: of the next try. IDLE: of the next write. Else: patience ends */
    int64_t sent_ns;
    uint64_t number;
    struct sockaddr_in to;
    char key[KEY_MAX];
};

struct load {
    struct client clients[CLIENTS_MAX];
    size_t count;
    int64_t interval_ns;
    const char *prefix;
    bool has_target;
    bool running;
    bool stopping;
    struct sockaddr_in to;
    char line[LINE_MAX_LEN]; /* of stdin, as far as it has come */
    size_t line_len;
};

static void drop(struct client *c, int64_t retry_ns)
{
    (void)close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
    c->due_ns = now_ns() + retry_ns;
}

static void open_client(struct load *l, struct client *c)
{
    c->to = l->to;
    c->fd = begin_connect(&c->to);
    c->state = c->fd < 0 ? CLOSED : CONNECTING;
    c->due_ns = now_ns() + (c->fd < 0 ? RETRY_NS : REPLY_TIMEOUT_NS);
}

static void write_one(struct load *l, struct client *c)
{
    char command[2 * KEY_MAX];
    int key_len = snprintf(c->key, sizeof c->key, "%s:%zu:%llu", l->prefix,
                           (size_t)(c - l->clients), (unsigned long long)++c->number);
    int len = snprintf(command, sizeof command, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\n1\r\n",
                       key_len, c->key);
    c->sent_ns = now_ns();
    if (send(c->fd, command, (size_t)len, MSG_NOSIGNAL) != len) {
        drop(c, 0);
        return;
    }
    c->state = WAITING;
    c->due_ns = c->sent_ns + REPLY_TIMEOUT_NS;
}

static void read_reply(struct load *l, struct client *c)
{
    char reply[256];
    ssize_t n = recv(c->fd, reply, sizeof reply, 0);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (c->state != WAITING || n <= 0 || reply[0] != '+' || reply[n - 1] != '\n') {
        /* What was closed is opened again at once, what was refused after a moment. */
        drop(c, n > 0 ? RETRY_NS : 0);
        return;
    }
    char ip[INET_ADDRSTRLEN];
    int64_t now = now_ns();
    (void)printf("%lld %lld %s %s\n", (long long)c->sent_ns, (long long)now,
                 inet_ntop(AF_INET, &c->to.sin_addr, ip, sizeof ip), c->key);
    c->state = IDLE;
    c->due_ns = c->sent_ns + l->interval_ns;
    if (c->due_ns < now) {
        c->due_ns = now;
    }
}

/* What is due by the clock. */
static void act(struct load *l, struct client *c)
{
    if (now_ns() < c->due_ns) {
        return;
    }
    switch (c->state) {
    case CLOSED:
        if (l->running && l->has_target) {
            open_client(l, c);
        } else {
            c->due_ns = now_ns() + IDLE_NS;
        }
        break;
    case IDLE:
        if (l->running) {
            write_one(l, c);
        } else {
            c->due_ns = now_ns() + IDLE_NS;
        }
        break;
    case CONNECTING:
    case WAITING:
        drop(c, 0);
        break;
    }
}

static void on_ready(struct load *l, struct client *c)
{
    if (c->state != CONNECTING) {
        read_reply(l, c);
    } else if (is_connected(c->fd)) {
        c->state = IDLE;
        c->due_ns = now_ns();
    } else {
        drop(c, RETRY_NS);
    }
}

static void leave_others(struct load *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct client *c = &l->clients[i];
        if (c->state != CLOSED && c->to.sin_addr.s_addr != l->to.sin_addr.s_addr) {
            drop(c, 0);
        }
    }
}

/* Copies the next word and returns what follows it; NULL where there is none, or it is too long. */
static const char *next_word(const char *text, char word[LINE_MAX_LEN])
{
    size_t len = strcspn(text, " ");
    if (len == 0 || len >= LINE_MAX_LEN) {
        return NULL;
    }
    memcpy(word, text, len);
    word[len] = '\0';
    return text[len] == ' ' ? text + len + 1 : text + len;
}

static void set_running(struct load *l, bool running)
{
    l->running = running;
    l->stopping = !running;
    for (size_t i = 0; i < l->count && running; i++) {
        if (l->clients[i].state == IDLE || l->clients[i].state == CLOSED) {
            l->clients[i].due_ns = now_ns();
        }
    }
}

static bool obey(struct load *l, const char *line)
{
    char verb[LINE_MAX_LEN], ip[LINE_MAX_LEN];
    const char *rest = next_word(line, verb);
    if (rest == NULL) {
        return false;
    }
    if (strcmp(verb, "start") == 0 || strcmp(verb, "stop") == 0) {
        set_running(l, strcmp(verb, "start") == 0);
        return true;
    }
    rest = next_word(rest, ip);
    if (rest == NULL || !parse_address(ip, rest, &l->to)) {
        return false;
    }
    l->has_target = true;
    if (strcmp(verb, "move") == 0) {
        leave_others(l);
    }
    return strcmp(verb, "move") == 0 || strcmp(verb, "to") == 0;
}

/* False at the end of stdin, or when a line means nothing. */
static bool read_stdin(struct load *l)
{
    ssize_t n = read(STDIN_FILENO, l->line + l->line_len, sizeof l->line - 1 - l->line_len);
    if (n <= 0) {
        return false;
    }
    l->line_len += (size_t)n;
    for (char *end; (end = memchr(l->line, '\n', l->line_len)) != NULL;) {
        size_t used = (size_t)(end - l->line) + 1;
        *end = '\0';
        if (!obey(l, l->line)) {
            return false;
        }
        l->line_len -= used;
        memmove(l->line, l->line + used, l->line_len);
    }
    return l->line_len < sizeof l->line - 1;
}

static void tell_stopped(struct load *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->clients[i].state == WAITING) {
            return;
        }
    }
    (void)puts("stopped");
    (void)fflush(stdout);
    l->stopping = false;
}

static bool turn(struct load *l)
{
    struct pollfd fds[CLIENTS_MAX + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    int64_t wait_ns = IDLE_NS, now = now_ns();
    for (size_t i = 0; i < l->count; i++) {
        const struct client *c = &l->clients[i];
        short events = c->state == CONNECTING ? POLLOUT : POLLIN;
        fds[i + 1] = (struct pollfd){.fd = c->fd, .events = events};
        wait_ns = c->due_ns - now < wait_ns ? c->due_ns - now : wait_ns;
    }
    struct timespec wait = {.tv_nsec = wait_ns > 0 ? wait_ns : 0};
    if (ppoll(fds, l->count + 1, &wait, NULL) < 0 && errno != EINTR) {
        return false;
    }
    for (size_t i = 0; i < l->count; i++) {
        if (fds[i + 1].fd >= 0 && fds[i + 1].revents != 0) {
            on_ready(l, &l->clients[i]);
        }
        act(l, &l->clients[i]);
    }
    if (l->stopping) {
        tell_stopped(l);
    }
    return fds[0].revents == 0 || read_stdin(l);
}

int main(int argc, char **argv)
{
    static struct load l;
    l.count = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
    if (l.count == 0 || l.count > CLIENTS_MAX || strlen(argv[3]) > KEY_MAX / 2) {
        (void)fputs("usage: write_load CLIENTS INTERVAL_US PREFIX\n", stderr);
        return 2;
    }
    l.interval_ns = strtoll(argv[2], NULL, 10) * 1000;
    l.prefix = argv[3];
    for (size_t i = 0; i < l.count; i++) {
        l.clients[i].fd = -1;
        /* Not all at the same moment. */
        l.clients[i].due_ns = now_ns() + l.interval_ns * (int64_t)i / (int64_t)l.count;
    }
    while (turn(&l)) {
    }
    return 0;
}
