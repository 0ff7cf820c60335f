/* batches.c: batches in the store and the pipeline, as the client asks for them. */
#include "api/batches.h"

#include "api/create.h"
#include "api/events.h"
#include "api/filter.h"
#include "api/members.h"
#include "api/objects.h"
#include "api/paging.h"
#include "api/show.h"
#include "base/sys.h"
#include "trace/context.h"

#define LIMIT_MAX 100
#define LIMIT_DEFAULT 20
#define OPEN_BATCHES_RETRY_S 60

/* ---- create ---- */

/* The batch as it was when it was made: a create always answers `validating`, a repeated one what
 * the first was answered (contract 2.4, 5). */
static void new_batch_answer(const struct batch *b, struct buf *to)
{
	struct batch_view v = { .row = *b };

	v.row.status = BATCH_VALIDATING;
	memset(v.row.at, 0, sizeof(v.row.at));
	v.row.model = v.row.errors = NULL;
	v.row.counts = (struct counts){ 0 };
	v.row.usage = (struct usage){ 0 };
	batch_write(to, &v);
}

void batch_made(struct request *rq, const struct batch *b, struct http_response *r)
{
	pipeline_submit(rq->api->pipeline, b->id);
	new_batch_answer(b, &r->body);
}

void batches_full(const struct error *err, struct http_response *r)
{
	if (err->kind == ERR_RATE_LIMIT)
		http_header(r, "Retry-After", "%d", OPEN_BATCHES_RETRY_S);
}

bool batch_made_before(struct request *rq, const char *id, struct http_response *r,
		       struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };

	if (!store_batch_get(rq->api->store, rq->key.org, id, &b, err))
		return false;
	new_batch_answer(&b, &r->body);
	return true;
}

/* Contract 1 and 5.2: a file of another purpose is refused; a missing one is, or fails the
 * batch. */
bool batch_input_check(struct request *rq, const struct batch *b, bool *ret_missing,
		       struct error *err)
{
	const struct api_config *config = &rq->api->config;
	struct file f;

	*ret_missing = false;
	if (store_file_get(rq->api->store, rq->key.org, b->input_file_id, b->created_at, &f, err)) {
		if (f.purpose == PURPOSE_BATCH)
			return true;
		return fail_param(
			err, "input_file_id", "invalid_value",
			"Invalid value for 'input_file_id': the file '%s' has the purpose "
			"'%s', not 'batch'.",
			b->input_file_id, file_purpose_name(f.purpose));
	}
	if (err->kind != ERR_NOT_FOUND)
		return false;
	*ret_missing = true;
	if (!config->missing_input_refused)
		return true;
	return fail_param(err, "input_file_id", "invalid_value",
			  "Invalid value for 'input_file_id': there is no file '%s'.",
			  b->input_file_id);
}

static bool batch_make(struct request *rq, struct batch *b, struct http_response *r,
		       struct error *err)
{
	struct api *api = rq->api;
	char id[ID_SIZE];

	bool missing;

	if (!batch_input_check(rq, b, &missing, err))
		return false;
	id_batch(b->id);
	if (b->output_expires_after_s == 0)
		b->output_expires_after_s = (int64_t)api->config.result_expires_after_s;
	if (!store_batch_insert(api->store, b, &rq->claim.call, !api->config.missing_input_refused,
				limit_of(rq, LIMIT_OPEN_BATCHES), id, err)) {
		batches_full(err, r);
		return false;
	}
	if (strcmp(id, b->id) != 0)
		return batch_made_before(rq, id, r, err);
	batch_made(rq, b, r);
	return true;
}

void batch_trace_read(const struct request *rq, struct batch *ret)
{
	const char *given = http_request_header(rq->http, "traceparent");
	struct trace_context c;

	_Static_assert(sizeof(ret->traceparent) == TRACEPARENT_BYTES + 1, "it fits");
	if (given != NULL && trace_context_read(slice_of(given), &c))
		trace_context_write(&c, ret->traceparent);
}

bool batches_create(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_done) struct batch b = { .status = BATCH_VALIDATING };
	AUTO(buf_free) struct buf content = BUF(JSON_BODY_MAX + 4096);
	uint64_t window_s;
	char first[ID_SIZE];

	if (!create_read(buf_slice(&rq->body), &rq->api->config, &b, &window_s, err))
		return false;
	memcpy(b.org, rq->key.org, sizeof(b.org));
	b.created_at = sys.now_s();
	b.expires_at = b.created_at + (int64_t)window_s;
	batch_trace_read(rq, &b);
	create_content(&b, &content);
	if (content.failed)
		return fail_memory(err);
	if (!repeat_find(rq, buf_slice(&content), r, first, err))
		return false;
	if (first[0] != '\0')
		return batch_made_before(rq, first, r, err);
	return batch_make(rq, &b, r, err);
}

/* ---- get, list ---- */

