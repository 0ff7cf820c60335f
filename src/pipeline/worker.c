/* worker.c: see worker.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "history/history.h"
#include "pipeline/worker_impl.h"

/* ---- making ---- */

static struct part *part_new(struct worker *w, struct error *err)
{
	struct part *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		(void)fail_memory(err);
		return NULL;
	}
	p->of = w;
	if (!flow_new(w->config.dispatch, &p->flow, err)) {
		free(p);
		return NULL;
	}
	return p;
}

bool worker_room(struct worker *w, unsigned shares, struct error *err)
{
	struct part *last = w->parts;

	for (unsigned n = 1; n < shares; n++) {
		if (last->next == NULL) {
			struct part *p = part_new(w, err);
			if (p == NULL)
				return false;
			last->next = p;
		}
		last = last->next;
	}
	return true;
}

bool worker_new(const struct worker_config *config, struct worker **ret, struct error *err)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fail_memory(err);
	w->config = *config;
	w->parts = part_new(w, err);
	if (w->parts == NULL) {
		free(w);
		return false;
	}
	pthread_mutex_init(&w->lock, NULL);
	*ret = w;
	return true;
}

void worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	for (struct part *p = w->parts, *next; p != NULL; p = next) {
		next = p->next;
		flow_free(p->flow);
		free(p);
	}
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* ---- the lease ---- */

void worker_canary(struct worker *w, const uint8_t *lines)
{
	assert(worker_is_idle(w));
	w->canary = lines;
}

/* Under the lock. */
static void parts_begin(struct worker *w, const struct flow_config *task,
			const struct worker_share *shares, unsigned n)
{
	unsigned i = 0;

	for (struct part *p = w->parts; p != NULL; p = p->next, i++) {
		p->used = i < (n > 0 ? n : 1);
		p->shared = i < n;
		p->share = p->shared ? shares[i]
				     : (struct worker_share){ .model = task->model,
							      .rest_lines = task->rest_lines,
							      .rest_bytes = task->rest_bytes };
		p->next_segment = w->lease.first_segment;
		p->handed = false;
		p->barren = false;
		p->left = p->share.rest_lines;
		w->open += p->used;
	}
	assert(i >= n);
}

static void part_open(struct part *p, const struct flow_config *task)
{
	struct flow_config flow = *task;

	flow.owner = p;
	flow.id = p->of->config.batch_id;
	flow.model = p->share.model;
	flow.rest_lines = p->share.rest_lines;
	flow.rest_bytes = p->share.rest_bytes;
	flow_open(p->flow, &flow);
}

bool worker_start(struct worker *w, const struct flow_config *task,
		  const struct worker_share *shares, unsigned n)
{
	const struct lessor *lessor = &w->config.lessor;
	struct span_lease lease;

	if (!lessor->ops->take(lessor->ctx, &lease))
		return false;
	pthread_mutex_lock(&w->lock);
	assert(w->state == WORKER_IDLE);
	w->lease = lease;
	w->open = 0;
	parts_begin(w, task, shares, n);
	w->state = WORKER_SENDING;
	pthread_mutex_unlock(&w->lock);
	for (struct part *p = w->parts; p != NULL; p = part_next(p))
		if (p->used)
			part_open(p, task);
	return true;
}

static void parts_drop(struct worker *w)
{
	for (struct part *p = w->parts; p != NULL; p = part_next(p))
		if (p->used)
			flow_drop(p->flow);
}

/* False: it was ending, or idle. */
static bool sending_end(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool sending = w->state == WORKER_SENDING;
	if (sending)
		w->state = WORKER_ENDING;
	pthread_mutex_unlock(&w->lock);
	return sending;
}

void worker_recall(struct worker *w)
{
	if (sending_end(w))
		parts_drop(w);
}

static void lease_lost(struct worker *w)
{
	if (!sending_end(w))
		return;
	log_warn("span.lost", kv_str("batch", w->config.batch_id), kv_u64("span", w->lease.span),
		 kv_u64("epoch", w->lease.epoch));
	parts_drop(w);
}

uint64_t worker_renew_ms(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t at = w->state == WORKER_SENDING ? w->lease.renew_ms : UINT64_MAX;
	pthread_mutex_unlock(&w->lock);
	return at;
}

bool worker_renew_is_due(struct worker *w, uint64_t now_ms)
{
	uint64_t at = worker_renew_ms(w);

	return at != UINT64_MAX && now_ms >= at;
}

