/* The words of a transcript; README.md beside this file lists them. */
#include "test/transcript/world.h"

#define WORDS_MAX 16

struct words {
    struct sv word[WORDS_MAX];
    size_t count;
};

static bool is(const struct words *v, size_t i, const char *word)
{
    return i < v->count && sv_eq_str(v->word[i], word);
}

static bool to_addr(const struct words *v, size_t i, struct addr *ret)
{
    return i < v->count && addr_parse(ret, v->word[i]);
}

static bool to_u64(const struct words *v, size_t i, uint64_t *ret)
{
    return i < v->count && sv_to_u64(v->word[i], ret);
}

/* "a" is forty times a; "-" is none. */
static bool to_run_id(const struct words *v, size_t i, char out[static RUN_ID_LEN + 1])
{
    if (i >= v->count || v->word[i].len != 1) {
        return false;
    }
    memset(out, 0, RUN_ID_LEN + 1);
    if (v->word[i].ptr[0] != '-') {
        memset(out, v->word[i].ptr[0], RUN_ID_LEN);
    }
    return true;
}

/* ---- redis … ---- */

static void redis_role(struct world_redis *r, enum redis_role role, enum repl_link link)
{
    bool up = link == REPL_LINK_CONNECTED;
    r->role = (struct role_reply){.role = role, .link = link, .offset = 1};
    r->info.has = (r->info.has & (1U << INFO_RUN_ID | 1U << INFO_LOADING)) | 1U << INFO_ROLE;
    r->info.role = role;
    r->info.sync_in_progress = false;
    if (role == REDIS_ROLE_SLAVE) {
        r->info.has |= 1U << INFO_LINK_UP | 1U << INFO_SYNC | 1U << INFO_SLAVE_OFFSET |
                       1U << INFO_SLAVE_READ_OFFSET;
        r->info.link_up = up;
    }
}

static bool redis_refuses(struct world *w, const struct words *v)
{
    for (unsigned f = RESP_FAULT_LOADING; f <= RESP_FAULT_OTHER; f++) {
        if (is(v, 2, resp_fault_name((enum resp_fault)f))) {
            w->redis.fault = (enum resp_fault)f;
            return true;
        }
    }
    return false;
}

static bool redis_connection(struct world *w, const struct words *v)
{
    if (is(v, 1, "starts") || is(v, 1, "thaws") || is(v, 1, "accepts")) {
        w->redis.conn = CONN_UP;
        return true; /* the next attempt of the shell finds it */
    }
    if (is(v, 1, "dies")) {
        w->redis.conn = CONN_REFUSED;
    } else if (is(v, 1, "denies")) {
        w->redis.conn = CONN_DENIED;
    } else if (is(v, 1, "freezes")) {
        w->redis.conn = CONN_FROZEN;
        return true;
    } else if (!is(v, 1, "cuts")) {
        return false;
    }
    world_cut(w, LOCAL_DOWN_CLOSED);
    world_connect(w);
    return true;
}

static bool obey_redis(struct world *w, const struct words *v)
{
    struct world_redis *r = &w->redis;
    struct addr of;
    if (is(v, 1, "is") && is(v, 2, "master")) {
        redis_role(r, REDIS_ROLE_MASTER, REPL_LINK_NONE);
    } else if (is(v, 1, "is") && is(v, 2, "replica") && is(v, 3, "of") && to_addr(v, 4, &of)) {
        redis_role(r, REDIS_ROLE_SLAVE, REPL_LINK_CONNECTED);
        r->role.master = of;
    } else if (is(v, 1, "syncs") && is(v, 2, "with") && to_addr(v, 3, &of)) {
        redis_role(r, REDIS_ROLE_SLAVE, REPL_LINK_SYNC);
        r->role.master = of;
        r->info.sync_in_progress = true;
    } else if (is(v, 1, "loses") && is(v, 2, "its") && is(v, 3, "master")) {
        struct addr kept = r->role.master;
        redis_role(r, REDIS_ROLE_SLAVE, REPL_LINK_CONNECT);
        r->role.master = kept;
    } else if (is(v, 1, "run-id") && to_run_id(v, 2, r->info.run_id)) {
        r->info.has |= 1U << INFO_RUN_ID;
    } else if (is(v, 1, "loads") || is(v, 1, "loaded")) {
        r->info.has |= 1U << INFO_LOADING;
        r->info.loading = is(v, 1, "loads");
    } else if (is(v, 1, "answers")) {
        r->fault = RESP_FAULT_NONE;
    } else if (is(v, 1, "refuses")) {
        return redis_refuses(w, v);
    } else if (is(v, 1, "hints")) {
        world_send(w, (struct core_event){.type = CORE_LOCAL_HINT});
    } else {
        return redis_connection(w, v);
    }
    return true;
}

/* ---- sentinel … ---- */

