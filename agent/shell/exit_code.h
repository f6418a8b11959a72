/* Exit codes of every command; in --help and the README. Numbers of sysexits.h where it has
 * one. */
#ifndef RPA_SHELL_EXIT_CODE_H
#define RPA_SHELL_EXIT_CODE_H

#define EXIT_CODES(X)                                                                  \
    X(EXIT_CODE_OK, 0, "done, or stopped by SIGTERM or SIGINT")                        \
    X(EXIT_CODE_FAILURE, 1, "the reason is the last line on stderr; drain: on stdout") \
    X(EXIT_CODE_USAGE, 2, "unknown command or flag, missing value")                    \
    X(EXIT_CODE_UNAVAILABLE, 69, "drain, status: the agent does not answer")           \
    X(EXIT_CODE_CONFIG, 78, "a value is wrong or contradicts another")

#define EXIT_CODE_MEMBER(name, number, text) name = (number),
enum exit_code { EXIT_CODES(EXIT_CODE_MEMBER) };

#endif
