/* backoff.h: the limiter for refusals (429, and 503 with Retry-After). A refusal cuts the cap at
 * once, once for all requests that were in flight; every answer raises the cap again, slowly above
 * the point of the last refusal. Where refusals turn out to be load-independent (as frequent with
 * few in flight as with many), the cap is cut once and no further. Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "limit/curve.h"

struct backoff_bin {
	float tries, refused; /* requests sent with so many in flight; halved now and then */
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
/* A request that was sent with `in_flight` in flight was answered. */
void backoff_answered(struct backoff *b, double in_flight);
/* ... or refused: the cap is cut, if the request was sent since the last cut. */
void backoff_refused(struct backoff *b, const struct backoff_refusal *r, uint64_t now_us);
/* After an answer: raises the cap. `full`: nearly all of what is allowed was in flight. True: the
 * cap reached `goal` and is no longer in force. */
bool backoff_grow(struct backoff *b, double goal, bool full, uint64_t now_us);
/* Forgets what was counted. */
void backoff_forget_counts(struct backoff *b);
