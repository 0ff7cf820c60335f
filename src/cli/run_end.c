/* run_end.c: what was wrong, or where the results are. */
#include "cli/run_impl.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/sys.h"
#include "cli/check.h"
#include "cli/run_summary.h"
#include "terminal/report.h"
#include "terminal/signals.h"

void run_close(struct run *r)
{
	if (r->pipeline != NULL)
		pipeline_close(r->pipeline);
	if (r->blobs != NULL)
		blobs_close(r->blobs);
	if (r->store != NULL)
		store_close(r->store);
	r->pipeline = NULL;
	r->blobs = NULL;
	r->store = NULL;
}

/* Where all goes that is not an answer. */
static FILE *say(const struct run *r)
{
	return r->paths.stream ? stderr : stdout;
}

static bool model_served(void *ctx, const char *model)
{
	return dispatch_serves(ctx, model);
}

/* Judges the input once more, as `lowtide check` does: with what the batch's `errors` have no room
 * for. */
static bool findings_judge(const struct run *r, struct findings *f, struct error *err)
{
	struct verdict_rules rules = r->options->pipeline.rules;
	AUTO(auto_index_close) struct index *index = NULL;
	struct blob_reader *file;

	rules.endpoint = r->state.endpoint;
	rules.model_served = model_served;
	rules.ctx = pipeline_dispatch(r->pipeline);
	return blob_open(r->blobs, r->state.file_id, BLOB_INDEX, &file, err) &&
	       index_open(file, &index, err) && check_judge(f, r->input, index, &rules, err);
}

/* The entries of a batch's `errors`: for faults that are not the file's. */
static void errors_print(const struct run *r, struct findings *f)
{
	json_t *errors = json_loads(r->batch.row.errors != NULL ? r->batch.row.errors : "[]", 0,
				    NULL);
	json_t *entry;
	size_t i;

	json_array_foreach(errors, i, entry)
	{
		const char *code = json_string_value(json_object_get(entry, "code"));
		const char *message = json_string_value(json_object_get(entry, "message"));
		struct finding finding = {
			.code = code != NULL ? code : "unknown",
			.line = (uint64_t)json_integer_value(json_object_get(entry, "line")),
			.message = message != NULL ? message : "",
		};
		findings_add(f, &finding);
	}
	findings_end(f);
	json_decref(errors);
}

static void print_findings(const struct run *r)
{
	const struct prepare_options *d = r->options->documents;
	/* a line of requests is a row */
	struct findings f = { .path = d != NULL ? "row" : r->paths.input, .to = say(r) };
	struct error err;

	if (!findings_judge(r, &f, &err))
		report(&err);
	if (f.count == 0)
		errors_print(r, &f);
}

/* Bad lines: nothing was sent, so there is nothing to keep. A fault in the middle of the run leaves
 * all as it is. */
int run_end_failed(struct run *r)
{
	bool ran = r->batch.row.at[BATCH_IN_PROGRESS] != 0;
	struct error err;

	print_findings(r);
	run_close(r);
	if (ran) {
		fprintf(stderr, "lowtide: the run failed; what is there is in %s\n", r->paths.work);
		return EXIT_FAULT;
	}
	fprintf(stderr, "lowtide: nothing was sent: %s cannot be run as it is\n",
		r->options->documents != NULL ? r->options->documents->documents.paths[0]
					      : r->paths.input);
	if (!run_work_remove(&r->paths, &err))
		report(&err);
	return EXIT_USAGE;
}

static void print_summary(const struct run *r, bool with_errors)
{
	const struct run_summary summary = {
		.paths = &r->paths,
		.batch = &r->batch,
		.ms = sys.monotonic_ms() - r->started_ms,
		.limit = r->state.limit,
		.kept = r->kept,
		.continued = r->continued,
		.with_errors = with_errors,
		.documents = r->options->documents != NULL,
	};

	run_summary_print(&summary, say(r));
}

/* crash: what was moved is at its place, the rest follows with the next call; a stream is written
 * whole again. */
static bool results_place(struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;
	const struct batch *b = &r->batch.row;

	if (r->options->documents != NULL)
		return run_documents_join(r, err) &&
		       (r->options->errors == NULL ||
			run_result_place(p, b->error_file_id, p->errors, false, err)) &&
		       run_work_remove(p, err);
	if (!run_result_place(p, b->error_file_id, p->errors, false, err))
		return false;
	if (p->stream)
		signals_end_at_once(); /* the reader of the stream may be slow */
	return (p->stream ? run_result_stream(p, b->output_file_id, err)
			  : run_result_place(p, b->output_file_id, p->output, true, err)) &&
	       run_work_remove(p, err);
}

int run_end_canary(struct run *r)
{
	const struct counts *c = &r->batch.row.counts;
	FILE *to = say(r);
	struct error err;

	if (!run_canary_print(r, to, &err)) {
		report(&err);
		return EXIT_FAULT;
	}
	fprintf(to,
		"canary: %" PRIu64 " of %" PRIu64 " lines, %" PRIu64
		" failed\nnext: the same command without --canary runs the rest; these are kept. Or "
		"remove %s\n",
		c->completed + c->failed, c->total, c->failed, r->paths.work);
	return EXIT_GOOD;
}

int run_end_good(struct run *r, struct error *err)
{
	bool has_file = r->options->documents == NULL || r->options->errors != NULL;
	bool with_errors = r->batch.row.error_file_id[0] != '\0' && has_file;
	const struct counts *c = &r->batch.row.counts;

	run_close(r);
	if (!results_place(r, err)) {
		report(err);
		return EXIT_FAULT;
	}
	print_summary(r, with_errors);
	return c->completed == c->total ? EXIT_GOOD : EXIT_FAULT;
}
