/* first.h: what the first byte of an online answer says of an engine without metrics. Requests run
 * in the order in which they come: as many as ended before the answer began had been ahead of it,
 * and what was in flight beyond them had room in the engine. Private to limit/. Pure. */
#pragma once

#include <stdint.h>

#include "limit/samples.h"

#define FIRST_MARKS 64u

/* When an online request was sent. */
struct first_mark {
	uint64_t at_us;
	double in_flight; /* units, it included */
	uint64_t ended;   /* units, until then */
};

struct first {
	struct first_mark marks[FIRST_MARKS]; /* a ring */
	unsigned sent;
	struct recent ended; /* units that ended in the time of those that did not wait */
	unsigned late;       /* one after another that did */
	uint64_t late_us;    /* when the last of them began */
	double slots;        /* there are no more than that, by the least late of these */
};

void first_sent(struct first *f, double in_flight, uint64_t ended, uint64_t now_us);
/* The answer began to the first request sent at `sent_us` or later; `ended` units have, and `cap`
 * may be in flight. Returns how many of one after another were late, by now; with much less than
 * the cap in flight none is. */
unsigned first_came(struct first *f, uint64_t sent_us, uint64_t ended, double cap, uint64_t now_us);
