/* run.c: a run from phase to phase; see run.h for the picture. */
#include "pipeline/run.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/endpoint.h"
#include "batch/finding.h"
#include "blob/lost.h"
#include "pipeline/run_impl.h"

#define RETRY_MS 1000    /* when disk or database refuse */
#define OPENING_TRIES 10 /* before a batch that is to end does so without its journal */
#define REOPEN_MAX 3     /* openings anew because of damage */
#define LOST_TEXT "The stored data of this batch is lost or corrupt."

enum step { STEP_WAIT, STEP_AGAIN, STEP_LATER, STEP_GONE };

static void run_work(void *arg);

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
	for (uint64_t i = 0; run->segments != NULL && i < run->segment_count; i++)
		free(run->segments[i].done);
	free(run->segments);
	batch_done(&run->batch);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

void run_abandon(struct run *run)
{
	pthread_mutex_lock(&run->lock); /* the recorder still lets go of runs */
	bool held = run->dispatched && !run->let_go;
	pthread_mutex_unlock(&run->lock);
	if (held)
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
	if (run->working)
		run->again = true;
	if (run->working || run->queued)
		return;
	run->queued = true;
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
	run->let_go = true;
	kick_locked(run);
	pthread_mutex_unlock(&run->lock);
}

bool run_is_new(struct run *run)
{
	return run->phase == RUN_NEW;
}

void run_end(struct run *run, enum outcome_fault why)
{
	pthread_mutex_lock(&run->lock);
	bool first = run->end == OUTCOME_ANSWERED;
	if (first)
		run->end = why;
	pthread_mutex_unlock(&run->lock);
	if (first)
		run_kick(run);
}

void run_fail_rest(struct run *run, const char *why)
{
	pthread_mutex_lock(&run->lock);
	if (run->end == OUTCOME_ANSWERED)
		snprintf(run->fault, sizeof(run->fault), "%s", why);
	pthread_mutex_unlock(&run->lock);
	run_end(run, OUTCOME_BATCH_FAILED);
}

void run_check_window(struct run *run, int64_t now)
{
	pthread_mutex_lock(&run->lock);
	bool over = run->expires_at != 0 && now >= run->expires_at;
	pthread_mutex_unlock(&run->lock);
	if (over)
		run_end(run, OUTCOME_EXPIRED);
}

enum outcome_fault run_end_reason(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	enum outcome_fault end = run->end;
	pthread_mutex_unlock(&run->lock);
	return end;
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
	if (!run->dispatched || suspended == run->suspended_told)
		return;
	run->suspended_told = suspended;
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
	run->suspended = run->suspended_told = n > 0;
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
	if (!run->told)
		held_up_tell(run, doing, err);
	run->told = true;
	pthread_mutex_lock(&run->lock);
	run->held_up = true;
	pthread_mutex_unlock(&run->lock);
}

static void goes_on(struct run *run)
{
	uint64_t others;
	if (!run->told)
		return;
	if (log_storm_pass(&run->env->resumed, sys.monotonic_ms(), &others))
		log_info("batch.resumed", kv_str("batch", run->id),
			 kv_u64("others_before", others));
	run->told = false;
	pthread_mutex_lock(&run->lock);
	run->held_up = false;
	pthread_mutex_unlock(&run->lock);
}

void run_starved(struct run *run, const struct error *why)
{
	if (!atomic_exchange(&run->starved, why != NULL) && why != NULL)
		held_up_tell(run, "opening its files again", why);
}

/* ---- the worker: opening what is on disk ---- */

static void journal_path(const struct run *run, char *to, size_t size)
{
	snprintf(to, size, "%s/batches/%s.journal", run->env->data_dir, run->id);
}

/* Of a batch that had begun and whose input is lost, what is done can still be given out. */
static bool input_resume(struct run *run, struct error *err)
{
	if (run->index != NULL || run_input_open(run, err))
		return true;
	if (!run_is_lost(err))
		return false;
	log_fault("batch.input_lost", err, kv_str("batch", run->id));
	run->input_lost = true;
	run->lines = run->batch.counts.total;
	run->segment_count = (run->lines + SEGMENT_LINES - 1) / SEGMENT_LINES;
	return true;
}

