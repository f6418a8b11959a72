/* The role machine: the table of the design over every state, local and verdict, each with
 * every combination of what can stand beside them, against rows that are written from the
 * design and not from the code. The limits in time are in test_role_time.c. */
#include "test/unit/core/role_fixture.h"

/* What can stand beside state, local and verdict. */
enum {
    FENCED = 1U << 0,
    TERMINATING = 1U << 1,
    EAGER = 1U << 2, /* an elected Sentinel has selected me, at EAGER_EPOCH */
    MIRROR = 1U << 3,
    OLD_EPOCH = 1U << 4, /* newest is below the token */
    MINORITY = 1U << 5,  /* newest is named by one of three */
    LOWEST = 1U << 6,    /* the lowest ordinal of the set */
    PROCESS = 1U << 7,   /* another run-id than the one that the state was given to */
    /* at most one of each group */
    PEER_BELOW = 1U << 8,
    PEER_EQUAL = 1U << 9, /* and its ordinal is higher than mine */
    PEER_FIRST = 1U << 10,
    PEER_ABOVE = 1U << 11,
    PEER_TOP = 1U << 12, /* above the eager epoch too */
    DEMOTED_EQUAL = 1U << 13,
    DEMOTED_ABOVE = 1U << 14,
    DEMOTED_TOP = 1U << 15, /* at the eager epoch */
};

#define EAGER_EPOCH 7U
#define PEER_NEWER (PEER_ABOVE | PEER_TOP)
#define PEER_ANY (PEER_BELOW | PEER_EQUAL | PEER_FIRST | PEER_NEWER)
#define S(x) (1U << ROLE_##x)
#define V(x) (1U << VERDICT_##x)
#define L(x) (1U << ROLE_LOCAL_##x)
#define HOLD ROLE_STATE_COUNT
#define ANY 0U
#define ANY_REASON ROLE_REASON_COUNT
#define UNASKED (L(UNKNOWN) | L(BUSY) | L(DEAD)) /* its ROLE cannot be had now */
#define PEER_SAYS ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED

/* The first row that fits is the outcome. all: modifiers that must be there; one: of these at
 * least one; none: these must not. */
struct row {
    unsigned locals;
    unsigned verdicts;
    unsigned states;
    unsigned all;
    unsigned one;
    unsigned none;
    enum role_state state;
    enum role_reason reason;
    uint64_t epoch;
};

