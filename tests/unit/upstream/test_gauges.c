/* test_gauges.c: the metrics that engines print, and what strangers would print in their place. */
#include "unit.h"

#include "base/attr.h"
#include "upstream/gauges.h"

static bool told(const char *text, enum gauges_kind kind, double waiting, double running,
		 double cache)
{
	struct gauges g;
	const char *why;
	if (!gauges_read(slice_of(text), kind, &g, &why))
		return false;
	assert_true(g.slots == -1);
	if (g.waiting == waiting && g.running == running && g.cache == cache)
		return true;
	print_error("%g waiting, %g running, %g cache\n", g.waiting, g.running, g.cache);
	return false;
}

/* Why it tells nothing. */
static const char *untold_why(const char *text)
{
	struct gauges g;
	const char *why;
	return gauges_read(slice_of(text), GAUGES_AUTO, &g, &why) ? "it does" : why;
}

static bool untold(const char *text)
{
	return strcmp(untold_why(text), "it holds no request counts of a known engine") == 0;
}

static struct gauges read_well(const char *text)
{
	struct gauges g;
	const char *why;
	assert_true(gauges_read(slice_of(text), GAUGES_AUTO, &g, &why));
	return g;
}

static const char vllm[] =
	"# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
	"# TYPE vllm:num_requests_running gauge\n"
	"vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 12.0\n"
	"vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 3.0\n"
	"vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 5.0\n"
	"vllm:num_requests_waiting{engine=\"1\",model_name=\"m\"} 1.0\n"
	"vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"capacity, or so\"} 5.0\n"
	"vllm:num_requests 7\n"
	"vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.125\n"
	"vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\"} 0.75\n"
	"vllm:kv_cache_usage_perc{engine=\"2\",model_name=\"m\"} 0.5\n";

static void engines(void **state)
{
	(void)state;
	struct gauges g;
	const char *why;
	assert_true(told(vllm, GAUGES_VLLM, 6, 15, 0.75));
	assert_true(told(vllm, GAUGES_AUTO, 6, 15, 0.75));
	assert_true(told("vllm:num_requests_running 1\nvllm:num_requests_waiting 0\n"
			 "vllm:gpu_cache_usage_perc 0.5\n",
			 GAUGES_AUTO, 0, 1, 0.5));
	/* llama.cpp has no labels, and no longer tells its cache */
	assert_true(told("llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n"
			 "llamacpp:n_busy_slots_per_decode 3.97\n",
			 GAUGES_AUTO, 46, 4, -1));
	assert_true(told("llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n"
			 "llamacpp:kv_cache_usage_ratio 0.25\n",
			 GAUGES_LLAMACPP, 46, 4, 0.25));
	g = read_well("sglang:num_running_reqs 2\nsglang:num_queue_reqs 1\n");
	assert_int_equal(g.kind, GAUGES_SGLANG);

	assert_false(gauges_read(slice_of(vllm), GAUGES_NONE, &g, &why));
	assert_false(gauges_read(slice_of(vllm), GAUGES_SGLANG, &g, &why));
	assert_string_equal(gauges_kind_words[GAUGES_AUTO], "auto");
	assert_string_equal(gauges_kind_words[GAUGES_LLAMACPP], "llamacpp");
	assert_null(gauges_kind_words[GAUGES_LLAMACPP + 1]);
}

