/* Events that a Sentinel publishes: channel = event name, payload = text
 * (redis.io/docs/management/sentinel, "Pub/Sub messages"; sentinel.c, sentinelEvent).
 *
 * The payload of most is "<type> <name> <ip> <port> @ <master> <master ip> <master port>",
 * without the part from '@' where the instance is the master itself; +switch-master,
 * +new-epoch, +vote-for-leader and the two of tilt have forms of their own. Words behind the
 * documented ones are explanations and are skipped. */
#ifndef RPA_CODEC_SENTINEL_EVENT_H
#define RPA_CODEC_SENTINEL_EVENT_H

#include "lib/codec/addr.h"
#include "lib/codec/info.h"

#define SENTINEL_EVENTS(X)                                                   \
    X(SENTINEL_EVENT_OTHER, "")                                              \
    X(SENTINEL_EVENT_SDOWN, "+sdown")                                        \
    X(SENTINEL_EVENT_NOT_SDOWN, "-sdown")                                    \
    X(SENTINEL_EVENT_ODOWN, "+odown")                                        \
    X(SENTINEL_EVENT_NOT_ODOWN, "-odown")                                    \
    X(SENTINEL_EVENT_NEW_EPOCH, "+new-epoch")                                \
    X(SENTINEL_EVENT_VOTE, "+vote-for-leader")                               \
    X(SENTINEL_EVENT_TRY_FAILOVER, "+try-failover")                          \
    X(SENTINEL_EVENT_ELECTED_LEADER, "+elected-leader")                      \
    X(SENTINEL_EVENT_SELECT_SLAVE, "+failover-state-select-slave")           \
    X(SENTINEL_EVENT_SELECTED_SLAVE, "+selected-slave")                      \
    X(SENTINEL_EVENT_SEND_NOONE, "+failover-state-send-slaveof-noone")       \
    X(SENTINEL_EVENT_WAIT_PROMOTION, "+failover-state-wait-promotion")       \
    X(SENTINEL_EVENT_PROMOTED_SLAVE, "+promoted-slave")                      \
    X(SENTINEL_EVENT_RECONF_SLAVES, "+failover-state-reconf-slaves")         \
    X(SENTINEL_EVENT_CONFIG_UPDATE, "+config-update-from")                   \
    X(SENTINEL_EVENT_SWITCH_MASTER, "+switch-master")                        \
    X(SENTINEL_EVENT_FAILOVER_END, "+failover-end")                          \
    X(SENTINEL_EVENT_FAILOVER_END_TIMEOUT, "+failover-end-for-timeout")      \
    X(SENTINEL_EVENT_ABORT_NOT_ELECTED, "-failover-abort-not-elected")       \
    X(SENTINEL_EVENT_ABORT_NO_SLAVE, "-failover-abort-no-good-slave")        \
    X(SENTINEL_EVENT_ABORT_TIMEOUT, "-failover-abort-slave-timeout")         \
    X(SENTINEL_EVENT_ABORT_MASTER_IS_BACK, "-failover-abort-master-is-back") \
    X(SENTINEL_EVENT_REBOOT, "+reboot")                                      \
    X(SENTINEL_EVENT_CONVERT_TO_SLAVE, "+convert-to-slave")                  \
    X(SENTINEL_EVENT_ROLE_CHANGE, "+role-change")                            \
    X(SENTINEL_EVENT_NOT_ROLE_CHANGE, "-role-change")                        \
    X(SENTINEL_EVENT_SLAVE, "+slave")                                        \
    X(SENTINEL_EVENT_SENTINEL, "+sentinel")                                  \
    X(SENTINEL_EVENT_RESET_MASTER, "+reset-master")                          \
    X(SENTINEL_EVENT_MONITOR, "+monitor")                                    \
    X(SENTINEL_EVENT_TILT, "+tilt")                                          \
    X(SENTINEL_EVENT_NOT_TILT, "-tilt")

enum sentinel_event_type { SENTINEL_EVENTS(RPA_ENUM_MEMBER) SENTINEL_EVENT_COUNT };

#define SENTINEL_PAYLOAD_MAX 2048

struct sentinel_event {
    enum sentinel_event_type type;
    char master_name[128]; /* "" where the event names none (+new-epoch, +vote-for-leader, tilt) */
    bool about_master;     /* the instance is the master itself */
    bool about_sentinel;   /* the instance is another Sentinel */
    struct addr instance;  /* ip port of the instance; +switch-master: the new address */
    struct addr master;    /* behind '@'; +switch-master: the old address */
    uint64_t epoch;        /* +new-epoch, +vote-for-leader */
    char leader_id[RUN_ID_LEN + 1]; /* +vote-for-leader: whom this Sentinel has voted for, as the
                                       candidate wrote it; 40 bytes without blanks */
};

const char *sentinel_event_name(enum sentinel_event_type type);

/* An unknown channel is SENTINEL_EVENT_OTHER (a Sentinel newer than us), not an error. A
 * known one whose payload is not of its form is ERR_PROTO. */
int sentinel_event_parse(struct sentinel_event *ret, struct sv channel, struct sv payload,
                         struct err *e) MUST_USE;

#endif