/* ADDR epoch N [run-id X] [others N] [flags FLAG…] [but ADDR: flags and run-id are of that] */
static bool sentinel_names(struct world *w, size_t slot, const struct words *v)
{
    struct view view = {.knows_master = true, .others = w->sentinel_count - 1, .quorum = 2};
    if (!to_addr(v, 3, &view.named) || !is(v, 4, "epoch") || !to_u64(v, 5, &view.epoch)) {
        return false;
    }
    view.addr = view.named;
    size_t i = 6;
    for (; i + 1 < v->count && !is(v, i, "flags"); i += 2) {
        bool ok = (is(v, i, "run-id") && to_run_id(v, i + 1, view.run_id)) ||
                  (is(v, i, "others") && to_u64(v, i + 1, &view.others)) ||
                  (is(v, i, "but") && to_addr(v, i + 1, &view.addr));
        if (!ok) {
            return false;
        }
    }
    bool has_flags = is(v, i, "flags");
    for (i += has_flags ? 1 : 0; i < v->count; i++) {
        bool found = false;
        for (unsigned f = 0; f < SENTINEL_FLAG_COUNT && has_flags; f++) {
            if (is(v, i, sentinel_flag_name((enum sentinel_flag)f))) {
                view.flags |= 1U << f;
                found = true;
            }
        }
        if (!found) {
            return false;
        }
    }
    w->sentinels[slot].view = view;
    return true;
}

/* CHANNEL PAYLOAD, as a Sentinel publishes it; an id of one letter is forty of it. */
static bool sentinel_says(struct world *w, size_t slot, const struct words *v)
{
    struct sentinel_event e;
    char payload[512] = "";
    struct sv channel = v->count > 3 ? v->word[3] : SV("");
    for (size_t i = 4; i < v->count; i++) {
        char id[RUN_ID_LEN + 1];
        struct sv word = v->word[i];
        bool is_id =
            word.len == 1 && word.ptr[0] >= 'a' && word.ptr[0] <= 'z' && to_run_id(v, i, id);
        size_t len = strlen(payload);
        (void)snprintf(payload + len, sizeof payload - len, "%s%.*s", i > 4 ? " " : "",
                       SV_ARG(is_id ? sv_from(id) : word));
    }
    if (sentinel_event_parse(&e, channel, sv_from(payload), NULL) != 0) {
        return false;
    }
    world_send(w, (struct core_event){.type = CORE_SENTINEL_EVENT, .slot = slot, .u.sentinel = &e});
    return true;
}

static bool obey_one_sentinel(struct world *w, size_t slot, const struct words *v)
{
    struct world_sentinel *s = &w->sentinels[slot];
    if (is(v, 2, "names")) {
        return sentinel_names(w, slot, v);
    }
    if (is(v, 2, "says")) {
        return sentinel_says(w, slot, v);
    }
    if (is(v, 2, "knows") && is(v, 3, "nothing")) {
        s->view = (struct view){.knows_master = false};
    } else if (is(v, 2, "dies")) {
        s->conn = CONN_REFUSED;
        world_cut_sentinel(w, slot);
    } else if (is(v, 2, "freezes")) {
        s->conn = CONN_FROZEN;
    } else if (is(v, 2, "starts") || is(v, 2, "thaws")) {
        s->conn = CONN_UP; /* the next attempt of the shell finds it */
    } else {
        return false;
    }
    return true;
}

static bool obey_sentinel(struct world *w, const struct words *v)
{
    uint64_t slot;
    if (is(v, 1, "*")) {
        bool ok = true;
        for (size_t i = 0; i < w->sentinel_count; i++) {
            ok = obey_one_sentinel(w, i, v) && ok;
        }
        return ok;
    }
    return to_u64(v, 1, &slot) && slot < w->sentinel_count && obey_one_sentinel(w, slot, v);
}

/* ---- pod … ---- */

static bool set_pod(struct pod *p, const struct words *v, size_t i)
{
    if (is(v, i, "unlabelled")) {
        p->role[0] = '\0';
    } else if (i < v->count) {
        if (!str_copy(p->role, sizeof p->role, v->word[i])) {
            return false;
        }
    }
    p->terminating = false;
    p->fence = false;
    p->demoted_by_epoch = 0;
    for (i++; i < v->count; i++) {
        if (is(v, i, "terminating")) {
            p->terminating = true;
        } else if (is(v, i, "fence")) {
            p->fence = true;
        } else if (is(v, i, "epoch") && to_u64(v, i + 1, &p->role_epoch)) {
            p->has_role_epoch = true;
            i++;
        } else if (is(v, i, "run-id") && to_run_id(v, i + 1, p->run_id)) {
            i++;
        } else if (is(v, i, "demoted-by") && to_u64(v, i + 1, &p->demoted_by_epoch)) {
            i++;
        } else if (is(v, i, "uid") && i + 1 < v->count &&
                   str_copy(p->uid, sizeof p->uid, v->word[i + 1])) {
            i++;
        } else {
            return false;
        }
    }
    return true;
}

