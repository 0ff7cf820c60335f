/* coordinator_merge.c: finished segments -> result files -> the final state. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/finding.h"
#include "blob/lost.h"
#include "pipeline/coordinator_impl.h"
#include "pipeline/result_files.h"
#include "redo/redo.h"

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
	[EARLY_SPENT] = { OUTCOME_SPENT, BATCH_COMPLETED },
};

static bool custom_id(void *ctx, uint64_t record, struct buf *to)
{
	const struct coordinator *c = ctx;

	return input_custom_id(&c->files.input, record, to);
}

/* ---- numbers in the order of ending, of lines that got none in the journal ---- */

static uint32_t number_last(const struct coordinator *c)
{
	const struct journal *j = c->files.journal;

	return j != NULL ? journal_number_last(j) : c->numbers.last;
}

/* What got one is not shown before the merge is durable, and so nothing behind it. */
static uint32_t number_give(void *ctx)
{
	struct coordinator *c = ctx;

	if (c->numbers.count == 0) {
		c->numbers.before = number_last(c);
		lessor_memory_hide(c->lessor, c->numbers.before);
	}
	c->numbers.count++;
	c->numbers.taken = c->files.journal != NULL ? journal_number_take(c->files.journal)
						    : ++c->numbers.last;
	return c->numbers.taken;
}

static void numbers_keep(struct coordinator *c)
{
	if (c->numbers.count > 0)
		lessor_memory_show(c->lessor, c->numbers.taken);
	c->numbers.count = 0;
}

/* The merge failed. Numbers that others have overtaken stay unused: holes. What has them now gets others
 * at the next merge, which takes back what was written. */
static void numbers_back(struct coordinator *c)
{
	bool own = c->numbers.taken - c->numbers.before == c->numbers.count;

	if (c->numbers.count == 0)
		return;
	if (c->numbers.stale_last == 0 || c->numbers.before < c->numbers.stale_first)
		c->numbers.stale_first = c->numbers.before + 1;
	if (c->numbers.taken > c->numbers.stale_last)
		c->numbers.stale_last = c->numbers.taken;
	if (c->files.journal == NULL)
		c->numbers.last = c->numbers.before;
	else if (own)
		journal_number_back(c->files.journal, c->numbers.taken, c->numbers.before);
	lessor_memory_show(c->lessor, 0);
	c->numbers.count = 0;
}

/* crash, after this: order_recover() finds no entry that counts, and clears what is left of them. */
static bool stale_clear(struct coordinator *c, struct error *err)
{
	if (c->numbers.stale_last == 0)
		return true;
	if (!results_order_clear(c->results, c->numbers.stale_first, c->numbers.stale_last, err))
		return false;
	c->numbers.stale_first = c->numbers.stale_last = 0;
	return true;
}

/* ---- merging ---- */

static bool segments_append(struct coordinator *c, enum outcome_fault missing,
			    struct merge_state *m, struct error *err)
{
	for (unsigned n = 0; n < MERGE_AT_ONCE && m->segments < segments_of(c->lines); n++) {
		struct segment_bounds s = lessor_memory_bounds(c->lessor, m->segments);
		if (!s.finished && missing == OUTCOME_ANSWERED)
			break;
		struct results_segment todo = {
			.first = s.first,
			.lines = s.lines,
			.journal_at = s.journal_at,
			.journal_end = s.journal_end,
			.missing = missing,
			.number = number_give,
		};
		if (c->settled != NULL) { /* only what has no record is left */
			todo.settled = c->settled + s.first / 8;
			todo.journal_at = todo.journal_end = 0;
		}
		if (!results_append(c->results, c->files.journal, &todo, custom_id, c, m,
				    &c->damaged, err))
			return false;
		if (c->damaged) {
			results_rewind(c->results, m);
			break;
		}
		m->segments++;
	}
	return true;
}

/* Where the records end that may be merged; 0: there is no journal. */
static uint64_t records_end(struct coordinator *c)
{
	struct shown shown;

	lessor_memory_shown(c->lessor, 1, &shown);
	return c->files.journal != NULL ? shown.journal_end : 0;
}

/* Output order "completion": the journal's records in turn, and, when there are no more, the lines
 * that have none. *ret_run, which is the caller's to free, says which were taken. */
static bool records_append(struct coordinator *c, enum outcome_fault missing, struct merge_state *m,
			   struct results_run **ret_run, struct error *err)
{
	uint64_t end = records_end(c);
	uint64_t from = m->journal_from < JOURNAL_START ? JOURNAL_START : m->journal_from;

