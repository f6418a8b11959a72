/* Language helpers shared by every layer: attributes, array length, container_of.
 *
 * Every source file gets banned.h through this header, so that the unsafe parts of libc
 * are compile errors in the whole project. */
#ifndef RPA_BASE_DEFS_H
#define RPA_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/banned.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Expands one X-macro row `X(NAME, text)` list into enum members and a name table. */
#define RPA_ENUM_MEMBER(name, text) name,
#define RPA_ENUM_NAME(name, text) [name] = (text),

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t u64_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* a - b, and 0 where b is later: ages never wrap when two clocks readings are out of order. */
static inline uint64_t u64_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

#endif
