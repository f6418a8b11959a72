#include "lib/io/redis_tree.h"

#include <limits.h>
#include <stdalign.h>

#include "lib/base/mem.h"

#define BLOCK_BYTES 8192

struct redis_tree_block {
    struct redis_tree_block *next;
    size_t used;
    size_t cap;
    alignas(max_align_t) char bytes[];
};

static void *arena_alloc(struct redis_tree *t, size_t size)
{
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (t->arena == NULL || t->arena->cap - t->arena->used < size) {
        size_t cap = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct redis_tree_block *b = xmalloc(sizeof(*b) + cap);
        *b = (struct redis_tree_block){.next = t->arena, .cap = cap};
        t->arena = b;
    }
    void *p = t->arena->bytes + t->arena->used;
    t->arena->used += size;
    return p;
}

void redis_tree_release(struct redis_tree *t)
{
    while (t->arena != NULL) {
        struct redis_tree_block *next = t->arena->next;
        free(t->arena);
        t->arena = next;
    }
}

/* Most replies are small: their one block is kept for the next. */
void redis_tree_reset(struct redis_tree *t)
{
    if (t->arena == NULL) {
        return;
    }
    if (t->arena->next == NULL && t->arena->cap == BLOCK_BYTES) {
        t->arena->used = 0;
    } else {
        redis_tree_release(t);
    }
}

/* For the functions of redisReader: NULL makes it stop with an error. */
static void *refuse(struct redis_tree *t, enum err_code code, const char *why)
{
    err_set(&t->refused, code, "%s", why);
    return NULL;
}

static size_t depth_of(const redisReadTask *task)
{
    size_t depth = 0;

    for (const redisReadTask *up = task->parent; up != NULL; up = up->parent) {
        depth++;
    }
    return depth;
}

/* The place of a new value in the tree. Its depth is at most RESP_DEPTH_MAX, because no
 * array is opened below that. */
static struct resp *place(const redisReadTask *task)
{
    struct redis_tree *t = task->privdata;
    size_t depth = depth_of(task);

    if (depth == 0) {
        t->nodes = 1;
        t->bytes = 0;
        return &t->root;
    }
    return &t->slots[depth - 1][task->idx];
}

static void *create_string(const redisReadTask *task, char *str, size_t len)
{
    struct redis_tree *t = task->privdata;
    struct resp *r = place(task);
    enum resp_type type = RESP_STRING;

    if (task->type == REDIS_REPLY_STATUS) {
        type = RESP_STATUS;
    } else if (task->type == REDIS_REPLY_ERROR) {
        type = RESP_ERROR;
    } else if (task->type != REDIS_REPLY_STRING) {
        return refuse(t, ERR_PROTO, "a RESP3 string on a RESP2 connection");
    }
    t->bytes += len;
    if (t->bytes > t->max_bytes) {
        return refuse(t, ERR_LIMIT, "a reply is too long");
    }
    char *copy = arena_alloc(t, len + 1);
    memcpy(copy, str, len);
    copy[len] = '\0';
    *r = (struct resp){.type = type, .str = {copy, len}};
    return r;
}

static void *create_array(const redisReadTask *task, size_t elements)
{
    struct redis_tree *t = task->privdata;
    struct resp *r = place(task);
    size_t depth = depth_of(task);

    if (task->type != REDIS_REPLY_ARRAY) {
        return refuse(t, ERR_PROTO, "a RESP3 aggregate on a RESP2 connection");
    }
    if (depth >= RESP_DEPTH_MAX) {
        return refuse(t, ERR_LIMIT, "a reply is nested too deep");
    }
    /* Counted when promised: a header of ten bytes must not buy memory again and again. */
    if (elements > RESP_NODES_MAX - t->nodes) {
        return refuse(t, ERR_LIMIT, "a reply has too many elements");
    }
    t->nodes += elements;
    t->slots[depth] = elements == 0 ? NULL : arena_alloc(t, elements * sizeof(struct resp));
    *r = (struct resp){.type = RESP_ARRAY, .elems = t->slots[depth], .count = elements};
    return r;
}

static void *create_integer(const redisReadTask *task, long long value)
{
    struct resp *r = place(task);

    *r = (struct resp){.type = RESP_INTEGER, .integer = value};
    return r;
}

static void *create_nil(const redisReadTask *task)
{
    struct resp *r = place(task);

    if (task->type == REDIS_REPLY_NIL) {
        return refuse(task->privdata, ERR_PROTO, "a RESP3 null on a RESP2 connection");
    }
    *r = (struct resp){.type = RESP_NIL};
    return r;
}

static void *create_double(const redisReadTask *task, double value, char *str, size_t len)
{
    (void)value;
    (void)str;
    (void)len;
    return refuse(task->privdata, ERR_PROTO, "a RESP3 double on a RESP2 connection");
}

static void *create_bool(const redisReadTask *task, int value)
{
    (void)value;
    return refuse(task->privdata, ERR_PROTO, "a RESP3 boolean on a RESP2 connection");
}

void redis_tree_init(struct redis_tree *t, size_t max_bytes, redisReader *reader)
{
    *t = (struct redis_tree){
        .functions =
            {
                .createString = create_string,
                .createArray = create_array,
                .createInteger = create_integer,
                .createDouble = create_double,
                .createNil = create_nil,
                .createBool = create_bool,
            },
        .max_bytes = max_bytes,
    };
    reader->fn = &t->functions;
    reader->privdata = t;
    /* create_array has the bound; this only keeps hiredis's own arithmetic in range. */
    reader->maxelements = LLONG_MAX / 2;
}
