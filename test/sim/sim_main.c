/* sim: runs seeds, prints what they have covered, and how to replay the ones that fail. */
#include <getopt.h>
#include <inttypes.h>

#include "lib/base/mem.h"
#include "test/sim/sim.h"

#define DEFAULT_SEEDS 300
#define DEFAULT_CHAOS_S 60
#define FAILURES_SHOWN 10

struct options {
    uint64_t first;
    uint64_t seeds;
    uint64_t chaos_s;
    bool replay;
    bool timeline;
    bool stop_at_first;
    enum sim_engine engine;
    int trace;
};

static void usage(FILE *out)
{
    (void)fprintf(out,
                  "usage: sim [--seeds N] [--first S] [--seconds N] [--engine E] [--stop]\n"
                  "       sim --seed S [--seconds N] [--engine E] [--verbose]\n"
                  "       sim --timeline\n\n"
                  "--seeds N    run N seeds (default %d)\n"
                  "--first S    beginning with S (default 1)\n"
                  "--seed S     run this one and print what happens\n"
                  "--seconds N  of injected faults in each seed (default %d)\n"
                  "--engine E   off, mixed or on in every seed (default: the seed decides)\n"
                  "--stop       end with the first failure\n"
                  "--verbose    every step of every core too\n"
                  "--timeline   only compare the models with the measured times\n\n"
                  "Exit status 1 where a seed, or the comparison, has failed.\n",
                  DEFAULT_SEEDS, DEFAULT_CHAOS_S);
}

static bool number(const char *text, uint64_t *ret)
{
    return sv_to_u64(sv_from(text), ret);
}

static bool engine(const char *text, enum sim_engine *ret)
{
    *ret = strcmp(text, "off") == 0     ? SIM_ENGINE_OFF
           : strcmp(text, "mixed") == 0 ? SIM_ENGINE_MIXED
           : strcmp(text, "on") == 0    ? SIM_ENGINE_ON
                                        : SIM_ENGINE_DRAWN;
    return *ret != SIM_ENGINE_DRAWN;
}

static bool parse(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        {"seeds", required_argument, NULL, 'n'},  {"first", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},   {"seconds", required_argument, NULL, 't'},
        {"engine", required_argument, NULL, 'e'}, {"verbose", no_argument, NULL, 'v'},
        {"stop", no_argument, NULL, 'x'},         {"timeline", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;
    bool good = true;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'n') {
            good = good && number(optarg, &o->seeds);
        } else if (c == 'f') {
            good = good && number(optarg, &o->first);
        } else if (c == 's') {
            good = good && number(optarg, &o->first);
            o->replay = true;
        } else if (c == 't') {
            good = good && number(optarg, &o->chaos_s);
        } else if (c == 'e') {
            good = good && engine(optarg, &o->engine);
        } else if (c == 'v') {
            o->trace = 2;
        } else if (c == 'x') {
            o->stop_at_first = true;
        } else if (c == 'l') {
            o->timeline = true;
        } else if (c == 'h') {
            usage(stdout);
            exit(0);
        } else {
            good = false;
        }
    }
    return good && optind == argc;
}

/* True: passed. */
static bool run_seed(struct world *w, struct coverage *coverage, uint64_t seed,
                     const struct options *o)
{
    world_init(w, seed, coverage, o->trace);
    w->cfg.chaos_us = o->chaos_s * SECOND;
    w->engine_of_all = o->engine;
    scenario_init(w);
    scenario_run(w);
    coverage->simulated_us += w->now_us;
    coverage->writes += w->ledger.write_count;
    coverage->acked += w->ledger.acked;
    coverage->lost += w->ledger.lost;
    if (w->failed) {
        printf("seed %" PRIu64 " FAILED at %.6f s: %s: %s\n    sim --seed %" PRIu64
               " --seconds %" PRIu64 "\n",
               seed, (double)w->now_us / 1e6, w->invariant, w->failure, seed, o->chaos_s);
    }
    world_release(w);
    return !w->failed;
}

static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_seeds(const struct options *o)
{
    struct coverage *coverage = xcalloc(1, sizeof *coverage);
    struct world *w = xmalloc(sizeof *w);
    uint64_t passed = 0;
    uint64_t failed = 0;
    double start_s = cpu_seconds();
    for (uint64_t n = 0; n < o->seeds && !(o->stop_at_first && failed > 0); n++) {
        bool good = run_seed(w, coverage, o->first + n, o);
        passed += good ? 1 : 0;
        failed += good ? 0 : 1;
        (void)fflush(stdout);
        if (failed >= FAILURES_SHOWN && passed < failed) {
            printf("too many failures, the rest is left out\n");
            break;
        }
    }
    double took_s = cpu_seconds() - start_s;
    double simulated_s = (double)coverage->simulated_us / 1e6;
    if (!o->replay) {
        coverage_print(coverage);
    }
    printf("\n%" PRIu64 " seeds, %.0f simulated seconds in %.1f s of CPU: %.0f to one, %" PRIu64
           " events, %" PRIu64 " core steps\n",
           passed + failed, simulated_s, took_s, simulated_s / (took_s > 0 ? took_s : 1),
           coverage->events, coverage->steps);
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", passed, failed);
    free(w);
    free(coverage);
    return failed > 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct options o = {.first = 1, .seeds = DEFAULT_SEEDS, .chaos_s = DEFAULT_CHAOS_S};
    if (!parse(&o, argc, argv)) {
        usage(stderr);
        return 2;
    }
    if (o.timeline) {
        return timeline_check(true) ? 0 : 1;
    }
    if (o.replay) {
        o.seeds = 1;
        o.trace = o.trace > 0 ? o.trace : 1;
    } else if (!timeline_check(false)) {
        printf("the models do not follow the measured timeline: sim --timeline\n");
        return 1;
    }
    return run_seeds(&o);
}
