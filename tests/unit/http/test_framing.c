/* Requests, well framed and not, in pieces of every size (RFC 9112; rows W1 to W4, W9, W10). */
#include "unit.h"

#include "http/framing.h"

#define HOST "Host: x\r\n"

/* Status of the fault, 0: none. What may be taken of the bytes is added up in *ret_taken. */
static int status_in_pieces(struct slice text, size_t n, size_t *ret_taken, struct framing *f)
{
	struct framing_fault fault = { 0, NULL };

	*ret_taken = 0;
	framing_init(f);
	for (size_t at = 0; at < text.n && fault.why == NULL; at += n) {
		struct slice piece = { text.p + at, text.n - at < n ? text.n - at : n };
		*ret_taken += framing_read(f, piece, &fault);
	}
	framing_done(f);
	assert_int_equal(fault.why != NULL, fault.status != 0);
	return fault.status;
}

static void check(struct slice text, int status, uint64_t requests)
{
	size_t taken;
	struct framing f;

	for (size_t n = 1; n <= text.n; n++) {
		int found = status_in_pieces(text, n, &taken, &f);
		if (found != status || f.requests != requests)
			fail_msg("status %d, requests %d in pieces of %d:\n%.*s", found,
				 (int)f.requests, (int)n, SLICE_ARG(text));
		if (status == 0)
			assert_int_equal(taken, text.n);
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
	size_t taken;

	buf_text(&text, start);
	for (size_t i = 0; i < n; i++)
		buf_text(&text, again);
	assert_false(text.failed);
	assert_int_equal(status_in_pieces(buf_slice(&text), text.n, &taken, &f), status);
	assert_int_equal(status_in_pieces(buf_slice(&text), 1000, &taken, &f), status);
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
	check_long("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3;", "x", 2000, 400);
	check_long("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", 1000,
		   431);
	check_long("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n{\r\n", 20000, 0);
}

/* What may be taken ends where the request before the fault ends. */
static void only_what_came_before_is_taken(void **state)
{
	static const char good[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
	struct framing_fault fault;
	struct framing f;
	char text[400];

	(void)state;
	framing_init(&f);
	int n = snprintf(text, sizeof(text), "%s%sGET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", good,
			 good);
	assert_int_equal(framing_read(&f, (struct slice){ text, (size_t)n }, &fault),
			 2 * (sizeof(good) - 1));
	assert_int_equal(fault.status, 400);
	framing_done(&f);
	/* of one that began before: nothing */
	framing_init(&f);
	assert_int_equal(framing_read(&f, SLICE("GET / HTTP/1.1\r\nA: b"), &fault), 20);
	assert_null(fault.why);
	assert_int_equal(framing_read(&f, SLICE("\r\n c\r\n\r\n"), &fault), 0);
	assert_non_null(fault.why);
	framing_done(&f);
}

static void states(void **state)
{
	struct framing_fault fault;
	struct framing f;

	(void)state;
	framing_init(&f);
	assert_true(framing_is_idle(&f));
	framing_read(&f, SLICE("\r\n"), &fault);
	assert_false(framing_is_idle(&f)); /* a client may not send empty lines for ever */
	assert_false(framing_is_in_body(&f));
	framing_read(&f, SLICE("POST / HTTP/1.0\r\nContent-Length: 2\r\n"), &fault);
	assert_false(framing_is_in_body(&f));
	framing_read(&f, SLICE("\r\na"), &fault);
	assert_true(framing_is_in_body(&f));
	framing_read(&f, SLICE("b"), &fault);
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
		cmocka_unit_test(only_what_came_before_is_taken),
		cmocka_unit_test(states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
