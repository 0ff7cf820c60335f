/* test_health.c: going down and coming back, pauses, and a model of an upstream that fails at random. */
#include "unit.h"

#include "base/attr.h"
#include "upstream/health.h"

static bool spared, probe;

static enum health_change learn(struct health *h, enum health_sign sign, uint64_t sent,
				uint64_t now)
{
	return health_learn(h, sign, true, sent, 0, now, &spared);
}

static void down_at_once_and_back(void **state)
{
	(void)state;
	struct health h = { 0 };
	assert_int_equal(health_due_ms(&h, 0, 1000, &probe), 1000);
	assert_false(probe);
	assert_int_equal(learn(&h, HEALTH_UNREACHABLE, 1000, 1000), HEALTH_WENT_DOWN);
	assert_true(spared && h.down && h.trips == 1 && h.down_since_ms == 1000);
	assert_int_equal(h.stall, HEALTH_STALL_DOWN);
	uint64_t now = 1000;
	static const unsigned delays[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		uint64_t due = health_due_ms(&h, 0, now, &probe);
		assert_true(probe);
		assert_int_equal(due, now + delays[i]);
		assert_true(health_due_ms(&h, 1, due, &probe) == UINT64_MAX); /* one is enough */
		assert_int_equal(learn(&h, HEALTH_UNREACHABLE, due, due), HEALTH_NO_CHANGE);
		assert_true(spared);
		now = due;
	}
	now = health_due_ms(&h, 0, now, &probe);
	assert_int_equal(learn(&h, HEALTH_ANSWERED, now, now + 5), HEALTH_CAME_BACK);
	assert_false(spared || h.down);
	assert_int_equal(h.stall, HEALTH_FLOWS);
	assert_int_equal(health_due_ms(&h, 3, now + 5, &probe), now + 5);
	/* the next time begins with short delays again */
	assert_int_equal(learn(&h, HEALTH_UNREACHABLE, now + 5, now + 6), HEALTH_WENT_DOWN);
	assert_int_equal(health_due_ms(&h, 0, now + 6, &probe), now + 106);
	assert_int_equal(h.trips, 2);
}

/* A few hundred were in flight when it went away: they fail together, and later ones one by one. */
static void those_in_flight_do_not_count(void **state)
{
	(void)state;
	struct health h = { 0 };
	learn(&h, HEALTH_UNREACHABLE, 1000, 1000);
	for (int i = 0; i < 300; i++) {
		enum health_sign sign = i % 2 == 0 ? HEALTH_SUSPECT : HEALTH_UNREACHABLE;
		assert_int_equal(learn(&h, sign, 900, 1000 + i / 2), HEALTH_NO_CHANGE);
		assert_true(spared);
	}
	assert_int_equal(health_due_ms(&h, 0, 1150, &probe), 1100);
	/* a late answer is of the time before */
	assert_int_equal(learn(&h, HEALTH_ANSWERED, 900, 1150), HEALTH_NO_CHANGE);
	assert_int_equal(learn(&h, HEALTH_REFUSED, 1000, 1150), HEALTH_NO_CHANGE);
	assert_true(h.down && h.stall == HEALTH_STALL_DOWN);
	/* several probes (online requests) that fail together are one failure */
	for (int i = 0; i < 50; i++)
		learn(&h, HEALTH_UNREACHABLE, 1120, 1160);
	assert_int_equal(health_due_ms(&h, 0, 1160, &probe), 1360);
}

static void faults_in_a_row(void **state)
{
	(void)state;
	struct health h = { 0 };
	for (unsigned i = 1; i < FAULTS_MAX; i++) {
		assert_int_equal(learn(&h, HEALTH_SUSPECT, 1, 5), HEALTH_NO_CHANGE);
		assert_false(spared);
	}
	learn(&h, HEALTH_ANSWERED, 1, 5);
	for (unsigned i = 1; i < FAULTS_MAX; i++)
		assert_int_equal(learn(&h, HEALTH_SUSPECT, 1, 5), HEALTH_NO_CHANGE);
	assert_int_equal(learn(&h, HEALTH_REFUSED, 1, 5), HEALTH_NO_CHANGE); /* it lives */
	for (unsigned i = 1; i < FAULTS_MAX; i++)
		assert_int_equal(learn(&h, HEALTH_SUSPECT, 1, 5), HEALTH_NO_CHANGE);
	/* the retries of one deadly line are no sign, however many */
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(health_learn(&h, HEALTH_SUSPECT, false, 1, 0, 5, &spared),
				 HEALTH_NO_CHANGE);
		assert_false(spared);
	}
	assert_int_equal(learn(&h, HEALTH_SUSPECT, 1, 5), HEALTH_WENT_DOWN);
	assert_true(spared);
	assert_int_equal(learn(&h, HEALTH_ANSWERED, 110, 120), HEALTH_CAME_BACK);
	assert_int_equal(h.faults, 0);
}

