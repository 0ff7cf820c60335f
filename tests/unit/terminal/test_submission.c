/* test_submission.c: what is kept of a call until it is done. */
#include "unit.h"

#include <fcntl.h>

#include "terminal/submission.h"

#define URL "http://h/v1"
#define OPTIONS "{\"completion_window\":\"24h\"}"

static char *dir, path[PATH_MAX];
static int64_t now_s;

static int64_t fake_now(void)
{
	return now_s;
}

static int setup(void **state)
{
	(void)state;
	dir = scratch_dir_new();
	setenv("XDG_STATE_HOME", dir, 1);
	snprintf(path, sizeof(path), "%s/in.jsonl", dir);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0 && sys_write_all(fd, "{}\n", 3));
	close(fd);
	now_s = 1700000000;
	sys.now_s = fake_now;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static void begin(struct submission *s, const char *url, const char *options)
{
	struct request_file in;
	struct error err;

	assert_true(request_file_open(path, &in, &err));
	if (!submission_open(s, url, &in, options, &err))
		fail_msg("%s", err.message);
	request_file_close(&in);
}

static void keep(struct submission *s)
{
	struct error err;

	assert_true(submission_keep(s, &err));
}

/* A call that has sent two parts and made its batch, and was killed then. */
static void killed(struct submission *ret)
{
	struct submission s;

	begin(&s, URL, OPTIONS);
	s.upload.upload_id = strdup("upload_1");
	s.upload.part_bytes = 8;
	assert_true(upload_state_add(&s.upload, "part_1") && upload_state_add(&s.upload, "part_2"));
	s.batch_id = strdup("batch_1");
	keep(&s);
	*ret = s;
	ret->path = NULL;
	ret->batch_id = ret->options = NULL;
	ret->upload = (struct upload_state){ 0 };
	submission_close(&s);
}

static void the_same_call_goes_on(void **state)
{
	(void)state;
	struct submission before, s;
	killed(&before);
	begin(&s, URL, OPTIONS);
	assert_string_equal(s.file_key, before.file_key);
	assert_string_equal(s.batch_key, before.batch_key);
	assert_string_equal(s.batch_id, "batch_1");
	assert_string_equal(s.upload.upload_id, "upload_1");
	assert_int_equal(s.upload.part_count, 2);
	assert_int_equal(s.upload.part_bytes, 8);
	assert_string_equal(s.upload.parts[1], "part_2");
	submission_end(&s);
	submission_close(&s);
	begin(&s, URL, OPTIONS);
	assert_null(s.upload.upload_id);
	assert_null(s.batch_id);
	assert_string_not_equal(s.batch_key, before.batch_key);
	submission_close(&s);
	assert_int_equal(scratch_count(dir, "lowtide"), 1); /* its lock */
}

static void other_options_are_another_batch_of_the_same_file(void **state)
{
	(void)state;
	struct submission before, s;
	killed(&before);
	begin(&s, URL, "{}");
	assert_string_equal(s.file_key, before.file_key);
	assert_string_equal(s.upload.upload_id, "upload_1");
	assert_string_not_equal(s.batch_key, before.batch_key);
	assert_null(s.batch_id);
	submission_close(&s);
}

static void a_key_that_the_server_has_forgotten_is_not_used(void **state)
{
	(void)state;
	struct submission before, s;
	begin(&before, URL, OPTIONS);
	keep(&before);
	submission_close(&before);
	now_s += 24 * 3600;
	begin(&s, URL, OPTIONS);
	assert_string_equal(s.file_key, before.file_key);
	assert_string_not_equal(s.batch_key, before.batch_key);
	submission_close(&s);
}

/* A window may be longer than that. */
static void a_batch_that_is_made_is_not_forgotten(void **state)
{
	(void)state;
	struct submission before, s;
	killed(&before);
	now_s += 48 * 3600;
	begin(&s, URL, OPTIONS);
	assert_string_equal(s.batch_id, "batch_1");
	assert_true(submission_is_old(&s));
	submission_close(&s);
}

