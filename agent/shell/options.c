#include "agent/shell/options.h"

#include <ctype.h>
#include <getopt.h>

#include "lib/base/check.h"
#include "lib/codec/addr.h"

#define ENV_PREFIX "RPA_"
#define GETOPT_BASE 256 /* option ids as getopt values, above every character */
#define GETOPT_HELP (GETOPT_BASE + OPTION_COUNT)
#define GETOPT_MARKDOWN (GETOPT_HELP + 1)
#define GETOPT_JSON (GETOPT_HELP + 2)
#define GETOPT_HISTORY (GETOPT_HELP + 3)

#define OPTION_ROW(name, flag_, env_, type_, fallback_, min_, max_, choices_, help_) \
    [name] = {.flag = (flag_),                                                       \
              .second_env = (env_),                                                  \
              .type = (type_),                                                       \
              .fallback = (fallback_),                                               \
              .min = (min_),                                                         \
              .max = (max_),                                                         \
              .choices = (choices_),                                                 \
              .help = (help_)},

static const struct option_spec specs[] = {OPTIONS(OPTION_ROW)};
static const char *const type_names[] = {OPTION_TYPES(RPA_ENUM_NAME)};
static const char *const source_names[] = {OPTION_SOURCES(RPA_ENUM_NAME)};

const struct option_spec *option_spec(enum option_id id)
{
    return &specs[id];
}

const char *option_source_name(enum option_source s)
{
    return source_names[s];
}

const char *option_env_name(enum option_id id, char out[static 64])
{
    size_t n = (size_t)snprintf(out, 64, ENV_PREFIX "%s", specs[id].flag);
    for (size_t i = 0; i < n && i < 63; i++) {
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
    }
    return out;
}

/* What a type allows, for error texts and help. */
static void add_allowed(struct buf *out, const struct option_spec *s)
{
    switch (s->type) {
    case OPTION_NUMBER:
        buf_addf(out, "%llu to %llu", (unsigned long long)s->min, (unsigned long long)s->max);
        return;
    case OPTION_CHOICE: {
        struct sv rest = sv_from(s->choices);
        for (bool first = true; rest.ptr != NULL; first = false) {
            struct sv word = sv_split(&rest, ' ');
            buf_addf(out, "%s%.*s", first ? "" : ", ", SV_ARG(word));
        }
        return;
    }
    case OPTION_STRING:
        buf_addf(out, "text of %s%llu bytes", s->min > 0 ? "1 to " : "at most ",
                 (unsigned long long)s->max);
        return;
    case OPTION_ADDRS:
    case OPTION_HOSTS:
        buf_addf(out, "%s (at most %llu)", type_names[s->type], (unsigned long long)s->max);
        return;
    case OPTION_URL:
        buf_addf(out, "%s, or none", type_names[s->type]);
        return;
    case OPTION_FILE:
    case OPTION_ADDR:
    case OPTION_LISTEN:
    case OPTION_LABEL:
    case OPTION_SWITCH:
        break;
    }
    buf_add_str(out, type_names[s->type]);
}

void options_complain(struct options *o, enum option_id id, const char *what)
{
    const struct option_value *v = &o->values[id];
    buf_addf(&o->errors, "--%s: %s", specs[id].flag, what);
    if (v->text != NULL && v->text[0] != '\0') {
        buf_addf(&o->errors, ": '%.100s'", v->text);
    }
    char name[64];
    switch (v->source) {
    case OPTION_FROM_DEFAULT:
        buf_addf(&o->errors, " (not set; flag --%s or %s sets it)", specs[id].flag,
                 option_env_name(id, name));
        break;
    case OPTION_FROM_ENV:
        buf_addf(&o->errors, " (from %.*s)", (int)strcspn(v->env_name, "="), v->env_name);
        break;
    case OPTION_FROM_FLAG:
        buf_add_str(&o->errors, " (from the command line)");
        break;
    case OPTION_FROM_CLUSTER:
        buf_add_str(&o->errors, " (from the Pod's environment)");
        break;
    }
    buf_add_str(&o->errors, "; allowed: ");
    add_allowed(&o->errors, &specs[id]);
    buf_add_char(&o->errors, '\n');
}

static bool check_list(const struct option_spec *s, struct sv text, bool needs_port)
{
    uint64_t count = 0;
    while (text.ptr != NULL && text.len > 0) {
        struct sv part = sv_trim(sv_split(&text, ','));
        struct addr a;
        /* Without a port: a name, or an IPv6 address, which is full of colons. */
        bool ok = addr_parse(&a, part) || (!needs_port && addr_set(&a, part, 1));
        if (!ok || memchr(part.ptr, ' ', part.len) != NULL) {
            return false;
        }
        count++;
    }
    return count <= s->max;
}

static bool is_label_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* kubernetes.io/docs/concepts/overview/working-with-objects/labels: [prefix/]name, name at
 * most 63, prefix a DNS subdomain of at most 253. */
