/* Seeded pseudo-random numbers (splitmix64, Steele, Lea, Flood 2014): jitter and simulated
 * faults. The same seed gives the same sequence on every machine. Not for secrets. */
#ifndef RPA_BASE_RNG_H
#define RPA_BASE_RNG_H

#include "lib/base/defs.h"

struct rng {
    uint64_t state;
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* 0 ≤ n < bound; 0 where bound is 0 */

#endif
