/* test_engine.c: the simulated engine's model behaves as upstreams.md says that real ones do. */
#include "unit.h"

#include "base/attr.h"
#include "engine.h"

#define MS 1000000LL
#define JOBS_MAX 4096u

/* ---- an engine, and what it did with each job ---- */

struct done {
	uint64_t tokens;
	int64_t ended_ns; /* 0: not yet */
	bool lost;
	uint64_t prompt_tokens, cached_tokens, asked;
	struct sim_job *job;
};

static struct sim sim;
static int64_t now_ns;
static struct done done[JOBS_MAX];
static unsigned n_done, n_lost, n_asked;
static char prompt[4096];

static void on_token(struct seq *s)
{
	struct done *d = s->job->owner;

	d->tokens++;
}

static void on_end(struct sim_job *j)
{
	struct done *d = j->owner;

	d->ended_ns = now_ns;
	d->prompt_tokens = j->prompt_tokens;
	d->cached_tokens = j->cached_tokens;
	d->asked = j->asked;
	n_done++;
}

static void on_lost(struct sim_job *j)
{
	struct done *d = j->owner;

	d->lost = true;
	n_lost++;
}

static void engine_open(struct sim_options o)
{
	o.step_us = 10000;
	o.budget = o.budget > 0 ? o.budget : 100000;
	sim = (struct sim){
		.options = o, .on_token = on_token, .on_end = on_end, .on_lost = on_lost
	};
	now_ns = 0;
	n_done = n_lost = n_asked = 0;
	memset(done, 0, sizeof(done));
	memset(prompt, 'a', sizeof(prompt));
	sim_init(&sim, 0);
}

static enum sim_answer ask_as(const struct sim_ask *a)
{
	struct done *d = &done[n_asked];
	enum sim_answer answer = sim_submit(&sim, a, d, now_ns, &d->job);

	assert_true(n_asked < JOBS_MAX);
	n_asked += answer == SIM_TAKEN;
	return answer;
}

/* A request for so many tokens, with a prompt of as many. */
static struct done *ask_lora(unsigned prompt_tokens, unsigned tokens, unsigned lora)
{
	struct slice input = { prompt, (size_t)prompt_tokens * TOKEN_BYTES };

	assert_int_equal(
		ask_as(&(struct sim_ask){
			.inputs = &input, .n_inputs = 1, .max_tokens = tokens, .lora = lora }),
		SIM_TAKEN);
	return &done[n_asked - 1];
}

static struct done *ask(unsigned prompt_tokens, unsigned tokens)
{
	return ask_lora(prompt_tokens, tokens, 0);
}

static void run_for(int64_t ns)
{
	int64_t until = now_ns + ns;

	for (int64_t due; (due = sim_run(&sim, now_ns)) <= until;)
		now_ns = due;
	now_ns = until;
}

static void run_out(void)
{
	for (int64_t due; (due = sim_run(&sim, now_ns)) != NEVER_NS;)
		now_ns = due;
}

/* ---- gauges ---- */

/* How often so many are shown to run, in hundredths, while 16 lines of about `tokens` are in flight
 * on 8 slots: a new one comes 1 ms after each that ended. */
static void shown_running(unsigned tokens, unsigned *ret_8, unsigned *ret_7, unsigned *ret_less)
{
	unsigned shown[9] = { 0 }, n = 0;
	uint64_t chance = 1;

	engine_open((struct sim_options){ .slots = 8, .gauges_at_step_end = true });
	for (; n_asked < JOBS_MAX - 20; now_ns += MS) {
		sim_run(&sim, now_ns);
		while (n_asked - n_done < 16) {
			chance = chance * 6364136223846793005u + 1442695040888963407u;
			ask(10, tokens / 2 + 1 + (unsigned)(chance >> 33) % tokens);
		}
		if (now_ns < 1000 * MS || now_ns % (100 * MS) != 50 * MS)
			continue;
		struct sim_gauges g = sim_gauges(&sim, 0);
		assert_true(g.running <= 8 && g.waiting >= 4 && g.waiting <= 9);
		shown[g.running]++;
		n++;
	}
	assert_true(n > 0);
	n += n == 0; /* clang-tidy does not know that assert_true() does not return */
	*ret_8 = 100 * shown[8] / n;
	*ret_7 = 100 * shown[7] / n;
	*ret_less = 100 * (n - shown[8] - shown[7]) / n;
	sim_free(&sim);
}

