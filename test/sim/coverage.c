#include <inttypes.h>

#include "test/sim/coverage.h"

static const char *const fault_names[] = {SIM_FAULTS(RPA_ENUM_NAME)};

const char *sim_fault_name(enum sim_fault f)
{
    return fault_names[f];
}

static void print_cells(const struct coverage *c)
{
    printf("\nsteps by role and local Redis\n%-10s", "");
    for (size_t l = 0; l < ROLE_LOCAL_COUNT; l++) {
        printf(" %9s", role_local_name((enum role_local)l));
    }
    printf("\n");
    for (size_t s = 0; s < ROLE_STATE_COUNT; s++) {
        printf("%-10s", role_state_name((enum role_state)s));
        for (size_t l = 0; l < ROLE_LOCAL_COUNT; l++) {
            printf(" %9" PRIu64, c->cells[s][l]);
        }
        printf("\n");
    }
}

static void print_reasons(const struct coverage *c)
{
    printf("\nchanges of role by reason\n");
    for (size_t s = 0; s < ROLE_STATE_COUNT; s++) {
        for (size_t r = 0; r < ROLE_REASON_COUNT; r++) {
            if (c->reasons[s][r] > 0) {
                printf("%8" PRIu64 "  %-9s %s\n", c->reasons[s][r],
                       role_state_name((enum role_state)s), role_reason_text((enum role_reason)r));
            }
        }
    }
}

static void print_engine(const struct coverage *c)
{
    printf("\norders of the engine\n");
    for (size_t o = 0; o < ORDER_COUNT; o++) {
        printf("%10" PRIu64 "  %s\n", c->orders[o], order_name((enum order)o));
    }
    printf("\ndecisions of the engine\n");
    for (size_t m = 0; m < MECHANISM_COUNT; m++) {
        for (size_t d = 0; d < DECISION_COUNT; d++) {
            if (c->decisions[m][d] > 0) {
                printf("%10" PRIu64 "  %-13s %s\n", c->decisions[m][d],
                       mechanism_name((enum mechanism)m), decision_text((enum decision)d));
            }
        }
    }
    printf("\nhand-overs that ended\n");
    for (size_t v = 0; v <= HANDOVER_UNKNOWN; v++) {
        printf("%10" PRIu64 "  %s\n", c->verdicts_of_handover[v],
               handover_verdict_text((enum handover_verdict)v));
    }
    printf("\n%" PRIu64 " agents killed right after a deed; %" PRIu64 " writes, %" PRIu64
           " acknowledged, %" PRIu64 " of these lost\n",
           c->trapped, c->writes, c->acked, c->lost);
}

void coverage_print(const struct coverage *c)
{
    print_cells(c);
    print_reasons(c);
    printf("\nsteps by verdict\n");
    for (size_t v = 0; v < VERDICT_COUNT; v++) {
        printf("%10" PRIu64 "  %s\n", c->verdicts[v], verdict_name((enum verdict)v));
    }
    printf("\nfaults injected\n");
    for (size_t f = 0; f < FAULT_COUNT; f++) {
        printf("%8" PRIu64 "  %s\n", c->faults[f], fault_names[f]);
    }
    printf("\nanswers of the API server\n");
    for (size_t o = 0; o < API_OUTCOME_COUNT; o++) {
        printf("%8" PRIu64 "  %s\n", c->outcomes[o], api_outcome_name((enum api_outcome)o));
    }
    printf("\nactions of the cores\n");
    for (size_t a = 0; a < CORE_ACT_COUNT; a++) {
        printf("%10" PRIu64 "  %s\n", c->acts[a], core_act_name((enum core_act)a));
    }
    print_engine(c);
    printf("\n%" PRIu64 " failovers begun, %" PRIu64 " by an elected Sentinel; in %" PRIu64
           " seeds the Sentinels never agreed again\n",
           c->failovers, c->elected, c->unsettled);
}
