/* Sizes and units that all parts of the simulation share. */
#ifndef RPA_TEST_SIM_LIMITS_H
#define RPA_TEST_SIM_LIMITS_H

#include "lib/base/defs.h"

#define MS ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)

#define SIM_PODS_MAX 5
#define SIM_SENTINELS_MAX 5
#define SIM_SLOTS_MAX (SIM_SENTINELS_MAX + 1) /* one Sentinel may be configured twice */
#define SIM_API_NODE (SIM_PODS_MAX + SIM_SENTINELS_MAX)
#define SIM_NODES (SIM_API_NODE + 1)
#define SIM_MASTER_NAME "mymaster"

#endif
