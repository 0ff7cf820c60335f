/* multipart.c: a state machine over the bytes of the form.
 *
 * The delimiter is CR LF "--" boundary. Its CR can only be its first byte (a boundary holds none),
 * so a search that fails after k bytes need not look back: those k bytes are content, and the next
 * candidate is the next CR. While a piece ends inside a candidate only the number k is kept. The
 * form begins as if a CR LF stood before it. */
#include "http/multipart.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/buf.h"
#include "base/hex.h"

#define HEAD_MAX (16u << 10)
#define BOUNDARY_MAX 200 /* RFC 2046 says 70 */
#define DELIMITER_PREFIX "\r\n--"

enum state {
	PREAMBLE,  /* before the first delimiter: ignored */
	DELIMITER, /* the rest of the delimiter's line: "--" ends the form */
	HEAD,      /* a part's header lines */
	CONTENT,
	EPILOGUE, /* behind the closing delimiter: ignored */
	BAD,
};

struct multipart {
	multipart_fn each;
	void *ctx;
	enum state state;
	char delimiter[sizeof(DELIMITER_PREFIX) + BOUNDARY_MAX];
	size_t delimiter_bytes;
	size_t matched;  /* bytes of a delimiter that the last piece ended with */
	struct buf line; /* of a head, or of the rest of a delimiter's line */
	size_t head_bytes;
	char *name, *filename; /* of the part at hand; NULL: not given */
	bool no_memory;
};

/* ---- parameters of a header value: ; name=token ; name="quoted \" text" ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_spaces(struct slice *text)
{
	while (text->n > 0 && is_space(text->p[0])) {
		text->p++;
		text->n--;
	}
}

static struct slice take_until(struct slice *text, const char *ends)
{
	struct slice taken = { text->p, 0 };

	while (taken.n < text->n && strchr(ends, text->p[taken.n]) == NULL)
		taken.n++;
	text->p += taken.n;
	text->n -= taken.n;
	return taken;
}

static struct slice trimmed(struct slice s)
{
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* A quoted string, its opening quote at hand. Only \" and \\ are escapes: browsers of old sent
 * "C:\file.jsonl" as it is. Where a quote cannot be sent, browsers of today write %22. */
static void take_quoted(struct slice *text, struct buf *to)
{
	size_t i = 1;

	for (; i < text->n && text->p[i] != '"'; i++) {
		bool escape = text->p[i] == '\\' && i + 1 < text->n &&
			      (text->p[i + 1] == '"' || text->p[i + 1] == '\\');
		if (escape) {
			buf_char(to, text->p[++i]);
		} else if (text->n - i >= 3 && memcmp(text->p + i, "%22", 3) == 0) {
			buf_char(to, '"');
			i += 2;
		} else {
			buf_char(to, text->p[i]);
		}
	}
	i = i < text->n ? i + 1 : i;
	text->p += i;
	text->n -= i;
}

/* Steps to the next parameter of a header value; false at its end. */
static bool next_parameter(struct slice *text, struct slice *ret_name, struct buf *ret_value)
{
	take_until(text, ";");
	if (text->n == 0)
		return false;
	text->p++;
	text->n--;
	skip_spaces(text);
	*ret_name = trimmed(take_until(text, "=;"));
	buf_clear(ret_value);
	if (text->n == 0 || text->p[0] == ';')
		return true;
	text->p++;
	text->n--;
	skip_spaces(text);
	if (text->n > 0 && text->p[0] == '"')
		take_quoted(text, ret_value);
	else
		buf_add(ret_value, trimmed(take_until(text, ";")));
	return true;
}

static bool is_named(struct slice name, const char *what)
{
	return name.n == strlen(what) && strncasecmp(name.p, what, name.n) == 0;
}

static bool is_type(struct slice value, const char *type)
{
	size_t n = strlen(type);

	if (value.n < n || strncasecmp(value.p, type, n) != 0)
		return false;
	return value.n == n || value.p[n] == ';' || is_space(value.p[n]);
}

/* A copy with a NUL behind it, or NULL without memory. */
static char *text_of(const struct buf *value)
{
	return strndup(value->n > 0 ? value->p : "", value->n);
}

/* ---- filename*=UTF-8''na%C3%AFve.jsonl (RFC 5987) ---- */

