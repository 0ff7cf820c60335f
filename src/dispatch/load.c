/* load.c: see load.h. */
#include "dispatch/load.h"

#include <time.h>

#define LOOK_EVERY_US 20000u
#define BUSY 0.3 /* others, on the same machine, take their part */
#define BUSY_FOR_US (10 * UINT64_C(1000000))

static uint64_t thread_ran_us(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void load_learn(struct load *l, uint64_t ran_us, uint64_t now_us)
{
	if (l->at_us != 0 && now_us > l->at_us) {
		double share = (double)(ran_us - l->ran_us) / (double)(now_us - l->at_us);
		l->share += ((share < 1 ? share : 1) - l->share) / 4;
		if (l->share > BUSY)
			l->busy_us = now_us;
	}
	l->at_us = now_us;
	l->ran_us = ran_us;
}

bool load_is_busy(const struct load *l, uint64_t now_us)
{
	return l->busy_us != 0 && now_us - l->busy_us < BUSY_FOR_US;
}

void load_look(struct load *l, uint64_t now_us)
{
	if (now_us < l->at_us + LOOK_EVERY_US)
		return;
	load_learn(l, thread_ran_us(), now_us);
}
