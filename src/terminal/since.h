/* since.h: a time in the past as people write it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "2h", "3d" (ago), "2026-11-30", "2026-11-30 21:00", "2026-11-30T21:00:05" (by this machine's
 * clock), or Unix seconds. False: none of these. */
bool since_read(const char *text, int64_t now_s, int64_t *ret);
