/* What the Sentinels say, and what that proves about this Redis.
 *
 * A pure value: events go in with their time, questions are answered for a given `now`.
 * Nothing is allocated, nothing is remembered beyond the slots below.
 *
 * View: one Sentinel's configuration (SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME). It counts
 * for VIEW_FRESH_US from the moment the *question* was sent, so that an answer which waited
 * in a socket is as old as it is. `named` is the master that the Sentinel gives to clients;
 * flags and run-id belong to `addr`, which differs from `named` while the leading Sentinel
 * reconfigures the replicas (sentinel.c, sentinelGetCurrentMasterAddress).
 *
 * N, the one denominator: the configured number of Sentinels, or more where a Sentinel
 * knows more. A majority is > N/2; two connections to one Sentinel (same MYID) count once.
 *
 * Newest: where a majority has a fresh view, the highest config-epoch among the views and
 * the address of it; where views of that epoch differ, the address that a majority names.
 * (epoch, address) is the fencing token: epochs alone can tie after forced failovers.
 *
 * Failover: what a Sentinel's own connection has told of a failover that it leads. Used by
 * the eager and the mirror rule only; everything else treats events as hints to read. */
#ifndef RPA_CORE_EVIDENCE_H
#define RPA_CORE_EVIDENCE_H

#include "lib/codec/sentinel_event.h"
#include "lib/codec/sentinel_reply.h"

#define EVIDENCE_SENTINELS_MAX 16
#define EVIDENCE_MY_ADDRS_MAX 8
#define VIEW_FRESH_US 3000000U
#define EVIDENCE_EAGER_US 5000000U /* a selection whose Sentinel is silent counts for so long */

#define VERDICTS(X)                                                                     \
    X(VERDICT_OFF, "off")             /* there are no Sentinels in this mode */         \
    X(VERDICT_ME, "me")               /* newest names this Redis */                     \
    X(VERDICT_OTHER, "other")         /* newest names another */                        \
    X(VERDICT_OLD_ME, "old-me")       /* newest names my address with another run-id */ \
    X(VERDICT_NO_MASTER, "no-master") /* a majority answers and none knows a master */  \
    X(VERDICT_NONE, "none")           /* no majority, no newest, or flagged: proves nothing */

enum verdict { VERDICTS(RPA_ENUM_MEMBER) VERDICT_COUNT };

struct view {
    uint64_t asked_us; /* 0: no view */
    bool knows_master; /* false: "No such master with that name" */
    struct addr addr;
    struct addr named;
    char run_id[RUN_ID_LEN + 1]; /* of addr; "" not known to the Sentinel */
    uint32_t flags;              /* of addr; bit 1U << SENTINEL_FLAG_… */
    uint64_t epoch;
    uint64_t others; /* Sentinels that it knows beside itself */
    uint64_t quorum;
    uint64_t down_after_us; /* 0 not told */
};

struct vote {
    char leader_id[RUN_ID_LEN + 1];
    uint64_t epoch; /* 0: none heard */
    uint64_t heard_us;
};

struct failover {
    bool open;
    uint64_t opened_us;
    uint64_t epoch;       /* 0: not heard */
    struct addr selected; /* unset until +selected-slave */
    uint64_t selected_us;
};

struct sentinel {
    char id[RUN_ID_LEN + 1]; /* SENTINEL MYID; "" not known */
    struct view view;
    struct vote vote;
    struct failover failover;
    uint64_t epoch_heard;
};

struct evidence {
    unsigned configured; /* --sentinel-count; 0: mode without Sentinel */
    struct addr me[EVIDENCE_MY_ADDRS_MAX];
    size_t me_count;
    struct sentinel sentinels[EVIDENCE_SENTINELS_MAX];
    uint64_t hello_epoch; /* highest current epoch seen in a hello */
};

struct newest {
    unsigned n;     /* the denominator */
    unsigned fresh; /* Sentinels with a fresh view */
    bool majority;  /* fresh > n/2 */
    bool known;     /* epoch and addr are set */
    struct addr addr;
    uint64_t epoch;
    unsigned naming;  /* fresh views of that epoch that name addr */
    unsigned proving; /* of these, the ones whose flags do not speak against it */
};

const char *verdict_name(enum verdict v);

void evidence_init(struct evidence *ev, unsigned configured);
void evidence_add_my_addr(struct evidence *ev, const struct addr *a);
bool evidence_is_me(const struct evidence *ev, const struct addr *a);

/* slot < EVIDENCE_SENTINELS_MAX throughout. */
void evidence_set_id(struct evidence *ev, size_t slot, const char *id);
void evidence_view(struct evidence *ev, size_t slot, const struct view *view);
/* True where the event says that something may have changed: read this Sentinel again. */
bool evidence_event(struct evidence *ev, size_t slot, const struct sentinel_event *e,
                    uint64_t now_us);
/* Whom this Sentinel says to have voted for; leader_id "": nobody that it remembers. */
void evidence_vote(struct evidence *ev, size_t slot, const char *leader_id, uint64_t epoch,
                   uint64_t now_us);
/* The commands' connection is lost: its view proves nothing any more. */
void evidence_lost(struct evidence *ev, size_t slot);
/* The slot is used for another Sentinel, or all that was known may be old (clock gap). */
void evidence_forget(struct evidence *ev, size_t slot);

void evidence_newest(const struct evidence *ev, uint64_t now_us, struct newest *ret);

/* run_id: of the local Redis; "" not known, then nothing is proven about me. */
enum verdict evidence_verdict(const struct evidence *ev, const struct newest *newest,
                              const char *run_id, uint64_t now_us);

/* A majority of the fresh views that name me know the process of this run-id. */
bool evidence_vouches(const struct evidence *ev, const struct newest *newest, const char *run_id,
                      uint64_t now_us);

/* The eager rule: epoch of a failover above newest that a Sentinel leads, elected by the
 * votes of a majority, whose selected replica is me, and no higher epoch has been heard;
 * 0 where there is none. *ret_selected_us: when it was selected. */
uint64_t evidence_eager(const struct evidence *ev, const struct newest *newest, uint64_t now_us,
                        uint64_t *ret_selected_us);

/* The highest epoch that any Sentinel is known to have reached. */
uint64_t evidence_epoch_heard(const struct evidence *ev);
/* The Sentinels were rebuilt: what was heard before is of another world. */
void evidence_forget_epochs(struct evidence *ev);

/* Some Sentinel has selected me just now, however elected: ROLE is worth polling. */
bool evidence_selects_me(const struct evidence *ev, uint64_t now_us, uint64_t within_us);

/* The mirror rule: a Sentinel with a fresh view runs a failover above newest that has
 * selected another than me. since_us: when this Redis became master; what was selected before says
 * nothing against that. */
bool evidence_mirror(const struct evidence *ev, const struct newest *newest, uint64_t since_us,
                     uint64_t now_us);

/* When the next fresh view will expire; UINT64_MAX: none is fresh. */
uint64_t evidence_next_deadline(const struct evidence *ev, uint64_t now_us);

#endif
