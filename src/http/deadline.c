/* deadline.c: keeps what was awaited at the last look and since when; any change begins a new
 * span. */
#include "http/deadline.h"

#include "base/error.h"

static uint64_t span_ms(const struct deadline_limits *limits, enum awaited awaited)
{
	switch (awaited) {
	case AWAITS_HEAD:
		return limits->head_ms;
	case AWAITS_BODY:
		return limits->body_bytes_min > 0 ? limits->body_ms : 0;
	case AWAITS_CLOSE:
		return DEADLINE_CLOSE_MS;
	case AWAITS_NOTHING:
		break;
	}
	return 0;
}

bool deadline_passed(struct deadline *d, const struct deadline_limits *limits,
		     struct deadline_seen seen, uint64_t now_ms)
{
	uint64_t span = span_ms(limits, seen.awaited);

	if (seen.awaited != d->seen.awaited || seen.request != d->seen.request) {
		d->seen = seen;
		d->since_ms = now_ms;
		return false;
	}
	if (span == 0 || now_ms - d->since_ms < span)
		return false;
	if (seen.awaited != AWAITS_BODY || seen.bytes - d->seen.bytes < limits->body_bytes_min)
		return true;
	d->seen = seen;
	d->since_ms = now_ms;
	return false;
}

void deadline_renew(struct deadline *d, uint64_t now_ms)
{
	d->since_ms = now_ms;
}