	if (from >= end)
		return (missing == OUTCOME_ANSWERED && lessor_memory_ended(c->lessor) < c->lines) ||
		       segments_append(c, missing, m, err);
	struct results_run *run = calloc(1, sizeof(*run));
	*ret_run = run;
	if (run == NULL)
		return fail_memory(err);
	run->from = from;
	run->end = end;
	run->records = c->lines;
	run->settled = c->settled;
	run->number = number_give;
	run->ctx = c;
	bool ok = results_append_run(c->results, c->files.journal, run, m, err);
	m->journal_from = run->from;
	return ok;
}

static bool merge_ready(struct coordinator *c, enum outcome_fault missing)
{
	const struct merge_state *m = coordinator_merged(c);

	if (m->segments == segments_of(c->lines))
		return false;
	if (c->span != NULL) /* its parts are made once, whole */
		return missing != OUTCOME_ANSWERED || lessor_memory_ended(c->lessor) == c->lines;
	if (c->settled != NULL && missing == OUTCOME_ANSWERED) {
		uint64_t ended = lessor_memory_ended(c->lessor);
		return ended == c->lines ||
		       ended - m->output_lines - m->error_lines >= SEGMENT_LINES;
	}
	return missing != OUTCOME_ANSWERED || lessor_memory_bounds(c->lessor, m->segments).finished;
}

static void causes_complete(const struct coordinator *c, struct causes *causes)
{
	for (unsigned i = 0; i < causes->n; i++)
		if (causes->of[i].line == 0)
			causes->of[i].line = (uint32_t)input_line_number(&c->files.input,
									 causes->of[i].record);
}

static bool merge_durably(struct coordinator *c, enum outcome_fault missing, struct merge_state *m,
			  struct results_run **ret_run, struct error *err)
{
	if (!(c->settled != NULL ? records_append(c, missing, m, ret_run, err)
				 : segments_append(c, missing, m, err)))
		return false;
	causes_complete(c, &m->causes);
	if (c->settled == NULL)
		m->journal_from = lessor_memory_journal_from(c->lessor, m->segments);
	if (!results_sync(c->results, err))
		return false;
	if (results_are_at_once(c->results))
		return true; /* `m` goes to the store with the final state */
	if (c->span != NULL)
		return true; /* with the end of the span */
	if (results_order_is_new(c->results) && !coordinator_batches_sync(c, err))
		return false;
	coordinator_tokens_begin(c, m);
	bool ok = store_merge_put(c->env->store, c->id, m, err);
	coordinator_tokens_end(c, m, ok);
	return ok;
}

/* Readers go on with the journal until the batch is final: the files, and numbers that lines got in this
 * merge, count for nobody before. */
static void put_whole_end(struct coordinator *c, const struct merge_state *m)
{
	c->put_whole = m->segments > coordinator_merged(c)->segments;
	coordinator_merged_set(c, m);
	c->numbers.count = 0;
}

/* Appends what is ready to the result files, durably. *ret_more: there may be more at once.
 * A crash before the sync, or between it and the store's commit, leaves bytes behind the recorded
 * length; results_open() cuts them and the segments are merged again from the journal. */
bool coordinator_merge(struct coordinator *c, enum early_end early, bool *ret_more,
		       struct error *err)
{
	enum outcome_fault missing = endings[early].missing;
	AUTO(auto_free) struct results_run *run = NULL;
	struct merge_state m = *coordinator_merged(c);

	assert(coordinator_in_turn(c));
	*ret_more = false;
	if (!merge_ready(c, missing))
		return true;
	if (c->results == NULL && !coordinator_results_open(c, err))
		return false;
	if (!stale_clear(c, err) || !open_files_pin(&c->files, err))
		return false;
	bool ok = merge_durably(c, missing, &m, &run, err);
	open_files_unpin(&c->files);
	if (!ok) {
		results_rewind(c->results, coordinator_merged(c));
		if (run != NULL)
			results_run_undo(run);
		numbers_back(c);
		return false;
	}
	const struct merge_state *before = coordinator_merged(c);
	bool moved = m.segments > before->segments || m.journal_from > before->journal_from;
	assert(m.segments >= before->segments && m.journal_from >= before->journal_from);
	results_keep(c->results, &m);
	if (results_are_at_once(c->results)) {
		put_whole_end(c, &m);
		return true;
	}
	(void)failpoint("results.after_commit");
	coordinator_merged_set(c, &m);
	coordinator_merged_show(c); /* first: the journal may not be looked at any more for them */
	numbers_keep(c);
	lessor_memory_merged(c->lessor, m.segments);
	*ret_more = moved && !c->damaged && m.segments < segments_of(c->lines);
	return true;
}

