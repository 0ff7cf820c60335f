/* batches.c: the columns. */
#include "terminal/batches.h"

#include <inttypes.h>

#include "terminal/cells.h"
#include "terminal/member.h"
#include "terminal/meter.h"
#include "terminal/text.h"
#include "terminal/words.h"

/* ---- what a batch is ---- */

static uint64_t lines(const json_t *batch, const char *path)
{
	int64_t n = member_integer(batch, path);

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t batch_lines_unanswered(const json_t *batch)
{
	return lines(batch, "request_counts.failed") + lines(batch, "lowtide.expired") +
	       lines(batch, "lowtide.cancelled");
}

uint64_t batch_lines_ended(const json_t *batch)
{
	return lines(batch, "request_counts.completed") + batch_lines_unanswered(batch);
}

static bool is(const json_t *batch, const char *status)
{
	return strcmp(member_string(batch, "status"), status) == 0;
}

bool batch_has_ended(const json_t *batch)
{
	static const char *const states[] = { "completed", "failed", "expired", "cancelled" };
	const char *status = member_string(batch, "status");

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(status, states[i]) == 0)
			return true;
	return false;
}

int64_t batch_ended_at(const json_t *batch)
{
	char path[32];

	if (!batch_has_ended(batch))
		return 0;
	snprintf(path, sizeof(path), "%s_at", member_string(batch, "status"));
	return member_integer(batch, path);
}

enum tty_color batch_color(const json_t *batch)
{
	if (is(batch, "failed") || is(batch, "expired"))
		return COLOR_RED;
	if (is(batch, "cancelled"))
		return COLOR_DIM;
	if (is(batch, "completed"))
		return batch_lines_unanswered(batch) > 0 ? COLOR_YELLOW : COLOR_GREEN;
	return member_at(batch, "lowtide.stall_reason") != NULL ? COLOR_YELLOW : COLOR_NONE;
}

static void put_string(struct buf *to, const json_t *object, const char *path)
{
	text_plain(to, slice_of(member_string(object, path)));
}

static void put_number(struct buf *to, uint64_t value)
{
	char words[WORDS_BYTES];

	words_number((int64_t)value, words);
	buf_text(to, words);
}

void batch_put_stall(struct buf *to, const json_t *batch)
{
	if (member_at(batch, "lowtide.stall_reason") == NULL)
		return;
	if (member_at(batch, "lowtide.stall_message") != NULL)
		put_string(to, batch, "lowtide.stall_message");
	else
		put_string(to, batch, "lowtide.stall_reason");
}

void batch_put_metadata(struct buf *to, const json_t *batch, char between)
{
	json_t *metadata = (json_t *)member_at(batch, "metadata"), *value;
	const char *key;
	bool first = true;

	json_object_foreach(metadata, key, value)
	{
		if (!first)
			buf_char(to, between);
		text_plain(to, slice_of(key));
		buf_char(to, '=');
		member_put(to, value);
		first = false;
	}
}

/* ---- in a list ---- */

static void put_status(struct table_cell *cell, const json_t *batch)
{
	put_string(cell->text, batch, "status");
	if (member_at(batch, "lowtide.stall_reason") != NULL) {
		buf_text(cell->text, ": ");
		put_string(cell->text, batch, "lowtide.stall_reason");
	}
	cell->color = batch_color(batch);
}

static void put_percent(struct table_cell *cell, const json_t *batch)
{
	uint64_t total = lines(batch, "request_counts.total"), done = batch_lines_ended(batch);

	if (total > 0 && done <= total)
		buf_printf(cell->text, "%u%%", (unsigned)((double)done * 100 / (double)total));
}

static void put_unanswered(struct table_cell *cell, const json_t *batch)
{
	put_number(cell->text, batch_lines_unanswered(batch));
	if (batch_lines_unanswered(batch) > 0)
		cell->color = COLOR_RED;
}

static void put_end_age(struct table_cell *cell, const json_t *batch)
{
	int64_t at = batch_has_ended(batch) ? batch_ended_at(batch)
					    : member_integer(batch, "lowtide.eta_at");
	char words[WORDS_BYTES];

	if (at == 0)
		return;
	words_age(at, cell->now_s, words);
	buf_text(cell->text, words);
	if (member_true(batch, "lowtide.at_risk"))
		cell->color = COLOR_RED;
}

