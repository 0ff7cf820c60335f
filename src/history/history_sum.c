#include "history/history_sum.h"

#include <math.h>

/* ---- organizations ---- */

unsigned history_step_ticks(enum rings_span span)
{
	return span == RINGS_HOUR ? 1 : DAY_TICKS;
}

int64_t history_from(enum rings_span span, int64_t now)
{
	int64_t ticks = history_step_ticks(span), newest = now / TICK_S - 1;

	return (newest / ticks - (int64_t)rings_steps(span) + 1) * ticks;
}

static struct rings_rate rate_of(const struct history_step *s, double seconds)
{
	return (struct rings_rate){ (double)s->lines / seconds, (double)s->tokens / seconds,
				    s->firsts > 0 ? (double)s->first_ms / (double)s->firsts : NAN };
}

void history_steps_page(const struct history_step *rows, size_t n, enum rings_span span,
			int64_t now, int64_t since, struct history_page *ret)
{
	const unsigned ticks = history_step_ticks(span);
	int64_t from = history_from(span, now), end = now / TICK_S; /* ticks; behind the newest */
	size_t at = 0;

	ret->step_s = ticks * TICK_S;
	ret->steps = rings_steps(span);
	ret->from = from * TICK_S;
	for (unsigned i = 0; i < ret->steps; i++) {
		struct history_step step = { .step = from / ticks + i };
		int64_t begins = step.step * ticks, left = end - begins;
		double seconds = (double)(left < ticks ? left : ticks) * TICK_S;
		while (at < n && rows[at].step < step.step)
			at++;
		bool has_row = at < n && rows[at].step == step.step;
		bool known = has_row || (begins + ticks) * (int64_t)TICK_S > since;
		ret->rates[i] = known ? rate_of(has_row ? &rows[at] : &step, seconds)
				      : (struct rings_rate){ NAN, NAN, NAN };
	}
}

/* ---- batches ---- */

static void row_add(struct history_page *page, const struct pace_row *row)
{
	for (unsigned i = 0; i < row->steps; i++) {
		int64_t at = (row->from + (int64_t)i * row->step_s - page->from) / page->step_s;
		if (at < page->steps)
			page->rates[at].lines_per_s += (double)row->lines[i] / page->step_s;
	}
}

void pace_rows_page(const struct pace_row *rows, size_t n, int64_t now, struct history_page *ret)
{
	*ret = (struct history_page){ .from = now, .step_s = 1 };
	for (size_t i = 0; i < n; i++) {
		ret->from = rows[i].from < ret->from ? rows[i].from : ret->from;
		ret->step_s = rows[i].step_s > ret->step_s ? rows[i].step_s : ret->step_s;
	}
	while ((now - ret->from) / ret->step_s >= (int64_t)PACE_STEPS)
		ret->step_s *= 2;
	ret->steps = (unsigned)((now - ret->from) / ret->step_s);
	for (size_t i = 0; i < n; i++)
		row_add(ret, &rows[i]);
}
