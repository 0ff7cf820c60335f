/* screen.c: progress on standard error. */
#include "cli/screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

#define BAR_EVERY_MS 200
#define LINE_EVERY_MS 10000
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
	return size.ws_col <= SCREEN_COLUMNS_MAX ? size.ws_col - 1u : SCREEN_COLUMNS_MAX;
}

/* Standard error is written with one call, so that what others write does not come in between. A
 * write that fails is ignored. */
static void put(const char *text, size_t n)
{
	ssize_t written;

	do
		written = write(STDERR_FILENO, text, n);
	while (written < 0 && errno == EINTR);
}

#define ERASE "\r\033[K"

/* A line of the log: the bar goes, the line comes, the bar is drawn below it. */
static void above_bar(void *ctx, const char *text, size_t n)
{
	struct screen *s = ctx;
	AUTO(buf_free) struct buf all = BUF(n + sizeof(s->bar) + 32);

	pthread_mutex_lock(&s->lock);
	buf_text(&all, s->bar[0] != '\0' ? ERASE : "");
	buf_append(&all, text, n);
	buf_text(&all, s->bar);
	if (all.failed)
		put(text, n);
	else
		put(all.p, all.n);
	pthread_mutex_unlock(&s->lock);
}

void screen_open(struct screen *s, uint64_t now_ms)
{
	*s = (struct screen){ .terminal = is_terminal() };
	pthread_mutex_init(&s->lock, NULL);
	s->next_ms = s->terminal ? now_ms : now_ms + LINE_EVERY_MS;
	log_divert(above_bar, s);
}

void screen_close(struct screen *s)
{
	log_divert(NULL, NULL);
	if (s->bar[0] != '\0')
		put("\n", 1);
	pthread_mutex_destroy(&s->lock);
}

static void draw_bar(struct screen *s, const struct meter_view *view)
{
	char drawn[sizeof(s->bar) + 16];

	pthread_mutex_lock(&s->lock);
	meter_bar(view, columns(), s->bar, sizeof(s->bar));
	int n = snprintf(drawn, sizeof(drawn), "\r%s\033[K", s->bar);
	put(drawn, (size_t)n);
	pthread_mutex_unlock(&s->lock);
}

static void print_line(struct screen *s, const struct meter_view *view)
{
	char text[sizeof(s->bar)];

	pthread_mutex_lock(&s->lock);
	meter_line(view, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	pthread_mutex_unlock(&s->lock);
}

void screen_show(struct screen *s, struct meter_view *view, uint64_t tokens, uint64_t now_ms,
		 bool last)
{
	/* A run that goes on shows nothing done until its journal has been read, and then all of it
	 * at once: that is no speed. */
	if (view->done > 0 || view->running > 0)
		meter_add(&s->meter, now_ms, view->done, tokens);
	if (view->total == 0 || (now_ms < s->next_ms && !last))
		return;
	meter_speed(&s->meter, view);
	if (s->terminal)
		draw_bar(s, view);
	else
		print_line(s, view);
	s->next_ms = now_ms + (s->terminal ? BAR_EVERY_MS : LINE_EVERY_MS);
}