static void put_metadata(struct table_cell *cell, const json_t *batch)
{
	batch_put_metadata(cell->text, batch, ' ');
}

static const struct table_column list_columns[] = {
	{ "ID", "id" },
	{ "STATUS", .put = put_status },
	{ "DONE", .put = put_percent, .right = true },
	{ "LINES", "request_counts.total", TABLE_NUMBER, .gives_way = 3 },
	{ "UNANSWERED", .put = put_unanswered, .right = true, .gives_way = 4 },
	{ "CREATED", "created_at", TABLE_AGE, .gives_way = 2 },
	{ "ENDS", .put = put_end_age, .gives_way = 1 },
	{ "MODEL", "model", .gives_way = 5, .shrinks = true },
	{ "METADATA", .put = put_metadata, .gives_way = 6, .shrinks = true },
};

/* ---- one, whole ---- */

static void put_count(struct buf *to, const json_t *batch, const char *path, const char *what)
{
	uint64_t n = lines(batch, path);

	if (n == 0)
		return;
	buf_text(to, ", ");
	put_number(to, n);
	buf_printf(to, " %s", what);
}

static void put_lines(struct table_cell *cell, const json_t *batch)
{
	uint64_t total = lines(batch, "request_counts.total"), done = batch_lines_ended(batch);

	if (total == 0)
		return;
	put_number(cell->text, done);
	buf_text(cell->text, " of ");
	put_number(cell->text, total);
	if (done <= total)
		buf_printf(cell->text, " (%u%%)", (unsigned)((double)done * 100 / (double)total));
	put_count(cell->text, batch, "request_counts.completed", "completed");
	put_count(cell->text, batch, "request_counts.failed", "failed");
	put_count(cell->text, batch, "lowtide.expired", "expired");
	put_count(cell->text, batch, "lowtide.cancelled", "cancelled");
	put_count(cell->text, batch, "lowtide.running", "running");
	put_count(cell->text, batch, "lowtide.pending", "pending");
}

static void put_stall(struct table_cell *cell, const json_t *batch)
{
	batch_put_stall(cell->text, batch);
	cell->color = COLOR_YELLOW;
}

static void put_rate(struct table_cell *cell, const json_t *batch)
{
	double rate = member_real(batch, "lowtide.rate_per_s");
	char words[24];

	if (rate <= 0 || batch_has_ended(batch))
		return;
	meter_rate(rate, words);
	buf_printf(cell->text, "%s lines/s", words);
}

static void put_eta(struct table_cell *cell, const json_t *batch)
{
	if (member_integer(batch, "lowtide.eta_at") == 0)
		return;
	cell_time(cell, member_integer(batch, "lowtide.eta_at"));
	if (!member_true(batch, "lowtide.at_risk"))
		return;
	buf_text(cell->text, ", after the window has ended");
	cell->color = COLOR_RED;
}

static void put_ahead(struct table_cell *cell, const json_t *batch)
{
	if (lines(batch, "lowtide.queue_position") > 0)
		put_number(cell->text, lines(batch, "lowtide.queue_position"));
}

static void put_window(struct table_cell *cell, const json_t *batch)
{
	put_string(cell->text, batch, "completion_window");
	if (member_integer(batch, "expires_at") == 0)
		return;
	buf_text(cell->text, ", until ");
	cell_time(cell, member_integer(batch, "expires_at"));
}

static void put_ended(struct table_cell *cell, const json_t *batch)
{
	int64_t end = batch_ended_at(batch), start = member_integer(batch, "in_progress_at");
	char span[24];

	if (end == 0)
		return;
	cell_time(cell, end);
	if (start == 0 || end < start)
		return;
	meter_span(end - start, span);
	buf_printf(cell->text, ", after %s", span);
}

static void put_part(struct buf *to, const json_t *batch, const char *path, const char *what)
{
	if (lines(batch, path) == 0)
		return;
	buf_text(to, " (");
	put_number(to, lines(batch, path));
	buf_printf(to, " %s)", what);
}

static void put_tokens(struct table_cell *cell, const json_t *batch)
{
	if (lines(batch, "usage.total_tokens") == 0)
		return;
	put_number(cell->text, lines(batch, "usage.input_tokens"));
	buf_text(cell->text, " in");
	put_part(cell->text, batch, "usage.input_tokens_details.cached_tokens", "cached");
	buf_text(cell->text, ", ");
	put_number(cell->text, lines(batch, "usage.output_tokens"));
	buf_text(cell->text, " out");
	put_part(cell->text, batch, "usage.output_tokens_details.reasoning_tokens", "reasoning");
}

