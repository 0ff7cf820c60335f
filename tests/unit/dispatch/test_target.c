/* test_target.c: where an upstream's requests go, and with which headers. */
#include "world.h"

static char urls[8][80]; /* in the order in which they were first asked for */
static unsigned url_count;
static char headers[4][96]; /* of the last request */
static size_t header_count;

static void url_note(const char *url)
{
	for (unsigned i = 0; i < url_count; i++)
		if (strcmp(urls[i], url) == 0)
			return;
	assert_true(url_count < ARRAY_LEN(urls));
	snprintf(urls[url_count++], sizeof(urls[0]), "%s", url);
}

/* All fail: health is asked for, too. */
static void on_request(void *ctx, const struct fake_request *rq, struct fake_answer *ret)
{
	(void)ctx;
	url_note(rq->url);
	header_count = rq->header_count;
	assert_true(header_count <= ARRAY_LEN(headers));
	for (size_t i = 0; i < header_count; i++)
		snprintf(headers[i], sizeof(headers[0]), "%.*s: %.*s",
			 SLICE_ARG(rq->headers[i].name), SLICE_ARG(rq->headers[i].value));
	ret->status = 500;
}

static bool is_among(const char *text, const char *list, size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list + i * size, text) == 0)
			return true;
	return false;
}

#define assert_url(text) assert_true(is_among(text, urls[0], url_count, sizeof(urls[0])))
#define has_header(text) is_among(text, headers[0], header_count, sizeof(headers[0]))

static void world_ask(struct world *w, const char *base_url, const char *key)
{
	static char name[] = "up";
	struct upstream_config config = {
		.name = name,
		.base_url = (char *)(uintptr_t)base_url,
		.api_key = (char *)(uintptr_t)key,
		.weight = 1,
		.concurrency = 1,
		.max_concurrency = 1,
		.metrics = GAUGES_AUTO,
	};

	url_count = 0;
	world_open_with(w, on_request, NULL, WORLD_CONFIG, &config, 1);
	world_batch(w, 3);
	world_run(w, 5000);
}

static void metrics_and_health_stand_beside_the_api(void **state)
{
	struct world w;

	(void)state;
	world_ask(&w, "http://up.test:8000/v1", NULL);
	assert_url("http://up.test:8000/v1/chat/completions");
	assert_url("http://up.test:8000/v1/models");
	assert_url("http://up.test:8000/metrics");
	assert_url("http://up.test:8000/health");
	assert_int_equal(url_count, 4);
	world_close(&w);
}

static void a_base_without_a_version_is_taken_as_it_stands(void **state)
{
	struct world w;

	(void)state;
	world_ask(&w, "http://up.test/openai", NULL);
	assert_url("http://up.test/openai/chat/completions");
	assert_url("http://up.test/openai/models");
	assert_url("http://up.test/openai/metrics");
	assert_url("http://up.test/openai/health");
	world_close(&w);
}

static void its_key_goes_with_each_request(void **state)
{
	struct world w;

	(void)state;
	world_ask(&w, "http://up.test/v1", "sk-1");
	assert_true(has_header("Authorization: Bearer sk-1"));
	assert_true(has_header("Content-Type: application/json"));
	assert_true(has_header("Accept: application/json"));
	assert_true(has_header("User-Agent: lowtide"));
	assert_int_equal(header_count, 4);
	world_close(&w);
}

static void without_a_key_there_is_no_authorization(void **state)
{
	struct world w;

	(void)state;
	world_ask(&w, "http://up.test/v1", NULL);
	assert_int_equal(header_count, 3);
	assert_true(has_header("Content-Type: application/json"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_and_health_stand_beside_the_api),
		cmocka_unit_test(a_base_without_a_version_is_taken_as_it_stands),
		cmocka_unit_test(its_key_goes_with_each_request),
		cmocka_unit_test(without_a_key_there_is_no_authorization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
