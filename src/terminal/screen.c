/* screen.c: progress on standard error. */
#include "terminal/screen.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "terminal/tty.h"

#define BAR_EVERY_MS 200
#define LINE_EVERY_MS 10000
#define STATUS_EVERY_MS 500
#define STATUS_LAST_MS 1000 /* that a reader has for the last line */
#define COLUMNS_UNKNOWN 79

/* Asked anew each time: windows are resized. */
static size_t columns(void)
{
	size_t all = tty_columns(STDERR_FILENO);

	if (all == SIZE_MAX)
		return COLUMNS_UNKNOWN;
	/* Not the last column: there terminals wrap. */
	return all <= SCREEN_COLUMNS_MAX ? all - 1 : SCREEN_COLUMNS_MAX;
}

/* One call, so that what others write to standard error does not come in between. A write that
 * fails is ignored. */
static void put(int fd, const char *text, size_t n)
{
	ssize_t written;

	do
		written = write(fd, text, n);
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
		put(STDERR_FILENO, text, n);
	else
		put(STDERR_FILENO, all.p, all.n);
	pthread_mutex_unlock(&s->lock);
}

static void open_as(struct screen *s, struct screen as)
{
	*s = as;
	pthread_mutex_init(&s->lock, NULL);
	log_divert(above_bar, s);
}

void screen_open(struct screen *s, uint64_t now_ms)
{
	bool terminal = tty_is(STDERR_FILENO);

	open_as(s, (struct screen){ .terminal = terminal,
				    .status_fd = -1,
				    .next_ms = terminal ? now_ms : now_ms + LINE_EVERY_MS });
}

void screen_open_status(struct screen *s, int status_fd, uint64_t now_ms)
{
	open_as(s, (struct screen){ .status_fd = status_fd, .next_ms = now_ms });
}

void screen_leave(struct screen *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->bar[0] != '\0')
		put(STDERR_FILENO, "\n", 1);
	s->bar[0] = '\0';
	pthread_mutex_unlock(&s->lock);
}

void screen_close(struct screen *s)
{
	log_divert(NULL, NULL);
	screen_leave(s);
	pthread_mutex_destroy(&s->lock);
}

static void draw_bar(struct screen *s, const struct meter_view *view)
{
	char drawn[sizeof(s->bar) + 16];

	pthread_mutex_lock(&s->lock);
	meter_bar(view, columns(), s->bar, sizeof(s->bar));
	int n = snprintf(drawn, sizeof(drawn), "\r%s\033[K", s->bar);
	put(STDERR_FILENO, drawn, (size_t)n);
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

/* A pipe or socket that poll() calls ready takes a line as long as ours at once and whole. Nobody who
 * reads it, or not so quickly, is no fault: the line is left out, and the next one says more. */
static void put_status(int fd, const char *text, size_t n, bool last)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	if (poll(&ready, 1, last ? STATUS_LAST_MS : 0) > 0)
		put(fd, text, n);
}

/* Words of ours need no escapes. */
static void write_status(const struct screen *s, const struct meter_view *view, bool last)
{
	char eta[24] = "null", text[512];
	const char *quote = view->waiting != NULL ? "\"" : "";

	if (view->eta_s >= 0)
		snprintf(eta, sizeof(eta), "%" PRId64, view->eta_s);
	int n = snprintf(text, sizeof(text),
			 "{\"done\":%" PRIu64 ",\"total\":%" PRIu64 ",\"failed\":%" PRIu64
			 ",\"running\":%" PRIu64 ",\"lines_per_s\":%.1f,\"tokens_per_s\":%.1f,"
			 "\"eta_s\":%s,\"waiting\":%s%s%s}\n",
			 view->done, view->total, view->failed, view->running, view->lines_per_s,
			 view->tokens_per_s, eta, quote,
			 view->waiting != NULL ? view->waiting : "null", quote);
	put_status(s->status_fd, text, (size_t)n, last);
}

static uint64_t show_every_ms(const struct screen *s)
{
	if (s->status_fd >= 0)
		return STATUS_EVERY_MS;
	return s->terminal ? BAR_EVERY_MS : LINE_EVERY_MS;
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
	if (s->status_fd >= 0)
		write_status(s, view, last);
	else if (s->terminal)
		draw_bar(s, view);
	else
		print_line(s, view);
	s->next_ms = now_ms + show_every_ms(s);
}
