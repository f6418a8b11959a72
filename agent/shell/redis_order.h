/* The orders of agent/core/action.h as commands, and what their answers mean. Shared by the
 * ports of the local Redis and of the members.
 *
 *   OK        the command was accepted; PROMOTE: and ROLE, behind it, says master; GET_FENCE:
 *             both values are there
 *   REFUSED   an error reply; PROMOTE: also where ROLE still says something else
 *   DENIED    NOPERM and the like, a command or parameter that this server does not have
 *   UNKNOWN   the connection was lost before the answer, or the answer is none of the above */
#ifndef RPA_SHELL_REDIS_ORDER_H
#define RPA_SHELL_REDIS_ORDER_H

#include "agent/shell/port.h"

/* a: ACT_ORDER. `to` is for the log. True: it was sent, and one CORE_ORDER_DONE will go to the
 * sink; false: not sent, none will. */
bool redis_order_send(struct redis_conn *c, const struct core_action *a, const char *to,
                      struct port_sink sink) MUST_USE;

/* Of an error reply, to an order as to a request to a Sentinel. */
enum outcome outcome_of_refusal(const struct resp *reply);

#endif