static bool check_label(struct sv text)
{
    const char *slash = memchr(text.ptr, '/', text.len);
    struct sv name = text;
    if (slash != NULL) {
        struct sv prefix = sv_split(&name, '/');
        if (prefix.len == 0 || prefix.len > 253) {
            return false;
        }
        for (size_t i = 0; i < prefix.len; i++) {
            if (!is_label_char(prefix.ptr[i])) {
                return false;
            }
        }
    }
    if (name.len == 0 || name.len > 63 || !isalnum((unsigned char)name.ptr[0]) ||
        !isalnum((unsigned char)name.ptr[name.len - 1])) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_label_char(name.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool check_url(struct sv text)
{
    size_t scheme = sv_starts_with(text, "https://") ? 8 : sv_starts_with(text, "http://") ? 7 : 0;
    struct sv rest = {text.ptr + scheme, text.len - scheme};
    if (sv_eq_str(text, "none")) {
        return true;
    }
    return scheme > 0 && rest.len > 0 && memchr(rest.ptr, '/', rest.len) == NULL &&
           memchr(rest.ptr, ' ', rest.len) == NULL && memchr(rest.ptr, '@', rest.len) == NULL;
}

static bool check_choice(const char *choices, struct sv text)
{
    struct sv rest = sv_from(choices);
    while (rest.ptr != NULL) {
        if (sv_eq(sv_split(&rest, ' '), text)) {
            return true;
        }
    }
    return false;
}

static bool check_listen(struct sv text)
{
    struct sv host;
    uint16_t port;
    uint64_t n;
    /* Port 0, for tests, and an empty host are fine here and nowhere else. */
    const char *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);
    if (colon == NULL) {
        return false;
    }
    size_t host_len = (size_t)(colon - text.ptr);
    struct sv port_text = {colon + 1, text.len - host_len - 1};
    if (sv_eq_str(port_text, "0")) {
        return true;
    }
    return sv_to_host_port(text, &host, &port) ||
           (host_len == 0 && sv_to_u64(port_text, &n) && n > 0 && n <= UINT16_MAX);
}

static bool is_valid(const struct option_spec *s, struct sv text)
{
    if (text.len == 0 && s->fallback[0] == '\0' && s->min == 0) {
        return true; /* optional */
    }
    struct addr a;
    uint64_t n;
    switch (s->type) {
    case OPTION_STRING:
        return text.len >= s->min && text.len <= s->max;
    case OPTION_FILE:
        return text.len > 0 && text.len < 4096;
    case OPTION_ADDR:
        return sv_starts_with(text, "unix:/") ? text.len < 5 + 108 : addr_parse(&a, text);
    case OPTION_ADDRS:
        return check_list(s, text, true);
    case OPTION_HOSTS:
        return check_list(s, text, false);
    case OPTION_LISTEN:
        return check_listen(text);
    case OPTION_URL:
        return check_url(text);
    case OPTION_LABEL:
        return check_label(text);
    case OPTION_NUMBER:
        return sv_to_u64(text, &n) && n >= s->min && n <= s->max;
    case OPTION_SWITCH:
        return sv_eq_str(text, "on") || sv_eq_str(text, "off");
    case OPTION_CHOICE:
        return check_choice(s->choices, text);
    }
    return false;
}

/* Levenshtein distance, for suggestions among short names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[65];
    size_t n = strlen(b);
    if (n > 64) {
        return UINT32_MAX;
    }
    for (size_t j = 0; j <= n; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned cost = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = cost < step ? cost : step;
        }
    }
    return row[n];
}

static void suggest(struct buf *out, const char *given, bool as_env)
{
    unsigned best = 6; /* further away is no suggestion */
    char best_name[66] = "";
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        char name[66];
        if (as_env) {
            option_env_name((enum option_id)id, name);
        } else {
            (void)snprintf(name, sizeof name, "--%s", specs[id].flag);
        }
        unsigned d = distance(given, name);
        if (d < best) {
            best = d;
            memcpy(best_name, name, sizeof best_name);
        }
    }
    if (best_name[0] != '\0') {
        buf_addf(out, "; did you mean %s?", best_name);
    }
    buf_add_char(out, '\n');
}

static void take_env(struct options *o, char *const *environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        const char *entry = environment[i];
        const char *equals = strchr(entry, '=');
        if (equals == NULL) {
            continue;
        }
        struct sv name = {entry, (size_t)(equals - entry)};
        bool known = !sv_starts_with(name, ENV_PREFIX);
        for (size_t id = 0; id < OPTION_COUNT; id++) {
            char own[64];
            struct option_value *v = &o->values[id];
            bool first = sv_eq_str(name, option_env_name((enum option_id)id, own));
            bool second = specs[id].second_env != NULL && sv_eq_str(name, specs[id].second_env);
            known = known || first;
            bool outranked = second && v->source == OPTION_FROM_ENV;
            if ((first || second) && !outranked) {
                v->text = equals + 1;
                v->source = OPTION_FROM_ENV;
                v->env_name = entry; /* cut at '=' when it is printed */
            }
        }
        if (!known) {
            char text[128];
            (void)snprintf(text, sizeof text, "%.*s", SV_ARG(name));
            buf_addf(&o->errors, "%s: no such option", text);
            suggest(&o->errors, text, true);
        }
    }
}