static const struct row table[] = {
    /* The master keeps its label for its successor, for a while; all else is in time. */
    {L(DEAD), ANY, S(MASTER), 0, PEER_NEWER, 0, ROLE_PENDING, ROLE_WHY_DEAD, 0},
    /* What is merely held is not held against a peer's demotion. */
    {UNASKED, ~V(OFF), S(MASTER), DEMOTED_TOP, 0, PROCESS, PEER_SAYS, EAGER_EPOCH},
    {UNASKED, ~V(OFF), S(MASTER), DEMOTED_ABOVE, 0, PROCESS, PEER_SAYS, EPOCH + 1},
    {UNASKED, ~V(OFF), S(MASTER), DEMOTED_EQUAL, 0, PROCESS, PEER_SAYS, EPOCH},
    {UNASKED, ANY, ANY, 0, 0, 0, HOLD, ANY_REASON, 0},
    {L(SILENT), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_SILENT, 0},
    {L(DENIED), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_DENIED, 0},
    {L(LOADING), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_LOADING, 0},
    {L(CLUSTER), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_CLUSTER, 0},
    {L(SENTINEL), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_SENTINEL, 0},
    {L(SYNCING), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_SYNCING, 0},
    {L(LINK_DOWN), ANY, ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_LINK_DOWN, 0},
    {L(SLAVE), ANY, ANY, 0, 0, 0, ROLE_REPLICA, ROLE_WHY_SLAVE, EPOCH},
    /* From here on ROLE is master. */
    {ANY, V(OFF), ANY, 0, 0, 0, ROLE_MASTER, ROLE_WHY_NO_SENTINEL, 0},
    {ANY, ANY, ANY, EAGER | PEER_TOP, 0, 0, ROLE_DEMOTED, ANY_REASON, EAGER_EPOCH},
    {ANY, ANY, ANY, EAGER | DEMOTED_TOP, 0, 0, ROLE_DEMOTED, ANY_REASON, EAGER_EPOCH},
    {ANY, ANY, ANY, EAGER, 0, 0, ROLE_MASTER, ROLE_WHY_EAGER, EAGER_EPOCH},
    {ANY, ANY, ANY, MIRROR, 0, 0, ROLE_DEMOTED, ROLE_WHY_MIRROR, EPOCH},
    /* A peer's `demoted` is evidence until newest, at that epoch or above, names me. */
    {ANY, ANY, ANY, DEMOTED_TOP, 0, 0, ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, EAGER_EPOCH},
    {ANY, ANY, ANY, DEMOTED_ABOVE, 0, 0, ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, EPOCH + 1},
    {ANY, ~V(ME), ANY, DEMOTED_EQUAL, 0, 0, ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, EPOCH},
    {ANY, V(ME), ANY, DEMOTED_EQUAL | OLD_EPOCH, 0, 0, ROLE_DEMOTED, ROLE_WHY_PEER_DEMOTED, EPOCH},
    /* A peer's newer `master` ends mine, and keeps everybody from it. */
    {ANY, ANY, S(MASTER) | S(DEMOTED), 0, PEER_NEWER, 0, ROLE_DEMOTED, ROLE_WHY_SUPERSEDED, EPOCH},
    {ANY, V(ME), ANY, 0, PEER_NEWER, 0, HOLD, ANY_REASON, 0},
    /* Two of one epoch: whom a strict majority names stays, else the lower ordinal. */
    {ANY, V(ME), ANY, PEER_FIRST, 0, MINORITY | OLD_EPOCH, ROLE_MASTER, ROLE_WHY_MAJORITY, EPOCH},
    {ANY, ANY, S(MASTER) | S(DEMOTED), PEER_FIRST, 0, 0, ROLE_DEMOTED, ANY_REASON, EPOCH},
    {ANY, V(ME), ANY, PEER_FIRST, 0, 0, HOLD, ANY_REASON, 0},
    /* Sentinels that have forgotten prove nothing, at first. */
    {ANY, V(ME) | V(OTHER) | V(OLD_ME), ANY, OLD_EPOCH, 0, 0, HOLD, ANY_REASON, 0},
    {ANY, V(ME), ANY, 0, 0, 0, ROLE_MASTER, ROLE_WHY_MAJORITY, EPOCH},
    {ANY, V(OTHER), ANY, 0, 0, 0, ROLE_DEMOTED, ROLE_WHY_OTHER, EPOCH},
    {ANY, V(OLD_ME), ANY, 0, 0, 0, ROLE_PENDING, ROLE_WHY_RESTARTED, 0},
    {ANY, V(NO_MASTER), ~S(MASTER), LOWEST, 0, PEER_ANY, ROLE_MASTER, ROLE_WHY_BOOTSTRAP, 0},
    {ANY, ANY, ANY, 0, 0, 0, HOLD, ANY_REASON, 0},
};

struct outcome {
    enum role_state state;
    enum role_reason reason;
    uint64_t epoch;
};

static bool in_mask(unsigned mask, unsigned bit)
{
    return mask == ANY || (mask & 1U << bit) != 0;
}

static const struct row *row_of(unsigned state, unsigned local, unsigned verdict, unsigned mods)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct row *w = &table[i];
        if (in_mask(w->locals, local) && in_mask(w->verdicts, verdict) &&
            in_mask(w->states, state) && (mods & w->all) == w->all &&
            (w->one == 0 || (mods & w->one) != 0) && (mods & w->none) == 0) {
            return w;
        }
    }
    return NULL;
}

/* What a hold comes to: the present label, but for causes that are gone and for a label that
 * was given to another process. */