static void sglang_repeats_itself(void **state)
{
	(void)state;
	assert_true(
		told("sglang:num_running_reqs{pp_rank=\"0\",priority=\"\",tp_rank=\"0\"} 8\n"
		     "sglang:num_running_reqs{pp_rank=\"0\",priority=\"5\",tp_rank=\"0\"} 6\n"
		     "sglang:num_running_reqs{pp_rank=\"0\",priority=\"None\",tp_rank=\"0\"} 2\n"
		     "sglang:num_queue_reqs{pp_rank=\"0\",priority=\"\",tp_rank=\"0\"} 3\n"
		     "sglang:token_usage{pp_rank=\"0\",priority=\"\",tp_rank=\"0\"} 0.5\n",
		     GAUGES_AUTO, 3, 8, 0.5));
	assert_true(told("sglang:num_running_reqs{pp_rank=\"0\",tp_rank=\"0\"} 8\n"
			 "sglang:num_running_reqs{pp_rank=\"1\",tp_rank=\"0\"} 8\n"
			 "sglang:num_running_reqs{pp_rank=\"0\",tp_rank=\"1\"} 8\n"
			 "sglang:num_queue_reqs{pp_rank=\"0\",tp_rank=\"0\"} 3\n",
			 GAUGES_AUTO, 3, 8, -1));
	/* ranks of data parallelism are engines of their own */
	assert_true(told("sglang:num_running_reqs{dp_rank=\"0\",pp_rank=\"0\",tp_rank=\"0\"} 8\n"
			 "sglang:num_running_reqs{pp_rank=\"0\",tp_rank=\"4\",dp_rank=\"1\"} 7\n"
			 "sglang:num_queue_reqs{dp_rank=\"0\",tp_rank=\"0\"} 3\n"
			 "sglang:num_queue_reqs{dp_rank=\"1\",tp_rank=\"4\"} 1\n",
			 GAUGES_AUTO, 4, 15, -1));
}

#define WAITING "vllm:num_requests_waiting"
#define RUNNING "\nvllm:num_requests_running 2"

static void forms(void **state)
{
	(void)state;
	static const char *const five[] = {
		WAITING " 5" RUNNING,
		WAITING "\t5 1700000000000\r" RUNNING "\r\n",
		"  " WAITING " {} 5e0" RUNNING,
		WAITING "{a=\"b\",} 0.5E+1" RUNNING,
		WAITING "{ a = \"b\" , c=\"d\" } 50e-1 -1" RUNNING,
		WAITING "{a=\"} 7 \\\" {\",b=\"\\\\\"} 5" RUNNING,
		WAITING "{a=\"\xff\xfe=,\"} +5." RUNNING,
		WAITING "{a=\"\"}5" RUNNING,
		"#" WAITING " 9\n# " WAITING " 9\n\n\r\n=\n{\n}\n\"\n" WAITING " 5" RUNNING,
		WAITING " 5\n" WAITING " Nan\n" WAITING " +inf\n" WAITING " - 1" RUNNING,
		WAITING " 5\n" WAITING "x 1\n" WAITING " 0x10\n" WAITING " 1e9e9\n" WAITING RUNNING,
		WAITING " 5\n" WAITING "{a=\"b\" 1\n" WAITING "{a=b} 1\n" WAITING "{a} 1" RUNNING,
		WAITING " 5\n" WAITING "{a=\"b} 1\n" WAITING "{a=\"b\\\n" WAITING "{" RUNNING,
		WAITING " 5\n" WAITING " 1,5\n" WAITING " nan(1)\n" WAITING " infinity\n" RUNNING,
		WAITING " 5\nvllm:kv_cache_usage_perc 34\nvllm:kv_cache_usage_perc nan" RUNNING,
	};
	for (size_t i = 0; i < ARRAY_LEN(five); i++)
		if (!told(five[i], GAUGES_AUTO, 5, 2, -1))
			fail_msg("%s", five[i]);
}

static void untold_texts(void **state)
{
	(void)state;
	assert_true(untold(""));
	assert_true(untold("\n"));
	assert_true(untold("<html>no metrics here</html>"));
	assert_non_null(strstr(untold_why(WAITING " 5"), "not how many run"));
	assert_non_null(strstr(untold_why(WAITING "_by_reason 5" RUNNING), "not how many wait"));
	assert_non_null(strstr(untold_why("x" WAITING " 5" RUNNING), "not how many wait"));
	struct gauges g;
	const char *why;
	assert_false(gauges_read((struct slice){ NULL, 0 }, GAUGES_AUTO, &g, &why));
	assert_false(gauges_read((struct slice){ "\0\0 \n\0", 5 }, GAUGES_AUTO, &g, &why));
}

