/* test_schedule.c: whose turn it is. Properties over many seeds, and the scenarios that were
 * promised. */
#include "base/zone.h"
#include "schedule/sim.h"

#include "schedule/schedule_impl.h"

/* ---- every line once, whatever happens ---- */

#define CHAOS_BATCHES 6u

struct chaos {
	struct schedule *s;
	struct fake *f[CHAOS_BATCHES];
	bool in[CHAOS_BATCHES], held[CHAOS_BATCHES];
	struct schedule_line flying[256];
	size_t n;
	int64_t now_s;
};

static struct fake *chaos_batch(void)
{
	static const char *const orgs[] = { "a", "b", "c" };
	struct fake *f = fake_new(orgs[sim_random(3)],
				  sim_random(4) == 0 ? 1 + sim_random(3000) : 1 + sim_random(60));
	f->taken = calloc(f->lines, 1);
	f->done = calloc(f->lines, 1);
	f->prefix = calloc(f->lines, sizeof(*f->prefix));
	f->b.prefixes = sim_random(2) == 0;
	f->b.org_weight = 1 + sim_random(5);
	f->b.expires_at = 1 + sim_random(500);
	f->body_bytes = sim_random(100000);
	f->look_fails = sim_random(8) == 0;
	uint32_t kinds = 1 + sim_random(40), done_part = sim_random(3);
	for (uint64_t i = 0; i < f->lines; i++) {
		f->prefix[i] = sim_random(kinds);
		f->done[i] = done_part > 0 && sim_random(3) < done_part;
		f->b.rest_lines -= f->done[i];
	}
	return f;
}

static bool chaos_line_left(const struct chaos *c)
{
	for (size_t k = 0; k < CHAOS_BATCHES; k++)
		if (c->in[k] && !c->held[k] && !c->f[k]->b.suspended &&
		    c->f[k]->given < c->f[k]->b.rest_lines + c->f[k]->ended)
			return true;
	return false;
}

static void chaos_next(struct chaos *c)
{
	struct schedule_line l;
	bool left = chaos_line_left(c);
	assert_int_equal(schedule_has_line(c->s), left);
	if (c->n == ARRAY_LEN(c->flying))
		return;
	assert_int_equal(schedule_next(c->s, fake_lane(sim_random(3)), c->now_s, &l), left);
	if (!left)
		return;
	struct fake *f = fake_of(&l);
	assert_false(f->b.held || f->b.suspended);
	assert_false(f->done[l.record]);
	assert_int_equal(++f->taken[l.record], 1);
	assert_true(l.tokens >= 1);
	f->given++;
	c->flying[c->n++] = l;
}

static void chaos_end(struct chaos *c)
{
	if (c->n == 0)
		return;
	size_t i = sim_random((uint32_t)c->n);
	if (sim_random(4) == 0) {
		schedule_put_off(c->s, &c->flying[i]);
		return;
	}
	struct fake *f = fake_of(&c->flying[i]);
	schedule_ended(c->s, &c->flying[i], sim_random(5000), sim_random(3) * sim_random(100000));
	f->ended++;
	c->flying[i] = c->flying[--c->n];
}

static void chaos_remove(struct chaos *c, size_t k)
{
	schedule_remove(c->s, &c->f[k]->b);
	c->in[k] = false;
	for (size_t i = 0; i < c->n;)
		if (c->flying[i].batch == &c->f[k]->b)
			c->flying[i] = c->flying[--c->n];
		else
			i++;
}

static void chaos_act(struct chaos *c)
{
	size_t k = sim_random(CHAOS_BATCHES);
	uint32_t what = sim_random(1000);
	if (what < 500) {
		chaos_next(c);
	} else if (what < 940) {
		chaos_end(c);
	} else if (what < 960) {
		c->now_s += sim_random(3);
		schedule_forecast(c->s, sim_random(4) * 4, c->now_s);
	} else if (what < 985 && c->in[k]) {
		c->held[k] = !c->held[k];
		schedule_hold(c->s, &c->f[k]->b, c->held[k]);
	} else if (what < 995 && c->in[k]) {
		schedule_suspend(c->s, &c->f[k]->b, !c->f[k]->b.suspended);
	} else if (what < 995 && !c->in[k] && c->f[k]->given == 0) {
		c->f[k]->b.suspended = sim_random(4) == 0;
		schedule_add(c->s, &c->f[k]->b);
		c->in[k] = true;
	} else if (what == 999 && c->in[k]) {
		chaos_remove(c, k);
	}
}

