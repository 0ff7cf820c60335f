#include "pipeline/kept_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/sys.h"
#include "history/history_sum.h"

#define FORGET_EVERY_S 600
#define DAY_S INT64_C(86400)
#define TELL_S 2 /* after a tick's end its rows are there */

void kept_history_done(struct kept_history *k)
{
	free(TAKE(k->rows));
	k->n = 0;
}

/* ---- organizations ---- */

/* Of that tick; NULL: there is no room for another, or no memory. */
static struct ticks_row *row_get(struct kept_history *k, const char *org, int64_t tick)
{
	for (size_t i = k->n; i > 0 && k->rows[i - 1].tick >= tick; i--)
		if (k->rows[i - 1].tick == tick && strcmp(k->rows[i - 1].org, org) == 0)
			return &k->rows[i - 1];
	if (k->n == KEPT_ROWS_MAX)
		return NULL;
	struct ticks_row *rows = array_room(k->rows, k->n, sizeof(*rows));
	if (rows == NULL)
		return NULL;
	k->rows = rows;
	struct ticks_row *row = &k->rows[k->n++];
	*row = (struct ticks_row){ .tick = tick };
	(void)slice_copy(slice_of(org), row->org, sizeof(row->org));
	return row;
}

static void part_keep(struct kept_history *k, const struct history_part *part, int64_t tick)
{
	const struct sums *s = &part->sums;
	struct ticks_row *row;

	if ((s->lines | s->tokens | s->firsts) == 0 || (row = row_get(k, part->org, tick)) == NULL)
		return;
	row->lines += s->lines;
	row->tokens += s->tokens;
	row->first_ms += s->first_ms;
	row->firsts += s->firsts;
}

static void parts_take(struct kept_history *k, struct history *h, int64_t tick)
{
	struct history_part parts[HISTORY_PARTS];
	unsigned n = history_take(h, parts);

	for (unsigned i = 0; i < n; i++)
		part_keep(k, &parts[i], tick);
}

static size_t rows_over(const struct kept_history *k, int64_t tick)
{
	size_t n = 0;

	while (n < k->n && k->rows[n].tick < tick)
		n++;
	return n;
}

/* crash, before it: what ended here in a tick is missing in the history. */
static bool rows_tell(struct kept_history *k, struct db *db, uint64_t node, int64_t tick,
		      bool forget, struct error *err)
{
	size_t n = rows_over(k, tick);
	int64_t before = forget ? tick - (DAY_S / TICK_S + DAY_TICKS) : 0;

	if (n == 0)
		return true;
	if (!store_ticks_add(db, node, k->rows, n, before, err))
		return false;
	memmove(k->rows, k->rows + n, (k->n - n) * sizeof(*k->rows));
	k->n -= n;
	return true;
}

/* ---- batches ---- */

struct paces_told {
	struct pace_text *of;
	size_t n;
	int64_t ahead_s;
};

static void on_pace(void *ctx, const char *batch, const struct pace_row *row)
{
	struct paces_told *t = ctx;
	struct pace_text *to = &t->of[t->n++];
	size_t n = 0;

	*to = (struct pace_text){ .begun = row->from - t->ahead_s, .step_s = row->step_s };
	snprintf(to->batch, sizeof(to->batch), "%s", batch);
	for (unsigned i = 0; i < row->steps; i++)
		n += (size_t)snprintf(to->lines + n, sizeof(to->lines) - n, "%s%u",
				      i > 0 ? "," : "", row->lines[i]);
}

static bool paces_tell(struct kept_history *k, struct history *h, struct db *db, uint64_t node,
		       int64_t now, bool forget, struct error *err)
{
	struct paces_told t = { .ahead_s = sys.now_s() - now };
	uint64_t now_ms = sys.monotonic_ms();

	t.of = calloc(PACES, sizeof(*t.of));
	if (t.of == NULL)
		return fail_memory(err);
	history_paces(h, k->paces_ms, on_pace, &t);
	bool ok = t.n == 0 ||
		  store_paces_put(db, node, t.of, t.n, forget ? (unsigned)DAY_S : 0, err);
	free(t.of);
	if (ok)
		k->paces_ms = now_ms;
	return ok;
}

bool kept_history_turn(struct kept_history *k, struct history *h, struct db *db, uint64_t node,
		       int64_t now, bool end, struct error *err)
{
	int64_t tick = now / TICK_S;
	bool forget = now >= k->forgot_at + FORGET_EVERY_S;

	parts_take(k, h, tick);
	bool told = rows_over(k, tick) > 0;
	if (!rows_tell(k, db, node, end ? tick + 1 : tick, forget, err) ||
	    !paces_tell(k, h, db, node, now, forget && told, err))
		return false;
	if (forget && told)
		k->forgot_at = now;
	return true;
}

/* ---- pages ---- */

bool kept_history_page(struct db *db, const char *org, enum rings_span span, int64_t now,
		       int64_t since, struct history_page *ret, struct error *err)
{
	struct ticks_row *rows;
	size_t n;

	now -= TELL_S;
	if (!store_ticks_read(db, org != NULL ? org : "", history_from(span, now),
			      history_step_ticks(span), &rows, &n, err))
		return false;
	struct history_step *steps = calloc(n + 1, sizeof(*steps));
	for (size_t i = 0; steps != NULL && i < n; i++)
		steps[i] = (struct history_step){ rows[i].tick, rows[i].lines, rows[i].tokens,
						  rows[i].first_ms, rows[i].firsts };
	free(rows);
	if (steps == NULL)
		return fail_memory(err);
	history_steps_page(steps, n, span, now, since, ret);
	free(steps);
	return true;
}

/* False: another program's, which makes no sense here. */
static bool pace_parse(const struct pace_text *text, struct pace_row *ret)
{
	const char *at = text->lines;

	*ret = (struct pace_row){ .from = text->begun, .step_s = text->step_s };
	while (*at >= '0' && *at <= '9' && ret->steps < PACE_STEPS) {
		char *end;
		unsigned long lines = strtoul(at, &end, 10);
		ret->lines[ret->steps++] = lines < UINT32_MAX ? (uint32_t)lines : UINT32_MAX;
		at = *end == ',' ? end + 1 : end;
	}
	return *at == '\0' && text->step_s > 0 && text->begun >= 0 && text->begun <= UINT32_MAX;
}

bool kept_history_batch(struct db *db, const char *batch, int64_t now, struct history_page *ret,
			struct error *err)
{
	struct pace_text *texts;
	size_t n, known = 0;

	if (!store_paces_list(db, batch, &texts, &n, err))
		return false;
	struct pace_row *rows = calloc(n + 1, sizeof(*rows));
	for (size_t i = 0; rows != NULL && i < n; i++)
		known += pace_parse(&texts[i], &rows[known]);
	free(texts);
	if (rows == NULL)
		return fail_memory(err);
	pace_rows_page(rows, known, now, ret);
	free(rows);
	return true;
}