void worker_renew(struct worker *w, uint64_t now_ms)
{
	const struct lessor *lessor = &w->config.lessor;

	if (!worker_renew_is_due(w, now_ms))
		return;
	struct span_lease lease = w->lease; /* only the caller sets it */
	if (!lessor->ops->renew(lessor->ctx, &lease)) {
		lease_lost(w);
		return;
	}
	pthread_mutex_lock(&w->lock);
	assert(w->lease.epoch == lease.epoch);
	w->lease.until_ms = lease.until_ms;
	w->lease.renew_ms = lease.renew_ms;
	pthread_mutex_unlock(&w->lock);
}

void worker_suspend(struct worker *w, bool suspended)
{
	pthread_mutex_lock(&w->lock);
	bool sending = w->state == WORKER_SENDING; /* under the lock: never after the drop */
	for (struct part *p = w->parts; sending && p != NULL; p = part_next(p))
		if (p->used)
			flow_suspend(p->flow, suspended);
	pthread_mutex_unlock(&w->lock);
}

void worker_abandon(struct worker *w)
{
	pthread_mutex_lock(&w->lock); /* the recorder may still give a lease back */
	bool has = w->state != WORKER_IDLE;
	pthread_mutex_unlock(&w->lock);
	if (has)
		parts_drop(w);
}

/* ---- what it does at the moment ---- */

bool worker_is_idle(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool idle = w->state == WORKER_IDLE;
	pthread_mutex_unlock(&w->lock);
	return idle;
}

bool worker_is_busy(struct worker *w)
{
	bool busy = false;

	for (struct part *p = w->parts; p != NULL && !busy; p = part_next(p))
		busy = flow_is_busy(p->flow);
	return busy;
}

/* ---- for dispatch, whose thread waits for no network ---- */

/* Marks the lines that are not of the canary as done. False: none is left. */
static bool canary_leave(const struct worker *w, struct segment_cursor *cursor)
{
	bool any = false;

	for (uint32_t i = 0; i < cursor->lines; i++)
		if (!bit_get(w->canary, (uint32_t)cursor->first + i))
			bit_set(cursor->done, i);
		else if (!bit_get(cursor->done, i))
			any = true;
	return any;
}

/* Marks the lines of other models as done. *ret_any: some are left. */
static bool others_hide(struct part *p, struct segment_cursor *cursor, bool *ret_any,
			struct error *err)
{
	struct input *in = &p->of->config.files->input;
	uint16_t model;

	*ret_any = false;
	for (uint32_t i = 0; i < cursor->lines; i++) {
		if (bit_get(cursor->done, i))
			continue;
		if (!input_model(in, cursor->first + i, &model, err))
			return false;
		if (model == p->share.number)
			*ret_any = true;
		else
			bit_set(cursor->done, i);
	}
	return true;
}

static bool segment_share(struct part *p, struct segment_cursor *cursor, bool *ret_any,
			  struct error *err)
{
	struct open_files *files = p->of->config.files;

	if (!open_files_pin(files, err))
		return false;
	blob_hurry(true);
	bool ok = others_hide(p, cursor, ret_any, err);
	blob_hurry(false);
	open_files_unpin(files);
	return ok;
}

static void on_fault(void *owner, const struct error *err)
{
	const struct worker *w = ((const struct part *)owner)->of;

	log_fault("batch.input_unreadable", err, kv_str("batch", w->config.batch_id));
	w->config.ops->fault(w->config.ctx);
}

static void on_spent(void *owner)
{
	const struct worker *w = ((const struct part *)owner)->of;

	w->config.ops->spent(w->config.ctx);
}

static bool on_segment_next(void *owner, struct segment_cursor *ret)
{
	struct part *p = owner;
	struct worker *w = p->of;
	const struct lessor *lessor = &w->config.lessor;
	const uint64_t end = w->lease.first_segment + w->lease.segments;
	bool found = false;
	struct error err;

	ret->later = false;
	while (!found && p->next_segment < end) {
		uint64_t segment = p->next_segment++;

		if (p->shared && !bit_get(p->share.segments, (uint32_t)segment))
			continue;
		found = lessor->ops->segment(lessor->ctx, &w->lease, segment, ret) &&
			(w->canary == NULL || canary_leave(w, ret));
		if (found && p->shared && !segment_share(p, ret, &found, &err)) {
			/* no line of it may be taken for one of this model */
			ret->lines = 0;
			ret->later = error_may_pass(&err);
			if (ret->later)
				p->next_segment = segment;
			else
				on_fault(p, &err);
			return false;
		}
	}
	p->handed |= found;
	p->barren = !p->handed;
	return found;
}

