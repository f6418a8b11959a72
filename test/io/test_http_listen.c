/* Listen addresses, good and bad. */
#include "test/io/http_peer.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/io/http_server.h"

static void test_listen(void **state)
{
    static const char *const good[] = {"127.0.0.1:0", ":0", "0.0.0.0:0", "[::1]:0", "[::]:0"};
    static const char *const bad[] = {"",       "8080",        "localhost:80", "[::1:80",
                                      "::1:80", "127.0.0.1:x", "127.0.0.1:",   "127.0.0.1:65536",
                                      "[]:80",  "127.0.0:80",  "127.0.0.1:-1", "[127.0.0.1]:80"};
    struct err e = {0};
    uint16_t port;
    char text[32];
    int taken;

    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        port = 0;
        int fd = http_listen(good[i], &port, &e);
        if (fd < 0 && good[i][0] == '[' && (e.sys == EAFNOSUPPORT || e.sys == EADDRNOTAVAIL)) {
            print_message("no IPv6 here: %s is not tried\n", good[i]);
            continue;
        }
        assert_true(fd >= 0);
        assert_int_not_equal(port, 0);
        close(fd);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(http_listen(bad[i], &port, &e), -1);
        assert_int_equal(e.code, ERR_INVAL);
    }
    taken = http_listen("127.0.0.1:0", &port, &e);
    assert_true(taken >= 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    assert_int_equal(http_listen(text, &port, &e), -1);
    assert_int_equal(e.code, ERR_SYS);
    assert_int_equal(e.sys, EADDRINUSE);
    close(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_listen)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