/* Connections that break say less, and a probe that breaks its own is not spared. */
static void broken_connections(void **state)
{
	(void)state;
	struct health h = { 0 };
	for (unsigned i = 1; i < BREAKS_MAX; i++)
		assert_int_equal(learn(&h, HEALTH_BROKEN, 1, 5), HEALTH_NO_CHANGE);
	assert_int_equal(learn(&h, HEALTH_BROKEN, 1, 5), HEALTH_WENT_DOWN);
	assert_int_equal(health_learn(&h, HEALTH_BROKEN, true, 4, 0, 6, &spared), HEALTH_NO_CHANGE);
	assert_true(spared); /* it was sent before */
	uint64_t probe_at = h.probe_at_ms;
	health_learn(&h, HEALTH_BROKEN, true, probe_at, 0, probe_at + 1, &spared);
	assert_false(spared);
	probe_at = h.probe_at_ms;
	health_learn(&h, HEALTH_SUSPECT, true, probe_at, 0, probe_at + 1, &spared);
	assert_true(spared);
}

static uint64_t pause_of(int64_t retry_after_s)
{
	struct health h = { 0 };
	health_learn(&h, HEALTH_REFUSED, true, 1000, retry_after_s, 1000, &spared);
	assert_int_equal(h.stall, HEALTH_STALL_429);
	assert_false(h.down || spared);
	uint64_t due = health_due_ms(&h, 0, 1000, &probe);
	assert_false(probe);
	assert_int_equal(health_due_ms(&h, 0, due, &probe), due); /* then it goes on */
	return due - 1000;
}

static void pauses(void **state)
{
	(void)state;
	assert_int_equal(pause_of(0), 0);
	assert_int_equal(pause_of(-1), 0);
	assert_int_equal(pause_of(INT64_MIN), 0);
	assert_int_equal(pause_of(3), 3000 + PAUSE_MORE_MS);
	assert_int_equal(pause_of(60), 60000 + PAUSE_MORE_MS);
	assert_int_equal(pause_of(31536000), RETRY_AFTER_MAX_S * 1000 + PAUSE_MORE_MS);
	assert_int_equal(pause_of(INT64_MAX), RETRY_AFTER_MAX_S * 1000 + PAUSE_MORE_MS);

	/* a shorter one does not end a longer one, nor does an answer that was on its way */
	struct health h = { 0 };
	health_learn(&h, HEALTH_REFUSED, true, 0, 10, 1000, &spared);
	health_learn(&h, HEALTH_REFUSED, true, 0, 1, 1500, &spared);
	learn(&h, HEALTH_ANSWERED, 900, 1600);
	assert_int_equal(health_due_ms(&h, 0, 1600, &probe), 11000 + PAUSE_MORE_MS);
	assert_int_equal(h.stall, HEALTH_STALL_429);
	learn(&h, HEALTH_ANSWERED, 11000, 11100);
	assert_int_equal(h.stall, HEALTH_FLOWS);
}

static void pause_and_outage(void **state)
{
	(void)state;
	struct health h = { 0 };
	health_learn(&h, HEALTH_REFUSED, true, 0, 60, 1000, &spared);
	learn(&h, HEALTH_UNREACHABLE, 900, 1100);
	/* it went away: probes go on, and who answers them has asked for no pause */
	assert_int_equal(health_due_ms(&h, 0, 1200, &probe), 1200);
	assert_true(probe);
	assert_int_equal(learn(&h, HEALTH_ANSWERED, 1200, 1300), HEALTH_CAME_BACK);
	assert_int_equal(health_due_ms(&h, 0, 1300, &probe), 1300);
	/* 429 while down: it lives, and its pause counts */
	learn(&h, HEALTH_UNREACHABLE, 1300, 1400);
	assert_int_equal(health_learn(&h, HEALTH_REFUSED, true, 1500, 2, 1600, &spared),
			 HEALTH_CAME_BACK);
	assert_int_equal(h.stall, HEALTH_STALL_429);
	assert_int_equal(health_due_ms(&h, 0, 1600, &probe), 3600 + PAUSE_MORE_MS);
	assert_false(probe);
}

