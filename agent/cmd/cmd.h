/* The commands. Each gets the parsed options (errors of the table included), prints to
 * stdout and stderr, and returns an exit code (agent/shell/exit_code.h). */
#ifndef RPA_CMD_CMD_H
#define RPA_CMD_CMD_H

#include "agent/shell/options.h"

#define COMMANDS(X)                                                                          \
    X("run", cmd_run, "watch, decide and label (the default)")                               \
    X("drain", cmd_drain,                                                                    \
      "have the agent of this Pod hand the mastership over; prints how it goes")             \
    X("status", cmd_status,                                                                  \
      "print what the agent of this Pod believes, why, and what it waits for; --history: "   \
      "and its last decisions; --json: all of it, for programs")                             \
    X("check-config", cmd_check_config, "say whether the configuration is valid")            \
    X("print-config", cmd_print_config,                                                      \
      "print every option with its value and where it comes from; --markdown: the table of " \
      "all options")                                                                         \
    X("version", cmd_version, "print version, revision and library versions")

#define COMMAND_DECLARATION(name, function, help) int function(struct options *o);
COMMANDS(COMMAND_DECLARATION)

/* Prints o->errors with the way to --help; returns the exit code that belongs to them. */
int cmd_report_errors(const struct options *o);

#endif
