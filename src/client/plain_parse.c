/* plain_parse.c: see plain_parse.h. */
#include "client/plain_parse.h"

#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "client/headers.h"
#include "http/fields.h"

#define HEAD_MAX (256u << 10)
#define HEAD_KEPT (16u << 10) /* a larger one's memory is not kept for the next */
#define CHUNK_DIGITS_MAX 16u
#define PASSED_MAX (256u << 10)
#define LINE_MORE 16u /* no less than is written around name and value */

#define HEAD_TOO_LONG "the answer's head has more than 256 KiB"
#define NO_MEMORY "there is no memory for the answer's head"

static void head_reset(struct parse *p)
{
	p->state = PARSE_IN_HEAD;
	p->status = 0;
	p->length = UINT64_MAX;
	p->odd = NULL;
	p->line = 0;
	p->chunked = p->http_1_1 = p->framing = false;
	p->closes = p->stays = p->keeps = false;
}

void parse_begin(struct parse *p, bool no_body)
{
	if (p->head.cap > HEAD_KEPT)
		buf_free(&p->head);
	p->head.max = HEAD_MAX;
	buf_clear(&p->head);
	head_reset(p);
	p->no_body = no_body;
	p->framed = false;
	p->why = NULL;
	p->passed = 0;
}

void parse_done(struct parse *p)
{
	buf_free(&p->head);
}

bool parse_untouched(const struct parse *p)
{
	return p->state == PARSE_IN_HEAD && p->head.n == 0 && p->passed == 0;
}

static enum parse_got fault(struct parse *p, const char *why)
{
	p->state = PARSE_WRONG;
	p->why = why;
	return PARSE_FAULT;
}

/* ---- the head, a line at a time ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK", whose last word may be missing. */
static const char *status_line(struct parse *p, struct slice line)
{
	const char *t = line.p;

	if (line.n < 7 || memcmp(t, "HTTP/1.", 7) != 0)
		return line.n >= 5 && memcmp(t, "HTTP/", 5) == 0
			       ? "the answer is of another version than HTTP/1.1"
			       : "the answer is no HTTP";
	if (line.n < 12 || !is_digit(t[7]) || t[8] != ' ' || t[9] < '1' || !is_digit(t[9]) ||
	    !is_digit(t[10]) || !is_digit(t[11]) || (line.n > 12 && t[12] != ' '))
		return "the answer's status line is malformed";
	p->http_1_1 = t[7] != '0';
	p->status = (t[9] - '0') * 100 + (t[10] - '0') * 10 + (t[11] - '0');
	return NULL;
}

static const char *length_line(struct parse *p, struct slice value)
{
	struct slice word;

	if (value.n == 0)
		return "the answer's Content-Length is malformed";
	while (field_list_next(&value, &word)) {
		uint64_t length = length_read(word);
		if (length > INT64_MAX)
			return "the answer's Content-Length is malformed";
		if (p->length != UINT64_MAX && p->length != length)
			return "the answer has two Content-Lengths";
		p->length = length;
	}
	return NULL;
}

static const char *coding_line(struct parse *p, struct slice value)
{
	struct slice word;

	while (field_list_next(&value, &word)) {
		if (word.n == 0 || field_is(word, "identity"))
			continue;
		if (p->chunked || !field_is(word, "chunked"))
			return "the answer has a transfer coding that was not asked for";
		p->chunked = true;
	}
	return NULL;
}

static void connection_line(struct parse *p, struct slice value)
{
	p->closes |= field_list_has(value, SLICE("close"));
	p->stays |= field_list_has(value, SLICE("keep-alive"));
}

/* Those that say how long the answer is and what becomes of the connection. What other lines are is
 * for who reads the head (headers.h). */
static const char *field_line(struct parse *p, struct slice line)
{
	const char *colon = memchr(line.p, ':', line.n);
	size_t n = colon != NULL ? (size_t)(colon - line.p) : 0;
	struct slice name = { line.p, n };

	if (*line.p == ' ' || *line.p == '\t')
		return p->framing ? "a header about the answer's length is folded" : NULL;
	p->framing = false;
	if (colon == NULL) {
		p->odd = "a header's line has no colon";
		return NULL;
	}
	struct slice value = field_trimmed((struct slice){ colon + 1, line.n - n - 1 });
	bool length = n == 14 && field_is(name, "Content-Length");
	bool coding = n == 17 && field_is(name, "Transfer-Encoding");
	p->framing = length || coding;
	if (length)
		return length_line(p, value);
	if (coding)
		return coding_line(p, value);
	if (n == 10 && field_is(name, "Connection"))
		connection_line(p, value);
	return NULL;
}

/* ---- the head, whole ---- */

