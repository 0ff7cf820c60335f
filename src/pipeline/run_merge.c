/* run_merge.c: finished segments -> result files -> the final state. */
#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/finding.h"
#include "pipeline/run_impl.h"

#define MERGE_AT_ONCE 16 /* segments for one fsync and one transaction */

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
	if (run->merged.segments == run->segment_count)
		return false;
	pthread_mutex_lock(&run->lock);
	bool ready = missing != OUTCOME_ANSWERED ||
		     segment_finished(&run->segments[run->merged.segments]);
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
	m->journal_from = journal_from(run, m->segments);
	pthread_mutex_unlock(&run->lock);
	return results_sync(run->results, err) && store_merge_put(run->env->store, run->id, m, err);
}

/* Appends what is ready to the result files, durably. *ret_more: there may be more at once.
 * A crash before the sync, or between it and the store's commit, leaves bytes behind the recorded
 * length; results_open() cuts them and the segments are merged again from the journal. */
bool run_merge(struct run *run, enum outcome_fault missing, bool *ret_more, struct error *err)
{
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
	uint64_t before = run->merged.segments;
	pthread_mutex_lock(&run->lock);
	run->merged = m;
	pthread_mutex_unlock(&run->lock);
	segments_spare(run, before, m.segments);
	*ret_more = !run->damaged && m.segments < run->segment_count;
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

/* A cancel may come until the very end: then that is the state. */
bool run_finish(struct run *run, struct error *err)
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
	AUTO(buf_free) struct buf causes = BUF(1024);
	causes_describe(&run->merged.causes, &causes);
	buf_char(&causes, '\0');
	log_info("batch.ended", kv_str("batch", run->id), kv_str("status", batch_status_name(to)),
		 kv_u64("completed", run->merged.counts.completed),
		 kv_u64("failed", run->merged.counts.failed),
		 kv_u64("retried", run->merged.counts.retried),
		 kv_str("causes", causes.failed ? "" : causes.p));
	return true;
}
