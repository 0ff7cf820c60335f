/* wall.c: how far the wall clock moved between two looks is compared with the monotonic clock. */
#include "base/wall.h"

static enum wall_look doubt(struct wall *w, int64_t off_s)
{
	w->doubted = true;
	w->since_ms = w->monotonic_ms;
	w->off_s = off_s;
	return WALL_DOUBTED;
}

enum wall_look wall_begin(struct wall *w, int64_t newest_s, int64_t wall_s, uint64_t monotonic_ms)
{
	*w = (struct wall){ .wall_s = wall_s, .monotonic_ms = monotonic_ms };
	/* Rows are made with this clock, so they may be as far ahead as is no step. */
	return newest_s - wall_s > WALL_STEP_S ? doubt(w, wall_s - newest_s) : WALL_GOOD;
}

enum wall_look wall_look(struct wall *w, int64_t wall_s, uint64_t monotonic_ms)
{
	int64_t passed_s = (int64_t)((monotonic_ms - w->monotonic_ms) / 1000);
	int64_t off_s = wall_s - w->wall_s - passed_s;

	w->wall_s = wall_s;
	w->monotonic_ms = monotonic_ms;
	if (off_s > WALL_STEP_S || off_s < -WALL_STEP_S)
		return doubt(w, off_s);
	if (!w->doubted)
		return WALL_GOOD;
	if (monotonic_ms - w->since_ms < WALL_HOLD_MS)
		return WALL_HELD;
	w->doubted = false;
	return WALL_GOOD_AGAIN;
}
