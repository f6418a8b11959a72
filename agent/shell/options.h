/* The one option table: flags, environment, --help, validation, print-config and the table
 * in the README all come from it.
 *
 * Precedence: flag, then RPA_<FLAG> (the flag in capitals, '-' as '_'), then a second
 * environment name where one is given (POD_NAME, …), then the default. An RPA_… variable
 * that belongs to no option is an error, with the nearest name as a suggestion.
 *
 * options_parse collects every error before it returns, so that a person sees all of them
 * at once. Values are views into argv and environ, which must outlive the struct. */
#ifndef RPA_SHELL_OPTIONS_H
#define RPA_SHELL_OPTIONS_H

#include "lib/base/buf.h"

#define OPTIONS_ERRORS_MAX (64 * 1024)

#define OPTION_TYPES(X)                       \
    X(OPTION_STRING, "text")                  \
    X(OPTION_FILE, "file")                    \
    X(OPTION_ADDR, "host:port or unix:/path") \
    X(OPTION_ADDRS, "host:port,…")            \
    X(OPTION_HOSTS, "host[:port],…")          \
    X(OPTION_LISTEN, "[address]:port")        \
    X(OPTION_URL, "http(s)://host[:port]")    \
    X(OPTION_LABEL, "label key")              \
    X(OPTION_NUMBER, "number")                \
    X(OPTION_SWITCH, "on, off")               \
    X(OPTION_CHOICE, "choice")

enum option_type { OPTION_TYPES(RPA_ENUM_MEMBER) };

/*  name, flag, second environment name, type, default, min, max, choices, help          */
#define OPTIONS(X)                                                                             \
    X(OPT_REDIS_ADDR, "redis-addr", NULL, OPTION_ADDR, "127.0.0.1:6379", 0, 0, NULL,           \
      "the Redis of this Pod")                                                                 \
    X(OPT_REDIS_USER, "redis-user", NULL, OPTION_STRING, "", 0, 128, NULL,                     \
      "ACL user for Redis; empty: the default user")                                           \
    X(OPT_REDIS_PASSWORD_FILE, "redis-password-file", NULL, OPTION_FILE, "", 0, 0, NULL,       \
      "file with the password for Redis; read again when it changes")                          \
    X(OPT_SENTINEL_ADDRS, "sentinel-addrs", NULL, OPTION_ADDRS, "", 0, 16, NULL,               \
      "all Sentinels; a name may stand for several addresses")                                 \
    X(OPT_SENTINEL_COUNT, "sentinel-count", NULL, OPTION_NUMBER, "0", 0, 16, NULL,             \
      "how many Sentinels there are; 0: as many as --sentinel-addrs names")                    \
    X(OPT_SENTINEL_MASTER, "sentinel-master", NULL, OPTION_STRING, "mymaster", 1, 127, NULL,   \
      "name under which the Sentinels watch the master")                                       \
    X(OPT_SENTINEL_USER, "sentinel-user", NULL, OPTION_STRING, "", 0, 128, NULL,               \
      "ACL user for the Sentinels")                                                            \
    X(OPT_SENTINEL_PASSWORD_FILE, "sentinel-password-file", NULL, OPTION_FILE, "", 0, 0, NULL, \
      "file with the password for the Sentinels")                                              \
    X(OPT_ANNOUNCE_ADDRS, "announce-addrs", NULL, OPTION_HOSTS, "", 0, 6, NULL,                \
      "every spelling under which Sentinel may know this Redis, beside the Pod IP")            \
    X(OPT_POD_NAME, "pod-name", "POD_NAME", OPTION_STRING, "", 0, 253, NULL,                   \
      "this Pod (downward API: metadata.name)")                                                \
    X(OPT_POD_NAMESPACE, "pod-namespace", "POD_NAMESPACE", OPTION_STRING, "", 0, 63, NULL,     \
      "its namespace; default: that of the service account")                                   \
    X(OPT_POD_UID, "pod-uid", "POD_UID", OPTION_STRING, "", 0, 63, NULL,                       \
      "its uid (metadata.uid): labels are only written to this very Pod")                      \
    X(OPT_POD_IP, "pod-ip", "POD_IP", OPTION_STRING, "", 0, 45, NULL, "its IP (status.podIP)") \
    X(OPT_POD_SELECTOR, "pod-selector", NULL, OPTION_STRING, "", 0, 500, NULL,                 \
      "label selector of the Pods to watch; default: the app.kubernetes.io/name and "          \
      "/instance labels of this Pod")                                                          \
    X(OPT_KUBE_URL, "kube-url", NULL, OPTION_URL, "", 0, 0, NULL,                              \
      "API server; default: in-cluster; none: write no label")                                 \
    X(OPT_KUBE_TOKEN_FILE, "kube-token-file", NULL, OPTION_FILE,                               \
      "/var/run/secrets/kubernetes.io/serviceaccount/token", 0, 0, NULL,                       \
      "bearer token; read again when it changes")                                              \
    X(OPT_KUBE_CA_FILE, "kube-ca-file", NULL, OPTION_FILE,                                     \
      "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", 0, 0, NULL,                      \
      "CA of the API server; read again when it changes")                                      \
    X(OPT_HTTP_ADDR, "http-addr", NULL, OPTION_LISTEN, "[::]:8080", 0, 0, NULL,                \
      "where probes, status and metrics are served")                                           \
    X(OPT_ROLE_LABEL, "role-label", NULL, OPTION_LABEL, "role", 0, 0, NULL,                    \
      "label that carries the role")                                                           \
    X(OPT_ROLE_LABEL_LEGACY, "role-label-legacy", NULL, OPTION_LABEL, "", 0, 0, NULL,          \
      "second label written with the same value, for migrations")                              \
    X(OPT_MODE, "mode", NULL, OPTION_CHOICE, "auto", 0, 0,                                     \
      "auto standalone replication sentinel cluster",                                          \
      "auto: sentinel where --sentinel-addrs is set, else by ROLE; cluster: not yet")          \
    X(OPT_EAGER, "eager", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                               \
      "take an elected Sentinel's promotion as proof, before +switch-master says so")          \
    X(OPT_CRASH, "crash", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                               \
      "stand for election as soon as the Redis of this Pod, the master, has died")             \
    X(OPT_HAND_OVER, "hand-over", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                       \
      "hand the mastership over before this Pod goes, or when asked to")                       \
    X(OPT_GONE, "gone", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                                 \
      "stand for election when the master and its Pod are gone")                               \
    X(OPT_REPAIR, "repair", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                             \
      "finish a change of the master that somebody began and left")                            \
    X(OPT_HARMLESS, "harmless", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                         \
      "hold writes on a master that a Sentinel's failover is about to replace")                \
    X(OPT_ENFORCE, "enforce", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                           \
      "make a Redis that is no longer the master follow the new one at once")                  \
    X(OPT_PEER_DEMOTION, "peer-demotion", NULL, OPTION_SWITCH, "on", 0, 0, NULL,               \
      "take the label off the old master's Pod when its own agent does not")                   \
    X(OPT_SWEEP, "sweep", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                               \
      "close the connections of clients that still sit on a former master")                    \
    X(OPT_FENCE, "fence", NULL, OPTION_SWITCH, "on", 0, 0, NULL,                               \
      "refuse writes on a master that sees neither Sentinels nor replicas")                    \
    X(OPT_MAX_LAG, "max-lag", NULL, OPTION_NUMBER, "67108864", 0, 1ULL << 40, NULL,            \
      "a replica more bytes than this behind is no successor")                                 \
    X(OPT_FENCE_AFTER, "fence-after", NULL, OPTION_NUMBER, "2500", 2500, 600000, NULL,         \
      "milliseconds of silence, of Sentinels and replicas, before writes are refused")         \
    X(OPT_DRAIN_TIMEOUT, "drain-timeout", NULL, OPTION_NUMBER, "20", 1, 3600, NULL,            \
      "seconds that a hand-over may take; less than terminationGracePeriodSeconds")            \
    X(OPT_LAUNCH_SOCKET, "launch-socket", NULL, OPTION_FILE, "", 0, 0, NULL,                   \
      "unix socket where redis-pod-agent-launch asks how to start; empty: none")               \
    X(OPT_LOG_LEVEL, "log-level", NULL, OPTION_CHOICE, "info", 0, 0, "error warn info debug",  \
      "what is logged")

