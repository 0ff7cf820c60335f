/* history.c: see history.h. */
#include "history/history.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/worker.h"
#include "history/history_file.h"
#include "history/history_sum.h"

#define TICK_MS (TICK_S * UINT64_C(1000))
#define SAVE_TICKS 6u
#define RATE_MS 10000

struct history {
	char data_dir[400];
	pthread_mutex_t lock; /* for all below, up to `thread` */
	pthread_cond_t stop;
	bool stopping;
	struct rings rings;
	struct paces paces;
	int64_t at;                               /* Unix s of the last tick */
	uint64_t tick_ms;                         /* sys.monotonic_ms() then */
	struct history_part parts[HISTORY_PARTS]; /* since the last take; the first is of all */
	unsigned part_n;                          /* 0: it is not shared */
	pthread_t thread;
	bool started;
	/* the thread's */
	uint64_t saved;   /* ticks, at the last write */
	bool save_failed; /* and the log says so */
};

/* ---- counting ---- */

static uint32_t at_most(uint64_t n)
{
	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void part_add(struct history *h, const char *org, const struct sums *more)
{
	unsigned i = 1;

	if (h->part_n == 0)
		return;
	sums_add(&h->parts[0].sums, more);
	while (i < h->part_n && strcmp(h->parts[i].org, org) != 0)
		i++;
	if (i == HISTORY_PARTS)
		return;
	if (i == h->part_n) {
		h->parts[h->part_n++] = (struct history_part){ 0 };
		snprintf(h->parts[i].org, sizeof(h->parts[i].org), "%s", org);
	}
	sums_add(&h->parts[i].sums, more);
}

static void count(struct history *h, const char *org, const struct sums *more)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	(void)rings_add(&h->rings, org, more);
	part_add(h, org, more);
	pthread_mutex_unlock(&h->lock);
}

void history_lines(struct history *h, const char *org, uint64_t lines, uint64_t tokens)
{
	count(h, org, &(struct sums){ .lines = at_most(lines), .tokens = at_most(tokens) });
}

void history_batch_lines(struct history *h, const char *batch, uint64_t lines)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	paces_add(&h->paces, batch, sys.monotonic_ms(), lines);
	pthread_mutex_unlock(&h->lock);
}

void history_first_token(struct history *h, const char *org, uint64_t ms)
{
	count(h, org, &(struct sums){ .first_ms = at_most(ms), .firsts = 1 });
}

/* ---- reading ---- */

void history_read(struct history *h, const char *org, enum rings_span span,
		  struct history_page *ret)
{
	unsigned ticks = span == RINGS_HOUR ? 1 : DAY_TICKS;

	ret->step_s = ticks * TICK_S;
	ret->steps = rings_steps(span);
	pthread_mutex_lock(&h->lock);
	unsigned newest = rings_read(&h->rings, org, span, ret->rates);
	ret->from = h->at - (int64_t)newest * TICK_S - (int64_t)(ret->steps - 1) * ret->step_s;
	pthread_mutex_unlock(&h->lock);
}

static void page_fill(struct history_page *page, const struct batch_pace *pace, uint64_t now_ms)
{
	page->from -= (int64_t)((now_ms - pace->since_ms) / 1000);
	page->step_s = (unsigned)(pace->step_ms / 1000);
	page->steps = pace_steps(pace, now_ms);
	for (unsigned i = 0; i < page->steps; i++)
		page->rates[i].lines_per_s = (double)pace->lines[i] / page->step_s;
}

void history_read_batch(struct history *h, const char *batch, struct history_page *ret)
{
	*ret = (struct history_page){ .from = sys.now_s(), .step_s = 1 };
	pthread_mutex_lock(&h->lock);
	uint64_t now_ms = sys.monotonic_ms();
	const struct batch_pace *pace = paces_find(&h->paces, batch, now_ms);
	if (pace != NULL)
		page_fill(ret, pace, now_ms);
	pthread_mutex_unlock(&h->lock);
}

/* ---- of several nodes ---- */

void history_share(struct history *h)
{
	pthread_mutex_lock(&h->lock);
	h->part_n = 1;
	pthread_mutex_unlock(&h->lock);
}

unsigned history_take(struct history *h, struct history_part *ret)
{
	pthread_mutex_lock(&h->lock);
	unsigned n = h->part_n;
	memcpy(ret, h->parts, n * sizeof(*ret));
	h->parts[0] = (struct history_part){ 0 };
	h->part_n = n > 0;
	pthread_mutex_unlock(&h->lock);
	return n;
}

static void row_fill(struct pace_row *row, const struct batch_pace *pace, uint64_t now_ms)
{
	*row = (struct pace_row){
		.from = sys.now_s() - (int64_t)((now_ms - pace->since_ms) / 1000),
		.step_s = (unsigned)(pace->step_ms / 1000),
		.steps = pace_steps(pace, now_ms),
	};
	memcpy(row->lines, pace->lines, row->steps * sizeof(row->lines[0]));
}

