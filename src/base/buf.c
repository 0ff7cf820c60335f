/* buf.c: the growable run of bytes. Growth doubles, so n appends cost O(n) copies in all. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/utf8.h"

#define CAP_LEAST 64

void buf_free(struct buf *b)
{
	free(b->p);
	budget_give(b->use, b->cap);
	*b = BUF_OF(b->max, b->use);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->failed = b->no_memory = false;
}

/* What `cap` becomes so that `more` fits, which is no more than `max` allows. */
static size_t cap_for(const struct buf *b, size_t more)
{
	size_t need = b->n + more;
	size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;

	if (cap < CAP_LEAST)
		cap = CAP_LEAST;
	if (cap < need)
		cap = need;
	return cap > b->max ? b->max : cap;
}

static bool is_beyond_max(const struct buf *b, size_t more)
{
	return b->n > b->max || more > b->max - b->n;
}

bool buf_reserve(struct buf *b, size_t more)
{
	if (b->failed)
		return false;
	if (more <= b->cap - b->n)
		return true;
	b->failed = is_beyond_max(b, more);
	if (b->failed)
		return false;
	size_t cap = cap_for(b, more);
	char *p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = b->no_memory = true;
		return false;
	}
	budget_charge(b->use, cap - b->cap);
	b->p = p;
	b->cap = cap;
	return true;
}

bool buf_try_reserve(struct buf *b, size_t more)
{
	bool grows = !b->failed && more > b->cap - b->n && !is_beyond_max(b, more);

	if (grows && !budget_has(b->use, cap_for(b, more) - b->cap, 0) && b->use->bytes > b->cap)
		return false; /* others of its kind hold something: it can wait for them */
	(void)buf_reserve(b, more);
	return true;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !buf_reserve(b, n))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_add(struct buf *b, struct slice s)
{
	buf_append(b, s.p, s.n);
}

void buf_text(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

void buf_char(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_u64(struct buf *b, uint64_t value)
{
	char digits[20]; /* of 2^64 - 1 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	buf_append(b, digits + at, sizeof(digits) - at);
}

/* Formats aside and appends, as vsnprintf needs room for a NUL that a buf filled to its largest
 * size does not have. */
void buf_vprintf(struct buf *b, const char *format, va_list args)
{
	char few[256];
	va_list again;

	if (b->failed)
		return;
	va_copy(again, args);
	int n = vsnprintf(few, sizeof(few), format, again);
	va_end(again);
	if (n >= 0 && (size_t)n < sizeof(few)) {
		buf_append(b, few, (size_t)n);
		return;
	}
	char *many = NULL;
	n = vasprintf(&many, format, args);
	if (n < 0) {
		b->failed = b->no_memory = true;
		return;
	}
	buf_append(b, many, (size_t)n);
	free(many);
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(b, format, args);
	va_end(args);
}

static void append_escaped(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		buf_text(b, "\\\"");
		break;
	case '\\':
		buf_text(b, "\\\\");
		break;
	case '\b':
		buf_text(b, "\\b");
		break;
	case '\f':
		buf_text(b, "\\f");
		break;
	case '\n':
		buf_text(b, "\\n");
		break;
	case '\r':
		buf_text(b, "\\r");
		break;
	case '\t':
		buf_text(b, "\\t");
		break;
	default:
		buf_printf(b, "\\u%04x", c);
		break;
	}
}

void buf_json_string(struct buf *b, struct slice s)
{
	size_t start = b->n;
	size_t plain = 0; /* start of the run that goes out as it is */
	size_t i = 0;

	buf_char(b, '"');
	while (i < s.n) {
		unsigned char c = (unsigned char)s.p[i];
		bool valid = true;
		size_t step = 1;
		if (c >= 0x80)
			step = utf8_step(s.p + i, s.n - i, &valid);
		if (valid && c >= 0x20 && c != '"' && c != '\\') {
			i += step;
			continue;
		}
		buf_append(b, s.p + plain, i - plain);
		if (valid)
			append_escaped(b, c);
		else
			buf_text(b, "\xEF\xBF\xBD"); /* U+FFFD */
		i += step;
		plain = i;
	}
	buf_append(b, s.p == NULL ? NULL : s.p + plain, s.n - plain);
	buf_char(b, '"');
	if (b->failed)
		b->n = start; /* all of the string or nothing */
}
