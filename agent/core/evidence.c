#include "agent/core/evidence.h"

#include "lib/base/check.h"

static const char *const verdict_names[] = {VERDICTS(RPA_ENUM_NAME)};

const char *verdict_name(enum verdict v)
{
    return verdict_names[v];
}

void evidence_init(struct evidence *ev, unsigned configured)
{
    *ev = (struct evidence){.configured = configured};
}

void evidence_add_my_addr(struct evidence *ev, const struct addr *a)
{
    if (evidence_is_me(ev, a)) {
        return;
    }
    REQUIRE(ev->me_count < EVIDENCE_MY_ADDRS_MAX);
    ev->me[ev->me_count++] = *a;
}

bool evidence_is_me(const struct evidence *ev, const struct addr *a)
{
    for (size_t i = 0; i < ev->me_count; i++) {
        if (addr_eq(&ev->me[i], a)) {
            return true;
        }
    }
    return false;
}

static struct sentinel *sentinel_at(struct evidence *ev, size_t slot)
{
    REQUIRE(slot < EVIDENCE_SENTINELS_MAX);
    return &ev->sentinels[slot];
}

static bool is_fresh(const struct view *v, uint64_t now_us)
{
    return v->asked_us != 0 && u64_since(now_us, v->asked_us) <= VIEW_FRESH_US;
}

void evidence_set_id(struct evidence *ev, size_t slot, const char *id)
{
    (void)str_copy(sentinel_at(ev, slot)->id, sizeof sentinel_at(ev, slot)->id, sv_from(id));
}

void evidence_view(struct evidence *ev, size_t slot, const struct view *view)
{
    struct sentinel *s = sentinel_at(ev, slot);
    s->view = *view;
    /* Level-triggered end of a failover whose closing event was lost. Only an answer to a
     * question that was asked after the failover had begun can say that it is over. */
    bool running = view->knows_master && (view->flags & (1U << SENTINEL_FLAG_FAILOVER)) != 0;
    if (!running && view->asked_us > s->failover.opened_us) {
        s->failover.open = false;
    }
}

static void open_failover(struct sentinel *s, uint64_t now_us)
{
    s->failover = (struct failover){.open = true, .opened_us = now_us, .epoch = s->epoch_heard};
}

bool evidence_event(struct evidence *ev, size_t slot, const struct sentinel_event *e,
                    uint64_t now_us)
{
    struct sentinel *s = sentinel_at(ev, slot);
    switch (e->type) {
    case SENTINEL_EVENT_OTHER:
    case SENTINEL_EVENT_SENTINEL:
        return false;
    case SENTINEL_EVENT_NEW_EPOCH:
        s->epoch_heard = u64_max(s->epoch_heard, e->epoch);
        return true;
    case SENTINEL_EVENT_VOTE:
        s->epoch_heard = u64_max(s->epoch_heard, e->epoch);
        s->vote.epoch = e->epoch;
        s->vote.heard_us = now_us;
        (void)str_copy(s->vote.leader_id, sizeof s->vote.leader_id, sv_from(e->leader_id));
        return true;
    case SENTINEL_EVENT_TRY_FAILOVER:
        open_failover(s, now_us);
        return true;
    case SENTINEL_EVENT_SELECTED_SLAVE:
        if (!s->failover.open) {
            /* Subscribed in the middle of it: the epoch is not known. */
            open_failover(s, now_us);
            s->failover.epoch = 0;
        }
        s->failover.selected = e->instance;
        s->failover.selected_us = now_us;
        return true;
    case SENTINEL_EVENT_FAILOVER_END:
    case SENTINEL_EVENT_FAILOVER_END_TIMEOUT:
    case SENTINEL_EVENT_ABORT_NOT_ELECTED:
    case SENTINEL_EVENT_ABORT_NO_SLAVE:
    case SENTINEL_EVENT_ABORT_TIMEOUT:
    case SENTINEL_EVENT_ABORT_MASTER_IS_BACK:
    case SENTINEL_EVENT_SWITCH_MASTER:
    case SENTINEL_EVENT_RESET_MASTER:
        s->failover.open = false;
        return true;
    case SENTINEL_EVENT_SDOWN:
    case SENTINEL_EVENT_NOT_SDOWN:
    case SENTINEL_EVENT_ODOWN:
    case SENTINEL_EVENT_NOT_ODOWN:
    case SENTINEL_EVENT_ELECTED_LEADER:
    case SENTINEL_EVENT_SELECT_SLAVE:
    case SENTINEL_EVENT_SEND_NOONE:
    case SENTINEL_EVENT_WAIT_PROMOTION:
    case SENTINEL_EVENT_PROMOTED_SLAVE:
    case SENTINEL_EVENT_RECONF_SLAVES:
    case SENTINEL_EVENT_CONFIG_UPDATE:
    case SENTINEL_EVENT_REBOOT:
    case SENTINEL_EVENT_CONVERT_TO_SLAVE:
    case SENTINEL_EVENT_ROLE_CHANGE:
    case SENTINEL_EVENT_NOT_ROLE_CHANGE:
    case SENTINEL_EVENT_SLAVE:
    case SENTINEL_EVENT_MONITOR:
    case SENTINEL_EVENT_TILT:
    case SENTINEL_EVENT_NOT_TILT:
    case SENTINEL_EVENT_COUNT:
        return true;
    }
    return false;
}

