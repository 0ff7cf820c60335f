/* column.c: a member is reached by its offset; the table's macro has taken its type from the
 * compiler. */
#include "api/column.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

static const void *member(struct column c, const void *row)
{
	return (const char *)row + c.at;
}

bool column_is_text(struct column c)
{
	return c.type == COLUMN_SLICE || c.type == COLUMN_TEXT || c.type == COLUMN_CHARS;
}

struct slice column_text(struct column c, const void *row)
{
	const char *text = member(c, row);

	assert(column_is_text(c));
	if (c.type == COLUMN_SLICE)
		return *(const struct slice *)member(c, row);
	if (c.type == COLUMN_TEXT)
		text = *(char *const *)member(c, row);
	return text != NULL ? slice_of(text) : (struct slice){ 0 };
}

static void double_write(double value, unsigned decimals, struct buf *to)
{
	if (decimals == 0)
		buf_printf(to, "%.17g", value);
	else
		buf_printf(to, "%.*f", decimals == DECIMALS_NONE ? 0 : (int)decimals, value);
}

void column_number(struct column c, const void *row, unsigned decimals, struct buf *to)
{
	const void *p = member(c, row);

	switch (c.type) {
	case COLUMN_ONE:
		buf_char(to, '1');
		break;
	case COLUMN_BOOL:
		buf_char(to, *(const bool *)p ? '1' : '0');
		break;
	case COLUMN_UNSIGNED:
		buf_u64(to, *(const unsigned *)p);
		break;
	case COLUMN_U64:
		buf_u64(to, *(const uint64_t *)p);
		break;
	case COLUMN_I64:
		buf_printf(to, "%" PRId64, *(const int64_t *)p);
		break;
	default:
		assert(c.type == COLUMN_DOUBLE);
		double_write(*(const double *)p, decimals, to);
	}
}

bool column_is_unknown(struct column c, const void *row)
{
	return c.type == COLUMN_DOUBLE && isnan(*(const double *)member(c, row));
}

bool column_is_empty(struct column c, const void *row)
{
	const void *p = member(c, row);

	switch (c.type) {
	case COLUMN_BOOL:
		return !*(const bool *)p;
	case COLUMN_UNSIGNED:
		return *(const unsigned *)p == 0;
	case COLUMN_U64:
		return *(const uint64_t *)p == 0;
	case COLUMN_I64:
		return *(const int64_t *)p == 0;
	default:
		return column_text(c, row).n == 0;
	}
}

bool column_is_negative(struct column c, const void *row)
{
	assert(c.type == COLUMN_I64);
	return *(const int64_t *)member(c, row) < 0;
}
