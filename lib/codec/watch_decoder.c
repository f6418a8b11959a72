#include "lib/codec/pod.h"

void watch_decoder_init(struct watch_decoder *d, const struct pod_keys *keys)
{
    d->keys = *keys;
    buf_init(&d->line, POD_JSON_MAX);
}

void watch_decoder_release(struct watch_decoder *d)
{
    buf_release(&d->line);
}

void watch_decoder_reset(struct watch_decoder *d)
{
    buf_reset(&d->line);
}

static int refuse_length(struct err *e)
{
    return err_set(e, ERR_LIMIT, "a watch event is longer than %d bytes", POD_JSON_MAX);
}

static int take_line(struct watch_decoder *d, struct sv line, watch_each_fn *each, void *arg,
                     struct err *e)
{
    struct watch_event ev;
    if (line.len > POD_JSON_MAX) {
        return refuse_length(e);
    }
    if (sv_trim(line).len == 0) {
        return 0;
    }
    if (watch_event_parse(&ev, line, &d->keys, e) != 0) {
        return -1;
    }
    each(arg, &ev);
    return 0;
}

int watch_decoder_feed(struct watch_decoder *d, struct sv bytes, watch_each_fn *each, void *arg,
                       struct err *e)
{
    while (bytes.len > 0) {
        const char *end = memchr(bytes.ptr, '\n', bytes.len);
        struct sv part = {bytes.ptr, end == NULL ? bytes.len : (size_t)(end - bytes.ptr)};
        size_t used = part.len + (end == NULL ? 0 : 1);
        bytes.ptr += used;
        bytes.len -= used;
        /* A line that came whole is parsed where it lies. */
        if (end != NULL && d->line.len == 0) {
            if (take_line(d, part, each, arg, e) != 0) {
                return -1;
            }
            continue;
        }
        if (!buf_add_sv(&d->line, part)) {
            return refuse_length(e);
        }
        if (end != NULL) {
            int result = take_line(d, buf_sv(&d->line), each, arg, e);
            buf_reset(&d->line);
            if (result != 0) {
                return -1;
            }
        }
    }
    return 0;
}