void evidence_vote(struct evidence *ev, size_t slot, const char *leader_id, uint64_t epoch,
                   uint64_t now_us)
{
    struct sentinel *s = sentinel_at(ev, slot);
    s->epoch_heard = u64_max(s->epoch_heard, epoch);
    bool same = s->vote.epoch == epoch && strcmp(s->vote.leader_id, leader_id) == 0;
    if (leader_id[0] == '\0' || epoch < s->vote.epoch || same) {
        return;
    }
    s->vote.epoch = epoch;
    s->vote.heard_us = now_us;
    (void)str_copy(s->vote.leader_id, sizeof s->vote.leader_id, sv_from(leader_id));
}

void evidence_lost(struct evidence *ev, size_t slot)
{
    sentinel_at(ev, slot)->view.asked_us = 0;
}

void evidence_forget(struct evidence *ev, size_t slot)
{
    *sentinel_at(ev, slot) = (struct sentinel){.view = {0}};
}

/* The same Sentinel through two connections (a name and its address, IPv4 and IPv6): only
 * the slot with the younger view counts. */
static bool is_shadowed(const struct evidence *ev, size_t slot)
{
    const struct sentinel *s = &ev->sentinels[slot];
    if (s->id[0] == '\0') {
        return false;
    }
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct sentinel *o = &ev->sentinels[i];
        if (i == slot || strcmp(o->id, s->id) != 0) {
            continue;
        }
        if (o->view.asked_us > s->view.asked_us ||
            (o->view.asked_us == s->view.asked_us && i < slot)) {
            return true;
        }
    }
    return false;
}

static bool counts(const struct evidence *ev, size_t slot, uint64_t now_us)
{
    return is_fresh(&ev->sentinels[slot].view, now_us) && !is_shadowed(ev, slot);
}

static bool is_majority(unsigned count, unsigned n)
{
    return 2 * count > n;
}

/* A down or failing-over flag speaks against the address that carries it, and no other. */
static bool is_flagged(const struct view *v)
{
    const uint32_t against =
        1U << SENTINEL_FLAG_S_DOWN | 1U << SENTINEL_FLAG_O_DOWN | 1U << SENTINEL_FLAG_FAILOVER;
    return addr_eq(&v->addr, &v->named) && (v->flags & against) != 0;
}

static unsigned count_naming(const struct evidence *ev, uint64_t now_us, uint64_t epoch,
                             const struct addr *a)
{
    unsigned count = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct view *v = &ev->sentinels[i].view;
        if (counts(ev, i, now_us) && v->knows_master && v->epoch == epoch &&
            addr_eq(&v->named, a)) {
            count++;
        }
    }
    return count;
}

/* Chooses the address of the highest epoch: the only one named, else a majority's. */
static void choose_addr(const struct evidence *ev, uint64_t now_us, struct newest *ret)
{
    bool differ = false;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct view *v = &ev->sentinels[i].view;
        if (!counts(ev, i, now_us) || !v->knows_master || v->epoch != ret->epoch) {
            continue;
        }
        unsigned naming = count_naming(ev, now_us, ret->epoch, &v->named);
        if (naming > ret->naming) {
            differ = differ || ret->naming > 0;
            ret->naming = naming;
            ret->addr = v->named;
        } else if (!addr_eq(&v->named, &ret->addr)) {
            differ = true;
        }
    }
    ret->known = ret->naming > 0 && (!differ || is_majority(ret->naming, ret->n));
}

void evidence_newest(const struct evidence *ev, uint64_t now_us, struct newest *ret)
{
    *ret = (struct newest){.n = ev->configured};
    bool any = false;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct view *v = &ev->sentinels[i].view;
        if (!counts(ev, i, now_us)) {
            continue;
        }
        ret->fresh++;
        if (v->knows_master) {
            ret->n = (unsigned)u64_max(ret->n, u64_min(v->others, 1000) + 1);
            ret->epoch = u64_max(ret->epoch, v->epoch);
            any = true;
        }
    }
    ret->majority = is_majority(ret->fresh, ret->n);
    if (ret->majority && any) {
        choose_addr(ev, now_us, ret);
    }
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX && ret->known; i++) {
        const struct view *v = &ev->sentinels[i].view;
        if (counts(ev, i, now_us) && v->knows_master && v->epoch == ret->epoch &&
            addr_eq(&v->named, &ret->addr) && !is_flagged(v)) {
            ret->proving++;
        }
    }
}

