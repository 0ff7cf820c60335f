/* watch.c: the main thread of `watch`: it draws. */
#include "terminal/watch.h"

#include "base/clock.h"
#include "base/sys.h"
#include "terminal/frame.h"
#include "terminal/report.h"
#include "terminal/text.h"
#include "terminal/watch_impl.h"

#define DRAW_EVERY_MS 200u
#define LEAVE_MS 500u
#define COLUMNS_UNKNOWN 80u

struct drawing {
	struct watching *watch;
	struct output out;
	struct frame frame;
	bool live;
	char noted[sizeof(((struct watching *)0)->note)]; /* told on standard error */
};

/* ---- a screen, lines, objects: with the lock ---- */

static void draw_screen(struct drawing *d)
{
	AUTO(buf_free) struct buf text = BUF(FRAME_BYTES_MAX);
	size_t columns = tty_columns(STDOUT_FILENO);
	size_t usable = columns == SIZE_MAX ? COLUMNS_UNKNOWN - 1 : columns - 1;
	const struct watch_look look = { usable, tty_rows(STDOUT_FILENO), d->out.colored,
					 sys.now_s() };

	watch_screen(d->watch->all, d->watch->n, &look, &text);
	if (d->watch->note[0] != '\0') {
		tty_color(&text, look.colored, COLOR_RED, slice_of(d->watch->note));
		buf_char(&text, '\n');
	}
	if (!text.failed)
		frame_draw(&d->frame, buf_slice(&text), look.columns, look.rows);
}

/* An outage once; the screen shows it by itself. */
static void tell_note(struct drawing *d)
{
	if (strcmp(d->noted, d->watch->note) == 0)
		return;
	memcpy(d->noted, d->watch->note, sizeof(d->noted));
	if (d->noted[0] != '\0')
		fprintf(stderr, "lowtide: %s\n", d->noted);
}

static bool print_lines(struct drawing *d, struct error *err)
{
	AUTO(buf_free) struct buf text = BUF(FRAME_BYTES_MAX);

	for (size_t i = 0; i < d->watch->n; i++)
		watch_line(&d->watch->all[i], sys.now_s(), sys.monotonic_ms(), &text);
	return output_text(&d->out, &text, err);
}

static bool print_objects(struct drawing *d, struct error *err)
{
	for (size_t i = 0; i < d->watch->n; i++) {
		struct watched *one = &d->watch->all[i];
		if (one->fresh && !output_object(&d->out, &batches_layout, one->batch, err))
			return false;
		one->fresh = false;
	}
	return true;
}

static bool draw(struct drawing *d, struct error *err)
{
	if (d->live) {
		draw_screen(d);
		return true;
	}
	tell_note(d);
	return d->out.form == OUTPUT_TABLE ? print_lines(d, err) : print_objects(d, err);
}

/* With the lock: until `ended` tells something, or `ms` have passed. */
static void wait_on(struct watching *w, uint64_t ms)
{
	struct timespec due = clock_after_ms(ms);

	pthread_cond_timedwait(&w->ended, &w->lock, &due);
}

static bool draw_on(struct drawing *d, struct error *err)
{
	struct watching *w = d->watch;

	pthread_mutex_lock(&w->lock);
	bool good = draw(d, err);
	while (good && !w->over) {
		wait_on(w, DRAW_EVERY_MS);
		good = draw(d, err);
	}
	if (good && w->failed) {
		*err = w->err;
		good = false;
	}
	w->over = true;
	pthread_cond_broadcast(&w->ended);
	pthread_mutex_unlock(&w->lock);
	return good;
}

/* ---- from the first look to the end ---- */

static void on_note(void *ctx, const char *text)
{
	struct watching *w = ctx;
	AUTO(buf_free) struct buf plain = BUF(sizeof(w->note) - 1);

	text_plain(&plain, slice_of(text));
	pthread_mutex_lock(&w->lock);
	if (!slice_copy(buf_slice(&plain), w->note, sizeof(w->note)))
		w->note[0] = '\0';
	pthread_mutex_unlock(&w->lock);
}

static bool open_both(struct watching *w, struct error *err)
{
	const struct asked *a = &w->options->asked;
	const struct remote_setup setup = {
		.url = a->url, .key = a->key, .ca_file = a->ca_file, .note = on_note, .note_ctx = w
	};

	return remote_open(&setup, &w->polls, err) && remote_open(&setup, &w->events, err);
}

static void watch_done(struct watching *w)
{
	for (size_t i = 0; i < w->n; i++)
		json_decref(w->all[i].batch);
	free(w->all);
	remote_close(w->events);
	remote_close(w->polls);
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
}

/* Threads that wait for a server cannot be told to return: the process ends under them. */
static void threads_leave(struct watching *w, int code)
{
	pthread_mutex_lock(&w->lock);
	uint64_t until_ms = clock_ms() + LEAVE_MS;
	for (uint64_t now = clock_ms(); w->threads_left > 0 && now < until_ms; now = clock_ms())
		wait_on(w, until_ms - now);
	bool all = w->threads_left == 0;
	pthread_mutex_unlock(&w->lock);
	if (all)
		return;
	fflush(NULL);
	_exit(code);
}

static bool watch_on(struct watching *w, struct error *err)
{
	struct drawing d = { .watch = w };

	output_open(&d.out, w->options->asked.form);
	d.live = d.out.form == OUTPUT_TABLE && tty_is(STDOUT_FILENO);
	frame_open(&d.frame, STDOUT_FILENO);
	bool good = (w->over || watch_start_threads(w, err)) && draw_on(&d, err);
	frame_close(&d.frame);
	return good;
}

int batches_watch(const struct watch_options *o)
{
	struct watching w = { .options = o };
	struct error err;

	pthread_mutex_init(&w.lock, NULL);
	clock_cond_init(&w.ended);
	bool good = open_both(&w, &err) && watch_begin(&w, &err);
	if (good && w.n == 0)
		fputs("nothing is running\n", stderr);
	else
		good = good && watch_on(&w, &err);
	if (!good)
		report(&err);
	int code = good ? EXIT_GOOD : EXIT_FAULT;
	threads_leave(&w, code);
	watch_done(&w);
	return code;
}
