/* test_plain_parse.c: answers of HTTP/1.1, each cut at every byte: what they are does not depend on
 * how their bytes come. */
#include "unit.h"

#include "client/plain_parse.h"

/* What came of an answer. */
struct seen {
	int status;
	uint64_t length;
	struct buf body;
	enum parse_got end;
	const char *why;
	bool keeps;
	size_t left; /* bytes behind its end */
};

static void seen_free(struct seen *s)
{
	buf_free(&s->body);
}

/* One step further; false: all of the piece is taken, or it is over. */
static bool step(struct parse *p, struct slice *in, struct seen *s)
{
	struct slice piece;
	enum parse_got got = parse_next(p, in, &piece);

	if (got == PARSE_HEAD) {
		s->status = p->status;
		s->length = p->length;
		return true;
	}
	if (got == PARSE_BODY) {
		assert_true(piece.n > 0 && piece.n <= in->n && piece.p == in->p);
		buf_add(&s->body, piece);
		parse_taken(p, in, piece.n);
		return true;
	}
	s->end = got;
	return false;
}

/* In two pieces, cut at `at`; then the connection ends, if the answer has not. */
static void read_cut(struct slice text, bool no_body, size_t at, struct seen *s)
{
	struct parse p = { 0 };
	struct slice pieces[] = { { text.p, at }, { text.p + at, text.n - at } };

	*s = (struct seen){ .body = BUF(1u << 20), .end = PARSE_MORE };
	parse_begin(&p, no_body);
	assert_true(parse_untouched(&p));
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		while (s->end == PARSE_MORE && step(&p, &pieces[i], s))
			;
		s->left += pieces[i].n;
	}
	if (s->end == PARSE_MORE)
		s->end = parse_closed(&p);
	s->why = p.why;
	s->keeps = p.keeps;
	parse_done(&p);
}

struct expected {
	const char *text;
	int status;
	const char *body; /* NULL: it is no answer */
	bool keeps;
	size_t left;
	const char *why; /* a part of it */
};

