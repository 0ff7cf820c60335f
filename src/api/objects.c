/* objects.c: written straight into the answer; all texts but metadata, errors and names are ours. */
#include "api/objects.h"

/* ---- members: ,"name":value ---- */

static void name(struct buf *to, const char *text)
{
	bool first = to->n == 0 || to->p[to->n - 1] == '{';

	if (!first)
		buf_char(to, ',');
	buf_printf(to, "\"%s\":", text);
}

static void put_text(struct buf *to, const char *member, const char *text)
{
	name(to, member);
	buf_json_string(to, slice_of(text));
}

/* NULL and "" are null: never an empty id (contract 2.1). */
static void put_text_or_null(struct buf *to, const char *member, const char *text)
{
	name(to, member);
	if (text == NULL || text[0] == '\0')
		buf_text(to, "null");
	else
		buf_json_string(to, slice_of(text));
}

static void put_u64(struct buf *to, const char *member, uint64_t value)
{
	name(to, member);
	buf_u64(to, value);
}

/* Unix seconds; 0 is not set. */
static void put_time(struct buf *to, const char *member, int64_t at)
{
	name(to, member);
	if (at == 0)
		buf_text(to, "null");
	else
		buf_printf(to, "%lld", (long long)at);
}

/* `json` is valid JSON or NULL. */
static void put_json(struct buf *to, const char *member, const char *json)
{
	name(to, member);
	buf_text(to, json != NULL ? json : "null");
}

static void object_begin(struct buf *to, const char *member)
{
	if (member != NULL)
		name(to, member);
	buf_char(to, '{');
}

static void object_end(struct buf *to)
{
	buf_char(to, '}');
}

/* ---- file ---- */

/* `status` is always "processed": clients wait for it, and a file is checked when it is in. */
void file_write(struct buf *to, const struct file *f)
{
	object_begin(to, NULL);
	put_text(to, "id", f->id);
	put_text(to, "object", "file");
	put_u64(to, "bytes", f->bytes);
	put_time(to, "created_at", f->created_at);
	put_text(to, "filename", f->filename);
	put_text(to, "purpose", file_purpose_name(f->purpose));
	put_text(to, "status", "processed");
	put_json(to, "status_details", NULL);
	put_time(to, "expires_at", f->expires_at);
	object_end(to);
}

/* ---- batch ---- */

static void put_errors(struct buf *to, const char *data)
{
	if (data == NULL) {
		put_json(to, "errors", NULL);
		return;
	}
	object_begin(to, "errors");
	put_text(to, "object", "list");
	put_json(to, "data", data);
	object_end(to);
}

static void put_counts(struct buf *to, const struct counts *c)
{
	object_begin(to, "request_counts");
	put_u64(to, "total", c->total);
	put_u64(to, "completed", c->completed);
	put_u64(to, "failed", c->failed);
	object_end(to);
}

static void put_usage(struct buf *to, const struct usage *u)
{
	object_begin(to, "usage");
	put_u64(to, "input_tokens", u->input);
	object_begin(to, "input_tokens_details");
	put_u64(to, "cached_tokens", u->cached);
	object_end(to);
	put_u64(to, "output_tokens", u->output);
	object_begin(to, "output_tokens_details");
	put_u64(to, "reasoning_tokens", u->reasoning);
	object_end(to);
	put_u64(to, "total_tokens", u->total);
	object_end(to);
}

static void put_causes(struct buf *to, const struct causes *c)
{
	struct cause top[CAUSES_TOP];
	unsigned n = causes_top(c, top);
	name(to, "top_errors");
	buf_char(to, '[');
	for (unsigned i = 0; i < n; i++) {
		char code[CAUSE_NAME_BYTES];
		cause_name(top[i].code, code);
		if (i > 0)
			buf_char(to, ',');
		object_begin(to, NULL);
		put_text(to, "code", code);
		put_u64(to, "count", top[i].count);
		put_u64(to, "example_line", top[i].line);
		object_end(to);
	}
	buf_char(to, ']');
}

static void put_lowtide(struct buf *to, const struct progress *p)
{
	object_begin(to, "lowtide");
	put_u64(to, "pending", p->pending);
	put_u64(to, "running", p->running);
	put_u64(to, "expired", p->counts.expired);
	put_u64(to, "cancelled", p->counts.cancelled);
	put_u64(to, "retried", p->counts.retried);
	name(to, "rate_per_s");
	buf_printf(to, "%.3f", p->rate_per_s);
	put_time(to, "eta_at", p->eta_at);
	put_json(to, "at_risk", p->at_risk ? "true" : "false");
	if (p->queue_position < 0)
		put_json(to, "queue_position", NULL);
	else
		put_u64(to, "queue_position", (uint64_t)p->queue_position);
	put_text_or_null(to, "stall_reason", stall_words(p->stall)->api);
	put_text_or_null(to, "stall_message", p->stall_message);
	put_causes(to, &p->causes);
	object_end(to);
}

/* The states that have a time of their own, in the order of the vendors' objects. */
static const struct {
	enum batch_status status;
	const char *member;
} stamps[] = {
	{ BATCH_IN_PROGRESS, "in_progress_at" }, { BATCH_FINALIZING, "finalizing_at" },
	{ BATCH_COMPLETED, "completed_at" },     { BATCH_FAILED, "failed_at" },
	{ BATCH_EXPIRED, "expired_at" },         { BATCH_CANCELLING, "cancelling_at" },
	{ BATCH_CANCELLED, "cancelled_at" },
};

void batch_write(struct buf *to, const struct batch *b, const struct progress *p)
{
	/* A client may read a result file as soon as it sees its id (contract 6). */
	bool final = batch_is_final(b->status);

	object_begin(to, NULL);
	put_text(to, "id", b->id);
	put_text(to, "object", "batch");
	put_text(to, "endpoint", b->endpoint);
	put_text_or_null(to, "model", b->model);
	put_errors(to, b->errors);
	put_text(to, "input_file_id", b->input_file_id);
	put_text(to, "completion_window", b->completion_window);
	put_text(to, "status", batch_status_name(b->status));
	put_text_or_null(to, "output_file_id", final ? b->output_file_id : NULL);
	put_text_or_null(to, "error_file_id", final ? b->error_file_id : NULL);
	put_time(to, "created_at", b->created_at);
	put_time(to, "expires_at", b->expires_at);
	for (size_t i = 0; i < ARRAY_LEN(stamps); i++)
		put_time(to, stamps[i].member, b->at[stamps[i].status]);
	put_counts(to, &p->counts);
	put_usage(to, &p->usage);
	put_json(to, "metadata", b->metadata);
	put_lowtide(to, p);
	object_end(to);
}

/* ---- list ---- */

void list_begin(struct buf *to)
{
	buf_text(to, "{\"object\":\"list\",\"data\":[");
}

void list_item(struct buf *to, size_t number)
{
	if (number > 0)
		buf_char(to, ',');
}

void list_end(struct buf *to, const char *first, const char *last, bool more)
{
	buf_char(to, ']');
	put_text_or_null(to, "first_id", first);
	put_text_or_null(to, "last_id", last);
	put_json(to, "has_more", more ? "true" : "false");
	object_end(to);
}