/* As upstreams.md has it: 8 in 36, 7 in 16, 6 in 3 of 55 samples, though some wait all the time.
 * That is one end in 2.5 steps, as of lines of 20 tokens. */
static void running_blinks(void **state)
{
	unsigned eight, seven, less;
	(void)state;

	shown_running(20, &eight, &seven, &less);
	print_message("20 tokens: 8 in %u %%, 7 in %u %%, 6 and less in %u %%\n", eight, seven,
		      less);
	assert_in_range(eight, 58, 72);
	assert_in_range(seven, 22, 36);
	assert_in_range(less, 2, 11);
	shown_running(11, &eight, &seven, &less);
	print_message("11 tokens: 8 in %u %%, 7 in %u %%, 6 and less in %u %%\n", eight, seven,
		      less);
	assert_true(eight > seven && seven > less && less > 5);
}

static void step_end_shows_no_newcomers(void **state)
{
	struct sim_gauges g;
	(void)state;

	engine_open((struct sim_options){ .slots = 2, .gauges_at_step_end = true });
	ask(10, 50);
	run_for(1 * MS);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 1 && g.waiting == 0); /* an idle engine: at once */
	for (int i = 0; i < 4; i++)
		ask(10, 50);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 1 && g.waiting == 0);
	run_for(10 * MS); /* a step has ended, that they were no part of */
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 1 && g.waiting == 0);
	run_for(10 * MS);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 2 && g.waiting == 3);
	sim_cancel(&sim, done[4].job, now_ns);
	run_for(10 * MS);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 2 && g.waiting == 2);
	sim_cancel(&sim, ask(10, 50)->job, now_ns); /* it came and went in one step */
	run_for(10 * MS);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 2 && g.waiting == 2);
	sim_free(&sim);
}

static void without_the_switch_all_is_shown_at_once(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 2 });
	for (int i = 0; i < 5; i++)
		ask(10, 5);
	run_for(1 * MS);
	ask(10, 5);
	struct sim_gauges g = sim_gauges(&sim, 0);
	assert_true(g.running == 2 && g.waiting == 4);
	run_out();
	assert_int_equal(n_done, 6);
	sim_free(&sim);
}

static void pooling_never_shows_as_running(void **state)
{
	struct slice input = { prompt, 400 };
	(void)state;

	engine_open((struct sim_options){ .slots = 8, .pooling = true, .budget = 500 });
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask_as(&(struct sim_ask){
					 .inputs = &input, .n_inputs = 1, .embeddings = true }),
				 SIM_TAKEN);
	sim_run(&sim, now_ns);
	assert_int_equal(sim_gauges(&sim, 0).running, 0);
	assert_int_equal(sim_gauges(&sim, 0).waiting, 20);
	assert_int_equal(sim_running(&sim), 5); /* of 100 tokens each: the budget */
	for (unsigned ended = 5; ended <= 20; ended += 5) {
		run_for(10 * MS);
		assert_int_equal(n_done, ended);
		assert_int_equal(sim_gauges(&sim, 0).running, 0);
	}
	assert_int_equal(sim_stats(&sim, now_ns).output_tokens, 0);
	assert_int_equal(done[0].prompt_tokens, 100);
	sim_free(&sim);
}

/* ---- jobs of many sequences ---- */

static void n_and_inputs_are_sequences(void **state)
{
	struct slice inputs[2] = { { prompt, 40 }, { prompt, 80 } };
	(void)state;

	engine_open((struct sim_options){ .slots = 4 });
	assert_int_equal(ask_as(&(struct sim_ask){
				 .inputs = inputs, .n_inputs = 2, .n = 3, .max_tokens = 5 }),
			 SIM_TAKEN);
	run_for(1 * MS);
	assert_int_equal(sim_running(&sim), 4);
	assert_int_equal(sim_waiting(&sim), 2);
	run_for(60 * MS); /* four have ended */
	assert_int_equal(n_done, 0);
	run_out();
	assert_int_equal(n_done, 1);
	assert_int_equal(done[0].ended_ns, 100 * MS); /* with the last of the six */
	assert_int_equal(done[0].tokens, 30);
	assert_int_equal(done[0].prompt_tokens, 30); /* each input once */
	sim_free(&sim);
}

