/* test_where.c: which server, with which key. */
#include "unit.h"

#include "remote/login.h"
#include "remote/remote_impl.h"

static char *home;

static int setup(void **state)
{
	static const char *const variables[] = { "XDG_CONFIG_HOME", "LOWTIDE_URL",
						 "LOWTIDE_API_KEY", "LOWTIDE_CA_FILE" };

	(void)state;
	home = scratch_dir_new();
	setenv("HOME", home, 1);
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		unsetenv(variables[i]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(home);
	return 0;
}

static void keep(void)
{
	char url[] = "http://kept/v1", key[] = "kept";
	struct error err;

	assert_true(login_write(&(struct login){ .url = url, .key = key }, &err));
}

/* "URL KEY" as found, or what is said. */
static const char *found(const char *url, const char *key)
{
	static char text[800];
	struct remote_setup s = { .url = url, .key = key };
	AUTO(where_done) struct remote_where w = { 0 };
	struct error err;

	if (where_find(&s, &w, &err))
		snprintf(text, sizeof(text), "%s %s", w.url, w.key != NULL ? w.key : "-");
	else
		snprintf(text, sizeof(text), "%s", err.message);
	return text;
}

static void urls(void **state)
{
	(void)state;
	static const struct {
		const char *given, *url;
	} good[] = {
		{ "http://h", "http://h/v1 -" },
		{ "http://h/", "http://h/v1 -" },
		{ "http://h:8000/v1", "http://h:8000/v1 -" },
		{ "https://h/v1///", "https://h/v1 -" },
		{ "HTTPS://h/api", "HTTPS://h/api/v1 -" },
		{ "http://[::1]:8000", "http://[::1]:8000/v1 -" },
	};
	static const char *const bad[] = { "",           "h:8000",      "ftp://h",
					   "http://",    "http:///",    "http://:80",
					   "http://a@h", "http://h/?x", "http://h/#x",
					   "http://h h", "http://h\n" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_string_equal(found(good[i].given, NULL), good[i].url);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(strstr(found(bad[i], NULL), "is no server's URL: it is http://"));
}

static void the_order(void **state)
{
	(void)state;
	assert_string_equal(found(NULL, NULL), "http://127.0.0.1:8000/v1 -");
	keep();
	assert_string_equal(found(NULL, NULL), "http://kept/v1 kept");
	setenv("LOWTIDE_API_KEY", "env", 1);
	assert_string_equal(found(NULL, NULL), "http://kept/v1 env");
	setenv("LOWTIDE_URL", "http://env", 1);
	assert_string_equal(found(NULL, NULL), "http://env/v1 env");
	assert_string_equal(found("http://flag", "flag"), "http://flag/v1 flag");
	setenv("LOWTIDE_URL", "", 1);
	setenv("LOWTIDE_API_KEY", "", 1);
	assert_string_equal(found(NULL, NULL), "http://kept/v1 kept");
}

static void a_kept_key_goes_to_no_other_server(void **state)
{
	(void)state;
	keep();
	assert_string_equal(found("http://other", NULL), "http://other/v1 -");
	assert_string_equal(found("http://kept:80/", NULL), "http://kept:80/v1 -");
	assert_string_equal(found("http://kept/", NULL), "http://kept/v1 kept");
}

static void keys_that_are_none(void **state)
{
	(void)state;
	assert_non_null(strstr(found(NULL, "sk-1\nX-Evil: 1"), "no key has"));
	assert_non_null(strstr(found(NULL, "sk 1"), "no key has"));
	assert_null(strstr(found(NULL, "sk 1"), "sk 1"));
}

static void a_login_that_cannot_be_read_matters_only_where_it_is_needed(void **state)
{
	(void)state;
	struct error err;
	AUTO(auto_free) char *path = NULL;
	keep();
	assert_true(login_path(&path, &err));
	assert_int_equal(chmod(path, 0644), 0);
	assert_non_null(strstr(found(NULL, NULL), "chmod 600"));
	assert_string_equal(found("http://a", "k"), "http://a/v1 k");
}

static void ca_files(void **state)
{
	(void)state;
	struct remote_where w = { 0 };
	struct error err;
	struct remote_setup s = { .ca_file = "/nonexistent/ca.pem" };
	assert_false(where_find(&s, &w, &err));
	assert_string_equal(err.detail, "CA certificates /nonexistent/ca.pem");
	where_done(&w);
	setenv("LOWTIDE_CA_FILE", "/dev/null", 1);
	s.ca_file = NULL;
	assert_false(where_find(&s, &w, &err));
	assert_non_null(strstr(err.message, "/dev/null is no file"));
	where_done(&w);
	setenv("LOWTIDE_CA_FILE", "/etc/passwd", 1);
	assert_false(where_find(&s, &w, &err));
	assert_non_null(strstr(err.message, "/etc/passwd holds no CA certificate"));
	where_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(urls, setup, teardown),
		cmocka_unit_test_setup_teardown(the_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_kept_key_goes_to_no_other_server, setup,
						teardown),
		cmocka_unit_test_setup_teardown(keys_that_are_none, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_login_that_cannot_be_read_matters_only_where_it_is_needed, setup,
			teardown),
		cmocka_unit_test_setup_teardown(ca_files, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
