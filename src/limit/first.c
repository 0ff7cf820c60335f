/* first.c: what ends in the step or two of a request that does not wait is taken off. */
#include "limit/first.h"

#include <math.h>
#include <stddef.h>

#define KNOWN 3u /* requests, before one is judged */
#define LATE 4.0
#define LATE_PART 0.08 /* of what was in flight */
#define FULL 0.8       /* of the cap */

void first_sent(struct first *f, double in_flight, uint64_t ended, uint64_t now_us)
{
	f->marks[f->sent++ % FIRST_MARKS] = (struct first_mark){ now_us, in_flight, ended };
}

static const struct first_mark *mark_at(const struct first *f, uint64_t sent_us)
{
	const struct first_mark *found = NULL;

	for (unsigned i = 1; i <= FIRST_MARKS && i <= f->sent; i++) {
		const struct first_mark *m = &f->marks[(f->sent - i) % FIRST_MARKS];
		if (m->at_us < sent_us)
			return found;
		found = m;
	}
	return f->sent <= FIRST_MARKS ? found : NULL; /* NULL: too long ago */
}

unsigned first_came(struct first *f, uint64_t sent_us, uint64_t ended, double cap, uint64_t now_us)
{
	const struct first_mark *m = mark_at(f, sent_us);
	double usual = f->ended.count > 0 ? recent_median(&f->ended) : 0;

	if (m == NULL || m->in_flight < FULL * cap)
		return 0;
	double here = (double)(ended - m->ended), waited = here - usual;
	if (f->ended.count < KNOWN || waited <= fmax(LATE, LATE_PART * m->in_flight)) {
		recent_add(&f->ended, here);
		f->late = 0;
		return 0;
	}
	if (f->late >= 2 && m->at_us < f->late_us) /* those that come together wait together */
		return f->late;
	f->late_us = now_us;
	f->slots = fmax(m->in_flight - waited, f->late > 0 ? f->slots : 1);
	return ++f->late;
}