static void chaos_run(uint64_t seed)
{
	struct chaos c = { .s = schedule_open(&fake_ops) };
	sim_seed = seed;
	for (size_t k = 0; k < CHAOS_BATCHES; k++)
		c.f[k] = chaos_batch();
	for (int i = 0; i < 500; i++)
		chaos_act(&c);
	for (size_t k = 0; k < CHAOS_BATCHES; k++) {
		if (!c.in[k])
			continue;
		c.held[k] = false;
		schedule_hold(c.s, &c.f[k]->b, false);
		schedule_suspend(c.s, &c.f[k]->b, false);
	}
	while (chaos_line_left(&c) || c.n > 0) {
		chaos_next(&c);
		if (sim_random(2) == 0 || c.n == ARRAY_LEN(c.flying) || !chaos_line_left(&c))
			chaos_end(&c);
	}
	for (size_t k = 0; k < CHAOS_BATCHES; k++) {
		for (uint64_t i = 0; c.in[k] && i < c.f[k]->lines; i++)
			assert_int_equal(c.f[k]->taken[i], !c.f[k]->done[i]);
		if (c.in[k]) {
			assert_int_equal(c.f[k]->b.in_flight, 0);
			assert_int_equal(c.f[k]->b.rest_lines, 0);
			schedule_remove(c.s, &c.f[k]->b);
		}
		fake_free(c.f[k]);
	}
	assert_int_equal(c.s->window_segments, 0);
	assert_null(c.s->orgs);
	schedule_close(c.s);
}

static void every_line_once_and_never_a_slot_empty(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++)
		chaos_run(seed);
}

/* ---- organizations ---- */

/* Tokens that really flowed for `a` for each one of `b`, both with more to send than they get. */
static double ratio_of(unsigned weight_a, unsigned weight_b, uint64_t tokens_a, uint64_t tokens_b,
		       uint32_t bytes_a, uint32_t bytes_b)
{
	struct sim sim;
	struct fake *f[] = { fake_new("a", 1u << 30), fake_new("b", 1u << 30) };
	double used[2] = { 0 };
	sim_open(&sim, 32, 1);
	sim.spread = true;
	f[0]->b.org_weight = weight_a;
	f[1]->b.org_weight = weight_b;
	f[0]->tokens = tokens_a;
	f[1]->tokens = tokens_b;
	f[0]->body_bytes = bytes_a;
	f[1]->body_bytes = bytes_b;
	f[0]->b.expires_at = f[1]->b.expires_at = 1; /* lost anyway: none is late */
	schedule_add(sim.schedule, &f[0]->b);
	schedule_add(sim.schedule, &f[1]->b);
	for (int i = 0; i < 40000; i++)
		sim_step(&sim);
	for (int k = 0; k < 2; k++)
		used[k] = (double)(f[k]->ended * f[k]->tokens);
	sim_close(&sim, f, 2);
	return used[0] / used[1];
}

static void assert_about(double value, double expected, double part)
{
	if (fabs(value - expected) > part * expected)
		fail_msg("%g is not about %g", value, expected);
}

static void organizations_share_tokens_by_weight(void **state)
{
	(void)state;
	sim_seed = 1;
	assert_about(ratio_of(1, 1, 200, 200, 400, 400), 1, 0.02);
	assert_about(ratio_of(3, 1, 200, 200, 400, 400), 3, 0.03);
	assert_about(ratio_of(100, 1, 200, 200, 400, 400), 100, 0.05);
	/* what bodies say is far from what lines take */
	assert_about(ratio_of(1, 1, 5000, 100, 400, 400), 1, 0.1);
	assert_about(ratio_of(1, 2, 50, 2000, 100000, 10), 0.5, 0.1);
	assert_about(ratio_of(2, 1, 20000, 20, 10, 100000), 2, 0.2);
}

/* Lines whose tokens vary by a factor of a hundred, unlike what any average says. */
static void wild_lines_are_settled(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct schedule *s = schedule_open(&fake_ops);
		struct fake *f[] = { fake_new("a", 1u << 30), fake_new("b", 1u << 30) };
		double used[2] = { 0 };
		struct schedule_line flying[16];
		sim_seed = seed;
		schedule_add(s, &f[0]->b);
		schedule_add(s, &f[1]->b);
		for (int i = 0; i < 16; i++)
			assert_true(schedule_next(s, fake_lane(0), 0, &flying[i]));
		for (int i = 0; i < 4000; i++) {
			struct schedule_line *l = &flying[sim_random(16)];
			int k = fake_of(l) == f[1];
			double tokens = floor(pow(100, sim_random_unit()) * (k == 1 ? 30 : 10));
			used[k] += tokens;
			schedule_ended(s, l, 100, (uint64_t)tokens);
			assert_true(schedule_next(s, fake_lane(0), 0, l));
		}
		assert_about(used[0] / used[1], 1, 0.1);
		for (int k = 0; k < 2; k++) {
			schedule_remove(s, &f[k]->b);
			fake_free(f[k]);
		}
		schedule_close(s);
	}
}

/* Between two lines of an organization, the others never get more than their round and a few
 * lines. */
