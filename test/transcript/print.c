/* What the core did, as the lines of a transcript. */
#include <inttypes.h>

#include "lib/base/check.h"
#include "test/transcript/world.h"

void world_print_line(struct world *w, uint64_t at_us, struct sv text)
{
    REQUIRE(buf_addf(&w->out, "[%6" PRIu64 ".%03u] %.*s\n", at_us / 1000, (unsigned)(at_us % 1000),
                     SV_ARG(text)));
}

static void print_action(struct world *w, const struct core_action *a)
{
    char text[256] = "";
    switch (a->type) {
    case ACT_READ_LOCAL:
        (void)snprintf(text, sizeof text, "> ROLE%s", a->info ? " and INFO" : "");
        break;
    case ACT_READ_SENTINEL:
        (void)snprintf(text, sizeof text, "> SENTINEL MASTER of %zu", a->slot);
        break;
    case ACT_KICK_LOCAL:
        (void)snprintf(text, sizeof text, "> reconnect to Redis now");
        break;
    case ACT_PATCH_POD:
        (void)snprintf(text, sizeof text, "> PATCH %s, epoch %" PRIu64 ", run-id %.1s",
                       role_state_name(a->label.role), a->label.epoch,
                       a->label.run_id[0] != '\0' ? a->label.run_id : "-");
        break;
    case ACT_GET_POD:
        (void)snprintf(text, sizeof text, "> GET the Pod");
        break;
    case ACT_KUBE_EVENT:
        if (a->regressed) {
            (void)snprintf(text, sizeof text, "> Event: the lower epoch %" PRIu64 " is accepted",
                           a->epoch);
        } else {
            (void)snprintf(text, sizeof text, "> Event: %s became %s", role_state_name(a->from),
                           role_state_name(a->to));
        }
        break;
    case ACT_ROLE_CHANGED:
        (void)snprintf(text, sizeof text, "> %s -> %s, epoch %" PRIu64 ": %s",
                       role_state_name(a->from), role_state_name(a->to), a->epoch,
                       role_reason_text(a->reason));
        break;
    case ACT_LABEL_ACKED:
        (void)snprintf(text, sizeof text, "> acknowledged after %" PRIu64 ".%03u ms",
                       a->duration_us / 1000, (unsigned)(a->duration_us % 1000));
        break;
    case ACT_GAP:
        (void)snprintf(text, sizeof text, "> a gap of %" PRIu64 " ms", a->duration_us / 1000);
        break;
    case ACT_LOOK_SENTINEL:
    case ACT_VOTE:
    case ACT_ANNOUNCE:
    case ACT_FORCE_FAILOVER:
    case ACT_MEMBER_OPEN:
    case ACT_MEMBER_CLOSE:
    case ACT_MEMBER_KICK:
    case ACT_READ_MEMBER:
    case ACT_ORDER:
    case ACT_LAUNCH_ANSWER:
    case ACT_DEMOTE_PEER:
    case ACT_CLEAR_HANDOVER:
    case ACT_DECIDED:
    case ACT_DRAIN_TOLD:
    case CORE_ACT_COUNT:
        break;
    }
    world_print_line(w, w->now_us, sv_from(text));
}

void world_print_actions(struct world *w)
{
    for (size_t i = 0; i < w->actions.count; i++) {
        const struct core_action *a = &w->actions.items[i];
        bool is_read = a->type == ACT_READ_LOCAL || a->type == ACT_READ_SENTINEL;
        if (!is_read || w->trace_reads) {
            print_action(w, a);
        }
    }
}

void world_print_probe(struct world *w, enum probe p, uint64_t max_lag_bytes)
{
    struct probe_answer a;
    char text[256];
    uint64_t core_now_us = w->core.now_us + (w->now_us - w->stepped_us);
    probe_answer(&w->core, p, max_lag_bytes, core_now_us, &a);
    (void)snprintf(text, sizeof text, "> %s %d", probe_path(p), a.ok ? 200 : 503);
    world_print_line(w, w->now_us, sv_from(text));
    for (size_t i = 0; i < a.count; i++) {
        const struct probe_check *k = &a.checks[i];
        const char *mark = k->ok ? "[+]" : k->counts ? "[-]" : "[ ]";
        (void)snprintf(text, sizeof text, ">   %s%s: %s", mark, k->name, k->detail);
        world_print_line(w, w->now_us, sv_from(text));
    }
}