/* The step before the one at hand has ended since, and had lines, or the one before that. */
static bool pace_is_new(const struct paces *p, unsigned at, uint64_t since_ms, uint64_t now_ms)
{
	const struct batch_pace *pace = &p->of[at];
	uint64_t begun_ms = pace->since_ms + pace_steps(pace, now_ms) * pace->step_ms;

	return begun_ms > since_ms && p->active_ms[at] + 2 * pace->step_ms >= since_ms;
}

void history_paces(struct history *h, uint64_t since_ms,
		   void (*each)(void *ctx, const char *batch, const struct pace_row *row),
		   void *ctx)
{
	struct pace_row row;

	pthread_mutex_lock(&h->lock);
	uint64_t now_ms = sys.monotonic_ms();
	for (unsigned i = 0; i < PACES; i++) {
		const char *batch = h->paces.of[i].batch;
		const struct batch_pace *pace = paces_find(&h->paces, batch, now_ms);
		if (pace == NULL || !pace_is_new(&h->paces, i, since_ms, now_ms))
			continue;
		row_fill(&row, pace, now_ms);
		each(ctx, batch, &row);
	}
	pthread_mutex_unlock(&h->lock);
}

double history_batch_rate(struct history *h, const char *batch)
{
	double rate = 0;

	if (h == NULL)
		return 0;
	pthread_mutex_lock(&h->lock);
	uint64_t now_ms = sys.monotonic_ms();
	const struct batch_pace *pace = paces_find(&h->paces, batch, now_ms);
	if (pace != NULL)
		rate = pace_rate(pace, now_ms, RATE_MS);
	pthread_mutex_unlock(&h->lock);
	return rate;
}

/* ---- the thread ---- */

static void save(struct history *h)
{
	AUTO(buf_free) struct buf file = BUF(HISTORY_FILE_MAX);
	struct error err;

	pthread_mutex_lock(&h->lock);
	history_encode(&h->rings, h->at, &file);
	h->saved = h->rings.ticks;
	pthread_mutex_unlock(&h->lock);
	bool ok = (!file.failed || fail_memory(&err)) &&
		  history_save(h->data_dir, buf_slice(&file), &err);
	if (!ok && !h->save_failed)
		log_fault("history.not_written", &err);
	h->save_failed = !ok;
}

/* Ends the ticks that are over; true: it is time to write. */
static bool turn(struct history *h)
{
	pthread_mutex_lock(&h->lock);
	uint64_t ticks = (sys.monotonic_ms() - h->tick_ms) / TICK_MS;
	if (ticks > 0) {
		rings_tick(&h->rings, ticks);
		h->tick_ms += ticks * TICK_MS;
		h->at = sys.now_s();
	}
	bool due = h->rings.ticks - h->saved >= SAVE_TICKS;
	pthread_mutex_unlock(&h->lock);
	return due;
}

static void *history_main(void *arg)
{
	struct history *h = arg;

	pthread_mutex_lock(&h->lock);
	while (!h->stopping) {
		uint64_t since_ms = sys.monotonic_ms() - h->tick_ms;
		struct timespec until = clock_after_ms(since_ms < TICK_MS ? TICK_MS - since_ms : 0);
		pthread_cond_timedwait(&h->stop, &h->lock, &until);
		pthread_mutex_unlock(&h->lock);
		if (turn(h))
			save(h);
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- opening and closing ---- */

/* Time that passed while no server ran is a gap. */
static void gap_add(struct history *h)
{
	int64_t passed_s = sys.now_s() - h->at;

	if (passed_s > 0)
		rings_gap(&h->rings, (uint64_t)passed_s / TICK_S);
}

static bool history_begin(struct history *h, struct error *err)
{
	struct error why;
	bool found;

	if (!rings_init(&h->rings))
		return fail_memory(err);
	if (!history_load(h->data_dir, &h->rings, &h->at, &found, &why)) {
		if (error_may_pass(&why)) {
			*err = why;
			return false;
		}
		log_fault("history.begun_anew", &why);
		rings_done(&h->rings);
		found = false;
		if (!rings_init(&h->rings))
			return fail_memory(err);
	}
	if (found)
		gap_add(h);
	h->at = sys.now_s();
	h->tick_ms = sys.monotonic_ms();
	h->saved = h->rings.ticks;
	return true;
}

static void history_free(struct history *h)
{
	rings_done(&h->rings);
	pthread_cond_destroy(&h->stop);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* Without its thread. */
static bool history_new(const char *data_dir, struct history **ret, struct error *err)
{
	struct history *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return fail_memory(err);
	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->stop);
	if (!slice_copy(slice_of(data_dir), h->data_dir, sizeof(h->data_dir))) {
		history_free(h);
		return fail(err, ERR_INVALID, "The path of the data directory is too long: %.100s…",
			    data_dir);
	}
	if (!history_begin(h, err)) {
		history_free(h);
		return false;
	}
	*ret = h;
	return true;
}

bool history_open(const char *data_dir, struct history **ret, struct error *err)
{
	struct history *h = NULL;

	if (!history_new(data_dir, &h, err))
		return false;
	h->started = thread_start(&h->thread, "history", history_main, h, err);
	if (!h->started) {
		history_free(h);
		return false;
	}
	*ret = h;
	return true;
}

void history_close(struct history *h)
{
	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_cond_signal(&h->stop);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	(void)turn(h);
	save(h);
	history_free(h);
}
