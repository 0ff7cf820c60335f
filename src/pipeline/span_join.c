/* span_join.c: see span_join.h. */
#include "pipeline/span_join.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/finding.h"
#include "blob/objects.h"
#include "pipeline/batch_trace.h"
#include "pipeline/cluster.h"
#include "pipeline/coordinator.h"
#include "pipeline/result_files.h"
#include "pipeline/span_order.h"

#define FAULT_TEXT "The stored input of this batch could not be read."
#define LOST_TEXT                                                                                          \
	"Results of %llu lines are lost: the object storage does not have them any more. Retry the batch " \
	"to have these lines run again."

struct joining {
	struct cluster *cluster;
	struct coordinator_env *env;
	struct batch batch;
	struct span_seen *spans; /* the manifest */
	size_t n;
	struct merge_state sums;
	uint64_t lost_lines;
	bool order_known;
};

static void joining_done(struct joining *j)
{
	batch_done(&j->batch);
	free(j->spans);
}

static void counts_add(struct counts *sum, const struct counts *more)
{
	sum->completed += more->completed;
	sum->failed += more->failed;
	sum->expired += more->expired;
	sum->cancelled += more->cancelled;
	sum->retried += more->retried;
}

/* *ret_whole: every span is finished. */
static bool manifest_read(struct joining *j, bool *ret_whole, struct error *err)
{
	struct db *db = cluster_db_borrow(j->cluster);
	bool ok = store_span_manifest(db, j->batch.id, &j->spans, &j->n, err);

	cluster_db_return(j->cluster, db);
	*ret_whole = ok && j->n > 0;
	for (size_t i = 0; ok && i < j->n; i++)
		*ret_whole = *ret_whole && j->spans[i].is_finished;
	return ok;
}

static bool part_is_lost(const struct joining *j, const struct span_part *part, bool *ret,
			 struct error *err)
{
	struct blob_reader *r;

	*ret = false;
	if (part->bytes == 0)
		return true;
	if (blob_open(j->env->blobs, part->name, BLOB_DATA, &r, err)) {
		*ret = blob_bytes(r) != part->bytes;
		blob_reader_close(r);
		return true;
	}
	*ret = err->kind == ERR_NOT_FOUND || err->sys == ENOENT || err->sys == EBADMSG;
	return *ret;
}

/* Its lines have ended, and stand nowhere: none of both parts, whose order is one. */
static void span_drop(struct joining *j, struct span_seen *s)
{
	struct span_end *end = &s->end;

	log_error("results.part_lost", kv_str("batch", j->batch.id), kv_u64("span", s->n),
		  kv_u64("lines", end->output.lines + end->error.lines));
	j->lost_lines += end->output.lines + end->error.lines;
	end->counts.completed -= end->output.lines;
	end->counts.failed += end->output.lines;
	end->output = end->error = (struct span_part){ 0 };
}

static bool lost_drop(struct joining *j, struct error *err)
{
	bool output, error;

	for (size_t i = 0; i < j->n; i++) {
		const struct span_end *end = &j->spans[i].end;
		if (!part_is_lost(j, &end->output, &output, err) ||
		    !part_is_lost(j, &end->error, &error, err))
			return false;
		if (output || error)
			span_drop(j, &j->spans[i]);
	}
	return true;
}

static void sums_make(struct joining *j)
{
	struct merge_state *m = &j->sums;

	for (size_t i = 0; i < j->n; i++) {
		const struct span_end *end = &j->spans[i].end;
		counts_add(&m->counts, &end->counts);
		usage_add(&m->usage, &end->usage);
		causes_merge(&m->causes, &end->causes);
		m->output_bytes += end->output.bytes;
		m->output_lines += end->output.lines;
		m->error_bytes += end->error.bytes;
		m->error_lines += end->error.lines;
	}
}

static bool parts_join(struct joining *j, const char *file_id, bool errors, struct error *err)
{
	AUTO(auto_free) struct blob_joined *parts = calloc(j->n + 1, sizeof(*parts));
	size_t n = 0;

	if (parts == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < j->n; i++) {
		const struct span_end *end = &j->spans[i].end;
		const struct span_part *part = errors ? &end->error : &end->output;
		if (part->bytes > 0)
			parts[n++] = (struct blob_joined){ .id = part->name, .bytes = part->bytes };
	}
	return n == 0 || blobs_join(j->env->blobs, file_id, parts, n, err);
}

