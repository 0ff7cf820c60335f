/* watch_view.c: see watch_view.h. */
#include "terminal/watch_view.h"

#include <inttypes.h>

#include "terminal/member.h"
#include "terminal/text.h"

#define BAR_BYTES 256

static struct meter_view view_of(const struct watched *w, int64_t now_s)
{
	const json_t *b = w->batch;
	struct meter_view view = {
		.done = batch_lines_ended(b),
		.total = (uint64_t)member_integer(b, "request_counts.total"),
		.failed = batch_lines_unanswered(b),
	};
	int64_t eta = member_integer(b, "lowtide.eta_at");

	meter_speed(&w->meter, &view);
	view.lines_per_s = member_real(b, "lowtide.rate_per_s");
	view.eta_s = -1;
	if (eta > 0)
		view.eta_s = eta > now_s ? eta - now_s : 0;
	return view;
}

void watched_set(struct watched *w, json_t *batch, uint64_t now_ms)
{
	json_decref(w->batch);
	w->batch = batch;
	w->news_ms = now_ms;
	w->fresh = true;
	meter_add(&w->meter, now_ms, batch_lines_ended(batch),
		  (uint64_t)member_integer(batch, "usage.total_tokens"));
}

/* ---- a screen ---- */

static void put_head(const struct watched *w, const struct watch_look *look, struct buf *to)
{
	AUTO(buf_free) struct buf text = BUF(BAR_BYTES), more = BUF(64u << 10);

	text_plain(&text, slice_of(member_string(w->batch, "id")));
	tty_color(to, look->colored, COLOR_BOLD, buf_slice(&text));
	buf_clear(&text);
	buf_text(to, "  ");
	text_plain(&text, slice_of(member_string(w->batch, "status")));
	tty_color(to, look->colored, batch_color(w->batch), buf_slice(&text));
	batch_put_metadata(&more, w->batch, ' ');
	if (more.n > 0) {
		buf_text(to, "  ");
		tty_color(to, look->colored, COLOR_DIM, buf_slice(&more));
	}
}

/* "3,000 lines in 2m05s, 12 without an answer" */
static void put_end(const struct watched *w, struct buf *to)
{
	int64_t start = member_integer(w->batch, "in_progress_at");
	int64_t end = batch_ended_at(w->batch);
	char span[24];

	buf_printf(to, "  %" PRIu64 " of %" PRIu64 " lines", batch_lines_ended(w->batch),
		   (uint64_t)member_integer(w->batch, "request_counts.total"));
	if (start > 0 && end >= start) {
		meter_span(end - start, span);
		buf_printf(to, " in %s", span);
	}
	if (batch_lines_unanswered(w->batch) > 0)
		buf_printf(to, ", %" PRIu64 " without an answer", batch_lines_unanswered(w->batch));
}

static void put_bar(const struct watched *w, const struct watch_look *look, struct buf *to)
{
	struct meter_view view = view_of(w, look->now_s);
	size_t columns = look->columns > BAR_BYTES ? BAR_BYTES - 1 : look->columns;
	char bar[BAR_BYTES];

	if (view.total == 0) {
		buf_text(to, "  the input is being checked\n");
		return;
	}
	meter_bar(&view, columns > 3 ? columns - 3 : 1, bar, sizeof(bar));
	buf_printf(to, "  %s\n", bar);
}

static void put_wait(const struct watched *w, const struct watch_look *look, struct buf *to)
{
	AUTO(buf_free) struct buf text = BUF(4096);

	buf_text(&text, "waits: ");
	batch_put_stall(&text, w->batch);
	buf_text(to, "  ");
	tty_color(to, look->colored, COLOR_YELLOW, buf_slice(&text));
	buf_char(to, '\n');
}

static void put_watched(const struct watched *w, const struct watch_look *look, struct buf *to)
{
	put_head(w, look, to);
	if (batch_has_ended(w->batch)) {
		put_end(w, to);
		buf_char(to, '\n');
		return;
	}
	buf_char(to, '\n');
	put_bar(w, look, to);
	if (member_at(w->batch, "lowtide.stall_reason") != NULL)
		put_wait(w, look, to);
}

static size_t lines_of(const struct watched *w)
{
	if (batch_has_ended(w->batch))
		return 1;
	return member_at(w->batch, "lowtide.stall_reason") != NULL ? 3 : 2;
}

void watch_screen(const struct watched *all, size_t n, const struct watch_look *look,
		  struct buf *to)
{
	size_t lines = 0, ended = 0;

	for (size_t i = 0; i < n; i++)
		lines += lines_of(&all[i]);
	bool crowded = lines + 1 > look->rows;
	for (size_t i = 0; i < n; i++) {
		if (crowded && batch_has_ended(all[i].batch))
			ended++;
		else
			put_watched(&all[i], look, to);
	}
	if (ended > 0)
		buf_printf(to, "%zu %s ended\n", ended, ended == 1 ? "has" : "have");
}

/* ---- a log ---- */

static void put_log_line(const struct watched *w, int64_t now_s, struct buf *to)
{
	struct meter_view view = view_of(w, now_s);
	char line[BAR_BYTES];

	text_plain(to, slice_of(member_string(w->batch, "id")));
	buf_char(to, ' ');
	text_plain(to, slice_of(member_string(w->batch, "status")));
	if (batch_has_ended(w->batch)) {
		buf_char(to, ':');
		put_end(w, to);
	} else if (view.total > 0) {
		meter_line(&view, line, sizeof(line));
		buf_printf(to, ": %s", line);
	}
	if (member_at(w->batch, "lowtide.stall_reason") != NULL) {
		buf_text(to, ", waits: ");
		batch_put_stall(to, w->batch);
	}
	buf_char(to, '\n');
}

void watch_line(struct watched *w, int64_t now_s, uint64_t now_ms, struct buf *to)
{
	char told[sizeof(w->told)];

	snprintf(told, sizeof(told), "%.60s/%.60s", member_string(w->batch, "status"),
		 member_string(w->batch, "lowtide.stall_reason"));
	bool changed = strcmp(told, w->told) != 0;
	if (!changed && (!w->fresh || now_ms - w->line_ms < WATCH_LINE_EVERY_MS))
		return;
	put_log_line(w, now_s, to);
	memcpy(w->told, told, sizeof(told));
	w->line_ms = now_ms;
	w->fresh = false;
}
