/* pace.h: how many lines a second a model's upstreams end while there always is one more to send.
 *
 * The mean time of a line in flight, by the slots in use, says that badly over a few dozen lines: the
 * first ones all wait for each other, the last ones have the engine to themselves. Lines that ended
 * between two looks at which more waited say it; those until the first answer since lines waited do
 * not. No clock: the caller brings it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pace {
	double lines, seconds; /* that count, the last PACE_OVER_S of them most */
	uint64_t ended;        /* at the last look */
	bool full;             /* then */
	bool flows;            /* a line had ended since lines waited, then */
};

#define PACE_OVER_S 120.0
#define PACE_LINES_LEAST 16.0 /* before so many nothing is told */

/* `seconds` after the last look: `ended` lines since the start, and whether more wait. */
void pace_look(struct pace *p, double seconds, uint64_t ended, bool full);
/* 0: not known. */
double pace_lines_per_s(const struct pace *p);