/* Decodes in place; false if it is not of that form, or holds a NUL. */
static bool decode_extended(struct buf *value)
{
	size_t from = 0, n = 0, quotes = 0;

	while (from < value->n && quotes < 2)
		quotes += value->p[from++] == '\'';
	if (quotes < 2)
		return false;
	for (; from < value->n; n++) {
		int high = -1, low = -1;
		if (value->p[from] == '%' && value->n - from >= 3) {
			high = hex_value(value->p[from + 1]);
			low = hex_value(value->p[from + 2]);
		}
		if (high >= 0 && low >= 0) {
			value->p[n] = (char)(high * 16 + low);
			from += 3;
		} else {
			value->p[n] = value->p[from++];
		}
		if (value->p[n] == '\0')
			return false;
	}
	value->n = n;
	return true;
}

/* ---- a part's head ---- */

static void part_forget(struct multipart *m)
{
	free(TAKE(m->name));
	free(TAKE(m->filename));
	m->head_bytes = 0;
}

static bool keep(struct multipart *m, char **at, const struct buf *value)
{
	free(*at);
	*at = text_of(value);
	m->no_memory |= *at == NULL;
	return *at != NULL && !value->failed;
}

static bool read_disposition(struct multipart *m, struct slice value)
{
	AUTO(buf_free) struct buf text = BUF(HEAD_MAX);
	struct slice name;
	bool extended = false;

	if (!is_type(value, "form-data"))
		return false;
	while (next_parameter(&value, &name, &text)) {
		bool ok = !text.no_memory;
		m->no_memory |= text.no_memory;
		if (ok && is_named(name, "name")) {
			ok = keep(m, &m->name, &text);
		} else if (ok && is_named(name, "filename*")) {
			extended = true; /* says more than filename, wherever it stands */
			ok = decode_extended(&text) && keep(m, &m->filename, &text);
		} else if (ok && is_named(name, "filename") && !extended) {
			ok = keep(m, &m->filename, &text);
		}
		if (!ok)
			return false;
	}
	return true;
}

static bool read_head_line(struct multipart *m, struct slice line)
{
	const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;

	if (colon == NULL || memchr(line.p, '\0', line.n) != NULL)
		return false;
	struct slice name = { line.p, (size_t)(colon - line.p) };
	struct slice value = { colon + 1, line.n - name.n - 1 };
	skip_spaces(&value);
	if (!is_named(name, "content-disposition"))
		return true;
	return read_disposition(m, value);
}

static bool tell(struct multipart *m, struct slice piece, bool first)
{
	struct multipart_part part = {
		.name = m->name != NULL ? m->name : "",
		.filename = m->filename,
		.first = first,
	};

	return m->each(m->ctx, &part, piece);
}

/* ---- the machine: each step takes some of `in` and says whether all is well ---- */

/* Collects a line across pieces; true when it is whole, without its end. */
static bool take_line(struct multipart *m, struct slice *in, struct slice *ret)
{
	const char *end = memchr(in->p, '\n', in->n);
	size_t n = end != NULL ? (size_t)(end - in->p) : in->n;

	buf_append(&m->line, in->p, n);
	m->no_memory |= m->line.no_memory;
	n += end != NULL;
	in->p += n;
	in->n -= n;
	m->head_bytes += n;
	if (end == NULL)
		return false;
	*ret = buf_slice(&m->line);
	if (ret->n > 0 && ret->p[ret->n - 1] == '\r')
		ret->n--;
	return true;
}

static bool step_head(struct multipart *m, struct slice *in)
{
	struct slice line;

	if (!take_line(m, in, &line))
		return m->head_bytes <= HEAD_MAX && !m->line.failed;
	bool ok = m->head_bytes <= HEAD_MAX && !m->line.failed;
	if (ok && line.n == 0) {
		m->state = CONTENT;
		ok = tell(m, SLICE(""), true);
	} else if (ok) {
		ok = read_head_line(m, line);
	}
	buf_clear(&m->line);
	return ok;
}

/* Behind "--boundary": "--" closes the form, white space and a line end begin a part. */
static bool step_delimiter(struct multipart *m, struct slice *in)
{
	struct slice line;

	if (m->line.n < 2) {
		buf_char(&m->line, in->p[0]);
		m->no_memory |= m->line.no_memory;
		if (m->line.failed)
			return false;
		in->p++;
		in->n--;
		if (m->line.n == 2 && memcmp(m->line.p, "--", 2) == 0) {
			m->state = EPILOGUE;
			return true;
		}
		if (m->line.n > 0 && m->line.p[m->line.n - 1] == '\n') {
			line = trimmed((struct slice){ m->line.p, m->line.n - 1 });
			bool ok = line.n == 0 || slice_is(line, "\r");
			buf_clear(&m->line);
			m->state = HEAD;
			return ok;
		}
		return true;
	}
	if (!take_line(m, in, &line))
		return m->head_bytes <= HEAD_MAX && !m->line.failed;
	bool ok = trimmed(line).n == 0 && !m->line.failed;
	buf_clear(&m->line);
	m->state = HEAD;
	return ok;
}

