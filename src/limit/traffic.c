/* traffic.c: requests in flight are integrated over time; an answer's share of that integral is
 * what was in flight beside it. */
#include "limit/traffic.h"

#include <assert.h>
#include <math.h>

#include "limit/common.h"

#define LATELY (10 * MINUTE)
#define FULL 0.85 /* of what is allowed */

void traffic_init(struct traffic *t, uint64_t now_us)
{
	*t = (struct traffic){ .area_us = now_us, .online_us = NEVER };
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

void traffic_batch_sent(struct traffic *t)
{
	t->batch++;
}

void traffic_batch_gone(struct traffic *t)
{
	assert(t->batch > 0);
	t->batch--;
}

void traffic_online_sent(struct traffic *t, uint64_t now_us)
{
	t->online++;
	t->online_us = now_us;
}

void traffic_online_gone(struct traffic *t, uint64_t now_us)
{
	assert(t->online > 0);
	t->online--;
	t->online_us = now_us;
}

void traffic_others(struct traffic *t, double others, uint64_t now_us)
{
	assert(others >= 0);
	t->others = others;
	if (others > 0)
		t->online_us = now_us;
}

void traffic_allow(struct traffic *t, double slots, unsigned held)
{
	t->held = held;
	t->allowed = fmax(slots, (double)t->batch + held);
}

void traffic_others_forget(struct traffic *t, uint64_t now_us)
{
	t->others = 0;
	t->online_us = t->online > 0 ? now_us : NEVER;
}

double traffic_answered(struct traffic *t, uint64_t sent_us, double area, uint64_t now_us)
{
	double time_us = fmax(1, (double)(now_us - sent_us));
	double n = fmax(1, (t->area - area) / time_us);

	t->full = n + t->held >= FULL * (t->allowed + t->online + t->others);
	traffic_batch_gone(t);
	if (t->latency_us <= 0)
		t->latency_us = time_us;
	else
		t->latency_us *= 1 + clamp(log(time_us / t->latency_us), -1, 1) / 16;
	if (t->answered_us != 0)
		t->gap_us += ((double)(now_us - t->answered_us) - t->gap_us) / 32;
	t->answered_us = now_us;
	return n;
}

bool traffic_online_lately(const struct traffic *t, uint64_t now_us)
{
	return t->online > 0 || t->others > 0 ||
	       (t->online_us != NEVER && now_us - t->online_us < LATELY);
}
