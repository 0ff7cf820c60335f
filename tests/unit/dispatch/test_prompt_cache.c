/* test_prompt_cache.c: whether an engine's slots share a cache, and what is done where lines do not
 * find in it what they should; in virtual time. */
#include "unit.h"

#include <math.h>

#include "dispatch/prompt_cache.h"

#define INTERVAL_S 5u

struct world {
	struct prompt_cache cache;
	struct prompt_cache_view view;
	struct prompt_cache_news news;
	unsigned told;
	/* The share of prompt tokens that the engine finds in its cache. */
	double (*finds)(const struct prompt_cache *c, enum gauges_kind engine);
	double expects;
	bool answers_tell;
	unsigned lines_s; /* lines a second */
};

static void world_open(struct world *w, enum gauges_kind engine)
{
	*w = (struct world){ .expects = 0.8, .lines_s = 50 };
	w->view = (struct prompt_cache_view){
		.engine = engine, .queries = 0, .hits = 0, .in_flight = 16, .now_ms = 1000
	};
	assert_false(prompt_cache_tick(&w->cache, &w->view, &w->news));
}

static void world_run(struct world *w, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		double share = w->finds(&w->cache, w->view.engine);
		struct schedule_line l = { .input_tokens = 1000,
					   .cached_tokens = (uint32_t)(1000 * w->expects) };
		struct usage tokens = { .input = 1000,
					.cached = w->answers_tell ? (uint64_t)(1000 * share) : 0 };
		for (unsigned k = 0; k < w->lines_s; k++)
			prompt_cache_learn(&w->cache, &l, &tokens);
		if (w->view.queries >= 0) {
			w->view.queries += 1000.0 * w->lines_s;
			w->view.hits += share * 1000.0 * w->lines_s;
		}
		w->view.now_ms += 1000;
		w->told += prompt_cache_tick(&w->cache, &w->view, &w->news);
	}
}

static double finds_all(const struct prompt_cache *c, enum gauges_kind engine)
{
	(void)c;
	(void)engine;
	return 0.75;
}

static double finds_nothing(const struct prompt_cache *c, enum gauges_kind engine)
{
	(void)c;
	(void)engine;
	return 0;
}

static double finds_with_two_open(const struct prompt_cache *c, enum gauges_kind engine)
{
	(void)engine;
	return prompt_cache_prefixes(c) <= 2 ? 0.7 : 0.1;
}

static double finds_in_slots(const struct prompt_cache *c, enum gauges_kind engine)
{
	return prompt_cache_kind(c, engine) == SCHEDULE_CACHE_OF_SLOTS ? 0.7 : 0.2;
}

static void kind_is_the_engines(void **state)
{
	const struct prompt_cache c = { 0 };
	(void)state;
	assert_int_equal(prompt_cache_kind(&c, GAUGES_LLAMACPP), SCHEDULE_CACHE_OF_SLOTS);
	assert_int_equal(prompt_cache_kind(&c, GAUGES_VLLM), SCHEDULE_CACHE_SHARED);
	assert_int_equal(prompt_cache_kind(&c, GAUGES_SGLANG), SCHEDULE_CACHE_SHARED);
	assert_int_equal(prompt_cache_kind(&c, GAUGES_NONE), SCHEDULE_CACHE_SHARED);
	assert_int_equal(prompt_cache_prefixes(&c), SCHEDULE_PREFIXES_ANY);
}

static void what_is_as_expected_changes_nothing(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_VLLM);
	w.finds = finds_all;
	world_run(&w, 3600);
	assert_int_equal(w.told, 0);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
	w.expects = 0.05; /* next to nothing: not worth a search */
	w.finds = finds_nothing;
	world_run(&w, 3600);
	assert_int_equal(w.told, 0);
}

static void fewer_prefixes_where_that_helps(void **state)
{
	struct world w;
	(void)state;
	for (int told_by = 0; told_by < 2; told_by++) {
		world_open(&w, GAUGES_VLLM);
		w.finds = finds_with_two_open;
		if (told_by == 1) {
			w.answers_tell = true;
			w.view.queries = w.view.hits = -1;
			w.cache = (struct prompt_cache){ 0 };
		}
		world_run(&w, 4 * INTERVAL_S + 1);
		assert_int_equal(w.told, 1);
		assert_int_equal(prompt_cache_prefixes(&w.cache), 2);
		assert_int_equal(w.news.prefixes, 2);
		assert_true(fabs(w.news.expected - 0.8) < 0.01);
		assert_true(fabs(w.news.found_before - 0.1) < 0.01);
		assert_true(fabs(w.news.found - 0.7) < 0.01);
		world_run(&w, 3600);
		assert_int_equal(w.told, 1);
	}
}

