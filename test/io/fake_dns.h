/* getaddrinfo() of the test's own, so that no look-up leaves the process: it takes the place
 * of libc's for libuv's threads too. Names that are not set do not exist. */
#ifndef RPA_TEST_IO_FAKE_DNS_H
#define RPA_TEST_IO_FAKE_DNS_H

#include <stdbool.h>

/* ips: joined by commas; NULL: the name is gone. Strings are kept, not copied. */
void fake_dns_set(const char *name, const char *ips);
void fake_dns_reset(void);

/* Look-ups that begin while it is on do not return until it is off. */
void fake_dns_hang(bool on);
unsigned fake_dns_count(void);   /* look-ups that have begun */
unsigned fake_dns_running(void); /* and have not ended */

#endif
