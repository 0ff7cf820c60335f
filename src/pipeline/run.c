/* run.c: see run.h. */
#include "pipeline/run.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/sys.h"
#include "ingest/verdict.h"

#define RETRY_MS 1000          /* when disk or database refuse */
#define MERGE_AT_ONCE 16       /* segments for one fsync and one transaction */
#define INDEX_CACHE 64         /* records read at once; dispatch goes through them in order */
#define BYTES_PER_TOKEN 4      /* for the estimate of what a batch will take */

/* What is known of one segment of lines. */
struct segment {
	uint64_t journal_at, journal_end; /* where its records stand, among others; 0: none */
	uint8_t *done;                    /* bit a line; NULL: none has ended, or merged */
	uint32_t left;                    /* lines that have not ended, once `done` is there */
};

enum phase { RUN_NEW, RUN_RUNNING, RUN_STOPPING, RUN_STOPPED };
enum step { STEP_WAIT, STEP_AGAIN, STEP_LATER, STEP_GONE };

struct run {
	struct run *next;
	struct run_env *env;
	char id[ID_SIZE];

	/* set while NEW, then constant */
	struct batch batch; /* as it was when loaded */
	struct index *index;
	int blob_fd;
	uint64_t lines, segment_count;
	struct journal *journal;
	struct results *results;
	bool dispatched; /* dispatch knows it */

	/* dispatch thread */
	struct dispatch_batch dispatch;
	struct index_record cache[INDEX_CACHE];
	uint64_t cache_first, cache_n;

	/* the worker */
	enum phase phase;
	struct merge_state merged;
	bool told; /* that it is held up */

	pthread_mutex_t lock; /* for all below */
	struct segment *segments;
	uint64_t lease_at;      /* next segment to lend */
	uint64_t ended_lines;
	uint64_t journal_end;   /* behind the last durable record */
	struct counts counts;   /* of durable lines */
	struct usage usage;
	int64_t expires_at;
	enum outcome_fault end; /* why it ends early; OUTCOME_ANSWERED: it does not */
	char fault[256];        /* for errors.data, when end is OUTCOME_BATCH_FAILED */
	bool let_go;            /* dispatch and recorder are done with it */
	bool held_up;           /* the disk refuses */
	bool queued, working, again;
	struct work work;
};

static void run_work(void *arg);

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
	journal_close(run->journal);
	results_close(run->results);
	index_close(run->index);
	if (run->blob_fd >= 0)
		close(run->blob_fd);
	for (uint64_t i = 0; run->segments != NULL && i < run->segment_count; i++)
		free(run->segments[i].done);
	free(run->segments);
	batch_done(&run->batch);
	pthread_mutex_destroy(&run->lock);
	free(run);
}

