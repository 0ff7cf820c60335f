/* estimate.c: see estimate.h. */
#include "terminal/estimate.h"

#include "terminal/cells.h"
#include "terminal/file_send.h"
#include "terminal/member.h"
#include "terminal/report.h"
#include "terminal/sent.h"
#include "terminal/text.h"

/* ---- how it is shown ---- */

static void put_models(struct table_cell *cell, const json_t *e)
{
	const json_t *models = member_at(e, "models");

	for (size_t i = 0; i < json_array_size(models); i++) {
		buf_text(cell->text, i > 0 ? ", " : "");
		member_put(cell->text, json_array_get(models, i));
	}
}

static void put_cost(struct table_cell *cell, const json_t *e)
{
	cell_cost(cell, member_at(e, "cost"));
}

static void put_end(struct table_cell *cell, const json_t *e)
{
	if (member_integer(e, "eta_at") == 0)
		return;
	cell_time(cell, member_integer(e, "eta_at"));
	if (!member_true(e, "at_risk"))
		return;
	buf_text(cell->text, ", after the window has ended: choose a longer --window");
	cell->color = COLOR_RED;
}

static void put_errors(struct table_cell *cell, const json_t *e)
{
	cell_errors(cell, member_at(e, "errors"));
}

static const struct table_column columns[] = {
	{ "lines", "lines", TABLE_NUMBER },
	{ "models", .put = put_models },
	{ "tokens in", "input_tokens", TABLE_NUMBER },
	{ "tokens out", "output_tokens", TABLE_NUMBER },
	{ "cost", .put = put_cost },
	{ "starts", "starts_at", TABLE_TIME },
	{ "ends", .put = put_end },
	{ "errors", .put = put_errors },
	{ "file", "file_id" },
};
static const char *const plain_paths[] = { "lines",       "input_tokens",  "output_tokens",
					   "cost.amount", "cost.currency", "starts_at",
					   "eta_at",      "at_risk",       "file_id",
					   NULL };
static const struct output_layout estimate_layout = {
	.list = columns,
	.list_count = ARRAY_LEN(columns),
	.plain = plain_paths,
	.none = "no estimate",
};

/* ---- the calls ---- */

/* *ret: the caller's. With `keep` the answer names the file, too. */
static bool ask(struct remote *r, const struct estimate_options *o, const char *file_id,
		const char *endpoint, json_t **ret, struct error *err)
{
	json_t *body = json_pack("{s:s, s:s, s:s}", "input_file_id", file_id, "endpoint", endpoint,
				 "completion_window", o->window);
	const struct remote_request q = {
		.method = "POST", .path = "/batches/estimate", .body = body, .again = true
	};

	if (body == NULL)
		return fail(err, ERR_INVALID, "an option is not UTF-8");
	bool good = remote_json(r, &q, ret, err);
	json_decref(body);
	if (good && o->keep)
		json_object_set_new(*ret, "file_id", json_string(file_id));
	return good;
}

static bool on_keep(void *ctx, struct error *err)
{
	return sent_note(ctx, err);
}

/* A file that cannot be deleted takes nothing from the estimate. */
static bool estimate_path(struct remote *r, const struct estimate_options *o, json_t **ret,
			  struct error *err)
{
	struct upload_state state = { 0 };
	struct request_file in = REQUEST_FILE_CLOSED;

	if (!request_file_open(o->file, &in, err))
		return false;
	sent_begin();
	bool good = file_send(
		r, &in, &(struct upload_job){ .state = &state, .keep = on_keep, .ctx = &state },
		err);
	if (!good) {
		upload_forget(r, &state);
	} else {
		good = ask(r, o, state.file_id, request_file_endpoint(&in, o->endpoint), ret, err);
		if (!o->keep || !good)
			sent_delete(r, state.file_id);
	}
	sent_release();
	upload_state_done(&state);
	request_file_close(&in);
	return good;
}

static bool is_file_id(const char *text)
{
	return strncmp(text, "file-", 5) == 0 && access(text, F_OK) != 0;
}

static bool estimate_run(const struct estimate_options *o, json_t **ret, struct error *err)
{
	struct remote *r;
	bool good;

	if (!sent_guard(&o->asked, err) || !asked_open(&o->asked, &r, err))
		return false;
	if (is_file_id(o->file))
		good = ask(r, o, o->file, request_file_endpoint(NULL, o->endpoint), ret, err);
	else
		good = estimate_path(r, o, ret, err);
	remote_close(r);
	return good;
}

int ask_estimate(const struct estimate_options *o)
{
	json_t *answer = NULL;
	struct output out;
	struct error err;

	output_open(&out, o->asked.form);
	bool good = estimate_run(o, &answer, &err) &&
		    output_object(&out, &estimate_layout, answer, &err);
	bool runs = good && json_array_size(member_at(answer, "errors")) == 0;
	json_decref(answer);
	if (!good)
		report(&err);
	return good ? (runs ? EXIT_GOOD : EXIT_FAULT) : exit_code(&err);
}
