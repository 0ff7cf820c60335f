/* paces.c: see paces.h. */
#include "history/paces.h"

#include <stdio.h>
#include <string.h>

static uint32_t sum_of(uint64_t a, uint64_t b)
{
	return a < UINT32_MAX && b < UINT32_MAX - a ? (uint32_t)(a + b) : UINT32_MAX;
}

static uint64_t step_of(const struct batch_pace *pace, uint64_t now_ms)
{
	return (now_ms - pace->since_ms) / pace->step_ms;
}

/* Until one of the steps is that of `now_ms`. */
static void pace_widen(struct batch_pace *pace, uint64_t now_ms)
{
	const unsigned half = PACE_STEPS / 2;

	while (step_of(pace, now_ms) >= PACE_STEPS) {
		for (unsigned i = 0; i < half; i++)
			pace->lines[i] = sum_of(pace->lines[2 * i], pace->lines[2 * i + 1]);
		memset(pace->lines + half, 0, half * sizeof(pace->lines[0]));
		pace->step_ms *= 2;
	}
}

/* Its place, or that of the one that was idle longest. */
static unsigned place_of(const struct paces *p, const char *batch)
{
	uint32_t hash = id_hash(batch);
	unsigned oldest = 0;

	for (unsigned i = 0; i < PACES; i++)
		if (p->hashes[i] == hash && strcmp(p->of[i].batch, batch) == 0)
			return i;
	for (unsigned i = 1; i < PACES; i++)
		if (p->active_ms[i] < p->active_ms[oldest])
			oldest = i;
	return oldest;
}

void paces_add(struct paces *p, const char *batch, uint64_t now_ms, uint64_t lines)
{
	unsigned at = place_of(p, batch);
	struct batch_pace *pace = &p->of[at];

	if (strcmp(pace->batch, batch) != 0) {
		p->hashes[at] = id_hash(batch);
		*pace = (struct batch_pace){ .step_ms = PACE_STEP_MS };
		snprintf(pace->batch, sizeof(pace->batch), "%s", batch);
		/* the first lines ended a little earlier than now */
		pace->since_ms = now_ms > PACE_STEP_MS ? now_ms - PACE_STEP_MS : 0;
	}
	pace_widen(pace, now_ms);
	p->active_ms[at] = now_ms;
	uint32_t *to = &pace->lines[step_of(pace, now_ms)];
	*to = sum_of(*to, lines);
}

const struct batch_pace *paces_find(struct paces *p, const char *batch, uint64_t now_ms)
{
	struct batch_pace *pace = &p->of[place_of(p, batch)];

	if (batch[0] == '\0' || strcmp(pace->batch, batch) != 0)
		return NULL;
	pace_widen(pace, now_ms);
	return pace;
}

unsigned pace_steps(const struct batch_pace *pace, uint64_t now_ms)
{
	return (unsigned)step_of(pace, now_ms);
}

double pace_rate(const struct batch_pace *pace, uint64_t now_ms, uint64_t over_ms)
{
	unsigned from = pace_steps(pace, now_ms), end = from;
	uint64_t lines = pace->lines[from], ms = now_ms - pace->since_ms - from * pace->step_ms;

	for (; from > 0 && (from == end || ms < over_ms); ms += pace->step_ms)
		lines += pace->lines[--from];
	return ms > 0 ? (double)lines * 1000 / (double)ms : 0;
}