static bool batch_answer(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_view_done) struct batch_view v = { 0 };

	if (!store_batch_get(rq->api->store, rq->key.org, rq->object_id, &v.row, err))
		return false;
	batch_show(rq->api, &v, &r->body);
	return true;
}

bool batches_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(batch_view_done) struct batch_view v = { 0 };
	bool waits;

	if (!store_batch_get(rq->api->store, rq->key.org, rq->object_id, &v.row, err) ||
	    !events_wait(rq, &v.row, &waits, r, err))
		return false;
	if (!waits)
		batch_show(rq->api, &v, &r->body);
	return true;
}

struct list_answer {
	size_t n; /* written */
	char first[ID_SIZE], last[ID_SIZE];
	char found_last[ID_SIZE]; /* the last that was found, written or not */
	bool more;
};

/* One that has gone on, since it was found, to a status that is not asked for is left out. */
static void list_put(struct request *rq, const struct batch_query *q, struct batch_view *v,
		     struct list_answer *list, struct buf *to)
{
	batch_look(rq->api, v);
	memcpy(list->found_last, v->row.id, sizeof(list->found_last));
	if (q->statuses != 0 && !(q->statuses >> v->row.status & 1))
		return;
	if (list->n == 0)
		memcpy(list->first, v->row.id, sizeof(list->first));
	memcpy(list->last, v->row.id, sizeof(list->last));
	list_item(to, list->n++);
	batch_write(to, v);
}

static bool list_page(struct request *rq, const struct batch_query *q, struct list_answer *list,
		      struct buf *to, struct error *err)
{
	struct batch *found;
	size_t n;

	if (!store_batch_list(rq->api->store, q, &found, &n, &list->more, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct batch_view v = { .row = found[i] };
		list_put(rq, q, &v, list, to);
		batch_view_done(&v);
	}
	free(found);
	return true;
}

bool batches_list(struct request *rq, struct http_response *r, struct error *err)
{
	struct batch_filter filter;
	struct batch_query *q = &filter.query;
	struct list_answer list = { 0 };
	struct page page;

	if (!page_read(rq->http, LIMIT_MAX, LIMIT_DEFAULT, &page, err) ||
	    !filter_read(rq->http, &filter, err))
		return false;
	q->org = rq->key.org;
	q->after = page.after;
	q->limit = page.limit;
	list_begin(&r->body);
	do { /* no page is empty while there are more (contract 10) */
		if (!list_page(rq, q, &list, &r->body, err))
			return false;
		q->after = list.found_last;
	} while (list.n == 0 && list.more);
	list_end(&r->body, list.first, list.last, list.more);
	return true;
}

/* ---- cancel, hold, resume ---- */

bool batch_refuse(struct request *rq, const char *verb, enum batch_status status,
		  struct http_response *r, struct error *err)
{
	if (is_openai(rq))
		http_header(r, "x-should-retry", "false"); /* SDKs retry a 409 by themselves */
	return fail(err, is_openai(rq) ? ERR_CONFLICT : ERR_INVALID,
		    "Cannot %s a batch with status '%s'.", verb, batch_status_name(status));
}

static bool fail_final(struct request *rq, const char *verb, struct http_response *r,
		       struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };

	if (!store_batch_get(rq->api->store, rq->key.org, rq->object_id, &b, err))
		return false;
	return batch_refuse(rq, verb, b.status, r, err);
}

/* Contract 5: no body, or an empty object. What an object holds is ignored. */
static bool check_no_body(struct slice body, struct error *err)
{
	if (body.n == 0 || members_find(body, NULL, 0))
		return true;
	return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
}

bool batches_cancel(struct request *rq, struct http_response *r, struct error *err)
{
	bool final;

	if (!check_no_body(buf_slice(&rq->body), err) ||
	    !pipeline_cancel(rq->api->pipeline, rq->key.org, rq->object_id, &final, err))
		return false;
	return final ? fail_final(rq, "cancel", r, err) : batch_answer(rq, r, err);
}

/* Contract 11.3. Who did it is in the log. */
static bool batch_hold(struct request *rq, bool held, struct http_response *r, struct error *err)
{
	bool final, changed;

	if (!check_no_body(buf_slice(&rq->body), err) ||
	    !pipeline_hold(rq->api->pipeline, rq->key.org, rq->object_id, held, &final, &changed,
			   err))
		return false;
	if (final)
		return fail_final(rq, held ? "hold" : "resume", r, err);
	if (changed)
		log_info(held ? "batch.hold_asked" : "batch.resume_asked",
			 kv_str("batch", rq->object_id), kv_str("org", rq->key.org),
			 kv_str("key", rq->key.id));
	return batch_answer(rq, r, err);
}

bool batches_hold(struct request *rq, struct http_response *r, struct error *err)
{
	return batch_hold(rq, true, r, err);
}

bool batches_resume(struct request *rq, struct http_response *r, struct error *err)
{
	return batch_hold(rq, false, r, err);
}