static struct outcome held(enum role_state state, enum role_local local, unsigned mods)
{
    struct outcome same = {state, ANY_REASON, EPOCH};
    struct outcome pending = {ROLE_PENDING, ANY_REASON, 0};
    switch (state) {
    case ROLE_UNSET:
        if ((mods & (DEMOTED_EQUAL | DEMOTED_ABOVE | DEMOTED_TOP)) != 0) {
            return (struct outcome){ROLE_DEMOTED, ROLE_WHY_ADOPTED, EPOCH};
        }
        return local == ROLE_LOCAL_UNKNOWN ? same : pending;
    case ROLE_MASTER:
        return (mods & PROCESS) != 0 ? (struct outcome){ROLE_PENDING, ROLE_WHY_RESTARTED, 0} : same;
    case ROLE_FENCED:
    case ROLE_DRAINING:
        return pending;
    case ROLE_PENDING:
    case ROLE_REPLICA:
    case ROLE_DEMOTED:
    case ROLE_STATE_COUNT:
        return same;
    }
    return same;
}

/* fenced > draining > the table. */
static struct outcome expected(enum role_state state, enum role_local local, enum verdict verdict,
                               unsigned mods)
{
    const struct row *w = row_of(state, local, verdict, mods);
    struct outcome o = {w->state, w->reason, w->epoch};
    if ((mods & FENCED) != 0) {
        return (struct outcome){ROLE_FENCED, ROLE_WHY_FENCE, EPOCH};
    }
    if (o.state == HOLD) {
        enum role_state kept = state;
        o = held(state, local, mods);
        if ((mods & TERMINATING) != 0 && kept == ROLE_MASTER && (mods & PROCESS) != 0) {
            return (struct outcome){ROLE_DRAINING, ROLE_WHY_TERMINATING, EPOCH};
        }
    }
    if ((mods & TERMINATING) != 0 && o.state != ROLE_MASTER) {
        return (struct outcome){ROLE_DRAINING, ROLE_WHY_TERMINATING, EPOCH};
    }
    return o;
}

static uint64_t demoted_by(unsigned mods)
{
    if ((mods & DEMOTED_TOP) != 0) {
        return EAGER_EPOCH;
    }
    return (mods & DEMOTED_ABOVE) != 0 ? EPOCH + 1 : EPOCH;
}

static void apply(struct role_input *in, unsigned mods)
{
    in->fenced = (mods & FENCED) != 0;
    in->terminating = (mods & TERMINATING) != 0;
    in->eager_epoch = (mods & EAGER) != 0 ? EAGER_EPOCH : 0;
    in->mirror = (mods & MIRROR) != 0;
    in->lowest_ordinal = (mods & LOWEST) != 0;
    in->newest.epoch -= (mods & OLD_EPOCH) != 0 ? 1 : 0;
    in->newest.naming -= (mods & MINORITY) != 0 ? 1 : 0;
    if ((mods & PROCESS) != 0) {
        memcpy(in->run_id, RUN_B, sizeof in->run_id);
    }
    if ((mods & (DEMOTED_EQUAL | DEMOTED_ABOVE | DEMOTED_TOP)) != 0) {
        in->own_label = ROLE_DEMOTED;
        in->demoted_by_epoch = demoted_by(mods);
    }
    static const struct {
        unsigned mod;
        uint64_t epoch;
    } peers[] = {{PEER_BELOW, EPOCH - 2},
                 {PEER_EQUAL, EPOCH},
                 {PEER_FIRST, EPOCH},
                 {PEER_ABOVE, EPOCH + 1},
                 {PEER_TOP, EAGER_EPOCH + 1}};
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        if ((mods & peers[i].mod) != 0) {
            add_peer_master(in, peers[i].epoch, peers[i].mod == PEER_FIRST);
        }
    }
}