static void nobody_starves(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		enum { ORGS = 5 };
		struct schedule *s = schedule_open(&fake_ops);
		struct fake *f[ORGS];
		double others[ORGS] = { 0 }, weights = 0;
		struct schedule_line l;
		sim_seed = seed;
		for (int i = 0; i < ORGS; i++) {
			char org[] = { (char)('a' + i), '\0' };
			f[i] = fake_new(org, 1u << 30);
			f[i]->b.org_weight = 1 + sim_random(4);
			f[i]->body_bytes = 40 + sim_random(4000);
			weights += f[i]->b.org_weight;
			schedule_add(s, &f[i]->b);
		}
		for (int turn = 0; turn < 3000; turn++) {
			assert_true(schedule_next(s, fake_lane(0), 0, &l));
			schedule_ended(s, &l, 100, l.tokens);
			for (int i = 0; i < ORGS; i++)
				others[i] = fake_of(&l) == f[i] ? 0 : others[i] + l.tokens;
			for (int i = 0; i < ORGS; i++)
				assert_true(others[i] <= 2 * 1010 * ORGS * weights);
		}
		for (int i = 0; i < ORGS; i++) {
			schedule_remove(s, &f[i]->b);
			fake_free(f[i]);
		}
		schedule_close(s);
	}
}

/* What a line was charged too much is given back; an organization with nothing to send by then does
 * not save it up, and neither does it lose its debt. */
static void idle_organizations_save_nothing(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f[] = { fake_new("a", 50), fake_new("b", 1u << 30), fake_new("a", 1000) };
	struct schedule_line l, flying[50];
	unsigned n = 0, turns = 0;
	f[0]->body_bytes = 40000;
	schedule_add(s, &f[1]->b);
	schedule_add(s, &f[0]->b);
	while (n < 50) {
		assert_true(schedule_next(s, fake_lane(0), 0, &l));
		if (fake_of(&l) == f[0])
			flying[n++] = l;
		else
			schedule_ended(s, &l, 100, l.tokens);
	}
	for (unsigned i = 0; i < n; i++)
		schedule_ended(s, &flying[i], 100, 100);
	schedule_add(s, &f[2]->b);
	for (n = 0; n < 100; n++) {
		assert_true(schedule_next(s, fake_lane(0), 0, &l));
		turns += fake_of(&l) == f[2];
		schedule_ended(s, &l, 100, 100);
	}
	assert_in_range(turns, 30, 70);
	for (int k = 0; k < 3; k++) {
		schedule_remove(s, &f[k]->b);
		fake_free(f[k]);
	}
	schedule_close(s);
}

/* One line takes `tokens`, its organization comes back at once: how many lines others have
 * before it. */
static unsigned turns_in_debt(uint64_t tokens)
{
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f[] = { fake_new("a", 1), fake_new("b", 1u << 30), fake_new("a", 1000) };
	struct schedule_line l, huge = { 0 };
	unsigned turns = 0;
	schedule_add(s, &f[1]->b);
	schedule_add(s, &f[0]->b);
	for (int i = 0; i < 300; i++) {
		assert_true(schedule_next(s, fake_lane(0), 0, &l));
		if (fake_of(&l) == f[0])
			huge = l;
		else
			schedule_ended(s, &l, 100, 100);
	}
	assert_ptr_equal(huge.batch, &f[0]->b);
	schedule_ended(s, &huge, 100, tokens);
	schedule_add(s, &f[2]->b);
	for (;; turns++) {
		assert_true(schedule_next(s, fake_lane(0), 0, &l));
		if (fake_of(&l) == f[2])
			break;
		schedule_ended(s, &l, 100, 100);
	}
	for (int k = 0; k < 3; k++) {
		schedule_remove(s, &f[k]->b);
		fake_free(f[k]);
	}
	schedule_close(s);
	return turns;
}

static void debt_is_kept_and_bounded(void **state)
{
	(void)state;
	assert_true(turns_in_debt(100) <= 2);
	assert_in_range(turns_in_debt(20000), 100, 210);
	assert_in_range(turns_in_debt(UINT64_MAX), 500, 1100);
}

/* With one organization no other could get the tokens, so that the body need not be looked at. */
static void alone_no_body_is_looked_at(void **state)
{
	(void)state;
	struct sim sim;
	struct fake *f[] = { fake_new("a", 3000), fake_new("a", 3000) };
	sim_open(&sim, 4, 1);
	schedule_add(sim.schedule, &f[0]->b);
	schedule_add(sim.schedule, &f[1]->b);
	while (sim_step(&sim))
		;
	assert_int_equal(f[0]->looks + f[1]->looks, 0);
	sim_close(&sim, f, 2);
}

static void line_that_cannot_be_looked_at_costs_one(void **state)
{
	(void)state;
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f[] = { fake_new("a", 10), fake_new("b", 10) };
	struct schedule_line l;
	f[0]->look_fails = true;
	schedule_add(s, &f[0]->b);
	schedule_add(s, &f[1]->b);
	for (int i = 0; i < 20; i++) {
		assert_true(schedule_next(s, fake_lane(0), 0, &l));
		assert_int_equal(l.tokens, fake_of(&l) == f[0] ? 1 : 100);
	}
	for (int k = 0; k < 2; k++) {
		schedule_remove(s, &f[k]->b);
		fake_free(f[k]);
	}
	schedule_close(s);
}

