/* Views and events of Sentinels for the tests of evidence.c. */
#ifndef TEST_UNIT_CORE_EVIDENCE_FIXTURE_H
#define TEST_UNIT_CORE_EVIDENCE_FIXTURE_H

#include "agent/core/evidence.h"
#include "test/unit/core/role_fixture.h"

#define FLAG(x) (1U << SENTINEL_FLAG_##x)

/* `configured` Sentinels, in slots 0 …, each with an id of its own; ME is my address. */
struct evidence evidence_of(unsigned configured);

/* The id of the Sentinel in `slot` of evidence_of(): 40 times the same letter. */
const char *sentinel_id(size_t slot, char out[static RUN_ID_LEN + 1]);

/* Names `named` at `epoch` with RUN_A, asked at NOW_US; knows configured - 1 others. */
struct view view_of(const struct evidence *ev, const char *named, uint64_t epoch);

/* view_of() into the slots 0 … count-1. */
void see(struct evidence *ev, size_t count, const char *named, uint64_t epoch);

struct newest newest_at(const struct evidence *ev, uint64_t now_us);
enum verdict verdict_at(const struct evidence *ev, uint64_t now_us);

#define assert_verdict(ev, now_us, wanted) \
    assert_string_equal(verdict_name(verdict_at(ev, now_us)), verdict_name(wanted))

#endif
