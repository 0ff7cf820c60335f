/* others.h: requests on the engine that are not ours, by its metrics: what is in it beyond ours.
 * Its figures are of some moment before they came, and ours went up and down meanwhile: as long as
 * nobody was there lately, what is beyond the most of ours counts when two polls say so, or when it
 * is far beyond. Once somebody was, each poll counts, against what was ours within a step of the
 * engine: a burst has to be known by the first. Private to limit/. Pure. */
#pragma once

#include <stdint.h>

struct others {
	double now, before; /* by the last poll, and the one before */
	uint64_t seen_us;   /* when two polls last said so; NEVER: never */
	double mean, most;  /* a moving mean, and its most of the last ten minutes */
	uint64_t most_us;
};

void others_init(struct others *o);
/* A poll: `seen` are in the engine; ours were at most `own_high` since long before, and `own_near`
 * within a step of the engine. */
void others_poll(struct others *o, double seen, double own_high, double own_near, uint64_t now_us);
