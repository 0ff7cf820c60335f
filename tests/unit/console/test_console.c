/* The files of the console: each is there once, plain and packed alike, with a type and an etag. */
#include "unit.h"

#include <zlib.h>

#include "console/console.h"

static void index_is_the_first_page(void **state)
{
	struct console_file file, same;

	(void)state;
	assert_true(console_is_built());
	assert_true(console_find("", &file));
	assert_true(console_find("index.html", &same));
	assert_string_equal(file.path, "index.html");
	assert_ptr_equal(file.plain.p, same.plain.p);
	assert_string_equal(file.type, "text/html; charset=utf-8");
	assert_memory_equal(file.plain.p, "<!", 2);
}

static void what_is_not_listed_is_not_there(void **state)
{
	static const char *const paths[] = { "/",           "index",         "index.html/",
					     "INDEX.HTML",  "../index.html", "./index.html",
					     "manifest.txt" };
	struct console_file file;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_false(console_find(paths[i], &file));
}

static void unpacked_is(const struct console_file *file)
{
	char *text = malloc(file->plain.n + 1);
	z_stream z = { .next_in = (Bytef *)file->gzip.p,
		       .avail_in = (uInt)file->gzip.n,
		       .next_out = (Bytef *)text,
		       .avail_out = (uInt)file->plain.n + 1 };

	assert_non_null(text);
	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, file->plain.n);
	assert_memory_equal(text, file->plain.p, file->plain.n);
	inflateEnd(&z);
	free(text);
}

static void each_is_whole(void **state)
{
	struct console_file file, other;
	unsigned n = 0;

	(void)state;
	for (; console_list(n, &file); n++) {
		assert_true(file.plain.n > 0);
		assert_non_null(strchr(file.type, '/'));
		assert_int_equal(strlen(file.etag), 34);
		assert_true(file.etag[0] == '"' && file.etag[33] == '"');
		if (file.gzip.n > 0) {
			assert_true(file.gzip.n < file.plain.n);
			unpacked_is(&file);
		}
		for (unsigned i = 0; i < n; i++) {
			assert_true(console_list(i, &other));
			assert_string_not_equal(other.path, file.path);
		}
	}
	assert_true(n > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_is_the_first_page),
		cmocka_unit_test(what_is_not_listed_is_not_there),
		cmocka_unit_test(each_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
