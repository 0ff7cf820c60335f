/* framing.c: line by line. Lines are read where they lie; only one that is split between two
 * calls is put together in f->line. */
#include "http/framing.h"

#include <assert.h>

#include "base/error.h"
#include "base/hex.h"
#include "http/fields.h"

/* Far beyond any body, and far from where a sum of such would wrap. */
#define LENGTH_MAX ((uint64_t)INT64_MAX)
#define CHUNK_DIGITS_MAX 16u

void framing_init(struct framing *f)
{
	*f = (struct framing){ .line = BUF(FRAMING_HEAD_MAX) };
}

void framing_done(struct framing *f)
{
	buf_free(&f->line);
}

static bool refuse(struct framing_fault *fault, int status, const char *why)
{
	*fault = (struct framing_fault){ status, why };
	return false;
}

/* ---- the head ---- */

/* *rest begins behind the space; the slice before it is returned. */
static struct slice take_word(struct slice *rest)
{
	const char *space = rest->n > 0 ? memchr(rest->p, ' ', rest->n) : NULL;
	size_t n = space != NULL ? (size_t)(space - rest->p) : rest->n;
	struct slice word = { rest->p, n };
	size_t taken = space != NULL ? n + 1 : n;

	*rest = (struct slice){ rest->p + taken, rest->n - taken };
	return word;
}

