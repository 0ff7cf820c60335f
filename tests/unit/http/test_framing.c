/* Requests, well framed and not, in pieces of every size (RFC 9112; rows W1 to W4, W9, W10). */
#include "unit.h"

#include "http/framing.h"

#define HOST "Host: x\r\n"

/* Status of the fault, 0: none. Bytes of the body are added up in *ret_data, ends in *ret_ends. */
static int status_in_pieces(struct slice text, size_t n, struct framing *f, size_t *ret_data,
			    uint64_t *ret_ends)
{
	struct framing_fault fault = { 0, NULL };
	struct slice data;

	*ret_data = 0;
	*ret_ends = 0;
	framing_init(f);
	for (size_t at = 0; at < text.n && fault.why == NULL; at += n) {
		struct slice rest = { text.p + at, text.n - at < n ? text.n - at : n };
		for (enum framing_event event = FRAMING_HEAD;
		     event != FRAMING_MORE && event != FRAMING_FAULT;) {
			event = framing_next(f, &rest, &data, &fault);
			*ret_data += event == FRAMING_DATA ? data.n : 0;
			*ret_ends += event == FRAMING_END;
			assert_true(event != FRAMING_MORE || rest.n == 0);
			assert_int_equal(event == FRAMING_FAULT, fault.why != NULL);
		}
	}
	framing_done(f);
	assert_int_equal(fault.why != NULL, fault.status != 0);
	return fault.status;
}

static void check(struct slice text, int status, uint64_t requests)
{
	size_t data, whole_data;
	uint64_t ends, whole_ends;
	struct framing f;

	(void)status_in_pieces(text, text.n, &f, &whole_data, &whole_ends);
	for (size_t n = 1; n <= text.n; n++) {
		int found = status_in_pieces(text, n, &f, &data, &ends);
		if (found != status || f.requests != requests)
			fail_msg("status %d, requests %d in pieces of %d:\n%.*s", found,
				 (int)f.requests, (int)n, SLICE_ARG(text));
		assert_int_equal(ends, whole_ends);
		if (status == 0)
			assert_int_equal(data, whole_data);
	}
}

