#include "agent/cmd/cmd.h"
#include "agent/shell/exit_code.h"

int cmd_report_errors(const struct options *o)
{
    (void)fprintf(stderr, "%sredis-pod-agent --help explains every option\n", buf_str(&o->errors));
    return o->usage_error ? EXIT_CODE_USAGE : EXIT_CODE_CONFIG;
}
