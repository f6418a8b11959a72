#include <unistd.h>

#include "agent/cmd/cmd.h"
#include "agent/shell/driver.h"
#include "agent/shell/exit_code.h"
#include "agent/shell/supervisor.h"
#include "lib/base/log.h"
#include "version.h"

#define STOP_AFTER_DRAIN_MS (DRIVER_LABEL_MS + SUPERVISOR_STOP_MS)

struct work {
    const struct config *cfg;
    int listen_fd;
    struct launch_fds launch;
};

static int run_worker(void *arg, unsigned restarts)
{
    const struct work *w = arg;
    return driver_run(w->cfg, w->listen_fd, &w->launch, restarts);
}

int cmd_run(struct options *o)
{
    struct config cfg;
    struct err e;
    uint16_t port;
    if (config_from_options(&cfg, o) != 0) {
        return cmd_report_errors(o);
    }
    log_set_level(cfg.log_level);
    log_set_context(cfg.pod_name, NULL, 0);
    int fd = http_listen(cfg.http_addr, &port, &e);
    if (fd < 0) {
        options_complain(o, OPT_HTTP_ADDR, e.msg);
        return cmd_report_errors(o);
    }
    struct work work = {.cfg = &cfg, .listen_fd = fd, .launch = LAUNCH_FDS_NONE};
    if (cfg.launch_socket != NULL && launch_listen(&work.launch, cfg.launch_socket, &e) != 0) {
        options_complain(o, OPT_LAUNCH_SOCKET, e.msg);
        (void)close(fd);
        return cmd_report_errors(o);
    }
    log_info("agent", "started", F_STR("version", RPA_VERSION), F_STR("revision", RPA_GIT_REVISION),
             F_STR("mode", core_mode_name(cfg.mode)), F_U64("sentinels", cfg.sentinel_count),
             F_U64("http_port", port), F_STR("kube", cfg.kube ? cfg.kube_url : "none"));
    uint64_t patience_ms = cfg.drain_timeout_us / 1000 + STOP_AFTER_DRAIN_MS;
    int code = supervisor_run(run_worker, &work, patience_ms);
    (void)close(fd);
    return code;
}