/* Every set of modifiers, in turn; false at the end. */
static bool next_mods(unsigned *mods)
{
    static const unsigned peers[] = {0, PEER_BELOW, PEER_EQUAL, PEER_FIRST, PEER_ABOVE, PEER_TOP};
    static const unsigned demotions[] = {0, DEMOTED_EQUAL, DEMOTED_ABOVE, DEMOTED_TOP};
    unsigned flags = *mods & 0xff;
    size_t p = 0;
    size_t d = 0;
    while (peers[p] != (*mods & PEER_ANY)) {
        p++;
    }
    while (demotions[d] != (*mods & (DEMOTED_EQUAL | DEMOTED_ABOVE | DEMOTED_TOP))) {
        d++;
    }
    flags = (flags + 1) & 0xff;
    if (flags == 0 && ++p == ARRAY_LEN(peers)) {
        p = 0;
        d++;
    }
    if (d == ARRAY_LEN(demotions)) {
        return false;
    }
    *mods = flags | peers[p] | demotions[d];
    return true;
}

static void fail_with(const char *what, const struct role_input *in, unsigned from, unsigned mods,
                      const struct role *r, const struct outcome *o)
{
    fail_msg("%s: %s, local %s, verdict %s, modifiers %#x: is %s at %llu (%s), wanted %s at %llu",
             what, role_state_name(from), role_local_name(in->local), verdict_name(in->verdict),
             mods, role_state_name(r->state), (unsigned long long)r->epoch,
             role_reason_text(r->reason), role_state_name(o->state), (unsigned long long)o->epoch);
}

typedef void each_fn(enum role_state s, enum role_local l, enum verdict v, unsigned mods);

static void for_each_case(each_fn *each)
{
    for (unsigned s = 0; s < ROLE_STATE_COUNT; s++) {
        for (unsigned l = 0; l < ROLE_LOCAL_COUNT; l++) {
            for (unsigned v = 0; v < VERDICT_COUNT; v++) {
                unsigned mods = 0;
                do {
                    each((enum role_state)s, (enum role_local)l, (enum verdict)v, mods);
                } while (next_mods(&mods));
            }
        }
    }
}

static void check_outcome(enum role_state s, enum role_local l, enum verdict v, unsigned mods)
{
    struct role r = role_in(s);
    struct role_input in = facts(s, l, v);
    if (!in.newest.known && (mods & (OLD_EPOCH | MINORITY)) != 0) {
        return;
    }
    apply(&in, mods);
    struct outcome o = expected(s, l, v, mods);
    struct role_change change = role_step(&r, &in);
    bool epoch_ok = r.epoch == o.epoch || (o.state == s && s != ROLE_MASTER);
    if (r.state != o.state || !epoch_ok || (o.reason != ANY_REASON && r.reason != o.reason)) {
        fail_with("outcome", &in, s, mods, &r, &o);
    }
    if (change.state != (r.state != s) || change.from != s ||
        (change.state && r.since_us != NOW_US)) {
        fail_with("what is told of the change", &in, s, mods, &r, &o);
    }
}

static void test_every_row(void **state)
{
    (void)state;
    for_each_case(check_outcome);
}

/* What a step made of the facts is stored in the API; then nothing may change any more. A step
 * that changes its mind would do so for ever, with a PATCH and an Event each time. */
static void check_fixpoint(enum role_state s, enum role_local l, enum verdict v, unsigned mods)
{
    struct role r = role_in(s);
    struct role_input in = facts(s, l, v);
    apply(&in, mods);
    for (int i = 0; i < 2; i++) {
        (void)role_step(&r, &in);
        in.own_label = r.state;
        in.own_label_epoch = r.epoch;
        in.demoted_by_epoch = r.state == ROLE_DEMOTED ? in.demoted_by_epoch : 0;
        memcpy(in.own_run_id, r.run_id, sizeof in.own_run_id);
    }
    struct role before = r;
    struct role_change change = role_step(&r, &in);
    if (change.state || change.epoch || change.regressed) {
        struct outcome o = {before.state, before.reason, before.epoch};
        fail_with("a second look at the same facts", &in, s, mods, &r, &o);
    }
}

