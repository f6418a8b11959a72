/* A core and the world around it, one event at a time: redis-0 of three, three Sentinels. The
 * time is `now_us` of the rig; every event is of that moment. */
#ifndef TEST_UNIT_CORE_CORE_RIG_H
#define TEST_UNIT_CORE_CORE_RIG_H

#include "agent/core/core.h"
#include "test/unit/core/evidence_fixture.h"

#define UID "11111111-2222-3333-4444-555555555555"
#define SET_UID "cccccccc-0000-0000-0000-000000000000"
#define WALL_MS 1800000000000U /* wall-clock at NOW_US */

struct rig {
    struct core core;
    struct core_actions out; /* of the last step */
    uint64_t now_us;
};

struct core_config rig_config(void);
void rig_init_with(struct rig *r, const struct core_config *cfg);
void rig_init(struct rig *r);

/* The n-th action of that type of the last step; NULL: there are fewer. */
const struct core_action *rig_action(const struct rig *r, enum core_act type, size_t n);
size_t rig_count(const struct rig *r, enum core_act type);

void rig_send(struct rig *r, struct core_event ev);
void rig_event(struct rig *r, enum core_event_type type); /* one without content */
void rig_tick(struct rig *r, uint64_t after_us);          /* a tick, so much later */
void rig_slot_event(struct rig *r, enum core_event_type type, size_t slot);

void rig_local_down(struct rig *r, enum local_down why);
/* Answers to the reads that are outstanding now. */
void rig_role(struct rig *r, enum redis_role role);
void rig_fault(struct rig *r, enum resp_fault fault);
void rig_info(struct rig *r, const char *run_id);
void rig_view(struct rig *r, size_t slot, const char *named, uint64_t epoch);

void rig_sentinel_event(struct rig *r, size_t slot, enum sentinel_event_type type);
void rig_pod(struct rig *r, struct pod p);
void rig_api(struct rig *r, enum api_outcome outcome, const struct pod *p);

/* A Pod of my set, "redis-ORDINAL"; ordinal 0 is my own. */
struct pod rig_pod_of(int ordinal, const char *role, uint64_t epoch);

/* Connected to Redis (of that role, RUN_A), to three Sentinels that name `named` at EPOCH, the
 * three Pods listed, mine labelled `label`. Everything is answered, nothing outstanding but what
 * the last step asked for. */
void rig_settle(struct rig *r, enum redis_role role, const char *named, const char *label);

#endif