#define OPTION_MEMBER(name, ...) name,
enum option_id { OPTIONS(OPTION_MEMBER) OPTION_COUNT };

#define OPTION_SOURCES(X)             \
    X(OPTION_FROM_DEFAULT, "default") \
    X(OPTION_FROM_ENV, "environment") \
    X(OPTION_FROM_FLAG, "flag")       \
    X(OPTION_FROM_CLUSTER, "in-cluster")

enum option_source { OPTION_SOURCES(RPA_ENUM_MEMBER) };

struct option_spec {
    const char *flag;
    const char *second_env;
    enum option_type type;
    const char *fallback;
    uint64_t min; /* NUMBER: value; STRING: length, 0 or 1 */
    uint64_t max; /* NUMBER: value; STRING: length; lists: elements */
    const char *choices;
    const char *help;
};

struct option_value {
    const char *text;
    enum option_source source;
    const char *env_name; /* of OPTION_FROM_ENV */
};

struct options {
    struct option_value values[OPTION_COUNT];
    struct buf errors; /* a line each, "…\n" */
    bool usage_error;  /* unknown flag, missing argument: exit 2 rather than 78 */
    bool help;         /* --help was given */
    bool markdown;     /* print-config --markdown */
    bool json;         /* status --json */
    bool history;      /* status --history */
};

const struct option_spec *option_spec(enum option_id id);
const char *option_source_name(enum option_source s);
/* "RPA_REDIS_ADDR" */
const char *option_env_name(enum option_id id, char out[static 64]);

/* argv[0] is skipped. environ may be NULL. After it, errors.len == 0 means valid. */
void options_parse(struct options *o, int argc, char *const *argv, char *const *environment);
void options_release(struct options *o);

/* Adds "--flag: … (from …); allowed: …" for an error found later (cross-checks). */
void options_complain(struct options *o, enum option_id id, const char *what);

const char *option_text(const struct options *o, enum option_id id);
uint64_t option_number(const struct options *o, enum option_id id);
bool option_switch(const struct options *o, enum option_id id);

void options_write_help(struct buf *out);
void options_write_values(const struct options *o, struct buf *out);
void options_write_markdown(struct buf *out);

#endif
