/* estimate.h: what a line takes, in tokens and milliseconds, learnt from those that have ended.
 * Private to schedule/. */
#pragma once

#include "schedule/schedule_impl.h"

#define BYTES_PER_TOKEN 4.0
#define TOKENS_MAX 16e6 /* of a line; anything above is a mistake of the upstream's */

/* Tokens of a line of the batch by the size of its bodies, on the average. */
double estimate_input_tokens(const struct schedule_batch *b);
/* Tokens of an answer to a line of the batch; the model's until enough of its lines have ended. */
double estimate_output_tokens(const struct schedule *s, const struct schedule_batch *b);
/* Milliseconds that a line of the batch is in flight: by its own lines lately; before there are
 * any, by the model's and by tokens. */
double estimate_line_ms(const struct schedule *s, const struct schedule_batch *b);
/* The line has ended: after `took_ms` (0: not known), having used `tokens` (0: not known). It
 * counts in b->ended and s->ended already. */
void estimate_learn(struct schedule *s, const struct schedule_line *l, double took_ms,
		    double tokens);