/* A result file that is gone, or shorter than its row says, is made anew from the journal, which keeps
 * the records of all lines until the batch is final. What is left of the files goes to lost/. A crash
 * before the row is reset leaves files that are missing: as before. After it, files of no length. */
static bool results_remake(struct run *run, const struct error *why, struct error *err)
{
	struct merge_state none = { 0 };
	int64_t at = run_env_lost_at(run->env);
	log_write_error(LOG_WARN, "results.remade", why, LOG_FIELDS(kv_str("batch", run->id)));
	if (!blob_lose(run->env->blobs, run->batch.output_file_id, at, err) ||
	    !blob_lose(run->env->blobs, run->batch.error_file_id, at, err))
		return false;
	(void)failpoint("results.after_lost");
	if (!store_merge_put(run->env->store, run->id, &none, err))
		return false;
	run->merged = none;
	return results_open(run->env->blobs, run->batch.output_file_id, run->batch.error_file_id,
			    &run->merged, &run->results, err);
}

/* Result files may be longer than their rows: a crash in a merge, whose lines stand in the journal. If
 * nothing stands there, the rows are those of an older database (serve --adopt), and what would be cut
 * off is all that there is of some answers: it goes to lost/. */
static bool tails_keep(struct run *run, struct error *err)
{
	const struct merge_state *m = &run->merged;
	int64_t at = run_env_lost_at(run->env);
	char path[512];
	struct stat st;
	journal_path(run, path, sizeof(path));
	if (stat(path, &st) == 0 && st.st_size > JOURNAL_START &&
	    (uint64_t)st.st_size > m->journal_from)
		return true;
	return blob_lose_tail(run->env->blobs, run->batch.output_file_id, m->output_bytes, at,
			      err) &&
	       blob_lose_tail(run->env->blobs, run->batch.error_file_id, m->error_bytes, at, err);
}

static bool results_resume(struct run *run, struct error *err)
{
	struct error why;
	if (!store_merge_get(run->env->store, run->id, &run->merged, err) || !tails_keep(run, err))
		return false;
	bool sane = run->merged.segments <= run->segment_count ||
		    fail_sys(&why, EBADMSG, "%s: more segments merged than there are", run->id);
	if (sane && results_open(run->env->blobs, run->batch.output_file_id,
				 run->batch.error_file_id, &run->merged, &run->results, &why))
		return true;
	*err = why;
	return run_is_lost(&why) && results_remake(run, &why, err);
}

static void journal_tell(const struct run *run, const struct journal_found *found)
{
	if (found->torn_bytes > 0)
		log_warn("journal.torn_tail_cut", kv_str("batch", run->id),
			 kv_u64("bytes", found->torn_bytes));
	if (found->damaged_bytes > 0)
		log_warn("journal.damaged", kv_str("batch", run->id),
			 kv_u64("at", found->damaged_at), kv_u64("bytes", found->damaged_bytes));
	if (found->missing_bytes > 0)
		log_warn("journal.short", kv_str("batch", run->id),
			 kv_u64("bytes", found->missing_bytes));
}

/* One that is no journal any more goes to lost/, and another is begun: its lines run again. */
static bool journal_replace(struct run *run, const char *path, const struct error *why,
			    struct error *err)
{
	log_write_error(LOG_WARN, "journal.replaced", why, LOG_FIELDS(kv_str("batch", run->id)));
	return lost_take(run->env->data_dir, run_env_lost_at(run->env), "batches",
			 strrchr(path, '/') + 1, err);
}

