/* The JSON writer driven by the input: whatever the calls, another parser reads what was meant. */
#include "lib/base/jsonw.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "lib/base/check.h"
#include "test/fuzz/fuzz.h"

#define TEXT_MAX 64
#define VALUES_MAX 64

enum kind { TEXT, U64, I64, F64, BOOL, NULLED, KINDS };

/* What was written, in order: the parsed tree is walked against it. */
struct value {
    enum kind kind;
    char text[TEXT_MAX];
    double number;
};

struct script {
    struct jsonw w;
    struct value values[VALUES_MAX];
    size_t count;
    const uint8_t *data;
    size_t size;
};

static uint8_t take_byte(struct script *s)
{
    if (s->size == 0) {
        return 0;
    }
    s->size--;
    return *s->data++;
}

static void take_bytes(struct script *s, void *ret, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)ret)[i] = take_byte(s);
    }
}

/* A text without NUL, which no C string holds. */
static void take_text(struct script *s, char ret[static TEXT_MAX])
{
    size_t len = take_byte(s) % TEXT_MAX;
    size_t i = 0;

    for (; i < len && s->size > 0 && *s->data != 0; i++) {
        ret[i] = (char)take_byte(s);
    }
    ret[i] = '\0';
}

static void write_value(struct script *s, const char *key)
{
    struct value *v = &s->values[s->count++];
    uint64_t bits;

    v->kind = (enum kind)(take_byte(s) % KINDS);
    if (v->kind == TEXT) {
        take_text(s, v->text);
        jsonw_str(&s->w, key, v->text);
        return;
    }
    take_bytes(s, &bits, sizeof(bits));
    switch (v->kind) {
    case U64:
        v->number = (double)bits;
        jsonw_u64(&s->w, key, bits);
        break;
    case I64:
        v->number = (double)(int64_t)bits;
        jsonw_i64(&s->w, key, (int64_t)bits);
        break;
    case F64:
        memcpy(&v->number, &bits, sizeof(v->number));
        jsonw_f64(&s->w, key, v->number);
        break;
    case BOOL:
        v->number = (double)(bits & 1);
        jsonw_bool(&s->w, key, (bits & 1) != 0);
        break;
    case NULLED:
        jsonw_null(&s->w, key);
        break;
    case TEXT:
    case KINDS:
        break;
    }
}

static void write_document(struct script *s)
{
    char text[TEXT_MAX];

    jsonw_open_object(&s->w, NULL);
    while (s->size > 0 && s->count < VALUES_MAX && s->w.depth > 0) {
        uint8_t op = take_byte(s);
        const char *key = NULL;
        if (op % 4 == 3 && s->w.depth > 1) {
            jsonw_close(&s->w);
            continue;
        }
        if (s->w.is_object[s->w.depth - 1]) {
            take_text(s, text);
            key = text;
        }
        if (op % 4 == 1 && s->w.depth < JSONW_DEPTH_MAX) {
            jsonw_open_object(&s->w, key);
        } else if (op % 4 == 2 && s->w.depth < JSONW_DEPTH_MAX) {
            jsonw_open_array(&s->w, key);
        } else {
            write_value(s, key);
        }
    }
    while (s->w.depth > 0) {
        jsonw_close(&s->w);
    }
}

/* `text` with each byte that is no UTF-8 replaced. */
static void check_text(const char *text, const char *parsed)
{
    AUTO_BUF struct buf wanted;
    struct sv rest = sv_from(text);

    buf_init(&wanted, (size_t)3 * TEXT_MAX);
    while (rest.len > 0) {
        size_t n = sv_utf8_len(rest);
        if (n == 0) {
            buf_add_str(&wanted, "\xEF\xBF\xBD");
            n = 1;
        } else {
            buf_add(&wanted, rest.ptr, n);
        }
        rest.ptr += n;
        rest.len -= n;
    }
    REQUIRE(strcmp(buf_str(&wanted), parsed) == 0);
}

static void check_value(const struct value *v, const cJSON *j)
{
    double difference;

    switch (v->kind) {
    case TEXT:
        REQUIRE(cJSON_IsString(j));
        check_text(v->text, j->valuestring);
        return;
    case BOOL:
        REQUIRE(v->number > 0 ? cJSON_IsTrue(j) : cJSON_IsFalse(j));
        return;
    case NULLED:
        REQUIRE(cJSON_IsNull(j));
        return;
    case U64:
    case I64:
    case F64:
        if (!isfinite(v->number)) {
            REQUIRE(cJSON_IsNull(j));
            return;
        }
        REQUIRE(cJSON_IsNumber(j));
        /* 15 digits are written; at the very top of the range they may round to infinity. */
        difference = fabs(j->valuedouble - v->number);
        REQUIRE(difference <= fabs(v->number) * 1e-14 || fabs(v->number) > 1.7e308);
        return;
    case KINDS:
        return;
    }
}

static size_t walk(const struct script *s, const cJSON *j, size_t next)
{
    const cJSON *child;

    cJSON_ArrayForEach(child, j)
    {
        if (cJSON_IsObject(child) || cJSON_IsArray(child)) {
            next = walk(s, child, next);
        } else {
            REQUIRE(next < s->count);
            check_value(&s->values[next++], child);
        }
    }
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {.data = data, .size = size};
    AUTO_BUF struct buf out;

    buf_init(&out, (size_t)1 << 20);
    jsonw_init(&s.w, &out);
    write_document(&s);
    REQUIRE(!out.overflow);
    cJSON *root = cJSON_ParseWithOpts(buf_str(&out), NULL, true);
    REQUIRE(root != NULL && cJSON_IsObject(root));
    REQUIRE(walk(&s, root, 0) == s.count);
    cJSON_Delete(root);
    return 0;
}
