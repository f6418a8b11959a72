#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "test/sim/sim.h"

void ledger_init(struct world *w)
{
    struct ledger *l = &w->ledger;
    memset(l, 0, sizeof *l);
    l->history_cap = 64;
    l->histories = xcalloc(l->history_cap, sizeof *l->histories);
    l->history_count = 1; /* 0 is none */
}

void ledger_release(struct world *w)
{
    free(w->ledger.histories);
    free(w->ledger.writes);
    w->ledger.histories = NULL;
    w->ledger.writes = NULL;
}

uint64_t ledger_begin_history(struct world *w, uint64_t parent, int64_t from)
{
    struct ledger *l = &w->ledger;
    if (l->history_count == l->history_cap) {
        l->history_cap *= 2;
        l->histories = xrealloc(l->histories, l->history_cap * sizeof *l->histories);
    }
    l->histories[l->history_count] =
        (struct history_of_data){.parent = parent, .from = from, .written = from};
    return l->history_count++;
}

static struct position ancestor(const struct world *w, struct position p)
{
    const struct history_of_data *h = &w->ledger.histories[p.history];
    return (struct position){.history = h->parent,
                             .offset = p.offset < h->from ? p.offset : h->from};
}

bool ledger_holds(const struct world *w, struct position hay, struct position needle)
{
    while (hay.history != 0 && hay.history != needle.history) {
        hay = ancestor(w, hay);
    }
    return needle.history == 0 || (hay.history == needle.history && hay.offset >= needle.offset);
}

bool ledger_holds_writes(const struct world *w, struct position hay, struct position needle)
{
    while (needle.history != 0) {
        const struct history_of_data *h = &w->ledger.histories[needle.history];
        struct position last = {needle.history,
                                h->written < needle.offset ? h->written : needle.offset};
        if (last.offset > h->from) {
            return ledger_holds(w, hay, last);
        }
        needle = ancestor(w, needle);
    }
    return true;
}