static void test_the_same_facts_change_nothing(void **state)
{
    (void)state;
    for_each_case(check_fixpoint);
}

/* Nothing but a table that was never looked at can make these two pass with a wrong machine. */
static void test_every_row_is_used(void **state)
{
    (void)state;
    bool used[ARRAY_LEN(table)] = {false};
    for (unsigned s = 0; s < ROLE_STATE_COUNT; s++) {
        for (unsigned l = 0; l < ROLE_LOCAL_COUNT; l++) {
            for (unsigned v = 0; v < VERDICT_COUNT; v++) {
                unsigned mods = 0;
                do {
                    used[row_of(s, l, v, mods) - table] = true;
                } while (next_mods(&mods));
            }
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!used[i]) {
            fail_msg("row %zu fits nothing", i);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned s = ROLE_PENDING; s < ROLE_STATE_COUNT; s++) {
        enum role_state back = ROLE_UNSET;
        assert_true(role_state_from(sv_from(role_state_name((enum role_state)s)), &back));
        assert_int_equal(back, s);
    }
    static const char *const not_states[] = {"", "unset", "Master", "slave", "master "};
    for (size_t i = 0; i < ARRAY_LEN(not_states); i++) {
        enum role_state untouched = ROLE_FENCED;
        assert_false(role_state_from(sv_from(not_states[i]), &untouched));
        assert_int_equal(untouched, ROLE_FENCED);
    }
}

static void test_starts_with_nothing(void **state)
{
    (void)state;
    struct role r;
    role_init(&r);
    assert_state(&r, ROLE_UNSET);
    struct role_input in = facts(ROLE_UNSET, ROLE_LOCAL_UNKNOWN, VERDICT_NONE);
    in.own_observed = false;
    in.run_id[0] = '\0';
    struct role_change change = role_step(&r, &in);
    assert_false(change.state);
    assert_state(&r, ROLE_UNSET);
    /* A local master without evidence and without a read of the Pod: still nothing. */
    in.local = ROLE_LOCAL_MASTER;
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_UNSET);
    assert_true(r.holding);
}

static void test_adopts_the_stored_label(void **state)
{
    (void)state;
    for (unsigned s = ROLE_PENDING; s < ROLE_STATE_COUNT; s++) {
        struct role r;
        role_init(&r);
        struct role_input in = facts((enum role_state)s, ROLE_LOCAL_MASTER, VERDICT_NONE);
        in.own_label_epoch = EPOCH + 4;
        struct role_change change = role_step(&r, &in);
        assert_true(change.state);
        assert_state(&r, (enum role_state)s);
        assert_reason(&r, ROLE_WHY_ADOPTED);
        assert_int_equal(r.epoch, EPOCH + 4);
    }
}

static void test_adopts_no_master_of_another_process(void **state)
{
    (void)state;
    struct role r;
    role_init(&r);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_NONE);
    memcpy(in.run_id, RUN_B, sizeof in.run_id);
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_PENDING);
    assert_reason(&r, ROLE_WHY_RESTARTED);

    /* The label is adopted while the run-id is not known; the INFO that comes then ends it. */
    role_init(&r);
    in.run_id[0] = '\0';
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_MASTER);
    memcpy(in.run_id, RUN_B, sizeof in.run_id);
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_PENDING);
}