static enum parse_got interim_over(struct parse *p)
{
	if (p->status == 101)
		return fault(p, "the answer changes the protocol, which was not asked for");
	p->passed += p->head.n;
	buf_clear(&p->head);
	head_reset(p);
	return PARSE_MORE;
}

/* RFC 9112, 6.3. */
static enum parse_state body_state(struct parse *p)
{
	if (p->framed)
		return PARSE_IN_REST;
	if (p->no_body || p->status == 204 || p->status == 304)
		return PARSE_OVER;
	if (p->chunked)
		return PARSE_IN_SIZE;
	if (p->length == UINT64_MAX)
		return PARSE_IN_REST;
	return p->length > 0 ? PARSE_IN_LENGTH : PARSE_OVER;
}

static enum parse_got head_over(struct parse *p)
{
	if (p->status < 200)
		return interim_over(p);
	p->state = body_state(p);
	p->left = p->length;
	/* Both are given: who wrote them may not mean what we read (6.3). */
	p->keeps = p->state != PARSE_IN_REST && !p->closes && (p->http_1_1 || p->stays) &&
		   !(p->chunked && (p->length != UINT64_MAX || !p->http_1_1));
	if (p->chunked)
		p->length = UINT64_MAX;
	p->digits = 0;
	p->passed = 0;
	if (memchr(p->head.p, '\0', p->head.n) != NULL)
		p->odd = "a header holds a NUL";
	return PARSE_HEAD;
}

/* Its last line is whole. */
static enum parse_got line_over(struct parse *p)
{
	struct slice line = { p->head.p + p->line, p->head.n - p->line - 1 };
	bool first = p->line == 0;
	const char *why;

	line.n -= line.n > 0 && line.p[line.n - 1] == '\r';
	p->line = p->head.n;
	if (line.n == 0 && !first)
		return head_over(p);
	why = first ? status_line(p, line) : field_line(p, line);
	return why != NULL ? fault(p, why) : PARSE_MORE;
}

/* What does not begin as an answer is none, however it goes on: a server of another protocol may
 * never end its line. */
static bool is_beginning(const struct buf *head)
{
	static const char begins[] = "HTTP/";
	size_t n = head->n < sizeof(begins) - 1 ? head->n : sizeof(begins) - 1;

	return memcmp(head->p, begins, n) == 0;
}

static bool head_has_room(const struct parse *p, size_t n)
{
	return n <= HEAD_MAX - p->head.n && p->passed + p->head.n + n <= HEAD_MAX;
}

static enum parse_got head_next(struct parse *p, struct slice *in)
{
	enum parse_got got = PARSE_MORE;

	while (got == PARSE_MORE && p->state == PARSE_IN_HEAD && in->n > 0) {
		const char *end = memchr(in->p, '\n', in->n);
		size_t n = end != NULL ? (size_t)(end - in->p) + 1 : in->n;
		if (!head_has_room(p, n))
			return fault(p, HEAD_TOO_LONG);
		buf_append(&p->head, in->p, n);
		if (p->head.failed)
			return fault(p, NO_MEMORY);
		*in = (struct slice){ in->p + n, in->n - n };
		if (p->line == 0 && !is_beginning(&p->head))
			return fault(p, "the answer is no HTTP");
		if (end != NULL)
			got = line_over(p);
	}
	return got;
}

enum parse_got parse_line(struct parse *p, struct slice name, struct slice value)
{
	bool first = p->line == 0, last = name.n == 0 && !first;

	if (p->state != PARSE_IN_HEAD)
		return PARSE_FAULT;
	if (!head_has_room(p, name.n + value.n + LINE_MORE))
		return fault(p, HEAD_TOO_LONG);
	buf_add(&p->head, name);
	if (!last)
		buf_text(&p->head, first ? "HTTP/1.1 " : ": ");
	buf_add(&p->head, value);
	buf_text(&p->head, "\r\n");
	return p->head.failed ? fault(p, NO_MEMORY) : line_over(p);
}

/* ---- chunks ---- */

static void step(struct slice *in)
{
	*in = (struct slice){ in->p + 1, in->n - 1 };
}

static void size_over(struct parse *p)
{
	p->state = p->left > 0 ? PARSE_IN_CHUNK : PARSE_IN_TRAILERS;
	p->passed = 0;
	p->line_n = 0;
}

static enum parse_got size_next(struct parse *p, struct slice *in)
{
	int digit = hex_value(*in->p);

	if (digit < 0) {
		if (p->digits == 0)
			return fault(p, "a chunk of the answer has no size");
		p->state = PARSE_IN_EXTENSION;
		p->passed = 0;
		p->cr = false;
		return PARSE_MORE;
	}
	if (p->digits == 0)
		p->left = 0;
	if (p->digits++ == CHUNK_DIGITS_MAX || p->left > INT64_MAX / 16)
		return fault(p, "a chunk of the answer is larger than any memory");
	p->left = p->left * 16 + (uint64_t)digit;
	step(in);
	return PARSE_MORE;
}

