/* The planned hand-over: the mastership goes to a replica that has every acknowledged write,
 * while this Redis is alive and answers. Asked for by /drain, a signal, an annotation or a
 * person's fence; one at a time, a second request joins the first.
 *
 *   asked --> master? no: nothing to do
 *               | yes
 *               v
 *            candidacy of reason hand-over (agent/core/succession.h), tried again while the
 *            budget lasts: look, choose, votes, pause, equal offsets, REPLICAOF the chosen one,
 *            its last byte, promote, announce
 *               v
 *            the successor's label (bounded) --> CLIENT KILL, UNPAUSE --> verdict
 *
 * Every way out before the local REPLICAOF ends in UNPAUSE, every one between it and the
 * promotion in REPLICAOF NO ONE and UNPAUSE: writes are resumed. After a promotion whose
 * outcome is unknown this Redis stays a replica, and repair decides. */
#ifndef RPA_CORE_HANDOVER_H
#define RPA_CORE_HANDOVER_H

#include "agent/core/action.h"

#define HANDOVER_LINES_MAX 32
#define HANDOVER_LINE_TEXT_MAX 400
#define HANDOVER_RETRY_US 100000U      /* between two candidacies of one hand-over */
#define HANDOVER_SUCCESSOR_US 1500000U /* for the successor's label to appear */

#define DRAIN_BYS(X)                     \
    X(DRAIN_BY_HTTP, "/drain")           \
    X(DRAIN_BY_SIGNAL, "SIGTERM")        \
    X(DRAIN_BY_ANNOTATION, "annotation") \
    X(DRAIN_BY_FENCE, "fence")

enum drain_by { DRAIN_BYS(RPA_ENUM_MEMBER) };

#define HANDOVER_STEPS(X)                                                \
    X(HANDOVER_ASKED, "asked to hand over")                              \
    X(HANDOVER_CHOSE, "successor chosen")                                \
    X(HANDOVER_VOTED, "a majority of the Sentinels voted")               \
    X(HANDOVER_PAUSED, "writes are held")                                \
    X(HANDOVER_EQUAL, "the successor has every write")                   \
    X(HANDOVER_YIELDED, "this Redis follows the successor")              \
    X(HANDOVER_PROMOTED, "the successor is master")                      \
    X(HANDOVER_NAMED, "a majority of the Sentinels names the successor") \
    X(HANDOVER_LABELLED, "the successor carries the label")              \
    X(HANDOVER_RESUMED, "writes are taken again")                        \
    X(HANDOVER_TRY_FAILED, "this try failed")                            \
    X(HANDOVER_VERDICT, "verdict")

enum handover_step { HANDOVER_STEPS(RPA_ENUM_MEMBER) };

#define HANDOVER_VERDICTS(X)                                           \
    X(HANDOVER_NONE, "none yet")                                       \
    X(HANDOVER_DONE, "handed over")                                    \
    X(HANDOVER_NOTHING, "nothing to do: this Redis is not the master") \
    X(HANDOVER_OFF, "nothing to do: hand-over is switched off")        \
    X(HANDOVER_FAILED, "failed, writes resumed")                       \
    X(HANDOVER_UNKNOWN, "failed after the promotion: its outcome is unknown, the agents repair it")

enum handover_verdict { HANDOVER_VERDICTS(RPA_ENUM_MEMBER) };

struct handover_line {
    uint64_t after_us; /* since the request */
    enum handover_step step;
    enum handover_verdict verdict; /* of the last line */
    const char *why;               /* a sentence, static; "" none */
    struct addr addr;              /* the successor; unset none */
    uint64_t value;                /* EQUAL, VERDICT: bytes behind */
};

struct handover {
    bool running;
    enum drain_by by;
    char target[254]; /* a Pod's name; "" any */
    uint64_t asked_us;
    uint64_t deadline_us;
    uint64_t retry_us; /* the next candidacy, not before */
    uint64_t named_us; /* a majority names the successor since; 0 not yet */
    uint64_t epoch;    /* at which it was announced */
    struct addr successor;
    uint64_t candidacy; /* serial of the one that runs for it; 0 none */
    uint64_t paused_us; /* writes are held since; 0 not */
    uint64_t promoted_us;
    const char *why;      /* of the last failed try */
    uint64_t failover_op; /* without Sentinel: FAILOVER is under way; 0 not */
    bool failover_taken;
    uint64_t clear_op; /* of the annotation's removal */
    uint64_t clear_retry_us;
    bool annotation_done; /* this annotation has had its verdict */

    enum handover_verdict verdict; /* of the last one that ended */
    uint64_t duration_us;          /* from request to verdict */
    uint64_t held_us;              /* from pause to promotion */
    uint64_t serial;               /* hand-overs begun */
    uint64_t count;                /* lines of this hand-over; line i is at i % MAX */
    struct handover_line lines[HANDOVER_LINES_MAX];
};

struct core;

/* Begins one, or joins the one that runs. budget_us 0: as configured. */
void handover_request(struct core *c, enum drain_by by, const char *target, uint64_t budget_us,
                      struct core_actions *out);
/* The annotation, and a person's fence, ask too. */
void handover_begin_if_asked(struct core *c, struct core_actions *out);
void handover_step(struct core *c, struct core_actions *out);
/* A step of the succession that is told to who waits. */
void handover_progress(struct core *c, enum handover_step step, struct core_actions *out);
bool handover_on_order(struct core *c, uint64_t op, enum outcome outcome);
void handover_on_api(struct core *c, uint64_t op);
/* The label is kept while the mastership moves. */
bool handover_keeps_label(const struct core *c);
uint64_t handover_next_deadline(const struct core *c);

const char *drain_by_name(enum drain_by by);
const char *handover_verdict_text(enum handover_verdict v);
/* One line for a person, without a newline; out holds HANDOVER_LINE_TEXT_MAX. */
const char *handover_line_text(const struct handover_line *l, char *out, size_t size);

#endif
