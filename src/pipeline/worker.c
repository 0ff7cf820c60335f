/* worker.c: see worker.h. */
#include "pipeline/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"

enum worker_state { WORKER_IDLE, WORKER_SENDING, WORKER_ENDING };

struct worker {
	struct worker_config config;
	struct flow *flow; /* its lines in dispatch */

	/* set while idle */
	struct span_lease lease; /* until_ms, renew_ms: under the lock */

	uint64_t next_segment; /* to hand out; dispatch thread */
	bool recording;        /* the recorder has the files pinned; its own */

	pthread_mutex_t lock; /* for `state` */
	enum worker_state state;
};

bool worker_new(const struct worker_config *config, struct worker **ret, struct error *err)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fail_memory(err);
	if (!flow_new(config->dispatch, &w->flow, err)) {
		free(w);
		return false;
	}
	w->config = *config;
	pthread_mutex_init(&w->lock, NULL);
	*ret = w;
	return true;
}

void worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	flow_free(w->flow);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* ---- the lease ---- */

bool worker_start(struct worker *w, const struct flow_config *task)
{
	const struct lessor *lessor = &w->config.lessor;
	struct flow_config flow = *task;
	struct span_lease lease;

	if (!lessor->ops->take(lessor->ctx, &lease))
		return false;
	pthread_mutex_lock(&w->lock);
	assert(w->state == WORKER_IDLE);
	w->lease = lease;
	w->next_segment = lease.first_segment;
	flow.owner = w;
	flow.id = w->config.batch_id;
	w->state = WORKER_SENDING;
	pthread_mutex_unlock(&w->lock);
	flow_open(w->flow, &flow);
	return true;
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
		flow_drop(w->flow);
}

static void lease_lost(struct worker *w)
{
	if (!sending_end(w))
		return;
	log_warn("span.lost", kv_str("batch", w->config.batch_id), kv_u64("span", w->lease.span),
		 kv_u64("epoch", w->lease.epoch));
	flow_drop(w->flow);
}

bool worker_renew_is_due(struct worker *w, uint64_t now_ms)
{
	pthread_mutex_lock(&w->lock);
	bool due = w->state == WORKER_SENDING && now_ms >= w->lease.renew_ms;
	pthread_mutex_unlock(&w->lock);
	return due;
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
	if (w->state == WORKER_SENDING) /* under the lock: never after the drop */
		flow_suspend(w->flow, suspended);
	pthread_mutex_unlock(&w->lock);
}

void worker_abandon(struct worker *w)
{
	pthread_mutex_lock(&w->lock); /* the recorder may still give a lease back */
	bool has = w->state != WORKER_IDLE;
	pthread_mutex_unlock(&w->lock);
	if (has)
		flow_drop(w->flow);
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
	return flow_is_busy(w->flow);
}

void worker_look(struct worker *w, struct flow_view *ret)
{
	if (worker_is_idle(w))
		*ret = (struct flow_view){ 0 };
	else
		flow_progress(w->flow, ret);
}

/* ---- for dispatch ---- */

static bool on_segment_next(void *owner, struct segment_cursor *ret)
{
	struct worker *w = owner;
	const struct lessor *lessor = &w->config.lessor;
	const uint64_t end = w->lease.first_segment + w->lease.segments;
	bool found = false;

	while (!found && w->next_segment < end)
		found = lessor->ops->segment(lessor->ctx, &w->lease, w->next_segment++, ret);
	return found;
}

static bool on_look(void *owner, uint64_t record, struct line_look *ret)
{
	struct worker *w = owner;
	struct error err;

	if (!open_files_pin(w->config.files, &err))
		return false; /* reading the line will say so */
	bool ok = input_look(&w->config.files->input, record, ret, &err);
	open_files_unpin(w->config.files);
	return ok;
}

static bool on_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
			 struct error *err)
{
	struct worker *w = owner;

	if (!open_files_pin(w->config.files, err))
		return false;
	bool ok = input_line(&w->config.files->input, record, to, ret, err);
	open_files_unpin(w->config.files);
	return ok;
}

static void on_ended(void *ctx, struct outcome *o)
{
	struct worker *w = o->owner;

	(void)ctx;
	recorder_push(w->config.recorder, o);
}

static void on_dropped(void *owner)
{
	struct worker *w = owner;

	if (!*w->config.closing)
		recorder_flush(w->config.recorder, w);
}

static void on_fault(void *owner, const struct error *err)
{
	struct worker *w = owner;

	log_fault("batch.input_unreadable", err, kv_str("batch", w->config.batch_id));
	w->config.ops->fault(w->config.ctx);
}

const struct dispatch_ops worker_dispatch_ops = {
	.segment_next = on_segment_next,
	.look = on_look,
	.line_read = on_line_read,
	.ended = on_ended,
	.dropped = on_dropped,
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

static void on_durable(void *ctx, void *owner, const struct outcome *first)
{
	struct worker *w = owner;
	const struct lessor *lessor = &w->config.lessor;

	(void)ctx;
	assert(w->recording); /* or the journal may have been closed meanwhile */
	bool held = lessor->ops->settle(lessor->ctx, &w->lease, first);
	recording_end(w);
	flow_recorded(w->flow, first);
	if (!held)
		lease_lost(w);
}

/* The disk would not take them: their lines end with the batch. */
static void on_given_up(void *ctx, void *owner, const struct outcome *first)
{
	struct worker *w = owner;

	(void)ctx;
	recording_end(w);
	flow_recorded(w->flow, first);
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