static bool journal_resume(struct run *run, struct error *err)
{
	char path[512];
	struct error why;
	struct journal_found found;
	uint64_t from = run->merged.journal_from;
	if (run->journal_unreadable)
		return true;
	journal_path(run, path, sizeof(path));
	bool ok = journal_open(path, from, run->lines, run_replay, run, &run->journal, &found,
			       &why);
	if (!ok) {
		*err = why;
		if (why.sys != EBADMSG || !journal_replace(run, path, &why, err))
			return false;
		ok = journal_open(path, from, run->lines, run_replay, run, &run->journal, &found,
				  err);
	}
	if (ok)
		journal_tell(run, &found);
	return ok;
}

/* Opens input, result files and journal and goes on where the store and the journal say. */
static bool run_resume(struct run *run, struct error *err)
{
	if (!input_resume(run, err) || !results_resume(run, err))
		return false;
	struct segment *segments = calloc(run->segment_count + 1, sizeof(*segments));
	if (segments == NULL)
		return fail_memory(err);
	uint64_t merged_lines = run->merged.segments * SEGMENT_LINES;
	uint64_t from = run->merged.journal_from;
	pthread_mutex_lock(&run->lock);
	run->segments = segments;
	run->counts = run->merged.counts;
	run->usage = run->merged.usage;
	run->causes = run->merged.causes;
	run->ended_lines = merged_lines < run->lines ? merged_lines : run->lines;
	run->journal_end = from < JOURNAL_START ? JOURNAL_START : from;
	run->lease_at = run->merged.segments;
	pthread_mutex_unlock(&run->lock);
	if (!journal_resume(run, err))
		return false;
	run_causes_complete(run);
	return true;
}

/* Undoes run_resume() and run_input_open(), so that they can be tried again. */
static void run_close(struct run *run)
{
	run_files_remove(run);
	results_close(TAKE(run->results));
	journal_close(TAKE(run->journal));
	index_close(TAKE(run->index));
	free(TAKE(run->cache));
	if (run->blob_fd >= 0)
		close(run->blob_fd);
	run->blob_fd = -1;
	pthread_mutex_lock(&run->lock);
	for (uint64_t i = 0; run->segments != NULL && i < run->segment_count; i++)
		free(run->segments[i].done);
	free(TAKE(run->segments));
	pthread_mutex_unlock(&run->lock);
	run->input_lost = false;
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
	e->rest_lines = run->lines - run->ended_lines;
	e->rest_bytes = s->body_bytes / run->lines * e->rest_lines;
	e->prefixes = s->prefixes;
	suspended_read(run);
	e->suspended = run->suspended_told;
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
		 kv_u64("ended_before", run->ended_lines));
	run->dispatched = true;
	dispatch_add(run->env->dispatch, &run->dispatch);
}

bool run_is_lost(const struct error *err)
{
	return err->kind == ERR_NOT_FOUND || err->sys == EBADMSG || err->sys == ENOENT ||
	       err->sys == ENODATA;
}

/* The input of a batch that was never checked is lost or corrupt beyond repair (contract 6). */
static enum step run_beyond_repair(struct run *run, const struct error *why)
{
	struct error err;
	bool moved;
	AUTO(buf_free) struct buf errors = BUF(4096);
	finding_json_one(&errors,
			 &(struct finding){ .code = "server_error", .message = LOST_TEXT });
	buf_char(&errors, '\0');
	if (errors.failed ||
	    !store_batch_fail(run->env->store, run->id, errors.p, sys.now_s(), &moved, &err)) {
		held_up(run, "failing", why);
		return STEP_LATER;
	}
	log_fault("batch.failed", why, kv_str("batch", run->id));
	return STEP_GONE;
}

/* It cannot be opened. One that is to end (cancelled, or its window is over) does not wait for its
 * journal for ever: what was merged is given out, and the journal goes to lost/. */
static enum step opening_failed(struct run *run, const struct error *why)
{
	bool ends = run->batch.status == BATCH_CANCELLING ||
		    run_end_reason(run) != OUTCOME_ANSWERED;
	run_close(run);
	held_up(run, "opening", why);
	if (ends && ++run->opening_tries >= OPENING_TRIES)
		run->journal_unreadable = true;
	return STEP_LATER;
}

