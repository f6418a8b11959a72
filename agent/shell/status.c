#include "agent/shell/status.h"

#include "agent/shell/driver.h"
#include "agent/shell/status_engine.h"
#include "lib/base/jsonw.h"
#include "version.h"

static void write_role(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    const struct role *r = &c->role;
    jsonw_open_object(w, "role");
    jsonw_str(w, "state", role_state_name(r->state));
    jsonw_str(w, "reason", role_reason_text(r->reason));
    jsonw_u64(w, "epoch", r->epoch);
    jsonw_u64(w, "token", r->token);
    status_age(w, "for_ms", now_us, r->since_us);
    status_age(w, "held_without_proof_for_ms", now_us, r->holding ? r->hold_since_us : 0);
    jsonw_close(w);
}

static void write_label(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    const struct label *l = &c->label;
    jsonw_open_object(w, "label");
    jsonw_str(w, "desired", l->wanted ? role_state_name(l->want.role) : NULL);
    jsonw_str(w, "observed", l->observed ? l->seen.role : NULL);
    jsonw_bool(w, "synced", label_is_synced(l));
    jsonw_bool(w, "foreign", l->foreign);
    status_age(w, "desync_for_ms", now_us, l->desync_since_us);
    jsonw_bool(w, "in_flight", l->op != 0);
    jsonw_u64(w, "patches", l->patches);
    jsonw_u64(w, "acknowledged", l->acknowledged);
    jsonw_u64(w, "failures_in_a_row", l->failures);
    jsonw_str(w, "last_outcome", l->last_us == 0 ? NULL : api_outcome_name(l->last));
    status_age(w, "last_outcome_ms_ago", now_us, l->last_us);
    jsonw_close(w);
}

static void write_redis(struct jsonw *w, const struct core *c, uint64_t now_us)
{
    const struct local *l = &c->local;
    jsonw_open_object(w, "redis");
    jsonw_str(w, "state", role_local_name(l->state));
    jsonw_str(w, "connection", local_down_name(l->down));
    jsonw_str(w, "fault", resp_fault_name(l->fault));
    status_age(w, "proof_ms_ago", now_us, l->role_us);
    jsonw_str(w, "run_id", l->run_id);
    if (l->role_us != 0) {
        jsonw_str(w, "role", redis_role_name(l->role.role));
        jsonw_i64(w, "offset", l->role.offset);
        status_addr(w, "master", &l->role.master);
        jsonw_str(w, "link", repl_link_name(l->role.link));
        jsonw_u64(w, "replicas", l->role.replica_count);
    }
    jsonw_str(w, "version", l->info_us != 0 ? l->info.version : NULL);
    jsonw_bool(w, "first_sync_done", l->first_sync_done);
    jsonw_close(w);
}

static void write_flags(struct jsonw *w, uint32_t flags)
{
    jsonw_open_array(w, "flags");
    for (size_t f = 0; f < SENTINEL_FLAG_COUNT; f++) {
        if ((flags & 1U << f) != 0) {
            jsonw_str(w, NULL, sentinel_flag_name((enum sentinel_flag)f));
        }
    }
    jsonw_close(w);
}

static void write_sentinels(struct jsonw *w, const struct driver *d, uint64_t now_us)
{
    const struct role_input *in = &d->core.input;
    jsonw_open_object(w, "sentinel");
    jsonw_u64(w, "configured", d->core.evidence.configured);
    jsonw_u64(w, "n", in->newest.n);
    jsonw_u64(w, "fresh", in->newest.fresh);
    jsonw_bool(w, "majority", in->newest.majority);
    jsonw_str(w, "verdict", verdict_name(in->verdict));
    if (in->newest.known) {
        status_addr(w, "newest", &in->newest.addr);
        jsonw_u64(w, "newest_epoch", in->newest.epoch);
        jsonw_u64(w, "naming", in->newest.naming);
    }
    jsonw_open_array(w, "views");
    for (size_t i = 0; i < d->core.sentinel_slots; i++) {
        const struct sentinel *s = &d->core.evidence.sentinels[i];
        const struct sentinel_slot *slot = &d->sentinels.slots[i];
        jsonw_open_object(w, NULL);
        status_addr(w, "at", &slot->addr);
        jsonw_str(w, "id", s->id);
        jsonw_str(w, "down", slot->down_text[0] == '\0' ? NULL : slot->down_text);
        status_age(w, "age_ms", now_us, s->view.asked_us);
        if (s->view.asked_us != 0 && s->view.knows_master) {
            status_addr(w, "names", &s->view.named);
            jsonw_u64(w, "epoch", s->view.epoch);
            jsonw_u64(w, "others", s->view.others);
            write_flags(w, s->view.flags);
        }
        jsonw_close(w);
    }
    jsonw_close(w);
    jsonw_close(w);
}

static void write_peers(struct jsonw *w, const struct core *c)
{
    jsonw_open_array(w, "peers");
    for (size_t i = 0; i < CORE_PEERS_MAX; i++) {
        const struct pod *p = &c->peers[i];
        if (p->name[0] == '\0') {
            continue;
        }
        jsonw_open_object(w, NULL);
        jsonw_str(w, "pod", p->name);
        jsonw_str(w, "role", p->role);
        jsonw_u64(w, "epoch", p->role_epoch);
        jsonw_bool(w, "terminating", p->terminating);
        jsonw_close(w);
    }
    jsonw_close(w);
}

void status_write(const struct driver *d, struct buf *out)
{
    const struct core *c = &d->core;
    uint64_t now_us = loop_now_us();
    struct jsonw w;
    jsonw_init(&w, out);
    jsonw_open_object(&w, NULL);
    jsonw_str(&w, "pod", d->cfg->pod_name);
    jsonw_str(&w, "namespace", d->cfg->pod_namespace);
    jsonw_str(&w, "version", RPA_VERSION);
    jsonw_str(&w, "revision", RPA_GIT_REVISION);
    jsonw_str(&w, "mode", core_mode_name(d->cfg->mode));
    jsonw_bool(&w, "eager", d->cfg->eager);
    jsonw_u64(&w, "up_ms", u64_since(now_us, d->started_us) / 1000);
    jsonw_u64(&w, "worker_restarts", d->restarts);
    jsonw_bool(&w, "terminating", c->input.terminating);
    jsonw_bool(&w, "fenced", c->input.fenced);
    write_role(&w, c, now_us);
    write_label(&w, c, now_us);
    write_redis(&w, c, now_us);
    write_sentinels(&w, d, now_us);
    jsonw_bool(&w, "watch_up", d->kube.watch_up);
    write_peers(&w, c);
    status_engine_write(&w, c, now_us);
    jsonw_close(&w);
    buf_add_char(out, '\n');
}
