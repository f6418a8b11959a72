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
    bool finishing;     /* KILL and UNPAUSE are sent */
    uint64_t paused_us; /* writes are held since; 0 not */
    const char *why;    /* of the last failed try */

    enum handover_verdict verdict; /* of the last one that ended */
    uint64_t duration_us;          /* from request to verdict */
    uint64_t held_us;              /* from pause to promotion */
    uint64_t serial;               /* hand-overs begun */
    uint64_t count;                /* lines of this hand-over; line i is at i % MAX */
    struct handover_line lines[HANDOVER_LINES_MAX];
};

const char *drain_by_name(enum drain_by by);
const char *handover_verdict_text(enum handover_verdict v);
/* One line for a person, without a newline; out holds HANDOVER_LINE_TEXT_MAX. */
const char *handover_line_text(const struct handover_line *l, char *out, size_t size);

#endif