/* What it goes on to once all is open. */
static void run_begin(struct run *run)
{
	goes_on(run);
	run_files_add(run);
	run->phase = RUN_RUNNING;
	if (run->batch.status == BATCH_CANCELLING)
		run_end(run, OUTCOME_CANCELLED);
	if (run->input_lost && run->ended_lines < run->lines)
		run_fail_rest(run, LOST_TEXT);
	if (run->env->time_is_good(run->env->ctx))
		run_check_window(run, sys.now_s()); /* it may have passed while no server ran */
	if (run_end_reason(run) == OUTCOME_ANSWERED && run->ended_lines < run->lines)
		run_dispatch(run);
}

static enum step step_new(struct run *run)
{
	struct error err;
	bool started = true;
	batch_done(&run->batch);
	if (!store_batch_get(run->env->store, NULL, run->id, &run->batch, &err)) {
		if (err.kind == ERR_NOT_FOUND)
			return STEP_GONE;
		held_up(run, "loading", &err);
		return STEP_LATER;
	}
	if (batch_is_final(run->batch.status))
		return STEP_GONE;
	pthread_mutex_lock(&run->lock);
	run->expires_at = run->batch.status == BATCH_CANCELLING ||
					  run->batch.status == BATCH_FINALIZING
				  ? 0
				  : run->batch.expires_at;
	pthread_mutex_unlock(&run->lock);
	if (run->batch.status == BATCH_VALIDATING && !run_validate(run, &started, &err)) {
		run_close(run);
		if (run_is_lost(&err))
			return run_beyond_repair(run, &err);
		held_up(run, "validating", &err);
		return STEP_LATER;
	}
	if (!started)
		return STEP_GONE;
	if (!run_resume(run, &err))
		return opening_failed(run, &err);
	run_begin(run);
	return STEP_AGAIN;
}

/* ---- the worker: running, and the end ---- */

/* All that is open is closed, and it begins as after a restart. */
static enum step run_reopen(struct run *run)
{
	run_close(run);
	pthread_mutex_lock(&run->lock);
	run->dispatch = (struct dispatch_batch){ 0 };
	run->dispatched = run->let_go = false;
	pthread_mutex_unlock(&run->lock);
	run->cache_n = 0;
	run->reopening = false;
	run->phase = RUN_NEW;
	return STEP_AGAIN;
}

/* A line that had ended has no record that checks any more. Opening anew finds the others, and lets
 * the line run again. */
static enum step run_damaged(struct run *run)
{
	run->damaged = false;
	if (++run->reopened > REOPEN_MAX) {
		run_fail_rest(run, "Results of this batch were damaged on disk.");
		return STEP_AGAIN;
	}
	log_warn("batch.reopened", kv_str("batch", run->id),
		 kv_str("why", "a result is damaged on disk"));
	run->reopening = true;
	if (!run->dispatched || run->phase == RUN_STOPPED)
		return run_reopen(run);
	run->phase = RUN_STOPPING;
	dispatch_drop(run->env->dispatch, &run->dispatch);
	return STEP_WAIT;
}

static enum step step_running(struct run *run)
{
	struct error err;
	bool more = false;
	pthread_mutex_lock(&run->lock);
	bool all_ended = run->ended_lines == run->lines;
	if (all_ended)
		run->expires_at = 0; /* what is finished does not expire */
	pthread_mutex_unlock(&run->lock);
	enum outcome_fault end = run_end_reason(run);
	if (!all_ended && end == OUTCOME_ANSWERED) {
		suspend_tell(run);
		if (!run_merge(run, OUTCOME_ANSWERED, &more, &err)) {
			held_up(run, "merging", &err);
			return STEP_LATER;
		}
		goes_on(run);
		if (run->damaged)
			return run_damaged(run);
		return more ? STEP_AGAIN : STEP_WAIT;
	}
	if (end == OUTCOME_ANSWERED && run->batch.status == BATCH_IN_PROGRESS) {
		bool moved;
		if (!store_batch_move(run->env->store, run->id, 1u << BATCH_IN_PROGRESS,
				      BATCH_FINALIZING, sys.now_s(), &moved, &err)) {
			held_up(run, "finalizing", &err);
			return STEP_LATER;
		}
		run->batch.status = BATCH_FINALIZING;
	}
	run->phase = RUN_STOPPING;
	if (!run->dispatched) {
		run->phase = RUN_STOPPED;
		return STEP_AGAIN;
	}
	dispatch_drop(run->env->dispatch, &run->dispatch);
	return STEP_WAIT;
}

