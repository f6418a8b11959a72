#include "test/unit/core/role_fixture.h"

struct addr addr_from(const char *text)
{
    struct addr a;
    assert_true(addr_parse(&a, sv_from(text)));
    return a;
}

struct role role_in(enum role_state state)
{
    return (struct role){.state = state,
                         .reason = ROLE_WHY_ADOPTED,
                         .epoch = EPOCH,
                         .since_us = 1,
                         .token = EPOCH,
                         .run_id = RUN_A};
}

struct role_input facts(enum role_state state, enum role_local local, enum verdict verdict)
{
    struct role_input in = {.now_us = NOW_US,
                            .local = local,
                            .local_since_us = NOW_US - ROLE_DEAD_US / 2,
                            .run_id = RUN_A,
                            .verdict = verdict,
                            .vouched = verdict == VERDICT_ME,
                            .epoch_heard = EPOCH,
                            .own_label = state,
                            .own_label_epoch = EPOCH,
                            .own_run_id = RUN_A,
                            .own_observed = true,
                            .peers_synced = true};
    bool known = verdict == VERDICT_ME || verdict == VERDICT_OTHER || verdict == VERDICT_OLD_ME;
    bool majority = known || verdict == VERDICT_NO_MASTER;
    in.newest = (struct newest){.n = 3, .fresh = majority ? 2 : 1, .majority = majority};
    if (known) {
        in.newest.known = true;
        in.newest.addr = addr_from(verdict == VERDICT_OTHER ? OTHER : ME);
        in.newest.epoch = EPOCH;
        in.newest.naming = 2;
        in.newest.proving = 2;
    }
    return in;
}

void add_peer_master(struct role_input *in, uint64_t epoch, bool first)
{
    in->peer_master = true;
    in->peer_master_epoch = epoch;
    in->peer_master_first = first;
}

void step_at(struct role *r, struct role_input *in, uint64_t now_us)
{
    in->now_us = now_us;
    (void)role_step(r, in);
}

void assert_turns_at(struct role *r, struct role_input *in, uint64_t at_us, enum role_state wanted)
{
    enum role_state before = r->state;
    uint64_t now_us = in->now_us;
    assert_true(before != wanted && now_us < at_us);
    /* Other clocks may end sooner without a change; each is announced in its turn. */
    while (role_next_deadline(r, in) < at_us) {
        uint64_t next_us = role_next_deadline(r, in);
        assert_true(next_us > in->now_us);
        step_at(r, in, next_us);
        assert_state(r, before);
    }
    assert_int_equal(role_next_deadline(r, in), at_us);
    step_at(r, in, at_us - 1);
    assert_state(r, before);
    step_at(r, in, at_us);
    assert_state(r, wanted);
}

void assert_stays(struct role *r, struct role_input *in)
{
    enum role_state before = r->state;
    for (uint64_t end_us = in->now_us + 3600000000U; in->now_us < end_us;) {
        step_at(r, in, in->now_us + 100000);
        if (r->state != before) {
            fail_msg("%s became %s after %llu ms", role_state_name(before),
                     role_state_name(r->state), (unsigned long long)((in->now_us - NOW_US) / 1000));
        }
    }
}
