/* schedule_impl.h: what the files of schedule/ share: an organization and the schedule of a model.
 * schedule.c takes the turns, forecast.c orders the batches, estimate.c learns what a line
 * takes. */
#pragma once

#include "schedule/schedule.h"

struct schedule_org {
	char id[ID_SIZE];
	uint64_t serial; /* the order in which they came */
	unsigned weight;
	size_t batches;                   /* that are in the schedule */
	struct schedule_org *next, *prev; /* of the ring; NULL: nothing to send */
	struct schedule_org *all_next;
	struct schedule_batch *first; /* those that have a line and are not held, in their order */
	/* Tokens: it may send while the balance is more than what is in flight. That is only
	 * charged when it has ended, as what it really took; a balance below 0 is a debt. */
	double balance, in_flight_tokens;
	double virtual_end; /* forecast.c: of its batches so far */
	const struct schedule_batch *last;
};

struct schedule {
	struct schedule_ops ops;
	struct schedule_org *orgs; /* all_next */
	struct schedule_org *turn; /* in the ring; NULL: none has a line */
	unsigned weight_max;       /* of those in the ring */
	double weights;            /* of all of these together */
	uint64_t serials;

	/* Every batch. `all` is the order: by organization, in it by turn. `others` is room to sort
	 * in. The first late_n of `late` are those with precedence, in their order; NULL:
	 * removed. */
	struct schedule_batch **all, **others, **late;
	size_t n, cap, late_n;
	unsigned late_turns;

	size_t prefix_batches; /* that may have a window */
	unsigned window_segments;
	uint32_t window_serial;

	double slots; /* the last that was not 0 */
	int64_t now_s;
	double line_ms, line_tokens, output_tokens; /* of the model's lines lately */
	uint64_t ended;
};