static void a_job_is_cancelled_whole(void **state)
{
	struct slice input = { prompt, 40 };
	(void)state;

	engine_open((struct sim_options){ .slots = 2 });
	assert_int_equal(ask_as(&(struct sim_ask){
				 .inputs = &input, .n_inputs = 1, .n = 4, .max_tokens = 50 }),
			 SIM_TAKEN);
	struct done *other = ask(10, 3);
	run_for(5 * MS);
	sim_cancel(&sim, done[0].job, now_ns);
	assert_int_equal(sim_waiting(&sim), 1);
	run_out();
	assert_true(n_done == 1 && other->ended_ns == 40 * MS);
	sim_free(&sim);
}

static void answers_grow_by_the_factor(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 2 });
	sim.answer_factor = 10;
	ask(10, 4);
	run_out();
	assert_true(done[0].tokens == 40 && done[0].asked == 40);
	sim_free(&sim);
}

/* ---- who runs ---- */

static void adapters_beyond_the_limit_are_deferred(void **state)
{
	struct sim_gauges g;
	(void)state;

	engine_open((struct sim_options){ .slots = 8, .loras = 2, .max_loras = 1 });
	for (int i = 0; i < 12; i++)
		ask_lora(10, 10, 1 + (unsigned)i / 6);
	ask_lora(10, 10, 0); /* no adapter: behind them all, and not held up */
	run_for(1 * MS);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 7 && g.waiting == 6 && g.deferred == 6);
	for (int i = 0; i < 6; i++) {
		run_for(30 * MS);
		ask_lora(10, 10, 1); /* as long as these come, the others wait */
	}
	run_for(10 * MS);
	for (int i = 6; i < 12; i++)
		assert_int_equal(done[i].tokens, 0);
	run_out();
	assert_int_equal(n_done, 19);
	g = sim_gauges(&sim, 0);
	assert_true(g.waiting == 0 && g.deferred == 0);
	sim_free(&sim);
}

static void engines_share_evenly(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 4, .engines = 2 });
	for (int i = 0; i < 16; i++)
		ask(10, 10);
	run_for(1 * MS);
	for (unsigned i = 0; i < 2; i++) {
		struct sim_gauges g = sim_gauges(&sim, i);

		assert_true(g.running == 4 && g.waiting == 4);
	}
	run_for(9 * MS);
	struct sim_stats s = sim_stats(&sim, now_ns);
	assert_true(s.running_s > 0.0799 && s.running_s < 0.0801);
	assert_true(s.slot_s > 0.0799 && s.slot_s < 0.0801);
	assert_int_equal(sim.waiting_most, 8);
	run_out();
	assert_int_equal(n_done, 16);
	sim_free(&sim);
}

static void a_bounded_queue_refuses(void **state)
{
	struct slice input = { prompt, 40 };
	const struct sim_ask one = { .inputs = &input, .n_inputs = 1, .max_tokens = 5 };
	unsigned taken = 0;
	(void)state;

	engine_open((struct sim_options){ .slots = 8, .max_queued = 12 });
	for (int i = 0; i < 30; i++)
		taken += ask_as(&one) == SIM_TAKEN;
	assert_int_equal(taken, 12);
	assert_int_equal(sim.n_rejected, 18);
	run_out();
	assert_int_equal(n_done, 12);
	assert_int_equal(ask_as(&one), SIM_TAKEN);
	sim_free(&sim);
}

static void other_slots_from_now_on(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 2 });
	for (int i = 0; i < 20; i++)
		ask(10, 10);
	run_for(1 * MS);
	sim_slots(&sim, 12, now_ns);
	run_for(10 * MS);
	assert_int_equal(sim_running(&sim), 12);
	sim_slots(&sim, 3, now_ns);
	run_for(10 * MS);
	assert_int_equal(sim_running(&sim), 12); /* they end as they would have */
	run_for(90 * MS);
	assert_int_equal(sim_running(&sim), 3);
	run_out();
	assert_int_equal(n_done, 20);
	sim_free(&sim);
}

/* ---- KV room and caches ---- */

static void room_is_set_aside(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 8, .kv_tokens = 100 });
	for (int i = 0; i < 8; i++)
		ask(10, 10);
	run_for(1 * MS);
	assert_int_equal(sim_running(&sim), 5);
	assert_true(sim_gauges(&sim, 0).cache == 1);
	run_out();
	assert_true(n_done == 8 && sim_stats(&sim, now_ns).preemptions == 0);
	sim_free(&sim);
}