static bool order_join(struct joining *j, struct error *err)
{
	const struct order_homes homes = {
		.output = j->sums.output_bytes > 0 ? j->batch.output_file_id : NULL,
		.error = j->sums.error_bytes > 0 ? j->batch.error_file_id : NULL,
	};

	return span_order_join(j->env->blobs, j->spans, j->n, &homes, &j->order_known, err);
}

static bool has_fault(const struct causes *causes)
{
	for (unsigned i = 0; i < causes->n; i++)
		if (causes->of[i].code == cause_code(OUTCOME_BATCH_FAILED, 0))
			return true;
	return false;
}

static enum batch_status status_of(const struct joining *j)
{
	return j->batch.status == BATCH_CANCELLING ? BATCH_CANCELLED
	       : j->lost_lines > 0                 ? BATCH_FAILED
	       : has_fault(&j->sums.causes)        ? BATCH_FAILED
	       : j->sums.counts.expired > 0        ? BATCH_EXPIRED
						   : BATCH_COMPLETED;
}

static void ended_tell(const struct joining *j, enum batch_status status)
{
	const struct counts *c = &j->sums.counts;
	AUTO(buf_free) struct buf causes = BUF(1024);

	causes_describe(&j->sums.causes, &causes);
	buf_char(&causes, '\0');
	log_info("batch.ended", kv_str("batch", j->batch.id),
		 kv_str("status", batch_status_name(status)), kv_u64("completed", c->completed),
		 kv_u64("failed", c->failed), kv_u64("retried", c->retried),
		 kv_str("causes", causes.failed ? "" : causes.p));
}

static bool finish_as(struct joining *j, enum batch_status to, bool *ret_moved, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(4096);
	struct file output, error;
	int64_t now = sys.now_s();
	char lost[256];

	snprintf(lost, sizeof(lost), LOST_TEXT, (unsigned long long)j->lost_lines);
	finding_json_one(&errors,
			 &(struct finding){ .code = "server_error",
					    .message = j->lost_lines > 0 ? lost : FAULT_TEXT });
	buf_char(&errors, '\0');
	if (errors.failed)
		return fail_memory(err);
	result_files(&j->batch, &j->sums, j->env->config->result_expires_after_s, now, &output,
		     &error);
	return store_batch_finish(j->env->store, j->batch.id, to, &j->sums,
				  j->sums.output_lines > 0 ? &output : NULL,
				  j->sums.error_lines > 0 ? &error : NULL,
				  to == BATCH_FAILED ? errors.p : NULL, now, ret_moved, err);
}

static void trace_tell(const struct joining *j)
{
	struct batch_trace trace;

	batch_trace_begin(j->env, j->batch.id, &trace);
	batch_trace_end(j->env, j->batch.id, &trace);
}

/* A cancel may come until the very end: then that is the state. */
static bool finish(struct joining *j, struct error *err)
{
	enum batch_status to = status_of(j);
	bool moved;

	if (!finish_as(j, to, &moved, err))
		return false;
	if (!moved && to != BATCH_CANCELLED) {
		to = BATCH_CANCELLED;
		if (!finish_as(j, to, &moved, err))
			return false;
	}
	if (!moved)
		return true; /* by another node */
	if (!j->order_known)
		log_warn("order.lost", kv_str("batch", j->batch.id));
	ended_tell(j, to);
	trace_tell(j);
	return true;
}

/* The batch's rows of spans go with its last state, so no row names the parts any more: they are the
 * garbage sweep's, and stay for who reads a page of them.
 *
 * crash, before the last state: result files without a row, of a batch that is joined again. */
bool span_join(struct cluster *cl, struct coordinator_env *env, const char *batch_id,
	       enum span_join how, struct error *err)
{
	AUTO(joining_done) struct joining j = { .cluster = cl, .env = env };
	bool whole;

	if (!store_batch_get(env->store, NULL, batch_id, &j.batch, err))
		return err->kind == ERR_NOT_FOUND;
	if (batch_is_final(j.batch.status))
		return true;
	if (!manifest_read(&j, &whole, err))
		return false;
	if (!whole)
		return true;
	if (how == JOIN_WHAT_IS_THERE && !lost_drop(&j, err))
		return false;
	sums_make(&j);
	return parts_join(&j, j.batch.output_file_id, false, err) &&
	       parts_join(&j, j.batch.error_file_id, true, err) && order_join(&j, err) &&
	       finish(&j, err);
}