/* How long 100 lines take that come to `slots` slots, with a million lines of another
 * organization's under way or without. */
static double hundred_ms(unsigned slots, const char *org, bool million, bool spread)
{
	struct sim sim;
	struct fake *f[] = { fake_new("large", 1000000), fake_new(org, 100) };
	sim_open(&sim, slots, 1);
	sim.spread = spread;
	if (million)
		schedule_add(sim.schedule, &f[0]->b);
	for (int i = 0; million && i < 5000; i++)
		sim_step(&sim);
	double start = sim.now_ms;
	schedule_add(sim.schedule, &f[1]->b);
	while (f[1]->ended < 100)
		assert_true(sim_step(&sim));
	double took = f[1]->ended_ms - start;
	sim_close(&sim, f, 2);
	return took;
}

static void hundred_lines_beside_a_million(void **state)
{
	static const unsigned slots[] = { 1, 4, 16, 40, 64, 100, 128, 250 };
	(void)state;
	sim_seed = 7;
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		for (int spread = 0; spread < 2; spread++) {
			double alone = hundred_ms(slots[i], "small", false, spread);
			double beside = hundred_ms(slots[i], "small", true, spread);
			if (beside > 2.5 * alone)
				fail_msg("%u slots: %.0f ms, alone %.0f", slots[i], beside, alone);
			/* in the same organization it overtakes: no share is lost */
			beside = hundred_ms(slots[i], "large", true, spread);
			if (beside > 2.1 * alone)
				fail_msg("%u slots, same: %.0f ms, alone %.0f", slots[i], beside,
					 alone);
		}
}

/* ---- deadlines ---- */

static void earliest_effective_deadline_first(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		enum { N = 6 };
		struct sim sim;
		struct fake *f[N];
		struct schedule_line l;
		sim_seed = seed;
		sim_open(&sim, 4, 1);
		for (int i = 0; i < N; i++) { /* of a size: none is small beside another */
			f[i] = fake_new("a", 100 + sim_random(200));
			f[i]->b.expires_at = 100000 + sim_random(500);
			schedule_add(sim.schedule, &f[i]->b);
		}
		for (int i = 0; i < 40; i++)
			sim_step(&sim);
		sim_forecast(&sim);
		while (schedule_next(sim.schedule, fake_lane(0), 40, &l))
			for (int i = 0; i < N; i++)
				if (f[i]->b.listed)
					assert_true(f[i]->b.effective_deadline_ms >=
						    l.batch->effective_deadline_ms);
		for (int i = 0; i < N; i++)
			for (int k = 0; k < N; k++)
				if (f[i]->b.effective_deadline_ms < f[k]->b.effective_deadline_ms)
					assert_true(f[i]->b.at < f[k]->b.at);
		sim_close(&sim, f, N);
	}
}

/* Two alike do not take turns: the first ends when it would alone. */
static void batch_that_has_begun_goes_on(void **state)
{
	(void)state;
	struct sim sim;
	struct fake *f[] = { fake_new("a", 4000), fake_new("a", 4000) };
	sim_open(&sim, 4, 1);
	f[1]->b.expires_at += 60;
	schedule_add(sim.schedule, &f[0]->b);
	schedule_add(sim.schedule, &f[1]->b);
	while (sim_step(&sim))
		;
	assert_about(f[0]->ended_ms, 1000000, 0.01);
	sim_close(&sim, f, 2);
}

/* Three batches, each of which must go first for its time, and fill `part` of the windows' end. */
static void three_windows(const char *const orgs[3], double part, bool spread)
{
	static const double window_s[] = { 12 * 3600, 24 * 3600, 7 * 86400 };
	const double line_s = 100, slots = 16;
	struct sim sim;
	struct fake *f[3];
	double before_s = 0;
	sim_open(&sim, (unsigned)slots, 2);
	sim.spread = spread;
	sim.forecast_each_ms = 10000;
	for (int i = 2; i >= 0; i--) { /* the last comes first */
		before_s = i == 0 ? 0 : window_s[i - 1];
		f[i] = fake_new(orgs[i],
				(uint64_t)(part * (window_s[i] - before_s) * slots / line_s));
		f[i]->line_ms = line_s * 1000;
		f[i]->b.expires_at = (int64_t)window_s[i];
		schedule_add(sim.schedule, &f[i]->b);
	}
	while (sim_step(&sim))
		;
	for (int i = 0; i < 3; i++)
		if (f[i]->ended_ms > window_s[i] * 1000)
			fail_msg("window %d ends at %.0f s of %.0f", i, f[i]->ended_ms / 1000,
				 window_s[i]);
	sim_close(&sim, f, 3);
}

