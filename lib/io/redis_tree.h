/* Object functions for hiredis's redisReader that build one struct resp at a time in an
 * arena. RESP2 only: a type of RESP3 is an error, since nothing here ever sends HELLO 3.
 *
 * hiredis's own reply objects put no bound on nesting (they are freed by recursion) nor on
 * the elements that array headers promise (allocated at once, for each header), so a few
 * bytes from a peer could end this process. */
#ifndef RPA_IO_REDIS_TREE_H
#define RPA_IO_REDIS_TREE_H

#include <hiredis.h>

#include "lib/codec/resp.h"

struct redis_tree_block;

struct redis_tree {
    redisReplyObjectFunctions functions;
    size_t max_bytes; /* of all strings of one reply */
    struct redis_tree_block *arena;
    struct resp root;
    struct resp *slots[RESP_DEPTH_MAX]; /* elements of the open array at each depth */
    size_t nodes;
    size_t bytes;
    struct err refused; /* LIMIT or PROTO; ERR_NONE: the reader has stopped by itself, or not */
};

/* The reader must not outlive the tree, and the tree must not move. */
void redis_tree_init(struct redis_tree *t, size_t max_bytes, redisReader *reader);
void redis_tree_release(struct redis_tree *t);

/* After each reply, which is then no longer valid. */
void redis_tree_reset(struct redis_tree *t);

#endif
