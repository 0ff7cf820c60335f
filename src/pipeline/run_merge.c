/* run_merge.c: finished segments -> result files -> the final state. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/finding.h"
#include "blob/lost.h"
#include "pipeline/run_impl.h"

#define MERGE_AT_ONCE 16 /* segments for one fsync and one transaction */

/* What a batch becomes that ends, early or not. */
static const struct {
	enum outcome_fault missing; /* what becomes of lines that have not ended */
	enum batch_status status;
} endings[] = {
	[EARLY_NO] = { OUTCOME_ANSWERED, BATCH_COMPLETED }, /* none is missing */
	[EARLY_EXPIRED] = { OUTCOME_EXPIRED, BATCH_EXPIRED },
	[EARLY_CANCELLED] = { OUTCOME_CANCELLED, BATCH_CANCELLED },
	[EARLY_FAILED] = { OUTCOME_BATCH_FAILED, BATCH_FAILED },
};

static bool segments_append(struct run *run, enum outcome_fault missing, struct merge_state *m,
			    struct error *err)
{
	for (unsigned n = 0; n < MERGE_AT_ONCE && m->segments < segments_of(run->lines); n++) {
		pthread_mutex_lock(&run->lock);
		struct segment_bounds s = segment_set_bounds(run->segments, m->segments);
		pthread_mutex_unlock(&run->lock);
		if (!s.finished && missing == OUTCOME_ANSWERED)
			break;
		struct results_segment todo = {
			.first = s.first,
			.lines = s.lines,
			.journal_at = s.journal_at,
			.journal_end = s.journal_end,
			.missing = missing,
		};
		if (!results_append(run->results, run->journal, &todo, run_custom_id, run, m,
				    &run->damaged, err))
			return false;
		if (run->damaged) {
			results_rewind(run->results, m);
			break;
		}
		m->segments++;
	}
	return true;
}

static bool merge_ready(struct run *run, enum outcome_fault missing)
{
	if (run->merged.segments == segments_of(run->lines))
		return false;
	pthread_mutex_lock(&run->lock);
	bool ready = missing != OUTCOME_ANSWERED ||
		     segment_set_bounds(run->segments, run->merged.segments).finished;
	pthread_mutex_unlock(&run->lock);
	return ready;
}

static bool merge_durably(struct run *run, enum outcome_fault missing, struct merge_state *m,
			  struct error *err)
{
	if (!segments_append(run, missing, m, err))
		return false;
	run_causes_lines(run, &m->causes);
	pthread_mutex_lock(&run->lock);
	m->journal_from = segment_set_journal_from(run->segments, m->segments);
	pthread_mutex_unlock(&run->lock);
	return results_sync(run->results, err) && store_merge_put(run->env->store, run->id, m, err);
}

/* Appends what is ready to the result files, durably. *ret_more: there may be more at once.
 * A crash before the sync, or between it and the store's commit, leaves bytes behind the recorded
 * length; results_open() cuts them and the segments are merged again from the journal. */
bool run_merge(struct run *run, enum early_end early, bool *ret_more, struct error *err)
{
	enum outcome_fault missing = endings[early].missing;
	struct merge_state m = run->merged;
	*ret_more = false;
	if (!merge_ready(run, missing))
		return true;
	if (run->results == NULL &&
	    !results_open(run->env->blobs, run->batch.output_file_id, run->batch.error_file_id,
			  &run->merged, &run->results, err))
		return false;
	if (!run_pin(run, err))
		return false;
	bool ok = merge_durably(run, missing, &m, err);
	run_unpin(run);
	if (!ok) {
		results_rewind(run->results, &run->merged);
		return false;
	}
	(void)failpoint("results.after_commit");
	pthread_mutex_lock(&run->lock);
	run->merged = m;
	segment_set_merge(run->segments, m.segments);
	pthread_mutex_unlock(&run->lock);
	*ret_more = !run->damaged && m.segments < segments_of(run->lines);
	return true;
}

/* ---- the end ---- */

static void result_file(const struct run *run, const char *id, const char *what, uint64_t bytes,
			int64_t now, struct file *ret)
{
	uint64_t expires_s = run->batch.output_expires_after_s > 0
				     ? (uint64_t)run->batch.output_expires_after_s
				     : run->env->config->result_expires_after_s;
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

static void ended_tell(const struct run *run, enum batch_status status)
{
	AUTO(buf_free) struct buf causes = BUF(1024);

	causes_describe(&run->merged.causes, &causes);
	buf_char(&causes, '\0');
	log_info("batch.ended", kv_str("batch", run->id),
		 kv_str("status", batch_status_name(status)),
		 kv_u64("completed", run->merged.counts.completed),
		 kv_u64("failed", run->merged.counts.failed),
		 kv_u64("retried", run->merged.counts.retried),
		 kv_str("causes", causes.failed ? "" : causes.p));
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

	run_journal_path(run, path, sizeof(path));
	if (!run->journal_unreadable) {
		if (unlink(path) != 0 && errno != ENOENT)
			log_warn("journal.unlink_failed", kv_str("batch", run->id),
				 kv_int("errno", errno));
	} else if (!lost_take(run->env->data_dir, run_env_lost_at(run->env), "batches",
			      strrchr(path, '/') + 1, &err)) {
		log_fault("journal.not_moved", &err, kv_str("batch", run->id));
	}
}

/* The batch is final and its files are there: the journal, and a result file without lines, are spare.
 * A crash before this leaves them behind: pipeline_open() removes journals of batches that are final,
 * and empty blobs that no row names. */
static void spare_files_remove(struct run *run)
{
	if (run->merged.output_lines == 0)
		spare_remove(run, run->batch.output_file_id);
	if (run->merged.error_lines == 0)
		spare_remove(run, run->batch.error_file_id);
	journal_done(run);
}

/* A cancel may come until the very end: then that is the state. */
bool run_finish(struct run *run, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(4096);
	bool moved = false;

	pthread_mutex_lock(&run->lock);
	enum batch_status to = endings[run->early].status;
	finding_json_one(&errors,
			 &(struct finding){ .code = "server_error", .message = run->fault });
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
	ended_tell(run, to);
	spare_files_remove(run);
	return true;
}
