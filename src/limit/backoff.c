/* backoff.c: refusals are counted by how many requests were in flight, to tell a queue that is full
 * from a server that refuses at any load. */
#include "limit/backoff.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "limit/common.h"

#define CUT 0.8
#define TRIES 500u /* after which counts are halved */
#define WAIT_FIRST_S 5u
#define WAIT_LEAST_S 3u
#define WAIT_MOST_S 120u

void backoff_init(struct backoff *b)
{
	*b = (struct backoff){ .cap = INFINITY, .ceiling = INFINITY, .wait_s = WAIT_FIRST_S };
}

static void count(struct backoff *b, double in_flight, bool refused)
{
	struct backoff_bin *bin = &b->bins[curve_bin_index(fmax(1, in_flight))];

	bin->tries += 1;
	bin->refused += refused ? 1 : 0;
	if (++b->tries < TRIES)
		return;
	b->tries = 0;
	for (unsigned i = 0; i < CURVE_BINS; i++) {
		b->bins[i].tries /= 2;
		b->bins[i].refused /= 2;
	}
}

void backoff_answered(struct backoff *b, double in_flight)
{
	count(b, in_flight, false);
}

/* Whether as many were refused with up to `n` in flight as with more: then it is not a matter of
 * how many are in flight. */
static bool is_load_independent(const struct backoff *b, double n)
{
	double tries[2] = { 0, 0 }, refused[2] = { 0, 0 };
	unsigned at = curve_bin_index(fmax(1, n));

	for (unsigned i = 0; i < CURVE_BINS; i++) {
		tries[i > at] += b->bins[i].tries;
		refused[i > at] += b->bins[i].refused;
	}
	if (b->bins[0].refused >= 2)
		return true; /* one alone is not too many */
	if (tries[0] < 3 || tries[1] < 3 || refused[0] < 2)
		return b->load_independent;
	return refused[0] / tries[0] >= 0.4 * refused[1] / tries[1];
}

/* Learns the ceiling, where refusals came, and how long steps above it take: the longer, the more
 * often the ceiling is confirmed. */
static double ceiling_learn(struct backoff *b, const struct backoff_refusal *r)
{
	double at = clamp(r->in_flight, 0.5 * r->limit, r->limit);
	bool again = fabs(at - b->ceiling) <= fmax(2, 0.1 * b->ceiling);

	b->wait_s = again ? (unsigned)clamp(2.0 * b->wait_s, WAIT_LEAST_S, WAIT_MOST_S)
			  : WAIT_LEAST_S;
	b->ceiling = fmax(1, at - 1);
	return at;
}

void backoff_refused(struct backoff *b, const struct backoff_refusal *r, uint64_t now_us)
{
	count(b, r->in_flight, true);
	if (r->sent_us < b->cut_us)
		return;
	b->load_independent = is_load_independent(b, r->in_flight);
	double from = r->goal;
	if (b->load_independent)
		b->ceiling = INFINITY; /* once, and no further */
	else
		from = ceiling_learn(b, r);
	b->cap = fmax(1, CUT * from);
	b->step_us = b->cut_us = now_us;
	assert(b->cap >= 1);
}

bool backoff_grow(struct backoff *b, double goal, bool full, uint64_t now_us)
{
	if (isinf(b->cap))
		return false;
	if (b->cap < fmin(b->ceiling, goal) - 0.5) {
		b->cap = fmin(b->cap + 1, fmax(b->cap, b->ceiling - 0.5));
		b->step_us = now_us;
	} else if (full && now_us - b->step_us > b->wait_s * SECOND) {
		b->cap += fmax(1, 0.03 * b->cap);
		b->ceiling = fmax(b->ceiling, b->cap);
		b->step_us = now_us;
	}
	if (b->cap < goal)
		return false;
	b->cap = INFINITY;
	return true;
}

void backoff_forget_counts(struct backoff *b)
{
	memset(b->bins, 0, sizeof(b->bins));
}
