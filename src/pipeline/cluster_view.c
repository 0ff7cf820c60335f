/* cluster_view.c: how far batches are, whichever nodes their lines are with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/stall_text.h"

#define ETA_AFTER_S 5   /* of running: before that a rate says little */
#define ETA_MOST_S 1e10 /* at a rate of nearly nothing */

/* The first call on a connection that broke meanwhile fails, and the next has it made anew. */
static bool progress_read(struct cluster *cl, const char (*ids)[ID_SIZE], size_t n,
			  struct span_progress *ret, struct error *err)
{
	struct db *db = cluster_view_db_borrow(cl);
	bool ok = store_span_progress(db, ids, n, ret, err) ||
		  (err->kind == ERR_UNAVAILABLE && store_span_progress(db, ids, n, ret, err));

	cluster_view_db_return(cl, db);
	return ok;
}

static void on_span(void *ctx, struct coordinator *c)
{
	struct report_batch *all = ctx, one;

	if (coordinator_span_number(c) == COORDINATOR_WHOLE)
		return;
	report_batch_init(&one, all->id);
	coordinator_span_view(c, &one);
	report_batch_add(all, &one);
}

/* By this node and the others. */
static void seen_now(struct cluster *cl, const char *id, struct report_batch *ret)
{
	report_batch_init(ret, id);
	cluster_spans_with(cl, id, on_span, ret);
	if (ret->queue_position >= 0)
		ret->rate_per_s = history_batch_rate(cl->env->config->history, id);
	reports_look(cl->reports);
	reports_batch_add(cl->reports, ret);
}

/* Of a batch of which no node runs a span: what its row says. */
static bool stall_of_row(const struct batch *row, char message[static STALL_TEXT_BYTES])
{
	struct opening opening;
	struct error err;
	bool known = true;

	if (stall_text_hold(row, message))
		return true;
	if (!opening_read(&row->options, &opening, &known, &err) ||
	    (known && opening_is_open(&opening, sys.now_s())))
		return false;
	stall_text_hours(row, known ? &opening : NULL, message);
	return true;
}

static void stall_set(struct batch_view *v, const struct span_progress *p)
{
	if (stall_of_row(&v->row, v->stall_message)) {
		v->stall = STALL_HELD;
	} else if (p->lent == 0 && sys.now_s() - v->row.at[BATCH_IN_PROGRESS] > ETA_AFTER_S) {
		v->stall = STALL_DOWN;
		snprintf(v->stall_message, sizeof(v->stall_message),
			 "no node that is up drives an upstream that serves it");
	}
}

/* By what ends lately at all nodes together; nothing: nobody can tell. */
static void eta_set(struct batch_view *v, uint64_t left)
{
	int64_t now_s = sys.now_s(), ran_s = now_s - v->row.at[BATCH_IN_PROGRESS];

	if (ran_s < ETA_AFTER_S || v->rate_per_s <= 0 || v->row.hold != BATCH_GOES_ON)
		return;
	double left_s = (double)left / v->rate_per_s;
	v->eta_at = now_s + (int64_t)(left_s < ETA_MOST_S ? left_s : ETA_MOST_S);
	v->at_risk = v->at_risk || v->eta_at > v->row.expires_at;
}

/* What its row says of a hold is known before those that run it know. */
static void seen_lay(struct batch_view *v, const struct report_batch *seen, uint64_t left)
{
	v->running = seen->running < left ? seen->running : left;
	v->row.counts.retried += seen->retried;
	v->at_risk = seen->at_risk;
	v->certificate = seen->certificate;
	v->rate_per_s = seen->rate_per_s;
	v->queue_position = seen->queue_position < 0 ? 0 : seen->queue_position;
	v->stall = seen->stall;
	memcpy(v->stall_message, seen->message, sizeof(v->stall_message));
	if (left > 0 && stall_text_hold(&v->row, v->stall_message))
		v->stall = STALL_HELD;
}

/* Lines whose chunk is lost run again, and are counted again until their span's end says how it is. */
static void counts_bound(struct counts *c)
{
	if (c->failed > c->total)
		c->failed = c->total;
	if (c->completed > c->total - c->failed)
		c->completed = c->total - c->failed;
}

static struct seen_progress *seen_of(struct cluster *cl, const char *id)
{
	for (unsigned i = 0; i < CLUSTER_SEEN; i++)
		if (strcmp(cl->seen[i].id, id) == 0)
			return &cl->seen[i];
	return NULL;
}

static void seen_keep(struct cluster *cl, const char *id, const struct span_progress *p)
{
	pthread_mutex_lock(&cl->seen_lock);
	struct seen_progress *s = seen_of(cl, id);
	if (s == NULL)
		s = &cl->seen[cl->seen_next++ % CLUSTER_SEEN];
	memcpy(s->id, id, sizeof(s->id));
	s->progress = *p;
	pthread_mutex_unlock(&cl->seen_lock);
}

