/* csv.c: a field at a time. What stands between quotes is searched by memchr(). */
#include "rows/csv.h"

#include <stdlib.h>

struct csv_scan {
	const char *start, *p, *end;
	bool last; /* nothing follows `end` */
	char delimiter;
};

static bool field_add(struct csv_record *r, size_t at, size_t n, bool doubled)
{
	if (r->count == r->room && r->count < CSV_FIELDS_MAX) {
		size_t room = r->room == 0 ? 16 : r->room * 2;
		struct csv_field *more = reallocarray(r->fields, room, sizeof(*more));

		if (more == NULL)
			return false;
		r->fields = more;
		r->room = room;
	}
	if (r->count < CSV_FIELDS_MAX)
		r->fields[r->count] = (struct csv_field){ at, n, doubled };
	r->count++;
	return true;
}

static size_t count_lf(const char *p, const char *end)
{
	size_t n = 0;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return n;
}

/* `s->p` is at the first byte behind the opening quote; on CSV_RECORD behind the closing one. */
static enum csv_end quoted_read(struct csv_scan *s, struct csv_record *r)
{
	const char *first = s->p;
	bool doubled = false;

	for (;;) {
		const char *quote = memchr(s->p, '"', (size_t)(s->end - s->p));

		if (quote == NULL)
			return s->last ? CSV_OPEN : CSV_MORE;
		if (quote + 1 == s->end && !s->last)
			return CSV_MORE;
		s->p = quote + 1;
		if (s->p == s->end || *s->p != '"') {
			r->lines += count_lf(first, quote);
			return field_add(r, (size_t)(first - s->start), (size_t)(quote - first),
					 doubled)
				       ? CSV_RECORD
				       : CSV_NO_MEMORY;
		}
		doubled = true;
		s->p++;
	}
}

/* Up to the delimiter or the line end, which may be the text's. */
static enum csv_end plain_read(struct csv_scan *s, struct csv_record *r)
{
	const char *first = s->p;

	while (s->p < s->end && *s->p != s->delimiter && *s->p != '\n' && *s->p != '\r')
		s->p++;
	if (s->p == s->end && !s->last)
		return CSV_MORE;
	return field_add(r, (size_t)(first - s->start), (size_t)(s->p - first), false)
		       ? CSV_RECORD
		       : CSV_NO_MEMORY;
}

static enum csv_end field_read(struct csv_scan *s, struct csv_record *r)
{
	if (s->p < s->end && *s->p == '"') {
		s->p++;
		return quoted_read(s, r);
	}
	return plain_read(s, r);
}

/* What follows a field. *ret_more: another field. */
static enum csv_end behind_field(struct csv_scan *s, struct csv_record *r, bool *ret_more)
{
	*ret_more = false;
	r->bytes = (size_t)(s->p - s->start);
	r->end_bytes = 0;
	if (s->p == s->end)
		return s->last ? CSV_RECORD : CSV_MORE;
	if (*s->p == s->delimiter) {
		s->p++;
		*ret_more = true;
		return CSV_RECORD;
	}
	if (*s->p != '\n' && *s->p != '\r')
		return CSV_TRAILING;
	if (*s->p == '\r' && s->p + 1 == s->end && !s->last)
		return CSV_MORE; /* whether LF follows */
	r->end_bytes = *s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n' ? 2 : 1;
	r->lines++;
	return CSV_RECORD;
}

enum csv_end csv_read(struct slice text, bool last, char delimiter, struct csv_record *ret)
{
	struct csv_scan s = { text.p, text.p, text.p + text.n, last, delimiter };
	enum csv_end end;
	bool more = true;

	ret->count = ret->bytes = ret->end_bytes = ret->lines = 0;
	while (more) {
		end = field_read(&s, ret);
		if (end == CSV_RECORD)
			end = behind_field(&s, ret, &more);
		if (end == CSV_OPEN)
			ret->bytes = text.n;
		if (end != CSV_RECORD)
			return end;
	}
	return CSV_RECORD;
}

bool csv_delimiter(struct slice text, bool last, char *ret)
{
	static const char candidates[] = ",;\t";
	bool begins = true, quoted = false; /* a field; one in quotes goes on */

	*ret = '\0';
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (quoted) {
			bool doubled = c == '"' && i + 1 < text.n && text.p[i + 1] == '"';
			quoted = c != '"' || doubled;
			i += doubled;
			continue;
		}
		quoted = begins && c == '"';
		if (c == '\n' || c == '\r')
			return true;
		begins = c != '\0' && strchr(candidates, c) != NULL;
		if (begins && *ret != '\0' && *ret != c)
			*ret = '?';
		else if (begins)
			*ret = c;
	}
	return last;
}

void csv_record_done(struct csv_record *r)
{
	free(r->fields);
	*r = (struct csv_record){ 0 };
}

size_t csv_unquote(struct slice field, char *to)
{
	const char *p = field.p, *end = field.p + field.n;
	char *start = to;

	while (p < end) {
		const char *quote = memchr(p, '"', (size_t)(end - p));
		size_t n = (size_t)((quote != NULL ? quote + 1 : end) - p);

		memcpy(to, p, n);
		to += n;
		p += n + (quote != NULL); /* the second of the two */
	}
	return (size_t)(to - start);
}

void csv_write(struct buf *to, struct slice text, char delimiter)
{
	const char special[] = { delimiter, '"', '\n', '\r' };
	bool quotes = false;

	for (size_t i = 0; i < sizeof(special) && !quotes; i++)
		quotes = text.n > 0 && memchr(text.p, special[i], text.n) != NULL;
	if (!quotes) {
		buf_add(to, text);
		return;
	}
	buf_char(to, '"');
	for (size_t at = 0; at < text.n;) {
		const char *quote = memchr(text.p + at, '"', text.n - at);
		size_t n = quote != NULL ? (size_t)(quote + 1 - text.p) - at : text.n - at;

		buf_append(to, text.p + at, n);
		if (quote != NULL)
			buf_char(to, '"');
		at += n;
	}
	buf_char(to, '"');
}
