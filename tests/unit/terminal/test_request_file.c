/* test_request_file.c: what is found in a file before it is sent. */
#include "unit.h"

#include <fcntl.h>

#include "terminal/request_file.h"

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = scratch_dir_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_dir_remove(dir);
	return 0;
}

static const char *put(const char *name, const char *text, size_t n)
{
	static char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && sys_write_all(fd, text, n));
	close(fd);
	return path;
}

static void endpoints(void **state)
{
	(void)state;
	static const struct {
		const char *text, *endpoint;
	} rows[] = {
		{ "{\"url\":\"/v1/embeddings\"}\n", "/v1/embeddings" },
		{ "{\"url\":\"/v1/embeddings\"}", "/v1/embeddings" },
		{ "{}\n\n{\"a\":{\"url\":\"no\"},\"url\":\"\\/v1\\/x\"}\n", "/v1/x" },
		{ "{\"url\":7}\n{\"url\":null}\n{\"url\":\"\"}\n", "" },
		{ "\xef\xbb\xbf{\"url\":\"/v1/x\"}\r\n", "/v1/x" },
		{ "{}\n{bad\n{\"url\":\"/v1/x\"}\n", "/v1/x" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_file in;
		struct error err;
		assert_true(request_file_open(put("in.jsonl", rows[i].text, strlen(rows[i].text)),
					      &in, &err));
		assert_string_equal(in.endpoint, rows[i].endpoint);
		assert_int_equal(in.size, strlen(rows[i].text));
		request_file_close(&in);
	}
}

static void names(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{ "in.jsonl", "in.jsonl" },         { "IN.JSONL", "IN.JSONL" },     { "in", "in" },
		{ "in.ndjson", "in.ndjson.jsonl" }, { "a.b.txt", "a.b.txt.jsonl" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_file in;
		struct error err;
		assert_true(request_file_open(put(rows[i][0], "{}\n", 3), &in, &err));
		assert_string_equal(in.name, rows[i][1]);
		request_file_close(&in);
	}
}

static void refusals(void **state)
{
	(void)state;
	static const struct {
		struct slice text;
		const char *said;
	} rows[] = {
		{ SLICE(""), "is empty" },
		{ SLICE("\r\n  \n\t"), "is empty" },
		{ SLICE("\xef\xbb\xbf"), "is empty" },
		{ SLICE("\x7f"
			"ELF\0\0\n"),
		  "is no text" },
		{ SLICE("\n\n{\"a\":1,}\n"), "line 3 is no JSON" },
		{ SLICE("[1]\n"), "JSON array" },
		{ SLICE("\"a\"\n"), "no object" },
		{ SLICE("a,b\nc,d\n"), "CSV" },
		{ SLICE("{\n \"a\": 1\n}\n"), "pretty-printed" },
		{ SLICE("{\"a\":1} x\n"), "is no JSON" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct request_file in;
		struct error err;
		assert_false(request_file_open(put("in.jsonl", rows[i].text.p, rows[i].text.n), &in,
					       &err));
		assert_int_equal(err.kind, ERR_INVALID);
		if (strstr(err.message, rows[i].said) == NULL)
			fail_msg("%s: %s", rows[i].said, err.message);
		assert_int_equal(in.fd, -1);
	}
}

/* A first line of several MB is read to its end, one beyond 16 MB is the server's to judge. */
static void long_first_lines(void **state)
{
	(void)state;
	static const size_t sizes[] = { 3u << 20, 17u << 20 };
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct request_file in;
		struct error err;
		char *text = malloc(sizes[i]);
		assert_non_null(text);
		memset(text, 'x', sizes[i]);
		memcpy(text, "{\"a\":\"", 6);
		memcpy(text + sizes[i] - 3, "\"}\n", 3);
		assert_true(request_file_open(put("in.jsonl", text, sizes[i]), &in, &err));
		request_file_close(&in);
		text[sizes[i] - 2] = 'x';
		bool good = request_file_open(put("in.jsonl", text, sizes[i]), &in, &err);
		assert_int_equal(good, i == 1);
		if (good)
			request_file_close(&in);
		free(text);
	}
}

static void a_file_that_is_written_to(void **state)
{
	(void)state;
	struct request_file in;
	struct error err;
	assert_true(request_file_open(put("in.jsonl", "{}\n", 3), &in, &err));
	assert_true(request_file_unchanged(&in, &err));
	put("in.jsonl", "{}\n{}\n", 6);
	assert_false(request_file_unchanged(&in, &err));
	assert_non_null(strstr(err.message, "was written to"));
	request_file_close(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(endpoints, setup, teardown),
		cmocka_unit_test_setup_teardown(names, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(long_first_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_written_to, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
