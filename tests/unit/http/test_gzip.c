/* Part of a source comes out compressed, whatever the size of the reader's buffer. */
#include "unit.h"

#include <zlib.h>

#include "http/gzip.h"

#define BYTES 300000

static char text[BYTES];
static size_t read_most; /* at once; 0: all */

static ssize_t text_read(void *ctx, uint64_t at, void *to, size_t n)
{
	uint64_t left = at < BYTES ? BYTES - at : 0;

	(void)ctx;
	n = left < n ? (size_t)left : n;
	n = read_most > 0 && read_most < n ? read_most : n;
	memcpy(to, text + at, n);
	return (ssize_t)n;
}

static void text_close(void *ctx)
{
	(void)ctx;
}

static const struct http_source_ops text_ops = { .read = text_read, .close = text_close };

static struct gzip_reader *sample_open(size_t offset, size_t length)
{
	for (size_t i = 0; i < BYTES; i++)
		text[i] = (char)(i % 1000 < 500 ? 'a' + i % 7 : i * 2654435761u >> 13);
	return gzip_open(
		&(struct http_file){ .ops = &text_ops, .offset = offset, .length = length });
}

static void unpack_and_compare(const char *packed, size_t n, const char *from, size_t bytes)
{
	char *out = malloc(bytes + 1);
	z_stream z = { .next_in = (Bytef *)(uintptr_t)packed,
		       .avail_in = (uInt)n,
		       .next_out = (Bytef *)out,
		       .avail_out = (uInt)bytes + 1 };

	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, bytes);
	assert_memory_equal(out, from, bytes);
	inflateEnd(&z);
	free(out);
}

static void check(size_t offset, size_t length, size_t chunk)
{
	static char packed[BYTES * 2];
	struct gzip_reader *g = sample_open(offset, length);
	size_t n = 0;
	ssize_t got;

	assert_non_null(g);
	while ((got = gzip_read(g, packed + n, chunk)) > 0)
		n += (size_t)got;
	assert_int_equal(got, 0);
	assert_int_equal(gzip_read(g, packed, chunk), 0); /* and stays there */
	gzip_close(g);
	unpack_and_compare(packed, n, text + offset, length);
}

static void packs_what_was_asked_for(void **state)
{
	(void)state;
	check(0, BYTES, 65536);
	check(0, BYTES, 1000);
	check(1234, 100000, 65536);
	check(7, 1, 1);
	check(0, 0, 100);
	read_most = 999; /* a source may give less than was asked for */
	check(0, BYTES, 65536);
	read_most = 0;
}

static void a_source_that_is_too_short_is_an_error(void **state)
{
	char to[65536];
	ssize_t got;

	(void)state;
	struct gzip_reader *g = sample_open(BYTES - 10, 11);
	assert_non_null(g);
	do
		got = gzip_read(g, to, sizeof(to));
	while (got > 0);
	assert_int_equal(got, -1);
	gzip_close(g);
	gzip_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packs_what_was_asked_for),
		cmocka_unit_test(a_source_that_is_too_short_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
