/* first.h: what the first byte of an online answer says of an engine without metrics. Requests run in
 * the order in which they come: as many as ended before the answer began had been ahead of it, and
 * what was in flight beyond them had room in the engine. Private to limit/. Pure. */
#pragma once

#include <stdint.h>

#include "limit/samples.h"

struct first {
	struct recent ended; /* units that ended in the time of those that did not wait */
	unsigned late;       /* one after another that did */
	double slots;        /* there are no more than that, by the least late of these */
};

/* An online answer began: with so many units in flight its request was sent, and so many ended since.
 * Returns how many of one after another were late, by now. */
unsigned first_came(struct first *f, double in_flight, double ended);
