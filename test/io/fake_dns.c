#include "test/io/fake_dns.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/check.h"
#include "lib/base/mem.h"
#include "lib/base/sv.h"

#define NAMES_MAX 8

static struct {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool hanging;
    unsigned count;
    unsigned running;
    struct {
        const char *name;
        const char *ips;
    } names[NAMES_MAX];
} dns = {.lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};

void fake_dns_set(const char *name, const char *ips)
{
    size_t i = 0;

    pthread_mutex_lock(&dns.lock);
    while (dns.names[i].name != NULL && strcmp(dns.names[i].name, name) != 0) {
        i++;
        REQUIRE(i < NAMES_MAX);
    }
    dns.names[i].name = name;
    dns.names[i].ips = ips;
    pthread_mutex_unlock(&dns.lock);
}

void fake_dns_reset(void)
{
    pthread_mutex_lock(&dns.lock);
    memset(dns.names, 0, sizeof(dns.names));
    dns.count = 0;
    pthread_mutex_unlock(&dns.lock);
}

void fake_dns_hang(bool on)
{
    pthread_mutex_lock(&dns.lock);
    dns.hanging = on;
    pthread_cond_broadcast(&dns.woken);
    pthread_mutex_unlock(&dns.lock);
}

unsigned fake_dns_count(void)
{
    pthread_mutex_lock(&dns.lock);
    unsigned n = dns.count;
    pthread_mutex_unlock(&dns.lock);
    return n;
}

unsigned fake_dns_running(void)
{
    pthread_mutex_lock(&dns.lock);
    unsigned n = dns.running;
    pthread_mutex_unlock(&dns.lock);
    return n;
}

static const char *look_up(const char *name)
{
    const char *ips = NULL;

    pthread_mutex_lock(&dns.lock);
    dns.count++;
    dns.running++;
    while (dns.hanging) {
        pthread_cond_wait(&dns.woken, &dns.lock);
    }
    for (size_t i = 0; i < NAMES_MAX && dns.names[i].name != NULL; i++) {
        if (strcmp(dns.names[i].name, name) == 0) {
            ips = dns.names[i].ips;
        }
    }
    dns.running--;
    pthread_mutex_unlock(&dns.lock);
    return ips;
}

struct entry {
    struct addrinfo ai;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } addr;
};

static struct addrinfo *entry_new(struct sv text)
{
    struct entry *en = xcalloc(1, sizeof(*en));
    char ip[INET6_ADDRSTRLEN];

    REQUIRE(str_copy(ip, sizeof(ip), text));
    if (inet_pton(AF_INET, ip, &en->addr.in.sin_addr) == 1) {
        en->addr.in.sin_family = AF_INET;
        en->ai.ai_addrlen = sizeof(en->addr.in);
    } else {
        REQUIRE(inet_pton(AF_INET6, ip, &en->addr.in6.sin6_addr) == 1);
        en->addr.in6.sin6_family = AF_INET6;
        en->ai.ai_addrlen = sizeof(en->addr.in6);
    }
    en->ai.ai_family = en->addr.sa.sa_family;
    en->ai.ai_socktype = SOCK_STREAM;
    en->ai.ai_addr = &en->addr.sa;
    return &en->ai;
}

/* The labels put these in the place of libc's, for libuv as well as for us. */
int fake_dns_look_up(const char *name, const char *service, const struct addrinfo *hints,
                     struct addrinfo **ret) __asm__("getaddrinfo");
void fake_dns_free(struct addrinfo *ai) __asm__("freeaddrinfo");

int fake_dns_look_up(const char *name, const char *service, const struct addrinfo *hints,
                     struct addrinfo **ret)
{
    (void)service;
    (void)hints;
    const char *ips = look_up(name);
    if (ips == NULL) {
        return EAI_NONAME;
    }
    struct sv rest = sv_from(ips);
    while (rest.ptr != NULL) {
        *ret = entry_new(sv_split(&rest, ','));
        ret = &(*ret)->ai_next;
    }
    return 0;
}

void fake_dns_free(struct addrinfo *ai)
{
    while (ai != NULL) {
        struct addrinfo *next = ai->ai_next;
        free((struct entry *)(void *)ai);
        ai = next;
    }
}
