/* pace.c: see pace.h. */
#include "dispatch/pace.h"

#include <assert.h>

void pace_look(struct pace *p, double seconds, uint64_t ended, bool full)
{
	assert(ended >= p->ended);
	uint64_t more = ended - p->ended;

	if (p->full && full && p->flows) {
		double kept = 1 - seconds / (PACE_OVER_S + seconds);
		p->lines = p->lines * kept + (double)more;
		p->seconds = p->seconds * kept + seconds;
	}
	p->flows = full && p->full && (p->flows || more > 0);
	p->full = full;
	p->ended = ended;
}

double pace_lines_per_s(const struct pace *p)
{
	return p->lines >= PACE_LINES_LEAST ? p->lines / p->seconds : 0;
}