void run_abandon(struct run *run)
{
	if (run->dispatched && !run->let_go)
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

void run_kick(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	bool post = !run->queued && !run->working;
	run->again = run->again || run->working;
	run->queued = run->queued || post;
	pthread_mutex_unlock(&run->lock);
	if (post)
		workers_post(run->env->workers, &run->work, run_work, run);
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

void run_check_window(struct run *run, int64_t now)
{
	pthread_mutex_lock(&run->lock);
	bool over = run->expires_at != 0 && now >= run->expires_at;
	pthread_mutex_unlock(&run->lock);
	if (over)
		run_end(run, OUTCOME_EXPIRED);
}

static uint32_t segment_lines(const struct run *run, uint64_t segment)
{
	uint64_t rest = run->lines - segment * SEGMENT_LINES;
	return rest < SEGMENT_LINES ? (uint32_t)rest : SEGMENT_LINES;
}

/* ---- lines that have ended: under the lock ---- */

static bool line_mark(struct run *run, uint64_t record, uint64_t at, uint64_t bytes)
{
	struct segment *s = &run->segments[record / SEGMENT_LINES];
	uint32_t i = (uint32_t)(record % SEGMENT_LINES);
	if (s->done == NULL) {
		s->done = must_calloc(1, SEGMENT_LINES / 8);
		s->left = segment_lines(run, record / SEGMENT_LINES);
		s->journal_at = at;
	}
	if (bit_get(s->done, i))
		return false;
	bit_set(s->done, i);
	s->left--;
	s->journal_end = at + bytes;
	run->journal_end = at + bytes;
	run->ended_lines++;
	return true;
}

static bool segment_finished(const struct segment *s)
{
	return s->done != NULL && s->left == 0;
}

static void sums_add(struct run *run, bool success, uint32_t attempts, const struct usage *usage)
{
	if (success)
		run->counts.completed++;
	else
		run->counts.failed++;
	run->counts.retried += attempts > 0 ? attempts - 1 : 0;
	usage_add(&run->usage, usage);
}

void run_durable(void *ctx, void *owner, const struct outcome *first)
{
	(void)ctx;
	struct run *run = owner;
	bool finished = false;
	uint64_t n = 0;
	pthread_mutex_lock(&run->lock);
	for (const struct outcome *o = first; o != NULL; o = o->next, n++) {
		bool fresh = line_mark(run, o->record, o->journal_at, o->journal_bytes);
		assert(fresh); /* a line ended twice: a mistake of ours, never of the world's */
		(void)fresh;
		sums_add(run, o->success, o->attempts, &o->usage);
		finished = finished || segment_finished(&run->segments[o->record / SEGMENT_LINES]);
	}
	run->dispatch.running -= n;
	pthread_mutex_unlock(&run->lock);
	if (finished)
		run_kick(run);
}

struct journal *run_journal(void *owner)
{
	return ((struct run *)owner)->journal;
}

const char *run_name(void *owner)
{
	return ((struct run *)owner)->id;
}

/* ---- for dispatch ---- */

bool run_lease_next(void *owner, struct lease *ret)
{
	struct run *run = ((struct dispatch_batch *)owner)->owner;
	bool found = false;
	pthread_mutex_lock(&run->lock);
	while (!found && run->lease_at < run->segment_count) {
		uint64_t number = run->lease_at++;
		const struct segment *s = &run->segments[number];
		if (number < run->merged.segments || segment_finished(s))
			continue;
		*ret = (struct lease){ .segment = number,
				       .first = number * SEGMENT_LINES,
				       .lines = segment_lines(run, number) };
		if (s->done != NULL)
			memcpy(ret->done, s->done, sizeof(ret->done));
		found = true;
	}
	pthread_mutex_unlock(&run->lock);
	return found;
}

static bool record_get(struct run *run, uint64_t record, struct index_record *ret,
		       struct error *err)
{
	if (record < run->cache_first || record >= run->cache_first + run->cache_n) {
		uint64_t n = run->lines - record < INDEX_CACHE ? run->lines - record : INDEX_CACHE;
		run->cache_n = 0;
		if (!index_read(run->index, record, run->cache, (size_t)n, err))
			return false;
		run->cache_first = record;
		run->cache_n = n;
	}
	*ret = run->cache[record - run->cache_first];
	return true;
}

/* Whether the places that the index names lie inside the line. */
static bool record_fits(const struct index_record *r)
{
	return (uint64_t)r->body_offset + r->body_length <= r->length &&
	       (uint64_t)r->custom_id_offset + r->custom_id_length <= r->length;
}

bool run_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
		   struct error *err)
{
	struct run *run = owner;
	struct index_record r;
	if (!record_get(run, record, &r, err))
		return false;
	if (!record_fits(&r))
		return fail_sys(err, EBADMSG, "index record %llu", (unsigned long long)record);
	if (!buf_reserve(to, r.length))
		return fail_memory(err);
	if (!sys_pread_all(run->blob_fd, to->p, r.length, (off_t)r.offset))
		return fail_sys(err, errno, "reading record %llu", (unsigned long long)record);
	to->n = r.length;
	ret->custom_id = (struct slice){ to->p + r.custom_id_offset, r.custom_id_length };
	ret->body = (struct slice){ to->p + r.body_offset, r.body_length };
	return true;
}

void run_fault(void *owner, const struct error *err)
{
	struct run *run = owner;
	log_fault("batch.input_unreadable", err, kv_str("batch", run->id));
	pthread_mutex_lock(&run->lock);
	if (run->end == OUTCOME_ANSWERED)
		snprintf(run->fault, sizeof(run->fault),
			 "The stored input of this batch could not be read.");
	pthread_mutex_unlock(&run->lock);
	run_end(run, OUTCOME_BATCH_FAILED);
}

void run_dropped(void *owner)
{
	struct run *run = owner;
	if (!run->env->closing)
		recorder_flush(run->env->recorder, run);
}

void run_flushed(void *ctx, void *owner)
{
	(void)ctx;
	struct run *run = owner;
	pthread_mutex_lock(&run->lock);
	run->let_go = true;
	pthread_mutex_unlock(&run->lock);
	run_kick(run);
}

/* ---- the worker: validation ---- */

static void held_up(struct run *run, const char *doing, const struct error *err)
{
	if (!run->told)
		log_fault("batch.paused", err, kv_str("batch", run->id), kv_str("doing", doing));
	run->told = true;
	pthread_mutex_lock(&run->lock);
	run->held_up = true;
	pthread_mutex_unlock(&run->lock);
}

static void goes_on(struct run *run)
{
	if (!run->told)
		return;
	log_info("batch.resumed", kv_str("batch", run->id));
	run->told = false;
	pthread_mutex_lock(&run->lock);
	run->held_up = false;
	pthread_mutex_unlock(&run->lock);
}

/* The number of the upstream for `model`; false: none serves it. */
static bool upstream_find(const struct pipeline_config *config, const char *model, unsigned *ret)
{
	for (unsigned i = 0; i < config->upstream_count; i++) {
		char **served = config->upstreams[i].models;
		bool fits = served == NULL || model == NULL;
		for (; !fits && *served != NULL; served++)
			fits = strcmp(*served, model) == 0;
		if (fits) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool model_served(void *ctx, const char *model)
{
	unsigned upstream;
	return upstream_find(ctx, model, &upstream);
}

static bool upstreams_say(const struct pipeline_config *config)
{
	unsigned upstream;
	return !upstream_find(config, "", &upstream);
}

static void error_entry(struct buf *to, const char *code, const char *param, const char *message)
{
	buf_text(to, "[{\"code\":");
	buf_json_string(to, slice_of(code));
	buf_text(to, ",\"line\":null,\"message\":");
	buf_json_string(to, slice_of(message));
	buf_text(to, ",\"param\":");
	if (param != NULL)
		buf_json_string(to, slice_of(param));
	else
		buf_text(to, "null");
	buf_text(to, "}]");
}

static bool input_open(struct run *run, struct error *err)
{
	int fd;
	uint64_t bytes;
	if (!blob_open(run->env->blobs, run->batch.input_file_id, BLOB_DATA, &run->blob_fd, &bytes,
		       err) ||
	    !blob_open(run->env->blobs, run->batch.input_file_id, BLOB_INDEX, &fd, &bytes, err) ||
	    !index_open(fd, &run->index, err))
		return false;
	run->lines = index_summary(run->index)->lines;
	run->segment_count = (run->lines + SEGMENT_LINES - 1) / SEGMENT_LINES;
	return true;
}

/* Contract 7.2, token_limit_exceeded and request_limit_exceeded: only if configured. */
static bool enqueued_judge(struct run *run, const char *model, uint64_t tokens, struct buf *errors,
			   struct error *err)
{
	const struct pipeline_config *c = run->env->config;
	uint64_t requests, waiting_tokens;
	if (c->enqueued_requests_max == 0 && c->enqueued_tokens_max == 0)
		return true;
	if (!store_batches_enqueued(run->env->store, run->batch.org, model, run->id, &requests,
				    &waiting_tokens, err))
		return false;
	bool too_many_tokens =
		c->enqueued_tokens_max > 0 && waiting_tokens + tokens > c->enqueued_tokens_max;
	bool too_many_requests = c->enqueued_requests_max > 0 &&
				 requests + run->lines > c->enqueued_requests_max;
	if (!too_many_tokens && !too_many_requests)
		return true;
	const char *what = too_many_tokens ? "token" : "request";
	char message[512];
	snprintf(message, sizeof(message),
		 "Enqueued %s limit reached for %s in organization %s. Limit: %llu enqueued %ss. "
		 "Please try again once some in_progress batches have been completed.",
		 what, model, run->batch.org,
		 (unsigned long long)(too_many_tokens ? c->enqueued_tokens_max :
							c->enqueued_requests_max),
		 what);
	error_entry(errors, too_many_tokens ? "token_limit_exceeded" : "request_limit_exceeded",
		    NULL, message);
	return true;
}

/* Judges the input; `errors` stays empty when it is good. */
static bool input_judge(struct run *run, struct buf *errors, struct error *err)
{
	const struct pipeline_config *c = run->env->config;
	char message[256];
	if (run->batch.input_missing) {
		snprintf(message, sizeof(message),
			 "Cannot find file %s, or organization %s does not have access to it.",
			 run->batch.input_file_id, run->batch.org);
		error_entry(errors, "invalid_request", "file_id", message);
		return true;
	}
	if (!input_open(run, err))
		return false;
	struct verdict_rules rules = {
		.profile = c->profile,
		.endpoint = run->batch.endpoint,
		.strict_lines = c->strict_lines,
		.refuse_sampling = c->refuse_sampling,
		.lines_max = c->lines_max,
		.inputs_max = c->inputs_max,
		.line_bytes = c->line_bytes,
		.model_served = upstreams_say(c) ? model_served : NULL,
		.ctx = (void *)(uintptr_t)c,
	};
	uint64_t count;
	if (!verdict_errors(run->index, run->blob_fd, &rules, errors, &count, err))
		return false;
	const struct index_summary *s = index_summary(run->index);
	if (count > 0 || s->model_count == 0)
		return true;
	return enqueued_judge(run, s->models[0], s->body_bytes / BYTES_PER_TOKEN, errors, err);
}

/* validating -> in_progress or failed. *ret_started false: it has ended, or was ended. */
static bool run_validate(struct run *run, bool *ret_started, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(16u << 20);
	int64_t now = sys.now_s();
	bool moved;
	*ret_started = false;
	if (now >= run->batch.expires_at)
		return store_batch_move(run->env->store, run->id, 1u << BATCH_VALIDATING,
					BATCH_EXPIRED, now, &moved, err);
	if (!input_judge(run, &errors, err))
		return false;
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	if (errors.n > 1) {
		log_info("batch.failed", kv_str("batch", run->id), kv_str("why", "validation"));
		return store_batch_fail(run->env->store, run->id, errors.p, now, &moved, err);
	}
	const struct index_summary *s = index_summary(run->index);
	id_file(run->batch.output_file_id);
	id_file(run->batch.error_file_id);
	if (!store_batch_start(run->env->store, run->id, run->lines,
			       s->body_bytes / BYTES_PER_TOKEN,
			       s->model_count == 1 ? s->models[0] : NULL,
			       run->batch.output_file_id, run->batch.error_file_id, now,
			       ret_started, err))
		return false;
	run->batch.status = BATCH_IN_PROGRESS;
	return true;
}

/* ---- the worker: opening what is on disk ---- */

static void on_replay(void *ctx, const struct journal_head *head, uint64_t at)
{
	struct run *run = ctx;
	if (head->record >= run->lines || head->record / SEGMENT_LINES < run->merged.segments)
		return;
	if (!line_mark(run, head->record, at, sizeof(*head) + head->length))
		return;
	sums_add(run, head->kind == JOURNAL_OUTPUT, head->attempts,
		 &(struct usage){ head->input, head->cached, head->output, head->reasoning,
				  head->total });
}

static void journal_path(const struct run *run, char *to, size_t size)
{
	snprintf(to, size, "%s/batches/%s.journal", run->env->data_dir, run->id);
}

/* Opens input, journal and result files and goes on where the store and the journal say. */
static bool run_resume(struct run *run, struct error *err)
{
	char path[512];
	uint64_t cut = 0;
	if (run->index == NULL && !input_open(run, err))
		return false;
	if (!store_merge_get(run->env->store, run->id, &run->merged, err))
		return false;
	if (run->merged.segments > run->segment_count)
		return fail_sys(err, EBADMSG, "%s: more segments merged than there are", run->id);
	if (run->segments == NULL)
		run->segments = calloc(run->segment_count + 1, sizeof(*run->segments));
	if (run->segments == NULL)
		return fail_memory(err);
	run->counts = run->merged.counts;
	run->usage = run->merged.usage;
	run->ended_lines = run->merged.segments * SEGMENT_LINES;
	if (run->ended_lines > run->lines)
		run->ended_lines = run->lines;
	uint64_t from = run->merged.journal_from;
	if (from < JOURNAL_START)
		from = JOURNAL_START;
	run->journal_end = from;
	run->lease_at = run->merged.segments;
	journal_path(run, path, sizeof(path));
	if (!journal_open(path, from, on_replay, run, &run->journal, &cut, err) ||
	    !results_open(run->env->blobs, run->batch.output_file_id, run->batch.error_file_id,
			  &run->merged, &run->results, err))
		return false;
	if (cut > 0)
		log_warn("journal.torn_tail_cut", kv_str("batch", run->id), kv_u64("bytes", cut));
	return true;
}

/* Undoes run_resume() and input_open(), so that they can be tried again. */
static void run_suspend(struct run *run)
{
	journal_close(TAKE(run->journal));
	results_close(TAKE(run->results));
	index_close(TAKE(run->index));
	if (run->blob_fd >= 0)
		close(run->blob_fd);
	run->blob_fd = -1;
	pthread_mutex_lock(&run->lock);
	for (uint64_t i = 0; run->segments != NULL && i < run->segment_count; i++)
		free(run->segments[i].done);
	free(TAKE(run->segments));
	pthread_mutex_unlock(&run->lock);
}

static void run_dispatch(struct run *run)
{
	struct run_env *env = run->env;
	const struct index_summary *s = index_summary(run->index);
	run->dispatch.owner = run;
	run->dispatch.id = run->id;
	run->dispatch.endpoint = run->batch.endpoint;
	run->dispatch.entry.lease_next = run_lease_next;
	log_info("batch.started", kv_str("batch", run->id), kv_u64("lines", run->lines),
		 kv_u64("ended_before", run->ended_lines));
	if (!upstream_find(env->config, s->model_count == 1 ? s->models[0] : NULL,
			   &run->dispatch.upstream)) {
		log_warn("batch.no_upstream", kv_str("batch", run->id));
		return; /* validated under another configuration: it waits until its window ends */
	}
	run->dispatched = true;
	dispatch_add(env->dispatch, &run->dispatch);
}

/* Whether trying again may help: not when what is on disk is wrong. */
static bool may_pass(const struct error *err)
{
	return err->kind == ERR_NO_SPACE || err->sys == ENOMEM || err->sys == EMFILE ||
	       err->sys == ENFILE || err->kind == ERR_UNAVAILABLE;
}

/* The data of the batch is lost or corrupt beyond repair (contract 6): no files can be made of it. */
static enum step run_beyond_repair(struct run *run, const struct error *why)
{
	struct error err;
	bool moved;
	AUTO(buf_free) struct buf errors = BUF(4096);
	error_entry(&errors, "server_error", NULL,
		    "The stored data of this batch is lost or corrupt.");
	buf_char(&errors, '\0');
	if (errors.failed ||
	    !store_batch_fail(run->env->store, run->id, errors.p, sys.now_s(), &moved, &err)) {
		held_up(run, "failing", why);
		return STEP_LATER;
	}
	log_fault("batch.failed", why, kv_str("batch", run->id));
	return STEP_GONE;
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
					  run->batch.status == BATCH_FINALIZING ?
				  0 :
				  run->batch.expires_at;
	pthread_mutex_unlock(&run->lock);
	if (run->batch.status == BATCH_VALIDATING && !run_validate(run, &started, &err)) {
		run_suspend(run);
		if (!may_pass(&err))
			return run_beyond_repair(run, &err);
		held_up(run, "validating", &err);
		return STEP_LATER;
	}
	if (!started)
		return STEP_GONE;
	if (!run_resume(run, &err)) {
		run_suspend(run);
		if (!may_pass(&err))
			return run_beyond_repair(run, &err);
		held_up(run, "opening", &err);
		return STEP_LATER;
	}
	goes_on(run);
	if (run->batch.status == BATCH_CANCELLING)
		run_end(run, OUTCOME_CANCELLED);
	run->phase = RUN_RUNNING;
	if (run->batch.status == BATCH_IN_PROGRESS)
		run_dispatch(run);
	return STEP_AGAIN;
}

/* ---- the worker: merging ---- */

static bool custom_id_read(void *ctx, uint64_t record, struct buf *to)
{
	struct run *run = ctx;
	struct error err;
	struct index_record r;
	if (!index_read(run->index, record, &r, 1, &err) || !record_fits(&r) ||
	    !buf_reserve(to, r.custom_id_length + 1u))
		return false;
	if (!sys_pread_all(run->blob_fd, to->p, r.custom_id_length,
			   (off_t)(r.offset + r.custom_id_offset)))
		return false;
	to->n = r.custom_id_length;
	return true;
}

static uint64_t journal_from(struct run *run, uint64_t first_segment)
{
	uint64_t from = run->journal_end;
	for (uint64_t i = first_segment; i < run->segment_count; i++)
		if (run->segments[i].done != NULL && run->segments[i].journal_at < from)
			from = run->segments[i].journal_at;
	return from;
}

static void segments_spare(struct run *run, uint64_t first, uint64_t end)
{
	pthread_mutex_lock(&run->lock);
	for (uint64_t i = first; i < end; i++)
		free(TAKE(run->segments[i].done));
	pthread_mutex_unlock(&run->lock);
}

static bool segments_append(struct run *run, enum outcome_fault missing, struct merge_state *m,
			    struct error *err)
{
	uint64_t corrupt = 0;
	for (unsigned n = 0; n < MERGE_AT_ONCE && m->segments < run->segment_count; n++) {
		pthread_mutex_lock(&run->lock);
		struct segment s = run->segments[m->segments];
		bool ready = segment_finished(&s) || missing != OUTCOME_ANSWERED;
		pthread_mutex_unlock(&run->lock);
		if (!ready)
			break;
		struct results_segment todo = {
			.first = m->segments * SEGMENT_LINES,
			.lines = segment_lines(run, m->segments),
			.journal_at = s.done != NULL ? s.journal_at : 0,
			.journal_end = s.done != NULL ? s.journal_end : 0,
			.missing = missing,
		};
		if (!results_append(run->results, run->journal, &todo, custom_id_read, run, m,
				    &corrupt, err))
			return false;
		m->segments++;
	}
	if (corrupt > 0) {
		log_error("journal.corrupt", kv_str("batch", run->id), kv_u64("lines", corrupt));
		pthread_mutex_lock(&run->lock);
		run->end = OUTCOME_BATCH_FAILED;
		snprintf(run->fault, sizeof(run->fault), "Results of %llu lines were damaged on disk.",
			 (unsigned long long)corrupt);
		pthread_mutex_unlock(&run->lock);
	}
	return true;
}

/* Appends what is ready to the result files, durably. *ret_more: there may be more at once.
 * A crash before the sync, or between it and the store's commit, leaves bytes behind the recorded
 * length; run_resume() cuts them and the segments are merged again from the journal. */
static bool run_merge(struct run *run, enum outcome_fault missing, bool *ret_more,
		      struct error *err)
{
	struct merge_state m = run->merged;
	*ret_more = false;
	if (!segments_append(run, missing, &m, err)) {
		results_rewind(run->results, &run->merged);
		return false;
	}
	if (m.segments == run->merged.segments)
		return true;
	pthread_mutex_lock(&run->lock);
	m.journal_from = journal_from(run, m.segments);
	pthread_mutex_unlock(&run->lock);
	if (!results_sync(run->results, err) ||
	    !store_merge_put(run->env->store, run->id, &m, err)) {
		results_rewind(run->results, &run->merged);
		return false;
	}
	(void)failpoint("results.after_commit");
	uint64_t before = run->merged.segments;
	pthread_mutex_lock(&run->lock);
	run->merged = m;
	pthread_mutex_unlock(&run->lock);
	segments_spare(run, before, m.segments);
	*ret_more = m.segments < run->segment_count;
	return true;
}

static enum outcome_fault end_of(struct run *run)
{
	pthread_mutex_lock(&run->lock);
	enum outcome_fault end = run->end;
	pthread_mutex_unlock(&run->lock);
	return end;
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
	enum outcome_fault end = end_of(run);
	if (!all_ended && end == OUTCOME_ANSWERED) {
		if (!run_merge(run, OUTCOME_ANSWERED, &more, &err)) {
			held_up(run, "merging", &err);
			return STEP_LATER;
		}
		goes_on(run);
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
	run->phase = RUN_STOPPED;
	return STEP_AGAIN;
}

/* ---- the worker: the end ---- */

static void result_file(const struct run *run, const char *id, const char *what, uint64_t bytes,
			int64_t now, struct file *ret)
{
	uint64_t expires_s = run->batch.output_expires_after_s > 0 ?
				     (uint64_t)run->batch.output_expires_after_s :
				     run->env->config->result_expires_after_s;
	*ret = (struct file){ .purpose = PURPOSE_BATCH_OUTPUT, .bytes = bytes, .created_at = now };
	memcpy(ret->id, id, sizeof(ret->id));
	memcpy(ret->org, run->batch.org, sizeof(ret->org));
	ret->expires_at = expires_s > 0 ? now + (int64_t)expires_s : 0;
	snprintf(ret->filename, sizeof(ret->filename), "%s_%s.jsonl", run->id, what);
}

static bool finish_as(struct run *run, enum batch_status to, const char *errors, bool *ret_moved,
		      struct error *err)
{
	struct file output, error;
	int64_t now = sys.now_s();
	const struct merge_state *m = &run->merged;
	result_file(run, run->batch.output_file_id, "output", m->output_bytes, now, &output);
	result_file(run, run->batch.error_file_id, "error", m->error_bytes, now, &error);
	return store_batch_finish(run->env->store, run->id, to, m,
				  m->output_lines > 0 ? &output : NULL,
				  m->error_lines > 0 ? &error : NULL,
				  to == BATCH_FAILED ? errors : NULL, now, ret_moved, err);
}

/* A cancel may come until the very end: then that is the state. */
static bool run_finish(struct run *run, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(4096);
	enum batch_status to = BATCH_COMPLETED;
	bool moved = false;
	pthread_mutex_lock(&run->lock);
	if (run->end == OUTCOME_EXPIRED)
		to = BATCH_EXPIRED;
	else if (run->end == OUTCOME_CANCELLED)
		to = BATCH_CANCELLED;
	else if (run->end == OUTCOME_BATCH_FAILED)
		to = BATCH_FAILED;
	error_entry(&errors, "server_error", NULL, run->fault);
	pthread_mutex_unlock(&run->lock);
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	if (!finish_as(run, to, errors.p, &moved, err))
		return false;
	if (!moved && to != BATCH_CANCELLED) {
		to = BATCH_CANCELLED;
		if (!finish_as(run, to, NULL, &moved, err))
			return false;
	}
	assert(moved);
	log_info("batch.ended", kv_str("batch", run->id), kv_str("status", batch_status_name(to)),
		 kv_u64("completed", run->merged.counts.completed),
		 kv_u64("failed", run->merged.counts.failed),
		 kv_u64("retried", run->merged.counts.retried));
	return true;
}

static enum step step_stopped(struct run *run)
{
	struct error err;
	bool more = true;
	char path[512];
	while (more)
		if (!run_merge(run, end_of(run), &more, &err)) {
			held_up(run, "merging", &err);
			return STEP_LATER;
		}
	if (!run_finish(run, &err)) {
		held_up(run, "finishing", &err);
		return STEP_LATER;
	}
	/* The batch is final and its files are there: the journal is spare. A crash before this leaves
	 * it behind; pipeline_open() removes journals of batches that are final. */
	journal_path(run, path, sizeof(path));
	if (unlink(path) != 0 && errno != ENOENT)
		log_warn("journal.unlink_failed", kv_str("batch", run->id), kv_int("errno", errno));
	return STEP_GONE;
}

static enum step run_step(struct run *run)
{
	switch (run->phase) {
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

static const char *run_stall(struct run *run)
{
	if (run->held_up || recorder_stalled(run->env->recorder))
		return STALL_PAUSED;
	if (run->phase == RUN_RUNNING && !run->dispatched)
		return STALL_UPSTREAM_DOWN;
	if (!run->dispatched)
		return NULL;
	switch (dispatch_stalled(run->env->dispatch, run->dispatch.upstream)) {
	case DISPATCH_STALL_429:
		return STALL_UPSTREAM_429;
	case DISPATCH_STALL_DOWN:
		return STALL_UPSTREAM_DOWN;
	case DISPATCH_FLOWS:
		break;
	}
	return NULL;
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
	}
	uint64_t left = total - b->counts.completed - b->counts.failed;
	uint64_t running = run->dispatch.running;
	b->counts.retried += run->dispatch.retried;
	ret->running = running < left ? running : left;
	ret->pending = left - ret->running;
	ret->stall_reason = b->status == BATCH_IN_PROGRESS ? run_stall(run) : NULL;
	pthread_mutex_unlock(&run->lock);
	ret->counts = b->counts;
	ret->usage = b->usage;
}
