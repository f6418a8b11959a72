/* REQUIRE: a statement that only a bug of ours can make false. Always on, in every build.
 *
 * A failure prints expression, file and line on stderr and aborts; the parent process
 * starts a new worker, which rebuilds all it knows from Redis, Sentinel and the API
 * server. Never use it on anything that comes from outside: that is struct err. */
#ifndef RPA_BASE_CHECK_H
#define RPA_BASE_CHECK_H

#include "lib/base/defs.h"

NORETURN void check_failed(const char *expr, const char *file, int line);

#define REQUIRE(expr) ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__))

#endif
