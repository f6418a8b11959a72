#include "agent/shell/status_engine.h"

#include "agent/shell/kube_port.h"
#include "agent/shell/mechanisms.h"

void status_age(struct jsonw *w, const char *key, uint64_t now_us, uint64_t then_us)
{
    if (then_us == 0) {
        jsonw_null(w, key);
    } else {
        jsonw_u64(w, key, u64_since(now_us, then_us) / 1000);
    }
}

void status_addr(struct jsonw *w, const char *key, const struct addr *a)
{
    char text[ADDR_TEXT_MAX];
    jsonw_str(w, key, addr_is_set(a) ? addr_text(a, text) : NULL);
}

static void write_text(struct jsonw *w, const char *key, const char *text)
{
    jsonw_str(w, key, text == NULL || text[0] == '\0' ? NULL : text);
}

static void write_mechanisms(struct jsonw *w, const struct core *c)
{
    struct mechanism_state states[MECHANISM_STATES_MAX];
    size_t count = mechanism_states(c, states);
    jsonw_open_array(w, "mechanisms");
    for (size_t i = 0; i < count; i++) {
        jsonw_open_object(w, NULL);
        jsonw_str(w, "name", states[i].name);
        jsonw_bool(w, "on", states[i].on);
        jsonw_str(w, "note", states[i].note);
        jsonw_close(w);
    }
    jsonw_close(w);
}

static void write_candidacy(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    const struct succession *s = &c->succession;
    bool stands = s->state != SUCCESSION_IDLE;
    unsigned granted = 0;
    for (size_t i = 0; i < EVIDENCE_SENTINELS_MAX; i++) {
        granted += s->ballots[i].granted ? 1 : 0;
    }
    jsonw_open_object(w, "candidacy");
    jsonw_str(w, "state", succession_state_name(s->state));
    jsonw_u64(w, "begun", s->serial);
    jsonw_str(w, "reason", s->serial > 0 ? mechanism_name(s->mechanism) : NULL);
    write_text(w, "why", why_text(s->why));
    status_age(w, "state_for_ms", now_us, stands ? s->state_us : 0);
    status_age(w, "ended_ms_ago", now_us, stands ? 0 : s->ended_us);
    jsonw_bool(w, "succeeded", !stands && s->succeeded);
    jsonw_bool(w, "outcome_unknown", !stands && s->unknown);
    jsonw_bool(w, "fallback", s->fallback);
    jsonw_u64(w, "epoch", s->epoch);
    jsonw_u64(w, "votes", stands ? granted : 0);
    jsonw_u64(w, "votes_needed", stands ? s->need : 0);
    status_addr(w, "chosen", &s->chosen_addr);
    jsonw_close(w);
}

static void write_handover(struct jsonw *w, const struct core *c)
{
    const struct handover *h = &c->handover;
    bool ended = h->serial > 0 && !h->running;
    jsonw_open_object(w, "hand_over");
    jsonw_bool(w, "running", h->running);
    jsonw_u64(w, "begun", h->serial);
    jsonw_str(w, "asked_by", h->serial > 0 ? drain_by_name(h->by) : NULL);
    write_text(w, "target", h->target);
    jsonw_str(w, "verdict", ended ? handover_verdict_text(h->verdict) : NULL);
    jsonw_f64(w, "took_ms", ended ? (double)h->duration_us / 1e3 : 0);
    jsonw_f64(w, "writes_held_ms", ended ? (double)h->held_us / 1e3 : 0);
    jsonw_open_array(w, "lines");
    for (uint64_t i = u64_since(h->count, HANDOVER_LINES_MAX); i < h->count; i++) {
        char text[HANDOVER_LINE_TEXT_MAX];
        jsonw_str(w, NULL,
                  handover_line_text(&h->lines[i % HANDOVER_LINES_MAX], text, sizeof text));
    }
    jsonw_close(w);
    jsonw_close(w);
}

static void write_fence(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    const struct fence *f = &c->fence;
    bool refused = f->state == FENCE_ON || f->state == FENCE_LIFTING;
    jsonw_open_object(w, "fence");
    jsonw_str(w, "state", fence_state_name(f->state));
    jsonw_bool(w, "isolated", f->isolated);
    jsonw_bool(w, "by_person", c->input.fenced);
    status_age(w, "for_ms", now_us, refused ? f->since_us : 0);
    jsonw_close(w);
}

static void write_member_info(struct jsonw *w, const struct member *m, uint64_t now_us)
{
    const struct info *info = &m->info;
    status_age(w, "age_ms", now_us, m->info_us);
    if (m->info_us == 0) {
        return;
    }
    jsonw_str(w, "run_id", info->run_id);
    jsonw_str(w, "role", redis_role_name(info->role));
    jsonw_str(w, "replid", info->replid);
    jsonw_i64(w, "offset",
              info->role == REDIS_ROLE_MASTER ? info->master_offset : info->slave_offset);
    status_addr(w, "master", &info->master);
    jsonw_bool(w, "link_up", info->link_up);
    jsonw_bool(w, "syncing", info->sync_in_progress);
    jsonw_bool(w, "loading", info->loading);
    jsonw_u64(w, "priority", info->priority);
}

static void write_members(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    jsonw_open_array(w, "members");
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        const struct member *m = &c->members.at[i];
        if (!addr_is_set(&m->addr)) {
            continue;
        }
        jsonw_open_object(w, NULL);
        status_addr(w, "at", &m->addr);
        jsonw_bool(w, "connected", m->up);
        status_age(w, "unreachable_for_ms", now_us, m->up ? 0 : m->down_us);
        write_member_info(w, m, now_us);
        jsonw_close(w);
    }
    jsonw_close(w);
}

static void write_history_entry(struct jsonw *w, const struct history_entry *e, uint64_t number,
                                uint64_t now_us)
{
    char time[32];
    wall_text(e->wall_ms, time, sizeof time);
    jsonw_open_object(w, NULL);
    jsonw_u64(w, "number", number);
    jsonw_str(w, "time", time);
    jsonw_u64(w, "ms_ago", u64_since(now_us, e->at_us) / 1000);
    jsonw_str(w, "mechanism", mechanism_name(e->mechanism));
    jsonw_str(w, "what", decision_text(e->what));
    write_text(w, "why", why_text(e->why));
    jsonw_str(w, "order", e->what == DECIDED_ORDER ? order_name(e->order) : NULL);
    status_addr(w, "addr", &e->addr);
    jsonw_u64(w, "epoch", e->epoch);
    if (e->age_us == UINT64_MAX) {
        jsonw_null(w, "evidence_age_ms");
    } else {
        jsonw_f64(w, "evidence_age_ms", (double)e->age_us / 1e3);
    }
    jsonw_str(w, "outcome", e->done ? outcome_name(e->outcome) : NULL);
    jsonw_close(w);
}

static void write_history(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    const struct history *h = &c->history;
    jsonw_open_array(w, "history");
    for (uint64_t i = u64_since(h->count, HISTORY_MAX); i < h->count; i++) {
        write_history_entry(w, history_at(h, i), i, now_us);
    }
    jsonw_close(w);
}

void status_engine_write(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    write_mechanisms(w, c);
    write_candidacy(w, c, now_us);
    write_handover(w, c);
    write_fence(w, c, now_us);
    write_members(w, c, now_us);
    write_history(w, c, now_us);
}