static void take_flags(struct options *o, int argc, char *const *argv)
{
    struct option longs[OPTION_COUNT + 5] = {{0}};
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        longs[id] = (struct option){.name = specs[id].flag,
                                    .has_arg = required_argument,
                                    .val = GETOPT_BASE + (int)id};
    }
    longs[OPTION_COUNT] = (struct option){.name = "help", .val = GETOPT_HELP};
    longs[OPTION_COUNT + 1] = (struct option){.name = "markdown", .val = GETOPT_MARKDOWN};
    longs[OPTION_COUNT + 2] = (struct option){.name = "json", .val = GETOPT_JSON};
    longs[OPTION_COUNT + 3] = (struct option){.name = "history", .val = GETOPT_HISTORY};
    opterr = 0;
    optind = 0; /* a full restart of getopt: tests parse more than once */
    int hit;
    while ((hit = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
        if (hit == 'h' || hit == GETOPT_HELP) {
            o->help = true;
        } else if (hit == GETOPT_MARKDOWN) {
            o->markdown = true;
        } else if (hit == GETOPT_JSON) {
            o->json = true;
        } else if (hit == GETOPT_HISTORY) {
            o->history = true;
        } else if (hit >= GETOPT_BASE) {
            struct option_value *v = &o->values[hit - GETOPT_BASE];
            v->text = optarg;
            v->source = OPTION_FROM_FLAG;
        } else {
            o->usage_error = true;
            const char *given = argv[optind - 1];
            if (hit == ':') {
                buf_addf(&o->errors, "%s: needs a value\n", given);
            } else {
                buf_addf(&o->errors, "%.100s: no such option", given);
                suggest(&o->errors, given, false);
            }
        }
    }
    for (int i = optind; i < argc; i++) {
        o->usage_error = true;
        buf_addf(&o->errors, "'%.100s': nothing is expected here; options start with --\n",
                 argv[i]);
    }
}

void options_parse(struct options *o, int argc, char *const *argv, char *const *environment)
{
    *o = (struct options){.usage_error = false};
    buf_init(&o->errors, OPTIONS_ERRORS_MAX);
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        o->values[id] = (struct option_value){specs[id].fallback, OPTION_FROM_DEFAULT, NULL};
    }
    take_env(o, environment);
    take_flags(o, argc, argv);
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        if (!is_valid(&specs[id], sv_from(o->values[id].text))) {
            options_complain(o, (enum option_id)id, "not a valid value");
        }
    }
}

void options_release(struct options *o)
{
    buf_release(&o->errors);
}

const char *option_text(const struct options *o, enum option_id id)
{
    return o->values[id].text;
}

uint64_t option_number(const struct options *o, enum option_id id)
{
    uint64_t n = 0;
    REQUIRE(specs[id].type == OPTION_NUMBER);
    return sv_to_u64(sv_from(o->values[id].text), &n) ? n : 0;
}

bool option_switch(const struct options *o, enum option_id id)
{
    REQUIRE(specs[id].type == OPTION_SWITCH);
    return strcmp(o->values[id].text, "on") == 0;
}

void options_write_help(struct buf *out)
{
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *s = &specs[id];
        char env[64];
        buf_addf(out, "  --%-24s %s\n", s->flag, s->help);
        buf_addf(out, "  %-26s [", "");
        add_allowed(out, s);
        if (s->fallback[0] != '\0') {
            buf_addf(out, "; default %s", s->fallback);
        }
        buf_addf(out, "; %s", option_env_name((enum option_id)id, env));
        if (s->second_env != NULL) {
            buf_addf(out, " or %s", s->second_env);
        }
        buf_add_str(out, "]\n");
    }
}

void options_write_values(const struct options *o, struct buf *out)
{
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        const struct option_value *v = &o->values[id];
        buf_addf(out, "%-24s %-40s # %s\n", specs[id].flag, v->text[0] == '\0' ? "\"\"" : v->text,
                 option_source_name(v->source));
    }
}

void options_write_markdown(struct buf *out)
{
    buf_add_str(out, "| option | allowed | default | what it is |\n|---|---|---|---|\n");
    for (size_t id = 0; id < OPTION_COUNT; id++) {
        const struct option_spec *s = &specs[id];
        buf_addf(out, "| `--%s` | ", s->flag);
        add_allowed(out, s);
        buf_addf(out, " | %s%s%s | %s |\n", s->fallback[0] == '\0' ? "" : "`", s->fallback,
                 s->fallback[0] == '\0' ? "" : "`", s->help);
    }
}
