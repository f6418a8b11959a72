#include "lib/codec/promtext.h"

#include <inttypes.h>
#include <math.h>

#include "lib/base/check.h"

static const char *const type_names[] = {PROM_TYPES(RPA_ENUM_NAME)};

void prom_histogram_observe(struct prom_histogram *h, double value)
{
    size_t i = 0;
    REQUIRE(h->bound_count <= PROM_BUCKETS_MAX);
    while (i < h->bound_count && !(value <= h->bounds[i])) { /* NaN belongs to +Inf */
        i++;
    }
    h->counts[i]++;
    h->sum += value;
    h->count++;
}

static void add_escaped(struct buf *out, const char *text, bool quotes)
{
    struct sv rest = sv_from(text);
    while (rest.len > 0) {
        size_t n = sv_utf8_len(rest);
        if (n == 0) {
            buf_add_str(out, "\xEF\xBF\xBD"); /* U+FFFD */
            n = 1;
        } else if (*rest.ptr == '\n') {
            buf_add_str(out, "\\n");
        } else if (*rest.ptr == '\\' || (quotes && *rest.ptr == '"')) {
            buf_addf(out, "\\%c", *rest.ptr);
        } else {
            buf_add(out, rest.ptr, n);
        }
        rest.ptr += n;
        rest.len -= n;
    }
}

void promtext_family(struct buf *out, const char *name, enum prom_type type, const char *help)
{
    buf_addf(out, "# HELP %s ", name);
    add_escaped(out, help, false);
    buf_addf(out, "\n# TYPE %s %s\n", name, type_names[type]);
}

static void add_series(struct buf *out, const char *name, const struct prom_label *labels,
                       size_t count)
{
    buf_add_str(out, name);
    for (size_t i = 0; i < count; i++) {
        buf_addf(out, "%s%s=\"", i == 0 ? "{" : ",", labels[i].name);
        add_escaped(out, labels[i].value, true);
        buf_add_char(out, '"');
    }
    buf_add_str(out, count > 0 ? "} " : " ");
}

static void add_number(struct buf *out, double value)
{
    if (isnan(value)) {
        buf_add_str(out, "NaN\n");
    } else if (isinf(value)) {
        buf_add_str(out, value > 0 ? "+Inf\n" : "-Inf\n");
    } else {
        buf_addf(out, "%.15g\n", value);
    }
}

void promtext_value(struct buf *out, const char *name, const struct prom_label *labels,
                    size_t label_count, double value)
{
    add_series(out, name, labels, label_count);
    add_number(out, value);
}

void promtext_u64(struct buf *out, const char *name, const struct prom_label *labels,
                  size_t label_count, uint64_t value)
{
    add_series(out, name, labels, label_count);
    buf_addf(out, "%" PRIu64 "\n", value);
}

void promtext_histogram(struct buf *out, const char *name, const struct prom_histogram *h)
{
    uint64_t below = 0;
    for (size_t i = 0; i < h->bound_count; i++) {
        below += h->counts[i];
        buf_addf(out, "%s_bucket{le=\"%.15g\"} %" PRIu64 "\n", name, h->bounds[i], below);
    }
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, h->count, name);
    add_number(out, h->sum);
    buf_addf(out, "%s_count %" PRIu64 "\n", name, h->count);
}