enum verdict evidence_verdict(const struct evidence *ev, const struct newest *newest,
                              const char *run_id, uint64_t now_us)
{
    if (ev->configured == 0) {
        return VERDICT_OFF;
    }
    if (!newest->majority) {
        return VERDICT_NONE;
    }
    unsigned unknown = 0;
    unsigned with_my_id = 0;
    unsigned with_other_id = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct view *v = &ev->sentinels[i].view;
        if (!counts(ev, i, now_us)) {
            continue;
        }
        unknown += v->knows_master ? 0 : 1;
        /* While the leader reconfigures, the run-id is the one of the old master. */
        bool has_id = v->knows_master && v->run_id[0] != '\0' && addr_eq(&v->addr, &v->named);
        if (has_id && newest->known && v->epoch == newest->epoch && evidence_is_me(ev, &v->named)) {
            with_my_id += strcmp(v->run_id, run_id) == 0 ? 1 : 0;
            with_other_id += strcmp(v->run_id, run_id) != 0 ? 1 : 0;
        }
    }
    if (is_majority(unknown, newest->n)) {
        return VERDICT_NO_MASTER;
    }
    if (!newest->known) {
        return VERDICT_NONE;
    }
    if (!evidence_is_me(ev, &newest->addr)) {
        return VERDICT_OTHER;
    }
    if (run_id[0] == '\0') {
        return VERDICT_NONE;
    }
    if (with_other_id > 0 && !is_majority(with_my_id, newest->n)) {
        return VERDICT_OLD_ME;
    }
    return newest->proving > 0 ? VERDICT_ME : VERDICT_NONE;
}

bool evidence_vouches(const struct evidence *ev, const struct newest *newest, const char *run_id,
                      uint64_t now_us)
{
    unsigned vouching = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct view *v = &ev->sentinels[i].view;
        bool names_me = counts(ev, i, now_us) && v->knows_master && addr_eq(&v->addr, &v->named) &&
                        evidence_is_me(ev, &v->named);
        vouching += names_me && run_id[0] != '\0' && strcmp(v->run_id, run_id) == 0 ? 1 : 0;
    }
    return is_majority(vouching, newest->n);
}

static unsigned count_votes(const struct evidence *ev, const char *leader_id, uint64_t epoch)
{
    unsigned votes = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct sentinel *s = &ev->sentinels[i];
        if (!is_shadowed(ev, i) && s->vote.epoch == epoch &&
            strcmp(s->vote.leader_id, leader_id) == 0) {
            votes++;
        }
    }
    return votes;
}

uint64_t evidence_epoch_heard(const struct evidence *ev)
{
    uint64_t epoch = ev->hello_epoch;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        epoch = u64_max(epoch, ev->sentinels[i].epoch_heard);
    }
    return epoch;
}

void evidence_forget_epochs(struct evidence *ev)
{
    ev->hello_epoch = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        ev->sentinels[i].epoch_heard = 0;
    }
}

uint64_t evidence_eager(const struct evidence *ev, const struct newest *newest, uint64_t now_us,
                        uint64_t *ret_selected_us)
{
    if (!newest->known) {
        return 0;
    }
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct sentinel *s = &ev->sentinels[i];
        const struct failover *f = &s->failover;
        /* It votes for itself after it has begun: without that its epoch is a guess. */
        bool voted = s->vote.heard_us >= f->opened_us && s->vote.epoch == f->epoch;
        /* Its leader may die after the promotion, but what nobody confirms becomes old. */
        bool led = counts(ev, i, now_us) || u64_since(now_us, f->selected_us) < EVIDENCE_EAGER_US;
        if (!f->open || !voted || !led || is_shadowed(ev, i) || f->epoch <= newest->epoch ||
            s->id[0] == '\0' || !evidence_is_me(ev, &f->selected) ||
            evidence_epoch_heard(ev) > f->epoch) {
            continue;
        }
        if (is_majority(count_votes(ev, s->id, f->epoch), newest->n)) {
            *ret_selected_us = f->selected_us;
            return f->epoch;
        }
    }
    return 0;
}

bool evidence_selects_me(const struct evidence *ev, uint64_t now_us, uint64_t within_us)
{
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct failover *f = &ev->sentinels[i].failover;
        if (f->open && evidence_is_me(ev, &f->selected) &&
            u64_since(now_us, f->selected_us) < within_us) {
            return true;
        }
    }
    return false;
}

bool evidence_mirror(const struct evidence *ev, const struct newest *newest, uint64_t since_us,
                     uint64_t now_us)
{
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct failover *f = &ev->sentinels[i].failover;
        bool above = f->epoch == 0 || !newest->known || f->epoch > newest->epoch;
        if (f->open && above && counts(ev, i, now_us) && addr_is_set(&f->selected) &&
            !evidence_is_me(ev, &f->selected) && f->selected_us >= since_us) {
            return true;
        }
    }
    return false;
}

uint64_t evidence_next_deadline(const struct evidence *ev, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        const struct view *v = &ev->sentinels[i].view;
        if (is_fresh(v, now_us)) {
            next = u64_min(next, v->asked_us + VIEW_FRESH_US + 1);
        }
    }
    return next;
}
