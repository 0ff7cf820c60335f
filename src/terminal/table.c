/* table.c: cells are made once, kept as text, and laid out when the widths are known. */
#include "terminal/table.h"

#include <inttypes.h>

#include "terminal/cells.h"
#include "terminal/member.h"
#include "terminal/text.h"
#include "terminal/words.h"

#define BETWEEN 2 /* blanks */
#define LEAST 12  /* characters of a column that shrinks */
#define ROW_BYTES_MAX (1u << 20)

/* A row: its cells' texts, one behind the other. */
struct table_kept {
	struct buf text;
	size_t ends[TABLE_COLUMNS_MAX];
	enum tty_color colors[TABLE_COLUMNS_MAX];
};

static bool is_right(const struct table_column *c)
{
	return c->right || c->form == TABLE_NUMBER || c->form == TABLE_BYTES;
}

/* ---- cells ---- */

/* Forms of numbers, of a value that is one. */
static void put_words(struct table_cell *cell, enum table_form form, int64_t value)
{
	char words[WORDS_BYTES];

	if (form == TABLE_TIME) {
		cell_time(cell, value);
		return;
	}
	if (form == TABLE_AGE)
		words_age(value, cell->now_s, words);
	else if (form == TABLE_BYTES && value >= 0)
		words_bytes((uint64_t)value, words);
	else
		words_number(value, words);
	buf_text(cell->text, words);
}

static void cell_fill(const struct table_column *c, struct table_cell *cell, const json_t *object)
{
	if (c->put != NULL) {
		c->put(cell, object);
		return;
	}
	const json_t *value = member_at(object, c->path);
	if (value == NULL)
		return;
	if (c->form != TABLE_TEXT && json_is_integer(value))
		put_words(cell, c->form, json_integer_value(value));
	else
		member_put(cell->text, value);
}

static void row_fill(const struct table *t, struct table_kept *row, const json_t *object)
{
	for (unsigned i = 0; i < t->count; i++) {
		struct table_cell cell = { .text = &row->text, .now_s = t->now_s };
		size_t before = row->text.n;
		cell_fill(&t->columns[i], &cell, object);
		if (row->text.n == before)
			buf_char(&row->text, '-');
		row->ends[i] = row->text.n;
		row->colors[i] = cell.color;
	}
}

static struct slice cell_of(const struct table_kept *row, unsigned i)
{
	size_t start = i == 0 ? 0 : row->ends[i - 1];

	return (struct slice){ row->text.p + start, row->ends[i] - start };
}

/* ---- widths ---- */

static size_t width_least(const struct table *t, unsigned i)
{
	size_t title = text_width(slice_of(t->columns[i].title));
	size_t least = title > LEAST ? title : LEAST;

	return t->columns[i].shrinks && t->widths[i] > least ? least : t->widths[i];
}

static size_t widths_sum(const struct table *t, bool least)
{
	size_t sum = 0, shown = 0;

	for (unsigned i = 0; i < t->count; i++)
		if (!t->gone[i]) {
			sum += least ? width_least(t, i) : t->widths[i];
			shown++;
		}
	return shown > 0 ? sum + (shown - 1) * BETWEEN : 0;
}

/* False: every column that is left stays. */
static bool take_column_away(struct table *t)
{
	unsigned most = 0, which = 0;

	for (unsigned i = 0; i < t->count; i++)
		if (!t->gone[i] && t->columns[i].gives_way > most) {
			most = t->columns[i].gives_way;
			which = i;
		}
	if (most > 0)
		t->gone[which] = true;
	return most > 0;
}

/* One character off the widest of those that may shrink. */
static void shrink_widest(struct table *t)
{
	unsigned widest = 0;

	for (unsigned i = 0; i < t->count; i++) {
		bool can = !t->gone[i] && t->widths[i] > width_least(t, i);
		bool has = !t->gone[widest] && t->widths[widest] > width_least(t, widest);
		if (can && (!has || t->widths[i] > t->widths[widest]))
			widest = i;
	}
	t->widths[widest]--;
}

static void widths_settle(struct table *t)
{
	for (unsigned i = 0; i < t->count; i++) {
		t->widths[i] = text_width(slice_of(t->columns[i].title));
		for (size_t r = 0; r < t->row_count; r++) {
			size_t width = text_width(cell_of(&t->rows[r], i));
			if (width > t->widths[i])
				t->widths[i] = width;
		}
	}
	while (widths_sum(t, true) > t->width && take_column_away(t)) {
	}
	while (widths_sum(t, false) > t->width && widths_sum(t, false) > widths_sum(t, true))
		shrink_widest(t);
	t->settled = true;
}