static void what_no_engine_has(void **state)
{
	(void)state;
	static const char *const values[] = { "NaN",  "+Inf",  "-Inf",    "-0.5", "-1",
					      "1e18", "1e999", "1000001", "1e308" };
	char text[200];
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		snprintf(text, sizeof(text), WAITING " 5\n" WAITING "{a=\"b\"} %s" RUNNING,
			 values[i]);
		assert_non_null(strstr(untold_why(text), "no engine can have"));
		snprintf(text, sizeof(text), WAITING " 5" RUNNING "\nvllm:num_requests_running %s",
			 values[i]);
		assert_non_null(strstr(untold_why(text), "no engine can have"));
		/* the counters of a reading that is good are no reason to discard it */
		snprintf(text, sizeof(text),
			 WAITING " 5" RUNNING "\nvllm:num_preemptions_total 7\n"
				 "vllm:kv_cache_usage_perc %s",
			 values[i]);
		assert_true(told(text, GAUGES_AUTO, 5, 2, -1));
		assert_true(read_well(text).preemptions == 7);
	}
	/* the sum counts */
	assert_non_null(strstr(untold_why(WAITING " 6e5\n" WAITING "{a=\"b\"} 6e5" RUNNING),
			       "no engine can have"));
	/* another kind beside it may be right */
	assert_true(told(WAITING " -1" RUNNING
				 "\nsglang:num_running_reqs 2\nsglang:num_queue_reqs 1",
			 GAUGES_AUTO, 1, 2, -1));
}

static void before_the_first_request(void **state)
{
	(void)state;
	static const char types[] = "# HELP vllm:num_requests_running Number.\n"
				    "# TYPE vllm:num_requests_running gauge\n"
				    "# HELP vllm:num_requests_waiting Number.\n"
				    "# TYPE vllm:num_requests_waiting gauge\r\n";
	assert_true(told(types, GAUGES_AUTO, 0, 0, -1));
	assert_int_equal(read_well(types).kind, GAUGES_VLLM);
	assert_true(untold("# HELP vllm:num_requests_running\n# HELP vllm:num_requests_waiting\n"));
	assert_true(untold("# TYPE vllm:num_requests_running gauge\n"));
	/* a gateway that never says what waits: a TYPE is no reading beside a reading */
	assert_non_null(strstr(untold_why("# TYPE vllm:num_requests_running gauge\n"
					  "vllm:num_requests_running{server=\"http://a\"} 9\n"
					  "vllm:num_requests_running{server=\"http://b\"} 7\n"
					  "# TYPE vllm:num_requests_waiting gauge\n"),
			       "not how many wait"));
}

static void more_than_the_two_counts(void **state)
{
	(void)state;
	struct gauges g = read_well(
		WAITING
		" 6" RUNNING
		"\nvllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"capacity\"} 2\n"
		"vllm:num_requests_waiting_by_reason{engine=\"0\",reason=\"deferred\"} 3\n"
		"vllm:num_requests_waiting_by_reason{engine=\"1\",reason=\"deferred\"} 1\n"
		"vllm:num_preemptions_total{engine=\"0\"} 3\n"
		"vllm:num_preemptions_total{engine=\"1\"} 4\n"
		"vllm:prefix_cache_queries_total 1.5e+06\n"
		"vllm:prefix_cache_hits_total 1e+06\n"
		"vllm:generation_tokens_total 12345678901.0\n");
	assert_true(g.deferred == 4 && g.preemptions == 7 && g.prefix_queries == 1.5e6 &&
		    g.prefix_hits == 1e6 && g.output_tokens == 12345678901.0);
	g = read_well(WAITING " 1" RUNNING
			      "\nvllm:num_requests_waiting_by_reason{reason=\"deferred\"} 3\n");
	assert_true(g.deferred == 1); /* of those that wait */
	assert_true(g.preemptions == -1 && g.prefix_queries == -1 && g.prefix_hits == -1 &&
		    g.output_tokens == -1);

	g = read_well("sglang:num_running_reqs 2\nsglang:num_queue_reqs 1\n"
		      "sglang:num_retracted_reqs 9\n"
		      "sglang:num_retracted_requests_total{tp_rank=\"0\"} 5\n"
		      "sglang:num_retracted_requests_total{tp_rank=\"1\"} 5\n"
		      "sglang:prompt_tokens_total 100\n"
		      "sglang:cached_tokens_total{cache_source=\"device\"} 30\n"
		      "sglang:cached_tokens_total{cache_source=\"host\"} 10\n"
		      "sglang:generation_tokens_total 77\n");
	assert_true(g.deferred == 0 && g.preemptions == 5 && g.prefix_queries == 100 &&
		    g.prefix_hits == 40 && g.output_tokens == 77);
	g = read_well("llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n"
		      "llamacpp:tokens_predicted_total 900\n");
	assert_true(g.output_tokens == 900 && g.deferred == 0 && g.prefix_queries == -1);
	g = read_well("llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n"
		      "llamacpp:prompt_tokens_total 44\nllamacpp:prompt_tokens_cached_total 64\n");
	assert_true(g.prefix_queries == 108 && g.prefix_hits == 64);
	g = read_well("llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n"
		      "llamacpp:prompt_tokens_total 44\n"); /* an older build */
	assert_true(g.prefix_queries == -1 && g.prefix_hits == -1);
}

