/* estimate.c: averages that move by one line at a time, of a batch and of its model. */
#include "schedule/estimate.h"

#include <assert.h>

#define LEARN_LINES 256u   /* a line counts for one in so many in what is learned */
#define BORROWED_LINES 8.0 /* until so many have ended the model's average weighs more */
#define TURN_OUTLIER 16.0  /* a line beyond so many average ones counts as that */

double estimate_input_tokens(const struct schedule_batch *b)
{
	if (b->rest_lines == 0)
		return 0;
	return (double)b->rest_bytes / (double)b->rest_lines / BYTES_PER_TOKEN;
}

double estimate_output_tokens(const struct schedule *s, const struct schedule_batch *b)
{
	double ended = (double)b->ended;

	return (ended * b->output_tokens + BORROWED_LINES * s->output_tokens) /
	       (ended + BORROWED_LINES);
}

double estimate_line_ms(const struct schedule *s, const struct schedule_batch *b)
{
	double own = b->line_ms > 0 ? (double)b->ended : 0;
	double tokens = estimate_input_tokens(b) + s->output_tokens;
	double others = s->line_tokens > 0 && tokens > 0 ? s->line_ms * tokens / s->line_tokens
							 : s->line_ms;

	return (own * b->line_ms + BORROWED_LINES * others) / (own + BORROWED_LINES);
}

/* The first value stands; each one more moves it less, down to 1 in LEARN_LINES. */
static void average_learn(double *average, uint64_t ended, double value)
{
	assert(ended > 0);
	double weight = 1.0 / (double)(ended < LEARN_LINES ? ended : LEARN_LINES);

	*average += (value - *average) * (*average == 0 ? 1 : weight);
}

void estimate_learn(struct schedule *s, const struct schedule_line *l, double took_ms,
		    double tokens)
{
	struct schedule_batch *b = l->batch;

	if (took_ms > 0) {
		average_learn(&b->line_ms, b->ended, took_ms);
		average_learn(&s->line_ms, s->ended, took_ms);
	}
	/* The grain of turns: one enormous line must not make them long. */
	double turn = tokens > 0 ? tokens : l->tokens;
	if (s->line_tokens > 0 && turn > TURN_OUTLIER * s->line_tokens)
		turn = TURN_OUTLIER * s->line_tokens;
	average_learn(&s->line_tokens, s->ended, turn);
	if (tokens > 0) {
		double output = tokens - l->input_tokens;
		average_learn(&b->output_tokens, b->ended, output);
		average_learn(&s->output_tokens, s->ended, output);
	}
}
