/* objects.c: tables of the members; all texts but metadata, errors and names are ours. */
#include "api/objects.h"

#include "api/layout.h"

/* ---- file ---- */

#define FILE_COLUMN(member) COLUMN(struct file, member)

static void put_purpose(struct buf *to, const void *row)
{
	const struct file *f = row;

	buf_json_string(to, slice_of(file_purpose_name(f->purpose)));
}

/* `status` is always "processed": clients wait for it, and a file is checked when it is in. */
static const struct json_member file_members[] = {
	{ "id", FILE_COLUMN(id) },
	{ "object", .literal = "\"file\"" },
	{ "bytes", FILE_COLUMN(bytes) },
	{ "created_at", FILE_COLUMN(created_at), FORM_NULL_IF_ZERO },
	{ "filename", FILE_COLUMN(filename) },
	{ "purpose", .write = put_purpose },
	{ "status", .literal = "\"processed\"" },
	{ "status_details", .literal = "null" },
	{ "expires_at", FILE_COLUMN(expires_at), FORM_NULL_IF_ZERO },
};

void file_write(struct buf *to, const struct file *f)
{
	object_write(to, file_members, ARRAY_LEN(file_members), f);
}

/* ---- batch ---- */

#define B(member) COLUMN(struct batch_view, member)

static const struct json_member error_members[] = {
	{ "object", .literal = "\"list\"" },
	{ "data", B(row.errors), FORM_JSON },
};

static void put_errors(struct buf *to, const void *row)
{
	const struct batch_view *v = row;

	if (v->row.errors == NULL)
		buf_text(to, "null");
	else
		object_write(to, error_members, ARRAY_LEN(error_members), v);
}

static void put_status(struct buf *to, const void *row)
{
	const struct batch_view *v = row;

	buf_json_string(to, slice_of(batch_status_name(v->row.status)));
}

/* A client may read a result file as soon as it sees its id (contract 6); never an empty one
 * (2.1). */
static void put_result_file(struct buf *to, const struct batch_view *v, const char *id)
{
	if (batch_is_final(v->row.status) && id[0] != '\0')
		buf_json_string(to, slice_of(id));
	else
		buf_text(to, "null");
}

static void put_output_file(struct buf *to, const void *row)
{
	const struct batch_view *v = row;

	put_result_file(to, v, v->row.output_file_id);
}

static void put_error_file(struct buf *to, const void *row)
{
	const struct batch_view *v = row;

	put_result_file(to, v, v->row.error_file_id);
}

static void put_stall_reason(struct buf *to, const void *row)
{
	const struct batch_view *v = row;
	const char *word = stall_words(v->stall)->api;

	if (word == NULL)
		buf_text(to, "null");
	else
		buf_json_string(to, slice_of(word));
}

static const char *const holds[] = {
	[BATCH_GOES_ON] = "null",
	[BATCH_HELD] = "\"client\"",
	[BATCH_CANARY] = "\"canary\"",
};

static void put_held_by(struct buf *to, const void *row)
{
	const struct batch_view *v = row;

	buf_text(to, holds[batch_is_final(v->row.status) ? BATCH_GOES_ON : v->row.hold]);
}

static void put_code(struct buf *to, const void *row)
{
	const struct cause *c = row;
	char code[CAUSE_NAME_BYTES];

	cause_name(c->code, code);
	buf_json_string(to, slice_of(code));
}

static const struct json_member cause_members[] = {
	{ "code", .write = put_code },
	{ "count", COLUMN(struct cause, count) },
	{ "example_line", COLUMN(struct cause, line) },
};

static void put_causes(struct buf *to, const void *row)
{
	const struct batch_view *v = row;
	struct cause top[CAUSES_TOP];
	unsigned n = causes_top(&v->causes, top);

	array_write(to, cause_members, ARRAY_LEN(cause_members), top, n, sizeof(top[0]));
}

static const struct json_member cost_members[] = {
	{ "amount", COLUMN(struct batch_view, cost.amount), .decimals = 6 },
	{ "currency", COLUMN(struct batch_view, cost.currency) },
};

static void put_cost(struct buf *to, const void *row)
{
	const struct batch_view *v = row;

	if (v->cost.currency[0] == '\0')
		buf_text(to, "null");
	else
		object_write(to, cost_members, ARRAY_LEN(cost_members), v);
}

