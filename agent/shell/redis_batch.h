/* Commands that belong together: sent in one write, and over when each has been answered or
 * lost. What asks embeds a batch in a record of its own on the heap, so that any number of
 * them can be outstanding on one connection, and an answer never meets another question.
 *
 * Lifecycle: redis_batch_init, redis_batch_add for each command; where none was accepted
 * (redis_batch_is_empty) nothing will be called and the record is the caller's to free, else
 * `done` is called once and frees it. Neither is called from inside redis_batch_add. */
#ifndef RPA_SHELL_REDIS_BATCH_H
#define RPA_SHELL_REDIS_BATCH_H

#include "lib/io/redis_conn.h"

struct redis_batch;

struct redis_batch_ops {
    /* The reply to the command that was added as number `index`; not called for lost ones. */
    void (*reply)(struct redis_batch *b, size_t index, const struct resp *reply);
    void (*done)(struct redis_batch *b);
};

struct redis_batch {
    const struct redis_batch_ops *ops;
    size_t sent;
    size_t over; /* answered, or lost with the connection */
    bool whole;  /* all that were added were sent, and none was lost so far */
};

void redis_batch_init(struct redis_batch *b, const struct redis_batch_ops *ops);
void redis_batch_add(struct redis_batch *b, struct redis_conn *c, size_t argc,
                     const char *const *argv);
bool redis_batch_is_empty(const struct redis_batch *b);

#define REDIS_BATCH_ADD(b, c, ...)                                             \
    redis_batch_add((b), (c), ARRAY_LEN(((const char *const[]){__VA_ARGS__})), \
                    (const char *const[]){__VA_ARGS__})

#endif