static enum step step_stopping(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	bool let_go = run->let_go;
	pthread_mutex_unlock(&run->lock);
	if (!let_go)
		return STEP_WAIT;
	if (run->reopening && run_end_reason(run) == OUTCOME_ANSWERED)
		return run_reopen(run);
	run->phase = RUN_STOPPED;
	return STEP_AGAIN;
}

static void spare_remove(struct run *run, const char *id)
{
	struct error err;
	if (!blob_remove(run->env->blobs, id, &err))
		log_fault("results.spare_not_removed", &err, kv_str("batch", run->id));
}

/* All that it held is in the result files, or it could not be read and somebody else may. */
static void journal_done(struct run *run)
{
	char path[512];
	struct error err;
	journal_path(run, path, sizeof(path));
	if (!run->journal_unreadable) {
		if (unlink(path) != 0 && errno != ENOENT)
			log_warn("journal.unlink_failed", kv_str("batch", run->id),
				 kv_int("errno", errno));
	} else if (!lost_take(run->env->data_dir, run_env_lost_at(run->env), "batches",
			      strrchr(path, '/') + 1, &err)) {
		log_fault("journal.not_moved", &err, kv_str("batch", run->id));
	}
}

static enum step step_stopped(struct run *run)
{
	struct error err;
	bool more = true;
	while (more)
		if (!run_merge(run, run_end_reason(run), &more, &err)) {
			held_up(run, "merging", &err);
			return STEP_LATER;
		}
	if (run->damaged)
		return run_damaged(run);
	if (!run_finish(run, &err)) {
		held_up(run, "finishing", &err);
		return STEP_LATER;
	}
	/* The batch is final and its files are there: the journal, and a result file without lines, are
	 * spare. A crash before this leaves them behind: pipeline_open() removes journals of batches that
	 * are final, and empty blobs that no row names. */
	if (run->merged.output_lines == 0)
		spare_remove(run, run->batch.output_file_id);
	if (run->merged.error_lines == 0)
		spare_remove(run, run->batch.error_file_id);
	journal_done(run);
	return STEP_GONE;
}

static enum step run_step(struct run *run)
{
	switch ((enum phase)run->phase) {
	case RUN_NEW:
		return step_new(run);
	case RUN_RUNNING:
		return step_running(run);
	case RUN_STOPPING:
		return step_stopping(run);
	case RUN_STOPPED:
		return step_stopped(run);
	}
	abort();
}

static void run_work(void *arg)
{
	struct run *run = arg;
	enum step step;
	pthread_mutex_lock(&run->lock);
	run->queued = false;
	run->working = true;
	pthread_mutex_unlock(&run->lock);
	do {
		step = run->env->closing ? STEP_WAIT : run_step(run);
	} while (step == STEP_AGAIN);
	results_close(TAKE(run->results));
	if (step == STEP_GONE) {
		run->env->ended(run->env->ctx, run);
		run_free(run);
		return;
	}
	pthread_mutex_lock(&run->lock);
	run->working = false;
	bool post = run->again || step == STEP_LATER;
	run->again = false;
	run->queued = post;
	pthread_mutex_unlock(&run->lock);
	if (post)
		workers_post_after(run->env->workers, &run->work, run_work, run,
				   step == STEP_LATER ? RETRY_MS : 0);
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
	if (!run->dispatched || run->ended_lines == run->lines)
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
