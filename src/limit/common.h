/* common.h: units and bounds that the limiters share. Private to limit/. */
#pragma once

#include <stdint.h>

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define NEVER UINT64_MAX

#define LIMIT_START 4.0 /* of an upstream that nothing is known of */
#define LIMIT_FLOOR 2.0 /* what the metrics alone can not take away */
#define LIMIT_SMALL \
	16.0 /* too little in flight for online requests to have a part of it kept free */

static inline double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}
