#include "agent/shell/status_text.h"

#include <inttypes.h>

#include "agent/shell/driver.h"
#include "agent/shell/mechanisms.h"
#include "version.h"

#define KEY "%-11s "

static double ms_since(uint64_t now_us, uint64_t then_us)
{
    return (double)u64_since(now_us, then_us) / 1e3;
}

static double s_since(uint64_t now_us, uint64_t then_us)
{
    return (double)u64_since(now_us, then_us) / 1e6;
}

static void add_addr(struct buf *out, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    buf_add_str(out, addr_is_set(a) ? addr_text(a, text) : "nobody");
}

static void add_because(struct buf *out, const char *why)
{
    if (why != NULL && why[0] != '\0') {
        buf_addf(out, ": %s", why);
    }
}

/* ---- what it believes ---- */

static void write_role(const struct core *c, struct buf *out, uint64_t now_us)
{
    const struct role *r = &c->role;
    const struct label *l = &c->label;
    buf_addf(out, KEY "%s for %.1f s, epoch %" PRIu64, "role", role_state_name(r->state),
             s_since(now_us, r->since_us), r->epoch);
    add_because(out, role_reason_text(r->reason));
    buf_add_char(out, '\n');
    if (!c->cfg.labels) {
        buf_addf(out, KEY "none is written: there is no API server\n", "label");
        return;
    }
    buf_addf(out, KEY "%s, %s\n", "label", l->observed ? l->seen.role : "not read yet",
             l->foreign           ? "on a Pod that is no longer this one"
             : label_is_synced(l) ? "as wanted"
                                  : "not as wanted");
}

static void write_redis(const struct core *c, struct buf *out, uint64_t now_us)
{
    const struct local *l = &c->local;
    buf_addf(out, KEY "%s", "redis", role_local_name(l->state));
    if (!l->connected) {
        buf_addf(out, ", %s", local_down_name(l->down));
    }
    if (l->role_us != 0) {
        buf_addf(out, ", offset %" PRIi64 ", asked %.0f ms ago", l->role.offset,
                 ms_since(now_us, l->role_us));
        if (l->role.role == REDIS_ROLE_MASTER) {
            buf_addf(out, ", %u replicas", l->role.replica_count);
        } else if (addr_is_set(&l->role.master)) {
            buf_add_str(out, ", replica of ");
            add_addr(out, &l->role.master);
        }
    }
    buf_add_char(out, '\n');
}

static void write_sentinels(const struct core *c, struct buf *out)
{
    const struct newest *n = &c->input.newest;
    if (c->cfg.mode != CORE_MODE_SENTINEL) {
        buf_addf(out, KEY "none in this mode\n", "sentinels");
        return;
    }
    buf_addf(out, KEY "%u of %u answer, ", "sentinels", n->fresh, n->n);
    if (n->known) {
        buf_addf(out, "%u name ", n->naming);
        add_addr(out, &n->addr);
        buf_addf(out, " at epoch %" PRIu64 ": verdict %s\n", n->epoch,
                 verdict_name(c->input.verdict));
    } else {
        buf_addf(out, "%s\n", n->majority ? "and know no master" : "no majority");
    }
}

static void write_candidacy(const struct core *c, struct buf *out, uint64_t now_us)
{
    const struct succession *s = &c->succession;
    buf_addf(out, KEY, "candidacy");
    if (s->state != SUCCESSION_IDLE) {
        buf_addf(out, "%s for %.0f ms, reason %s", succession_state_name(s->state),
                 ms_since(now_us, s->state_us), mechanism_name(s->mechanism));
    } else if (s->serial == 0) {
        buf_add_str(out, "none so far");
    } else {
        buf_addf(out, "none; the last, reason %s, %s %.1f s ago", mechanism_name(s->mechanism),
                 s->succeeded ? "succeeded"
                 : s->unknown ? "ended with a promotion of unknown outcome"
                              : "failed",
                 s_since(now_us, s->ended_us));
    }
    add_because(out, s->serial > 0 ? why_text(s->why) : NULL);
    buf_add_char(out, '\n');
}

