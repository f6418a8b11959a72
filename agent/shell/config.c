#include "agent/shell/config.h"

#include <sys/un.h>
#include <unistd.h>

#include "lib/base/check.h"

#define SERVICE_ACCOUNT_NAMESPACE "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
#define UNIX_PATH_SIZE sizeof((struct sockaddr_un){0}.sun_path)
#define DEFAULT_REDIS_PORT 6379 /* announced where Redis is reached through a unix socket */

static const char *text_or_null(const struct options *o, enum option_id id)
{
    const char *text = option_text(o, id);
    return text[0] == '\0' ? NULL : text;
}

static void take_redis(struct config *c, struct options *o)
{
    const char *text = option_text(o, OPT_REDIS_ADDR);
    if (strncmp(text, "unix:", 5) == 0) {
        c->redis_unix_path = text + 5;
    } else {
        (void)!addr_parse(&c->redis, sv_from(text));
    }
    c->redis_user = text_or_null(o, OPT_REDIS_USER);
    c->redis_password_file = text_or_null(o, OPT_REDIS_PASSWORD_FILE);
    if (c->redis_user != NULL && c->redis_password_file == NULL) {
        options_complain(o, OPT_REDIS_USER, "a user needs --redis-password-file");
    }
}

static void take_sentinels(struct config *c, struct options *o)
{
    struct sv rest = sv_from(option_text(o, OPT_SENTINEL_ADDRS));
    while (rest.ptr != NULL && rest.len > 0 && c->sentinel_names < CONFIG_SENTINELS_MAX) {
        if (addr_parse(&c->sentinels[c->sentinel_names], sv_trim(sv_split(&rest, ',')))) {
            c->sentinel_names++;
        }
    }
    c->sentinel_count = (unsigned)option_number(o, OPT_SENTINEL_COUNT);
    if (c->sentinel_count == 0) {
        c->sentinel_count = (unsigned)c->sentinel_names;
    }
    if (c->sentinel_count < c->sentinel_names) {
        options_complain(o, OPT_SENTINEL_COUNT, "less than --sentinel-addrs names");
    }
    if (c->sentinel_count > 0 && c->sentinel_names == 0) {
        options_complain(o, OPT_SENTINEL_ADDRS, "--sentinel-count is set, but no address");
    }
    c->sentinel_master = option_text(o, OPT_SENTINEL_MASTER);
    c->sentinel_user = text_or_null(o, OPT_SENTINEL_USER);
    c->sentinel_password_file = text_or_null(o, OPT_SENTINEL_PASSWORD_FILE);
    if (c->sentinel_user != NULL && c->sentinel_password_file == NULL) {
        options_complain(o, OPT_SENTINEL_USER, "a user needs --sentinel-password-file");
    }
}

