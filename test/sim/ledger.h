/* Where every byte is: histories of replication, the writes in them, and the clients that
 * made them.
 *
 * A data set is a position: a history (the number that the models use as replid) and an
 * offset in it. A promotion, and a start as a master, begin a new history at a position of
 * the old one. So what a Redis holds, and what it has lost, follows from its position alone. */
#ifndef RPA_TEST_SIM_LEDGER_H
#define RPA_TEST_SIM_LEDGER_H

#include "test/sim/limits.h"

struct world;

#define WRITERS_MAX 4U

struct position {
    uint64_t history; /* 0: nothing */
    int64_t offset;
};

struct history_of_data {
    uint64_t parent; /* 0: began empty */
    int64_t from;
    int64_t written; /* offset of the last write in it */
};

struct write_of_client {
    struct position at;
    uint64_t done_us;
    uint64_t acked_us; /* 0: the client never heard of it */
    unsigned redis;
    bool proven; /* a majority of the Sentinels named this Redis then */
    bool lost;   /* and that has been counted */
};

enum writer_state { WRITER_THINKS, WRITER_ASKS, WRITER_WAITS };

struct writer {
    enum writer_state state;
    bool by_sentinel; /* finds the master by Sentinel, else by the label */
    unsigned node;
    int redis;    /* connected to; -1 none */
    uint64_t gen; /* of the redis-server's process */
    uint64_t serial;
    size_t write; /* index of the one that is under way, + 1; 0 none */
};

struct ledger {
    struct history_of_data *histories;
    size_t history_count;
    size_t history_cap;
    struct write_of_client *writes;
    size_t write_count;
    size_t write_cap;
    size_t checked; /* writes before this one are no longer of interest */
    struct writer writers[WRITERS_MAX];
    unsigned writer_count;
    uint64_t refused;
    uint64_t acked;
    uint64_t lost;
};

/* ---- ledger.c ---- */

void ledger_init(struct world *w);
void ledger_release(struct world *w);
uint64_t ledger_begin_history(struct world *w, uint64_t parent, int64_t from);
/* All that `needle` holds is in `hay`. */
bool ledger_holds(const struct world *w, struct position hay, struct position needle);
/* All writes of `needle` are in `hay`: what is no write (a ping) may be missing. */
bool ledger_holds_writes(const struct world *w, struct position hay, struct position needle);

/* ---- clients.c ---- */

void clients_start(struct world *w);
/* Redis i takes writes again, or has become something that does not. */
void clients_resume(struct world *w, unsigned i);
/* CLIENT KILL, or the end of the process. */
void clients_dropped(struct world *w, unsigned i);

#endif
