/* run_documents.c: a run of documents: their requests stand in OUT.lowtide/in.jsonl, which is
 * the input of the batch; at the end the answers are put beside the rows. */
#include "cli/run_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/rows_files.h"
#include "rows/labelled.h"
#include "terminal/signals.h"
#include "terminal/text.h"

#define MODEL_WAIT_MS 15000
#define MODEL_LOOK_MS 100
#define MODELS_BYTES_MAX (16u << 20)
#define PIECE_BYTES (64u << 10)

/* ---- the model, where none is named ---- */

/* That of the requests that are there already. */
static bool model_of_requests(struct run *r, struct error *err)
{
	FILE *f = fopen(r->paths.input, "re");
	AUTO(auto_free) char *line = NULL;
	size_t room = 0;

	if (f == NULL)
		return fail_sys(err, errno, "reading %s", r->paths.input);
	bool read = getline(&line, &room, f) > 0;
	fclose(f);
	json_t *request = read ? json_loads(line, 0, NULL) : NULL;
	const json_t *body = json_object_get(request, "body");
	const char *model = json_string_value(json_object_get(body, "model"));
	if (model != NULL)
		r->model = strdup(model);
	json_decref(request);
	return r->model != NULL ||
	       fail(err, ERR_INVALID, "%s: the requests of this run are damaged", r->paths.input);
}

static bool fail_models(const json_t *models, struct error *err)
{
	AUTO(buf_free) struct buf names = BUF(300);
	size_t n = json_array_size(models);

	for (size_t i = 0; i < n; i++) {
		const json_t *id = json_object_get(json_array_get(models, i), "id");

		buf_printf(&names, "%s%s", i > 0 ? ", " : "", json_string_value(id));
	}
	return fail(err, ERR_INVALID,
		    "the upstream serves several models: name one with --model: %.*s",
		    SLICE_ARG(buf_slice(&names)));
}

/* The only one that the upstream lists; *ret_known false: it has not said yet. */
static bool model_look(struct run *r, bool *ret_known, struct error *err)
{
	AUTO(buf_free) struct buf text = BUF(MODELS_BYTES_MAX);

	dispatch_models(pipeline_dispatch(r->pipeline), &text);
	if (text.failed)
		return fail_memory(err);
	json_t *models = json_loadb(text.p, text.n, 0, NULL);
	const json_t *first = json_array_get(models, 0);
	bool good = json_array_size(models) <= 1 || fail_models(models, err);
	*ret_known = first != NULL;
	if (good && first != NULL) {
		r->model = strdup(json_string_value(json_object_get(first, "id")));
		good = r->model != NULL || fail_memory(err);
	}
	json_decref(models);
	return good;
}

/* Asks the upstream, as the pipeline does anyway. */
static bool model_ask(struct run *r, struct error *err)
{
	uint64_t began_ms = sys.monotonic_ms();
	bool known = false;

	if (r->options->pipeline.upstream_count > 1)
		return fail(err, ERR_INVALID,
			    "there are several upstreams: name the model with --model");
	if (!pipeline_open(r->paths.work, &r->options->pipeline, r->store, r->blobs, &r->pipeline,
			   err))
		return false;
	while (!known) {
		if (!model_look(r, &known, err))
			return false;
		if (known)
			break;
		if (sys.monotonic_ms() - began_ms > MODEL_WAIT_MS)
			return fail(
				err, ERR_INVALID,
				"the upstream does not say which models it serves (GET /v1/models; why "
				"stands above): name one with --model, or mend the cause");
		if (signals_wait(MODEL_LOOK_MS) != 0)
			return fail(err, ERR_UNAVAILABLE, "stopped before anything was sent");
	}
	fputs("lowtide: model: ", stderr);
	print_plain(r->model, stderr); /* the upstream's words */
	fputc('\n', stderr);
	return true;
}

static bool model_choose(struct run *r, struct error *err)
{
	if (r->options->documents->request.model != NULL)
		return true;
	return r->continued ? model_of_requests(r, err) : model_ask(r, err);
}

/* ---- the requests ---- */

static bool line_write(void *ctx, struct slice line, struct error *err)
{
	return whole_file_write(ctx, line, err);
}

