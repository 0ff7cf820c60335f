/* health.c: see health.h. */
#include "upstream/health.h"

#define PROBE_FIRST_MS 100u
#define PROBE_MAX_MS 1000u

static void trip(struct health *h, uint64_t now_ms)
{
	h->down = true;
	h->trips++;
	h->down_since_ms = now_ms;
	h->probe_delay_ms = PROBE_FIRST_MS;
	h->probe_at_ms = now_ms + h->probe_delay_ms;
	h->stall = HEALTH_STALL_DOWN;
}

static void probe_failed(struct health *h, uint64_t now_ms)
{
	h->probe_delay_ms *= 2;
	if (h->probe_delay_ms > PROBE_MAX_MS)
		h->probe_delay_ms = PROBE_MAX_MS;
	h->probe_at_ms = now_ms + h->probe_delay_ms;
}

static enum health_change learn_against(struct health *h, enum health_sign sign, bool first_attempt,
					uint64_t sent_ms, uint64_t now_ms, bool *ret_spared)
{
	if (h->down) {
		/* What was sent before the probe was due fails for the reason that is known. */
		bool probe = sent_ms >= h->probe_at_ms;
		if (probe)
			probe_failed(h, now_ms);
		*ret_spared = !probe || sign != HEALTH_BROKEN;
		return HEALTH_NO_CHANGE;
	}
	if (first_attempt && sign != HEALTH_UNREACHABLE)
		h->faults += sign == HEALTH_BROKEN ? 1 : BREAKS_MAX / FAULTS_MAX;
	if (sign != HEALTH_UNREACHABLE && h->faults < BREAKS_MAX)
		return HEALTH_NO_CHANGE;
	trip(h, now_ms);
	*ret_spared = true;
	return HEALTH_WENT_DOWN;
}

static void pause_for(struct health *h, int64_t retry_after_s, uint64_t now_ms)
{
	if (retry_after_s <= 0)
		return;
	if (retry_after_s > RETRY_AFTER_MAX_S)
		retry_after_s = RETRY_AFTER_MAX_S;
	uint64_t until = now_ms + (uint64_t)retry_after_s * 1000 + PAUSE_MORE_MS;
	if (until > h->closed_until_ms)
		h->closed_until_ms = until;
}

enum health_change health_learn(struct health *h, enum health_sign sign, bool first_attempt,
				uint64_t sent_ms, int64_t retry_after_s, uint64_t now_ms,
				bool *ret_spared)
{
	enum health_change change = HEALTH_NO_CHANGE;

	*ret_spared = false;
	if (sign == HEALTH_SUSPECT || sign == HEALTH_BROKEN || sign == HEALTH_UNREACHABLE)
		return learn_against(h, sign, first_attempt, sent_ms, now_ms, ret_spared);
	if (h->down) {
		if (sent_ms <= h->down_since_ms)
			return HEALTH_NO_CHANGE; /* of the time before */
		h->down = false;
		h->closed_until_ms = 0; /* so is a pause */
		change = HEALTH_CAME_BACK;
	}
	h->faults = 0;
	if (sign == HEALTH_REFUSED)
		pause_for(h, retry_after_s, now_ms);
	h->stall = sign == HEALTH_REFUSED || now_ms < h->closed_until_ms ? HEALTH_STALL_429
									 : HEALTH_FLOWS;
	return change;
}

uint64_t health_due_ms(const struct health *h, unsigned probes, uint64_t now_ms, bool *ret_probe)
{
	*ret_probe = h->down;
	if (h->down)
		return probes > 0 ? UINT64_MAX : h->probe_at_ms;
	return h->closed_until_ms > now_ms ? h->closed_until_ms : now_ms;
}