static void write_handover(const struct core *c, struct buf *out, uint64_t now_us)
{
    const struct handover *h = &c->handover;
    buf_addf(out, KEY, "hand-over");
    if (h->serial == 0) {
        buf_add_str(out, "none so far\n");
        return;
    }
    buf_addf(out, "asked by %s %.1f s ago, ", drain_by_name(h->by), s_since(now_us, h->asked_us));
    if (h->running) {
        buf_add_str(out, "running\n");
    } else {
        buf_addf(out, "%s, in %.1f ms, writes held for %.1f ms\n",
                 handover_verdict_text(h->verdict), (double)h->duration_us / 1e3,
                 (double)h->held_us / 1e3);
    }
    for (uint64_t i = u64_since(h->count, HANDOVER_LINES_MAX); i < h->count; i++) {
        char text[HANDOVER_LINE_TEXT_MAX];
        buf_addf(out, KEY "%s\n", "",
                 handover_line_text(&h->lines[i % HANDOVER_LINES_MAX], text, sizeof text));
    }
}

static void write_fence(const struct core *c, struct buf *out, uint64_t now_us)
{
    const struct fence *f = &c->fence;
    buf_addf(out, KEY "%s", "fence", fence_state_name(f->state));
    if (f->state == FENCE_ON) {
        buf_addf(out, " for %.1f s: %s", s_since(now_us, f->since_us),
                 c->input.fenced ? why_text(WHY_PERSON)
                 : f->isolated   ? why_text(WHY_ISOLATED)
                                 : why_text(WHY_FOUND));
    }
    buf_add_char(out, '\n');
}

/* ---- what it waits for ---- */

static const char *candidacy_waits_for(enum succession_state s)
{
    switch (s) {
    case SUCCESSION_IDLE:
    case SUCCESSION_STATE_COUNT:
        break;
    case SUCCESSION_GATHER:
        return "what the Sentinels and the replicas know";
    case SUCCESSION_VOTES:
        return "the votes of a majority";
    case SUCCESSION_WAIT:
        return "the moment to ask for votes again, at the next epoch";
    case SUCCESSION_PAUSE:
        return "Redis to hold writes";
    case SUCCESSION_EQUAL:
        return "the successor to have every write";
    case SUCCESSION_FOLLOW:
        return "this Redis to follow the successor";
    case SUCCESSION_FINAL:
        return "the successor to have the last byte";
    case SUCCESSION_PROMOTE:
        return "the successor to become master";
    case SUCCESSION_CONFIRM:
        return "the Sentinels' views, before it is announced";
    case SUCCESSION_ANNOUNCE:
        return "the Sentinels to take the announcement";
    case SUCCESSION_COMMIT:
        return "a majority of the Sentinels to name the successor";
    case SUCCESSION_RESUME:
        return "Redis to take writes again";
    }
    return NULL;
}

static void add_wait(struct buf *out, bool *any, const char *what)
{
    buf_addf(out, KEY "%s\n", *any ? "" : "waits for", what);
    *any = true;
}

static void write_waits(const struct core *c, struct buf *out, uint64_t now_us)
{
    bool any = false;
    char text[200];
    const char *candidacy = candidacy_waits_for(c->succession.state);
    if (candidacy != NULL) {
        add_wait(out, &any, candidacy);
    } else if (c->succession.hold_us > now_us) {
        (void)snprintf(text, sizeof text, "another candidate, for %.0f ms more",
                       ms_since(c->succession.hold_us, now_us));
        add_wait(out, &any, text);
    }
    if (c->handover.running && c->handover.named_us != 0) {
        add_wait(out, &any, "the successor to carry the label");
    }
    if (!local_is_proven(&c->local, now_us)) {
        add_wait(out, &any, "Redis to answer ROLE");
    }
    if (c->role.holding) {
        (void)snprintf(
            text, sizeof text,
            "proof: the role has been kept without for %.1f s; %u of %u Sentinels answer",
            s_since(now_us, c->role.hold_since_us), c->input.newest.fresh, c->input.newest.n);
        add_wait(out, &any, text);
    }
    const struct label *l = &c->label;
    if (c->cfg.labels && l->wanted && !l->foreign && !label_is_synced(l)) {
        (void)snprintf(text, sizeof text, "the API server to store the label %s (last answer: %s)",
                       role_state_name(l->want.role),
                       l->last_us == 0 ? "none yet" : api_outcome_name(l->last));
        add_wait(out, &any, text);
    }
    if (c->fence.state == FENCE_SETTING || c->fence.state == FENCE_LIFTING) {
        add_wait(out, &any, "Redis to take the new min-replicas-to-write");
    }
    if (!any) {
        add_wait(out, &any, "nothing");
    }
}