/* ---- an upstream that comes and goes, and a lane of up to 32 lines ---- */

#define LANE 32

static uint64_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 33) % n);
}

struct flight {
	bool out, probe;
	uint64_t sent, ends;
	enum health_sign sign;
};

static void flight_end(struct health *h, struct flight *f, uint64_t now)
{
	bool down = h->down;
	int64_t retry = f->sign == HEALTH_REFUSED ? (int64_t)below(6) - 2 : 0;
	enum health_change c = health_learn(h, f->sign, below(4) > 0, f->sent, retry, now, &spared);
	assert_int_equal(c == HEALTH_WENT_DOWN, !down && h->down);
	assert_int_equal(c == HEALTH_CAME_BACK, down && !h->down);
	assert_true(!h->down || h->stall == HEALTH_STALL_DOWN);
	assert_true(!spared || h->down);
	assert_true(h->closed_until_ms <= now + RETRY_AFTER_MAX_S * 1000 + PAUSE_MORE_MS);
	f->out = false;
}

static void lane(uint32_t round)
{
	struct health h = { 0 };
	struct flight flights[LANE] = { 0 };
	bool serves = true;
	uint64_t changes_at = 500 + below(3000), back_at = 0;

	seed = (round + 1) * 0x9e3779b97f4a7c15u;
	for (uint64_t now = 1; now < 30000; now++) {
		if (now == changes_at) {
			serves = !serves;
			changes_at = now + 1 + below(serves ? 6000 : 9000);
			back_at = serves ? now : 0;
			for (unsigned i = 0; i < LANE && !serves; i++)
				if (flights[i].out && below(8) > 0) { /* some hang */
					flights[i].ends = now + below(20);
					flights[i].sign = HEALTH_SUSPECT;
				}
		}
		unsigned probes = 0, out = 0;
		for (unsigned i = 0; i < LANE; i++) {
			if (flights[i].out && flights[i].ends <= now)
				flight_end(&h, &flights[i], now);
			probes += flights[i].out && flights[i].probe;
			out += flights[i].out;
		}
		assert_true(probes <= 1);
		assert_true(out < LANE || !h.down); /* what fails leaves a slot */
		/* A full lane is busy, not closed; a probe that is out is the line that is asked for. */
		if (out == LANE || probes > 0)
			back_at = 0;
		for (unsigned i = 0; i < LANE; i++) {
			if (flights[i].out)
				continue;
			if (health_due_ms(&h, probes, now, &probe) > now)
				break;
			assert_int_equal(probe, h.down);
			probes += probe;
			flights[i] = (struct flight){ true, probe, now, now + 1,
						      HEALTH_UNREACHABLE };
			if (serves) {
				flights[i].ends = now + 1 + below(below(50) == 0 ? 3000 : 100);
				flights[i].sign = below(100) == 0 ? HEALTH_REFUSED
								  : HEALTH_ANSWERED;
			}
			if (serves && back_at != 0) {
				/* the first line after it is back: within the longest delay (the
				 * last probe before may have failed just then), or in a pause */
				if (now - back_at > 1002 && h.closed_until_ms <= back_at)
					fail_msg("round %u: %u ms late at %u", round,
						 (unsigned)(now - back_at), (unsigned)now);
				back_at = 0;
			}
		}
	}
}

static void comes_and_goes(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 1000; round++)
		lane(round);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(down_at_once_and_back),
		cmocka_unit_test(broken_connections),
		cmocka_unit_test(those_in_flight_do_not_count),
		cmocka_unit_test(faults_in_a_row),
		cmocka_unit_test(pauses),
		cmocka_unit_test(pause_and_outage),
		cmocka_unit_test(comes_and_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
