/* What the unit tests of lib share: files of test/data, bytes without a neighbour, aborts. */
#ifndef TEST_UNIT_SUPPORT_FIXTURE_H
#define TEST_UNIT_SUPPORT_FIXTURE_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/base/sv.h"

/* A heap copy of exactly v.len bytes, so that a sanitizer sees each read past them. The caller
 * frees it. */
char *bytes_dup(struct sv v);

/* Content of test/data/PATH, NUL behind it; fails the test where it cannot be read. The caller
 * frees it. */
char *data_read(const char *path, size_t *ret_len);

/* The text behind the first "name":" of a JSON text, up to the next quote; fails the test where
 * there is none. */
struct sv json_first_text(const char *json, const char *name);

/* Runs fn(arg) in a child and asserts that it ends by abort(): what REQUIRE() does. */
void assert_aborts(void (*fn)(void *arg), void *arg);

/* The call returned -1 with this code and a message. */
#define assert_err(rc, e, wanted)                                             \
    do {                                                                      \
        assert_int_equal((rc), -1);                                           \
        assert_string_equal(err_code_name((e)->code), err_code_name(wanted)); \
        assert_true((e)->msg[0] != '\0');                                     \
    } while (0)

#define assert_sv_equal(v, text)                                 \
    do {                                                         \
        struct sv sv_ = (v);                                     \
        if (!sv_eq_str(sv_, (text))) {                           \
            fail_msg("'%.*s' is not '%s'", SV_ARG(sv_), (text)); \
        }                                                        \
    } while (0)

#endif