/* ---- the others, and what it may do ---- */

static void write_members(const struct core *c, struct buf *out, uint64_t now_us)
{
    bool any = false;
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct member *m = &c->members.at[i];
        if (!addr_is_set(&m->addr)) {
            continue;
        }
        buf_addf(out, KEY, any ? "" : "members");
        add_addr(out, &m->addr);
        any = true;
        if (!m->up) {
            buf_addf(out, " unreachable for %.1f s\n", s_since(now_us, m->down_us));
        } else if (m->info_us == 0) {
            buf_add_str(out, " connected, not asked yet\n");
        } else {
            bool master = m->info.role == REDIS_ROLE_MASTER;
            buf_addf(out, " %s, offset %" PRIi64 ", asked %.1f s ago\n",
                     redis_role_name(m->info.role),
                     master ? m->info.master_offset : m->info.slave_offset,
                     s_since(now_us, m->info_us));
        }
    }
}

static void write_peers(const struct core *c, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        const struct pod *p = &c->peers[i];
        if (p->name[0] != '\0') {
            buf_addf(out, KEY "%s %s, epoch %" PRIu64 "%s\n", any ? "" : "peers", p->name,
                     p->role[0] != '\0' ? p->role : "unlabelled", p->role_epoch,
                     p->terminating ? ", terminating" : "");
            any = true;
        }
    }
}

static void write_mechanisms(const struct core *c, struct buf *out)
{
    struct mechanism_state states[MECHANISM_STATES_MAX];
    size_t count = mechanism_states(c, states);
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, KEY "%-13s %s", i == 0 ? "mechanisms" : "", states[i].name,
                 states[i].on ? "on" : "off");
        add_because(out, states[i].note);
        buf_add_char(out, '\n');
    }
}

static void write_decision(const struct history_entry *e, struct buf *out)
{
    char time[32];
    wall_text(e->wall_ms, time, sizeof time);
    buf_addf(out, "  %s  %-13s ", time, mechanism_name(e->mechanism));
    if (e->what == DECIDED_ORDER) {
        buf_addf(out, "order %s", order_name(e->order));
    } else {
        buf_add_str(out, decision_text(e->what));
    }
    if (addr_is_set(&e->addr)) {
        buf_add_char(out, ' ');
        add_addr(out, &e->addr);
    }
    if (e->epoch != 0) {
        buf_addf(out, " at epoch %" PRIu64, e->epoch);
    }
    add_because(out, why_text(e->why));
    if (e->age_us != UINT64_MAX) {
        buf_addf(out, "; evidence %.1f ms old", (double)e->age_us / 1e3);
    }
    if (e->op != 0) {
        buf_addf(out, "; %s", e->done ? outcome_name(e->outcome) : "not answered yet");
    }
    buf_add_char(out, '\n');
}

void status_text_write(const struct driver *d, struct buf *out, bool history)
{
    const struct core *c = &d->core;
    uint64_t now_us = loop_now_us();
    uint64_t shown = history ? HISTORY_MAX : STATUS_TEXT_DECISIONS;
    buf_addf(out, KEY "%s in %s, agent %s up for %.0f s, mode %s\n", "pod", d->cfg->pod_name,
             d->cfg->pod_namespace, RPA_VERSION, s_since(now_us, d->started_us),
             core_mode_name(d->cfg->mode));
    write_role(c, out, now_us);
    write_redis(c, out, now_us);
    write_sentinels(c, out);
    write_candidacy(c, out, now_us);
    write_handover(c, out, now_us);
    write_fence(c, out, now_us);
    write_waits(c, out, now_us);
    write_peers(c, out);
    write_members(c, out, now_us);
    write_mechanisms(c, out);
    buf_addf(out, "decisions   %" PRIu64 " so far%s\n", c->history.count,
             c->history.count > shown ? "; the last:" : "");
    for (uint64_t i = u64_since(c->history.count, shown); i < c->history.count; i++) {
        write_decision(history_at(&c->history, i), out);
    }
}
