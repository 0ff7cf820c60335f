/* others.c: cautious at first, prompt once somebody was there. */
#include "limit/others.h"

#include <math.h>
#include <stdbool.h>

#include "limit/common.h"

#define DEADBAND 1.5
#define CLEAR 3.0 /* one reading is enough for what is beyond that */
#define CLEAR_PART 0.1
#define LATELY (10 * MINUTE)
#define MEAN_POLLS 32

void others_init(struct others *o)
{
	*o = (struct others){ .seen_us = NEVER };
}

static double beyond(double seen, double own)
{
	return seen - own > DEADBAND ? seen - own : 0;
}

static void most_keep(struct others *o, uint64_t now_us)
{
	o->mean += (o->now - o->mean) / MEAN_POLLS;
	if (o->mean >= o->most || now_us - o->most_us > LATELY) {
		o->most = o->mean;
		o->most_us = now_us;
	}
}

void others_poll(struct others *o, double seen, double own_high, double own_near, uint64_t now_us)
{
	double sure = beyond(seen, own_high);
	double counts = fmax(fmin(sure, o->before), sure - fmax(CLEAR, CLEAR_PART * own_high));

	o->before = sure;
	if (counts > 0)
		o->seen_us = now_us;
	bool lately = o->seen_us != NEVER && now_us - o->seen_us < LATELY;
	o->now = lately ? beyond(seen, own_near) : counts;
	most_keep(o, now_us);
}