static bool obey_pod(struct world *w, const struct words *v)
{
    char name[POD_NAME_MAX + 1];
    if (v->count < 3 || !str_copy(name, sizeof name, v->word[1])) {
        return false;
    }
    struct pod *p = world_pod(w, name);
    if (is(v, 2, "gone")) {
        struct pod gone = *p;
        *p = (struct pod){.name = ""};
        world_send(w, (struct core_event){.type = CORE_POD_GONE, .u.pod = &gone});
        return true;
    }
    if (!set_pod(p, v, 2)) {
        return false;
    }
    world_wrote(w, p);
    return true;
}

/* ---- api …, config … ---- */

static bool obey_api(struct world *w, const struct words *v)
{
    uint64_t retry_s = 0;
    if (is(v, 1, "holds")) {
        w->api.holds = true;
        return true;
    }
    if (is(v, 1, "loses")) {
        w->api.loses = true;
        return true;
    }
    if (is(v, 1, "lists")) {
        w->api.watches = true;
        world_list(w);
        return true;
    }
    if (is(v, 1, "stops") && is(v, 2, "watching")) {
        w->api.watches = false;
        return true;
    }
    for (unsigned o = 0; o < API_OUTCOME_COUNT; o++) {
        const char *name = api_outcome_name((enum api_outcome)o);
        if (is(v, 1, strcmp(name, "no response") == 0 ? "down" : name)) {
            w->api.outcome = (enum api_outcome)o;
            w->api.holds = false;
            w->api.loses = false;
            bool retry = is(v, 2, "retry-after") && to_u64(v, 3, &retry_s);
            w->api.retry_after_us = retry ? retry_s * 1000000 : 0;
            world_answer_held(w);
            return retry || v->count == 2;
        }
    }
    return false;
}

static bool obey_config(struct world *w, const struct words *v)
{
    uint64_t n;
    if (is(v, 1, "pod") && v->count == 4 && to_addr(v, 3, &w->me)) {
        char name[POD_NAME_MAX + 1];
        w->pods[0].name[0] = '\0';
        return str_copy(name, sizeof name, v->word[2]) && world_pod(w, name) == &w->pods[0];
    }
    if (is(v, 1, "mode")) {
        for (unsigned m = 0; m < CORE_MODE_COUNT; m++) {
            if (is(v, 2, core_mode_name((enum core_mode)m))) {
                w->mode = (enum core_mode)m;
                return true;
            }
        }
    }
    if (is(v, 1, "sentinels") && to_u64(v, 2, &n) && n <= EVIDENCE_SENTINELS_MAX) {
        w->sentinel_count = (unsigned)n;
        return true;
    }
    if (is(v, 1, "eager") && is(v, 2, "off")) {
        w->eager = false;
        return true;
    }
    if (is(v, 1, "trace") && is(v, 2, "reads")) {
        w->trace_reads = !is(v, 3, "no-more");
        return true;
    }
    return false;
}

static bool obey_ask(struct world *w, const struct words *v)
{
    uint64_t limit = PROBE_NO_LIMIT;
    if (v->count > 2 && !(is(v, 2, "lag") && to_u64(v, 3, &limit))) {
        return false;
    }
    for (unsigned p = 0; p < PROBE_COUNT; p++) {
        if (is(v, 1, probe_path((enum probe)p))) {
            world_print_probe(w, (enum probe)p, limit);
            return true;
        }
    }
    return false;
}

/* The process does not run for so many milliseconds; the world does. */
static bool obey_stop(struct world *w, const struct words *v)
{
    uint64_t ms;
    if (!is(v, 1, "stops") || !is(v, 2, "for") || !to_u64(v, 3, &ms)) {
        return false;
    }
    w->frozen_until_us = w->now_us + ms * 1000;
    return true;
}

bool world_obey(struct world *w, struct sv words)
{
    struct words v = {.count = 0};
    for (struct sv rest = sv_trim(words); rest.ptr != NULL;) {
        struct sv word = sv_split(&rest, ' ');
        if (word.len == 0) {
            continue;
        }
        if (v.count == WORDS_MAX) {
            return false;
        }
        v.word[v.count++] = word;
    }
    if (is(&v, 0, "redis")) {
        return obey_redis(w, &v);
    }
    if (is(&v, 0, "sentinel")) {
        return obey_sentinel(w, &v);
    }
    if (is(&v, 0, "pod")) {
        return obey_pod(w, &v);
    }
    if (is(&v, 0, "api")) {
        return obey_api(w, &v);
    }
    if (is(&v, 0, "config")) {
        return obey_config(w, &v);
    }
    if (is(&v, 0, "ask")) {
        return obey_ask(w, &v);
    }
    if (is(&v, 0, "agent") && is(&v, 1, "starts")) {
        world_start_agent(w);
        return true;
    }
    if (is(&v, 0, "agent")) {
        return obey_stop(w, &v);
    }
    return is(&v, 0, "end") && v.count == 1;
}
