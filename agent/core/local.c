#include "agent/core/local.h"

static const char *const down_names[] = {LOCAL_DOWNS(RPA_ENUM_NAME)};

const char *local_down_name(enum local_down d)
{
    return down_names[d];
}

void local_init(struct local *l, uint64_t now_us)
{
    *l = (struct local){.trusted_since_us = now_us, .state_since_us = now_us};
}

void local_up(struct local *l, uint64_t now_us)
{
    l->connected = true;
    l->down = LOCAL_DOWN_NONE;
    l->refused_since_us = 0;
    l->ever_answered = true;
    l->answered_us = now_us;
    l->run_id[0] = '\0';
    l->fault = RESP_FAULT_NONE;
}

void local_lost(struct local *l, enum local_down why, uint64_t now_us)
{
    l->connected = false;
    l->down = why;
    l->run_id[0] = '\0';
    l->master_since_us = 0;
    if (why != LOCAL_DOWN_REFUSED) {
        l->refused_since_us = 0;
    } else if (l->refused_since_us == 0) {
        l->refused_since_us = now_us;
    }
}

void local_role(struct local *l, const struct role_reply *role, uint64_t asked_us, uint64_t now_us)
{
    l->fault = RESP_FAULT_NONE;
    l->answered_us = now_us;
    l->role_us = asked_us;
    l->role = *role;
    if (role->role != REDIS_ROLE_MASTER) {
        l->master_since_us = 0;
    } else if (l->master_since_us == 0) {
        l->master_since_us = asked_us;
    }
    if (role->role == REDIS_ROLE_SLAVE && role->link != REPL_LINK_CONNECTED) {
        if (l->link_down_since_us == 0) {
            l->link_down_since_us = asked_us;
        }
    } else {
        l->link_down_since_us = 0;
    }
}

void local_fault(struct local *l, enum resp_fault fault, uint64_t now_us)
{
    l->fault = fault;
    l->answered_us = now_us;
}

void local_info(struct local *l, const struct info *info, uint64_t asked_us, uint64_t now_us)
{
    bool new_process = info_has(info, INFO_RUN_ID) && strcmp(l->info.run_id, info->run_id) != 0;
    if (new_process) {
        l->first_sync_done = false;
    }
    l->info = *info;
    l->info_us = asked_us;
    l->answered_us = now_us;
    if (info_has(info, INFO_RUN_ID)) {
        memcpy(l->run_id, info->run_id, sizeof l->run_id);
    }
    bool syncing = info_has(info, INFO_SYNC) && info->sync_in_progress;
    bool link_up = info_has(info, INFO_LINK_UP) && info->link_up;
    if (link_up && !syncing) {
        l->first_sync_done = true;
    } else if (!link_up && !syncing && info_has(info, INFO_LINK_DOWN_S)) {
        l->first_sync_done = true;
        uint64_t down_us = u64_min(info->link_down_s, 1U << 30) * 1000000U;
        uint64_t since_us = asked_us > down_us ? asked_us - down_us : 1;
        if (l->link_down_since_us != 0) {
            l->link_down_since_us = u64_min(l->link_down_since_us, since_us);
        }
    }
}

void local_distrust(struct local *l, uint64_t now_us)
{
    l->trusted_since_us = now_us;
    l->role_us = 0;
    l->info_us = 0;
    l->run_id[0] = '\0';
    l->master_since_us = 0;
}

bool local_is_proven(const struct local *l, uint64_t now_us)
{
    return l->role_us != 0 && l->fault == RESP_FAULT_NONE &&
           u64_since(now_us, l->role_us) <= ROLE_PROOF_US;
}

static enum role_local evaluate_slave(const struct local *l, uint64_t now_us)
{
    if (l->run_id[0] == '\0') {
        return ROLE_LOCAL_UNKNOWN; /* this connection may be to a new process */
    }
    if (!l->first_sync_done) {
        /* Until an INFO has come that is as young as this ROLE, "not done" is no fact. */
        return l->info_us < l->role_us ? ROLE_LOCAL_UNKNOWN : ROLE_LOCAL_SYNCING;
    }
    if (l->link_down_since_us != 0 &&
        u64_since(now_us, l->link_down_since_us) > LOCAL_LINK_DOWN_US) {
        return ROLE_LOCAL_LINK_DOWN;
    }
    return ROLE_LOCAL_SLAVE;
}

static enum role_local evaluate(const struct local *l, uint64_t now_us)
{
    bool denied = l->fault == RESP_FAULT_NOAUTH || l->fault == RESP_FAULT_WRONGPASS ||
                  l->fault == RESP_FAULT_NOPERM;
    if (l->refused_since_us != 0) {
        return ROLE_LOCAL_DEAD;
    }
    if (l->down == LOCAL_DOWN_DENIED || (l->connected && denied)) {
        return ROLE_LOCAL_DENIED;
    }
    bool recent = l->answered_us != 0 && u64_since(now_us, l->answered_us) <= ROLE_PROOF_US;
    if (recent && l->fault == RESP_FAULT_BUSY) {
        return ROLE_LOCAL_BUSY;
    }
    if (recent && l->fault == RESP_FAULT_LOADING) {
        return ROLE_LOCAL_LOADING;
    }
    if (!local_is_proven(l, now_us)) {
        uint64_t since_us = u64_max(l->trusted_since_us, l->role_us);
        return u64_since(now_us, since_us) > ROLE_PROOF_US ? ROLE_LOCAL_SILENT : ROLE_LOCAL_UNKNOWN;
    }
    if (l->info_us != 0 && info_has(&l->info, INFO_CLUSTER) && l->info.cluster_enabled) {
        return ROLE_LOCAL_CLUSTER;
    }
    if (l->info_us != 0 && info_has(&l->info, INFO_LOADING) && l->info.loading) {
        return ROLE_LOCAL_LOADING;
    }
    switch (l->role.role) {
    case REDIS_ROLE_MASTER:
        return ROLE_LOCAL_MASTER;
    case REDIS_ROLE_SLAVE:
        return evaluate_slave(l, now_us);
    case REDIS_ROLE_SENTINEL:
        return ROLE_LOCAL_SENTINEL;
    }
    return ROLE_LOCAL_UNKNOWN;
}

void local_update(struct local *l, uint64_t now_us)
{
    enum role_local state = evaluate(l, now_us);
    if (state != l->state) {
        l->state = state;
        l->state_since_us = now_us;
    }
}

uint64_t local_next_deadline(const struct local *l, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    uint64_t proof_us = u64_max(l->trusted_since_us, l->role_us) + ROLE_PROOF_US + 1;
    if (proof_us > now_us) {
        next = proof_us;
    }
    if (l->answered_us + ROLE_PROOF_US + 1 > now_us) {
        next = u64_min(next, l->answered_us + ROLE_PROOF_US + 1);
    }
    if (l->link_down_since_us != 0 && l->link_down_since_us + LOCAL_LINK_DOWN_US + 1 > now_us) {
        next = u64_min(next, l->link_down_since_us + LOCAL_LINK_DOWN_US + 1);
    }
    return next;
}
