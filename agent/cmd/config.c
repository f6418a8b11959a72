#include "agent/shell/config.h"

#include "agent/cmd/cmd.h"
#include "agent/shell/exit_code.h"

int cmd_check_config(struct options *o)
{
    struct config cfg;
    if (config_from_options(&cfg, o) != 0) {
        return cmd_report_errors(o);
    }
    (void)printf("the configuration is valid: mode %s, %u Sentinels, %s\n",
                 core_mode_name(cfg.mode), cfg.sentinel_count,
                 cfg.kube ? cfg.kube_url : "no API server");
    return EXIT_CODE_OK;
}

int cmd_print_config(struct options *o)
{
    AUTO_BUF struct buf out;
    buf_init(&out, OPTIONS_ERRORS_MAX);
    if (o->markdown) {
        options_write_markdown(&out);
        (void)fputs(buf_str(&out), stdout);
        return EXIT_CODE_OK;
    }
    struct config cfg;
    int bad = config_from_options(&cfg, o);
    options_write_values(o, &out);
    (void)fputs(buf_str(&out), stdout);
    return bad != 0 ? cmd_report_errors(o) : EXIT_CODE_OK;
}
