/* traffic.c: units in flight are integrated over time; an answer's share of that integral is what
 * was in flight beside it. */
#include "limit/traffic.h"

#include <assert.h>
#include <math.h>

#include "limit/common.h"

#define LATELY (10 * MINUTE)
#define RATE_OVER (10 * SECOND)
#define FULL 0.85 /* of what is allowed */

void traffic_init(struct traffic *t, uint64_t now_us)
{
	*t = (struct traffic){ .area_us = now_us, .online_us = NEVER, .online_sent_us = NEVER };
}

void traffic_advance(struct traffic *t, uint64_t now_us)
{
	if (now_us <= t->area_us)
		return;
	t->area += traffic_in_flight(t) * (double)(now_us - t->area_us);
	t->area_us = now_us;
}

double traffic_in_flight(const struct traffic *t)
{
	return t->batch + t->online + t->others;
}

/* ---- ours ---- */

/* Called before and after each change: so a bucket has what was in flight when it began, too. */
static void own_note(struct traffic *t)
{
	uint64_t at = 1 + t->area_us / OWN_BUCKET_US;
	struct own_bucket *b = &t->own[at % OWN_BUCKETS];
	unsigned own = t->batch + t->online;

	if (b->at != at)
		*b = (struct own_bucket){ at, own, own };
	b->low = own < b->low ? own : b->low;
	b->high = own > b->high ? own : b->high;
}

void traffic_own(const struct traffic *t, uint64_t from_us, double *ret_low, double *ret_high)
{
	uint64_t from = 1 + from_us / OWN_BUCKET_US;

	*ret_low = *ret_high = t->batch + t->online;
	for (const struct own_bucket *b = t->own; b < t->own + OWN_BUCKETS; b++) {
		if (b->at == 0 || b->at < from)
			continue;
		*ret_low = fmin(*ret_low, b->low);
		*ret_high = fmax(*ret_high, b->high);
	}
}

static void batch_move(struct traffic *t, unsigned to)
{
	own_note(t);
	t->batch = to;
	own_note(t);
}

static void online_move(struct traffic *t, unsigned to)
{
	own_note(t);
	t->online = to;
	own_note(t);
}

void traffic_batch_sent(struct traffic *t, unsigned units)
{
	t->lines++;
	batch_move(t, t->batch + units);
}

void traffic_join(struct traffic *t, unsigned lines, unsigned units)
{
	t->lines += lines;
	batch_move(t, t->batch + units);
}

void traffic_batch_gone(struct traffic *t, unsigned units)
{
	assert(t->batch >= units && t->lines > 0);
	t->lines--;
	t->ended += units;
	batch_move(t, t->batch - units);
}

/* A moving mean over RATE_OVER. */
static void rate_learn(struct traffic *t, unsigned units, uint64_t now_us)
{
	if (t->online_sent_us != NEVER)
		t->rate *= exp(-(double)(now_us - t->online_sent_us) / RATE_OVER);
	t->rate += units / (double)RATE_OVER;
	if (t->rate >= t->rate_most || now_us - t->rate_most_us > LATELY) {
		t->rate_most = t->rate;
		t->rate_most_us = now_us;
	}
}

void traffic_online_join(struct traffic *t, unsigned requests, unsigned units, uint64_t now_us)
{
	t->requests += requests;
	online_move(t, t->online + units);
	if (requests > 0)
		t->online_us = now_us;
}

void traffic_online_sent(struct traffic *t, unsigned units, uint64_t now_us)
{
	t->requests++;
	rate_learn(t, units, now_us);
	online_move(t, t->online + units);
	t->online_us = t->online_sent_us = now_us;
}

void traffic_online_gone(struct traffic *t, unsigned units, uint64_t now_us)
{
	assert(t->online >= units && t->requests > 0);
	t->requests--;
	t->ended += units;
	online_move(t, t->online - units);
	t->online_us = now_us;
}

/* ---- others, and what is allowed ---- */

void traffic_others(struct traffic *t, double others, uint64_t now_us)
{
	assert(others >= 0);
	t->others = others;
	if (others > 0)
		t->online_us = now_us;
}

void traffic_allow(struct traffic *t, double slots)
{
	t->allowed = fmax(slots, t->batch);
}

void traffic_others_forget(struct traffic *t, uint64_t now_us)
{
	t->others = 0;
	t->online_us = t->online > 0 ? now_us : NEVER;
}

/* ---- answers ---- */

static void steps_learn(struct traffic *t, double output)
{
	if (output < 1)
		return;
	if (t->steps <= 0)
		t->steps = output;
	else
		t->steps += (fmin(output, 8 * t->steps) - t->steps) / 32;
}

double traffic_answered(struct traffic *t, unsigned units, uint64_t sent_us, double area,
			uint64_t output_tokens, uint64_t now_us)
{
	double time_us = fmax(1, (double)(now_us - sent_us));
	double n = fmax(1, (t->area - area) / time_us);

	t->full = n >= FULL * (t->allowed + t->online + t->others);
	traffic_batch_gone(t, units);
	t->line_units += (units - t->line_units) / (t->line_units > 0 ? 32 : 1);
	steps_learn(t, (double)output_tokens / units);
	if (t->latency_us <= 0)
		t->latency_us = time_us;
	else
		t->latency_us *= 1 + clamp(log(time_us / t->latency_us), -1, 1) / 16;
	return n;
}

bool traffic_online_lately(const struct traffic *t, uint64_t now_us)
{
	return t->online > 0 || t->others > 0 ||
	       (t->online_us != NEVER && now_us - t->online_us < LATELY);
}
