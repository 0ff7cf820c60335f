/* schedule_impl.h: what the files of schedule/ share: an organization and the schedule of a model.
 * queue.c has the batches of an organization in turn, orgs.c the turns of organizations,
 * schedule.c gives lines, forecast.c orders the batches, estimate.c learns what a line takes.
 *
 * Between two forecasts nothing visits all batches or all organizations: a batch that comes, goes,
 * or has a line again costs the logarithm of those of its organization. */
#pragma once

#include "schedule/schedule.h"

struct schedule_org {
	char id[ID_SIZE];
	uint64_t serial; /* the order in which they came */
	unsigned weight;
	size_t batches;                           /* that are in the schedule */
	struct schedule_org *next, *prev;         /* of the ring; NULL: nothing to send */
	struct schedule_org *all_next, *all_prev; /* of all */
	struct schedule_org *bucket_next;
	struct schedule_batch **queue; /* those that are listed: see queue.h */
	size_t queued, queue_cap;
	/* Tokens: it may send while the balance is more than what is in flight. That is only
	 * charged when it has ended, as what it really took; a balance below 0 is a debt. */
	double balance, in_flight_tokens;
	double virtual_end; /* forecast.c: of its batches so far */
	const struct schedule_batch *last;
	double rest_work; /* foresee.c: of its batches */
};

struct schedule {
	struct schedule_ops ops;
	struct schedule_org *orgs;     /* all_next */
	struct schedule_org **buckets; /* of all, by id */
	size_t org_n, bucket_n;
	struct schedule_org *turn; /* in the ring; NULL: none has a line */
	unsigned weight_max;       /* the greatest in the ring since the last forecast */
	double weights;            /* of all in the ring together */
	/* Of organizations that have lines in flight: what all of these are taken for, and their
	 * weights. Whole numbers: sums of them are exact. */
	double flying_tokens, flying_weights;
	uint64_t serials;

	/* Every batch. After a forecast `all` is the order: by organization, in it by turn; who came
	 * since stands behind. `others` is room to sort in. The first late_n of `late` are those
	 * with precedence, in their order; NULL: removed. None before late_from has a line. */
	struct schedule_batch **all, **others, **late;
	size_t n, cap, late_n, late_from;
	unsigned late_turns;

	size_t prefix_batches; /* that may have a window */
	unsigned window_segments;
	uint32_t window_serial;

	double slots; /* the last that was not 0 */
	int64_t now_s;
	double line_ms, line_tokens, output_tokens; /* of the model's lines lately */
	uint64_t ended;
	uint64_t visits; /* of batches and organizations, but in forecasts: what turns cost */
};
