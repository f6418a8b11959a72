/* Where redis-pod-agent-launch asks: a unix socket (launch_protocol.h), and the watch on the
 * process that asked last.
 *
 * A request becomes CORE_LAUNCH with an op of this port's own; launch_port_answer() sends
 * what the core decides. The end of the process becomes CORE_PROCESS_DEAD, once. While the
 * process that asked last lives, nobody else is taken for this Pod's redis-server: another
 * that asks is told to be held, at once, and is not watched. That is a second one, started
 * by hand: its end must not be taken for the master's. (Without a pidfd the first one's end
 * shows only when the children that inherited its connection, a BGSAVE's, have ended too.)
 *
 * Who may ask: whom the file system lets connect. The socket has mode 0660 and the group
 * that its folder gives: containers of a Pod that run as different users share it through
 * fsGroup. The uid is not looked at beyond that (it would forbid just this), only logged.
 *
 * The parent process opens the listener, which it keeps, so that a request waits for the
 * next worker. It keeps the descriptor of the watched process as well: a copy is in flight
 * on a socketpair, where each worker leaves its own and finds that of the one before it.
 * A restart of the whole agent loses it: CORE_PROCESS_DEAD comes again with the next start
 * of redis-server.
 *
 * Lifecycle: launch_listen() in the parent; init, start, close in the worker. */
#ifndef RPA_SHELL_LAUNCH_PORT_H
#define RPA_SHELL_LAUNCH_PORT_H

#include "agent/shell/port.h"

/* Descriptors that outlive a worker. */
struct launch_fds {
    int listener; /* -1: nobody can ask */
    int keep[2];  /* what is sent to [0] waits in [1] */
};

#define LAUNCH_FDS_NONE ((struct launch_fds){.listener = -1, .keep = {-1, -1}})

struct launch_watch; /* one descriptor */

struct launch_port {
    struct port_sink sink;
    uv_loop_t *loop;
    struct launch_fds fds;
    uv_poll_t listener;
    struct launch_watch *asking;  /* connected, the request has not come; NULL: none */
    struct launch_watch *process; /* readable when it has ended; NULL: none known */
    bool replaceable;             /* the process asked a former worker and got no answer */
    int answer_fd;                /* where the answer is waited for; -1: nowhere */
    uint64_t op;                  /* of the last request */
    struct closer closer;
};

/* Replaces a socket that an earlier agent left at `path`, but no other file. -1: ERR_INVAL
 * (too long, or something else is there), ERR_SYS. */
int launch_listen(struct launch_fds *ret, const char *path, struct err *e) MUST_USE;

/* fds stays the caller's, and open longer than the port. */
void launch_port_init(struct launch_port *p, uv_loop_t *loop, const struct launch_fds *fds,
                      struct port_sink sink);
void launch_port_start(struct launch_port *p);

/* Executes ACT_LAUNCH_ANSWER; an answer that nobody waits for any more is dropped. */
void launch_port_answer(struct launch_port *p, const struct core_action *a);
void launch_port_close(struct launch_port *p, closer_fn *on_closed, void *arg);

#endif
