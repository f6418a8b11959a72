/* Writer of the Prometheus text format 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats): one family at a time, HELP and
 * TYPE first, label values and help texts escaped, bytes that are not UTF-8 (a scrape would fail
 * at them) replaced by U+FFFD. Family and label names are the caller's constants and are written
 * as they are. Writes into a buf that the caller reuses; overflow is told by the buf. */
#ifndef RPA_CODEC_PROMTEXT_H
#define RPA_CODEC_PROMTEXT_H

#include "lib/base/buf.h"

#define PROMTEXT_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

#define PROM_TYPES(X)          \
    X(PROM_COUNTER, "counter") \
    X(PROM_GAUGE, "gauge")     \
    X(PROM_HISTOGRAM, "histogram")

enum prom_type { PROM_TYPES(RPA_ENUM_MEMBER) };

struct prom_label {
    const char *name;
    const char *value;
};

/* Cumulative histogram with fixed upper bounds; counts[i] belongs to ≤ bounds[i] alone (not
 * cumulative), counts[bound_count] to +Inf. */
struct prom_histogram {
    const double *bounds;
    size_t bound_count; /* ≤ PROM_BUCKETS_MAX */
#define PROM_BUCKETS_MAX 24
    uint64_t counts[PROM_BUCKETS_MAX + 1];
    double sum;
    uint64_t count;
};

void prom_histogram_observe(struct prom_histogram *h, double value);

void promtext_family(struct buf *out, const char *name, enum prom_type type, const char *help);
void promtext_value(struct buf *out, const char *name, const struct prom_label *labels,
                    size_t label_count, double value);
void promtext_u64(struct buf *out, const char *name, const struct prom_label *labels,
                  size_t label_count, uint64_t value);
void promtext_histogram(struct buf *out, const char *name, const struct prom_histogram *h);

#endif
