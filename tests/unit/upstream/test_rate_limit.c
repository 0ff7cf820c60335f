/* test_rate_limit.c: limits a minute hold in any 60 seconds, are used evenly, and nearly used
 * up. */
#include "unit.h"

#include "base/attr.h"
#include "upstream/rate_limit.h"

#define MINUTE_MS 60000u
#define SENT_MAX 300000u

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % n);
}

static void seed_round(uint32_t round)
{
	seed = (round + 1) * 0x9e3779b97f4a7c15u;
}

static struct sent {
	uint64_t at_ms;
	uint64_t tokens;
	bool batch;
} sent[SENT_MAX];
static size_t sent_n;

static void send(struct rate_limit *p, uint64_t tokens, bool batch, uint64_t now_ms)
{
	assert_true(sent_n < SENT_MAX);
	sent[sent_n++] = (struct sent){ now_ms, tokens, batch };
	rate_limit_take(p, tokens, now_ms);
}

/* In the 60 s (both ends included) up to each batch line no more than the limit: of lines, and of
 * online requests with them. A line above the limit of tokens is alone. */
static void check_windows(uint64_t requests, uint64_t tokens)
{
	uint64_t requests_sum = 0, tokens_sum = 0;
	for (size_t i = 0, first = 0; i < sent_n; i++) {
		requests_sum++;
		tokens_sum += sent[i].tokens;
		for (; sent[first].at_ms + MINUTE_MS < sent[i].at_ms; first++) {
			requests_sum--;
			tokens_sum -= sent[first].tokens;
		}
		if (!sent[i].batch)
			continue;
		if (requests > 0 && requests_sum > requests)
			fail_msg("%u requests where %u are allowed", (unsigned)requests_sum,
				 (unsigned)requests);
		if (tokens > 0 && tokens_sum > tokens && tokens_sum != sent[i].tokens)
			fail_msg("%u tokens where %u are allowed", (unsigned)tokens_sum,
				 (unsigned)tokens);
	}
}

/* Sends batch lines as soon as they are due, up to `end_ms`. */
static void run(struct rate_limit *p, uint64_t from_ms, uint64_t end_ms, uint32_t tokens_max,
		uint32_t online_every_ms, uint32_t late_ms)
{
	uint64_t now = from_ms, tokens = 1 + below(tokens_max);
	uint64_t online = online_every_ms > 0 ? now + below(online_every_ms) : UINT64_MAX;
	while (now < end_ms) {
		uint64_t due = rate_limit_due_ms(p, tokens, now);
		if (due > now && online > now) {
			now = due < online ? due : online;
			if (now == due)
				now += late_ms > 0 ? below(late_ms) : 0;
			continue;
		}
		if (online <= now) {
			send(p, below(tokens_max), false, now);
			online = now + below(2 * online_every_ms);
			continue;
		}
		send(p, tokens, true, now);
		tokens = 1 + below(tokens_max);
	}
}

static void never_above(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 2000; round++) {
		seed_round(round);
		struct rate_limit p = { 0 };
		uint64_t start = below(2) * (1000000 + below(1000000));
		uint64_t requests = below(4) == 0 ? 0 : 1 + below(below(2) ? 10 : 1000);
		uint64_t tokens = below(3) == 0 ? 0 : 1 + below(below(2) ? 100 : 100000);
		if (requests == 0 && tokens == 0)
			continue;
		sent_n = 0;
		rate_limit_configure(&p, requests, tokens, start);
		uint32_t line = 1 + below(1 + (uint32_t)tokens / (1 + below(50)));
		if (requests == 0 && line < tokens / 1000)
			line = (uint32_t)tokens / 1000;
		run(&p, start, start + 300000, line, below(3) ? 0 : 100 + below(20000),
		    below(2) ? 0 : 500);
		check_windows(requests, tokens);
	}
}

/* What arrives up to 0.3 s later than another still finds no more than the limit. */
static void never_above_when_late(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 500; round++) {
		seed_round(round);
		struct rate_limit p = { 0 };
		uint64_t requests = 1 + below(500);
		sent_n = 0;
		rate_limit_configure(&p, requests, 0, 5000);
		run(&p, 5000, 305000, 1, 0, 0);
		for (size_t i = requests; i < sent_n; i++)
			assert_true(sent[i].at_ms - sent[i - requests].at_ms > MINUTE_MS + 300);
	}
}

static void nearly_used_up_and_even(void **state)
{
	(void)state;
	static const uint64_t limits[] = { 1, 2, 10, 60, 600, 3000 };
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rate_limit p = { 0 };
		sent_n = 0;
		rate_limit_configure(&p, limits[i], 0, 0);
		run(&p, 0, 6 * MINUTE_MS, 1, 0, 0);
		assert_true((double)sent_n >= 0.99 * 6 * (double)limits[i]);
		/* no second has more than its share, a bucket's worth and one */
		for (size_t k = 0, first = 0; k < sent_n; k++) {
			while (sent[first].at_ms + 1000 <= sent[k].at_ms)
				first++;
			assert_true((double)(k - first + 1) <= 1.3 * (double)limits[i] / 60 + 2);
		}
	}
}

/* T9: with 120 a minute at least 119 go out in each, though each goes out some milliseconds after
 * it was due, and a few rather late. */
