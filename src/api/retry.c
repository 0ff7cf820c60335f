/* retry.c: a child batch of the lines of one that has ended which are left.
 *
 * Order: the bytes of its input durable under their name, then the rows of file and batch in one
 * transaction. A crash before that leaves a blob without a row at the most, which the next start
 * moves to lost/; a failure is undone here. */
#include "api/retry.h"

#include <stdio.h>

#include "api/batches.h"
#include "api/create.h"
#include "base/log.h"
#include "base/sys.h"
#include "ingest/ingest.h"
#include "pipeline/leftover.h"

struct retrying {
	struct batch parent, child;
	struct leftover *from;
	struct file input;
	struct file_use reserved;
};

static void retrying_done(struct retrying *t)
{
	leftover_close(t->from);
	batch_done(&t->parent);
	batch_done(&t->child);
}

/* What the request asks for; the lines are not looked at. */
static bool retry_read(struct request *rq, struct retrying *t, struct http_response *r,
		       struct error *err)
{
	struct batch *child = &t->child;
	uint64_t window_s;

	if (!store_batch_get(rq->api->store, rq->key.org, rq->object_id, &t->parent, err))
		return false;
	if (!batch_is_final(t->parent.status))
		return batch_refuse(rq, "retry", t->parent.status, r, err);
	if (!create_read_again(buf_slice(&rq->body), &rq->api->config, &t->parent, child, &window_s,
			       err))
		return false;
	id_batch(child->id);
	memcpy(child->org, rq->key.org, sizeof(child->org));
	memcpy(child->retried_from, t->parent.id, sizeof(child->retried_from));
	child->status = BATCH_VALIDATING;
	child->created_at = sys.now_s();
	child->expires_at = child->created_at + (int64_t)window_s;
	batch_trace_read(rq, child);
	return true;
}

/* Contract 2.4: retries of the same batch with the same members are the same call. */
static bool retry_repeated(struct request *rq, const struct retrying *t, struct http_response *r,
			   char ret_first[static ID_SIZE], struct error *err)
{
	AUTO(buf_free) struct buf content = BUF(JSON_BODY_MAX + 4096);
	struct batch same = t->child;

	memcpy(same.input_file_id, t->parent.id, sizeof(t->parent.id));
	create_content(&same, &content);
	return content.failed ? fail_memory(err)
			      : repeat_find(rq, buf_slice(&content), r, ret_first, err);
}

static bool left_open(struct request *rq, struct retrying *t, struct error *err)
{
	if (!pipeline_leftover(rq->api->pipeline, &t->parent, &t->child, &t->from, err))
		return false;
	return leftover_lines(t->from) > 0 ||
	       fail(err, ERR_INVALID,
		    t->parent.status == BATCH_FAILED && t->parent.counts.total == 0
			    ? "Nothing is left to retry: the input of this batch is invalid, see "
			      "its errors."
			    : "Nothing is left to retry: every line of this batch that can run "
			      "has completed.");
}

static void input_describe(const struct request *rq, struct retrying *t, const struct ingest *in)
{
	int64_t after_s = (int64_t)rq->api->config.input_expires_after_s;
	struct file *f = &t->input;

	*f = (struct file){ .purpose = PURPOSE_BATCH,
			    .bytes = ingest_bytes(in),
			    .created_at = t->child.created_at };
	id_file(f->id);
	memcpy(f->org, rq->key.org, sizeof(f->org));
	memcpy(f->sha256, ingest_sha256(in), sizeof(f->sha256));
	snprintf(f->filename, sizeof(f->filename), "%s_retry.jsonl", t->parent.id);
	f->expires_at = after_s > 0 ? f->created_at + after_s : 0;
	memcpy(t->child.input_file_id, f->id, sizeof(f->id));
}

/* The lines were judged when the batch began: no limit of today is asked. */
static bool input_make(struct request *rq, struct retrying *t, struct error *err)
{
	const struct ingest_limits limits = {
		.profile = rq->api->config.profile,
		.use = budget_use(rq->api->budget, BUDGET_UPLOADS),
	};
	struct ingest *in;

	if (!ingest_open(rq->api->blobs, &limits, &in, err))
		return false;
	if (!leftover_copy(t->from, in, err) || !ingest_finish(in, err)) {
		ingest_abort(in);
		return false;
	}
	input_describe(rq, t, in);
	return ingest_commit(in, t->input.id, err);
}

static bool rows_make(struct request *rq, struct retrying *t, const struct file_quota *quota,
		      struct http_response *r, struct error *err)
{
	char id[ID_SIZE];
	struct error unheard;

	bool ok = store_batch_insert_with(rq->api->store, &t->child, &t->input, quota,
					  &rq->claim.call, limit_of(rq, LIMIT_OPEN_BATCHES), id,
					  err);
	if (ok && strcmp(id, t->child.id) == 0) {
		batch_made(rq, &t->child, r);
		return true;
	}
	/* If even that fails, the next start sweeps it. */
	if (!blob_remove(rq->api->blobs, t->input.id, &unheard))
		log_fault("retry.orphan", &unheard, kv_str("file", t->input.id));
	if (ok)
		return batch_made_before(rq, id, r, err);
	batches_full(err, r);
	return false;
}

/* It counts as an upload of its organization, and what it will have is reserved, before a byte is
 * written. */
static bool retry_make(struct request *rq, struct retrying *t, struct http_response *r,
		       struct error *err)
{
	struct api *api = rq->api;
	const struct file_quota quota = { limit_of(rq, LIMIT_FILES), limit_of(rq, LIMIT_BYTES) };
	const struct file_use more = { 1, leftover_bytes(t->from) };

	if (!limits_upload_begin(rq, r, err))
		return false;
	bool ok = limits_reserve(&api->limits, api->store, &quota, rq->key.org, &more, err);
	if (ok)
		t->reserved = more;
	ok = ok && input_make(rq, t, err) && rows_make(rq, t, &quota, r, err);
	limits_upload_end(&api->limits, rq->key.org, &t->reserved);
	return ok;
}

bool batches_retry(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(retrying_done) struct retrying t = { 0 };
	char first[ID_SIZE];

	if (!retry_read(rq, &t, r, err) || !retry_repeated(rq, &t, r, first, err))
		return false;
	if (first[0] != '\0')
		return batch_made_before(rq, first, r, err);
	return left_open(rq, &t, err) && retry_make(rq, &t, r, err);
}