static bool on_look(void *owner, uint64_t record, struct line_look *ret)
{
	struct worker *w = ((struct part *)owner)->of;
	struct error err;

	if (!open_files_pin(w->config.files, &err))
		return false; /* reading the line will say so */
	blob_hurry(true);
	bool ok = input_look(&w->config.files->input, record, ret, &err);
	blob_hurry(false);
	open_files_unpin(w->config.files);
	return ok;
}

static bool on_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			 struct error *err)
{
	struct worker *w = ((struct part *)owner)->of;

	if (!open_files_pin(w->config.files, err))
		return false;
	blob_hurry(true);
	bool ok = input_line(&w->config.files->input, record, to, ret, err);
	blob_hurry(false);
	open_files_unpin(w->config.files);
	return ok;
}

/* From here on it is one of the batch's lines: they share a journal. */
static void on_ended(void *ctx, struct outcome *o)
{
	struct part *p = o->owner;

	(void)ctx;
	p->left -= p->left > 0;
	o->owner = p->of;
	recorder_push(p->of->config.recorder, o);
}

/* While the process ends a part may be dropped twice. */
static void on_dropped(void *owner)
{
	struct worker *w = ((struct part *)owner)->of;

	if (*w->config.closing)
		return;
	assert(w->open > 0);
	if (--w->open == 0)
		recorder_flush(w->config.recorder, w);
}

const struct dispatch_ops worker_dispatch_ops = {
	.segment_next = on_segment_next,
	.look = on_look,
	.line_read = on_line_read,
	.ended = on_ended,
	.dropped = on_dropped,
	.spent = on_spent,
	.fault = on_fault,
};

/* ---- for the recorder ---- */

/* The files stay pinned until the lines are durable: a group that failed is written again. */
static struct journal *on_journal(void *owner, struct error *err)
{
	struct worker *w = owner;

	if (!w->recording)
		w->recording = open_files_pin(w->config.files, err);
	return w->recording ? w->config.files->journal : NULL;
}

static const char *on_name(void *owner)
{
	return ((struct worker *)owner)->config.batch_id;
}

static void recording_end(struct worker *w)
{
	if (w->recording)
		open_files_unpin(w->config.files);
	w->recording = false;
}

static void lines_count(const struct worker *w, const struct outcome *first)
{
	uint64_t lines = 0, tokens = 0;

	for (const struct outcome *o = first; o != NULL; o = o->next) {
		lines++;
		tokens += o->usage.input + o->usage.output;
	}
	history_lines(w->config.history, w->config.org, lines, tokens);
	history_batch_lines(w->config.history, w->config.batch_id, lines);
}

static void on_durable(void *ctx, void *owner, const struct outcome *first)
{
	struct worker *w = owner;
	const struct lessor *lessor = &w->config.lessor;

	(void)ctx;
	assert(w->recording); /* or the journal may have been closed meanwhile */
	bool held = lessor->ops->settle(lessor->ctx, &w->lease, first);
	recording_end(w);
	if (held)
		lines_count(w, first);
	flow_recorded(first);
	if (!held)
		lease_lost(w);
}

/* The disk would not take them: their lines end with the batch. Or the span is another's. */
static void on_given_up(void *ctx, void *owner, const struct outcome *first)
{
	struct worker *w = owner;

	(void)ctx;
	recording_end(w);
	flow_recorded(first);
	if (w->config.span == NULL)
		return;
	lease_lost(w);
	w->config.ops->lost(w->config.ctx);
}

const struct worker_span *worker_span(const void *owner)
{
	return ((const struct worker *)owner)->config.span;
}

static bool on_ends(void *owner)
{
	struct worker *w = owner;

	return w->config.ops->ends(w->config.ctx);
}

static void on_flushed(void *ctx, void *owner)
{
	struct worker *w = owner;
	const struct lessor *lessor = &w->config.lessor;

	(void)ctx;
	assert(!w->recording);
	(void)lessor->ops->give_back(lessor->ctx, &w->lease); /* false: it was lost before */
	pthread_mutex_lock(&w->lock);
	assert(w->state == WORKER_ENDING);
	w->state = WORKER_IDLE;
	w->config.ops->idle(w->config.ctx);
	pthread_mutex_unlock(&w->lock);
}

const struct recorder_ops worker_recorder_ops = {
	.journal = on_journal,
	.name = on_name,
	.durable = on_durable,
	.ends = on_ends,
	.given_up = on_given_up,
	.flushed = on_flushed,
};
