/* Paths against the table. */
#include "unit.h"

// NOLINTNEXTLINE(bugprone-suspicious-include): its statics are what is tested
#include "../../../src/api/routes.c"

static void check(const char *pattern, const char *path, const char *id)
{
	struct slice found[2];

	bool ok = path_matches(pattern, path, found);
	if (ok != (id != NULL))
		fail_msg("%s and %s", pattern, path);
	if (ok && id != NULL)
		assert_true(slice_is(found[0], id));
}

static void paths(void **state)
{
	static const char *const others[] = { "",           "/",          "/v1",
					      "/v1/files/", "/v1//files", "//v1/files",
					      "/v1/filess", "/v1/file",   "v1/files",
					      "/v1/files/a" };

	(void)state;
	check("/v1/files", "/v1/files", "");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		check("/v1/files", others[i], NULL);
	check("/v1/files/{id}", "/v1/files/file-1", "file-1");
	check("/v1/files/{id}", "/v1/files/..", "..");
	check("/v1/files/{id}", "/v1/files/", NULL);
	check("/v1/files/{id}", "/v1/files/a/", NULL);
	check("/v1/files/{id}", "/v1/files/a/b", NULL);
	check("/v1/files/{id}/content", "/v1/files/a/content", "a");
	check("/v1/files/{id}/content", "/v1/files//content", NULL);
	check("/v1/files/{id}/content", "/v1/files/a/contents", NULL);
	check("/v1/models/{rest}", "/v1/models/m", "m");
	check("/v1/models/{rest}", "/v1/models/org/model/x", "org/model/x");
	check("/v1/models/{rest}", "/v1/models/", NULL);
	check("/v1/models/{rest}", "/v1/models", NULL);
	check("/v1/models/{rest}", "/v1/modelsx", NULL);
}

static void two_ids(void **state)
{
	static const char pattern[] = "/v1/x/{id}/parts/{id}/replay";
	struct slice ids[2];

	(void)state;
	assert_true(path_matches(pattern, "/v1/x/a/parts/b/replay", ids));
	assert_true(slice_is(ids[0], "a") && slice_is(ids[1], "b"));
	assert_false(path_matches(pattern, "/v1/x/a/parts//replay", ids));
	assert_true(path_matches("/v1/x/{id}", "/v1/x/a", ids));
	assert_int_equal(ids[1].n, 0);
}

static void what_needs_a_key(void **state)
{
	(void)state;
	assert_true(route_needs_key("/v1/files"));
	assert_true(route_needs_key("/v1/no/such/thing"));
	assert_true(route_needs_key("/v1"));
	assert_false(route_needs_key("/healthz"));
	assert_false(route_needs_key("/v10"));
	assert_false(route_needs_key("/"));
}

/* Every route of the table is found by its own path, and none twice. */
static void routes_do_not_overlap(void **state)
{
	struct slice ids[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		for (size_t k = 0; k < ARRAY_LEN(routes); k++)
			if (path_matches(routes[k].path, routes[i].path, ids) &&
			    strcmp(routes[i].method, routes[k].method) == 0)
				assert_int_equal(i, k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(two_ids),
		cmocka_unit_test(what_needs_a_key),
		cmocka_unit_test(routes_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
