/* CONFIG GET (redis.io/commands/config-get): [name, value, …]. */
#ifndef RPA_CODEC_CONFIG_REPLY_H
#define RPA_CODEC_CONFIG_REPLY_H

#include "lib/codec/resp.h"

/* The value of one parameter that is a number. name: as the server spells it, in lower case.
 * ERR_NOTFOUND: the server has no such parameter; ERR_PROTO: not a number, or not of the
 * documented form; an error reply as resp_refuse() says. *ret is then untouched. */
int config_get_u64(const struct resp *r, const char *name, uint64_t *ret, struct err *e) MUST_USE;

#endif