/* ---- writing ---- */

static void pad(struct buf *to, size_t n)
{
	buf_printf(to, "%*s", (int)n, "");
}

static bool is_last(const struct table *t, unsigned i)
{
	for (unsigned next = i + 1; next < t->count; next++)
		if (!t->gone[next])
			return false;
	return true;
}

/* Columns that stay are never cut: half of an id is of no use. */
static void cell_write(const struct table *t, unsigned i, struct slice text, enum tty_color color,
		       struct buf *to)
{
	AUTO(buf_free) struct buf shown = BUF(ROW_BYTES_MAX);
	size_t room = t->columns[i].shrinks ? t->widths[i] : SIZE_MAX;
	size_t width = text_cut(&shown, text, room);
	size_t blanks = width < t->widths[i] ? t->widths[i] - width : 0;

	to->failed = to->failed || shown.failed;
	if (is_right(&t->columns[i]))
		pad(to, blanks);
	tty_color(to, t->colored, color, buf_slice(&shown));
	if (is_last(t, i))
		buf_char(to, '\n');
	else
		pad(to, BETWEEN + (is_right(&t->columns[i]) ? 0 : blanks));
}

static void titles_write(const struct table *t, struct buf *to)
{
	for (unsigned i = 0; i < t->count; i++)
		if (!t->gone[i])
			cell_write(t, i, slice_of(t->columns[i].title), COLOR_BOLD, to);
}

static void row_write(const struct table *t, const struct table_kept *row, struct buf *to)
{
	to->failed = to->failed || row->text.failed;
	for (unsigned i = 0; i < t->count && !to->failed; i++)
		if (!t->gone[i])
			cell_write(t, i, cell_of(row, i), row->colors[i], to);
}

/* Those that were kept. */
static void rows_write(struct table *t, struct buf *to)
{
	widths_settle(t);
	titles_write(t, to);
	for (size_t i = 0; i < t->row_count; i++)
		row_write(t, &t->rows[i], to);
	table_done(t);
}

/* ---- from outside ---- */

void table_row(struct table *t, const json_t *object, struct buf *to)
{
	struct table_kept row = { .text = BUF(ROW_BYTES_MAX) };

	row_fill(t, &row, object);
	if (t->settled) {
		row_write(t, &row, to);
		buf_free(&row.text);
		return;
	}
	if (t->rows == NULL)
		t->rows = calloc(TABLE_ROWS, sizeof(*t->rows));
	if (t->rows == NULL || row.text.failed) {
		buf_free(&row.text);
		to->failed = true;
		return;
	}
	t->rows[t->row_count++] = row;
	if (t->row_count == TABLE_ROWS)
		rows_write(t, to);
}

void table_end(struct table *t, struct buf *to)
{
	if (t->row_count > 0)
		rows_write(t, to);
	table_done(t);
	t->settled = false;
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->row_count; i++)
		buf_free(&t->rows[i].text);
	free(t->rows);
	t->rows = NULL;
	t->row_count = 0;
}

static void object_line(const struct table *t, const char *title, size_t width,
			struct table_cell *cell, struct buf *to)
{
	struct slice rest = buf_slice(cell->text);
	bool first = true;

	while (rest.n > 0) {
		const char *end = memchr(rest.p, '\n', rest.n);
		struct slice line = { rest.p, end != NULL ? (size_t)(end - rest.p) : rest.n };
		tty_color(to, t->colored && first, COLOR_BOLD, slice_of(first ? title : ""));
		pad(to, width + BETWEEN - (first ? text_width(slice_of(title)) : 0));
		tty_color(to, t->colored, cell->color, line);
		buf_char(to, '\n');
		rest = (struct slice){ line.p + line.n, rest.n - line.n };
		if (rest.n > 0)
			rest = (struct slice){ rest.p + 1, rest.n - 1 };
		first = false;
	}
}

void table_object(const struct table *t, const json_t *object, struct buf *to)
{
	AUTO(buf_free) struct buf text = BUF(ROW_BYTES_MAX);
	size_t width = 0;

	for (unsigned i = 0; i < t->count; i++) {
		size_t own = text_width(slice_of(t->columns[i].title));
		width = own > width ? own : width;
	}
	for (unsigned i = 0; i < t->count; i++) {
		struct table_cell cell = { .text = &text, .now_s = t->now_s };
		cell_fill(&t->columns[i], &cell, object);
		object_line(t, t->columns[i].title, width, &cell, to);
		to->failed = to->failed || text.failed;
		buf_clear(&text);
	}
}