static void three_windows_that_just_fit(void **state)
{
	static const char *const one[] = { "a", "a", "a" }, *const three[] = { "a", "b", "c" },
				 *const two[] = { "a", "b", "a" };
	(void)state;
	sim_seed = 3;
	for (int spread = 0; spread < 3; spread++) {
		three_windows(one, 0.97, spread);
		three_windows(two, 0.97, spread);
		three_windows(three, 0.97, spread);
	}
}

/* A batch that needs all slots gets them, but for one turn in LATE_SPARES. */
static void late_goes_before(const char *org)
{
	struct sim sim;
	struct fake *f[] = { fake_new("a", 4000), fake_new(org, 1u << 30) };
	sim_open(&sim, 4, 1);
	f[0]->b.expires_at = 1050; /* alone: 1,000 s */
	schedule_add(sim.schedule, &f[1]->b);
	for (int i = 0; i < 100; i++)
		sim_step(&sim);
	f[0]->b.expires_at += (int64_t)(sim.now_ms / 1000);
	uint64_t others = f[1]->given;
	schedule_add(sim.schedule, &f[0]->b);
	sim_forecast(&sim);
	assert_true(f[0]->b.late);
	assert_false(f[0]->b.forecast.at_risk);
	for (int i = 0; i < 500; i++)
		sim_step(&sim);
	assert_in_range(f[1]->given - others, 500 / LATE_SPARES - 1, 500 / LATE_SPARES + 1);
	while (f[0]->ended < 4000)
		sim_step(&sim);
	assert_true(f[0]->ended_ms <= (double)f[0]->b.expires_at * 1000);
	sim_close(&sim, f, 2);
}

static void late_batch_goes_first(void **state)
{
	(void)state;
	late_goes_before("b");
	late_goes_before("a");
}

/* The first of an organization is not late by itself; it is when the second goes before it. */
static void precedence_makes_nobody_late(void **state)
{
	(void)state;
	struct sim sim;
	struct fake *f[] = { fake_new("a", 3600), fake_new("a", 2200) };
	sim_open(&sim, 4, 1);
	f[0]->b.expires_at = 1000; /* alone: 900 s */
	f[1]->b.expires_at = 1500; /* 550 s after it: that is close */
	schedule_add(sim.schedule, &f[0]->b);
	schedule_add(sim.schedule, &f[1]->b);
	for (int i = 0; i < 40; i++)
		sim_step(&sim);
	sim_forecast(&sim);
	for (int k = 0; k < 2; k++) {
		assert_true(f[k]->b.late);
		assert_false(f[k]->b.forecast.at_risk);
	}
	while (sim_step(&sim))
		;
	for (int k = 0; k < 2; k++)
		assert_true(f[k]->ended_ms <= (double)f[k]->b.expires_at * 1000);
	sim_close(&sim, f, 2);
}

/* A batch that cannot be saved makes no other late: it has its share, no more. */
static void lost_batch_has_no_precedence(void **state)
{
	(void)state;
	struct sim sim;
	struct fake *f[] = { fake_new("a", 40000), fake_new("b", 4000) };
	sim_open(&sim, 4, 1);
	f[0]->b.expires_at = 5000; /* alone: 10,000 s */
	f[1]->b.expires_at = 2500;
	schedule_add(sim.schedule, &f[0]->b);
	schedule_add(sim.schedule, &f[1]->b);
	for (int i = 0; i < 20; i++)
		sim_step(&sim);
	sim_forecast(&sim);
	assert_true(f[0]->b.forecast.at_risk);
	assert_false(f[0]->b.late);
	assert_false(f[1]->b.forecast.at_risk);
	while (f[1]->ended < 4000)
		sim_step(&sim);
	assert_about(f[1]->ended_ms, 2000000, 0.02);
	sim_close(&sim, f, 2);
}

/* Of two that fit one after the other only in one order, both are saved. */
static void late_ones_go_by_their_windows_end(void **state)
{
	(void)state;
	struct sim sim;
	struct fake *f[] = { fake_new("a", 7200), fake_new("b", 1600) };
	sim_open(&sim, 4, 1);
	f[0]->b.expires_at = 2260; /* alone: 1,800 s, so it would have to begin by 460 */
	f[1]->b.expires_at = 1200; /* 400 s, by 800; but it cannot wait for the other */
	schedule_add(sim.schedule, &f[0]->b);
	schedule_add(sim.schedule, &f[1]->b);
	while (sim_step(&sim))
		;
	for (int k = 0; k < 2; k++)
		assert_true(f[k]->ended_ms <= (double)f[k]->b.expires_at * 1000);
	sim_close(&sim, f, 2);
}