/* Every member always; the states that have a time of their own in the order of the vendors'
 * objects. */
static const struct json_member batch_members[] = {
	{ "id", B(row.id) },
	{ "object", .literal = "\"batch\"" },
	{ "endpoint", B(row.endpoint) },
	{ "model", B(row.model), FORM_NULL_IF_ZERO },
	{ "errors", .write = put_errors },
	{ "input_file_id", B(row.input_file_id) },
	{ "completion_window", B(row.completion_window) },
	{ "status", .write = put_status },
	{ "output_file_id", .write = put_output_file },
	{ "error_file_id", .write = put_error_file },
	{ "created_at", B(row.created_at), FORM_NULL_IF_ZERO },
	{ "expires_at", B(row.expires_at), FORM_NULL_IF_ZERO },
	{ "in_progress_at", B(row.at[BATCH_IN_PROGRESS]), FORM_NULL_IF_ZERO },
	{ "finalizing_at", B(row.at[BATCH_FINALIZING]), FORM_NULL_IF_ZERO },
	{ "completed_at", B(row.at[BATCH_COMPLETED]), FORM_NULL_IF_ZERO },
	{ "failed_at", B(row.at[BATCH_FAILED]), FORM_NULL_IF_ZERO },
	{ "expired_at", B(row.at[BATCH_EXPIRED]), FORM_NULL_IF_ZERO },
	{ "cancelling_at", B(row.at[BATCH_CANCELLING]), FORM_NULL_IF_ZERO },
	{ "cancelled_at", B(row.at[BATCH_CANCELLED]), FORM_NULL_IF_ZERO },
	{ "request_counts", .form = FORM_OBJECT },
	{ "total", B(row.counts.total) },
	{ "completed", B(row.counts.completed) },
	{ "failed", B(row.counts.failed) },
	{ .form = FORM_END },
	{ "usage", .form = FORM_OBJECT },
	{ "input_tokens", B(row.usage.input) },
	{ "input_tokens_details", .form = FORM_OBJECT },
	{ "cached_tokens", B(row.usage.cached) },
	{ .form = FORM_END },
	{ "output_tokens", B(row.usage.output) },
	{ "output_tokens_details", .form = FORM_OBJECT },
	{ "reasoning_tokens", B(row.usage.reasoning) },
	{ .form = FORM_END },
	{ "total_tokens", B(row.usage.total) },
	{ .form = FORM_END },
	{ "metadata", B(row.metadata), FORM_JSON },
	{ "lowtide", .form = FORM_OBJECT },
	{ "pending", B(pending) },
	{ "running", B(running) },
	{ "expired", B(row.counts.expired) },
	{ "cancelled", B(row.counts.cancelled) },
	{ "retried", B(row.counts.retried) },
	{ "rate_per_s", B(rate_per_s), .decimals = 3 },
	{ "eta_at", B(eta_at), FORM_NULL_IF_ZERO },
	{ "at_risk", B(at_risk) },
	{ "queue_position", B(queue_position), FORM_NULL_IF_NEGATIVE },
	{ "stall_reason", .write = put_stall_reason },
	{ "stall_message", B(stall_message), FORM_NULL_IF_ZERO },
	{ "held_by", .write = put_held_by },
	{ "cost", .write = put_cost },
	{ "top_errors", .write = put_causes },
	{ "retried_from", B(row.retried_from), FORM_NULL_IF_ZERO },
	{ .form = FORM_END },
};

void batch_write(struct buf *to, const struct batch_view *v)
{
	object_write(to, batch_members, ARRAY_LEN(batch_members), v);
}

/* ---- list ---- */

struct list_tail {
	const char *first, *last;
	bool more;
};

static const struct json_member tail_members[] = {
	{ "first_id", COLUMN(struct list_tail, first), FORM_NULL_IF_ZERO },
	{ "last_id", COLUMN(struct list_tail, last), FORM_NULL_IF_ZERO },
	{ "has_more", COLUMN(struct list_tail, more) },
};

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
	const struct list_tail tail = { first, last, more };

	buf_text(to, "],");
	members_write(to, tail_members, ARRAY_LEN(tail_members), &tail);
	buf_char(to, '}');
}
