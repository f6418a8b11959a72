#include "agent/shell/redis_batch.h"

void redis_batch_init(struct redis_batch *b, const struct redis_batch_ops *ops)
{
    *b = (struct redis_batch){.ops = ops, .whole = true};
}

static void on_reply(void *arg, const struct resp *reply, const struct err *err)
{
    struct redis_batch *b = arg;
    size_t index = b->over++;
    b->whole = b->whole && err == NULL;
    if (err == NULL) {
        b->ops->reply(b, index, reply);
    }
    if (b->over == b->sent) {
        b->ops->done(b);
    }
}

void redis_batch_add(struct redis_batch *b, struct redis_conn *c, size_t argc,
                     const char *const *argv)
{
    struct err e;
    /* One that is refused ends it: a later one would be taken for it. */
    if (b->whole && redis_conn_command(c, argc, argv, on_reply, b, &e) == 0) {
        b->sent++;
    } else {
        b->whole = false;
    }
}

bool redis_batch_is_empty(const struct redis_batch *b)
{
    return b->sent == 0;
}
