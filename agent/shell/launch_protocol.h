/* What redis-pod-agent-launch and the agent say to each other.
 *
 * A unix socket of type SOCK_SEQPACKET: a message is a packet, text without an end mark. The
 * helper connects and sends LAUNCH_REQUEST, and with it (SCM_RIGHTS, unix(7)) the pidfd of
 * its own process, which exec does not change: pidfd_open(2) says that it becomes readable
 * when the process ends. Where it cannot be had, the request goes without, and the helper
 * leaves its end of the connection open across exec: its end of file is the process's end,
 * once no child that inherited it lives on.
 *
 * The answer is one packet, then the agent closes (not where it watches the connection):
 *   "held"               start as a replica of nobody, LAUNCH_HELD_HOST LAUNCH_HELD_PORT
 *   "replica HOST PORT"  start as a replica of this one
 *   "plain"              start as the configuration says
 * Closed without an answer: ask again. An answer that is none of these: held. */
#ifndef RPA_SHELL_LAUNCH_PROTOCOL_H
#define RPA_SHELL_LAUNCH_PROTOCOL_H

#define LAUNCH_SOCKET_DEFAULT "/run/redis-pod-agent/launch.sock"
#define LAUNCH_MESSAGE_MAX 300 /* "replica", a host name of 255, a port */

#define LAUNCH_REQUEST "launch 1" /* and the version of what is described here */
#define LAUNCH_ANSWER_HELD "held"
#define LAUNCH_ANSWER_REPLICA "replica"
#define LAUNCH_ANSWER_PLAIN "plain"

/* tcpmux, where nobody answers: such a replica refuses writes and serves no PSYNC. */
#define LAUNCH_HELD_HOST "127.0.0.1"
#define LAUNCH_HELD_PORT "1"

#endif
