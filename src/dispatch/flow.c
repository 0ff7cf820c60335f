/* flow.c: a flow is opened, suspended and dropped by mail to the dispatch thread; has its lines, those in
 * flight (lines.c) and those that wait (retry.h); and shows how it goes. */
#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/thread.h"

#define TICK_SOON_MS 20u /* after a flow was added: its forecast, and its precedence, come early */

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

const struct schedule_ops flow_schedule_ops = { .segment_next = on_segment_next, .look = on_look };

void flow_hold(struct flow *f, bool probed)
{
	f->probed = probed;
	schedule_hold(f->model->schedule, &f->entry,
		      probed || f->waiting >= FLOW_WAITING_MAX || f->faulted);
}

/* ---- its lines ---- */

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
	retry_take(&l->flow->model->retry, &l->retry);
	assert(l->flow->waiting > 0);
	if (l->flow->waiting-- == FLOW_WAITING_MAX)
		flow_hold(l->flow, l->flow->probed);
}

void lines_suspend(struct flow *f, bool suspended)
{
	uint64_t due_ms = suspended ? RETRY_PARKED : sys.monotonic_ms();

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

/* ---- mail ---- */

static void flow_add(struct dispatch *d, struct flow *f)
{
	struct model *m = model_get(d, f->model_name);
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
	model_stall(d, m);
	uint64_t soon = sys.monotonic_ms() + TICK_SOON_MS;
	if (d->tick_at_ms > soon)
		d->tick_at_ms = soon;
}

static void flow_end(struct dispatch *d, struct flow *f)
{
	struct model *m = f->model;

	assert(on_dispatch_thread());
	if (m != NULL) {
		schedule_remove(m->schedule, &f->entry);
		lines_drop(f);
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
	f->shown = (struct flow_view){ 0 };
	pthread_mutex_unlock(&f->lock);
	f->suspended = f->probed = f->faulted = false;
	f->failed_text[0] = '\0';
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
	f->model_name = config->model != NULL ? config->model : "";
	f->entry = (struct schedule_batch){ .batch = f,
					    .org_weight = config->org_weight,
					    .expires_at = config->expires_at,
					    .rest_lines = config->rest_lines,
					    .rest_bytes = config->rest_bytes,
					    .prefixes = config->prefixes,
					    .suspended = config->suspended };
	memcpy(f->entry.org, config->org, sizeof(f->entry.org));
	dispatch_post(f->of, &f->mail, on_mail, FLOW_ASK_ADD);
}

void flow_suspend(struct flow *f, bool suspended)
{
	f->suspended = suspended;
	dispatch_post(f->of, &f->mail, on_mail, FLOW_ASK_SUSPEND);
}

void flow_drop(struct flow *f)
{
	dispatch_post(f->of, &f->mail, on_mail, FLOW_ASK_DROP);
}

void flow_free(struct flow *f)
{
	if (f == NULL)
		return;
	flow_assert_idle(f);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void flow_recorded(struct flow *f, const struct outcome *first)
{
	for (const struct outcome *o = first; o != NULL; o = o->next)
		slot_durable(o->slot, &f->slots);
	client_wake(f->of->client);
}

/* ---- how it goes ---- */

void flow_show_stall(struct flow *f, enum batch_stall stall, bool certificate, const char *text)
{
	pthread_mutex_lock(&f->lock);
	f->shown.stall = stall;
	f->shown.certificate = certificate;
	snprintf(f->shown.text, sizeof(f->shown.text), "%s", text);
	pthread_mutex_unlock(&f->lock);
}

void flow_show_forecast(struct flow *f)
{
	const struct schedule_forecast *expected = &f->entry.forecast;

	pthread_mutex_lock(&f->lock);
	f->shown.eta_at = expected->eta_s < 0 ? 0 : sys.now_s() + expected->eta_s;
	f->shown.at_risk = expected->at_risk;
	f->shown.queue_position = expected->queue_position;
	pthread_mutex_unlock(&f->lock);
}

void flow_rate(struct flow *f, double seconds)
{
	double rate = (double)(f->ended - f->ended_before) / seconds;
	double share = fmax(seconds / (RATE_OVER_S + seconds),
			    1.0 / ++f->rated); /* a mean at first */

	f->ended_before = f->ended;
	f->rate += (rate - f->rate) * share;
	pthread_mutex_lock(&f->lock);
	f->shown.rate_per_s = f->rate;
	pthread_mutex_unlock(&f->lock);
}

bool flow_is_busy(const struct flow *f)
{
	return slots_held(&f->slots) > 0;
}

void flow_progress(struct flow *f, struct flow_view *ret)
{
	pthread_mutex_lock(&f->lock);
	*ret = f->shown;
	pthread_mutex_unlock(&f->lock);
	ret->running = slots_held(&f->slots);
	ret->retried = f->retried;
}
