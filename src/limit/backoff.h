/* backoff.h: the limiter of refusals, 429 and 503 with Retry-After: less at once, once for all that
 * were in flight, and then up again with every answer, slowly above where it was refused. Where
 * refusals turn out to be load-independent (as many with few in flight as with many) it cuts once
 * and no further. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "limit/curve.h"

struct backoff_bin {
	float tries, refused; /* of requests sent with so many in flight; halved now and then */
};

struct backoff {
	double cap;       /* INFINITY: not in force */
	double ceiling;   /* where it was refused */
	uint64_t cut_us;  /* of the last cut: what was sent before does not cut again */
	unsigned wait_s;  /* between steps above the ceiling */
	uint64_t step_us; /* of the last */
	struct backoff_bin bins[CURVE_BINS];
	unsigned tries; /* since those of the bins were halved */
	bool load_independent;
};

/* A request that was refused. */
struct backoff_refusal {
	uint64_t sent_us;
	double in_flight; /* when it was sent, itself included */
	double limit;     /* in force now, but for a slow start */
	double goal;      /* what search wants */
};

void backoff_init(struct backoff *b);
/* Of requests sent with `in_flight`, this one was answered. */
void backoff_answered(struct backoff *b, double in_flight);
/* ... or refused: less, if it was sent since the last cut. */
void backoff_refused(struct backoff *b, const struct backoff_refusal *r, uint64_t now_us);
/* After an answer: up again. `full`: nearly all of what is allowed was in flight. True: the cap
 * reached `goal` and is no longer in force. */
bool backoff_grow(struct backoff *b, double goal, bool full, uint64_t now_us);
/* What was counted does not hold any more. */
void backoff_forget_counts(struct backoff *b);
