/* Every answer has its headers, and its place in the figures. */
#include "unit.h"

#include "api/routes.h"

static void an_answer_counts_in_the_row_of_its_route(void **state)
{
	static struct api api;
	struct answered a = { .api = &api, .id = "req_1", .method = "GET", .path = "/", .org = "" };

	(void)state;
	api.routes = routes_table(&api.route_count);
	assert_in_range(api.route_count, 1, ROUTES_MAX);
	for (size_t i = 0; i < api.route_count; i++) {
		struct http_response r;

		http_response_init(&r);
		r.status = 404;
		a.route = &api.routes[i];
		answer_finish(&a, &r);
		assert_memory_equal(r.fields.p, "x-request-id: req_1\r\n", 21);
		http_response_done(&r);
	}
	for (size_t i = 0; i < api.route_count; i++)
		assert_int_equal(api.answers[i][4], 1);
	assert_int_equal(api.answers[ROUTES_MAX][4], 0);
}

static void what_is_no_route_counts_in_the_last_row(void **state)
{
	static struct api api;
	struct answered a = { .api = &api, .id = "req_1", .method = "", .path = "", .org = "" };
	struct http_response r;

	(void)state;
	http_response_init(&r);
	api.routes = routes_table(&api.route_count);
	answer_finish(&a, &r);
	assert_int_equal(api.answers[ROUTES_MAX][2], 1);
	http_response_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_counts_in_the_row_of_its_route),
		cmocka_unit_test(what_is_no_route_counts_in_the_last_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
