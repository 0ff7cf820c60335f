/* throttle.c: requests that were taken are counted by second, so that a rate can be read off when a
 * pause ends. */
#include "upstream/throttle.h"

#include <string.h>

#define DELAY_MOST_MS 60000u
#define MINUTE_S 60u
#define RATE_HOLDS_MS 62000u /* a minute without a refusal, as rate_limit.h counts one */

static void taken_advance(struct throttle *t, uint64_t now_s)
{
	if (now_s <= t->taken_s)
		return;
	if (now_s - t->taken_s >= MINUTE_S)
		memset(t->taken, 0, sizeof(t->taken));
	else
		for (uint64_t s = t->taken_s + 1; s <= now_s; s++)
			t->taken[s % MINUTE_S] = 0;
	t->taken_s = now_s;
}

static unsigned taken_sum(struct throttle *t, uint64_t now_ms)
{
	unsigned sum = 0;

	taken_advance(t, now_ms / 1000);
	for (unsigned i = 0; i < MINUTE_S; i++)
		sum += t->taken[i];
	return sum;
}

/* When the first request of the last minute was taken. */
static uint64_t taken_first_ms(const struct throttle *t)
{
	uint64_t first = t->taken_s >= MINUTE_S - 1 ? t->taken_s - (MINUTE_S - 1) : 0;

	while (first < t->taken_s && t->taken[first % MINUTE_S] == 0)
		first++;
	return first * 1000;
}

static void rate_set(struct throttle *t, uint64_t rate, uint64_t now_ms)
{
	t->rate = rate;
	t->rate_at_ms = now_ms;
	rate_limit_configure(&t->rate_limit, rate, 0, now_ms);
}

/* The first request after a pause was taken: if the pause was long, a rate had been overrun. The
 * rate is the requests taken before it over the time from the first of them until now. */
static void rate_learn(struct throttle *t, uint64_t now_ms)
{
	if (!t->of_rate || t->told || t->taken_before == 0 ||
	    now_ms - t->since_ms < THROTTLE_RATE_PAUSE_MS)
		return;
	uint64_t rate = (uint64_t)t->taken_before * 60000 / (now_ms - t->taken_from_ms);
	rate_set(t, rate > 0 ? rate : 1, now_ms);
}

static void rate_rise(struct throttle *t, uint64_t now_ms)
{
	if (t->rate == 0 || t->since_ms != 0 || now_ms - t->rate_at_ms < RATE_HOLDS_MS)
		return;
	bool used = 2 * taken_sum(t, now_ms) >= t->rate;
	rate_set(t, used ? 2 * t->rate : 0, now_ms);
}

static void close_for(struct throttle *t, uint64_t wait_ms, uint64_t now_ms)
{
	uint64_t until = now_ms + wait_ms + THROTTLE_MORE_MS;

	if (until > t->closed_until_ms)
		t->closed_until_ms = until;
}

/* A pause that it did not ask for: twice as long each time the one that finds out is refused. */
static void close_untold(struct throttle *t, uint64_t now_ms)
{
	t->delay_ms = t->delay_ms == 0 ? THROTTLE_FIRST_MS : 2 * t->delay_ms;
	if (t->delay_ms > DELAY_MOST_MS)
		t->delay_ms = DELAY_MOST_MS;
	close_for(t, t->delay_ms, now_ms);
}

void throttle_refused(struct throttle *t, const struct throttle_sign *s, uint64_t now_ms)
{
	bool first = t->since_ms == 0;
	bool finds_out = throttle_finds_out(t, s->sent_ms);
	/* The server told of a pause, which is over, and tells of none now. */
	bool told_before = t->told && s->sent_ms >= t->closed_until_ms;

	if (first) {
		t->since_ms = now_ms;
		t->taken_before = taken_sum(t, now_ms);
		t->taken_from_ms = taken_first_ms(t);
		t->delay_ms = 0;
		t->told = false;
		t->of_rate = s->rate;
		t->steps_until_ms = 0;
	}
	t->full = s->others > 0;
	if (s->wait_ms > 0) {
		int64_t most = THROTTLE_WAIT_MOST_MS;
		t->told = true;
		close_for(t, (uint64_t)(s->wait_ms < most ? s->wait_ms : most), now_ms);
	} else if (first || finds_out || told_before) {
		t->told = false;
		close_untold(t, now_ms);
	}
	if (finds_out)
		t->single_ms = 0;
}

void throttle_taken(struct throttle *t, uint64_t sent_ms, uint64_t now_ms)
{
	taken_advance(t, now_ms / 1000);
	t->taken[now_ms / 1000 % MINUTE_S]++;
	rate_rise(t, now_ms);
	if (now_ms < t->steps_until_ms)
		t->steps++;
	if (t->since_ms == 0)
		return;
	/* An answer to what was sent before the pause tells only that a place is free now. */
	bool place = sent_ms < t->closed_until_ms;
	if (place && !throttle_is_full(t))
		return;
	rate_learn(t, now_ms);
	throttle_forget(t);
	if (place) {
		t->steps_until_ms = now_ms + THROTTLE_STEPS_MS;
		t->step_more_ms = now_ms + THROTTLE_STEP_MS;
		t->steps = 1;
	}
}

void throttle_sent(struct throttle *t, uint64_t now_ms)
{
	if (t->since_ms != 0 && !t->told && t->single_ms == 0 && now_ms >= t->closed_until_ms)
		t->single_ms = now_ms;
	if (t->steps > 0)
		t->steps--;
	if (t->rate > 0)
		rate_limit_take(&t->rate_limit, 0, now_ms);
}

void throttle_gone(struct throttle *t, uint64_t sent_ms)
{
	if (t->single_ms == sent_ms)
		t->single_ms = 0;
}

void throttle_tick(struct throttle *t, uint64_t now_ms)
{
	if (now_ms < t->steps_until_ms && now_ms >= t->step_more_ms) {
		t->step_more_ms = now_ms + THROTTLE_STEP_MS;
		t->steps++;
	}
	if (t->single_ms == 0 || t->closed_until_ms > now_ms ||
	    now_ms - t->single_ms < THROTTLE_TAKEN_MS)
		return;
	rate_learn(t, now_ms);
	throttle_forget(t);
}

uint64_t throttle_due_ms(const struct throttle *t, uint64_t now_ms)
{
	if (t->closed_until_ms > now_ms)
		return t->closed_until_ms;
	if (t->single_ms != 0)
		return t->single_ms + THROTTLE_TAKEN_MS;
	if (now_ms < t->steps_until_ms && t->steps == 0)
		return t->step_more_ms;
	return t->rate > 0 ? rate_limit_due_ms(&t->rate_limit, 0, now_ms) : now_ms;
}

bool throttle_pauses(const struct throttle *t)
{
	return t->since_ms != 0;
}

bool throttle_finds_out(const struct throttle *t, uint64_t sent_ms)
{
	return t->single_ms != 0 && t->single_ms == sent_ms;
}

bool throttle_is_full(const struct throttle *t)
{
	return t->since_ms != 0 && t->full && !t->told;
}

void throttle_forget(struct throttle *t)
{
	t->closed_until_ms = t->since_ms = t->delay_ms = t->single_ms = 0;
	t->steps_until_ms = 0;
	t->steps = 0;
	t->told = t->full = false;
}
