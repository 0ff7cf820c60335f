/* screen.c: progress on standard error. */
#include "cli/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_EVERY_MS 200
#define LINE_EVERY_MS 10000
#define COLUMNS_MAX 200
#define COLUMNS_UNKNOWN 79

static bool is_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

/* Asked anew each time: windows are resized. */
static size_t columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2)
		return COLUMNS_UNKNOWN;
	/* Not the last column: there terminals wrap. */
	return size.ws_col <= COLUMNS_MAX ? size.ws_col - 1u : COLUMNS_MAX;
}

void screen_open(struct screen *s, uint64_t now_ms)
{
	*s = (struct screen){ .terminal = is_terminal() };
	s->next_ms = s->terminal ? now_ms : now_ms + LINE_EVERY_MS;
}

/* The cursor goes back to the first column, so that a line of the log overwrites the bar and is not
 * appended to it. */
static void draw_bar(const struct meter_view *view, bool last)
{
	char text[COLUMNS_MAX + 1];

	meter_bar(view, columns(), text, sizeof(text));
	fprintf(stderr, "\r%s\033[K%s", text, last ? "\n" : "\r");
}

static void print_line(const struct meter_view *view)
{
	char text[COLUMNS_MAX + 1];

	meter_line(view, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
}

void screen_show(struct screen *s, struct meter_view *view, uint64_t tokens, uint64_t now_ms,
		 bool last)
{
	/* A run that goes on shows nothing done until its journal has been read, and then all of it
	 * at once: that is no speed. */
	if (view->done > 0 || view->running > 0)
		meter_add(&s->meter, now_ms, view->done, tokens);
	if (now_ms < s->next_ms && !last)
		return;
	meter_speed(&s->meter, view);
	if (s->terminal)
		draw_bar(view, last);
	else
		print_line(view);
	s->next_ms = now_ms + (s->terminal ? BAR_EVERY_MS : LINE_EVERY_MS);
}
