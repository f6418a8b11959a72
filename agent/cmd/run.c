#include <unistd.h>

#include "agent/cmd/cmd.h"
#include "agent/shell/driver.h"
#include "agent/shell/exit_code.h"
#include "agent/shell/supervisor.h"
#include "lib/base/log.h"
#include "version.h"

struct work {
    const struct config *cfg;
    int listen_fd;
};

static int run_worker(void *arg, unsigned restarts)
{
    const struct work *w = arg;
    return driver_run(w->cfg, w->listen_fd, restarts);
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
    log_info("agent", "started", F_STR("version", RPA_VERSION), F_STR("revision", RPA_GIT_REVISION),
             F_STR("mode", core_mode_name(cfg.mode)), F_U64("sentinels", cfg.sentinel_count),
             F_U64("http_port", port), F_STR("kube", cfg.kube ? cfg.kube_url : "none"));
    struct work work = {.cfg = &cfg, .listen_fd = fd};
    int code = supervisor_run(run_worker, &work);
    (void)close(fd);
    return code;
}
