#include "lib/codec/info.h"

/* With their lengths, because every line of a long INFO is compared with each. */
#define FIELD_NAME(name, text) [name] = {(text), sizeof(text) - 1},
static const struct sv field_names[] = {INFO_FIELDS(FIELD_NAME)};

bool info_has(const struct info *info, enum info_field field)
{
    return (info->has & 1U << field) != 0;
}

bool run_id_copy(char dst[static RUN_ID_LEN + 1], struct sv text)
{
    if (text.len != RUN_ID_LEN) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return str_copy(dst, RUN_ID_LEN + 1, text);
}

static bool to_bool(struct sv v, bool *ret)
{
    uint64_t n;
    if (!sv_to_u64(v, &n) || n > 1) {
        return false;
    }
    *ret = n == 1;
    return true;
}

static bool to_role(struct sv v, enum redis_role *ret)
{
    if (sv_eq_str(v, "master") || sv_eq_str(v, "slave")) {
        *ret = sv_eq_str(v, "master") ? REDIS_ROLE_MASTER : REDIS_ROLE_SLAVE;
        return true;
    }
    return false;
}

/* All zeros stand for no former history (replication.c, clearReplicationId2). */
static bool to_replid2(struct sv v, char ret[static RUN_ID_LEN + 1])
{
    ret[0] = '\0';
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] != '0') {
            return run_id_copy(ret, v);
        }
    }
    return false;
}

static bool to_offset(struct sv v, int64_t *ret)
{
    int64_t offset;
    *ret = sv_to_i64(v, &offset) && offset >= 0 ? offset : -1;
    return *ret != -1;
}

static bool take_value(struct info *out, enum info_field field, struct sv v)
{
    switch (field) {
    case INFO_RUN_ID:
        return run_id_copy(out->run_id, v);
    case INFO_VERSION:
        return v.len > 0 && str_copy(out->version, sizeof out->version, v);
    case INFO_UPTIME:
        return sv_to_u64(v, &out->uptime_s);
    case INFO_ROLE:
        return to_role(v, &out->role);
    case INFO_LINK_UP:
        out->link_up = sv_eq_str(v, "up");
        return out->link_up || sv_eq_str(v, "down");
    case INFO_LINK_DOWN_S:
        return sv_to_u64(v, &out->link_down_s);
    case INFO_SYNC:
        return to_bool(v, &out->sync_in_progress);
    case INFO_SLAVE_OFFSET:
        return sv_to_i64(v, &out->slave_offset);
    case INFO_SLAVE_READ_OFFSET:
        return sv_to_i64(v, &out->slave_read_offset);
    case INFO_MASTER_OFFSET:
        return sv_to_i64(v, &out->master_offset);
    case INFO_REPLID:
        return run_id_copy(out->replid, v);
    case INFO_REPLID2:
        return to_replid2(v, out->replid2);
    case INFO_SECOND_OFFSET:
        return to_offset(v, &out->second_offset);
    case INFO_PRIORITY:
        return sv_to_u64(v, &out->priority);
    case INFO_REPLICAS:
        return sv_to_u64(v, &out->replica_count);
    case INFO_LOADING:
        return to_bool(v, &out->loading);
    case INFO_BGSAVE:
        return to_bool(v, &out->bgsave);
    case INFO_CLUSTER:
        return to_bool(v, &out->cluster_enabled);
    case INFO_MODE:
        return v.len > 0 && str_copy(out->mode, sizeof out->mode, v);
    case INFO_MASTER: /* two lines make it: finish() */
    case INFO_FIELD_COUNT:
        break;
    }
    return false;
}

/* "ip=10.0.0.2,port=6379,state=online,offset=42,lag=0" */
static bool parse_replica(struct info_replica *out, struct sv text)
{
    struct sv host = {NULL, 0};
    uint64_t port = 0;
    *out = (struct info_replica){.online = false};
    while (text.ptr != NULL) {
        struct sv value = sv_split(&text, ',');
        struct sv key = sv_split(&value, '=');
        if (sv_eq_str(key, "ip")) {
            host = value;
        } else if (sv_eq_str(key, "port")) {
            port = sv_to_u64(value, &port) ? port : 0;
        } else if (sv_eq_str(key, "state")) {
            out->online = sv_eq_str(value, "online");
        } else if (sv_eq_str(key, "offset")) {
            out->offset = sv_to_i64(value, &out->offset) ? out->offset : 0;
        } else if (sv_eq_str(key, "lag")) {
            out->lag_s = sv_to_u64(value, &out->lag_s) ? out->lag_s : UINT64_MAX;
        }
    }
    return addr_set(&out->addr, host, port);
}

static bool is_replica_key(struct sv key)
{
    const size_t prefix = strlen("slave");
    uint64_t n;
    return sv_starts_with(key, "slave") &&
           sv_to_u64((struct sv){key.ptr + prefix, key.len - prefix}, &n);
}

/* What is known only when all lines have been read: they come in any order. */
struct parts {
    struct sv master_host;
    uint64_t master_port;
    bool async_loading;
};

static bool find_field(struct sv key, enum info_field *ret)
{
    if (sv_eq_str(key, "server_mode")) {
        *ret = INFO_MODE;
        return true;
    }
    for (size_t f = 0; f < INFO_FIELD_COUNT; f++) {
        if (key.len == field_names[f].len && sv_eq(key, field_names[f])) {
            *ret = (enum info_field)f;
            return true;
        }
    }
    return false;
}

static void take_line(struct info *out, struct parts *parts, struct sv key, struct sv value)
{
    enum info_field field;
    if (sv_eq_str(key, "master_host")) {
        parts->master_host = value;
    } else if (sv_eq_str(key, "master_port")) {
        parts->master_port = sv_to_u64(value, &parts->master_port) ? parts->master_port : 0;
    } else if (sv_eq_str(key, "async_loading")) {
        parts->async_loading = sv_eq_str(value, "1");
    } else if (find_field(key, &field)) {
        bool ok = take_value(out, field, value);
        out->has = ok ? out->has | 1U << field : out->has & ~(1U << field);
    } else if (is_replica_key(key) && out->replicas_kept < INFO_REPLICAS_MAX &&
               parse_replica(&out->replicas[out->replicas_kept], value)) {
        out->replicas_kept++;
    }
}

static void finish(struct info *out, const struct parts *parts)
{
    if (addr_set(&out->master, parts->master_host, parts->master_port)) {
        out->has |= 1U << INFO_MASTER;
    }
    if (parts->async_loading) {
        out->loading = true;
        out->has |= 1U << INFO_LOADING;
    }
    if (info_has(out, INFO_MODE) && strcmp(out->mode, "cluster") == 0) {
        out->cluster_enabled = true;
        out->has |= 1U << INFO_CLUSTER;
    }
}

int info_parse(struct info *ret, struct sv text, struct err *e)
{
    struct info out = {.second_offset = -1};
    struct parts parts = {.master_port = 0};
    if (text.len > INFO_TEXT_MAX) {
        return err_set(e, ERR_LIMIT, "INFO of %zu bytes; at most %d are read", text.len,
                       INFO_TEXT_MAX);
    }
    while (text.ptr != NULL) {
        struct sv value = sv_trim(sv_split(&text, '\n'));
        if (value.len > 0 && value.ptr[0] != '#') {
            struct sv key = sv_split(&value, ':');
            take_line(&out, &parts, key, value);
        }
    }
    finish(&out, &parts);
    if (out.has == 0) {
        return err_set(e, ERR_PROTO, "INFO: no line of it is known");
    }
    *ret = out;
    return 0;
}