static void test_bootstrap_needs_all_of_it(void **state)
{
    (void)state;
    static const struct {
        bool synced;
        bool observed;
        bool lowest;
        bool peer;
    } rows[] = {{true, true, true, false},
                {false, true, true, false},
                {true, false, true, false},
                {true, true, false, false},
                {true, true, true, true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct role r = role_in(ROLE_PENDING);
        struct role_input in = facts(ROLE_PENDING, ROLE_LOCAL_MASTER, VERDICT_NO_MASTER);
        in.peers_synced = rows[i].synced;
        in.own_observed = rows[i].observed;
        in.lowest_ordinal = rows[i].lowest;
        in.peer_master = rows[i].peer;
        (void)role_step(&r, &in);
        assert_state(&r, i == 0 ? ROLE_MASTER : ROLE_PENDING);
    }
}

static void test_epoch_follows_newest(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    in.newest.epoch = EPOCH + 3;
    struct role_change change = role_step(&r, &in);
    assert_false(change.state);
    assert_true(change.epoch);
    assert_int_equal(r.epoch, EPOCH + 3);
    assert_int_equal(r.token, EPOCH + 3);
    assert_int_equal(r.since_us, 1);
    assert_reason(&r, ROLE_WHY_MAJORITY);
}

/* An eager proof is not newest yet: it moves no token, and newest confirms it in silence. */
static void test_eager_is_confirmed(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_REPLICA);
    struct role_input in = facts(ROLE_REPLICA, ROLE_LOCAL_MASTER, VERDICT_OTHER);
    in.eager_epoch = EAGER_EPOCH;
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_MASTER);
    assert_int_equal(r.token, EPOCH);
    in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    in.newest.epoch = EAGER_EPOCH;
    struct role_change change = role_step(&r, &in);
    assert_false(change.state || change.epoch);
    assert_reason(&r, ROLE_WHY_MAJORITY);
    assert_int_equal(r.epoch, EAGER_EPOCH);
    assert_int_equal(r.token, EAGER_EPOCH);
}

/* … and one that names another at that epoch ends it. */
static void test_eager_is_refuted(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_REPLICA);
    struct role_input in = facts(ROLE_REPLICA, ROLE_LOCAL_MASTER, VERDICT_OTHER);
    in.eager_epoch = EAGER_EPOCH;
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_MASTER);
    in.newest.epoch = EAGER_EPOCH;
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_DEMOTED);
    assert_int_equal(r.epoch, EAGER_EPOCH);
}

static void test_eager_yields_to_a_demotion_above(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_REPLICA);
    struct role_input in = facts(ROLE_DEMOTED, ROLE_LOCAL_MASTER, VERDICT_OTHER);
    in.eager_epoch = EAGER_EPOCH;
    in.demoted_by_epoch = EAGER_EPOCH + 1;
    (void)role_step(&r, &in);
    assert_state(&r, ROLE_DEMOTED);
}

static void test_restarted_master_yields_to_a_newer_label(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_PENDING);
    struct role_input in = facts(ROLE_PENDING, ROLE_LOCAL_MASTER, VERDICT_OLD_ME);
    add_peer_master(&in, EPOCH + 1, false);
    step_at(&r, &in, NOW_US);
    assert_stays(&r, &in);
}

static void test_hold_tells_since_when(void **state)
{
    (void)state;
    struct role r = role_in(ROLE_MASTER);
    struct role_input in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_NONE);
    step_at(&r, &in, NOW_US);
    assert_true(r.holding);
    step_at(&r, &in, NOW_US + 1000);
    assert_int_equal(r.hold_since_us, NOW_US);
    in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_ME);
    step_at(&r, &in, NOW_US + 2000);
    assert_false(r.holding);
    in = facts(ROLE_MASTER, ROLE_LOCAL_MASTER, VERDICT_NONE);
    step_at(&r, &in, NOW_US + 3000);
    assert_int_equal(r.hold_since_us, NOW_US + 3000);
    assert_state(&r, ROLE_MASTER);
    assert_stays(&r, &in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_the_same_facts_change_nothing),
        cmocka_unit_test(test_every_row_is_used),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_starts_with_nothing),
        cmocka_unit_test(test_adopts_the_stored_label),
        cmocka_unit_test(test_adopts_no_master_of_another_process),
        cmocka_unit_test(test_bootstrap_needs_all_of_it),
        cmocka_unit_test(test_epoch_follows_newest),
        cmocka_unit_test(test_eager_is_confirmed),
        cmocka_unit_test(test_eager_is_refuted),
        cmocka_unit_test(test_eager_yields_to_a_demotion_above),
        cmocka_unit_test(test_restarted_master_yields_to_a_newer_label),
        cmocka_unit_test(test_hold_tells_since_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
