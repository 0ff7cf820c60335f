/* What a reload says is different. That it is applied, tests/e2e/test_reload.py sees. */
#include "unit.h"

#include "app/reload.h"

static struct config a, b;

static void load(const char *text, struct config *ret)
{
	char *dir = scratch_dir_new();
	char path[PATH_MAX];
	struct error err;

	snprintf(path, sizeof(path), "%s/c.yaml", dir);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	if (!config_load(path, NULL, 0, ret, &err) || !config_read_keys(ret, &err))
		fail_msg("%s", err.message);
	scratch_dir_remove(dir);
}

static void assert_names(const char *before, const char *after, const char *came, const char *went,
			 const char *changed)
{
	load(before, &a);
	load(after, &b);
	struct reload_names names = reload_compare(&a, &b);
	assert_string_equal(names.came, came);
	assert_string_equal(names.went, went);
	assert_string_equal(names.changed, changed);
	config_done(&a);
	config_done(&b);
}

static void upstreams_come_and_go(void **state)
{
	(void)state;
	assert_names("upstreams: [{name: x, url: 'http://x'}, {name: y, url: 'http://y'}]",
		     "upstreams: [{name: z, url: 'http://z'}, {name: y, url: 'http://y'},"
		     " {name: w, url: 'http://w'}]",
		     "z,w", "x", "");
	assert_names("upstreams: [{name: x, url: 'http://x'}]",
		     "{execution: {line_timeout: 1m}, upstreams: [{name: x, url: 'http://x/'}]}",
		     "", "", "");
}

static void upstreams_change(void **state)
{
	static const char *const members[] = {
		"url: 'http://y'",
		"url: 'http://x', models: [a]",
		"url: 'http://x', weight: 2",
		"url: 'http://x', concurrency: 2",
		"url: 'http://x', drain: true",
		"url: 'http://x', max_concurrency: 3",
		"url: 'http://x', priority: 0",
		"url: 'http://x', requests_per_minute: 1",
		"url: 'http://x', metrics: none",
		"url: 'http://x', tokens_per_minute: 1",
		"url: 'http://x', api_key_env: RELOAD_TEST_KEY",
	};
	char after[200];

	(void)state;
	setenv("RELOAD_TEST_KEY", "sk-1", 1);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		snprintf(after, sizeof(after), "upstreams: [{name: x, %s}]", members[i]);
		assert_names("upstreams: [{name: x, url: 'http://x'}]", after, "", "", "x");
	}
	unsetenv("RELOAD_TEST_KEY");
	/* what stands elsewhere but is meant for each of them */
	assert_names("upstreams: [{name: x, url: 'http://x'}]",
		     "{online: {reserve: 3}, upstreams: [{name: x, url: 'http://x'}]}", "", "",
		     "x");
	assert_names("upstreams: [{name: x, url: 'http://x', models: [a]}]",
		     "upstreams: [{name: x, url: 'http://x', models: [a, b]}]", "", "", "x");
}

static void the_rest_is_left_for_a_restart(void **state)
{
	char left[100];

	(void)state;
	load("{data: one, execution: {concurrency: 3}, log: {level: info}}", &a);
	load("{data: two, execution: {concurrency: 4, line_timeout: 600s, drain: 1s},"
	     " log: {level: debug}}",
	     &b);
	reload_left(&a, &b, left, sizeof(left));
	assert_string_equal(left, "data,execution.drain");
	reload_left(&a, &b, left, 7);
	assert_string_equal(left, "data,e");
	reload_left(&a, &a, left, sizeof(left));
	assert_string_equal(left, "");
	config_done(&a);
	config_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upstreams_come_and_go),
		cmocka_unit_test(upstreams_change),
		cmocka_unit_test(the_rest_is_left_for_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