static void other_kind_where_nobody_says(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_NONE);
	w.answers_tell = true;
	w.view.queries = w.view.hits = -1;
	w.finds = finds_in_slots;
	world_run(&w, 5 * INTERVAL_S);
	assert_int_equal(w.told, 1);
	assert_int_equal(w.news.cache, SCHEDULE_CACHE_OF_SLOTS);
	assert_int_equal(prompt_cache_kind(&w.cache, GAUGES_NONE), SCHEDULE_CACHE_OF_SLOTS);
	/* it is another engine */
	assert_int_equal(prompt_cache_kind(&w.cache, GAUGES_VLLM), SCHEDULE_CACHE_SHARED);

	world_open(&w, GAUGES_VLLM); /* it is known */
	w.finds = finds_in_slots;
	world_run(&w, 60);
	assert_int_equal(w.told, 1);
	assert_int_equal(prompt_cache_kind(&w.cache, GAUGES_VLLM), SCHEDULE_CACHE_SHARED);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
}

/* Nothing helps: it stays as it was, and is looked at again once in ten minutes. */
static void nothing_helps(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_VLLM);
	w.finds = finds_nothing;
	world_run(&w, 600);
	assert_int_equal(w.told, 1);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
	world_run(&w, 600);
	assert_int_equal(w.told, 2);
}

static double finds_next_to_nothing(const struct prompt_cache *c, enum gauges_kind engine)
{
	(void)engine;
	return prompt_cache_prefixes(c) == 2 ? 0.001 : 0;
}

/* Where nothing is found the usual way, a crumb is no reason for another one. */
static void a_way_is_kept_for_a_clear_gain_alone(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_VLLM);
	w.finds = finds_next_to_nothing;
	world_run(&w, 4 * INTERVAL_S + 1);
	assert_int_equal(w.told, 1);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
}

static double finds_with_many_open(const struct prompt_cache *c, enum gauges_kind engine)
{
	(void)engine;
	return prompt_cache_prefixes(c) == SCHEDULE_PREFIXES_ANY ? 0.6
	       : prompt_cache_prefixes(c) == 4                   ? 0.3
								 : 0.2;
}

/* A second search begins with another way in force: what that finds is not the usual way's. */
static void a_second_search_measures_the_usual_way_too(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_VLLM);
	w.finds = finds_with_two_open;
	world_run(&w, 4 * INTERVAL_S + 1);
	assert_int_equal(w.told, 1);
	assert_int_equal(prompt_cache_prefixes(&w.cache), 2);
	w.finds = finds_with_many_open;
	world_run(&w, 600 + 6 * INTERVAL_S);
	assert_int_equal(w.told, 2);
	assert_true(fabs(w.news.found_before - 0.6) < 0.01);
	assert_true(fabs(w.news.found - 0.6) < 0.01);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
}

static void others_requests_show_nothing(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_VLLM);
	w.finds = finds_nothing;
	for (unsigned i = 0; i < 600; i++) {
		w.view.online++;
		world_run(&w, 1);
	}
	for (unsigned i = 0; i < 600; i++) {
		w.view.queries += 40000; /* beside lowtide */
		world_run(&w, 1);
	}
	for (unsigned i = 0; i < 600; i++) {
		w.view.queries = w.view.hits = 0; /* the engine is restarted, again and again */
		world_run(&w, 1);
	}
	w.view.queries = w.view.hits = -1; /* nobody says */
	world_run(&w, 600);
	assert_int_equal(w.told, 0);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
}

static void a_search_that_is_broken_off_leaves_all_as_it_was(void **state)
{
	struct world w;
	(void)state;
	world_open(&w, GAUGES_VLLM);
	w.finds = finds_nothing;
	world_run(&w, 2 * INTERVAL_S + 1);
	assert_int_not_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
	w.lines_s = 0;
	world_run(&w, 60);
	assert_int_equal(prompt_cache_prefixes(&w.cache), SCHEDULE_PREFIXES_ANY);
	assert_int_equal(w.told, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kind_is_the_engines),
		cmocka_unit_test(what_is_as_expected_changes_nothing),
		cmocka_unit_test(fewer_prefixes_where_that_helps),
		cmocka_unit_test(other_kind_where_nobody_says),
		cmocka_unit_test(nothing_helps),
		cmocka_unit_test(a_way_is_kept_for_a_clear_gain_alone),
		cmocka_unit_test(a_second_search_measures_the_usual_way_too),
		cmocka_unit_test(others_requests_show_nothing),
		cmocka_unit_test(a_search_that_is_broken_off_leaves_all_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
