/* coordinator.c: what a coordinator is made of, and what a client is shown of it. Its life is
 * coordinator_steps.c; what other threads ask of it is coordinator_turn.c. */
#include "pipeline/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/sys.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/day_tokens.h"
#include "pipeline/report.h"
#include "pipeline/stall_text.h"

/* ---- what lessor, worker and files ask and tell ---- */

static void on_finished(void *ctx)
{
	coordinator_kick(ctx);
}

static uint64_t on_line_number(void *ctx, uint64_t record)
{
	const struct coordinator *c = ctx;

	return input_line_number(&c->files.input, record);
}

static void on_fault(void *ctx)
{
	coordinator_fail_rest(ctx, "The stored input of this batch could not be read.");
}

static void on_spent(void *ctx)
{
	struct coordinator *c = ctx;

	log_info("batch.budget_spent", kv_str("batch", c->id),
		 kv_u64("token_budget", c->batch.options.token_budget));
	coordinator_end(c, EARLY_SPENT);
}

static void on_lost(void *ctx)
{
	coordinator_span_leave(ctx, SPAN_IS_LOST);
}

static bool on_ends(void *ctx)
{
	return coordinator_early(ctx) != EARLY_NO;
}

static void on_idle(void *ctx)
{
	coordinator_kick(ctx);
}

static bool on_busy(void *ctx)
{
	const struct coordinator *c = ctx;

	return worker_is_busy(c->worker);
}

static void on_starved(void *ctx, const struct error *why)
{
	if (why != NULL)
		coordinator_held_up_tell(ctx, "opening its files again", why);
}

static const struct lessor_watch lessor_watch = {
	.finished = on_finished,
	.returned = on_finished, /* either way it has another look */
	.line_number = on_line_number,
};
static const struct worker_ops worker_ops = {
	.fault = on_fault, .spent = on_spent, .ends = on_ends, .lost = on_lost, .idle = on_idle
};
static const struct open_files_ops open_files_ops = { .busy = on_busy, .starved = on_starved };

static bool parts_new(struct coordinator *c, struct error *err)
{
	struct coordinator_env *env = c->env;

	if (!lessor_memory_new(c->id, env->lease_ms, &lessor_watch, c, &c->lessor, err))
		return false;
	const struct worker_config worker = {
		.batch_id = c->id,
		.lessor = lessor_memory_lessor(c->lessor),
		.span = c->span != NULL ? &c->span->worker : NULL,
		.files = &c->files,
		.dispatch = env->dispatch,
		.recorder = env->recorder,
		.history = env->config->history,
		.org = c->batch.org,
		.closing = &env->closing,
		.ops = &worker_ops,
		.ctx = c,
	};
	return worker_new(&worker, &c->worker, err);
}

static bool coordinator_make(struct coordinator_env *env, const char *batch_id,
			     struct span_lent *lent, struct owner owner, struct coordinator **ret,
			     struct error *err)
{
	struct coordinator *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return fail_memory(err);
	c->env = env;
	env->unread++;
	c->work_fn = coordinator_work;
	(void)slice_copy(slice_of(batch_id), c->id, sizeof(c->id));
	c->files = (struct open_files){
		.table = &env->files,
		.ops = &open_files_ops,
		.ctx = c,
		.input = { .blobs = env->blobs,
			   .file_id = c->batch.input_file_id,
			   .batch_id = c->id },
	};
	pthread_mutex_init(&c->lock, NULL);
	if ((lent != NULL && !coordinator_span_new(c, lent, owner, err)) || !parts_new(c, err)) {
		coordinator_free(c);
		return false;
	}
	*ret = c;
	return true;
}

bool coordinator_new(struct coordinator_env *env, const char *batch_id, struct coordinator **ret,
		     struct error *err)
{
	const struct owner none = { .node = NOBODY };

	return coordinator_make(env, batch_id, NULL, none, ret, err);
}

