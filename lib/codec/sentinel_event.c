#include "lib/codec/sentinel_event.h"

static const char *const event_names[] = {SENTINEL_EVENTS(RPA_ENUM_NAME)};

#define WORDS_MAX 8

const char *sentinel_event_name(enum sentinel_event_type type)
{
    return event_names[type];
}

static enum sentinel_event_type find_type(struct sv channel)
{
    for (size_t i = SENTINEL_EVENT_SDOWN; i < SENTINEL_EVENT_COUNT; i++) {
        if (sv_eq_str(channel, event_names[i])) {
            return (enum sentinel_event_type)i;
        }
    }
    return SENTINEL_EVENT_OTHER;
}

/* The first words of the payload; what follows (quorum counts, reasons) is for people. */
static size_t split_words(struct sv payload, struct sv words[static WORDS_MAX])
{
    size_t count = 0;
    while (payload.ptr != NULL && count < WORDS_MAX) {
        words[count++] = sv_split(&payload, ' ');
    }
    return count;
}

static bool set_addr(struct addr *a, struct sv host, struct sv port)
{
    uint64_t n;
    return sv_to_u64(port, &n) && addr_set(a, host, n);
}

static bool set_name(struct sentinel_event *out, struct sv name)
{
    return name.len > 0 && memchr(name.ptr, '\0', name.len) == NULL &&
           str_copy(out->master_name, sizeof out->master_name, name);
}

/* "<name> <old ip> <old port> <new ip> <new port>" */
static bool parse_switch(struct sentinel_event *out, const struct sv *w, size_t count)
{
    out->about_master = true;
    return count >= 5 && set_name(out, w[0]) && set_addr(&out->master, w[1], w[2]) &&
           set_addr(&out->instance, w[3], w[4]);
}

/* "<run-id> <epoch>" */
static bool parse_vote(struct sentinel_event *out, const struct sv *w, size_t count)
{
    return count >= 2 && w[0].len == RUN_ID_LEN && memchr(w[0].ptr, '\0', RUN_ID_LEN) == NULL &&
           str_copy(out->leader_id, sizeof out->leader_id, w[0]) && sv_to_u64(w[1], &out->epoch);
}

/* "<type> <name> <ip> <port>[ @ <master> <master ip> <master port>]" */
static bool parse_instance(struct sentinel_event *out, const struct sv *w, size_t count)
{
    if (count < 4 || !set_addr(&out->instance, w[2], w[3])) {
        return false;
    }
    if (sv_eq_str(w[0], "master")) {
        out->about_master = true;
        out->master = out->instance;
        return set_name(out, w[1]);
    }
    out->about_sentinel = sv_eq_str(w[0], "sentinel");
    if (!out->about_sentinel && !sv_eq_str(w[0], "slave")) {
        return false;
    }
    return count >= 8 && sv_eq_str(w[4], "@") && set_name(out, w[5]) &&
           set_addr(&out->master, w[6], w[7]);
}

static bool parse_payload(struct sentinel_event *out, struct sv payload)
{
    struct sv words[WORDS_MAX];
    size_t count = split_words(payload, words);
    if (out->type == SENTINEL_EVENT_SWITCH_MASTER) {
        return parse_switch(out, words, count);
    }
    if (out->type == SENTINEL_EVENT_NEW_EPOCH) {
        return count >= 1 && sv_to_u64(words[0], &out->epoch);
    }
    if (out->type == SENTINEL_EVENT_VOTE) {
        return parse_vote(out, words, count);
    }
    if (out->type == SENTINEL_EVENT_TILT || out->type == SENTINEL_EVENT_NOT_TILT) {
        return true;
    }
    return parse_instance(out, words, count);
}

int sentinel_event_parse(struct sentinel_event *ret, struct sv channel, struct sv payload,
                         struct err *e)
{
    struct sentinel_event out = {.type = find_type(channel)};
    if (payload.len > SENTINEL_PAYLOAD_MAX) {
        return err_set(e, ERR_LIMIT, "event with a payload of %zu bytes; at most %d are read",
                       payload.len, SENTINEL_PAYLOAD_MAX);
    }
    if (out.type != SENTINEL_EVENT_OTHER && !parse_payload(&out, payload)) {
        return err_set(e, ERR_PROTO, "event %s with '%.*s'", event_names[out.type],
                       (int)u64_min(payload.len, 120), payload.ptr);
    }
    *ret = out;
    return 0;
}