static void a_minute_is_used_up_though_late(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 100; round++) {
		seed_round(round);
		struct rate_limit p = { 0 };
		uint64_t minutes[6] = { 0 };
		sent_n = 0;
		rate_limit_configure(&p, 120, 0, 0);
		run(&p, 0, 6 * MINUTE_MS, 1, 0, 1 + below(40));
		check_windows(120, 0);
		for (size_t i = 0; i < sent_n; i++)
			minutes[sent[i].at_ms / MINUTE_MS]++;
		for (size_t i = 0; i < ARRAY_LEN(minutes); i++)
			assert_in_range(minutes[i], 119, 120);
	}
}

static void tokens_nearly_used_up(void **state)
{
	(void)state;
	for (uint32_t size = 10; size <= 100000; size *= 10) {
		struct rate_limit p = { 0 };
		uint64_t sum = 0;
		sent_n = 0;
		rate_limit_configure(&p, 0, 100000, 0);
		run(&p, 0, 10 * MINUTE_MS, size, 0, 0);
		check_windows(0, 100000);
		for (size_t i = 0; i < sent_n; i++)
			sum += sent[i].tokens;
		/* lines as large as the limit itself leave gaps that none fits into */
		assert_true(sum >= (size < 100000 ? 900000 : 400000));
	}
}

static void no_limit(void **state)
{
	(void)state;
	struct rate_limit p = { 0 };
	rate_limit_configure(&p, 0, 0, 7);
	for (int i = 0; i < 100000; i++) {
		assert_true(rate_limit_due_ms(&p, UINT64_MAX, 7) <= 7);
		rate_limit_take(&p, UINT64_MAX, 7);
	}
}

static void larger_than_the_limit(void **state)
{
	(void)state;
	struct rate_limit p = { 0 };
	rate_limit_configure(&p, 0, 1000, 0);
	assert_true(rate_limit_due_ms(&p, 1000000, 0) <= 0);
	rate_limit_take(&p, 1000000, 0);
	assert_true(rate_limit_due_ms(&p, 1, 1) > MINUTE_MS);
	uint64_t now = 1;
	for (int i = 0; i < 5 && rate_limit_due_ms(&p, 1, now) > now; i++)
		now = rate_limit_due_ms(&p, 1, now);
	assert_true(now <= 64000); /* and no later than need be */
}

static void reload_keeps_what_was_used(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 500; round++) {
		seed_round(round);
		struct rate_limit p = { 0 };
		sent_n = 0;
		uint64_t limit = 0, now = 0;
		for (int i = 0; i < 8; i++) {
			limit = 1 + below(200);
			rate_limit_configure(&p, below(8) == 0 ? 0 : 100, 0, now);
			rate_limit_configure(&p, limit, 0, now);
			size_t before = sent_n;
			run(&p, now, now + 20000, 1, 0, 0);
			now += 20000;
			/* the new limit counts for each line sent under it */
			for (size_t k = before; k < sent_n; k++)
				assert_true(k < limit ||
					    sent[k].at_ms - sent[k - limit].at_ms > MINUTE_MS);
		}
	}
}

static void settled(void **state)
{
	(void)state;
	struct rate_limit p = { 0 };
	rate_limit_configure(&p, 0, 1000, 0);
	rate_limit_take(&p, 600, 0);
	rate_limit_settle(&p, 400, 0, 2000); /* took all of it */
	assert_true(rate_limit_due_ms(&p, 1, 2000) > MINUTE_MS);
	rate_limit_settle(&p, -900, 0,
			  3000); /* or rather little: the window frees it, the bucket too */
	uint64_t due = rate_limit_due_ms(&p, 10, 3000);
	assert_true(due < 10000);
	/* what comes back for a request of long ago hides nothing of today */
	rate_limit_configure(&p, 0, 1000, 200000);
	rate_limit_take(&p, 1000, 200000);
	rate_limit_settle(&p, -100000, 1000, 200000);
	rate_limit_settle(&p, INT64_MIN, 1000, 200000);
	assert_true(rate_limit_due_ms(&p, 1, 200000) > 200000 + MINUTE_MS);
}

static void online_debt_is_paid(void **state)
{
	(void)state;
	struct rate_limit p = { 0 };
	rate_limit_configure(&p, 60, 0, 0);
	for (int i = 0; i < 10000; i++)
		rate_limit_take(&p, 0, 1000);
	uint64_t now = 1000;
	while (rate_limit_due_ms(&p, 0, now) > now)
		now = rate_limit_due_ms(&p, 0, now);
	assert_in_range(now, 1000 + MINUTE_MS, 66000); /* and not for hours */
}

static void clock_standing_back(void **state)
{
	(void)state;
	struct rate_limit p = { 0 };
	rate_limit_configure(&p, 60, 60, 100000);
	rate_limit_take(&p, 1, 100000);
	rate_limit_take(&p, 1, 90000);
	assert_true(rate_limit_due_ms(&p, 1, 90000) > 100000);
	assert_true(rate_limit_due_ms(&p, 1, 102500) <= 102500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_above),
		cmocka_unit_test(never_above_when_late),
		cmocka_unit_test(nearly_used_up_and_even),
		cmocka_unit_test(a_minute_is_used_up_though_late),
		cmocka_unit_test(tokens_nearly_used_up),
		cmocka_unit_test(no_limit),
		cmocka_unit_test(larger_than_the_limit),
		cmocka_unit_test(reload_keeps_what_was_used),
		cmocka_unit_test(settled),
		cmocka_unit_test(online_debt_is_paid),
		cmocka_unit_test(clock_standing_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