static void expect(const struct expected *e, bool no_body)
{
	struct slice text = slice_of(e->text);

	for (size_t at = 0; at <= text.n; at++) {
		struct seen s;
		read_cut(text, no_body, at, &s);
		if ((s.end == PARSE_END) != (e->body != NULL))
			fail_msg("cut at %zu: %s: %s", at, e->text,
				 s.why != NULL ? s.why : "whole");
		if (e->why != NULL && strstr(s.why, e->why) == NULL)
			fail_msg("%s: %s", e->text, s.why);
		assert_int_equal(s.status, e->status);
		if (e->body != NULL) {
			if (!slice_eq(buf_slice(&s.body), slice_of(e->body)))
				fail_msg("cut at %zu: %s: %.*s", at, e->text, (int)s.body.n,
					 s.body.p);
			if (s.keeps != e->keeps)
				fail_msg("%s: kept: %d", e->text, s.keeps);
			assert_int_equal(s.left, e->left);
		}
		seen_free(&s);
	}
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static void answers(void **state)
{
	static const struct expected all[] = {
		{ OK "Content-Length: 2\r\n\r\n{}", 200, "{}", true },
		{ OK "content-length:2\n\n{}", 200, "{}", true },
		{ OK "Content-Length: 2\r\nConnection: close\r\n\r\n{}", 200, "{}", false },
		{ OK "Content-Length: 2\r\nConnection: a, CLOSE\r\n\r\n{}", 200, "{}", false },
		{ OK "Content-Length: 2\r\n\r\n{}x", 200, "{}", true, 1 },
		{ OK "Content-Length: 0\r\n\r\n", 200, "", true },
		{ OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", true },
		{ OK "Content-Length: 2, 2\r\n\r\n{}", 200, "{}", true },
		{ OK "\r\nuntil the end", 200, "until the end", false },
		{ OK "\r\n", 200, "", false },
		{ "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", true },
		{ "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", 299, "", true },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false },
		{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", 200,
		  "{}", true },
		{ "HTTP/1.0 200 OK\r\n\r\n{}", 200, "{}", false },
		{ "HTTP/1.1 204 No\r\n\r\n", 204, "", true },
		{ "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, "", true },
		{ "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", 304, "", true },
		/* interim answers */
		{ "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\n{}", 200, "{}",
		  true },
		{ "HTTP/1.1 103 Early\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
		  "HTTP/1.1 102 Yet\r\n\r\n" OK "Content-Length: 2\r\n\r\n{}",
		  200, "{}", true },
		/* lines that mean nothing for the length */
		{ OK "no colon\r\nX Y: 1\r\n folded\r\nContent-Length: 2\r\n\r\n{}", 200, "{}",
		  true },
		/* chunks */
		{ CHUNKED "2\r\n{}\r\n0\r\n\r\n", 200, "{}", true },
		{ CHUNKED "1\r\n{\r\n1;a=\"b\";c\r\n}\r\n000\r\n\r\n", 200, "{}", true },
		{ CHUNKED "0002 \t\r\n{}\r\n0;x\r\n\r\n", 200, "{}", true },
		{ CHUNKED "2\n{}\n0\n\n", 200, "{}", true },
		{ CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", 200,
		  "01234567890123456789", true },
		{ CHUNKED "2\r\n{}\r\n0\r\nX-Sum: 1\r\nY: \r\n\r\n", 200, "{}", true },
		{ CHUNKED "2\r\n{}\r\n0\r\n\r\nHTTP", 200, "{}", true, 4 },
		{ OK "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}", 200, "{}",
		  true },
		/* both: chunked counts, and nobody trusts what follows */
		{ OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		  200, "{}", false },
		{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: Chunked\r\n\r\n"
		  "2\r\n{}\r\n0\r\n\r\n",
		  200, "{}", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		expect(&all[i], false);
}

static void no_answers(void **state)
{
	static const struct expected all[] = {
		{ "", 0, NULL, .why = "without an answer" },
		{ "HTTP/1.1 200 OK\r\nX: 1", 0, NULL, .why = "in the head" },
		{ OK "Content-Length: 9\r\n\r\n{}", 200, NULL,
		  .why = "before the answer was whole" },
		{ CHUNKED "2\r\n{}\r\n", 200, NULL, .why = "before the answer was whole" },
		{ CHUNKED "2\r\n{}\r\n0\r\n", 200, NULL, .why = "before the answer was whole" },
		{ "\r\n" OK "\r\n", 0, NULL, .why = "no HTTP" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", 0, NULL, .why = "no HTTP" },
		{ "HTTPS", 0, NULL, .why = "no HTTP" },
		{ "HTTP/2 200\r\n\r\n", 0, NULL, .why = "another version" },
		{ "HTTP/1.x 200 OK\r\n\r\n", 0, NULL, .why = "status line" },
		{ "HTTP/1.1 20 OK\r\n\r\n", 0, NULL, .why = "status line" },
		{ "HTTP/1.1 2000 OK\r\n\r\n", 0, NULL, .why = "status line" },
		{ "HTTP/1.1 099 OK\r\n\r\n", 0, NULL, .why = "status line" },
		{ "HTTP/1.1  200 OK\r\n\r\n", 0, NULL, .why = "status line" },
		{ "HTTP/1.1 101 Go\r\n\r\n" OK "\r\n", 0, NULL, .why = "changes the protocol" },
		{ OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 0, NULL, .why = "two" },
		{ OK "Content-Length: 2, 3\r\n\r\n{}", 0, NULL, .why = "two" },
		{ OK "Content-Length: -1\r\n\r\n{}", 0, NULL, .why = "malformed" },
		{ OK "Content-Length: 0x2\r\n\r\n{}", 0, NULL, .why = "malformed" },
		{ OK "Content-Length:\r\n\r\n{}", 0, NULL, .why = "malformed" },
		{ OK "Content-Length: 9223372036854775808\r\n\r\n", 0, NULL, .why = "malformed" },
		{ OK "Content-Length: 1\r\n 0\r\n\r\n", 0, NULL, .why = "folded" },
		{ OK "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, NULL, .why = "coding" },
		{ OK "Transfer-Encoding: chunked, chunked\r\n\r\n", 0, NULL, .why = "coding" },
		{ OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", 0, NULL,
		  .why = "coding" },
		{ CHUNKED "\r\n", 200, NULL, .why = "no size" },
		{ CHUNKED "-1\r\n", 200, NULL, .why = "no size" },
		{ CHUNKED "2g\r\n", 200, NULL, .why = "malformed" },
		{ CHUNKED "2\rx\n", 200, NULL, .why = "malformed" },
		{ CHUNKED "8000000000000000\r\n", 200, NULL, .why = "larger" },
		{ CHUNKED "00000000000000001\r\n", 200, NULL, .why = "larger" },
		{ CHUNKED "2\r\n{}}\r\n", 200, NULL, .why = "longer than its size" },
		{ CHUNKED "2\r\n{}\r\r\n", 200, NULL, .why = "longer than its size" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		expect(&all[i], false);
}

/* HEAD: the head says how long the body would be. */
static void answers_to_head(void **state)
{
	static const struct expected all[] = {
		{ OK "Content-Length: 9\r\n\r\n", 200, "", true },
		{ CHUNKED, 200, "", true },
		{ OK "\r\n", 200, "", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		expect(&all[i], true);
}

static void lengths(void **state)
{
	struct seen s;

	(void)state;
	read_cut(SLICE(OK "Content-Length: 2\r\n\r\n{}"), false, 0, &s);
	assert_int_equal(s.length, 2);
	seen_free(&s);
	read_cut(SLICE(OK "\r\n{}"), false, 0, &s);
	assert_true(s.length == UINT64_MAX);
	seen_free(&s);
	/* what a head says beside "chunked" is not how long the body is */
	read_cut(SLICE(OK "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		 false, 0, &s);
	assert_true(s.length == UINT64_MAX);
	seen_free(&s);
}

/* `n` bytes of `text`, again and again, and `end`: what comes of it. */
static const char *flood(const char *begin, const char *text, size_t n, const char *end)
{
	struct buf all = BUF(64u << 20);
	struct seen s;

	buf_text(&all, begin);
	while (all.n < n)
		buf_text(&all, text);
	buf_text(&all, end);
	read_cut(buf_slice(&all), false, 0, &s);
	const char *why = s.end == PARSE_END ? NULL : s.why;
	seen_free(&s);
	buf_free(&all);
	return why;
}

static void what_has_no_end_is_cut_off(void **state)
{
	const size_t much = 300u << 10, less = 200u << 10;

	(void)state;
	assert_null(flood(OK, "X: 1\r\n", less, "\r\n"));
	assert_string_equal(flood(OK, "X: 1\r\n", much, "\r\n"),
			    "the answer's head has more than 256 KiB");
	assert_string_equal(flood(OK "X: ", "1", much, "\r\n\r\n"),
			    "the answer's head has more than 256 KiB");
	assert_string_equal(flood("", "HTTP/1.1 100 Go\r\n\r\n", much, OK "\r\n"),
			    "the answer's head has more than 256 KiB");
	assert_null(flood(CHUNKED "0;", "x", less, "\r\n\r\n"));
	assert_string_equal(flood(CHUNKED "0;", "x", much, "\r\n\r\n"),
			    "a chunk's extension has more than 256 KiB");
	assert_null(flood(CHUNKED "0\r\n", "X: 1\r\n", less, "\r\n"));
	assert_string_equal(flood(CHUNKED "0\r\n", "X: 1\r\n", much, "\r\n"),
			    "the answer's trailers have more than 256 KiB");
}

static void headers(void **state)
{
	struct slice in = SLICE("HTTP/1.1 103 Hint\r\nA: interim\r\n\r\n" OK
				"A: one\r\nB :x\r\na: two\r\nEmpty:\r\n X: folded\r\n"
				"X:\t3 \r\nContent-Length: 0\r\n\r\n");
	struct parse p = { 0 };
	struct slice piece;

	(void)state;
	parse_begin(&p, false);
	assert_int_equal(parse_next(&p, &in, &piece), PARSE_HEAD);
	assert_true(slice_is(parse_header(&p, "A"), "one"));
	assert_true(slice_is(parse_header(&p, "x"), "3"));
	assert_int_equal(parse_header(&p, "B").n, 0);
	assert_int_equal(parse_header(&p, "Empty").n, 0);
	assert_int_equal(parse_header(&p, "None").n, 0);
	assert_null(p.odd);
	assert_int_equal(parse_next(&p, &in, &piece), PARSE_END);
	/* the next answer knows nothing of it */
	in = SLICE(OK "no colon\r\n\r\n");
	parse_begin(&p, false);
	assert_int_equal(parse_header(&p, "A").n, 0);
	assert_int_equal(parse_next(&p, &in, &piece), PARSE_HEAD);
	assert_int_equal(parse_header(&p, "A").n, 0);
	assert_non_null(p.odd);
	parse_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(no_answers),
		cmocka_unit_test(answers_to_head),
		cmocka_unit_test(lengths),
		cmocka_unit_test(what_has_no_end_is_cut_off),
		cmocka_unit_test(headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
