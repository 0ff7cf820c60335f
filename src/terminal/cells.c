/* cells.c: see cells.h. */
#include "terminal/cells.h"

#include <inttypes.h>

#include "terminal/member.h"
#include "terminal/words.h"

void cell_time(struct table_cell *cell, int64_t at)
{
	char time[WORDS_BYTES], age[WORDS_BYTES];

	words_time(at, time);
	words_age(at, cell->now_s, age);
	buf_printf(cell->text, "%s (%s)", time, age);
}

void cell_cost(struct table_cell *cell, const json_t *cost)
{
	if (cost == NULL)
		return;
	member_put(cell->text, member_at(cost, "amount"));
	buf_char(cell->text, ' ');
	member_put(cell->text, member_at(cost, "currency"));
}

static void put_error(struct buf *to, const json_t *entry)
{
	if (member_integer(entry, "line") > 0)
		buf_printf(to, "line %" PRId64 ": ", member_integer(entry, "line"));
	member_put(to, member_at(entry, "code"));
	buf_text(to, ": ");
	member_put(to, member_at(entry, "message"));
	buf_char(to, '\n');
}

void cell_errors(struct table_cell *cell, const json_t *errors)
{
	size_t n = json_array_size(errors);

	for (size_t i = 0; i < n && i < CELL_ERRORS; i++)
		put_error(cell->text, json_array_get(errors, i));
	if (n > CELL_ERRORS)
		buf_printf(cell->text, "and %zu more (--output json has all)\n", n - CELL_ERRORS);
	cell->color = COLOR_RED;
}
