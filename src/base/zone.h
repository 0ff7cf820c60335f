/* zone.h: how far a place's clocks are from UTC at a time, by the system's tz database: the files of
 * /usr/share/zoneinfo (or $TZDIR) are read by ourselves (RFC 8536), because libc knows one zone a
 * process, and setting TZ is seen by every thread.
 *
 * Zones are read once and kept for good: there are some hundreds. Threads: any. */
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

struct zone;

/* "Europe/Berlin". *ret_known false: there is no such zone. False: it cannot be read. */
MUST_USE bool zone_find(const char *name, const struct zone **ret, bool *ret_known,
			struct error *err);
/* Seconds east of UTC at `at` (Unix s). `z` NULL: the server's own zone. */
int64_t zone_offset_s(const struct zone *z, int64_t at);

/* ---- for zone_find(), and tests ---- */

/* The zone that a file of the database tells, malloc'ed; *ret NULL: it is none. False: memory is out. */
MUST_USE bool zone_parse(const void *bytes, size_t n, struct zone **ret, struct error *err);
