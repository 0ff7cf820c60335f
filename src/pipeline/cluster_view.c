/* cluster_view.c: how far batches are, whichever nodes their lines are with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"
#include "pipeline/stall_text.h"

#define ETA_AFTER_S 5 /* of running: before that a rate says little */
#define PULSES_MOST 1000u

/* The first call on a connection that broke meanwhile fails, and the next has it made anew. */
static bool progress_read(struct cluster *cl, const char (*ids)[ID_SIZE], size_t n,
			  struct span_progress *ret, struct error *err)
{
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_span_progress(db, ids, n, ret, err) ||
		  (err->kind == ERR_UNAVAILABLE && store_span_progress(db, ids, n, ret, err));

	cluster_db_return(cl, db);
	return ok;
}

static void on_span(void *ctx, struct coordinator *c)
{
	if (coordinator_span_number(c) != COORDINATOR_WHOLE)
		coordinator_span_view(c, ctx);
}

/* Of a batch of which this node has no span: what its row says. */
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

/* By the mean since it began: all nodes together, and all tell the same. */
static void eta_set(struct batch_view *v, uint64_t left)
{
	const struct counts *c = &v->row.counts;
	int64_t now_s = sys.now_s(), ran_s = now_s - v->row.at[BATCH_IN_PROGRESS];
	uint64_t ended = c->completed + c->failed;

	if (ran_s < ETA_AFTER_S || ended == 0 || v->row.hold != BATCH_GOES_ON)
		return;
	v->rate_per_s = (double)ended / (double)ran_s;
	v->eta_at = now_s + (int64_t)((double)left / v->rate_per_s);
	v->at_risk = v->at_risk || v->eta_at > v->row.expires_at;
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
	v->running = 0;
	v->queue_position = -1;
	cluster_spans_with(cl, id[0], on_span, v);
	bool elsewhere = v->queue_position < 0;
	if (elsewhere)
		v->queue_position = 0;
	v->running = v->running < left ? v->running : left;
	v->pending = left - v->running;
	if (v->row.status != BATCH_IN_PROGRESS)
		return true;
	if (elsewhere && left > 0)
		stall_set(v, &p);
	eta_set(v, left);
	return true;
}

/* Of batches that moved on in between there are no spans any more: their change of state is told. */
static bool pulses_read(struct cluster *cl, char (**ret_ids)[ID_SIZE], struct span_progress **ret,
			size_t *ret_n, struct error *err)
{
	*ret = NULL;
	if (!cluster_batches_open(cl, ret_ids, ret_n, err))
		return false;
	if (*ret_n > PULSES_MOST)
		*ret_n = PULSES_MOST;
	*ret = calloc(*ret_n + 1, sizeof(**ret));
	if (*ret == NULL)
		return fail_memory(err);
	return *ret_n == 0 ||
	       progress_read(cl, (const char(*)[ID_SIZE]) * ret_ids, *ret_n, *ret, err);
}

void cluster_pulses(struct cluster *cl, pulse_fn each, void *ctx)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	AUTO(auto_free) struct span_progress *progress = NULL;
	struct error err;
	size_t n = 0;

	if (!pulses_read(cl, &ids, &progress, &n, &err)) {
		log_debug("cluster.pulses_unknown", kv_str("why", err.message));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct span_progress *p = &progress[i];
		const struct batch_pulse pulse = {
			.id = ids[i], .org = p->org, .ended = p->counts.completed + p->counts.failed
		};
		if (p->spans > 0)
			each(ctx, &pulse);
	}
}
