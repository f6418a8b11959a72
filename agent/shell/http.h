/* HTTP answers of the driver, all from memory: probes, /status, /metrics, / (the contract is
 * in the README), and /drain, which tells a hand-over as it goes (agent/shell/drain.h). Called by
 * lib/io/http_server, synchronously. */
#ifndef RPA_SHELL_HTTP_H
#define RPA_SHELL_HTTP_H

#include "lib/io/http_server.h"

/* The methods of a path, for struct http_server_ops. */
const char *http_methods(void *driver, const char *path);
void http_handle(void *driver, const struct http_request *req, struct http_response *res);

#endif