/* ---- the end ---- */

static bool finish_as(struct coordinator *c, enum batch_status to, const char *errors,
		      bool *ret_moved, struct error *err)
{
	struct file output, error;
	int64_t now = sys.now_s();
	struct merge_state merged = *coordinator_merged(c), *m = &merged;

	uint64_t expires_s = c->env->config->result_expires_after_s;
	result_files(&c->batch, m, expires_s, now, &output, &error);
	coordinator_tokens_begin(c, m);
	bool ok = store_batch_finish(c->env->store, c->id, to, m,
				     m->output_lines > 0 ? &output : NULL,
				     m->error_lines > 0 ? &error : NULL,
				     to == BATCH_FAILED ? errors : NULL, now, ret_moved, err);
	coordinator_tokens_end(c, m, ok && *ret_moved);
	coordinator_merged_set(c, m);
	return ok;
}

static void ended_tell(const struct coordinator *c, enum batch_status status)
{
	const struct merge_state *m = coordinator_merged(c);
	AUTO(buf_free) struct buf causes = BUF(1024);

	causes_describe(&m->causes, &causes);
	buf_char(&causes, '\0');
	log_info("batch.ended", kv_str("batch", c->id), kv_str("status", batch_status_name(status)),
		 kv_u64("completed", m->counts.completed), kv_u64("failed", m->counts.failed),
		 kv_u64("retried", m->counts.retried),
		 kv_str("causes", causes.failed ? "" : causes.p));
}

static void spare_remove(struct coordinator *c, const char *id)
{
	struct error err;

	if (!blob_remove(c->env->blobs, id, &err))
		log_fault("results.spare_not_removed", &err, kv_str("batch", c->id));
}

/* All that it held is in the result files, or it could not be read and another tool may read it. */
static void journal_done(struct coordinator *c)
{
	char path[512];
	struct error err;

	coordinator_journal_path(c, path, sizeof(path));
	if (!c->journal_unreadable) {
		if (coordinator_is_logged(c))
			redo_gone(c->env->config->redo, journal_log_name(path));
		if (unlink(path) != 0 && errno != ENOENT)
			log_warn("journal.unlink_failed", kv_str("batch", c->id),
				 kv_int("errno", errno));
	} else if (!lost_take(c->env->data_dir, coordinator_lost_at(c->env), "batches",
			      strrchr(path, '/') + 1, &err)) {
		log_fault("journal.not_moved", &err, kv_str("batch", c->id));
	}
}

/* The order goes where the files are, with the last of which it is deleted. */
static void order_done(struct coordinator *c)
{
	const struct merge_state *m = coordinator_merged(c);
	const struct order_homes homes = {
		.output = m->output_lines > 0 ? c->batch.output_file_id : NULL,
		.error = m->error_lines > 0 ? c->batch.error_file_id : NULL,
	};
	struct error err;

	(void)failpoint("order.before_home");
	if (!coordinator_order_path(c, &err) ||
	    !order_move_home(c->env->blobs, c->order_path, &homes, &err))
		log_fault("order.not_moved", &err, kv_str("batch", c->id));
	(void)failpoint("order.after_home");
}

/* The batch is final and its files are there: the journal, and a result file without lines, are
 * spare. A crash before this leaves them behind: pipeline_open() removes journals of batches
 * that are final, and empty blobs that no row names, and takes the order to the files. */
static void spare_files_remove(struct coordinator *c)
{
	if (!c->put_whole)
		order_done(c);
	if (coordinator_merged(c)->output_lines == 0)
		spare_remove(c, c->batch.output_file_id);
	if (coordinator_merged(c)->error_lines == 0)
		spare_remove(c, c->batch.error_file_id);
	journal_done(c);
}

/* A cancel may come until the very end: then that is the state. */
bool coordinator_finish(struct coordinator *c, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(4096);
	bool moved = false;

	if (c->span != NULL)
		return coordinator_span_finish(c, err);
	pthread_mutex_lock(&c->lock);
	enum batch_status to = endings[c->early].status;
	finding_json_one(&errors, &(struct finding){ .code = "server_error",
						     .message = c->fault != NULL ? c->fault : "" });
	pthread_mutex_unlock(&c->lock);
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	if (!finish_as(c, to, errors.p, &moved, err))
		return false;
	if (!moved && to != BATCH_CANCELLED) {
		to = BATCH_CANCELLED;
		if (!finish_as(c, to, NULL, &moved, err))
			return false;
	}
	assert(moved);
	ended_tell(c, to);
	spare_files_remove(c);
	return true;
}
