/* The configuration as the agent uses it: typed, completed with in-cluster defaults, and
 * checked across options. Made once at start; strings point into argv and environ or into
 * the struct itself, so it must not move. */
#ifndef RPA_SHELL_CONFIG_H
#define RPA_SHELL_CONFIG_H

#include "agent/core/core.h"
#include "agent/shell/options.h"
#include "lib/base/log.h"

#define CONFIG_SENTINELS_MAX EVIDENCE_SENTINELS_MAX

struct config {
    struct addr redis;           /* unset where unix_path is used */
    const char *redis_unix_path; /* NULL: TCP */
    const char *redis_user;      /* NULL: default */
    const char *redis_password_file;

    struct addr sentinels[CONFIG_SENTINELS_MAX];
    size_t sentinel_names;   /* entries of --sentinel-addrs */
    unsigned sentinel_count; /* N */
    const char *sentinel_master;
    const char *sentinel_user;
    const char *sentinel_password_file;

    struct addr me[EVIDENCE_MY_ADDRS_MAX];
    size_t me_count;

    char pod_name[POD_NAME_MAX + 1];
    char pod_namespace[64];
    const char *pod_uid;
    const char *pod_selector;
    bool kube; /* false: no API server, no label is written */
    char kube_url[300];
    const char *kube_token_file; /* NULL: none */
    const char *kube_ca_file;    /* NULL: plain HTTP or the system's trust */
    const char *http_addr;
    struct pod_keys keys;
    enum core_mode mode; /* never AUTO */
    bool eager;
    struct core_switches on;
    uint64_t max_lag_bytes;
    uint64_t fence_after_us;
    uint64_t drain_timeout_us;
    const char *launch_socket; /* NULL: no launch helper */
    enum log_level log_level;
};

/* Adds what is wrong to o->errors; 0 where there is none. */
int config_from_options(struct config *ret, struct options *o) MUST_USE;

#endif
