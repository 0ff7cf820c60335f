#include "base/record.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/hex.h"

/* ---- writing ---- */

static void write_text(struct buf *to, struct slice text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c > 0x1f && c < 0x7f && c != '%') {
			buf_char(to, (char)c);
			continue;
		}
		buf_char(to, '%');
		buf_char(to, digits[c >> 4]);
		buf_char(to, digits[c & 15]);
	}
}

static void write_field(struct buf *to, enum record_type type, const void *member)
{
	switch (type) {
	case RECORD_BOOL:
		buf_char(to, *(const bool *)member ? '1' : '0');
		break;
	case RECORD_UNSIGNED:
		buf_u64(to, *(const unsigned *)member);
		break;
	case RECORD_U64:
		buf_u64(to, *(const uint64_t *)member);
		break;
	case RECORD_I64:
		buf_printf(to, "%" PRId64, *(const int64_t *)member);
		break;
	case RECORD_DOUBLE:
		if (isnan(*(const double *)member))
			buf_text(to, "nan");
		else
			buf_printf(to, "%.17g", *(const double *)member);
		break;
	case RECORD_SLICE:
		write_text(to, *(const struct slice *)member);
		break;
	case RECORD_WORD: {
		const char *word = *(const char *const *)member;
		write_text(to, slice_of(word != NULL ? word : ""));
		break;
	}
	case RECORD_CHARS:
		write_text(to, slice_of(member));
		break;
	}
}

void record_write(struct buf *to, const char *tag, const struct record_field *fields, size_t n,
		  const void *of)
{
	buf_text(to, tag);
	for (size_t i = 0; i < n; i++) {
		buf_char(to, '\t');
		write_field(to, fields[i].type, (const char *)of + fields[i].at);
	}
	buf_char(to, '\n');
}

/* ---- reading ---- */

/* Up to `end`, which becomes a NUL; *text behind it, NULL where it was the last. */
static char *cut(char **text, char end)
{
	char *from = *text, *at = strchr(from, end);

	*text = at != NULL ? at + 1 : NULL;
	if (at != NULL)
		*at = '\0';
	return from;
}

char *record_next(char **text, char **ret)
{
	if (*text == NULL || **text == '\0')
		return NULL;
	*ret = cut(text, '\n');
	return cut(ret, '\t');
}

/* In place, with a NUL. */
static bool read_text(char *text, struct slice *ret)
{
	char *to = text;
	uint8_t byte;

	*ret = (struct slice){ text, 0 };
	for (const char *from = text; *from != '\0'; from++, to++) {
		*to = *from;
		if (*from != '%')
			continue;
		if (from[1] == '\0' || !hex_read(from + 1, &byte, 1) || byte == 0)
			return false;
		*to = (char)byte;
		from += 2;
	}
	*to = '\0';
	ret->n = (size_t)(to - text);
	return true;
}

static bool read_u64(const char *text, uint64_t most, uint64_t *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *ret <= most;
}

static bool read_i64(const char *text, int64_t *ret)
{
	bool negative = *text == '-';
	uint64_t size;

	if (!read_u64(text + negative, INT64_MAX, &size))
		return false;
	*ret = negative ? -(int64_t)size : (int64_t)size;
	return true;
}

static bool read_double(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return *text != '\0' && *end == '\0' && !isinf(*ret);
}

static bool read_number(const char *text, enum record_type type, void *member)
{
	uint64_t number;

	if (type == RECORD_I64)
		return read_i64(text, member);
	if (type == RECORD_DOUBLE)
		return read_double(text, member);
	uint64_t most = type == RECORD_BOOL ? 1 : type == RECORD_UNSIGNED ? UINT32_MAX : UINT64_MAX;
	if (!read_u64(text, most, &number))
		return false;
	if (type == RECORD_BOOL)
		*(bool *)member = number != 0;
	else if (type == RECORD_UNSIGNED)
		*(unsigned *)member = (unsigned)number;
	else
		*(uint64_t *)member = number;
	return true;
}

static bool read_field(char *text, const struct record_field *field, void *member)
{
	struct slice read;

	if (field->type < RECORD_SLICE)
		return read_number(text, field->type, member);
	if (!read_text(text, &read))
		return false;
	if (field->type == RECORD_SLICE) {
		*(struct slice *)member = read;
	} else if (field->type == RECORD_WORD) {
		*(const char **)member = read.n > 0 ? read.p : NULL;
	} else {
		if (read.n >= field->size)
			read.n = field->size - 1;
		(void)slice_copy(read, member, field->size);
	}
	return true;
}

bool record_read(char *line, const struct record_field *fields, size_t n, void *to)
{
	for (size_t i = 0; i < n; i++)
		if (line == NULL ||
		    !read_field(cut(&line, '\t'), &fields[i], (char *)to + fields[i].at))
			return false;
	return true;
}
