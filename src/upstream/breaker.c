/* breaker.c: faults in a row open it; from then on it knows when the next probe is due. */
#include "upstream/breaker.h"

#define SHARE_OVER 16.0 /* answers that fault_share is made of */

static void open_as(struct breaker *b, enum breaker_state state, const struct breaker_sign *s,
		    uint64_t delay_ms, uint64_t now_ms)
{
	b->state = state;
	b->sure = s->sure;
	b->trips++;
	b->since_ms = now_ms;
	b->probe_delay_ms = delay_ms;
	b->probe_at_ms = now_ms + delay_ms;
	b->health_known = b->health_good = false;
	b->healthy_since_ms = 0;
}

static void probe_not_before(struct breaker *b, int64_t wait_ms, uint64_t now_ms)
{
	if (wait_ms > 0 && b->probe_at_ms < now_ms + (uint64_t)wait_ms)
		b->probe_at_ms = now_ms + (uint64_t)wait_ms;
}

/* A probe has failed, or is out of time. */
static void probe_failed(struct breaker *b, uint64_t now_ms)
{
	if (b->state == BREAKER_DOWN && now_ms - b->since_ms >= BREAKER_MINUTE_MS &&
	    b->probe_delay_ms < BREAKER_PROBE_MOST_MS)
		b->probe_delay_ms *= 2;
	if (b->state == BREAKER_DOWN && b->probe_delay_ms > BREAKER_PROBE_MOST_MS)
		b->probe_delay_ms = BREAKER_PROBE_MOST_MS;
	b->probe_at_ms = now_ms + b->probe_delay_ms;
}

static void count_fault(struct breaker *b, const struct breaker_sign *s, uint64_t now_ms)
{
	b->faults++;
	b->fault_ms = now_ms;
	b->fault_share += (1 - b->fault_share) / SHARE_OVER;
	if (s->line_new)
		b->failed_lines++;
}

/* Whether a fault changes no state: the breaker is open, or others may still speak for the
 * server. */
static bool stays(struct breaker *b, const struct breaker_sign *s, uint64_t now_ms)
{
	bool lately = b->well_ms != 0 && now_ms - b->well_ms < BREAKER_LATELY_MS;

	if (b->state == BREAKER_CLOSED)
		return !s->sure && (lately || !s->alone) && b->faults < BREAKER_FAULTS_MAX;
	if (s->sent_ms >= b->probe_at_ms) /* else it fails for the reason that is known */
		probe_failed(b, now_ms);
	return true;
}

enum breaker_change breaker_fault(struct breaker *b, const struct breaker_sign *s, uint64_t now_ms)
{
	count_fault(b, s, now_ms);
	bool stay = stays(b, s, now_ms);
	if (!stay || (b->state == BREAKER_REFUSED && s->sure)) {
		open_as(b, BREAKER_DOWN, s, BREAKER_PROBE_MS, now_ms);
		stay = false;
	}
	probe_not_before(b, s->wait_ms, now_ms);
	return stay ? BREAKER_NO_CHANGE : BREAKER_OPENED;
}

enum breaker_change breaker_refused(struct breaker *b, const struct breaker_sign *s,
				    uint64_t now_ms)
{
	count_fault(b, s, now_ms);
	bool stay = stays(b, s, now_ms);
	/* A server that was down, is up again and refuses us is probed less often from now on. */
	if (!stay || (b->state == BREAKER_DOWN && s->sent_ms >= b->since_ms)) {
		open_as(b, BREAKER_REFUSED, s, BREAKER_MINUTE_MS, now_ms);
		stay = false;
	}
	probe_not_before(b, s->wait_ms, now_ms);
	return stay ? BREAKER_NO_CHANGE : BREAKER_OPENED;
}

enum breaker_change breaker_well(struct breaker *b, uint64_t sent_ms, uint64_t now_ms)
{
	b->been_well = true;
	/* A late answer of the time before does not say that it can be reached now. */
	if (b->state != BREAKER_CLOSED && b->sure && sent_ms <= b->since_ms)
		return BREAKER_NO_CHANGE;
	bool was_open = b->state != BREAKER_CLOSED;
	b->well_ms = now_ms;
	b->faults = b->failed_lines = 0;
	b->fault_share -= b->fault_share / SHARE_OVER;
	b->state = BREAKER_CLOSED;
	b->sure = false;
	b->healthy_since_ms = 0;
	return was_open ? BREAKER_CAME_BACK : BREAKER_NO_CHANGE;
}

enum breaker_change breaker_answers(struct breaker *b)
{
	if (b->state != BREAKER_DOWN)
		return BREAKER_NO_CHANGE;
	b->state = BREAKER_CLOSED;
	b->sure = false;
	b->faults = 0;
	b->healthy_since_ms = 0;
	return BREAKER_CAME_BACK;
}

void breaker_health(struct breaker *b, bool good, uint64_t now_ms)
{
	if (b->state != BREAKER_DOWN)
		return;
	if (!good)
		b->healthy_since_ms = 0;
	else if (b->healthy_since_ms == 0)
		b->healthy_since_ms = now_ms;
	if (good && b->health_known && !b->health_good && b->probe_at_ms > now_ms)
		b->probe_at_ms = now_ms;
	if (good)
		b->health_ms = now_ms;
	b->health_known = true;
	b->health_good = good;
}

void breaker_probe_at(struct breaker *b, uint64_t at_ms)
{
	if (b->state != BREAKER_CLOSED)
		b->probe_at_ms = at_ms;
}

uint64_t breaker_due_ms(const struct breaker *b, unsigned probes, uint64_t now_ms, bool *ret_probe)
{
	*ret_probe = b->state != BREAKER_CLOSED;
	if (b->state == BREAKER_CLOSED)
		return now_ms;
	return probes > 0 ? UINT64_MAX : b->probe_at_ms;
}

bool breaker_is_up(const struct breaker *b)
{
	if (b->state == BREAKER_CLOSED)
		return b->faults == 0;
	return b->health_good && b->health_ms > b->fault_ms;
}

bool breaker_well_since(const struct breaker *b, uint64_t sent_ms)
{
	return b->well_ms != 0 && b->well_ms >= sent_ms;
}

bool breaker_well_after(const struct breaker *b, uint64_t sent_ms)
{
	return b->well_ms != 0 && b->well_ms > sent_ms;
}

bool breaker_is_lines(const struct breaker *b, uint64_t patience_ms, uint64_t now_ms)
{
	return b->state == BREAKER_DOWN && b->healthy_since_ms != 0 &&
	       b->failed_lines < BREAKER_OUTAGE_LINES &&
	       now_ms - b->healthy_since_ms >= patience_ms;
}
