/* redis-pod-agent-launch: starts redis-server in the way that the agent of this Pod says.
 *
 * Static and small, so that it runs in any image. It becomes redis-server (exec): same
 * process, same arguments, and behind them the --replicaof that was decided. Arguments win
 * over the configuration file, so over what an earlier CONFIG REWRITE left there. */
#include <errno.h>
#include <getopt.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/launch/ask.h"

#define TIMEOUT_MS_DEFAULT 10000
#define TIMEOUT_MS_MAX 3600000
#define SOCKET_ENV "REDIS_POD_AGENT_LAUNCH_SOCKET"
#define APPENDED_MAX 3

/* 64: EX_USAGE of sysexits.h; the others are those of a shell. */
enum { EXIT_USAGE = 64, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_BY_SIGNAL = 128 };

struct request {
    const char *socket;
    uint64_t timeout_ms;
    char **argv; /* of redis-server */
    int argc;
};

static void print_help(void)
{
    (void)fputs(
        "usage: redis-pod-agent-launch [--socket PATH] [--timeout MS] -- redis-server ARGS...\n\n"
        "Asks the agent of this Pod how redis-server is to start, and starts it: as a replica of\n"
        "the proven master, held (--replicaof 127.0.0.1 1, takes no writes until the agent or a\n"
        "failover says otherwise), or as its configuration says. Without an answer in time: held.\n"
        "The agent is given a descriptor by which it learns at once when redis-server ends.\n"
        "Transparent huge pages are switched off for redis-server, its limit of open files is\n"
        "raised as far as it may be. Not for Redis Cluster, which refuses --replicaof.\n\n"
        "  --socket PATH  the agent's --launch-socket; default $" SOCKET_ENV ",\n"
        "                 or " LAUNCH_SOCKET_DEFAULT "\n"
        "  --timeout MS   how long to wait for an answer; default 10000\n\n"
        "exit codes: 64 wrong usage; 126 redis-server cannot be executed; 127 it is not there;\n"
        "128 + N ended by signal N while waiting; else those of redis-server\n",
        stdout);
}

static int usage_error(const char *what)
{
    (void)fprintf(stderr, "redis-pod-agent-launch: %s; see --help\n", what);
    return EXIT_USAGE;
}

static bool parse_ms(uint64_t *ret, const char *text)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > TIMEOUT_MS_MAX) {
        return false;
    }
    *ret = value;
    return true;
}

/* 0, or the exit code with `ret` unusable; -1: all is done. */
static int parse_args(struct request *ret, int argc, char **argv)
{
    static const struct option known[] = {{"socket", required_argument, NULL, 's'},
                                          {"timeout", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    const char *env = getenv(SOCKET_ENV);
    *ret = (struct request){.timeout_ms = TIMEOUT_MS_DEFAULT};
    ret->socket = env != NULL && env[0] != '\0' ? env : LAUNCH_SOCKET_DEFAULT;
    for (;;) {
        int option = getopt_long(argc, argv, "+h", known, NULL);
        if (option == -1) {
            break;
        }
        if (option == 'h') {
            print_help();
            return -1;
        }
        if (option == 's') {
            ret->socket = optarg;
        } else if (option != 't') {
            return EXIT_USAGE;
        } else if (!parse_ms(&ret->timeout_ms, optarg)) {
            return usage_error("--timeout needs milliseconds, at most an hour");
        }
    }
    ret->argv = argv + optind;
    ret->argc = argc - optind;
    if (ret->argc == 0) {
        return usage_error("there is no command to run");
    }
    size_t len = strlen(ret->socket);
    if (len == 0 || len >= LAUNCH_SOCKET_PATH_SIZE) {
        return usage_error("the path of the socket is empty or longer than such a path can be");
    }
    return 0;
}

static void complain(const char *what)
{
    (void)fprintf(stderr, "redis-pod-agent-launch: %s: %s\n", what, strerror(errno));
}

/* Both are inherited through exec: prctl(2) PR_SET_THP_DISABLE, setrlimit(2). */
static void prepare_process(void)
{
    struct rlimit files;
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0) {
        complain("transparent huge pages stay as they are");
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
            complain("the limit of open files stays as it is");
        }
    }
}

/* What stands behind the command's own arguments. */
static void append(char **argv, const struct launch_answer *a)
{
    static char option[] = "--replicaof";
    static char held_host[] = LAUNCH_HELD_HOST;
    static char held_port[] = LAUNCH_HELD_PORT;
    argv[0] = option;
    switch (a->to) {
    case LAUNCH_TO_HELD:
        argv[1] = held_host;
        argv[2] = held_port;
        (void)fputs("redis-pod-agent-launch: starting held, as a replica of nobody\n", stderr);
        return;
    case LAUNCH_TO_REPLICA:
        argv[1] = a->host;
        argv[2] = a->port;
        (void)fprintf(stderr, "redis-pod-agent-launch: starting as a replica of %s port %s\n",
                      a->host, a->port);
        return;
    case LAUNCH_TO_PLAIN:
    case LAUNCH_TO_STOP:
        argv[0] = NULL;
        (void)fputs("redis-pod-agent-launch: starting as configured\n", stderr);
        return;
    }
}

static int become(const struct request *r, const struct launch_answer *a)
{
    char **argv = calloc((size_t)r->argc + APPENDED_MAX + 1, sizeof *argv);
    if (argv == NULL) {
        complain(r->argv[0]);
        return EXIT_NOT_EXECUTABLE;
    }
    memcpy(argv, r->argv, (size_t)r->argc * sizeof *argv);
    append(argv + r->argc, a);
    (void)execvp(argv[0], argv);
    int code = errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    complain(argv[0]);
    free(argv);
    return code;
}

int main(int argc, char **argv)
{
    struct request request;
    struct launch_answer answer;
    int code = parse_args(&request, argc, argv);
    if (code != 0) {
        return code < 0 ? EXIT_SUCCESS : code;
    }
    prepare_process();
    launch_ask(&answer, request.socket, request.timeout_ms);
    if (answer.to == LAUNCH_TO_STOP) {
        (void)fprintf(stderr, "redis-pod-agent-launch: stopped by signal %d\n", answer.signum);
        return EXIT_BY_SIGNAL + answer.signum;
    }
    return become(&request, &answer);
}