/* However many small batches come, none takes the large one's end away. */
static void small_ones_overtake_within_the_slack(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++) {
		enum { SMALL = 400 };
		struct sim sim;
		struct fake *f[SMALL + 1] = { NULL };
		size_t n = 1;
		double first_ms = 0;
		sim_seed = seed;
		sim_open(&sim, 8, 1);
		f[0] = fake_new("a", 8000); /* alone: 1,000 s */
		f[0]->b.expires_at = 1500;
		schedule_add(sim.schedule, &f[0]->b);
		do {
			if (n <= SMALL && sim_random(8) == 0) { /* more than all slots can do */
				f[n] = fake_new("a", 10 + sim_random(20));
				f[n]->b.expires_at += (int64_t)(sim.now_ms / 1000);
				schedule_add(sim.schedule, &f[n++]->b);
				sim_forecast(&sim);
				first_ms = n == 2 ? sim.now_ms : first_ms;
			}
		} while (sim_step(&sim));
		assert_true(f[0]->ended_ms <= 1500000);
		if (n > 1)
			assert_true(f[1]->ended_ms - first_ms < 10000);
		sim_close(&sim, f, n);
	}
}

static void overtaking_uses_up_slack(void **state)
{
	(void)state;
	enum { SMALL = 6 };
	struct sim sim;
	struct fake *f[SMALL + 2] = { fake_new("a", 4000), fake_new("a", 300) };
	sim_open(&sim, 4, 1);
	f[0]->b.expires_at = 1100; /* alone: 1,000 s */
	schedule_add(sim.schedule, &f[0]->b);
	for (int i = 0; i < 40; i++)
		sim_step(&sim);
	schedule_add(sim.schedule, &f[1]->b); /* 75 s: more than half of 100 */
	sim_forecast(&sim);
	assert_true(f[1]->b.at > f[0]->b.at);
	schedule_remove(sim.schedule, &f[1]->b);
	unsigned before = 0;
	for (int i = 2; i < SMALL + 2; i++) {
		f[i] = fake_new("a", 100); /* 25 s each */
		f[i]->b.expires_at += i;
		schedule_add(sim.schedule, &f[i]->b);
	}
	sim_forecast(&sim);
	for (int i = 2; i < SMALL + 2; i++)
		before += f[i]->b.at < f[0]->b.at;
	assert_in_range(before, 2, 3); /* 25 of 100, 25 of 75, 25 of 50 */
	sim_close(&sim, f, SMALL + 2);
}

/* ---- forecasts ---- */

static void forecast_says_when_each_one_ends(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		enum { N = 6 };
		static const char *const orgs[] = { "a", "b", "c" };
		struct sim sim;
		struct fake *f[N];
		double expected[N];
		sim_seed = seed;
		sim_open(&sim, 8, 1);
		for (int i = 0; i < N; i++) {
			f[i] = fake_new(orgs[i % 3], 500 + sim_random(4000));
			f[i]->b.org_weight = 1 + (unsigned)i % 3;
			f[i]->b.expires_at = 100000 + sim_random(10000);
			schedule_add(sim.schedule, &f[i]->b);
		}
		sim_forecast(&sim);
		assert_int_equal(f[0]->b.forecast.eta_s, -1); /* nothing is known yet */
		for (int i = 0; i < 400; i++)
			sim_step(&sim);
		sim_forecast(&sim);
		for (int i = 0; i < N; i++)
			expected[i] = sim.now_ms + 1000.0 * (double)f[i]->b.forecast.eta_s;
		while (sim_step(&sim))
			;
		for (int i = 0; i < N; i++)
			assert_about(expected[i], f[i]->ended_ms, 0.03);
		sim_close(&sim, f, N);
	}
}

/* 11.3: a batch that is held takes nothing from the others, and nobody knows when it ends. */
static void forecast_leaves_out_what_is_suspended(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct sim sim;
		struct fake *f[] = { fake_new("a", 4000), fake_new("a", 1000),
				     fake_new("b", 1000) };
		sim_open(&sim, 8, 1);
		f[0]->b.expires_at = late ? 500 : 100000;
		for (int i = 0; i < 3; i++)
			schedule_add(sim.schedule, &f[i]->b);
		for (int i = 0; i < 400; i++)
			sim_step(&sim);
		schedule_suspend(sim.schedule, &f[0]->b, true);
		while (f[0]->b.in_flight > 0)
			sim_step(&sim);
		sim_forecast(&sim);
		assert_int_equal(f[0]->b.forecast.eta_s, -1);
		assert_int_equal(f[0]->b.forecast.at_risk, late);
		assert_int_equal(f[1]->b.forecast.queue_position, 0);
		double expected[3];
		for (int i = 1; i < 3; i++)
			expected[i] = sim.now_ms + 1000.0 * (double)f[i]->b.forecast.eta_s;
		while (sim_step(&sim))
			;
		/* one with precedence has left its organization in debt: that evens out first */
		for (int i = 1; i < 3 && !late; i++)
			assert_about(expected[i], f[i]->ended_ms, 0.03);
		schedule_suspend(sim.schedule, &f[0]->b, false);
		sim_forecast(&sim);
		assert_true(f[0]->b.forecast.eta_s > 0);
		while (sim_step(&sim))
			;
		assert_int_equal(f[0]->ended, 4000);
		sim_close(&sim, f, 3);
	}
}

