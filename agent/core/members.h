/* The other Redis of the set: who they are, and what each said when it was last asked.
 *
 * A member is found in what Sentinels list and name, and in what the local Redis says of its
 * replicas and its master; it keeps its slot, and the shell its connection, for as long as it
 * is found, and MEMBERS_KEEP_US longer. Members are asked only when a mechanism wants to know;
 * the lasting connection saves the time to make one. One Redis may be found under two
 * spellings; its run-id tells. */
#ifndef RPA_CORE_MEMBERS_H
#define RPA_CORE_MEMBERS_H

#include "agent/core/action.h"
#include "lib/codec/info.h"

#define MEMBERS_KEEP_US 60000000U
#define MEMBERS_RETRY_US 10000U /* after a read that came to nothing */

struct member {
    struct addr addr; /* unset: the slot is free */
    uint64_t found_us;
    bool up;
    uint64_t down_us;  /* without a connection since; of a member never reached: since found */
    unsigned refusals; /* attempts in a row that were refused */
    uint64_t refused_us;
    uint64_t op; /* of the read under way; 0 none */
    uint64_t asked_us;
    uint64_t failed_us; /* when the last read was asked that came to nothing; 0: it did not */
    uint64_t info_us;   /* when what `info` holds was asked; 0: nothing of this connection */
    struct info info;
    char slave_run_id[RUN_ID_LEN + 1]; /* the process last seen as a replica in sync */
};

struct members {
    struct member at[MEMBERS_MAX];
    unsigned dropped; /* found and without a slot */
};

/* MEMBERS_MAX: not there. */
size_t members_find(const struct members *m, const struct addr *a);
/* Notes that it exists; a new one is opened. */
void members_found(struct members *m, const struct addr *a, uint64_t now_us,
                   struct core_actions *out);
/* Closes who has not been found for MEMBERS_KEEP_US. */
void members_expire(struct members *m, uint64_t now_us, struct core_actions *out);
/* Asks a member that is up and not being asked; *op is used up. False: nothing was asked. */
bool members_read(struct members *m, size_t slot, uint64_t *op, uint64_t now_us,
                  struct core_actions *out);
void members_up(struct members *m, size_t slot, uint64_t now_us);
void members_lost(struct members *m, size_t slot, bool refused, uint64_t now_us);
void members_info(struct members *m, size_t slot, uint64_t op, const struct info *info);
void members_distrust(struct members *m);

/* The last answer, where it was asked no earlier than `since_us`; else NULL. */
const struct info *members_info_since(const struct members *m, size_t slot, uint64_t since_us);

#endif
