/* common.h: units and bounds that the limiters share. Private to limit/. */
#pragma once

#include <stdint.h>

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define NEVER UINT64_MAX

#define LIMIT_START 4.0  /* the limit while nothing is known of the upstream */
#define LIMIT_FLOOR 2.0  /* left to us, whatever the metrics alone say */
#define LIMIT_SMALL 16.0 /* up to here a limit that grows keeps half for batch lines */

static inline double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}
