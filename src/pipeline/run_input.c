/* run_input.c: the input of a run: reading its lines, and judging it once. */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/sys.h"
#include "batch/finding.h"
#include "ingest/ingest.h"
#include "ingest/verdict.h"
#include "pipeline/run_impl.h"

/* ---- reading ---- */

/* While it is pinned. */
static bool record_get(struct run *run, uint64_t record, struct index_record *ret,
		       struct error *err)
{
	if (run->cache == NULL)
		run->cache = malloc(INDEX_CACHE * sizeof(*run->cache));
	if (run->cache == NULL)
		return fail_memory(err);
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

bool run_look(void *owner, uint64_t record, struct schedule_look *ret)
{
	struct run *run = owner;
	struct index_record r;
	struct error err;
	if (!run_pin(run, &err))
		return false; /* whoever reads the line will say so */
	bool ok = record_get(run, record, &r, &err);
	run_unpin(run);
	if (ok)
		*ret = (struct schedule_look){ .body_bytes = r.body_length, .prefix = r.prefix };
	return ok;
}

static bool line_read(struct run *run, uint64_t record, struct buf *to, struct request_line *ret,
		      struct error *err)
{
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

bool run_line_read(void *owner, uint64_t record, struct buf *to, struct request_line *ret,
		   struct error *err)
{
	struct run *run = owner;
	if (!run_pin(run, err))
		return false;
	bool ok = line_read(run, record, to, ret, err);
	run_unpin(run);
	return ok;
}

bool run_custom_id(void *ctx, uint64_t record, struct buf *to)
{
	struct run *run = ctx;
	struct error err;
	struct index_record r;
	if (run->index == NULL || run->blob_fd < 0)
		return false; /* the input is lost */
	if (!index_read(run->index, record, &r, 1, &err) || !record_fits(&r) ||
	    !buf_reserve(to, r.custom_id_length + 1u))
		return false;
	if (!sys_pread_all(run->blob_fd, to->p, r.custom_id_length,
			   (off_t)(r.offset + r.custom_id_offset)))
		return false;
	to->n = r.custom_id_length;
	return true;
}

/* ---- judging ---- */

static bool model_served(void *ctx, const char *model)
{
	return dispatch_serves(ctx, model);
}

static bool index_get(struct run *run, struct error *err)
{
	int fd;
	uint64_t bytes;
	return blob_open(run->env->blobs, run->batch.input_file_id, BLOB_INDEX, &fd, &bytes, err) &&
	       index_open(fd, &run->index, err);
}

/* The pass that made it at the upload, once more. Of a batch that has begun every line was good: its
 * lines have no limit. A crash leaves the old index or the new one. */
static bool index_remake(struct run *run, const struct error *why, struct error *err)
{
	const char *id = run->batch.input_file_id;
	const struct ingest_limits limits = {
		.line_bytes = run->batch.status == BATCH_VALIDATING
				      ? run->env->config->rules.line_bytes
				      : 0,
	};
	char sha256[65];
	if (!ingest_file(run->env->blobs, run->blob_fd, &limits, id, sha256, &run->index, err))
		return false;
	log_write_error(LOG_WARN, "index.remade", why,
			LOG_FIELDS(kv_str("batch", run->id), kv_str("file", id)));
	return true;
}

bool run_input_open(struct run *run, struct error *err)
{
	struct error why;
	uint64_t bytes;
	if (!blob_open(run->env->blobs, run->batch.input_file_id, BLOB_DATA, &run->blob_fd, &bytes,
		       err))
		return false;
	if (!index_get(run, &why)) {
		*err = why;
		if (!run_is_lost(&why) || !index_remake(run, &why, err))
			return false;
	}
	run->lines = index_summary(run->index)->lines;
	if (run->batch.status != BATCH_VALIDATING && run->lines != run->batch.counts.total)
		return fail_sys(err, EBADMSG, "%s has %llu lines, the batch has %llu",
				run->batch.input_file_id, (unsigned long long)run->lines,
				(unsigned long long)run->batch.counts.total);
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
	bool too_many_tokens = c->enqueued_tokens_max > 0 &&
			       waiting_tokens + tokens > c->enqueued_tokens_max;
	bool too_many_requests = c->enqueued_requests_max > 0 &&
				 requests + run->lines > c->enqueued_requests_max;
	if (!too_many_tokens && !too_many_requests)
		return true;
	const char *what = too_many_tokens ? "token" : "request";
	char message[512];
	snprintf(message, sizeof(message),
		 "Enqueued %s limit reached for %s in organization %s. Limit: %llu enqueued %ss. "
		 "Please try again once some in_progress batches have been completed "
		 "(limits.enqueued_%ss).",
		 what, model, run->batch.org,
		 (unsigned long long)(too_many_tokens ? c->enqueued_tokens_max
						      : c->enqueued_requests_max),
		 what, what);
	finding_json_one(errors,
			 &(struct finding){ .code = too_many_tokens ? "token_limit_exceeded"
								    : "request_limit_exceeded",
					    .message = message });
	return true;
}

/* Judges the input; `errors` stays empty when it is good. */
static bool input_judge(struct run *run, struct buf *errors, struct error *err)
{
	char message[256];
	if (run->batch.input_missing) {
		snprintf(message, sizeof(message),
			 "Cannot find file %s, or organization %s does not have access to it.",
			 run->batch.input_file_id, run->batch.org);
		finding_json_one(errors, &(struct finding){ .code = "invalid_request",
							    .param = "file_id",
							    .message = message });
		return true;
	}
	if (!run_input_open(run, err))
		return false;
	struct verdict_rules rules = run->env->config->rules;
	rules.endpoint = run->batch.endpoint;
	rules.model_served = model_served;
	rules.ctx = run->env->dispatch;
	uint64_t count;
	if (!verdict_errors(run->index, run->blob_fd, &rules, errors, &count, err))
		return false;
	const struct index_summary *s = index_summary(run->index);
	if (count > 0 || s->model_count == 0)
		return true;
	return enqueued_judge(run, s->models[0], s->body_bytes / BYTES_PER_TOKEN, errors, err);
}

bool run_validate(struct run *run, bool *ret_started, struct error *err)
{
	AUTO(buf_free) struct buf errors = BUF(16u << 20);
	int64_t now = sys.now_s();
	bool moved;
	*ret_started = false;
	if (now >= run->batch.expires_at && run->env->time_is_good(run->env->ctx))
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
			       s->model_count == 1 ? s->models[0] : NULL, run->batch.output_file_id,
			       run->batch.error_file_id, now, ret_started, err))
		return false;
	run->batch.status = BATCH_IN_PROGRESS;
	run->batch.counts.total = run->lines;
	return true;
}
