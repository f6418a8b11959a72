/* Metrics with any label values, helps and numbers: what is written passes a line checker that
 * knows the grammar of the text format and nothing of the writer. */
#include "lib/codec/promtext.h"

#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"

#define TEXTS 4
#define TEXT_MAX 256

static bool take(struct sv *line, const char *text)
{
    if (!sv_starts_with(*line, text)) {
        return false;
    }
    line->ptr += strlen(text);
    line->len -= strlen(text);
    return true;
}

/* [a-zA-Z_:][a-zA-Z0-9_:]*, without the colon in label names */
static bool take_name(struct sv *line, bool colon)
{
    size_t n = 0;

    while (n < line->len) {
        char c = line->ptr[n];
        bool alpha =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
        if (!alpha && !(n > 0 && c >= '0' && c <= '9')) {
            break;
        }
        n++;
    }
    line->ptr += n;
    line->len -= n;
    return n > 0;
}

static bool take_quoted(struct sv *line)
{
    if (!take(line, "\"")) {
        return false;
    }
    while (line->len > 0 && *line->ptr != '"') {
        size_t n = sv_utf8_len(*line);
        if (*line->ptr == '\\') {
            n = line->len > 1 && strchr("\\n\"", line->ptr[1]) != NULL && line->ptr[1] != '\0' ? 2
                                                                                               : 0;
        }
        if (n == 0) {
            return false;
        }
        line->ptr += n;
        line->len -= n;
    }
    return take(line, "\"");
}

static bool is_number(struct sv text)
{
    char copy[64];
    char *end;

    if (sv_eq_str(text, "NaN") || sv_eq_str(text, "+Inf") || sv_eq_str(text, "-Inf")) {
        return true;
    }
    if (text.len == 0 || !str_copy(copy, sizeof(copy), text) ||
        strspn(copy, "0123456789+-.e") != text.len) {
        return false;
    }
    (void)strtod(copy, &end);
    return *end == '\0';
}

static bool is_sample(struct sv line)
{
    if (!take_name(&line, true)) {
        return false;
    }
    if (take(&line, "{")) {
        do {
            if (!take_name(&line, false) || !take(&line, "=") || !take_quoted(&line)) {
                return false;
            }
        } while (take(&line, ","));
        if (!take(&line, "}")) {
            return false;
        }
    }
    return take(&line, " ") && is_number(line);
}

static bool is_comment(struct sv line)
{
    if (take(&line, "# TYPE ")) {
        return take_name(&line, true) &&
               (sv_eq_str(line, " counter") || sv_eq_str(line, " gauge") ||
                sv_eq_str(line, " histogram"));
    }
    if (!take(&line, "# HELP ") || !take_name(&line, true) || !take(&line, " ")) {
        return false;
    }
    while (line.len > 0) {
        size_t n = sv_utf8_len(line);
        if (*line.ptr == '\\') {
            n = line.len > 1 && (line.ptr[1] == 'n' || line.ptr[1] == '\\') ? 2 : 0;
        }
        if (n == 0) {
            return false;
        }
        line.ptr += n;
        line.len -= n;
    }
    return true;
}

static void check(struct sv text, size_t lines)
{
    REQUIRE(text.len > 0 && text.ptr[text.len - 1] == '\n');
    for (text.len--; text.ptr != NULL; lines--) {
        struct sv line = sv_split(&text, '\n');
        REQUIRE(is_comment(line) || is_sample(line));
    }
    REQUIRE(lines == 0);
}

static double take_double(const uint8_t **data, size_t *size)
{
    double value = 0;
    size_t n = *size < sizeof(value) ? *size : sizeof(value);

    memcpy(&value, *data, n);
    *data += n;
    *size -= n;
    return value;
}

/* NUL-terminated pieces of the input. */
static void take_texts(char texts[TEXTS][TEXT_MAX], const uint8_t *data, size_t size)
{
    struct sv rest = {(const char *)data, size};

    for (size_t i = 0; i < TEXTS; i++) {
        struct sv text = sv_split(&rest, '\0');
        text.len = (size_t)u64_min(text.len, TEXT_MAX - 1);
        (void)str_copy(texts[i], TEXT_MAX, text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const double bounds[] = {0.005, 0.25, 10};
    struct prom_histogram h = {.bounds = bounds, .bound_count = ARRAY_LEN(bounds)};
    char texts[TEXTS][TEXT_MAX];
    AUTO_BUF struct buf out;
    uint64_t below = 0;

    double value = take_double(&data, &size);
    prom_histogram_observe(&h, take_double(&data, &size));
    prom_histogram_observe(&h, take_double(&data, &size));
    for (size_t i = 0; i <= ARRAY_LEN(bounds); i++) {
        below += h.counts[i];
    }
    REQUIRE(below == h.count);
    take_texts(texts, data, size);
    const struct prom_label labels[] = {{"a", texts[1]}, {"b_2", texts[2]}, {"_c", texts[3]}};

    buf_init(&out, 65536);
    promtext_family(&out, "ns:metric_total", PROM_COUNTER, texts[0]);
    for (size_t count = 0; count <= ARRAY_LEN(labels); count++) {
        promtext_value(&out, "ns:metric_total", labels, count, value);
        promtext_u64(&out, "ns:metric_total", labels, count, (uint64_t)size);
    }
    promtext_family(&out, "_h", PROM_HISTOGRAM, texts[1]);
    promtext_histogram(&out, "_h", &h);
    REQUIRE(!out.overflow);
    check(buf_sv(&out), 2 + 8 + 2 + 6);
    return 0;
}