/* All eight fit with their prompts; as they grow the last ones have to go, and come back. */
static void the_last_is_preempted(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 8, .kv_tokens = 100, .preempt = true });
	for (int i = 0; i < 9; i++)
		ask(10, 10);
	run_for(1 * MS);
	assert_int_equal(sim_running(&sim), 8);
	run_for(50 * MS);
	struct sim_stats s = sim_stats(&sim, now_ns);
	assert_true(s.preemptions > 0 && sim_running(&sim) < 8);
	assert_true(done[0].tokens > done[7].tokens);
	assert_int_equal(done[8].tokens, 0); /* it is behind those that were put back */
	run_out();
	s = sim_stats(&sim, now_ns);
	assert_int_equal(n_done, 9);
	for (int i = 0; i < 9; i++)
		assert_int_equal(done[i].tokens, 10); /* none twice */
	assert_int_equal(s.output_tokens, 90);
	assert_true(s.prefill_tokens > 90 + 10 * s.preemptions); /* prompts, and their tokens */
	assert_int_equal(s.prompt_tokens, 90);
	assert_true(sim_gauges(&sim, 0).cache == 0);
	assert_true(done[8].ended_ns > done[7].ended_ns);
	sim_free(&sim);
}

static void ask_prefix(char of)
{
	memset(prompt, of, sizeof(prompt));
	ask(100, 2);
	run_out();
}

/* Two slots keep two prefixes; a third one takes the place of the one that was used longest ago. */
static void slots_keep_their_prompts(void **state)
{
	static const struct {
		char prefix;
		uint64_t cached;
	} rows[] = { { 'a', 0 },  { 'a', 96 }, { 'b', 0 },  { 'a', 96 },
		     { 'b', 96 }, { 'c', 0 },  { 'b', 96 }, { 'a', 0 } };
	(void)state;

	engine_open((struct sim_options){ .slots = 2, .slot_cache = true });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ask_prefix(rows[i].prefix);
		assert_int_equal(done[i].cached_tokens, rows[i].cached);
	}
	sim_free(&sim);
}

static void one_cache_serves_all_slots(void **state)
{
	(void)state;
	engine_open((struct sim_options){ .slots = 2, .cache_tokens = 288 });
	for (size_t i = 0; i < 8; i++) {
		ask_prefix((char)('a' + i % 4));
		assert_int_equal(done[i].cached_tokens, 0); /* four do not fit */
	}
	ask_prefix('d');
	assert_int_equal(done[8].cached_tokens, 96);
	sim_free(&sim);
}

/* ---- death ---- */

static void a_dead_engine_keeps_its_gauges(void **state)
{
	struct slice input = { prompt, 40 };
	const struct sim_ask one = { .inputs = &input, .n_inputs = 1, .max_tokens = 5 };
	(void)state;

	engine_open((struct sim_options){ .slots = 4, .slot_cache = true });
	for (int i = 0; i < 6; i++)
		ask(10, 10);
	run_for(25 * MS);
	sim_kill(&sim, now_ns);
	assert_true(n_lost == 6 && n_done == 0 && done[0].lost);
	assert_int_equal(ask_as(&one), SIM_DEAD);
	run_for(1000 * MS);
	struct sim_gauges g = sim_gauges(&sim, 0);
	assert_true(g.running == 4 && g.waiting == 2);
	sim_revive(&sim, now_ns);
	g = sim_gauges(&sim, 0);
	assert_true(g.running == 0 && g.waiting == 0);
	assert_int_equal(ask_as(&one), SIM_TAKEN);
	run_out();
	assert_int_equal(n_done, 1);
	sim_free(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(running_blinks),
		cmocka_unit_test(step_end_shows_no_newcomers),
		cmocka_unit_test(without_the_switch_all_is_shown_at_once),
		cmocka_unit_test(pooling_never_shows_as_running),
		cmocka_unit_test(n_and_inputs_are_sequences),
		cmocka_unit_test(a_job_is_cancelled_whole),
		cmocka_unit_test(answers_grow_by_the_factor),
		cmocka_unit_test(adapters_beyond_the_limit_are_deferred),
		cmocka_unit_test(engines_share_evenly),
		cmocka_unit_test(a_bounded_queue_refuses),
		cmocka_unit_test(other_slots_from_now_on),
		cmocka_unit_test(room_is_set_aside),
		cmocka_unit_test(the_last_is_preempted),
		cmocka_unit_test(slots_keep_their_prompts),
		cmocka_unit_test(one_cache_serves_all_slots),
		cmocka_unit_test(a_dead_engine_keeps_its_gauges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
