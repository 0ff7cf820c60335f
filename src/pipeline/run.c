/* run.c: a run from phase to phase; see run.h for the picture. */
#include "pipeline/run.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/endpoint.h"
#include "batch/finding.h"
#include "pipeline/run_impl.h"

#define RETRY_MS 1000    /* when disk or database refuse */
#define OPENING_TRIES 10 /* before a batch that is to end does so without its journal */
#define REOPEN_MAX 3     /* openings anew because of damage */
#define LOST_TEXT "The stored data of this batch is lost or corrupt."

static void run_work(void *arg);
static void run_move(struct run *run, enum phase to);

int64_t run_env_lost_at(const struct run_env *env)
{
	int64_t now = sys.now_s();
	return now > env->newest_s ? now : env->newest_s;
}

struct run *run_new(struct run_env *env, const char *batch_id)
{
	struct run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		return NULL;
	run->env = env;
	run->blob_fd = -1;
	(void)slice_copy(slice_of(batch_id), run->id, sizeof(run->id));
	pthread_mutex_init(&run->lock, NULL);
	return run;
}

void run_free(struct run *run)
{
	run_files_remove(run);
	journal_close(run->journal);
	results_close(run->results);
	index_close(run->index);
	if (run->blob_fd >= 0)
		close(run->blob_fd);
	free(run->cache);
	segment_set_free(run->segments);
	batch_done(&run->batch);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

void run_abandon(struct run *run)
{
	pthread_mutex_lock(&run->lock); /* the recorder still lets go of runs */
	bool sending = run->sending != SENDING_NOT;
	pthread_mutex_unlock(&run->lock);
	if (sending)
		dispatch_drop(run->env->dispatch, &run->dispatch);
}

const char *run_id(const struct run *run)
{
	return run->id;
}

struct run **run_next(struct run *run)
{
	return &run->next;
}

/* Under the lock, and the last that the caller does with the run before it gives the lock back: the
 * worker may free it right after. */
static void kick_locked(struct run *run)
{
	if (run->turn == TURN_WORKING)
		run->turn = TURN_WORKING_AGAIN;
	if (run->turn != TURN_IDLE)
		return;
	run->turn = TURN_QUEUED;
	workers_post(run->env->workers, &run->work, run_work, run);
}

void run_kick(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	kick_locked(run);
	pthread_mutex_unlock(&run->lock);
}

void run_flushed(void *ctx, void *owner)
{
	(void)ctx;
	struct run *run = owner;
	pthread_mutex_lock(&run->lock);
	assert(run->sending == SENDING_ENDS);
	run->sending = SENDING_NOT;
	kick_locked(run);
	pthread_mutex_unlock(&run->lock);
}

bool run_is_new(struct run *run)
{
	return run->phase < RUN_RUNNING;
}

void run_end(struct run *run, enum early_end why)
{
	assert(why != EARLY_NO);
	pthread_mutex_lock(&run->lock);
	bool first = run->early == EARLY_NO;
	if (first)
		run->early = why;
	pthread_mutex_unlock(&run->lock);
	if (first)
		run_kick(run);
}

void run_fail_rest(struct run *run, const char *why)
{
	pthread_mutex_lock(&run->lock);
	if (run->early == EARLY_NO)
		snprintf(run->fault, sizeof(run->fault), "%s", why);
	pthread_mutex_unlock(&run->lock);
	run_end(run, EARLY_FAILED);
}

void run_check_window(struct run *run, int64_t now)
{
	pthread_mutex_lock(&run->lock);
	bool over = run->expires_at != 0 && now >= run->expires_at;
	pthread_mutex_unlock(&run->lock);
	if (over)
		run_end(run, EARLY_EXPIRED);
}

enum early_end run_early(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	enum early_end early = run->early;
	pthread_mutex_unlock(&run->lock);
	return early;
}

/* ---- suspended by the operator ---- */

static int org_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

void run_suspend(struct run *run, const char (*orgs)[ID_SIZE], size_t n)
{
	if (run->phase != RUN_RUNNING)
		return;
	bool suspended = n > 0 && bsearch(run->batch.org, orgs, n, ID_SIZE, org_compare) != NULL;
	pthread_mutex_lock(&run->lock);
	bool changed = run->suspended != suspended;
	run->suspended = suspended;
	if (changed)
		kick_locked(run);
	pthread_mutex_unlock(&run->lock);
}

/* Dispatch is told by the worker alone: so never of a batch that it has let go. */
static void suspend_tell(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	bool suspended = run->suspended;
	pthread_mutex_unlock(&run->lock);
	if (run->sending != SENDING || suspended == run->suspended_sent)
		return;
	run->suspended_sent = suspended;
	log_info(suspended ? "batch.suspended" : "batch.unsuspended", kv_str("batch", run->id),
		 kv_str("org", run->batch.org));
	dispatch_suspend(run->env->dispatch, &run->dispatch, suspended);
}

static void suspended_read(struct run *run)
{
	AUTO(auto_free) char(*orgs)[ID_SIZE] = NULL;
	struct error err;
	size_t n = 0;

	if (!store_orgs_suspended(run->env->store, run->batch.org, &orgs, &n, &err))
		log_fault("batch.suspended_unknown", &err, kv_str("batch", run->id));
	pthread_mutex_lock(&run->lock);
	run->suspended = run->suspended_sent = n > 0;
	pthread_mutex_unlock(&run->lock);
}

/* ---- held up: the disk or the database refuses, or there are no descriptors ---- */

/* Whatever holds up one batch mostly holds up all: then one line tells of many. */
static void held_up_tell(struct run *run, const char *doing, const struct error *err)
{
	uint64_t others;
	if (log_storm_pass(&run->env->held_up, sys.monotonic_ms(), &others))
		log_fault("batch.paused", err, kv_str("batch", run->id), kv_str("doing", doing),
			  kv_u64("others_before", others));
}

static void held_up(struct run *run, const char *doing, const struct error *err)
{
	run_files_spare(&run->env->files, err);
	if (!run->held_up)
		held_up_tell(run, doing, err);
	run->held_up = true;
}

static void goes_on(struct run *run)
{
	uint64_t others;

	if (!run->held_up)
		return;
	if (log_storm_pass(&run->env->resumed, sys.monotonic_ms(), &others))
		log_info("batch.resumed", kv_str("batch", run->id),
			 kv_u64("others_before", others));
	run->held_up = false;
}

void run_starved(struct run *run, const struct error *why)
{
	if (!atomic_exchange(&run->starved, why != NULL) && why != NULL)
		held_up_tell(run, "opening its files again", why);
}

/* What the schedule goes by. A weight that cannot be read is an ordinary one. */
static void run_entry(struct run *run, struct schedule_batch *e)
{
	const struct index_summary *s = index_summary(run->index);
	struct error err;
	memcpy(e->org, run->batch.org, sizeof(e->org));
	e->org_weight = 1;
	if (!store_org_weight(run->env->store, run->batch.org, &e->org_weight, &err))
		log_fault("batch.weight_unknown", &err, kv_str("batch", run->id));
	e->expires_at = run->batch.expires_at;
	e->rest_lines = run->lines - run_ended_lines(run);
	e->rest_bytes = s->body_bytes / run->lines * e->rest_lines;
	e->prefixes = s->prefixes;
	suspended_read(run);
	e->suspended = run->suspended_sent;
}

static void run_dispatch(struct run *run)
{
	const struct index_summary *s = index_summary(run->index);
	run->dispatch.owner = run;
	run->dispatch.id = run->id;
	const char *path = endpoint_path(slice_of(run->batch.endpoint));
	run->dispatch.endpoint = path != NULL ? path : run->batch.endpoint; /* a later version's */
	run->dispatch.model = s->model_count == 1 ? s->models[0] : NULL;
	run_entry(run, &run->dispatch.entry);
	log_info("batch.started", kv_str("batch", run->id), kv_u64("lines", run->lines),
		 kv_u64("ended_before", run_ended_lines(run)));
	pthread_mutex_lock(&run->lock);
	assert(run->sending == SENDING_NOT);
	run->sending = SENDING;
	pthread_mutex_unlock(&run->lock);
	dispatch_add(run->env->dispatch, &run->dispatch);
}

/* ---- the steps ---- */

static bool step_load(struct run *run, struct error *err)
{
	batch_done(&run->batch);
	if (!store_batch_get(run->env->store, NULL, run->id, &run->batch, err))
		return false;
	enum batch_status status = run->batch.status;
	if (batch_is_final(status)) {
		run_move(run, RUN_GONE);
		return true;
	}
	pthread_mutex_lock(&run->lock);
	bool expires = status != BATCH_CANCELLING && status != BATCH_FINALIZING;
	run->expires_at = expires ? run->batch.expires_at : 0;
	pthread_mutex_unlock(&run->lock);
	run_move(run, status == BATCH_VALIDATING ? RUN_VALIDATING : RUN_OPENING);
	return true;
}

static bool step_validate(struct run *run, struct error *err)
{
	bool started;

	if (!run_validate(run, &started, err))
		return false;
	run_move(run, started ? RUN_OPENING : RUN_GONE);
	return true;
}

static bool step_open(struct run *run, struct error *err)
{
	if (!run_open(run, err))
		return false;
	goes_on(run);
	run_files_add(run);
	run_move(run, RUN_RUNNING);
	bool all_ended = run_ended_lines(run) == run->lines;
	if (run->batch.status == BATCH_CANCELLING)
		run_end(run, EARLY_CANCELLED);
	if (run->input_lost && !all_ended)
		run_fail_rest(run, LOST_TEXT);
	if (run->env->time_is_good(run->env->ctx))
		run_check_window(run, sys.now_s()); /* it may have passed while no server ran */
	if (run_early(run) == EARLY_NO && !all_ended)
		run_dispatch(run);
	return true;
}

/* A line that had ended has no record that checks any more. Opening anew finds the others, and lets
 * the line run again. */
static void run_damaged(struct run *run)
{
	run->damaged = false;
	if (++run->reopened > REOPEN_MAX) {
		run_fail_rest(run, "Results of this batch were damaged on disk.");
		run->at_once = true;
		return;
	}
	log_warn("batch.reopened", kv_str("batch", run->id),
		 kv_str("why", "a result is damaged on disk"));
	run_move(run, RUN_REOPENING);
}

static bool step_run(struct run *run, struct error *err)
{
	pthread_mutex_lock(&run->lock);
	bool all_ended = segment_set_ended(run->segments) == run->lines;
	if (all_ended)
		run->expires_at = 0; /* what is finished does not expire */
	enum early_end early = run->early;
	pthread_mutex_unlock(&run->lock);
	if (all_ended || early != EARLY_NO) {
		bool finalizes = early == EARLY_NO && run->batch.status == BATCH_IN_PROGRESS;
		run_move(run, finalizes ? RUN_FINALIZING : RUN_STOPPING);
		return true;
	}
	suspend_tell(run);
	if (!run_merge(run, EARLY_NO, &run->at_once, err))
		return false;
	goes_on(run);
	if (run->damaged)
		run_damaged(run);
	return true;
}

static bool step_finalize(struct run *run, struct error *err)
{
	bool moved;

	if (!store_batch_move(run->env->store, run->id, 1u << BATCH_IN_PROGRESS, BATCH_FINALIZING,
			      sys.now_s(), &moved, err))
		return false;
	run->batch.status = BATCH_FINALIZING;
	run_move(run, RUN_STOPPING);
	return true;
}

/* Asks dispatch once for what it has; true when dispatch and recorder have let go. */
static bool sending_has_ended(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	enum sending sending = run->sending;
	if (sending == SENDING)
		run->sending = SENDING_ENDS;
	pthread_mutex_unlock(&run->lock);
	if (sending == SENDING)
		dispatch_drop(run->env->dispatch, &run->dispatch);
	return sending == SENDING_NOT;
}

static bool step_stop(struct run *run, struct error *err)
{
	(void)err;
	if (sending_has_ended(run))
		run_move(run, RUN_MERGING);
	return true;
}

/* All that is open is closed, and it begins as after a restart; unless it is to end meanwhile. */
static bool step_reopen(struct run *run, struct error *err)
{
	(void)err;
	if (!sending_has_ended(run))
		return true;
	if (run_early(run) != EARLY_NO) {
		run_move(run, RUN_MERGING);
		return true;
	}
	run_close(run);
	pthread_mutex_lock(&run->lock);
	run->dispatch = (struct dispatch_batch){ 0 };
	pthread_mutex_unlock(&run->lock);
	run_move(run, RUN_LOADING);
	return true;
}

static bool step_merge(struct run *run, struct error *err)
{
	bool more = true;

	while (more)
		if (!run_merge(run, run_early(run), &more, err))
			return false;
	if (run->damaged)
		run_damaged(run);
	else
		run_move(run, RUN_FINISHING);
	return true;
}

static bool step_finish(struct run *run, struct error *err)
{
	if (!run_finish(run, err))
		return false;
	run_move(run, RUN_GONE);
	return true;
}

/* ---- the table of steps, and its one door ---- */

#define TO(phase) 1u << RUN_##phase

static const struct step {
	const char *name; /* for the log */
	bool (*fn)(struct run *run, struct error *err);
	unsigned may; /* go to: bit a phase */
} steps[RUN_PHASES] = {
	[RUN_LOADING] = { "loading", step_load, TO(VALIDATING) | TO(OPENING) | TO(GONE) },
	[RUN_VALIDATING] = { "validating", step_validate, TO(OPENING) | TO(LOADING) | TO(GONE) },
	[RUN_OPENING] = { "opening", step_open, TO(RUNNING) | TO(LOADING) },
	[RUN_RUNNING] = { "merging", step_run, TO(FINALIZING) | TO(STOPPING) | TO(REOPENING) },
	[RUN_FINALIZING] = { "finalizing", step_finalize, TO(STOPPING) | TO(RUNNING) },
	[RUN_STOPPING] = { "stopping", step_stop, TO(MERGING) },
	[RUN_REOPENING] = { "reopening", step_reopen, TO(LOADING) | TO(MERGING) },
	[RUN_MERGING] = { "merging", step_merge, TO(FINISHING) | TO(REOPENING) },
	[RUN_FINISHING] = { "finishing", step_finish, TO(GONE) },
	[RUN_GONE] = { "gone", NULL, 0 },
};

static void run_move(struct run *run, enum phase to)
{
	enum phase from = (enum phase)run->phase;

	assert(steps[from].may & 1u << to);
	log_debug("batch.step", kv_str("batch", run->id), kv_str("from", steps[from].name),
		  kv_str("to", steps[to].name));
	run->phase = to;
}

/* ---- a step that fails ---- */

/* The input of a batch that was never checked is lost or corrupt (contract 6). */
static bool beyond_repair(struct run *run, const struct error *why, struct error *err)
{
	bool moved;
	AUTO(buf_free) struct buf errors = BUF(4096);

	finding_json_one(&errors,
			 &(struct finding){ .code = "server_error", .message = LOST_TEXT });
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	if (!store_batch_fail(run->env->store, run->id, errors.p, sys.now_s(), &moved, err))
		return false;
	log_fault("batch.failed", why, kv_str("batch", run->id));
	return true;
}

/* A batch that is to end (cancelled, or its window is over) does not wait for its journal for ever: what
 * was merged is given out, and the journal goes to lost/. */
static void opening_failed(struct run *run)
{
	bool ends = run->batch.status == BATCH_CANCELLING || run_early(run) != EARLY_NO;

	if (ends && ++run->opening_tries >= OPENING_TRIES)
		run->journal_unreadable = true;
}

enum next { NEXT_WAIT, NEXT_AT_ONCE, NEXT_LATER };

/* Decides what becomes of a run whose step failed: it is gone, beyond repair, or tries again later. */
static enum next run_failed(struct run *run, const struct error *why)
{
	const char *doing = steps[run->phase].name;
	struct error err;

	if (run->phase == RUN_LOADING && why->kind == ERR_NOT_FOUND) {
		run_move(run, RUN_GONE);
		return NEXT_WAIT;
	}
	if (run->phase == RUN_VALIDATING && run_is_lost(why)) {
		if (beyond_repair(run, why, &err)) {
			run_move(run, RUN_GONE);
			return NEXT_WAIT;
		}
		doing = "failing";
	}
	if (run->phase == RUN_OPENING)
		opening_failed(run);
	if (run->phase == RUN_VALIDATING || run->phase == RUN_OPENING) {
		run_close(run);
		run_move(run, RUN_LOADING);
	} else if (run->phase == RUN_FINALIZING) {
		run_move(run, RUN_RUNNING); /* it may be cancelled meanwhile */
	}
	held_up(run, doing, why);
	return NEXT_LATER;
}

/* ---- the worker's turn ---- */

static enum next run_step(struct run *run)
{
	int before = run->phase;
	struct error err;

	run->at_once = false;
	if (!steps[before].fn(run, &err))
		return run_failed(run, &err);
	if (run->phase == RUN_GONE)
		return NEXT_WAIT;
	return run->phase != before || run->at_once ? NEXT_AT_ONCE : NEXT_WAIT;
}

static void turn_begin(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	assert(run->turn == TURN_QUEUED);
	run->turn = TURN_WORKING;
	pthread_mutex_unlock(&run->lock);
}

static void turn_end(struct run *run, bool later)
{
	pthread_mutex_lock(&run->lock);
	bool post = run->turn == TURN_WORKING_AGAIN || later;
	run->turn = post ? TURN_QUEUED : TURN_IDLE;
	pthread_mutex_unlock(&run->lock);
	if (post)
		workers_post_after(run->env->workers, &run->work, run_work, run,
				   later ? RETRY_MS : 0);
}

static void run_work(void *arg)
{
	struct run *run = arg;
	enum next next = NEXT_AT_ONCE;

	turn_begin(run);
	while (next == NEXT_AT_ONCE)
		next = run->env->closing ? NEXT_WAIT : run_step(run);
	results_close(TAKE(run->results));
	if (run->phase != RUN_GONE) {
		turn_end(run, next == NEXT_LATER);
		return;
	}
	run->env->ended(run->env->ctx, run);
	run_free(run);
}

/* ---- what a client is shown ---- */

static const char *run_stall(struct run *run, char message[static STALL_TEXT_BYTES])
{
	static const char *const reasons[] = {
		[DISPATCH_FLOWS] = NULL,
		[DISPATCH_STALL_ONLINE] = STALL_ONLINE,
		[DISPATCH_STALL_429] = STALL_UPSTREAM_429,
		[DISPATCH_STALL_DOWN] = STALL_UPSTREAM_DOWN,
		[DISPATCH_STALL_REFUSED] = STALL_UPSTREAM_REFUSED,
	};
	message[0] = '\0';
	if (run->starved) {
		snprintf(message, STALL_TEXT_BYTES, "too many files and connections are open");
		return STALL_PAUSED;
	}
	if (run->suspended) {
		snprintf(message, STALL_TEXT_BYTES, "the operator has suspended its organization");
		return STALL_HELD;
	}
	if (run->held_up || recorder_stalled(run->env->recorder)) {
		snprintf(message, STALL_TEXT_BYTES, "the disk or the database refuses");
		return STALL_PAUSED;
	}
	if (run->sending == SENDING_NOT || segment_set_ended(run->segments) == run->lines)
		return NULL;
	int stall = atomic_load(&run->dispatch.stall); /* gcc 12 reads an atomic index plainly */
	const char *reason = reasons[stall];
	if (reason != NULL)
		dispatch_stall_text(run->env->dispatch, &run->dispatch, message);
	return reason;
}

void run_progress(struct run *run, struct batch *b, struct progress *ret)
{
	pthread_mutex_lock(&run->lock);
	uint64_t total = b->counts.total;
	/* A run that has not read its journal yet knows less than the store. */
	if (run->counts.completed + run->counts.failed >= b->counts.completed + b->counts.failed) {
		b->counts = run->counts;
		b->counts.total = total;
		b->counts.expired = b->counts.cancelled = 0; /* not before the state is final */
		b->usage = run->usage;
		ret->causes = run->causes;
	}
	uint64_t left = total - b->counts.completed - b->counts.failed;
	uint64_t running = run->dispatch.running;
	b->counts.retried += run->dispatch.retried;
	ret->running = running < left ? running : left;
	ret->pending = left - ret->running;
	if (b->status == BATCH_IN_PROGRESS) {
		ret->stall_reason = run_stall(run, ret->stall_message);
		ret->certificate = run->dispatch.certificate;
		ret->eta_at = run->dispatch.eta_at;
		ret->at_risk = run->dispatch.at_risk;
		ret->queue_position = run->dispatch.queue_position;
		ret->rate_per_s = run->dispatch.rate_per_ks / 1000.0;
	}
	pthread_mutex_unlock(&run->lock);
	ret->counts = b->counts;
	ret->usage = b->usage;
}