static bool content(struct multipart *m, const char *p, size_t n)
{
	if (m->state != CONTENT || n == 0)
		return true;
	return tell(m, (struct slice){ p, n }, false);
}

/* Goes on with the candidate that `matched` bytes of are known; takes what belongs to it. */
static bool step_candidate(struct multipart *m, struct slice *in)
{
	size_t want = m->delimiter_bytes - m->matched, n = 0;

	while (n < want && n < in->n && in->p[n] == m->delimiter[m->matched + n])
		n++;
	in->p += n;
	in->n -= n;
	m->matched += n;
	if (n == want) {
		m->matched = 0;
		m->state = DELIMITER;
		part_forget(m);
		return true;
	}
	if (in->n == 0)
		return true; /* undecided */
	size_t known = m->matched;
	m->matched = 0;
	return content(m, m->delimiter, known);
}

/* Where in `in` a delimiter stands, or begins with the rest still to come; in.n: nowhere. */
static size_t find_delimiter(const struct multipart *m, struct slice in)
{
	size_t at = 0;

	while (at < in.n) {
		const char *cr = memchr(in.p + at, '\r', in.n - at);
		if (cr == NULL)
			break;
		at = (size_t)(cr - in.p);
		size_t n = in.n - at < m->delimiter_bytes ? in.n - at : m->delimiter_bytes;
		if (memcmp(cr, m->delimiter, n) == 0)
			return at;
		at++;
	}
	return in.n;
}

/* In PREAMBLE and CONTENT. */
static bool step_search(struct multipart *m, struct slice *in)
{
	if (m->matched > 0)
		return step_candidate(m, in);
	const char *p = in->p;
	size_t n = find_delimiter(m, *in);
	m->matched = n < in->n; /* its CR; step_candidate takes the rest */
	in->p += n + m->matched;
	in->n -= n + m->matched;
	return content(m, p, n);
}

static bool step(struct multipart *m, struct slice *in)
{
	switch (m->state) {
	case PREAMBLE:
	case CONTENT:
		return step_search(m, in);
	case DELIMITER:
		return step_delimiter(m, in);
	case HEAD:
		return step_head(m, in);
	case EPILOGUE:
		in->n = 0;
		return true;
	case BAD:
		break;
	}
	return false;
}

/* ---- open, write, close ---- */

static bool read_boundary(struct multipart *m, struct slice value)
{
	AUTO(buf_free) struct buf text = BUF(BOUNDARY_MAX);
	struct slice name;

	if (!is_type(value, "multipart/form-data"))
		return false;
	while (next_parameter(&value, &name, &text)) {
		if (!is_named(name, "boundary"))
			continue;
		m->no_memory |= text.no_memory;
		if (text.n == 0 || text.failed || memchr(text.p, '\r', text.n) != NULL)
			return false;
		memcpy(m->delimiter, DELIMITER_PREFIX, strlen(DELIMITER_PREFIX));
		memcpy(m->delimiter + strlen(DELIMITER_PREFIX), text.p, text.n);
		m->delimiter_bytes = strlen(DELIMITER_PREFIX) + text.n;
		return true;
	}
	return false;
}

struct multipart *multipart_open(const char *content_type, multipart_fn each, void *ctx)
{
	struct multipart *m = content_type != NULL ? calloc(1, sizeof(*m)) : NULL;

	if (m == NULL) {
		errno = content_type != NULL ? ENOMEM : EINVAL;
		return NULL;
	}
	m->each = each;
	m->ctx = ctx;
	m->line = BUF(HEAD_MAX);
	m->matched = 2; /* the CR LF that stands before the form */
	if (!read_boundary(m, slice_of(content_type))) {
		errno = m->no_memory ? ENOMEM : EINVAL;
		free(m);
		return NULL;
	}
	return m;
}

bool multipart_write(struct multipart *m, struct slice piece)
{
	while (piece.n > 0)
		if (!step(m, &piece)) {
			m->state = BAD;
			return false;
		}
	return m->state != BAD;
}

bool multipart_no_memory(const struct multipart *m)
{
	return m->no_memory;
}

bool multipart_close(struct multipart *m)
{
	if (m == NULL)
		return false;
	bool whole = m->state == EPILOGUE;
	part_forget(m);
	buf_free(&m->line);
	free(m);
	return whole;
}
