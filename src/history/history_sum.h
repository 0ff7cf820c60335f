/* history_sum.h: pages of a history that several nodes keep together, of rows in which each says its part.
 * Pure: where the rows are, the caller knows. Times are Unix s by the clock that all go by; ticks are
 * TICK_S of it. */
#pragma once

#include <stddef.h>

#include "history/history.h"

/* What all did in a step, `steps` of them by age, of those that had anything; and in any of all
 * organizations: its nodes were there. */
struct history_step {
	int64_t step; /* ticks / those of a step */
	uint64_t lines, tokens, first_ms, firsts;
};
unsigned history_step_ticks(enum rings_span span);
/* The first tick of a page whose newest is the last that ended before `now`. */
int64_t history_from(enum rings_span span, int64_t now);
/* The page of history_from(); a step without a row is 0 if it ends after `since`, when some node was there,
 * else unknown. */
void history_steps_page(const struct history_step *rows, size_t n, enum rings_span span,
			int64_t now, int64_t since, struct history_page *ret);

/* The steps of one batch by one node, which are over. */
struct pace_row {
	int64_t from;
	unsigned step_s, steps;
	uint32_t lines[PACE_STEPS];
};
/* Their sum, in steps of the longest of them, or of longer ones, that reach to `now`. */
void pace_rows_page(const struct pace_row *rows, size_t n, int64_t now, struct history_page *ret);
