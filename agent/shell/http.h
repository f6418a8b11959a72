/* HTTP answers of the driver, all from memory: probes, /status, /metrics, / (the contract is
 * in the README). Called by lib/io/http_server, synchronously. */
#ifndef RPA_SHELL_HTTP_H
#define RPA_SHELL_HTTP_H

#include "lib/io/http_server.h"

void http_handle(void *driver, const struct http_request *req, struct http_response *res);

#endif
