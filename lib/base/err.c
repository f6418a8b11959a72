#include "lib/base/err.h"

#include <stdarg.h>

static const char *const err_code_names[] = {ERR_CODES(RPA_ENUM_NAME)};

const char *err_code_name(enum err_code code)
{
    return (size_t)code < ARRAY_LEN(err_code_names) ? err_code_names[code] : "unknown";
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (e == NULL) {
        return -1;
    }
    va_list ap;
    va_start(ap, fmt);
    e->code = code;
    e->sys = 0;
    (void)vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return -1;
}

int err_set_errno(struct err *e, int sys, const char *fmt, ...)
{
    if (e == NULL) {
        return -1;
    }
    va_list ap;
    va_start(ap, fmt);
    e->code = ERR_SYS;
    e->sys = sys;
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg) {
        char text[96];
        (void)snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s",
                       strerror_r(sys, text, sizeof text));
    }
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (e == NULL) {
        return -1;
    }
    char inner[sizeof e->msg];
    memcpy(inner, e->msg, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg) {
        (void)snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %.*s", (int)sizeof inner, inner);
    }
    return -1;
}