static void put_cost(struct table_cell *cell, const json_t *batch)
{
	cell_cost(cell, member_at(batch, "lowtide.cost"));
}

static void put_metadata_lines(struct table_cell *cell, const json_t *batch)
{
	batch_put_metadata(cell->text, batch, '\n');
}

static void put_top_errors(struct table_cell *cell, const json_t *batch)
{
	const json_t *errors = member_at(batch, "lowtide.top_errors");
	const json_t *entry;
	size_t i;

	json_array_foreach((json_t *)errors, i, entry)
	{
		put_number(cell->text, lines(entry, "count"));
		buf_text(cell->text, " times ");
		put_string(cell->text, entry, "code");
		buf_printf(cell->text, ", such as line %" PRIu64 "\n",
			   lines(entry, "example_line"));
	}
	cell->color = COLOR_RED;
}

static void put_errors(struct table_cell *cell, const json_t *batch)
{
	cell_errors(cell, member_at(batch, "errors.data"));
}

/* What to do with it. */
static void put_next(struct table_cell *cell, const json_t *batch)
{
	const char *stall = member_string(batch, "lowtide.stall_reason");
	const char *call = "watch";

	if (strcmp(stall, "held") == 0)
		call = "resume";
	else if (is(batch, "failed") && lines(batch, "request_counts.total") == 0)
		return; /* its input is to be mended */
	else if (batch_has_ended(batch))
		call = batch_lines_unanswered(batch) > 0 ? "retry" : "results";
	buf_printf(cell->text, "lowtide %s ", call);
	put_string(cell->text, batch, "id");
	if (strcmp(call, "retry") == 0)
		buf_text(cell->text, " (runs what has no answer, as a batch of its own)");
}

static const struct table_column object_columns[] = {
	{ "id", "id" },
	{ "status", .put = put_status },
	{ "waits", .put = put_stall },
	{ "lines", .put = put_lines },
	{ "speed", .put = put_rate },
	{ "ends", .put = put_eta },
	{ "batches ahead", .put = put_ahead },
	{ "top errors", .put = put_top_errors },
	{ "errors", .put = put_errors },
	{ "model", "model" },
	{ "endpoint", "endpoint" },
	{ "window", .put = put_window },
	{ "created", "created_at", TABLE_TIME },
	{ "started", "in_progress_at", TABLE_TIME },
	{ "ended", .put = put_ended },
	{ "tokens", .put = put_tokens },
	{ "cost", .put = put_cost },
	{ "metadata", .put = put_metadata_lines },
	{ "retried from", "lowtide.retried_from" },
	{ "input", "input_file_id" },
	{ "output", "output_file_id" },
	{ "error file", "error_file_id" },
	{ "next", .put = put_next },
};
_Static_assert(ARRAY_LEN(object_columns) <= TABLE_COLUMNS_MAX, "a table has room");

static const struct table_column brief_columns[] = {
	{ "id", "id" },
	{ "status", .put = put_status },
	{ "waits", .put = put_stall },
	{ "lines", .put = put_lines },
	{ "retried from", "lowtide.retried_from" },
	{ "next", .put = put_next },
};

/* Scripts count these: new ones come at the end. */
static const char *const plain_paths[] = {
	"id",
	"status",
	"request_counts.total",
	"request_counts.completed",
	"request_counts.failed",
	"lowtide.expired",
	"lowtide.cancelled",
	"lowtide.running",
	"lowtide.pending",
	"created_at",
	"expires_at",
	"lowtide.eta_at",
	"lowtide.stall_reason",
	"model",
	"endpoint",
	"input_file_id",
	"output_file_id",
	"error_file_id",
	NULL,
};

const struct output_layout batches_layout = {
	.list = list_columns,
	.list_count = ARRAY_LEN(list_columns),
	.object = object_columns,
	.object_count = ARRAY_LEN(object_columns),
	.plain = plain_paths,
	.none = "no batches",
};

const struct output_layout batch_brief_layout = {
	.list = list_columns,
	.list_count = ARRAY_LEN(list_columns),
	.object = brief_columns,
	.object_count = ARRAY_LEN(brief_columns),
	.plain = plain_paths,
	.none = "no batches",
};
