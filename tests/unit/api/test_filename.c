/* Names of files: taken in, judged, given back. */
#include "unit.h"

#include "api/filename.h"

static void only_the_last_component_is_taken(void **state)
{
	static const struct {
		const char *given, *expected;
	} names[] = {
		{ "a.jsonl", "a.jsonl" },
		{ "../../etc/passwd", "passwd" },
		{ "/tmp/a.jsonl", "a.jsonl" },
		{ "C:\\dir\\a.jsonl", "a.jsonl" },
		{ "..\\a/b.jsonl", "b.jsonl" },
		{ "..", ".." },
		{ "t\xc3\xa4glich \xe2\x98\x83.jsonl", "t\xc3\xa4glich \xe2\x98\x83.jsonl" },
		{ "a\xff\xfe.jsonl", "a\xef\xbf\xbd\xef\xbf\xbd.jsonl" },
		{ "a\xe2\x98.jsonl", "a\xef\xbf\xbd.jsonl" },
	};
	struct error err;
	char to[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_true(filename_read("file", names[i].given, to, sizeof(to), &err));
		assert_string_equal(to, names[i].expected);
	}
	assert_false(filename_read("file", "", to, sizeof(to), &err));
	assert_string_equal(err.code, "missing_required_parameter");
	assert_false(filename_read("file", "dir/", to, sizeof(to), &err));
	assert_string_equal(err.param, "file");
}

static void a_name_has_a_largest_size(void **state)
{
	struct error err;
	char to[8];

	(void)state;
	assert_true(filename_read("file", "1234567", to, sizeof(to), &err));
	assert_string_equal(to, "1234567");
	assert_false(filename_read("file", "12345678", to, sizeof(to), &err));
	assert_int_equal(err.kind, ERR_INVALID);
	assert_true(filename_read("file", "a/very/long/path/1", to, sizeof(to), &err));
	assert_false(
		filename_read("file", "123456\xff", to, sizeof(to), &err)); /* grows to 9 bytes */
}

static void extensions(void **state)
{
	/* W8: in any case */
	static const char *const taken[] = { "a.jsonl", ".jsonl",  "a.b.jsonl", "upload",
					     "file",    "a.JSONL", "A.JsonL" };
	static const char *const refused[] = { "a.json", "a.jsonl.gz",   "a.",      "..",
					       "jsonl.", "a.jsonl.JSON", "a.JSONLX" };
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		assert_true(filename_check(taken[i], &err));
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_false(filename_check(refused[i], &err));
		assert_string_equal(err.message,
				    "Invalid file format for Batch API. Must be .jsonl");
		assert_string_equal(err.param, "");
		assert_null(err.code);
	}
}

static void dispositions(void **state)
{
	static const struct {
		const char *name, *expected;
	} names[] = {
		{ "batch_x_output.jsonl", "attachment; filename=\"batch_x_output.jsonl\"" },
		{ "a b;c.jsonl", "attachment; filename=\"a b;c.jsonl\"" },
		{ "q\"b\\.jsonl",
		  "attachment; filename=\"q_b_.jsonl\"; filename*=UTF-8''q%22b%5C.jsonl" },
		{ "t\xc3\xa4g.jsonl",
		  "attachment; filename=\"t_g.jsonl\"; filename*=UTF-8''t%C3%A4g.jsonl" },
		{ "100%.jsonl",
		  "attachment; filename=\"100_.jsonl\"; filename*=UTF-8''100%25.jsonl" },
		{ "a\r\nX: y",
		  "attachment; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf to = BUF(4096);
		filename_disposition(names[i].name, &to);
		buf_char(&to, '\0');
		assert_string_equal(to.p, names[i].expected);
		buf_free(&to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_last_component_is_taken),
		cmocka_unit_test(a_name_has_a_largest_size),
		cmocka_unit_test(extensions),
		cmocka_unit_test(dispositions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