static bool seen_find(struct cluster *cl, const char *id, struct span_progress *ret)
{
	pthread_mutex_lock(&cl->seen_lock);
	const struct seen_progress *s = seen_of(cl, id);
	if (s != NULL)
		*ret = s->progress;
	pthread_mutex_unlock(&cl->seen_lock);
	return s != NULL;
}

bool cluster_view(struct cluster *cl, struct batch_view *v)
{
	char id[1][ID_SIZE];
	struct span_progress p;
	struct error err;

	memcpy(id[0], v->row.id, ID_SIZE);
	bool known = progress_read(cl, (const char(*)[ID_SIZE])id, 1, &p, &err);
	if (known ? p.spans == 0 : !seen_find(cl, id[0], &p))
		return false;
	if (known)
		seen_keep(cl, id[0], &p);
	p.counts.total = v->row.counts.total;
	v->row.counts = p.counts;
	counts_bound(&v->row.counts);
	v->row.counts.expired = v->row.counts.cancelled = 0; /* not before the state is final */
	v->row.usage = p.usage;
	const struct counts *counts = &v->row.counts;
	uint64_t left = counts->total - counts->completed - counts->failed;
	struct report_batch seen;
	seen_now(cl, id[0], &seen);
	seen_lay(v, &seen, left);
	v->pending = left - v->running;
	if (v->row.status != BATCH_IN_PROGRESS)
		return true;
	if (seen.queue_position < 0 && left > 0)
		stall_set(v, &p);
	eta_set(v, left);
	return true;
}

bool cluster_scheduling(struct cluster *cl, const struct view_asked *asked, view_fn fn, void *ctx,
			struct error *err)
{
	return reports_scheduling(cl->reports, asked, fn, ctx, err);
}

bool cluster_history(struct cluster *cl, const char *org, enum rings_span span,
		     struct history_page *ret)
{
	return reports_history(cl->reports, org, span, ret);
}

bool cluster_history_batch(struct cluster *cl, const char *batch, struct history_page *ret)
{
	return reports_history_batch(cl->reports, batch, ret);
}

static const struct report_batch *own_find(const struct report_batch *own, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(own[i].id, id) == 0)
			return &own[i];
	return NULL;
}

struct pulsing {
	struct cluster *cl;
	const struct report_batch *own;
	size_t own_n;
	pulse_fn each;
	void *ctx;
};

static void pulse_one(const struct pulsing *p, const char *id, const struct span_progress *progress)
{
	const struct report_batch *mine = own_find(p->own, p->own_n, id);
	struct report_batch seen;

	report_batch_init(&seen, id);
	if (mine != NULL)
		report_batch_add(&seen, mine);
	reports_batch_add(p->cl->reports, &seen);
	const struct batch_pulse pulse = {
		.id = id,
		.org = progress->org,
		.ended = progress->counts.completed + progress->counts.failed,
		.running = seen.running,
		.queue_position = seen.queue_position < 0 ? 0 : (unsigned)seen.queue_position,
		.stall = seen.stall,
		.at_risk = seen.at_risk,
	};
	p->each(p->ctx, &pulse);
}

/* Of batches that moved on in between there are no spans any more: their change of state is told. */
static bool pulse_all(const struct pulsing *p, const char (*ids)[ID_SIZE], size_t n,
		      struct error *err)
{
	AUTO(auto_free) struct span_progress *of = calloc(SPAN_PROGRESS_MAX, sizeof(*of));

	if (of == NULL)
		return fail_memory(err);
	for (size_t at = 0, some; at < n; at += some) {
		some = n - at < SPAN_PROGRESS_MAX ? n - at : SPAN_PROGRESS_MAX;
		if (!progress_read(p->cl, ids + at, some, of, err))
			return false;
		for (size_t i = 0; i < some; i++)
			if (of[i].spans > 0)
				pulse_one(p, ids[at + i], &of[i]);
	}
	return true;
}

void cluster_pulses(struct cluster *cl, pulse_fn each, void *ctx)
{
	struct pulsing p = { .cl = cl, .each = each, .ctx = ctx };
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	struct error err;
	size_t n = 0;

	bool ok = cluster_batches_open(cl, &ids, &n, &err);
	AUTO(auto_free) struct report_batch *own = reports_own(cl->reports, &p.own_n);
	p.own = own;
	reports_look(cl->reports);
	ok = ok && (n == 0 || pulse_all(&p, (const char(*)[ID_SIZE])ids, n, &err));
	if (!ok)
		log_debug("cluster.pulses_unknown", kv_str("why", err.message));
}