/* A crash right after it leaves requests and no run.json: the next call makes them again. */
static bool requests_make(struct run *r, const struct prepare_options *options, struct error *err)
{
	struct whole_file to;
	uint64_t rows;

	if (!whole_file_open(&to, r->paths.input, true, err))
		return false;
	bool good = prepare(options, line_write, &to, &rows, err) && whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

struct comparison {
	const struct run *run;
	FILE *there;
	uint64_t line;
};

static bool fail_other(const struct comparison *c, struct error *err)
{
	return fail(
		err, ERR_INVALID,
		"row %" PRIu64
		" is not what this run began with: give it the same documents, prompt, "
		"model and parameters to go on, or remove %s to start over; the answers so far are in "
		"there",
		c->line, c->run->paths.work);
}

static bool line_compare(void *ctx, struct slice line, struct error *err)
{
	struct comparison *c = ctx;
	char piece[PIECE_BYTES];

	c->line++;
	for (size_t at = 0; at < line.n;) {
		size_t n = line.n - at < sizeof(piece) ? line.n - at : sizeof(piece);
		if (fread(piece, 1, n, c->there) != n || memcmp(piece, line.p + at, n) != 0)
			return fail_other(c, err);
		at += n;
	}
	return true;
}

/* The answers so far belong to the requests as they were. */
static bool requests_compare(struct run *r, const struct prepare_options *options,
			     struct error *err)
{
	struct comparison c = { .run = r, .there = fopen(r->paths.input, "re") };
	uint64_t rows;

	if (c.there == NULL)
		return fail_sys(err, errno, "reading %s", r->paths.input);
	bool good = prepare(options, line_compare, &c, &rows, err);
	if (good && fgetc(c.there) != EOF) {
		c.line++;
		good = fail_other(&c, err);
	}
	fclose(c.there);
	return good;
}

bool run_documents_take(struct run *r, struct error *err)
{
	struct prepare_options options = *r->options->documents;

	if (!model_choose(r, err))
		return false;
	options.directory = r->paths.work;
	options.limit = r->options->limit;
	if (options.request.model == NULL)
		options.request.model = r->model;
	signals_end_at_once(); /* nothing that is under way has to be ended */
	bool good = r->continued ? requests_compare(r, &options, err)
				 : requests_make(r, &options, err);
	signals_block();
	return good;
}

/* ---- the answers ---- */

/* A result file of the store, or where it was moved before a crash; "": there is none. */
static bool result_path(const struct run *r, const char *id, const char *moved, char to[PATH_MAX],
			struct error *err)
{
	to[0] = '\0';
	if (id[0] == '\0')
		return true;
	if (snprintf(to, PATH_MAX, "%s/files/%s.jsonl", r->paths.work, id) >= PATH_MAX)
		return fail_sys(err, ENAMETOOLONG, "%s", r->paths.work);
	if (access(to, F_OK) == 0 || moved == NULL)
		return true;
	return slice_copy(slice_of(moved), to, PATH_MAX) ||
	       fail_sys(err, ENAMETOOLONG, "%s", moved);
}

/* How the answers are put beside the rows; results come yet. */
static struct join_options join_how(const struct run *r)
{
	return (struct join_options){
		.documents = r->options->documents->documents,
		.id = r->options->documents->request.id,
		.column = r->options->column,
		.limit = r->options->limit,
		.directory = r->paths.work,
		.texts_as_jsonl = join_is_jsonl(r->paths.output),
	};
}

/* A crash right after it leaves a file, and no run.json: the next call begins anew. */
bool run_documents_earlier(struct run *r, const char *path, struct error *err)
{
	const struct join_options how = join_how(r);
	struct whole_file to;

	if (!whole_file_open(&to, path, true, err))
		return false;
	bool good = labelled_results(&how, r->paths.output, line_write, &to, err) &&
		    whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

static bool join_to(struct run *r, struct whole_file *to, struct error *err)
{
	const struct batch *b = &r->batch.row;
	const char *results[2];
	char answers[PATH_MAX], errors[PATH_MAX];
	struct join_options options = join_how(r);

	options.results = results;
	if (!result_path(r, b->output_file_id, NULL, answers, err) ||
	    !result_path(r, b->error_file_id, r->options->errors, errors, err))
		return false;
	if (answers[0] != '\0')
		results[options.result_count++] = answers;
	if (errors[0] != '\0')
		results[options.result_count++] = errors;
	return join(&options, to, &r->joined, err);
}

bool run_documents_join(struct run *r, struct error *err)
{
	struct whole_file to;

	/* A crash before the rename in whole_file_commit() leaves all to be joined again, one
	 * behind it a run that is done but for its directory: the next call writes the same once
	 * more. */
	if (!whole_file_open(&to, r->paths.output, true, err))
		return false;
	bool good = join_to(r, &to, err) && whole_file_commit(&to, err);
	whole_file_close(&to);
	return good;
}

bool run_documents_check(const struct run *r, struct error *err)
{
	const struct documents_options *d = &r->options->documents->documents;

	for (size_t i = 0; i < d->path_count; i++) {
		if (strcmp(d->paths[i], "-") == 0)
			return fail(err, ERR_INVALID,
				    "a run that is stopped reads its documents again: "
				    "name a file, and not standard input");
		if (run_same_file(d->paths[i], r->paths.output) ||
		    run_same_file(d->paths[i], r->paths.errors))
			return fail(err, ERR_INVALID,
				    "the answers cannot go into the documents (%s)", d->paths[i]);
	}
	return rows_ending_check(d, r->paths.output, err);
}
