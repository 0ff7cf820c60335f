/* test_questions.c: requests beside their answers, and the lines that both are on. */
#include "unit.h"

#include <fcntl.h>

#include "terminal/line_feed.h"
#include "terminal/questions.h"
#include "terminal/result_line.h"

static char *dir, path[PATH_MAX];

static int setup(void **state)
{
	(void)state;
	dir = scratch_dir_new();
	snprintf(path, sizeof(path), "%s/in.jsonl", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static void put(const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && sys_write_all(fd, text, strlen(text)));
	close(fd);
}

static void check(struct questions *q, const char *line, const char *merged)
{
	struct buf to = BUF(4000);
	struct error err;

	assert_true(questions_merge(q, slice_of(line), &to, &err));
	buf_char(&to, '\0');
	assert_string_equal(to.p, merged);
	buf_free(&to);
}

static void they_are_found(void **state)
{
	(void)state;
	struct questions q;
	struct error err;
	put("\xef\xbb\xbf{\"custom_id\":\"a\",\"body\":{\"n\": 1.0}}\n\nnonsense\n"
	    "{\"custom_id\":\"\\u0062\",\"body\":{\"n\":2}}\r\n"
	    "{\"custom_id\":\"a\",\"body\":{\"n\":3}}\n{\"custom_id\":\"none\"}\n"
	    "{\"body\":{\"n\":4},\"custom_id\":\"last\"}");
	assert_true(questions_open(&q, path, &err));
	check(&q, "{\"custom_id\":\"a\",\"error\":null}",
	      "{\"custom_id\":\"a\",\"error\":null,\"request\":{\"n\": 1.0}}");
	check(&q, "{\"custom_id\":\"b\"} ", "{\"custom_id\":\"b\",\"request\":{\"n\":2}}");
	check(&q, "{\"custom_id\":\"\\u006cast\"}",
	      "{\"custom_id\":\"\\u006cast\",\"request\":{\"n\":4}}");
	assert_int_equal(q.missing, 0);
	check(&q, "{\"custom_id\":\"other\"}", "{\"custom_id\":\"other\",\"request\":null}");
	check(&q, "{\"custom_id\":\"none\"}", "{\"custom_id\":\"none\",\"request\":null}");
	check(&q, "{\"custom_id\":null}", "{\"custom_id\":null,\"request\":null}");
	assert_int_equal(q.missing, 3);
	questions_close(&q);
}

static void files_that_are_none(void **state)
{
	(void)state;
	struct questions q;
	struct error err;
	put("{\"id\":1}\n");
	assert_false(questions_open(&q, path, &err));
	assert_non_null(strstr(err.message, "no line with a custom_id"));
	questions_close(&q);
	assert_false(questions_open(&q, "/nonexistent", &err));
	questions_close(&q);
	assert_false(questions_open(&q, "/dev/null", &err));
	assert_non_null(strstr(err.message, "is no file"));
	questions_close(&q);
}

static void result_lines(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		bool good, answered;
	} rows[] = {
		{ "{\"custom_id\":\"a\",\"response\":{\"status_code\":200},\"error\":null}", true,
		  true },
		{ "{\"response\":{\"body\":{\"status_code\":500},\"status_code\":204}}", true,
		  true },
		{ "{\"response\":{\"status_code\":400},\"error\":null}", true, false },
		{ "{\"response\":{\"status_code\":200},\"error\":{}}", true, false },
		{ "{\"response\":null,\"error\":{\"code\":\"batch_expired\"}}", true, false },
		{ "{}", true, false },
		{ "[]", false, false },
		{ "", false, false },
		{ "{\"a\":1", false, false },
		{ "{} {}", false, false },
	};
	struct result_line l;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(result_line_read(slice_of(rows[i].line), &l), rows[i].good);
		if (rows[i].good)
			assert_int_equal(l.answered, rows[i].answered);
	}
}

/* ---- lines in pieces ---- */

static bool collect(void *ctx, struct slice line, struct error *err)
{
	(void)err;
	buf_add(ctx, line);
	buf_char(ctx, '|');
	return true;
}

static void lines_in_pieces(void **state)
{
	(void)state;
	static const char text[] = "one\n\ntwo two\nlast";
	for (size_t size = 1; size < sizeof(text); size++) {
		struct buf got = BUF(100);
		struct line_feed feed = LINE_FEED(collect, &got);
		struct error err;
		for (size_t at = 0; at < sizeof(text) - 1; at += size) {
			size_t left = sizeof(text) - 1 - at;
			assert_true(line_feed_add(
				&feed, (struct slice){ text + at, left < size ? left : size },
				&err));
		}
		assert_true(slice_is(buf_slice(&got), "one||two two|"));
		assert_true(line_feed_end(&feed, &err));
		assert_true(slice_is(buf_slice(&got), "one||two two|last|"));
		line_feed_free(&feed);
		buf_free(&got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(they_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(files_that_are_none, setup, teardown),
		cmocka_unit_test(result_lines),
		cmocka_unit_test(lines_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
