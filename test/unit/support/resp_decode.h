/* RESP2 text to a struct resp, for tests: an oracle that shares no code with the agent, whose
 * trees come from hiredis (lib/io/redis_tree.h).
 *
 * Strict: exactly one whole reply, CRLF everywhere, no sign or leading blank where there should
 * be none. Strings point into `bytes`, nodes into the decoded object; resp_decoded_free() ends
 * both. Without cmocka, so that fuzz targets can use it. */
#ifndef TEST_UNIT_SUPPORT_RESP_DECODE_H
#define TEST_UNIT_SUPPORT_RESP_DECODE_H

#include "lib/codec/resp.h"

struct resp_decoded {
    struct resp *nodes; /* nodes[0] is the reply */
    size_t count;
    size_t cap;
};

/* False: not one whole reply; nothing is to be freed then. */
bool resp_decode(struct resp_decoded *ret, struct sv bytes) MUST_USE;
void resp_decoded_free(struct resp_decoded *d);

#endif