bool coordinator_new_span(struct coordinator_env *env, struct span_lent *lent, struct owner owner,
			  struct coordinator **ret, struct error *err)
{
	char batch_id[ID_SIZE];

	memcpy(batch_id, lent->id.batch, sizeof(batch_id));
	return coordinator_make(env, batch_id, lent, owner, ret, err);
}

void coordinator_free(struct coordinator *c)
{
	if (!c->read)
		c->env->unread--;
	free(c->settled);
	free(c->canary_lines);
	results_close(c->results);
	free(c->merged);
	free(c->order_path);
	free(c->hours);
	open_files_close(&c->files);
	worker_free(c->worker);
	shares_done(&c->shares);
	lessor_memory_free(c->lessor);
	coordinator_span_free(c);
	override_free(c->override);
	free(c->override_model);
	batch_done(&c->batch);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void coordinator_abandon(struct coordinator *c)
{
	worker_abandon(c->worker);
}

const char *coordinator_id(const struct coordinator *c)
{
	return c->id;
}

struct coordinator **coordinator_next(struct coordinator *c)
{
	return &c->next;
}

bool coordinator_is_new(struct coordinator *c)
{
	return c->phase < PHASE_RUNNING;
}

void coordinator_check_lease(struct coordinator *c, uint64_t now_ms)
{
	bool takes = c->phase == PHASE_RUNNING && worker_is_idle(c->worker) &&
		     lessor_memory_is_free(c->lessor);

	bool canary = c->phase == PHASE_RUNNING && c->canary &&
		      lessor_memory_ended(c->lessor) >= c->batch.options.canary;

	if (takes || canary || worker_renew_is_due(c->worker, now_ms))
		coordinator_kick(c);
}

/* ---- what a client is shown ---- */

static enum batch_stall stall_of(struct coordinator *c, const struct batch *row,
				 const struct flow_view *view, bool all_ended,
				 char message[static STALL_TEXT_BYTES])
{
	char since[TIME_TEXT_BYTES];

	message[0] = '\0';
	if (open_files_starved(&c->files)) {
		snprintf(message, STALL_TEXT_BYTES, "too many files and connections are open");
		return STALL_PAUSED;
	}
	if (c->suspended) {
		snprintf(message, STALL_TEXT_BYTES, "the operator has suspended its organization");
		return STALL_HELD;
	}
	if (!all_ended && stall_text_hold(row, message))
		return STALL_HELD;
	if (c->closed && (c->zone_missing || c->hours != NULL) && !all_ended) {
		stall_text_hours(row, c->zone_missing ? NULL : &c->hours->opening, message);
		return STALL_HELD;
	}
	if (c->over_quota && !all_ended) {
		snprintf(
			message, STALL_TEXT_BYTES,
			"its organization has as much enqueued as it may (limits.org.enqueued_requests, "
			"enqueued_tokens)");
		return STALL_QUOTA;
	}
	if (c->over_day && !all_ended) {
		time_format(day_tokens_end(sys.now_s()), since);
		snprintf(message, STALL_TEXT_BYTES,
			 "its organization has used its tokens of the day "
			 "(limits.org.tokens_per_day): lines are sent from %s on",
			 since);
		return STALL_QUOTA;
	}
	if (c->span != NULL && !blobs_answer(c->env->blobs)) {
		snprintf(message, STALL_TEXT_BYTES,
			 "the object storage cannot be reached, or does not let the server in");
		return STALL_PAUSED;
	}
	if (c->held_up || recorder_stalled(c->env->recorder)) {
		snprintf(message, STALL_TEXT_BYTES, "%s",
			 c->span != NULL ? "the object storage or the database refuses"
					 : "the disk or the database refuses");
		return STALL_PAUSED;
	}
	if (all_ended)
		return STALL_NONE;
	memcpy(message, view->text, STALL_TEXT_BYTES);
	return view->stall;
}

/* A coordinator that has not read its journal yet knows less than the store. */
static void ended_view(const struct ended_sums *sums, struct batch_view *v)
{
	struct counts *c = &v->row.counts;
	uint64_t total = c->total;

	if (sums->counts.completed + sums->counts.failed < c->completed + c->failed)
		return;
	*c = sums->counts;
	c->total = total;
	c->expired = c->cancelled = 0; /* not before the state is final */
	v->row.usage = sums->usage;
	v->causes = sums->causes;
}

/* The lessor first: what is merged in between is found in both places, else it were in neither. */
void coordinator_stream(struct coordinator *c, uint32_t after, struct coordinator_stream *ret)
{
	struct shown shown;

	*ret = (struct coordinator_stream){ 0 };
	if (coordinator_is_new(c))
		return;
	lessor_memory_shown(c->lessor, after + 1, &shown);
	pthread_mutex_lock(&c->lock);
	*ret = (struct coordinator_stream){
		.last = shown.last,
		.output_bytes = c->merged_bytes.output,
		.error_bytes = c->merged_bytes.error,
		.journal_at = shown.from.at,
		.journal_end = shown.journal_end,
	};
	pthread_mutex_unlock(&c->lock);
}

void coordinator_view(struct coordinator *c, struct batch_view *v)
{
	struct counts *counts = &v->row.counts;
	struct ended_sums sums;
	struct flow_view sending;

	lessor_memory_sums(c->lessor, &sums); /* first: what ends in between is not counted twice */
	worker_look(c->worker, &sending);
	ended_view(&sums, v);
	uint64_t left = counts->total - counts->completed - counts->failed;
	counts->retried += sending.retried;
	v->running = sending.running < left ? sending.running : left;
	v->pending = left - v->running;
	if (v->row.status != BATCH_IN_PROGRESS)
		return;
	pthread_mutex_lock(&c->lock);
	v->stall = stall_of(c, &v->row, &sending, sums.all, v->stall_message);
	bool suspended = c->suspended;
	pthread_mutex_unlock(&c->lock);
	v->certificate = sending.certificate;
	/* after its canary it waits for a person */
	bool until_asked = c->canary || v->row.hold != BATCH_GOES_ON || suspended;
	v->eta_at = until_asked ? 0 : sending.eta_at;
	v->at_risk = sending.at_risk;
	v->queue_position = sending.queue_position;
	v->rate_per_s = sending.rate_per_s;
}

void coordinator_span_view(struct coordinator *c, struct report_batch *ret)
{
	struct flow_view sending;

	if (c->phase != PHASE_RUNNING)
		return;
	worker_look(c->worker, &sending);
	bool all_ended = lessor_memory_ended(c->lessor) == c->lines;
	struct batch row = c->batch; /* borrowed */
	row.hold = (enum batch_hold)c->hold;
	pthread_mutex_lock(&c->lock);
	ret->stall = stall_of(c, &row, &sending, all_ended, ret->message);
	pthread_mutex_unlock(&c->lock);
	ret->running = sending.running;
	ret->retried = sending.retried;
	ret->at_risk = sending.at_risk;
	ret->certificate = sending.certificate;
	ret->queue_position = sending.queue_position;
}

bool coordinator_pulse(struct coordinator *c, struct batch_pulse *ret)
{
	char message[STALL_TEXT_BYTES];
	struct flow_view sending;

	if (c->phase < PHASE_RUNNING)
		return false;
	worker_look(c->worker, &sending);
	uint64_t ended = lessor_memory_ended(c->lessor);
	const struct batch row = { .hold = (enum batch_hold)c->hold };
	pthread_mutex_lock(&c->lock);
	enum batch_stall stall = stall_of(c, &row, &sending, ended == c->lines, message);
	pthread_mutex_unlock(&c->lock);
	*ret = (struct batch_pulse){
		.id = c->id,
		.org = c->batch.org,
		.ended = ended,
		.running = sending.running,
		.queue_position = sending.queue_position,
		.stall = stall,
		.at_risk = sending.at_risk,
	};
	return true;
}
