/* layout.c: a comma stands before each member but the first of its object. */
#include "api/layout.h"

static bool is_null(const struct json_member *m, const void *row)
{
	if (column_is_unknown(m->value, row))
		return true;
	switch (m->form) {
	case FORM_NULL_IF_ZERO:
	case FORM_JSON:
		return column_is_empty(m->value, row);
	case FORM_NULL_IF_NEGATIVE:
		return column_is_negative(m->value, row);
	default:
		return false;
	}
}

static void column_write(struct buf *to, const struct json_member *m, const void *row)
{
	if (is_null(m, row))
		buf_text(to, "null");
	else if (m->form == FORM_JSON)
		buf_add(to, column_text(m->value, row));
	else if (m->value.type == COLUMN_BOOL)
		buf_text(to, column_is_empty(m->value, row) ? "false" : "true");
	else if (column_is_text(m->value))
		buf_json_string(to, column_text(m->value, row));
	else
		column_number(m->value, row, m->decimals, to);
}

static void value_write(struct buf *to, const struct json_member *m, const void *row)
{
	if (m->form == FORM_OBJECT)
		buf_char(to, '{');
	else if (m->literal != NULL)
		buf_text(to, m->literal);
	else if (m->write != NULL)
		m->write(to, row);
	else
		column_write(to, m, row);
}

void members_write(struct buf *to, const struct json_member *members, size_t n, const void *row)
{
	bool first = true;

	for (const struct json_member *m = members; m != members + n; m++) {
		if (m->form == FORM_END) {
			buf_char(to, '}');
			first = false;
			continue;
		}
		buf_printf(to, "%s\"%s\":", first ? "" : ",", m->name);
		value_write(to, m, row);
		first = m->form == FORM_OBJECT;
	}
}

void object_write(struct buf *to, const struct json_member *members, size_t n, const void *row)
{
	buf_char(to, '{');
	members_write(to, members, n, row);
	buf_char(to, '}');
}

void array_write(struct buf *to, const struct json_member *members, size_t n, const void *first,
		 size_t rows, size_t bytes)
{
	buf_char(to, '[');
	for (size_t i = 0; i < rows; i++) {
		if (i > 0)
			buf_char(to, ',');
		object_write(to, members, n, (const char *)first + i * bytes);
	}
	buf_char(to, ']');
}
