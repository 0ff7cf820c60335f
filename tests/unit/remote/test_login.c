/* test_login.c: the server that is kept: for its owner alone, and whole or not at all. */
#include "unit.h"

#include <sys/wait.h>

#include "remote/login.h"

static char *home;

static int setup(void **state)
{
	(void)state;
	home = scratch_dir_new();
	setenv("HOME", home, 1);
	unsetenv("XDG_CONFIG_HOME");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(home);
	return 0;
}

static void keep(const char *url, const char *key)
{
	struct error err;
	struct login l = { .url = (char *)url, .key = (char *)key };

	assert_true(login_write(&l, &err));
}

static void put(const char *text)
{
	AUTO(auto_free) char *path = NULL;
	struct error err;
	FILE *f;

	assert_true(login_path(&path, &err));
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static mode_t mode_of(const char *below)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", home, below);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void nothing_is_kept_at_first(void **state)
{
	(void)state;
	char url[] = "http://a/v1";
	struct error err;
	struct login l;
	bool was;
	assert_true(login_read(&l, &err));
	assert_null(l.url);
	assert_true(login_remove(&was, &err));
	assert_false(was);
	unsetenv("HOME");
	assert_true(login_read(&l, &err));
	assert_null(l.url);
	assert_false(login_write(&(struct login){ .url = url }, &err));
	assert_non_null(strstr(err.message, "XDG_CONFIG_HOME"));
}

static void what_is_kept_is_its_owners(void **state)
{
	(void)state;
	struct error err;
	struct login l;
	bool was;
	umask(0);
	keep("http://a:1/v1", "sk-1");
	assert_int_equal(mode_of(".config"), 0700);
	assert_int_equal(mode_of(".config/lowtide"), 0700);
	assert_int_equal(mode_of(".config/lowtide/login.json"), 0600);
	assert_true(login_read(&l, &err));
	assert_string_equal(l.url, "http://a:1/v1");
	assert_string_equal(l.key, "sk-1");
	assert_null(l.ca_file);
	login_done(&l);
	keep("http://b:1/v1", NULL);
	assert_true(login_read(&l, &err));
	assert_string_equal(l.url, "http://b:1/v1");
	assert_null(l.key);
	login_done(&l);
	assert_true(login_remove(&was, &err));
	assert_true(was);
	assert_true(login_read(&l, &err));
	assert_null(l.url);
}

static void what_others_may_read_is_refused(void **state)
{
	(void)state;
	static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0644, 0610 };
	struct error err;
	struct login l;
	AUTO(auto_free) char *path = NULL;
	keep("http://a:1/v1", "sk-1");
	assert_true(login_path(&path, &err));
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_false(login_read(&l, &err));
		assert_non_null(strstr(err.message, "chmod 600"));
		assert_null(strstr(err.message, "sk-1"));
	}
	assert_int_equal(chmod(path, 0400), 0);
	assert_true(login_read(&l, &err));
	login_done(&l);
}

static void what_is_something_else_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "{", "[]", "sk-1\n", "{\"url\": \"a\"} x" };
	struct error err;
	struct login l;
	keep("http://a:1/v1", "sk-1");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		put(texts[i]);
		assert_false(login_read(&l, &err));
		assert_non_null(strstr(err.message, "lowtide login"));
	}
	put("{\"url\": 7, \"api_key\": []}"); /* of another version: what it has is not used */
	assert_true(login_read(&l, &err));
	assert_null(l.url);
	assert_null(l.key);
}

static void a_failure_leaves_what_was(void **state)
{
	(void)state;
	struct error err;
	char url[] = "http://b:1/v1", key[] = "sk-2";
	struct login l, other = { .url = url, .key = key };
	bool fired = true;
	keep("http://a:1/v1", "sk-1");
	for (int nth = 1; fired; nth++) {
		sys_fail_nth(nth, ENOSPC);
		bool good = login_write(&other, &err);
		fired = sys_restore();
		assert_int_equal(good, !fired);
		assert_true(login_read(&l, &err));
		assert_true(strcmp(l.key, "sk-1") == 0 || strcmp(l.key, "sk-2") == 0);
		login_done(&l);
		assert_int_equal(scratch_count(home, ".config/lowtide"), 1);
		keep("http://a:1/v1", "sk-1");
	}
}

#define WRITERS 4

static _Noreturn void write_often(int writer)
{
	char ca[2000];
	struct error err;

	memset(ca, '0' + writer, sizeof(ca) - 1);
	ca[sizeof(ca) - 1] = '\0';
	for (int i = 0; i < 30; i++) {
		struct login l = { .url = (char *)"http://a:1/v1", .key = ca, .ca_file = ca };
		if (!login_write(&l, &err))
			_exit(1);
	}
	_exit(0);
}

static void of_many_calls_at_once_one_is_kept_whole(void **state)
{
	struct error err;
	struct login l;
	int status;

	(void)state;
	keep("http://a:1/v1", "sk-1");
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0)
			write_often(i);
	for (int left = WRITERS; left > 0;) {
		assert_true(login_read(&l, &err));
		assert_string_equal(l.url, "http://a:1/v1");
		login_done(&l);
		if (waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			left--;
		}
	}
	assert_int_equal(scratch_count(home, ".config/lowtide"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_kept_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_kept_is_its_owners, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_may_read_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_something_else_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_leaves_what_was, setup, teardown),
		cmocka_unit_test_setup_teardown(of_many_calls_at_once_one_is_kept_whole, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
