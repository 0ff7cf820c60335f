/* line.c: see line.h. */
#include "dispatch/line.h"

#include <assert.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/memory.h"
#include "base/sys.h"
#include "dispatch/flow_impl.h"
#include "dispatch/model.h"
#include "dispatch/thread.h"

#define FLOW_WAITING_MAX 1024u /* lines waiting to be sent again; then no new ones */

static void probed_link(struct flow *f)
{
	struct model *m = f->model;

	f->prev_probed = NULL;
	f->next_probed = m->probed;
	if (m->probed != NULL)
		m->probed->prev_probed = f;
	m->probed = f;
}

static void probed_unlink(struct flow *f)
{
	*(f->prev_probed != NULL ? &f->prev_probed->next_probed
				 : &f->model->probed) = f->next_probed;
	if (f->next_probed != NULL)
		f->next_probed->prev_probed = f->prev_probed;
}

void flow_hold(struct flow *f, bool probed)
{
	assert(on_dispatch_thread());
	if (probed && !f->probed)
		probed_link(f);
	else if (!probed && f->probed)
		probed_unlink(f);
	f->probed = probed;
	schedule_hold(f->model->schedule, &f->entry,
		      probed || f->waiting >= FLOW_WAITING_MAX || f->faulted || f->spent_up);
}

struct line *line_new(struct model *m, const struct schedule_line *scheduled)
{
	struct flow *f = scheduled->batch->batch;
	struct line *l = must_calloc(1, sizeof(*l));

	assert(on_dispatch_thread() && f->model == m);
	retry_reserve(&m->retry);
	l->flow = f;
	l->scheduled = *scheduled;
	l->retry.avoid = RETRY_AVOIDS_NONE;
	l->next = f->lines;
	if (f->lines != NULL)
		f->lines->prev = l;
	f->lines = l;
	return l;
}

void line_free(struct line *l)
{
	struct flow *f = l->flow;

	assert(on_dispatch_thread());
	assert(l->slot.state == SLOT_FREE && l->retry.place == RETRY_OUT);
	assert((l->prev == NULL ? f->lines : l->prev->next) == l && f->retried >= l->retried);
	if (l->prev != NULL)
		l->prev->next = l->next;
	else
		f->lines = l->next;
	if (l->next != NULL)
		l->next->prev = l->prev;
	f->retried -= l->retried;
	retry_release(&f->model->retry);
	if (f->lines == NULL && f->probed)
		flow_hold(f, false); /* no line of it is left to be tried again: a new one is */
	line_spans_drop(&l->spans);
	free(l);
}

/* ---- those that wait ---- */

void line_wait(struct line *l, uint64_t due_ms)
{
	struct flow *f = l->flow;
	struct model *m = f->model;

	assert(on_dispatch_thread() && l->slot.state == SLOT_FREE);
	l->retry.goes_alone = l->trials.deaths >= TRIALS_DEATHS;
	retry_put(&m->retry, &l->retry, f->entry.suspended ? RETRY_PARKED : due_ms);
	if (++f->waiting == FLOW_WAITING_MAX)
		flow_hold(f, f->probed);
	schedule_put_off(m->schedule, &l->scheduled);
}

void line_unwait(struct line *l)
{
	assert(on_dispatch_thread());
	retry_take(&l->flow->model->retry, &l->retry);
	assert(l->flow->waiting > 0);
	if (l->flow->waiting-- == FLOW_WAITING_MAX)
		flow_hold(l->flow, l->flow->probed);
}

void lines_suspend(struct flow *f, bool suspended)
{
	uint64_t due_ms = suspended ? RETRY_PARKED : sys.monotonic_ms();

	assert(on_dispatch_thread());
	for (struct line *l = f->lines; l != NULL; l = l->next)
		if (l->retry.place != RETRY_OUT)
			retry_move(&f->model->retry, &l->retry, due_ms);
}

/* The line that waits as `e`, taken off; NULL: its batch gets no more turns, and it is freed. */
static struct line *line_of(struct retry_entry *e)
{
	struct line *l = container_of(e, struct line, retry);

	line_unwait(l);
	if (!l->flow->faulted)
		return l;
	line_free(l);
	return NULL;
}

struct line *line_due(struct model *m, uint64_t now_ms, unsigned avoid)
{
	struct line *l = NULL;
	struct retry_entry *e;

	while (l == NULL && (e = retry_due(&m->retry, now_ms, avoid)) != NULL)
		l = line_of(e);
	return l;
}

struct line *line_last(struct model *m, uint64_t now_ms)
{
	struct line *l = NULL;
	struct retry_entry *e;

	while (l == NULL && (e = retry_alone_due(&m->retry, now_ms)) != NULL)
		l = line_of(e);
	return l;
}
