/* circuit.c: the condition follows the breaker; the log is told only as often as is worth
 * reading. */
#include "upstream/circuit.h"

#include <assert.h>

#include "base/attr.h"

#define TOLD_EVERY_MS 10000u
#define LASTS_MS 1000u

bool circuit_is_open(const struct circuit *c)
{
	return c->breaker.state != BREAKER_CLOSED;
}

uint64_t circuit_due_ms(const struct circuit *c, const struct slots *slots, uint64_t now_ms,
			bool *ret_probe)
{
	/* a probe that hangs keeps the next one back for a while only */
	bool probed = slots->probes > 0 && now_ms - slots->probed_at_ms < CIRCUIT_PROBE_PATIENCE_MS;
	uint64_t due = breaker_due_ms(&c->breaker, probed ? 1 : 0, now_ms, ret_probe);

	return due == UINT64_MAX && probed ? slots->probed_at_ms + CIRCUIT_PROBE_PATIENCE_MS : due;
}

enum batch_stall circuit_breaker_stall(const struct circuit *c)
{
	static const enum batch_stall stalls[] = {
		[BREAKER_CLOSED] = STALL_NONE,
		[BREAKER_DOWN] = STALL_DOWN,
		[BREAKER_REFUSED] = STALL_REFUSED,
	};

	assert(c->breaker.state < ARRAY_LEN(stalls));
	return stalls[c->breaker.state];
}

bool circuit_turn(struct circuit *c, enum batch_stall now, uint64_t now_ms, int64_t now_s)
{
	if (now == c->stall)
		return false;
	if (c->stall == STALL_NONE || c->said.since == 0)
		c->said.since = now_s;
	c->stall = now;
	c->changed_ms = now_ms;
	return true;
}

bool circuit_tell(struct circuit *c, uint64_t now_ms)
{
	bool quiet = c->told_ms == 0 || now_ms - c->told_ms >= TOLD_EVERY_MS;

	if (c->stall == c->told || (!quiet && now_ms - c->changed_ms < LASTS_MS))
		return false;
	c->told = c->stall;
	c->told_ms = now_ms;
	return true;
}