static void another_server_or_another_file_is_another_call(void **state)
{
	(void)state;
	struct submission before, s;
	killed(&before);
	begin(&s, "http://other/v1", OPTIONS);
	assert_null(s.upload.upload_id);
	submission_close(&s);
	int fd = open(path, O_WRONLY | O_APPEND);
	assert_true(fd >= 0 && sys_write_all(fd, "{}\n", 3));
	close(fd);
	begin(&s, URL, OPTIONS);
	assert_null(s.upload.upload_id);
	assert_string_not_equal(s.file_key, before.file_key);
	submission_close(&s);
}

static void age(const char *name, int64_t seconds)
{
	struct timespec then[2] = { { .tv_sec = now_s - seconds }, { .tv_sec = now_s - seconds } };
	char whole[PATH_MAX];

	snprintf(whole, sizeof(whole), "%s/lowtide/%s", dir, name);
	int fd = open(whole, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, then), 0);
	close(fd);
}

#define DAY INT64_C(86400)

/* Each with its lock, one with half a record; files of others stay. */
static void calls_that_never_came_back_are_forgotten(void **state)
{
	static const char *const old[] = { "submit-a.json",      "submit-a.json.lock",
					   "submit-b.json.new",  "submit-c.json.lock",
					   "submit-d.json.lock", "login.json" };
	struct submission s;

	(void)state;
	begin(&s, URL, OPTIONS);
	keep(&s);
	submission_close(&s);
	for (size_t i = 0; i < ARRAY_LEN(old); i++)
		age(old[i], 31 * DAY);
	age("submit-d.json", 29 * DAY);
	begin(&s, "http://other/v1", OPTIONS);
	for (size_t i = 0; i < 4; i++) {
		char name[64];
		snprintf(name, sizeof(name), "lowtide/%s", old[i]);
		assert_false(scratch_exists(dir, name));
	}
	assert_true(scratch_exists(dir, "lowtide/login.json"));
	assert_true(scratch_exists(dir, "lowtide/submit-d.json"));
	assert_true(scratch_exists(dir, "lowtide/submit-d.json.lock"));
	assert_int_equal(scratch_count(dir, "lowtide"), 6); /* the first call's, and this lock */
	submission_close(&s);
}

/* It waits for its batch, say. */
static void a_call_that_runs_is_not_forgotten(void **state)
{
	struct submission waits, s;

	(void)state;
	killed(&waits);
	begin(&waits, URL, OPTIONS);
	age(strrchr(waits.path, '/') + 1, 300 * DAY);
	begin(&s, "http://other/v1", OPTIONS);
	assert_int_equal(access(waits.path, F_OK), 0);
	submission_close(&waits);
	submission_close(&s);
	begin(&s, "http://other/v1", OPTIONS);
	assert_int_equal(scratch_count(dir, "lowtide"), 1);
	submission_close(&s);
}

static void two_at_once_do_not_share_it(void **state)
{
	(void)state;
	struct submission a, b;
	begin(&a, URL, OPTIONS);
	begin(&b, URL, OPTIONS);
	assert_non_null(a.path);
	assert_null(b.path);
	assert_string_not_equal(a.batch_key, b.batch_key);
	keep(&b);
	submission_end(&b);
	submission_close(&b);
	submission_close(&a);
}

static void what_is_damaged_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = { "", "{", "[]", "{\"parts\":7}" };
	struct submission s;
	begin(&s, URL, OPTIONS);
	AUTO(auto_free) char *file = strdup(s.path);
	submission_close(&s);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_true(fd >= 0 && sys_write_all(fd, texts[i], strlen(texts[i])));
		close(fd);
		begin(&s, URL, OPTIONS);
		assert_null(s.upload.upload_id);
		assert_true(s.file_key[0] != '\0' && s.batch_key[0] != '\0');
		submission_close(&s);
	}
}

static void without_a_home_it_is_not_kept(void **state)
{
	(void)state;
	struct submission s;
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	begin(&s, URL, OPTIONS);
	assert_null(s.path);
	keep(&s);
	submission_end(&s);
	submission_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_same_call_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(other_options_are_another_batch_of_the_same_file,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_key_that_the_server_has_forgotten_is_not_used,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_that_is_made_is_not_forgotten, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_server_or_another_file_is_another_call,
						setup, teardown),
		cmocka_unit_test_setup_teardown(calls_that_never_came_back_are_forgotten, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_call_that_runs_is_not_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(two_at_once_do_not_share_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_damaged_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_home_it_is_not_kept, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