/* 11.1, hours: the end counts them, the window does not stop, and what waits for them is in nobody's
 * way. */
static void forecast_counts_hours(void **state)
{
	(void)state;
	struct opening late = { .not_before = 10000 };
	struct sim sim;
	struct fake *f[] = { fake_new("a", 4000), fake_new("a", 4000) };
	sim_open(&sim, 8, 1);
	f[0]->b.opening = &late;
	f[0]->b.expires_at = 20000;
	f[0]->b.suspended = true; /* as its owner has it */
	f[1]->b.expires_at = 100000;
	for (int i = 0; i < 2; i++)
		schedule_add(sim.schedule, &f[i]->b);
	for (int i = 0; i < 400; i++)
		sim_step(&sim);
	sim_forecast(&sim);
	/* the other has the server until then: 3,600 lines at 8 a second */
	assert_about((double)f[1]->b.forecast.eta_s, 450, 0.05);
	assert_int_equal(f[1]->b.forecast.queue_position, 0);
	/* 500 s of its own from its time on */
	assert_about((double)f[0]->b.forecast.eta_s, 10000 - sim.now_ms / 1000 + 500, 0.01);
	assert_false(f[0]->b.forecast.at_risk);
	late.not_before = 0; /* what was found is kept until then: nothing is looked up anew */
	sim_forecast(&sim);
	assert_about((double)f[0]->b.forecast.eta_s, 10000 - sim.now_ms / 1000 + 500, 0.01);
	f[0]->b.opening_memo = (struct opening_memo){ 0 };
	late.not_before = 19800; /* too late for its window's end */
	sim_forecast(&sim);
	assert_true(f[0]->b.forecast.at_risk);
	f[0]->b.opening_memo = (struct opening_memo){ 0 };
	late.not_before = 60; /* beside the other: half of the slots until that ends */
	sim_forecast(&sim);
	assert_about((double)f[0]->b.forecast.eta_s, 60 - sim.now_ms / 1000 + 940, 0.02);
	f[0]->b.opening_memo = (struct opening_memo){ 0 };
	/* and when it runs, its end is that of its hours again */
	late = (struct opening){ .has_hours = true,
				 .hours = { .from_min = 0, .to_min = 5, .zone = "" } };
	const struct zone *utc;
	bool known;
	struct error err;
	assert_true(zone_find("Etc/UTC", &utc, &known, &err));
	if (known) {
		late.zone = utc;
		schedule_suspend(sim.schedule, &f[0]->b, false);
		schedule_suspend(sim.schedule, &f[1]->b, true);
		sim_forecast(&sim); /* 250 s are left of today, 250 s wait for tomorrow */
		assert_true(f[0]->b.forecast.eta_s > 86000);
		assert_true(f[0]->b.forecast.at_risk);
		schedule_suspend(sim.schedule, &f[1]->b, false);
	}
	while (sim_step(&sim))
		;
	assert_int_equal(f[0]->ended, 4000);
	f[0]->b.opening = NULL;
	sim_close(&sim, f, 2);
}

static void forecast_tells_positions_and_standstill(void **state)
{
	(void)state;
	struct sim sim;
	struct fake *f[] = { fake_new("a", 4000), fake_new("a", 4000), fake_new("a", 4000),
			     fake_new("b", 4000) };
	sim_open(&sim, 4, 1);
	for (int i = 0; i < 4; i++) {
		f[i]->b.expires_at = 100000 + i;
		schedule_add(sim.schedule, &f[i]->b);
	}
	for (int i = 0; i < 40; i++)
		sim_step(&sim);
	sim_fill(&sim);
	sim_forecast(&sim);
	static const unsigned positions[] = { 0, 1, 2, 0 };
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(f[i]->b.forecast.queue_position, positions[i]);
	schedule_forecast(sim.schedule, 0, 40);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(f[i]->b.forecast.eta_s, -1);
		assert_false(f[i]->b.forecast.at_risk);
	}
	schedule_forecast(sim.schedule, 0, 99900); /* none could make its end even if lines moved */
	for (unsigned i = 0; i < 4; i++)
		assert_true(f[i]->b.forecast.at_risk);
	sim_close(&sim, f, 4);
}

/* Want of descriptors: what cannot be lent is asked for again, and nothing is lost by it. */
static void what_cannot_be_lent_is_asked_for_again(void **state)
{
	struct schedule *s = schedule_open(&fake_ops);
	struct fake *f = fake_new("a", SEGMENT_LINES + 1);
	struct schedule_line l;
	uint64_t given = 0;

	(void)state;
	f->later = true;
	schedule_add(s, &f->b);
	assert_false(schedule_has_line(s));
	schedule_look_again(s);
	assert_false(schedule_has_line(s));
	f->later = false;
	schedule_look_again(s);
	f->later = true;
	while (schedule_next(s, fake_lane(0), 0, &l)) {
		schedule_ended(s, &l, 1, 1);
		given++;
	}
	assert_int_equal(given, SEGMENT_LINES);
	f->later = false;
	schedule_look_again(s);
	assert_true(schedule_next(s, fake_lane(0), 0, &l));
	assert_int_equal(l.record, SEGMENT_LINES);
	schedule_ended(s, &l, 1, 1);
	schedule_look_again(s);
	assert_false(schedule_has_line(s));
	schedule_remove(s, &f->b);
	fake_free(f);
	schedule_close(s);
}

