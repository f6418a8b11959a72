/* A secret is read when its file changes, and a bad file never replaces a good value. */
#include "lib/io/secret_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"

struct fixture {
    char dir[64];
    char path[96];
    char next[96];
    struct secret_file f;
};

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

static void replace_with(struct fixture *x, const char *text)
{
    write_file(x->next, text, strlen(text));
    assert_int_equal(rename(x->next, x->path), 0);
}

static int setup(void **state)
{
    struct fixture *x = xcalloc(1, sizeof(*x));

    snprintf(x->dir, sizeof(x->dir), "/tmp/secret-file.XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(x->path, sizeof(x->path), "%s/password", x->dir);
    snprintf(x->next, sizeof(x->next), "%s/next", x->dir);
    secret_file_init(&x->f, x->path);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;

    secret_file_release(&x->f);
    unlink(x->path);
    unlink(x->next);
    assert_int_equal(rmdir(x->dir), 0);
    free(x);
    return 0;
}

static void assert_value(struct fixture *x, const char *value, uint64_t generation)
{
    assert_true(secret_eq(&x->f.value, sv_from(value)));
    assert_int_equal(x->f.generation, generation);
}

static enum err_code refresh_fails(struct fixture *x)
{
    struct err e = {.code = ERR_NONE};

    assert_int_equal(secret_file_refresh(&x->f, &e), -1);
    assert_non_null(strstr(e.msg, x->path));
    return e.code;
}

static void test_reads_and_drops_one_newline(void **state)
{
    struct fixture *x = *state;

    replace_with(x, "hunter2\n");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "hunter2", 1);
    replace_with(x, "hunter3\n\n");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "hunter3\n", 2);
    replace_with(x, "no newline");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "no newline", 3);
}

static void test_generation_grows_with_the_value_only(void **state)
{
    struct fixture *x = *state;

    replace_with(x, "same");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "same", 1);
    replace_with(x, "same\n"); /* another file, the same value */
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "same", 1);
}

static void test_same_size_is_a_change(void **state)
{
    struct fixture *x = *state;

    replace_with(x, "aaaa");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    replace_with(x, "bbbb");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "bbbb", 2);
}

/* As the kubelet does it: ..data is a symlink that is renamed over. */
static void test_symlink_swap(void **state)
{
    struct fixture *x = *state;
    char a[128], b[128];

    snprintf(a, sizeof(a), "%s/a", x->dir);
    snprintf(b, sizeof(b), "%s/b", x->dir);
    write_file(a, "old", 3);
    write_file(b, "new", 3);
    assert_int_equal(symlink(a, x->path), 0);
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "old", 1);
    assert_int_equal(symlink(b, x->next), 0);
    assert_int_equal(rename(x->next, x->path), 0);
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "new", 2);
    unlink(a);
    unlink(b);
}

static void test_missing_keeps_the_value(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(refresh_fails(x), ERR_NOTFOUND);
    assert_false(secret_is_set(&x->f.value));
    replace_with(x, "v");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    unlink(x->path);
    assert_int_equal(refresh_fails(x), ERR_NOTFOUND);
    assert_value(x, "v", 1);
}

static void test_empty_is_refused_until_it_is_not(void **state)
{
    struct fixture *x = *state;

    replace_with(x, "v");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    replace_with(x, "");
    assert_int_equal(refresh_fails(x), ERR_INVAL);
    replace_with(x, "\n");
    assert_int_equal(refresh_fails(x), ERR_INVAL);
    assert_int_equal(refresh_fails(x), ERR_INVAL); /* again, not taken for unchanged */
    assert_value(x, "v", 1);
    replace_with(x, "w");
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_value(x, "w", 2);
}

static void test_limit(void **state)
{
    struct fixture *x = *state;
    AUTO_FREE char *bytes = xmalloc(SECRET_MAX_BYTES + 2);

    memset(bytes, 'x', SECRET_MAX_BYTES + 2);
    write_file(x->path, bytes, SECRET_MAX_BYTES + 1);
    assert_int_equal(refresh_fails(x), ERR_LIMIT);
    bytes[SECRET_MAX_BYTES] = '\n';
    write_file(x->path, bytes, SECRET_MAX_BYTES + 1);
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_int_equal(x->f.value.len, SECRET_MAX_BYTES);
}

static void test_not_a_regular_file(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(mkfifo(x->path, 0600), 0); /* an open() that blocks would hang here */
    assert_int_equal(refresh_fails(x), ERR_INVAL);
    unlink(x->path);
    assert_int_equal(mkdir(x->path, 0700), 0);
    assert_int_equal(refresh_fails(x), ERR_INVAL);
    assert_int_equal(rmdir(x->path), 0);
}

static void test_binary(void **state)
{
    struct fixture *x = *state;

    write_file(x->path, "a\0b\n", 4);
    assert_int_equal(secret_file_refresh(&x->f, NULL), 0);
    assert_true(secret_eq(&x->f.value, (struct sv){"a\0b", 3}));
}

static void test_without_a_path(void **state)
{
    struct secret_file f;

    (void)state;
    secret_file_init(&f, NULL);
    assert_int_equal(secret_file_refresh(&f, NULL), 0);
    assert_false(secret_is_set(&f.value));
    assert_int_equal(f.generation, 0);
    secret_file_release(&f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reads_and_drops_one_newline),
        TEST(test_generation_grows_with_the_value_only),
        TEST(test_same_size_is_a_change),
        TEST(test_symlink_swap),
        TEST(test_missing_keeps_the_value),
        TEST(test_empty_is_refused_until_it_is_not),
        TEST(test_limit),
        TEST(test_not_a_regular_file),
        TEST(test_binary),
        cmocka_unit_test(test_without_a_path),
    };

    return cmocka_run_group_tests_name("secret_file", tests, NULL, NULL);
}
