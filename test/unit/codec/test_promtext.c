/* The Prometheus text format: the texts of its documentation, escapes, histograms, overflow. */
#include "lib/codec/promtext.h"

#include <math.h>

#include "test/unit/support/fixture.h"

static void test_family_and_values(void **state)
{
    (void)state;
    const struct prom_label labels[] = {{"method", "post"}, {"code", "200"}};
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    promtext_family(&out, "http_requests_total", PROM_COUNTER, "The total number of requests.");
    promtext_u64(&out, "http_requests_total", labels, 2, 1027);
    promtext_value(&out, "http_requests_total", labels, 1, 3);
    promtext_family(&out, "up", PROM_GAUGE, "");
    promtext_value(&out, "up", NULL, 0, 1);
    promtext_u64(&out, "up", NULL, 0, UINT64_MAX);
    assert_string_equal(buf_str(&out), "# HELP http_requests_total The total number of requests.\n"
                                       "# TYPE http_requests_total counter\n"
                                       "http_requests_total{method=\"post\",code=\"200\"} 1027\n"
                                       "http_requests_total{method=\"post\"} 3\n"
                                       "# HELP up \n# TYPE up gauge\nup 1\n"
                                       "up 18446744073709551615\n");
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "m 0\n"},
        {-0.5, "m -0.5\n"},
        {0.1, "m 0.1\n"},
        {1767323045.678, "m 1767323045.678\n"},
        {1e300, "m 1e+300\n"},
        {(double)NAN, "m NaN\n"},
        {-(double)NAN, "m NaN\n"},
        {(double)INFINITY, "m +Inf\n"},
        {-(double)INFINITY, "m -Inf\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf out;
        buf_init(&out, 100);
        promtext_value(&out, "m", NULL, 0, rows[i].value);
        assert_string_equal(buf_str(&out), rows[i].text);
    }
}

static void test_escapes(void **state)
{
    (void)state;
    const struct prom_label label = {"l", "a\"b\\c\nd \xe2\x82\xac\xff\r"};
    const struct prom_label none = {"l", ""};
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    promtext_family(&out, "m", PROM_GAUGE, "a\"b\\c\nd\x80");
    promtext_u64(&out, "m", &label, 1, 0);
    promtext_u64(&out, "m", &none, 1, 0);
    assert_string_equal(buf_str(&out), "# HELP m a\"b\\\\c\\nd\xef\xbf\xbd\n# TYPE m gauge\n"
                                       "m{l=\"a\\\"b\\\\c\\nd \xe2\x82\xac\xef\xbf\xbd\r\"} 0\n"
                                       "m{l=\"\"} 0\n");
}

static void test_histogram(void **state)
{
    (void)state;
    static const double bounds[] = {0.005, 0.05, 1};
    struct prom_histogram h = {.bounds = bounds, .bound_count = ARRAY_LEN(bounds)};
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    promtext_family(&out, "h", PROM_HISTOGRAM, "x");
    promtext_histogram(&out, "h", &h);
    assert_string_equal(buf_str(&out), "# HELP h x\n# TYPE h histogram\n"
                                       "h_bucket{le=\"0.005\"} 0\nh_bucket{le=\"0.05\"} 0\n"
                                       "h_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 0\n"
                                       "h_sum 0\nh_count 0\n");
    prom_histogram_observe(&h, 0);
    prom_histogram_observe(&h, 0.005); /* a bound belongs to its own bucket */
    prom_histogram_observe(&h, 0.0050001);
    prom_histogram_observe(&h, 1);
    prom_histogram_observe(&h, 2.5);
    buf_reset(&out);
    promtext_histogram(&out, "h", &h);
    assert_string_equal(buf_str(&out), "h_bucket{le=\"0.005\"} 2\nh_bucket{le=\"0.05\"} 3\n"
                                       "h_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 5\n"
                                       "h_sum 3.5100001\nh_count 5\n");
    prom_histogram_observe(&h, (double)NAN);
    assert_int_equal(h.counts[ARRAY_LEN(bounds)], 2);
    buf_reset(&out);
    promtext_histogram(&out, "h", &h);
    assert_non_null(strstr(buf_str(&out), "h_sum NaN\nh_count 6\n"));
}

static void test_histogram_without_bounds(void **state)
{
    (void)state;
    struct prom_histogram h = {.bound_count = 0};
    AUTO_BUF struct buf out;

    buf_init(&out, 4096);
    prom_histogram_observe(&h, 7);
    promtext_histogram(&out, "h", &h);
    assert_string_equal(buf_str(&out), "h_bucket{le=\"+Inf\"} 1\nh_sum 7\nh_count 1\n");
}

static void observe(void *arg)
{
    prom_histogram_observe(arg, 1);
}

static void test_too_many_bounds_abort(void **state)
{
    (void)state;
    double bounds[PROM_BUCKETS_MAX + 1] = {0};
    struct prom_histogram h = {.bounds = bounds, .bound_count = PROM_BUCKETS_MAX};

    observe(&h);
    assert_int_equal(h.counts[PROM_BUCKETS_MAX], 1);
    h.bound_count++;
    assert_aborts(observe, &h);
}

static void test_overflow_is_told_by_the_buffer(void **state)
{
    (void)state;
    struct prom_histogram h = {.bound_count = 0};
    AUTO_BUF struct buf out;

    buf_init(&out, 20);
    promtext_histogram(&out, "histogram", &h);
    assert_true(out.overflow);
    assert_true(out.len <= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_family_and_values),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_histogram_without_bounds),
        cmocka_unit_test(test_too_many_bounds_abort),
        cmocka_unit_test(test_overflow_is_told_by_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
