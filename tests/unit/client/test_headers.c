/* test_headers.c: lists of headers, what of them is passed on, and heads of answers. */
#include "unit.h"

#include "base/attr.h"
#include "client/headers.h"

static void a_list_keeps_copies(void **state)
{
	struct headers h = { 0 };
	char name[] = "X-0", value[] = "0";

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		name[2] = value[0] = "0123456789"[i];
		assert_true(headers_add(&h, slice_of(name), slice_of(value)));
	}
	assert_true(headers_add(&h, SLICE("X-Empty"), (struct slice){ NULL, 0 }));
	assert_true(headers_add_bearer(&h, "sk-1"));
	assert_int_equal(h.n, 12);
	assert_true(slice_is(h.list[0].name, "X-0") && slice_is(h.list[9].value, "9"));
	assert_int_equal(header_find(h.list, h.n, "x-empty")->value.n, 0);
	assert_true(slice_is(header_find(h.list, h.n, "authorization")->value, "Bearer sk-1"));
	assert_null(header_find(h.list, h.n, "X-1 "));
	headers_free(&h);
	assert_int_equal(h.n, 0);
	headers_free(&h);
}

static void what_is_for_the_far_end(void **state)
{
	const struct header list[] = {
		{ SLICE("Connection"), SLICE("keep-alive, X-Hop") },
		{ SLICE("connection"), SLICE("x-second") },
		{ SLICE("X-End"), SLICE("1") },
	};

	(void)state;
	assert_true(header_is_end_to_end(list, 3, SLICE("X-End")));
	assert_true(header_is_end_to_end(list, 3, SLICE("Content-Type")));
	assert_false(header_is_end_to_end(list, 3, SLICE("x-hop")));
	assert_false(header_is_end_to_end(list, 3, SLICE("X-Second")));
	assert_false(header_is_end_to_end(list, 3, SLICE("Connection")));
	assert_false(header_is_end_to_end(list, 3, SLICE("transfer-encoding")));
	assert_true(header_is_end_to_end(list, 0, SLICE("X-Hop")));
}

static void a_head(void **state)
{
	struct header headers[HEAD_HEADERS_MAX];
	struct exchange_head h = { .status = 200 };

	(void)state;
	assert_null(head_read(SLICE("HTTP/1.1 200 OK\r\nA: 1\r\nContent-length: 12\nB:\r\n\r\n"),
			      headers, &h));
	assert_int_equal(h.status, 200);
	assert_int_equal(h.header_count, 2);
	assert_true(slice_is(h.headers[0].name, "A") && slice_is(h.headers[0].value, "1"));
	assert_true(slice_is(h.headers[1].name, "B") && h.headers[1].value.n == 0);
	assert_int_equal(h.length, 12);
	assert_null(head_read(SLICE("HTTP/1.1 200\r\nContent-Length: 1x\r\n\r\n"), headers, &h));
	assert_int_equal(h.length, UINT64_MAX);
	assert_null(head_read(SLICE("HTTP/1.1 200\r\nContent-Length: 99999999999999999999\r\n\r\n"),
			      headers, &h));
	assert_int_equal(h.length, UINT64_MAX);
	/* chunked counts, not what stands beside it */
	assert_null(head_read(SLICE("HTTP/1.1 200\r\nContent-Length: 9\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n"),
			      headers, &h));
	assert_int_equal(h.length, UINT64_MAX);
	assert_null(head_read(SLICE(""), headers, &h));
	assert_int_equal(h.header_count, 0);
	assert_non_null(head_read(SLICE("HTTP/1.1 200\r\nA: 1\r\n folded\r\n\r\n"), headers, &h));
	assert_non_null(head_read(SLICE("HTTP/1.1 200\r\nno colon\r\n\r\n"), headers, &h));
}

static void more_headers_than_are_kept(void **state)
{
	static char text[HEAD_HEADERS_MAX * 16];
	struct header headers[HEAD_HEADERS_MAX];
	struct exchange_head h = { 0 };
	size_t n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200\r\n");

	(void)state;
	for (unsigned i = 0; i < HEAD_HEADERS_MAX + 10; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "A: %u\r\n", i);
	assert_null(head_read((struct slice){ text, n }, headers, &h));
	assert_int_equal(h.header_count, HEAD_HEADERS_MAX);
}

static void dates(void **state)
{
	(void)state;
	assert_int_equal(header_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
	assert_int_equal(header_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
	assert_int_equal(header_date("Sun Nov  6 08:49:37 1994"), 784111777);
	assert_true(header_date("soon") < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_keeps_copies),
		cmocka_unit_test(what_is_for_the_far_end),
		cmocka_unit_test(a_head),
		cmocka_unit_test(more_headers_than_are_kept),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
