/* The Pods of the set, as list and watch tell them: the own one, and the peers in
 * core.peers. Inside of the core. */
#ifndef RPA_CORE_PODS_H
#define RPA_CORE_PODS_H

#include "agent/core/core.h"

void pods_resync(struct core *c);
void pods_seen(struct core *c, const struct pod *p);
void pods_gone(struct core *c, const struct pod *p);
void pods_synced(struct core *c);
/* What the peers' labels and names say, for the role. */
void pods_gather(const struct core *c, struct role_input *in);

#endif