static void add_me(struct config *c, struct sv host, uint16_t port)
{
    struct addr a;
    if (c->me_count < EVIDENCE_MY_ADDRS_MAX && addr_set(&a, host, port)) {
        c->me[c->me_count++] = a;
    }
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static void take_announced(struct config *c, struct options *o)
{
    uint16_t port = c->redis.port != 0 ? c->redis.port : DEFAULT_REDIS_PORT;
    struct sv ip = sv_from(option_text(o, OPT_POD_IP));
    if (ip.len > 0) {
        add_me(c, ip, port);
    }
    struct sv rest = sv_from(option_text(o, OPT_ANNOUNCE_ADDRS));
    while (rest.ptr != NULL && rest.len > 0) {
        struct sv part = sv_trim(sv_split(&rest, ','));
        struct addr a;
        if (addr_parse(&a, part)) {
            add_me(c, sv_from(a.host), a.port);
        } else {
            add_me(c, part, port);
        }
    }
    if (addr_is_set(&c->redis) && !is_loopback(c->redis.host)) {
        add_me(c, sv_from(c->redis.host), port);
    }
    if (c->mode == CORE_MODE_SENTINEL && c->me_count == 0) {
        options_complain(o, OPT_POD_IP,
                         "Sentinel's answers cannot be compared with this Redis "
                         "without --pod-ip or --announce-addrs");
    }
}

static void take_mode(struct config *c, struct options *o)
{
    const char *text = option_text(o, OPT_MODE);
    for (size_t m = 0; m < CORE_MODE_COUNT; m++) {
        if (strcmp(text, core_mode_name((enum core_mode)m)) == 0) {
            c->mode = (enum core_mode)m;
        }
    }
    switch (c->mode) {
    case CORE_MODE_AUTO:
        c->mode = c->sentinel_names > 0 ? CORE_MODE_SENTINEL : CORE_MODE_REPLICATION;
        break;
    case CORE_MODE_SENTINEL:
        if (c->sentinel_names == 0) {
            options_complain(o, OPT_SENTINEL_ADDRS, "mode sentinel needs the Sentinels' addresses");
        }
        break;
    case CORE_MODE_STANDALONE:
    case CORE_MODE_REPLICATION:
        if (c->sentinel_names > 0) {
            options_complain(o, OPT_MODE, "contradicts --sentinel-addrs");
        }
        break;
    case CORE_MODE_CLUSTER:
        options_complain(o, OPT_MODE, "Redis Cluster is not supported yet");
        break;
    case CORE_MODE_COUNT:
        break;
    }
    if (c->mode != CORE_MODE_SENTINEL) {
        c->sentinel_count = 0;
    }
}

static void take_namespace(struct config *c, struct options *o)
{
    const char *text = option_text(o, OPT_POD_NAMESPACE);
    (void)snprintf(c->pod_namespace, sizeof c->pod_namespace, "%s", text);
    if (text[0] == '\0') {
        FILE *f = fopen(SERVICE_ACCOUNT_NAMESPACE, "re");
        if (f != NULL) {
            size_t n = fread(c->pod_namespace, 1, sizeof c->pod_namespace - 1, f);
            c->pod_namespace[n] = '\0';
            c->pod_namespace[strcspn(c->pod_namespace, " \r\n")] = '\0';
            (void)fclose(f);
        }
    }
    if (c->pod_namespace[0] == '\0') {
        options_complain(o, OPT_POD_NAMESPACE, "needed to find this Pod in the API");
    }
}

static void take_kube(struct config *c, struct options *o)
{
    c->pod_uid = option_text(o, OPT_POD_UID);
    c->pod_selector = option_text(o, OPT_POD_SELECTOR);
    (void)snprintf(c->pod_name, sizeof c->pod_name, "%s", option_text(o, OPT_POD_NAME));
    const char *url = option_text(o, OPT_KUBE_URL);
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    c->kube = strcmp(url, "none") != 0;
    if (!c->kube) {
        return;
    }
    if (url[0] != '\0') {
        (void)snprintf(c->kube_url, sizeof c->kube_url, "%s", url);
    } else if (host != NULL && port != NULL) {
        bool v6 = strchr(host, ':') != NULL;
        (void)snprintf(c->kube_url, sizeof c->kube_url, "https://%s%s%s:%s", v6 ? "[" : "", host,
                       v6 ? "]" : "", port);
        o->values[OPT_KUBE_URL] = (struct option_value){c->kube_url, OPTION_FROM_CLUSTER, NULL};
    } else {
        options_complain(o, OPT_KUBE_URL,
                         "not in a Pod (KUBERNETES_SERVICE_HOST is not set): say where the API "
                         "server is, or none to write no label");
    }
    if (c->pod_name[0] == '\0') {
        options_complain(o, OPT_POD_NAME, "needed to find this Pod in the API");
    }
    take_namespace(c, o);
    bool tls = strncmp(c->kube_url, "https:", 6) == 0;
    c->kube_token_file = text_or_null(o, OPT_KUBE_TOKEN_FILE);
    c->kube_ca_file = tls ? text_or_null(o, OPT_KUBE_CA_FILE) : NULL;
    /* Without TLS the token would be readable on the wire: it is only sent where the user
     * has named the file. */
    if (!tls && o->values[OPT_KUBE_TOKEN_FILE].source == OPTION_FROM_DEFAULT) {
        c->kube_token_file = NULL;
    }
}

static void take_engine(struct config *c, struct options *o)
{
    c->eager = option_switch(o, OPT_EAGER);
    c->on = (struct core_switches){.crash = option_switch(o, OPT_CRASH),
                                   .hand_over = option_switch(o, OPT_HAND_OVER),
                                   .gone = option_switch(o, OPT_GONE),
                                   .repair = option_switch(o, OPT_REPAIR),
                                   .harmless = option_switch(o, OPT_HARMLESS),
                                   .enforce = option_switch(o, OPT_ENFORCE),
                                   .peer_demotion = option_switch(o, OPT_PEER_DEMOTION),
                                   .sweep = option_switch(o, OPT_SWEEP),
                                   .fence = option_switch(o, OPT_FENCE)};
    c->max_lag_bytes = option_number(o, OPT_MAX_LAG);
    c->fence_after_us = option_number(o, OPT_FENCE_AFTER) * 1000;
    c->drain_timeout_us = option_number(o, OPT_DRAIN_TIMEOUT) * 1000000;
    c->launch_socket = text_or_null(o, OPT_LAUNCH_SOCKET);
    if (c->launch_socket != NULL && strlen(c->launch_socket) >= UNIX_PATH_SIZE) {
        options_complain(o, OPT_LAUNCH_SOCKET, "longer than the path of a unix socket can be");
    }
}

int config_from_options(struct config *ret, struct options *o)
{
    *ret = (struct config){.kube = false};
    take_redis(ret, o);
    take_sentinels(ret, o);
    take_mode(ret, o);
    take_announced(ret, o);
    take_kube(ret, o);
    ret->http_addr = option_text(o, OPT_HTTP_ADDR);
    ret->keys = (struct pod_keys){.role = option_text(o, OPT_ROLE_LABEL),
                                  .role_legacy = text_or_null(o, OPT_ROLE_LABEL_LEGACY)};
    take_engine(ret, o);
    (void)!log_level_from(sv_from(option_text(o, OPT_LOG_LEVEL)), &ret->log_level);
    return o->errors.len == 0 ? 0 : -1;
}
