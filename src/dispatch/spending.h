/* spending.h: the tokens that a batch may take (contract 11.1, token_budget), shared by its flows:
 * what answers took, and what is expected of the lines in flight, stay below the budget together.
 *
 * A line that does not fit waits, and its flow gets no new ones, until enough of those in flight have
 * ended: they may have taken less than was expected. With nothing in flight that is the end: the owner is told
 * (dispatch_ops.spent), once.
 *
 * What a line takes is expected by what its model's lines took lately, and is not more than its body
 * allows. Of a model of which nothing is known it is what the body allows (`max_tokens`); a line that
 * says nothing then goes alone.
 *
 * Threads: dispatch alone, but for spending_begin(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct dispatch;
struct flow;
struct line;

/* The owner's, for as long as its flows are open. */
struct spending {
	uint64_t budget;
	uint64_t spent; /* by answers, those from before the flows were opened too */

	/* dispatch's own */
	uint64_t expected;    /* of the lines in flight */
	unsigned in_flight;   /* lines */
	struct flow *waiting; /* flows that wait for one of these to end */
	bool over;
};

/* While none of the flows is open. */
void spending_begin(struct spending *s, uint64_t budget, uint64_t spent);

/* Whether the line may be sent: then it is in flight. False: it is put off, or all is over. */
bool spending_admits(struct dispatch *d, struct line *l, struct slice body, unsigned units);
/* A line is not in flight any more. Of flows without a budget too. */
void spending_back(struct line *l);
/* A line ended well, having taken so many tokens; 0: it is not known. */
void spending_took(const struct line *l, uint64_t tokens);
/* So many of the flow's lines will be sent, about, before the budget is used up: for the forecast.
 * 0: all, or nothing can be told. */
uint64_t spending_lines(const struct flow *f);
/* The flow ends. */
void spending_leave(struct flow *f);