static bool is_target(struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c <= ' ' || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool version_read(struct framing *f, struct slice text, struct framing_fault *fault)
{
	struct slice major = { text.p, text.n < 5 ? text.n : 5 };

	if (text.n != 8 || !slice_is(major, "HTTP/") || !is_digit(text.p[5]) || text.p[6] != '.' ||
	    !is_digit(text.p[7]))
		return refuse(fault, 400,
			      "the first line is not a method, a target and HTTP/1.1, with one "
			      "space between them");
	if (text.p[5] != '1')
		return refuse(fault, 505, "the version is none of HTTP/1.1 and HTTP/1.0");
	f->http_1_1 = text.p[7] != '0';
	return true;
}

static size_t count_of(char c, struct slice text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == c;
	return n;
}

static bool first_line_read(struct framing *f, struct slice line, struct framing_fault *fault)
{
	struct slice rest = line;
	struct slice method = take_word(&rest), target = take_word(&rest);

	if (!field_is_token(method))
		return refuse(fault, 400, "the method is none");
	if (target.n == 0)
		rest.n = 0; /* one space too many */
	f->requests++;
	f->state = FRAMING_FIELDS;
	f->chunked = false;
	f->hosts = f->lengths = f->encodings = 0;
	f->left = 0;
	f->head_cost = line.n + count_of('&', target) * FRAMING_FIELD_COST;
	if (!is_target(target))
		return refuse(fault, 400, "the target holds a control character");
	if (f->head_cost > FRAMING_HEAD_MAX)
		return refuse(fault, 414, "the target is too long");
	return version_read(f, rest, fault);
}

static bool length_read(struct framing *f, struct slice value, struct framing_fault *fault)
{
	static const char *const why =
		"Content-Length is not a whole number in plain digits, within range";
	uint64_t length = 0;

	for (size_t i = 0; i < value.n; i++) {
		if (!is_digit(value.p[i]) || length > LENGTH_MAX / 10)
			return refuse(fault, 400, why);
		length = length * 10 + (uint64_t)(value.p[i] - '0');
	}
	if (value.n == 0 || length > LENGTH_MAX)
		return refuse(fault, 400, why);
	f->left = length;
	return true;
}

/* Other readers may not cut white space off a value's end. */
static bool ends_in_blank(struct slice line)
{
	return line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t');
}

static bool framing_field_read(struct framing *f, struct slice name, struct slice value,
			       bool blank_end, struct framing_fault *fault)
{
	if (field_is(name, "Host")) {
		f->hosts++;
	} else if (field_is(name, "Content-Length")) {
		f->lengths++;
		if (f->lengths > 1)
			return refuse(fault, 400, "Content-Length is given more than once");
		if (blank_end)
			value.n = 0;
		return length_read(f, value, fault);
	} else if (field_is(name, "Transfer-Encoding")) {
		f->encodings++;
		f->chunked = field_is(value, "chunked");
		if (f->encodings > 1 || !f->chunked || blank_end)
			return refuse(fault, 400,
				      "the only Transfer-Encoding understood is 'chunked'");
	}
	return true;
}

/* A line of the head or of the trailers. */
static bool field_line_read(struct framing *f, struct slice line, struct framing_fault *fault)
{
	struct slice name, value;
	const char *why = field_read(line, &name, &value);

	if (why != NULL)
		return refuse(fault, 400, why);
	f->head_cost += line.n + FRAMING_FIELD_COST;
	if (f->state == FRAMING_FIELDS &&
	    !framing_field_read(f, name, value, ends_in_blank(line), fault))
		return false;
	if (f->head_cost > FRAMING_HEAD_MAX)
		return refuse(fault, 431, "its headers are too long");
	return true;
}

static void request_end(struct framing *f)
{
	f->state = FRAMING_START;
	f->begun = false;
	f->ended = true;
}

static bool head_end(struct framing *f, struct framing_fault *fault)
{
	if (f->lengths > 0 && f->encodings > 0)
		return refuse(fault, 400, "both Content-Length and Transfer-Encoding are given");
	if (f->chunked && !f->http_1_1) /* RFC 9112, 6.1: who passed it on may not have known it */
		return refuse(fault, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (f->hosts > 1 || (f->hosts == 0 && f->http_1_1))
		return refuse(fault, 400, "exactly one Host header is needed");
	if (f->chunked)
		f->state = FRAMING_CHUNK_SIZE;
	else if (f->left > 0)
		f->state = FRAMING_BODY;
	else
		request_end(f);
	return true;
}

/* ---- chunks ---- */

/* Its digits, and what stands behind them: nothing, or an extension, which is dropped. `line`
 * may be the beginning of one. */
static bool chunk_size_read(struct slice line, uint64_t *ret, struct framing_fault *fault)
{
	size_t n = 0;

	*ret = 0;
	if (line.n > FRAMING_CHUNK_LINE_MAX)
		return refuse(fault, 400, "a chunk's extension is too long");
	for (; n < line.n && n < CHUNK_DIGITS_MAX && hex_value(line.p[n]) >= 0; n++)
		*ret = *ret << 4 | (uint64_t)hex_value(line.p[n]);
	if (n == 0 || (n < line.n && line.p[n] != ';') || *ret > LENGTH_MAX)
		return refuse(fault, 400,
			      "a chunk's size is not a hexadecimal number within range");
	struct slice extension = { line.p + n, line.n - n };
	if (field_fault(SLICE("x"), extension) != NULL)
		return refuse(fault, 400, "a chunk's extension holds a control character");
	return true;
}

static bool chunk_line_read(struct framing *f, struct slice line, struct framing_fault *fault)
{
	if (!chunk_size_read(line, &f->left, fault))
		return false;
	f->state = f->left > 0 ? FRAMING_CHUNK_DATA : FRAMING_TRAILERS;
	f->head_cost = 0;
	return true;
}

/* ---- lines ---- */

static bool line_read(struct framing *f, struct slice line, bool bare_lf,
		      struct framing_fault *fault)
{
	switch (f->state) {
	case FRAMING_START: /* empty lines before it are skipped (RFC 9112, 2.2) */
		return line.n == 0 || first_line_read(f, line, fault);
	case FRAMING_FIELDS:
		return line.n == 0 ? head_end(f, fault) : field_line_read(f, line, fault);
	case FRAMING_TRAILERS:
		if (line.n > 0)
			return field_line_read(f, line, fault);
		request_end(f);
		return true;
	case FRAMING_CHUNK_SIZE:
		if (bare_lf)
			return refuse(fault, 400, "a chunk's size does not end in CRLF");
		return chunk_line_read(f, line, fault);
	case FRAMING_BODY:
	case FRAMING_CHUNK_DATA:
	case FRAMING_CHUNK_CR:
	case FRAMING_CHUNK_LF:
		break; /* no lines */
	}
	return true;
}

/* Checks the beginning of a line: not too long, and a valid line so far. */
static bool beginning_check(const struct framing *f, struct framing_fault *fault)
{
	struct slice line = buf_slice(&f->line);
	uint64_t size;

	if (line.n == 0 && !f->line.failed)
		return true;
	if (f->line.no_memory)
		return refuse(fault, 500, "there is no memory for it");
	if (f->state == FRAMING_CHUNK_SIZE && f->line.failed)
		return refuse(fault, 400, "a chunk's extension is too long");
	if (f->state == FRAMING_CHUNK_SIZE) {
		line.n -= line.p[line.n - 1] == '\r';
		return chunk_size_read(line, &size, fault);
	}
	if (f->state == FRAMING_START && f->line.failed)
		return refuse(fault, 414, "the target is too long");
	if (f->state == FRAMING_START) /* a TLS client waits for an answer to its first bytes */
		return line.p[0] == '\r' || field_is_token((struct slice){ line.p, 1 }) ||
		       refuse(fault, 400, "the method is none");
	if (f->line.failed || f->head_cost + line.n > FRAMING_HEAD_MAX)
		return refuse(fault, 431, "its headers are too long");
	return true;
}

/* Takes a line, or the beginning of one, off *rest. */
static bool take_line(struct framing *f, struct slice *rest, struct framing_fault *fault)
{
	const char *lf = memchr(rest->p, '\n', rest->n);
	size_t n = lf != NULL ? (size_t)(lf - rest->p) : rest->n;
	struct slice line = { rest->p, n };

	*rest = (struct slice){ rest->p + n + (lf != NULL), rest->n - n - (lf != NULL) };
	if (lf == NULL || f->line.n > 0) {
		buf_add(&f->line, line);
		if (!beginning_check(f, fault))
			return false;
		line = buf_slice(&f->line);
	}
	if (lf == NULL)
		return true;
	bool crlf = line.n > 0 && line.p[line.n - 1] == '\r';
	line.n -= crlf;
	bool ok = line_read(f, line, !crlf, fault);
	if (f->line.n > 0)
		buf_free(&f->line);
	return ok;
}

/* ---- all bytes ---- */

void framing_data_taken(struct framing *f, uint64_t n)
{
	assert(n <= framing_data_left(f));
	f->left -= n;
	if (f->left > 0)
		return;
	if (f->state == FRAMING_BODY)
		request_end(f);
	else
		f->state = FRAMING_CHUNK_CR;
}

static void take_data(struct framing *f, struct slice *rest)
{
	uint64_t n = f->left < rest->n ? f->left : rest->n;

	*rest = (struct slice){ rest->p + n, rest->n - n };
	framing_data_taken(f, n);
}

static bool take_byte(struct framing *f, struct slice *rest, char expected, enum framing_state next,
		      struct framing_fault *fault)
{
	if (*rest->p != expected)
		return refuse(fault, 400, "a chunk is longer than its size says");
	*rest = (struct slice){ rest->p + 1, rest->n - 1 };
	f->state = next;
	return true;
}

static bool step(struct framing *f, struct slice *rest, struct framing_fault *fault)
{
	switch (f->state) {
	case FRAMING_BODY:
	case FRAMING_CHUNK_DATA:
		take_data(f, rest);
		return true;
	case FRAMING_CHUNK_CR:
		return take_byte(f, rest, '\r', FRAMING_CHUNK_LF, fault);
	case FRAMING_CHUNK_LF:
		return take_byte(f, rest, '\n', FRAMING_CHUNK_SIZE, fault);
	case FRAMING_START:
	case FRAMING_FIELDS:
	case FRAMING_CHUNK_SIZE:
	case FRAMING_TRAILERS:
		break;
	}
	return take_line(f, rest, fault);
}

enum framing_event framing_next(struct framing *f, struct slice *rest, struct slice *ret_data,
				struct framing_fault *ret_fault)
{
	*ret_fault = (struct framing_fault){ 0, NULL };
	while (rest->n > 0 && !f->ended) {
		struct slice before = *rest;
		enum framing_state state = f->state;
		f->begun = true;
		if (!step(f, rest, ret_fault))
			return FRAMING_FAULT;
		if (state == FRAMING_BODY || state == FRAMING_CHUNK_DATA) {
			*ret_data = (struct slice){ before.p, before.n - rest->n };
			return FRAMING_DATA;
		}
		if (state == FRAMING_FIELDS && f->state != FRAMING_FIELDS)
			return FRAMING_HEAD;
	}
	if (!f->ended)
		return FRAMING_MORE;
	f->ended = false;
	return FRAMING_END;
}