static unsigned slots(const char *text, enum gauges_kind kind)
{
	return gauges_slots_read(slice_of(text), kind);
}

static void slots_that_are_told(void **state)
{
	(void)state;
	assert_int_equal(
		slots("{\"default_generation_settings\":{\"total_slots\":9,\"n_ctx\":2048},"
		      "\"total_slots\":4,\"model_path\":\"m\"}",
		      GAUGES_LLAMACPP),
		4);
	assert_int_equal(
		slots("{\"max_running_requests\":48,\"internal_states\":[]}", GAUGES_SGLANG), 48);
	assert_int_equal(slots("{\"max_running_requests\":null,\"internal_states\":["
			       "{\"effective_max_running_requests_per_dp\":128,\"x\":[1]},"
			       "{\"effective_max_running_requests_per_dp\":64.0},null],\"y\":{}}",
			       GAUGES_SGLANG),
			 192);
	static const char *const none[] = {
		"",
		"[]",
		"{}",
		"{\"total_slots\":4",
		"{\"total_slots\":-4}",
		"{\"total_slots\":\"4\"}",
		"{\"total_slots\":1e18}",
		"{\"total_slots\":0}",
		"{\"max_running_requests\":48}",
		"{\"internal_states\":7}",
	};
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_int_equal(slots(none[i], GAUGES_LLAMACPP), 0);
	assert_int_equal(slots("{\"total_slots\":4}", GAUGES_SGLANG), 0);
}

/* Lines of many megabytes, of the bytes that would send a reader back: one pass each. */
static void huge_lines(void **state)
{
	(void)state;
	static const char tail[] = "\n" WAITING " 5" RUNNING;
	static const char *const heads[] = { WAITING "{a=\"", WAITING "{", WAITING " ", "#", "" };
	static const char fill[] = { '\\', '"', ',', ' ', '{', '9', 'a', '\0' };
	size_t n = 4 << 20;
	char *text = malloc(n + sizeof(tail));
	assert_non_null(text);
	for (size_t h = 0; h < ARRAY_LEN(heads); h++)
		for (size_t f = 0; f < ARRAY_LEN(fill); f++) {
			struct gauges g;
			const char *why;
			memset(text, fill[f], n);
			memcpy(text, heads[h], strlen(heads[h]));
			memcpy(text + n, tail, sizeof(tail));
			assert_true(gauges_read((struct slice){ text, n + sizeof(tail) - 1 },
						GAUGES_AUTO, &g, &why));
			assert_true(g.waiting == 5 && g.running == 2);
		}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines),
		cmocka_unit_test(sglang_repeats_itself),
		cmocka_unit_test(forms),
		cmocka_unit_test(untold_texts),
		cmocka_unit_test(huge_lines),
		cmocka_unit_test(what_no_engine_has),
		cmocka_unit_test(before_the_first_request),
		cmocka_unit_test(more_than_the_two_counts),
		cmocka_unit_test(slots_that_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
