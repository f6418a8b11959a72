#include "lib/base/mem.h"
#include "test/sim/sim.h"

/* One failover without any fault but the kill and without agents, 3 + 3, down-after 1000: the
 * model's times beside those measured on redis 7.0.15. What the models get wrong here, the
 * agents would be tested against wrongly. */

#define KILL_US (21 * SECOND)
#define RESTART_US (20 * SECOND)
#define END_US (20 * SECOND)

struct line {
    const char *what;
    double measured_ms;
    double low_ms;
    double high_ms;
    double model_ms;
};

static uint64_t earliest(const struct world *w, enum sentinel_event_type type, uint64_t from_us)
{
    uint64_t first_us = 0;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        uint64_t us = w->truth.told_us[k][type];
        if (us > from_us && (first_us == 0 || us < first_us)) {
            first_us = us;
        }
    }
    return first_us;
}

static uint64_t latest(const struct world *w, enum sentinel_event_type type)
{
    uint64_t last_us = 0;
    for (unsigned k = 0; k < w->cfg.sentinels; k++) {
        last_us = u64_max(last_us, w->truth.told_us[k][type]);
    }
    return last_us;
}

static double since_ms(uint64_t us, uint64_t from_us)
{
    return us > from_us ? (double)(us - from_us) / 1e3 : -1;
}

static uint64_t promotion_us(const struct world *w)
{
    for (size_t n = 0; n < TRUTH_ELECTIONS; n++) {
        if (w->truth.elections[n].promoted_us != 0) {
            return w->truth.elections[n].promoted_us;
        }
    }
    return 0;
}

static void run(struct world *w, uint64_t *ret_killed_us, uint64_t *ret_restarted_us)
{
    w->cfg = (struct sim_config){.pods = 3,
                                 .sentinels = 3,
                                 .quorum = 2,
                                 .mode = CORE_MODE_SENTINEL,
                                 .down_after_us = SECOND,
                                 .failover_timeout_us = 60 * SECOND,
                                 .sync_us = 100 * MS,
                                 .delay_us = 50,
                                 .without_agents = true};
    scenario_start(w);
    world_run(w, KILL_US);
    *ret_killed_us = w->now_us;
    memset(w->truth.told_us, 0, sizeof w->truth.told_us);
    redis_kill(w, 0, false);
    world_run(w, w->now_us + RESTART_US);
    *ret_restarted_us = w->now_us;
    redis_start(w, 0);
    world_run(w, w->now_us + END_US);
}

static bool judge(struct line *lines, size_t count, bool print)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        struct line *l = &lines[i];
        bool in = l->model_ms >= l->low_ms && l->model_ms <= l->high_ms;
        good = good && in;
        if (print) {
            printf("%-44s measured %7.0f ms, model %7.0f ms (%.0f to %.0f) %s\n", l->what,
                   l->measured_ms, l->model_ms, l->low_ms, l->high_ms, in ? "ok" : "WRONG");
        }
    }
    return good;
}

bool timeline_check(bool print)
{
    struct coverage *coverage = xcalloc(1, sizeof *coverage);
    struct world *w = xmalloc(sizeof *w);
    uint64_t killed_us;
    uint64_t restarted_us;
    world_init(w, 1, coverage, 0);
    run(w, &killed_us, &restarted_us);
    uint64_t promoted_us = promotion_us(w);
    struct line lines[] = {
        {"+sdown", 1050, 900, 2200,
         since_ms(earliest(w, SENTINEL_EVENT_SDOWN, killed_us), killed_us)},
        {"+try-failover", 1251, 1000, 2500,
         since_ms(earliest(w, SENTINEL_EVENT_TRY_FAILOVER, killed_us), killed_us)},
        {"+try-failover -> +elected-leader", 42, 20, 350,
         since_ms(latest(w, SENTINEL_EVENT_ELECTED_LEADER),
                  latest(w, SENTINEL_EVENT_TRY_FAILOVER))},
        {"+elected-leader -> +selected-slave", 59, 20, 110,
         since_ms(latest(w, SENTINEL_EVENT_SELECTED_SLAVE),
                  latest(w, SENTINEL_EVENT_ELECTED_LEADER))},
        {"+selected-slave -> ROLE becomes master", 68, 20, 150,
         since_ms(promoted_us, latest(w, SENTINEL_EVENT_SELECTED_SLAVE))},
        {"ROLE -> +promoted-slave", 850, 50, 1200,
         since_ms(latest(w, SENTINEL_EVENT_PROMOTED_SLAVE), promoted_us)},
        {"+promoted-slave -> others' +switch-master", 89, 1, 250,
         since_ms(earliest(w, SENTINEL_EVENT_SWITCH_MASTER, killed_us),
                  latest(w, SENTINEL_EVENT_PROMOTED_SLAVE))},
        {"+promoted-slave -> leader's +switch-master", 1125, 500, 3500,
         since_ms(latest(w, SENTINEL_EVENT_SWITCH_MASTER),
                  latest(w, SENTINEL_EVENT_PROMOTED_SLAVE))},
        {"restart of the old master -> made a replica", 10600, 8000, 12500,
         since_ms(latest(w, SENTINEL_EVENT_CONVERT_TO_SLAVE), restarted_us)},
    };
    bool good = judge(lines, ARRAY_LEN(lines), print) && !w->failed;
    if (w->failed && print) {
        printf("%s: %s\n", w->invariant, w->failure);
    }
    world_release(w);
    free(w);
    free(coverage);
    return good;
}
