/* test_gauges.c: the metrics that engines print, and what strangers would print in their place. */
#include "unit.h"

#include "base/attr.h"
#include "upstream/gauges.h"

static bool told(const char *text, enum gauges_kind kind, double waiting, double running,
		 double cache)
{
	struct gauges g;
	if (!gauges_read(slice_of(text), kind, &g))
		return false;
	if (g.waiting == waiting && g.running == running && g.cache == cache)
		return true;
	print_error("%g waiting, %g running, %g cache\n", g.waiting, g.running, g.cache);
	return false;
}

static bool untold(const char *text)
{
	struct gauges g;
	return !gauges_read(slice_of(text), GAUGES_AUTO, &g);
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
	assert_true(gauges_read(slice_of("sglang:num_running_reqs 2\nsglang:num_queue_reqs 1\n"),
				GAUGES_AUTO, &g));
	assert_int_equal(g.kind, GAUGES_SGLANG);

	assert_false(gauges_read(slice_of(vllm), GAUGES_NONE, &g));
	assert_false(gauges_read(slice_of(vllm), GAUGES_SGLANG, &g));
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
		WAITING " 5\n" WAITING " NaN\n" WAITING " +Inf\n" WAITING " -1" RUNNING,
		WAITING " 5\n" WAITING "x 1\n" WAITING " 0x10\n" WAITING " 1e999\n" WAITING RUNNING,
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
	assert_true(untold(WAITING " 5"));
	assert_true(untold(WAITING " NaN" RUNNING));
	assert_true(untold(WAITING " -0.5" RUNNING));
	assert_true(untold(WAITING "_by_reason 5" RUNNING));
	assert_true(untold("x" WAITING " 5" RUNNING));
	assert_true(untold(WAITING " 1e308\n" WAITING " 1e308" RUNNING)); /* no finite sum */
	struct gauges g;
	assert_false(gauges_read((struct slice){ NULL, 0 }, GAUGES_AUTO, &g));
	assert_false(gauges_read((struct slice){ "\0\0 \n\0", 5 }, GAUGES_AUTO, &g));
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
			memset(text, fill[f], n);
			memcpy(text, heads[h], strlen(heads[h]));
			memcpy(text + n, tail, sizeof(tail));
			assert_true(gauges_read((struct slice){ text, n + sizeof(tail) - 1 },
						GAUGES_AUTO, &g));
			assert_true(g.waiting == 5 && g.running == 2);
		}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines),    cmocka_unit_test(sglang_repeats_itself),
		cmocka_unit_test(forms),      cmocka_unit_test(untold_texts),
		cmocka_unit_test(huge_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
