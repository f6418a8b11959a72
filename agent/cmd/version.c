#include "version.h"
#include "agent/cmd/cmd.h"
#include "agent/shell/exit_code.h"
#include "lib/io/versions.h"

int cmd_version(struct options *o)
{
    (void)o;
    AUTO_BUF struct buf out;
    buf_init(&out, OPTIONS_ERRORS_MAX);
    buf_addf(&out, "redis-pod-agent %s (%s)\n", RPA_VERSION, RPA_GIT_REVISION);
    versions_write(&out);
    (void)fputs(buf_str(&out), stdout);
    return EXIT_CODE_OK;
}
