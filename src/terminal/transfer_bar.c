/* transfer_bar.c: see transfer_bar.h. */
#include "terminal/transfer_bar.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/sys.h"
#include "terminal/tty.h"
#include "terminal/words.h"

#define EVERY_MS 200u
#define COLUMNS_USUAL 79u
#define COLUMNS_MOST 200u
#define BAR_MIN 10u
#define BAR_MAX 40u

void transfer_bar_open(struct transfer_bar *b, uint64_t total)
{
	*b = (struct transfer_bar){ .terminal = tty_is(STDERR_FILENO), .total = total };
}

/* "[===>    ]" of `width` characters. */
static void put_bar(const struct meter_view *view, size_t width, char *to)
{
	size_t room = width - 2;
	size_t full = view->total == 0
			      ? 0
			      : (size_t)((double)view->done / (double)view->total * (double)room);

	full = full < room ? full : room;
	*to++ = '[';
	memset(to, ' ', room);
	memset(to, '=', full);
	if (full < room)
		to[full] = '>';
	to[room] = ']';
	to[room + 1] = '\0';
}

/* All but the bar itself. */
static void put_figures(const struct meter_view *view, char *to, size_t size)
{
	char done[WORDS_BYTES], all[WORDS_BYTES], rate[WORDS_BYTES], eta[24] = "-";

	words_bytes(view->done, done);
	words_bytes((uint64_t)view->lines_per_s, rate);
	if (view->total == UINT64_MAX) {
		snprintf(to, size, "%s  %s/s", done, rate);
		return;
	}
	words_bytes(view->total, all);
	if (view->eta_s >= 0)
		meter_span(view->eta_s, eta);
	unsigned percent = view->total == 0
				   ? 100
				   : (unsigned)((double)view->done * 100 / (double)view->total);
	snprintf(to, size, "%3u%%  %s of %s  %s/s  ETA %s", percent, done, all, rate, eta);
}

void transfer_bar_text(const struct meter_view *view, size_t columns, char *to, size_t size)
{
	char figures[4 * WORDS_BYTES], bar[BAR_MAX + 1] = "";

	put_figures(view, figures, sizeof(figures));
	size_t used = strlen(figures) + 2;
	if (view->total != UINT64_MAX && columns >= used + BAR_MIN)
		put_bar(view, columns - used < BAR_MAX ? columns - used : BAR_MAX, bar);
	snprintf(to, size, "%s%s%s", bar, bar[0] != '\0' ? "  " : "", figures);
	if (columns < size)
		to[columns] = '\0';
}

static void draw(struct transfer_bar *b, const struct meter_view *view)
{
	char text[COLUMNS_MOST + 1];
	size_t columns = tty_columns(STDERR_FILENO);

	columns = columns == SIZE_MAX || columns < 2 ? COLUMNS_USUAL : columns - 1;
	transfer_bar_text(view, columns < COLUMNS_MOST ? columns : COLUMNS_MOST, text,
			  sizeof(text));
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
	b->drawn = true;
}

void transfer_bar_show(struct transfer_bar *b, uint64_t done)
{
	struct meter_view view = { .done = done, .total = b->total };
	uint64_t now = sys.monotonic_ms();

	if (!b->terminal)
		return;
	meter_add(&b->meter, now, done, 0);
	if (now < b->next_ms)
		return;
	meter_speed(&b->meter, &view);
	draw(b, &view);
	b->next_ms = now + EVERY_MS;
}

void transfer_bar_close(struct transfer_bar *b)
{
	if (b->drawn)
		fputs("\r\033[K", stderr);
	b->drawn = false;
}
