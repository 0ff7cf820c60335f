/* worker_look.c: what a worker does at the moment, of all its parts together: counts and rate are
 * sums, the end is that of the part that ends last, and what stalls it is what stalls each part
 * that has lines left. */
#include <stdio.h>
#include <string.h>

#include "pipeline/worker_impl.h"

/* What stalls the part of the most lines stalls the batch, if all parts that have lines left are. */
struct stalled {
	const struct part *by; /* NULL: none yet */
	uint64_t left;
	bool moves; /* one of them is not */
	unsigned others;
};

static void stall_add(struct stalled *s, const struct part *p, uint64_t left,
		      const struct flow_view *v, struct flow_view *sum)
{
	s->moves |= v->stall == STALL_NONE;
	if (v->stall == STALL_NONE)
		return;
	s->others += s->by != NULL;
	if (s->by != NULL && s->left >= left)
		return;
	s->by = p;
	s->left = left;
	sum->stall = v->stall;
	sum->certificate = v->certificate;
	memcpy(sum->text, v->text, sizeof(sum->text));
}

static void stall_end(const struct stalled *s, struct flow_view *sum)
{
	char text[STALL_TEXT_BYTES], others[48] = "";

	if (s->moves || s->by == NULL) {
		sum->stall = STALL_NONE;
		sum->certificate = false;
		sum->text[0] = '\0';
		return;
	}
	if (s->others > 0)
		snprintf(others, sizeof(others), " (%u other models wait, too)", s->others);
	memcpy(text, sum->text, sizeof(text));
	snprintf(sum->text, sizeof(sum->text), "model '%.64s'%s: %.*s",
		 s->by->share.model != NULL ? s->by->share.model : "", others,
		 (int)(sizeof(text) - 128), text);
}

/* The last of the parts to end ends the batch; the first to get a slot begins it. */
static void view_add(struct flow_view *sum, const struct flow_view *v, bool first)
{
	bool known = (first || sum->eta_at != 0) && v->eta_at != 0;

	sum->eta_at = !known ? 0 : first || v->eta_at > sum->eta_at ? v->eta_at : sum->eta_at;
	sum->at_risk |= v->at_risk;
	if (first || v->queue_position < sum->queue_position)
		sum->queue_position = v->queue_position;
}

static void parts_look(const struct worker *w, struct flow_view *ret)
{
	struct stalled stalled = { 0 };
	bool first = true;

	for (const struct part *p = w->parts; p != NULL; p = part_next(p)) {
		struct flow_view v;
		uint64_t left = p->left;

		if (!p->used)
			continue;
		flow_progress(p->flow, &v);
		ret->running += v.running;
		ret->retried += v.retried;
		ret->rate_per_s += v.rate_per_s;
		if (left == 0 || p->barren)
			continue;
		view_add(ret, &v, first);
		stall_add(&stalled, p, left, &v, ret);
		first = false;
	}
	stall_end(&stalled, ret);
}

void worker_look(struct worker *w, struct flow_view *ret)
{
	*ret = (struct flow_view){ 0 };
	pthread_mutex_lock(&w->lock); /* the parts are set anew while it is idle */
	if (w->state != WORKER_IDLE && w->parts->shared)
		parts_look(w, ret);
	else if (w->state != WORKER_IDLE)
		flow_progress(w->parts->flow, ret);
	pthread_mutex_unlock(&w->lock);
}

void worker_shares(struct worker *w, share_fn each, void *ctx)
{
	pthread_mutex_lock(&w->lock);
	bool sends = w->state == WORKER_SENDING;
	for (struct part *p = w->parts; sends && p != NULL; p = part_next(p))
		if (p->used && p->left > 0)
			each(ctx, p->share.model, p->left);
	pthread_mutex_unlock(&w->lock);
}