#define GOOD(requests, text) check(SLICE(text), 0, requests)
#define BAD(status, text) check(SLICE(text), status, 1)
#define BAD_HEADER(line) BAD(400, "GET / HTTP/1.1\r\n" HOST line "\r\n\r\n")
#define BAD_CHUNKS(text) \
	BAD(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n" text)

static void good_ones(void **state)
{
	(void)state;
	GOOD(1, "GET / HTTP/1.1\r\n" HOST "\r\n");
	GOOD(1, "\r\n\nGET /a?b=\xff HTTP/1.1\n" HOST "\n");
	GOOD(1, "M-SEARCH * HTTP/1.0\r\n\r\n");
	GOOD(1, "GET / HTTP/1.1\r\nhOST:x\r\nEmpty:\r\nTab: a\tb\r\nHigh: \xff\r\n\r\n");
	GOOD(2,
	     "POST / HTTP/1.1\r\n" HOST "Content-Length: 003\r\n\r\n\r\n\0GET / HTTP/1.0\r\n\r\n");
	GOOD(2, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\nGET / HTTP/1.0\r\n\r\n");
	GOOD(2, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
		"2;ext=\"x\"\r\n\r\n\r\n0b\r\n01234567890\r\n000\r\nTrailer: x\r\n\r\n"
		"GET / HTTP/1.0\r\n\r\n");
	GOOD(1, "POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\nx");
	GOOD(1,
	     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\nx");
}

static void bad_first_lines(void **state)
{
	(void)state;
	BAD(400, "GET /\0 HTTP/1.1\r\n" HOST "\r\n");
	BAD(400, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n");
	BAD(400, "GET /\x7f HTTP/1.1\r\n" HOST "\r\n");
	BAD(400, "GET /\t HTTP/1.1\r\n" HOST "\r\n");
	BAD(400, "GET / x HTTP/1.1\r\n" HOST "\r\n");
	BAD(400, "GET  / HTTP/1.1\r\n" HOST "\r\n");
	BAD(400, "GET / HTTP/1.1 \r\n" HOST "\r\n");
	BAD(400, "GET /\r\n");
	BAD(400, "GET\r\n");
	BAD(400, "GET / HTTP/1.10\r\n" HOST "\r\n");
	BAD(400, "GET / http/1.1\r\n" HOST "\r\n");
	BAD(505, "GET / HTTP/2.0\r\n" HOST "\r\n");
	/* a TLS client sends no line at all */
	check(SLICE("\x16\x03\x01\x02"), 400, 0);
	check(SLICE(" GET"), 400, 0);
	check(SLICE("G\0T / HTTP/1.1\r\n" HOST "\r\n"), 400, 0);
}

static void bad_heads(void **state)
{
	(void)state;
	BAD_HEADER("A: b\x01");
	BAD_HEADER("A: b\0c");
	BAD_HEADER("A: b\rc");
	BAD_HEADER("A: b\r");
	BAD_HEADER("A\x01: b");
	BAD_HEADER("A b: c");
	BAD_HEADER("A : c");
	BAD_HEADER("A(: c");
	BAD_HEADER("\xc3\xa9: c");
	BAD_HEADER(": c");
	BAD_HEADER("A: b\r\n c");
	BAD_HEADER("A: b\r\n\tContent-Length: 5");
	BAD_HEADER("A: b\r\n ");
	BAD_HEADER("no colon");
	BAD(400, "GET / HTTP/1.1\r\n Host: x\r\n\r\n");
	BAD(400, "GET / HTTP/1.1\r\n\r\n");
	BAD(400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n");
}

static void bad_lengths(void **state)
{
	(void)state;
	BAD_HEADER("Content-Length: -1");
	BAD_HEADER("Content-Length: +5");
	BAD_HEADER("Content-Length: 0x10");
	BAD_HEADER("Content-Length: 1e3");
	BAD_HEADER("Content-Length: 5, 5");
	BAD_HEADER("Content-Length: 5 5");
	BAD_HEADER("Content-Length: 5 ");
	BAD_HEADER("Content-Length:");
	BAD_HEADER("Content-Length: a");
	BAD_HEADER("Content-Length: \xd9\xa3");
	BAD_HEADER("Content-Length: 9223372036854775808");
	BAD_HEADER("Content-Length: 99999999999999999999");
	BAD_HEADER("Content-Length: 5\r\ncontent-length: 5");
	BAD_HEADER("Content-Length: 5\r\nTransfer-Encoding: chunked");
	BAD_HEADER("Transfer-Encoding: chunked\r\nContent-Length: 0");
	BAD_HEADER("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked");
	BAD_HEADER("Transfer-Encoding: gzip");
	BAD_HEADER("Transfer-Encoding: gzip, chunked");
	BAD_HEADER("Transfer-Encoding: identity");
	BAD_HEADER("Transfer-Encoding: chunked ");
	BAD_HEADER("Transfer-Encoding:");
	BAD(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
	BAD(400, "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void bad_chunks(void **state)
{
	(void)state;
	BAD_CHUNKS("zz\r\nabc\r\n0\r\n\r\n");
	BAD_CHUNKS("z");
	BAD_CHUNKS("-5\r\n");
	BAD_CHUNKS("0x5\r\n");
	BAD_CHUNKS("5 \r\n");
	BAD_CHUNKS("\r\n");
	BAD_CHUNKS(";a\r\n");
	BAD_CHUNKS("5\n");
	BAD_CHUNKS("8000000000000000\r\n");
	BAD_CHUNKS("10000000000000000\r\n");
	BAD_CHUNKS("3;a\x01\r\n");
	BAD_CHUNKS("3\r\nabcd");
	BAD_CHUNKS("3\r\nabc\n");
	BAD_CHUNKS("3\r\nabc\rx");
	BAD_CHUNKS("0\r\nA: b\x01\r\n");
	BAD_CHUNKS("0\r\nA: b\r\n c\r\n");
	BAD_CHUNKS("0\r\nA\r\n");
}

/* `start`, then `n` times `again`: refused with `status`, in one piece and in many. */
static void check_long(const char *start, const char *again, size_t n, int status)
{
	struct buf text = BUF(1u << 20);
	struct framing f;
	size_t data;
	uint64_t ends;

	buf_text(&text, start);
	for (size_t i = 0; i < n; i++)
		buf_text(&text, again);
	assert_false(text.failed);
	assert_int_equal(status_in_pieces(buf_slice(&text), text.n, &f, &data, &ends), status);
	assert_int_equal(status_in_pieces(buf_slice(&text), 1000, &f, &data, &ends), status);
	buf_free(&text);
}

static void long_ones(void **state)
{
	(void)state;
	check_long("GET /", "a", 40000, 414);
	check_long("GET /", "a", 30000, 0);
	check_long("GET /?", "a&", 500, 0);
	check_long("GET / HTTP/1.1\r\nA: ", "b", 40000, 431);
	check_long("GET / HTTP/1.1\r\nA: ", "b", 30000, 0);
	check_long("GET / HTTP/1.1\r\n", "A: b\r\n", 1000, 431);
	check_long("GET / HTTP/1.1\r\n", "A: b\r\n", 300, 0);
	check_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3;", "x", 2000,
		   400);
	check_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3;", "x", 50000,
		   400);
	check_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n",
		   1000, 431);
	check_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1\r\n{\r\n",
		   20000, 0);
}

static enum framing_event next(struct framing *f, struct slice *rest, struct slice *ret_data)
{
	struct framing_fault fault;
	enum framing_event event = framing_next(f, rest, ret_data, &fault);

	assert_int_equal(event == FRAMING_FAULT, fault.why != NULL);
	return event;
}

/* Each event once, and `rest` begins behind it: nothing of the next request is read before. */
static void one_event_after_the_other(void **state)
{
	struct slice rest = SLICE("\nPOST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
				  "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
				  "2\r\nde\r\n1\r\nf\r\n0\r\nA: b\r\n\r\n"
				  "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n");
	struct slice data = { NULL, 0 };
	struct framing f;

	(void)state;
	framing_init(&f);
	assert_int_equal(next(&f, &rest, &data), FRAMING_HEAD);
	assert_memory_equal(rest.p, "abcPUT", 6);
	assert_int_equal(next(&f, &rest, &data), FRAMING_DATA);
	assert_true(slice_is(data, "abc"));
	assert_false(f.requests != 1);
	assert_int_equal(next(&f, &rest, &data), FRAMING_END);
	assert_true(framing_is_idle(&f));
	assert_memory_equal(rest.p, "PUT", 3);
	assert_int_equal(next(&f, &rest, &data), FRAMING_HEAD);
	assert_int_equal(next(&f, &rest, &data), FRAMING_DATA);
	assert_true(slice_is(data, "de"));
	assert_int_equal(next(&f, &rest, &data), FRAMING_DATA);
	assert_true(slice_is(data, "f"));
	assert_int_equal(next(&f, &rest, &data), FRAMING_END);
	assert_int_equal(next(&f, &rest, &data), FRAMING_HEAD);
	assert_int_equal(next(&f, &rest, &data), FRAMING_END);
	assert_int_equal(next(&f, &rest, &data), FRAMING_FAULT);
	framing_done(&f);
}

static void read_on(struct framing *f, struct slice bytes)
{
	struct slice data;

	while (next(f, &bytes, &data) != FRAMING_MORE)
		;
}

static void states(void **state)
{
	struct framing f;

	(void)state;
	framing_init(&f);
	assert_true(framing_is_idle(&f));
	read_on(&f, SLICE("\r\n"));
	assert_false(framing_is_idle(&f)); /* a client may not send empty lines for ever */
	assert_false(framing_is_in_body(&f));
	read_on(&f, SLICE("POST / HTTP/1.0\r\nContent-Length: 4\r\n"));
	assert_false(framing_is_in_body(&f));
	assert_int_equal(framing_data_left(&f), 0);
	read_on(&f, SLICE("\r\na"));
	assert_true(framing_is_in_body(&f));
	assert_int_equal(framing_data_left(&f), 3);
	framing_data_taken(&f, 2); /* read elsewhere */
	assert_int_equal(framing_data_left(&f), 1);
	read_on(&f, SLICE("b"));
	assert_true(framing_is_idle(&f));
	framing_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(bad_first_lines),
		cmocka_unit_test(bad_heads),
		cmocka_unit_test(bad_lengths),
		cmocka_unit_test(bad_chunks),
		cmocka_unit_test(long_ones),
		cmocka_unit_test(one_event_after_the_other),
		cmocka_unit_test(states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
