#include "lib/io/resolver.h"

#include "lib/base/check.h"
#include "lib/base/mem.h"

/* One getaddrinfo on uv's thread pool. A started one cannot be interrupted, so it outlives
 * time-outs, and the resolver itself: then owner is NULL. */
struct lookup {
    uv_getaddrinfo_t req;
    struct resolver *owner;
    char host[HOST_MAX + 1];
};

struct resolver {
    struct closer closer;
    uv_timer_t timer; /* the deadline; with 0 ms, the deferred answer */
    /* At most one, also over time-outs: a server that hangs must not take the whole pool. */
    struct lookup *lookup;
    bool busy;     /* a callback is owed */
    bool answered; /* and what it will say is in err or result */
    struct err err;
    struct resolved result;
    char host[HOST_MAX + 1];
    uint64_t timeout_ms;
    resolver_fn *cb;
    void *arg;
    closer_fn *on_closed;
    void *on_closed_arg;
};

struct resolver *resolver_new(uv_loop_t *loop)
{
    struct resolver *r = xcalloc(1, sizeof(*r));

    closer_init(&r->closer, loop);
    REQUIRE(uv_timer_init(loop, &r->timer) == 0);
    closer_add(&r->closer, (uv_handle_t *)&r->timer);
    return r;
}

static void deliver(struct resolver *r)
{
    /* Copies: the callback may start the next look-up. */
    struct resolved result = r->result;
    struct err err = r->err;

    r->busy = false;
    if (err.code == ERR_NONE) {
        r->cb(r->arg, &result, NULL);
    } else {
        r->cb(r->arg, NULL, &err);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct resolver *r = container_of(timer, struct resolver, timer);

    if (!r->busy) {
        return;
    }
    if (!r->answered) {
        err_set(&r->err, ERR_TIMEOUT, "no address for %s in %llu ms", r->host,
                (unsigned long long)r->timeout_ms);
    }
    deliver(r);
}

/* Lets the callback fire from the loop. */
static void answer_later(struct resolver *r)
{
    r->answered = true;
    REQUIRE(uv_timer_start(&r->timer, on_timer, 0, 0) == 0);
}

static void add_address(struct resolved *out, const struct sockaddr *sa)
{
    char ip[IP_TEXT_MAX];
    int rc = UV_EAFNOSUPPORT;

    if (sa->sa_family == AF_INET) {
        rc = uv_ip4_name((const struct sockaddr_in *)(const void *)sa, ip, sizeof(ip));
    } else if (sa->sa_family == AF_INET6) {
        rc = uv_ip6_name((const struct sockaddr_in6 *)(const void *)sa, ip, sizeof(ip));
    }
    if (rc != 0 || out->count == RESOLVER_ADDRS_MAX) {
        return;
    }
    for (size_t i = 0; i < out->count; i++) {
        if (sv_eq_str(sv_from(ip), out->ip[i])) {
            return;
        }
    }
    REQUIRE(str_copy(out->ip[out->count], IP_TEXT_MAX, sv_from(ip)));
    out->count++;
}

static void take_result(struct resolver *r, int status, const struct addrinfo *list)
{
    if (status != 0) {
        bool absent = status == UV_EAI_NONAME || status == UV_EAI_NODATA;
        err_set(&r->err, absent ? ERR_NOTFOUND : ERR_UNAVAILABLE, "%s: %s", r->host,
                uv_strerror(status));
        r->err.sys = status;
        return;
    }
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        add_address(&r->result, ai->ai_addr);
    }
    if (r->result.count == 0) {
        err_set(&r->err, ERR_NOTFOUND, "%s: no IPv4 or IPv6 address", r->host);
    }
}

static int launch(struct resolver *r, struct err *e);

static void on_addrinfo(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *l = container_of(req, struct lookup, req);
    struct resolver *r = l->owner;
    bool usable = r != NULL && status != UV_ECANCELED && sv_eq_str(sv_from(l->host), r->host);

    free(l);
    if (r != NULL) {
        r->lookup = NULL;
    }
    if (r != NULL && r->busy && !r->answered) {
        if (usable) {
            take_result(r, status, list);
        }
        if (usable || launch(r, &r->err) != 0) {
            uv_timer_stop(&r->timer);
            deliver(r);
        }
    }
    uv_freeaddrinfo(list);
}

static int launch(struct resolver *r, struct err *e)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *l = xcalloc(1, sizeof(*l));

    l->owner = r;
    REQUIRE(str_copy(l->host, sizeof(l->host), sv_from(r->host)));
    int rc = uv_getaddrinfo(r->closer.loop, &l->req, on_addrinfo, l->host, NULL, &hints);
    if (rc != 0) {
        free(l);
        return err_set(e, ERR_INVAL, "cannot look up %s: %s", r->host, uv_strerror(rc));
    }
    r->lookup = l;
    return 0;
}

static bool is_numeric(const char *host)
{
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    return uv_ip4_addr(host, 0, &in) == 0 || uv_ip6_addr(host, 0, &in6) == 0;
}

int resolver_start(struct resolver *r, const char *host, uint64_t timeout_ms, resolver_fn *cb,
                   void *arg, struct err *e)
{
    if (r->closer.closing) {
        return err_set(e, ERR_CANCELED, "the resolver is closed");
    }
    if (r->busy) {
        return err_set(e, ERR_CONFLICT, "a look-up of %s is under way", r->host);
    }
    if (*host == '\0' || !str_copy(r->host, sizeof(r->host), sv_from(host))) {
        return err_set(e, ERR_INVAL, "a host name has 1 to %d bytes", HOST_MAX);
    }
    r->answered = false;
    r->err.code = ERR_NONE;
    r->result.count = 0;
    r->timeout_ms = timeout_ms;
    r->cb = cb;
    r->arg = arg;
    if (is_numeric(host)) {
        if (!str_copy(r->result.ip[0], IP_TEXT_MAX, sv_from(host))) {
            return err_set(e, ERR_INVAL, "address %s is too long", host);
        }
        r->result.count = 1;
        r->busy = true;
        answer_later(r);
        return 0;
    }
    /* One that timed out may still be running: its answer serves, or it makes place. */
    if (r->lookup == NULL && launch(r, e) != 0) {
        return -1;
    }
    r->busy = true;
    REQUIRE(uv_timer_start(&r->timer, on_timer, timeout_ms, 0) == 0);
    return 0;
}

void resolver_cancel(struct resolver *r)
{
    if (!r->busy || r->closer.closing) {
        return;
    }
    err_set(&r->err, ERR_CANCELED, "the look-up of %s was cancelled", r->host);
    answer_later(r);
    if (r->lookup != NULL) {
        uv_cancel((uv_req_t *)&r->lookup->req); /* works only before a thread has taken it */
    }
}

static void on_handles_closed(void *arg)
{
    struct resolver *r = arg;
    closer_fn *on_closed = r->on_closed;
    void *on_closed_arg = r->on_closed_arg;

    if (r->busy) {
        deliver(r);
    }
    free(r);
    on_closed(on_closed_arg);
}

void resolver_close(struct resolver *r, closer_fn *on_closed, void *arg)
{
    r->on_closed = on_closed;
    r->on_closed_arg = arg;
    resolver_cancel(r);
    if (r->lookup != NULL) {
        r->lookup->owner = NULL;
        uv_cancel((uv_req_t *)&r->lookup->req);
        r->lookup = NULL;
    }
    closer_close(&r->closer, (uv_handle_t *)&r->timer);
    closer_finish(&r->closer, on_handles_closed, r);
}
