/* rate_limit.c: each of the two limits is a ring of tenths of a second and a bucket; the later of
 * their due times counts. */
#include "upstream/rate_limit.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"

#define MINUTE_MS 60000.0
#define BUCKETS_PER_MINUTE 240.0 /* a quarter of a second */
#define BUCKET_LEAST 2.0
#define LEAST 1e-6                     /* what rounding may take from a level */
#define TOKENS_MAX ((uint64_t)1 << 40) /* of one request: so sums stay exact */

static uint64_t slot_of(uint64_t ms)
{
	return ms / RATE_LIMIT_TENTH_MS;
}

/* Time has come to slot `to`: what is older than the window is forgotten. */
static void window_advance(struct rate_limit_bucket *b, uint64_t from, uint64_t to)
{
	assert(to >= from);
	if (to - from >= RATE_LIMIT_TENTHS) {
		memset(b->used, 0, sizeof(b->used));
		b->in_window = 0;
		return;
	}
	for (uint64_t s = from + 1; s <= to; s++) {
		b->in_window -= b->used[s % RATE_LIMIT_TENTHS];
		b->used[s % RATE_LIMIT_TENTHS] = 0;
	}
}

static void bucket_refill(struct rate_limit_bucket *b, uint64_t passed_ms)
{
	b->level += b->per_ms * (double)passed_ms;
	if (b->level > b->most)
		b->level = b->most;
}

static void advance(struct rate_limit *p, uint64_t now_ms)
{
	if (now_ms <= p->at_ms)
		return;
	bucket_refill(&p->requests, now_ms - p->at_ms);
	bucket_refill(&p->tokens, now_ms - p->at_ms);
	window_advance(&p->requests, slot_of(p->at_ms), slot_of(now_ms));
	window_advance(&p->tokens, slot_of(p->at_ms), slot_of(now_ms));
	p->at_ms = now_ms;
}

static void bucket_configure(struct rate_limit_bucket *b, uint64_t limit)
{
	bool new = b->limit <= 0;

	b->limit = (double)limit;
	b->most = limit > 0 ? fmax(b->limit / BUCKETS_PER_MINUTE, BUCKET_LEAST) : 0;
	b->per_ms = b->limit / MINUTE_MS; /* the window, which is longer, has the last word */
	if (new || b->level > b->most)
		b->level = b->most;
}

void rate_limit_configure(struct rate_limit *p, uint64_t requests_per_minute,
			  uint64_t tokens_per_minute, uint64_t now_ms)
{
	advance(p, now_ms);
	bucket_configure(&p->requests, requests_per_minute);
	bucket_configure(&p->tokens, tokens_per_minute);
}

/* When enough of the window, which stands at `at_ms`, is forgotten that `need` fits into the
 * limit. */
static uint64_t window_due_ms(const struct rate_limit_bucket *b, double need, uint64_t at_ms)
{
	uint64_t slot = slot_of(at_ms), due = at_ms;
	double sum = fmin(need, b->limit) + b->in_window;

	/* The next slot takes the place of the oldest one, and so on. */
	for (uint64_t s = slot + 1; sum > b->limit && s <= slot + RATE_LIMIT_TENTHS; s++) {
		sum -= b->used[s % RATE_LIMIT_TENTHS];
		due = s * RATE_LIMIT_TENTH_MS;
	}
	return due;
}

/* When `need` fits into the bucket, which was filled last at `at_ms`. */
static uint64_t bucket_due_ms(const struct rate_limit_bucket *b, double need, uint64_t at_ms,
			      uint64_t now_ms)
{
	if (b->limit <= 0)
		return now_ms;
	uint64_t due = clock_later(window_due_ms(b, need, at_ms), now_ms);
	double level = fmin(b->most, b->level + b->per_ms * (double)(now_ms - at_ms));
	double missing = fmin(need, b->most) - level;
	if (missing > LEAST) {
		uint64_t full = now_ms + (uint64_t)ceil(missing / b->per_ms);
		if (full > due)
			due = full;
	}
	return due;
}

static double count_of(uint64_t tokens)
{
	return (double)(tokens < TOKENS_MAX ? tokens : TOKENS_MAX);
}

uint64_t rate_limit_due_ms(const struct rate_limit *p, uint64_t tokens, uint64_t now_ms)
{
	/* The window knows times by `at_ms`, should the caller's clock stand behind it. */
	uint64_t at_ms = clock_later(p->at_ms, now_ms);
	uint64_t due = clock_later(bucket_due_ms(&p->requests, 1, p->at_ms, at_ms),
				   bucket_due_ms(&p->tokens, count_of(tokens), p->at_ms, at_ms));

	return due > at_ms ? due : now_ms;
}

static void bucket_take(struct rate_limit_bucket *b, double count, uint64_t now_ms)
{
	b->used[slot_of(now_ms) % RATE_LIMIT_TENTHS] += count;
	b->in_window += count;
	b->level -= count;
	/* Debts are forgotten with the window; this one is paid just after that. */
	double least = -b->per_ms * RATE_LIMIT_TENTHS * RATE_LIMIT_TENTH_MS;
	if (b->level < least)
		b->level = least;
}

void rate_limit_take(struct rate_limit *p, uint64_t tokens, uint64_t now_ms)
{
	advance(p, now_ms);
	bucket_take(&p->requests, 1, p->at_ms);
	bucket_take(&p->tokens, count_of(tokens), p->at_ms);
}

void rate_limit_settle(struct rate_limit *p, int64_t tokens_more, uint64_t taken_ms,
		       uint64_t now_ms)
{
	struct rate_limit_bucket *b = &p->tokens;

	advance(p, now_ms);
	if (tokens_more >= 0) {
		bucket_take(b, count_of((uint64_t)tokens_more), p->at_ms);
		return;
	}
	double back = count_of(-(uint64_t)tokens_more);
	b->level = fmin(b->level + back, b->most);
	/* Only from the slot that was charged: elsewhere it would hide what was really taken. */
	if (slot_of(taken_ms) + RATE_LIMIT_TENTHS > slot_of(p->at_ms) && taken_ms <= p->at_ms) {
		double *used = &b->used[slot_of(taken_ms) % RATE_LIMIT_TENTHS];
		double less = fmin(*used, back);
		*used -= less;
		b->in_window -= less;
	}
}