/* What is behind the digits: nothing, white space, or an extension. */
static enum parse_got extension_next(struct parse *p, struct slice *in)
{
	char c = *in->p;

	if (p->passed == 0 && c != ';' && c != ' ' && c != '\t' && c != '\r' && c != '\n')
		return fault(p, "a chunk's size is malformed");
	if (p->cr && c != '\n')
		return fault(p, "a chunk's size is malformed");
	if (++p->passed > PASSED_MAX)
		return fault(p, "a chunk's extension has more than 256 KiB");
	p->cr = c == '\r';
	if (c == '\n')
		size_over(p);
	step(in);
	return PARSE_MORE;
}

static enum parse_got chunk_end_next(struct parse *p, struct slice *in)
{
	char c = *in->p;

	if (c == '\r' && !p->cr) {
		p->cr = true;
	} else if (c == '\n') {
		p->state = PARSE_IN_SIZE;
		p->digits = 0;
	} else {
		return fault(p, "a chunk of the answer is longer than its size");
	}
	step(in);
	return PARSE_MORE;
}

static enum parse_got trailers_next(struct parse *p, struct slice *in)
{
	char c = *in->p;
	bool empty = p->line_n == 0 || (p->line_n == 1 && p->cr);

	if (++p->passed > PASSED_MAX)
		return fault(p, "the answer's trailers have more than 256 KiB");
	step(in);
	p->cr = c == '\r';
	if (c != '\n') {
		p->line_n += p->line_n < 2;
		return PARSE_MORE;
	}
	p->line_n = 0;
	if (empty)
		p->state = PARSE_OVER;
	return PARSE_MORE;
}

/* ---- the body ---- */

static struct slice first_of(struct slice in, uint64_t most)
{
	return (struct slice){ in.p, in.n < most ? in.n : (size_t)most };
}

void parse_taken(struct parse *p, struct slice *in, size_t n)
{
	*in = (struct slice){ in->p + n, in->n - n };
	if (p->state == PARSE_IN_REST)
		return;
	p->left -= n;
	if (p->left > 0)
		return;
	p->state = p->state == PARSE_IN_CHUNK ? PARSE_IN_CHUNK_END : PARSE_OVER;
	p->cr = false;
}

enum parse_got parse_next(struct parse *p, struct slice *in, struct slice *ret_piece)
{
	enum parse_got got = PARSE_MORE;

	while (got == PARSE_MORE && in->n > 0) {
		switch (p->state) {
		case PARSE_IN_HEAD:
			got = head_next(p, in);
			break;
		case PARSE_IN_LENGTH:
		case PARSE_IN_CHUNK:
			*ret_piece = first_of(*in, p->left);
			return PARSE_BODY;
		case PARSE_IN_REST:
			*ret_piece = *in;
			return PARSE_BODY;
		case PARSE_IN_SIZE:
			got = size_next(p, in);
			break;
		case PARSE_IN_EXTENSION:
			got = extension_next(p, in);
			break;
		case PARSE_IN_CHUNK_END:
			got = chunk_end_next(p, in);
			break;
		case PARSE_IN_TRAILERS:
			got = trailers_next(p, in);
			break;
		case PARSE_OVER:
			return PARSE_END;
		case PARSE_WRONG:
			return PARSE_FAULT;
		}
	}
	return got == PARSE_MORE && p->state == PARSE_OVER ? PARSE_END : got;
}

enum parse_got parse_closed(struct parse *p)
{
	switch (p->state) {
	case PARSE_OVER:
	case PARSE_IN_REST:
		p->state = PARSE_OVER;
		return PARSE_END;
	case PARSE_WRONG:
		return PARSE_FAULT;
	case PARSE_IN_HEAD:
		return fault(p, p->head.n == 0 && p->passed == 0
					? "the connection was closed without an answer"
					: "the connection was closed in the head of the answer");
	default:
		return fault(p, "the connection was closed before the answer was whole");
	}
}

/* ---- what the head says ---- */

struct slice parse_header(const struct parse *p, const char *name)
{
	struct slice rest = buf_slice(&p->head), line;
	size_t n = strlen(name);

	if (p->state == PARSE_IN_HEAD || !head_line_next(&rest, &line))
		return (struct slice){ NULL, 0 };
	while (head_line_next(&rest, &line))
		if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0)
			return field_trimmed((struct slice){ line.p + n + 1, line.n - n - 1 });
	return (struct slice){ NULL, 0 };
}
