/* flow.c: a flow is opened, suspended and dropped by mail to the dispatch thread. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "client/client.h"
#include "dispatch/attempt.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/line.h"
#include "dispatch/serving.h"
#include "dispatch/spending.h"
#include "dispatch/stall.h"
#include "dispatch/thread.h"

/* After a flow was added its forecast, and its precedence, come early: the later the more there are, for
 * a forecast is of all of them, and where thousands come it would be made for each. */
#define TICK_SOON_MS 20u
#define TICK_SOON_BATCHES 32u /* that make it a millisecond later */

enum { FLOW_ASK_ADD = 1, FLOW_ASK_DROP = 2, FLOW_ASK_SUSPEND = 4 };

/* ---- for the schedule ---- */

static bool on_segment_next(void *batch, struct segment_cursor *ret)
{
	struct flow *f = batch;

	return f->of->ops.segment_next(f->owner, ret);
}

static bool on_look(void *batch, uint64_t record, struct line_look *ret)
{
	struct flow *f = batch;

	return f->of->ops.look(f->owner, record, ret);
}

static const struct schedule_ops schedule_ops = { .segment_next = on_segment_next,
						  .look = on_look };

/* ---- mail ---- */

static void flow_add(struct dispatch *d, struct flow *f)
{
	struct model *m = model_get(d, f->model_name, &schedule_ops);
	struct error err;

	assert(on_dispatch_thread() && f->model == NULL);
	if (m == NULL) {
		(void)fail_memory(&err);
		d->ops.fault(f->owner, &err);
		return;
	}
	f->model = m;
	if (m->batches++ == 0)
		m->busy_since_ms = sys.monotonic_ms();
	schedule_add(m->schedule, &f->entry);
	model_unlisted_tell(d, m);
	model_stall_added(m, f);
	uint64_t soon = sys.monotonic_ms() + TICK_SOON_MS + m->batches / TICK_SOON_BATCHES;
	if (d->tick_at_ms > soon)
		d->tick_at_ms = soon;
}

static void flow_end(struct dispatch *d, struct flow *f)
{
	struct model *m = f->model;

	assert(on_dispatch_thread());
	if (m != NULL) {
		schedule_remove(m->schedule, &f->entry);
		while (f->lines != NULL)
			line_drop(f->lines);
		assert(!f->probed); /* of its lines one is to be tried again: none is */
		spending_leave(f);
		assert(m->batches > 0);
		m->batches--;
		m->idle_since_ms = sys.monotonic_ms();
		f->model = NULL; /* at the end a flow may be dropped twice */
	}
	d->ops.dropped(f->owner); /* may free it */
}

static void on_mail(struct dispatch *d, struct mail *m, unsigned asked)
{
	struct flow *f = container_of(m, struct flow, mail);

	if ((asked & FLOW_ASK_DROP) != 0) {
		flow_end(d, f); /* it overtakes what had not been seen yet */
		return;
	}
	if ((asked & FLOW_ASK_ADD) != 0)
		flow_add(d, f);
	if ((asked & FLOW_ASK_SUSPEND) != 0 && f->model != NULL) {
		schedule_suspend(f->model->schedule, &f->entry, f->suspended);
		lines_suspend(f, f->suspended);
	}
}

/* ---- the owner's ---- */

bool flow_new(struct dispatch *d, struct flow **ret, struct error *err)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return fail_memory(err);
	f->of = d;
	pthread_mutex_init(&f->lock, NULL);
	*ret = f;
	return true;
}

/* The owner has it: no line is dispatch's, and no outcome the recorder's. */
static void flow_assert_idle(const struct flow *f)
{
	assert(f->model == NULL && f->lines == NULL && f->waiting == 0);
}

static void flow_reset(struct flow *f)
{
	pthread_mutex_lock(&f->lock);
	free(f->shown.text);
	memset(&f->shown, 0, sizeof(f->shown));
	pthread_mutex_unlock(&f->lock);
	f->suspended = f->probed = f->faulted = false;
	free(TAKE(f->failed_text));
	f->failed_as = STALL_NONE;
	f->ended = f->ended_before = 0;
	f->rate = 0;
	f->rated = 0;
}

void flow_open(struct flow *f, const struct flow_config *config)
{
	flow_assert_idle(f);
	assert(slots_held(&f->slots) == 0 && f->retried == 0);
	flow_reset(f);
	f->owner = config->owner;
	f->id = config->id;
	f->endpoint = config->endpoint;
	f->trace = config->trace;
	f->model_name = config->model != NULL ? config->model : "";
	f->max_attempts = config->max_attempts > 0 ? config->max_attempts
						   : f->of->config.max_attempts;
	f->line_timeout_ms = config->line_timeout_ms;
	f->spending = config->spending;
	f->entry = (struct schedule_batch){ .batch = f,
					    .org_weight = config->org_weight,
					    .expires_at = config->expires_at,
					    .rest_lines = config->rest_lines,
					    .rest_bytes = config->rest_bytes,
					    .prefixes = config->prefixes,
					    .suspended = config->suspended,
					    .opening = config->opening };
	memcpy(f->entry.org, config->org, sizeof(f->entry.org));
	mail_post(&f->of->mailbox, &f->mail, on_mail, FLOW_ASK_ADD);
}

void flow_suspend(struct flow *f, bool suspended)
{
	f->suspended = suspended;
	mail_post(&f->of->mailbox, &f->mail, on_mail, FLOW_ASK_SUSPEND);
}

void flow_drop(struct flow *f)
{
	mail_post(&f->of->mailbox, &f->mail, on_mail, FLOW_ASK_DROP);
}

void flow_free(struct flow *f)
{
	if (f == NULL)
		return;
	flow_assert_idle(f);
	free(f->shown.text);
	free(f->failed_text);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void flow_recorded(const struct outcome *first)
{
	struct dispatch *d = ((struct flow *)first->flow)->of;

	/* a flow may be freed once its last outcome has come back */
	for (const struct outcome *o = first; o != NULL; o = o->next)
		slot_durable(o->slot, &((struct flow *)o->flow)->slots);
	client_wake(d->client);
}

bool flow_is_busy(const struct flow *f)
{
	return slots_held(&f->slots) > 0;
}

void flow_progress(struct flow *f, struct flow_view *ret)
{
	*ret = (struct flow_view){ 0 };
	pthread_mutex_lock(&f->lock);
	ret->stall = f->shown.stall;
	ret->certificate = f->shown.certificate;
	snprintf(ret->text, sizeof(ret->text), "%s", f->shown.text != NULL ? f->shown.text : "");
	ret->eta_at = f->shown.eta_at;
	ret->at_risk = f->shown.at_risk;
	ret->queue_position = f->shown.queue_position;
	ret->rate_per_s = f->shown.rate_per_s;
	pthread_mutex_unlock(&f->lock);
	ret->running = slots_held(&f->slots);
	ret->retried = f->retried;
}