/* ---- what it costs ---- */

/* Visits of batches and organizations that adding so many batches costs, that lines of them do, that
 * holding and releasing them does, and removing them: each of one. */
struct costs {
	double add, line, hold, remove;
};

static struct costs costs_of(size_t n, size_t orgs, bool late)
{
	enum { LINES = 2000 };
	struct schedule *s = schedule_open(&fake_ops);
	struct fake **f = calloc(n, sizeof(void *));
	struct schedule_line l;
	struct costs ret;
	uint64_t from = 0;

	assert_non_null(f);
	sim_seed = 5;
	for (size_t i = 0; i < n; i++) {
		char org[32];
		snprintf(org, sizeof(org), "org-%zu", i % orgs);
		f[i] = fake_new(org, 4 + 4000 / n);
		f[i]->b.expires_at = late ? 1100 : 100000 + sim_random(1000000);
		schedule_add(s, &f[i]->b);
	}
	ret.add = (double)(s->visits - from) / (double)n;
	for (int i = 0; i < LINES; i++) {
		if (i == LINES / 2) { /* once a second: of all */
			schedule_forecast(s, 16, 1000);
			from = s->visits;
		}
		assert_true(schedule_next(s, fake_lane(0), 1000, &l));
		fake_of(&l)->ended++;
		schedule_ended(s, &l, late ? 50 : 100, 200);
	}
	ret.line = 2 * (double)(s->visits - from) / LINES;
	from = s->visits;
	for (size_t i = 0; i < n; i++) {
		schedule_hold(s, &f[i]->b, true);
		schedule_hold(s, &f[i]->b, false);
	}
	ret.hold = (double)(s->visits - from) / (double)n;
	from = s->visits;
	for (size_t i = 0; i < n; i++) {
		schedule_remove(s, &f[i]->b);
		fake_free(f[i]);
	}
	ret.remove = (double)(s->visits - from) / (double)n;
	free(f);
	schedule_close(s);
	return ret;
}

static void assert_costs(struct costs c, double most)
{
	if (c.add > most || c.line > most || c.hold > most || c.remove > most)
		fail_msg("add %g, line %g, hold %g, remove %g: more than %g visits", c.add, c.line,
			 c.hold, c.remove, most);
}

/* Between two forecasts no step visits more than the logarithm of what waits: of one organization's
 * batches, of as many organizations, of those with precedence. */
static void no_step_visits_all_that_wait(void **state)
{
	static const size_t counts[] = { 200, 2000, 20000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		double most = 2 * log2((double)counts[i]) + 2;
		assert_costs(costs_of(counts[i], 1, false), most);
		assert_costs(costs_of(counts[i], 200, false), most);
		assert_costs(costs_of(counts[i], counts[i], false), most);
		assert_costs(costs_of(counts[i], 200, true), most);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_once_and_never_a_slot_empty),
		cmocka_unit_test(organizations_share_tokens_by_weight),
		cmocka_unit_test(wild_lines_are_settled),
		cmocka_unit_test(nobody_starves),
		cmocka_unit_test(idle_organizations_save_nothing),
		cmocka_unit_test(debt_is_kept_and_bounded),
		cmocka_unit_test(alone_no_body_is_looked_at),
		cmocka_unit_test(line_that_cannot_be_looked_at_costs_one),
		cmocka_unit_test(hundred_lines_beside_a_million),
		cmocka_unit_test(earliest_effective_deadline_first),
		cmocka_unit_test(batch_that_has_begun_goes_on),
		cmocka_unit_test(three_windows_that_just_fit),
		cmocka_unit_test(late_batch_goes_first),
		cmocka_unit_test(precedence_makes_nobody_late),
		cmocka_unit_test(lost_batch_has_no_precedence),
		cmocka_unit_test(late_ones_go_by_their_windows_end),
		cmocka_unit_test(small_ones_overtake_within_the_slack),
		cmocka_unit_test(overtaking_uses_up_slack),
		cmocka_unit_test(forecast_says_when_each_one_ends),
		cmocka_unit_test(forecast_leaves_out_what_is_suspended),
		cmocka_unit_test(forecast_counts_hours),
		cmocka_unit_test(forecast_tells_positions_and_standstill),
		cmocka_unit_test(what_cannot_be_lent_is_asked_for_again),
		cmocka_unit_test(no_step_visits_all_that_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
