/* run.c: `lowtide run`: begin or go on, watch, bring the results home.
 *
 *	        OUT.lowtide/run.json?
 *	   no /                      \ yes
 *	  begin: index the input,    go on: the input must be
 *	  keep earlier answers,      the one that it was
 *	  make file, batch, state    |
 *	              \             /
 *	               open the pipeline, which runs the batch
 *	                     |                     \ signal
 *	               final state                  drain, leave all as it is
 *	                     |
 *	               move the results, remove OUT.lowtide */
#include "cli/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "batch/endpoint.h"
#include "cli/check.h"
#include "cli/data_dir.h"
#include "cli/earlier.h"
#include "cli/report.h"
#include "cli/run_files.h"
#include "cli/run_summary.h"
#include "cli/screen.h"
#include "cli/signals.h"
#include "ingest/ingest.h"

#define RUN_ORG "run"
#define DEFAULT_ENDPOINT "/v1/chat/completions"

#define LOOK_EVERY_MS 50 /* whether it is done */

struct run {
	const struct run_options *options;
	struct run_paths paths;
	struct run_state state;
	bool continued;
	uint64_t kept; /* answers of an earlier run that stay */
	uint64_t started_ms;

	struct blob_reader *input; /* NULL: not open */
	int lock_fd;
	struct store *store;
	struct blobs *blobs;
	struct pipeline *pipeline;

	struct batch_view batch; /* as last looked at */
};

/* ---- the input ---- */

static bool input_open(struct run *r, struct run_input *ret, struct error *err)
{
	struct stat st;

	AUTO(auto_close) int fd = open(r->paths.input, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return fail(err, ERR_INVALID, "%s: %s", r->paths.input, strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_INVALID,
			    "%s is not a regular file: a run that is stopped reads it again",
			    r->paths.input);
	ret->bytes = (uint64_t)st.st_size;
	ret->modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	return blob_reader_of_file(TAKE_FD(fd), r->paths.input, &r->input, err);
}

static bool same_file(const char *a, const char *b)
{
	struct stat at, bt;

	return stat(a, &at) == 0 && stat(b, &bt) == 0 && at.st_dev == bt.st_dev &&
	       at.st_ino == bt.st_ino;
}

static bool directory_check(const char *path, struct error *err)
{
	char copy[PATH_MAX];
	struct stat st;

	if (!slice_copy(slice_of(path), copy, sizeof(copy)))
		return fail_sys(err, ENAMETOOLONG, "%.100s...", path);
	const char *directory = dirname(copy);
	return (stat(directory, &st) == 0 && S_ISDIR(st.st_mode)) ||
	       fail(err, ERR_INVALID, "%s: there is no directory %s", path, directory);
}

/* Answers must not be written over what is being read. */
static bool places_check(const struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (!directory_check(p->errors, err) || !directory_check(p->work, err))
		return false;
	if ((!p->stream && same_file(p->input, p->output)) || same_file(p->input, p->errors))
		return fail(err, ERR_INVALID, "the results cannot go into the input file %s",
			    p->input);
	if (strcmp(p->output, p->errors) == 0)
		return fail(err, ERR_INVALID, "answers and errors cannot both go into %s",
			    p->output);
	if (p->stream && r->options->retry_failed)
		return fail(
			err, ERR_INVALID,
			"--retry-failed reads the earlier answers: -o has to be their file, not %s",
			p->output);
	return true;
}

static bool place_free(const char *path, struct error *err)
{
	return access(path, F_OK) != 0 ||
	       fail(err, ERR_INVALID,
		    "%s is there already: an earlier run is done. Take another name with -o, run "
		    "what has no answer in it with --retry-failed, or overwrite it with --force",
		    path);
}

/* Whether this run may put its results where they belong: nothing is there, or it is the user's
 * will. */
static bool places_free(const struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (r->options->force || r->options->retry_failed)
		return true;
	return (p->stream || place_free(p->output, err)) && place_free(p->errors, err);
}

/* The wider profile: at a terminal an endpoint that Kimi lacks breaks no contract. */
static bool endpoint_check(const char *endpoint, struct error *err)
{
	AUTO(buf_free) struct buf known = BUF(1024);

	if (endpoint == NULL || endpoint_path(slice_of(endpoint)) != NULL)
		return true;
	endpoint_list(PROFILE_OPENAI, &known);
	return fail(err, ERR_INVALID, "--endpoint: '%.100s' is not one of: %.*s", endpoint,
		    SLICE_ARG(buf_slice(&known)));
}

/* ---- begin ---- */

/* The url that the lines name; lines that name another one are findings. */
static const char *endpoint_choose(const struct run_options *o, const struct index_summary *s)
{
	const char *of_file = s->url_count > 0 ? endpoint_path(slice_of(s->urls[0])) : NULL;

	if (o->endpoint != NULL)
		return endpoint_path(slice_of(o->endpoint)); /* endpoint_check() knew it */
	return of_file != NULL ? of_file : DEFAULT_ENDPOINT;
}

static struct ingest_limits input_limits(const struct run *r)
{
	return (struct ingest_limits){ .line_bytes = r->options->pipeline.rules.line_bytes,
				       .lines_max = r->options->limit };
}

static void index_drop(struct index **index)
{
	if (*index != NULL)
		index_close(*index);
}

/* The answers of an earlier run, which is done, become the beginning of this batch's journal. */
static bool answers_keep(struct run *r, const struct index *index, struct error *err)
{
	char path[PATH_MAX];

	if (!r->options->retry_failed)
		return true;
	if (snprintf(path, sizeof(path), "%s/batches", r->paths.work) >= PATH_MAX - ID_SIZE - 16)
		return fail_sys(err, ENAMETOOLONG, "%s", r->paths.work);
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return fail_sys(err, errno, "creating %s", path);
	size_t n = strlen(path);
	snprintf(path + n, sizeof(path) - n, "/%s.journal", r->state.batch_id);
	return earlier_keep(r->paths.output, r->input, index, path, &r->kept, err);
}

/* Reads the input once: index, sha256, endpoint. */
static bool input_take(struct run *r, struct error *err)
{
	struct ingest_limits limits = input_limits(r);
	struct run_state *s = &r->state;
	AUTO(index_drop) struct index *index = NULL;

	id_file(s->file_id);
	id_batch(s->batch_id);
	s->limit = r->options->limit;
	if (!ingest_file(r->blobs, r->input, &limits, s->file_id, s->input.sha256, &index, err))
		return false;
	snprintf(s->endpoint, sizeof(s->endpoint), "%s",
		 endpoint_choose(r->options, index_summary(index)));
	return answers_keep(r, index, err) && blob_lend(r->blobs, s->file_id, r->paths.input, err);
}

static bool file_insert(struct run *r, const char *org, int64_t now, struct error *err)
{
	struct file_quota none = { 0 };
	struct file file = {
		.purpose = PURPOSE_BATCH,
		.bytes = r->state.input.bytes,
		.created_at = now,
	};
	char id[ID_SIZE];

	snprintf(file.id, sizeof(file.id), "%s", r->state.file_id);
	snprintf(file.org, sizeof(file.org), "%s", org);
	snprintf(file.sha256, sizeof(file.sha256), "%s", r->state.input.sha256);
	snprintf(file.filename, sizeof(file.filename), "%s", basename(r->paths.input));
	return store_file_insert(r->store, &file, &none, NULL, id, err);
}

static bool batch_insert(struct run *r, const char *org, int64_t now, struct error *err)
{
	struct batch b = {
		.status = BATCH_VALIDATING,
		.created_at = now,
		.expires_at = now + RUN_WINDOW_S,
		.completion_window = RUN_WINDOW,
	};
	char id[ID_SIZE];

	snprintf(b.id, sizeof(b.id), "%s", r->state.batch_id);
	snprintf(b.org, sizeof(b.org), "%s", org);
	snprintf(b.endpoint, sizeof(b.endpoint), "%s", r->state.endpoint);
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", r->state.file_id);
	return store_batch_insert(r->store, &b, NULL, false, 0, id, err);
}

static bool begin(struct run *r, const struct run_input *input, struct error *err)
{
	int64_t now = sys.now_s();
	struct org org;

	r->state.input = *input;
	return input_take(r, err) && store_org_ensure(r->store, RUN_ORG, now, &org, err) &&
	       file_insert(r, org.id, now, err) && batch_insert(r, org.id, now, err) &&
	       run_state_save(&r->paths, &r->state, err);
}

/* ---- go on ---- */

static bool fail_changed(const struct run *r, struct error *err)
{
	return fail(err, ERR_INVALID,
		    "%s is not the file that this run began with (%" PRIu64
		    " bytes). Put that one back to go on, or remove %s to start over with the new "
		    "one; the answers so far are in there",
		    r->paths.input, r->state.input.bytes, r->paths.work);
}

/* The index and the lines already answered belong to the bytes as they were. The same size and time
 * are taken for the same bytes; another time asks for another look. */
static bool input_unchanged(struct run *r, const struct run_input *now, struct error *err)
{
	const struct run_input *then = &r->state.input;
	struct ingest_limits limits = input_limits(r);
	struct index *index;
	char sha256[65];

	if (now->bytes != then->bytes)
		return fail_changed(r, err);
	if (now->modified_ns == then->modified_ns)
		return true;
	if (!ingest_file(NULL, r->input, &limits, NULL, sha256, &index, err))
		return false;
	index_close(index);
	return strcmp(sha256, then->sha256) == 0 || fail_changed(r, err);
}

static bool fail_limit(const struct run *r, struct error *err)
{
	const char *work = r->paths.work;

	if (r->state.limit == 0)
		return fail(err, ERR_INVALID,
			    "the run that began here is of the whole file: call it again without "
			    "--limit, or remove %s to start over",
			    work);
	return fail(
		err, ERR_INVALID,
		"the run that began here has --limit %" PRIu64
		": end it with the same, then run the rest with --retry-failed; or remove %s to "
		"start over",
		r->state.limit, work);
}

static bool go_on(struct run *r, const struct run_input *input, struct error *err)
{
	const char *endpoint = r->options->endpoint;

	if (endpoint != NULL && strcmp(endpoint_path(slice_of(endpoint)), r->state.endpoint) != 0)
		return fail(
			err, ERR_INVALID,
			"this run began with the endpoint %s and cannot go on with %s; remove %s "
			"to start over",
			r->state.endpoint, endpoint, r->paths.work);
	if (r->options->limit != r->state.limit)
		return fail_limit(r, err);
	return input_unchanged(r, input, err) &&
	       blob_lend(r->blobs, r->state.file_id, r->paths.input, err);
}

/* ---- open and close ---- */

static bool work_open(struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (!run_state_load(p->state, &r->state, &r->continued, err))
		return false;
	if (!r->continued && !places_free(r, err))
		return false;
	if (!data_dir_make(p->work, err) || !data_dir_lock(p->work, &r->lock_fd, err))
		return false;
	return store_open(p->work, &r->store, err) && blobs_open(p->work, &r->blobs, err);
}

/* What a call that was killed before it had begun has left: a directory without state. */
static bool leftovers_clear(const struct run *r, struct error *err)
{
	struct run_state state;
	bool found;

	if (access(r->paths.work, F_OK) != 0)
		return true;
	if (!run_state_load(r->paths.state, &state, &found, err))
		return false;
	AUTO(auto_close) int lock_fd = -1;
	return found ||
	       (data_dir_lock(r->paths.work, &lock_fd, err) && run_work_remove(&r->paths, err));
}

static bool run_open(struct run *r, struct error *err)
{
	struct run_input input = { 0 };

	return endpoint_check(r->options->endpoint, err) && input_open(r, &input, err) &&
	       places_check(r, err) && leftovers_clear(r, err) && work_open(r, err) &&
	       (r->continued ? go_on(r, &input, err) : begin(r, &input, err)) &&
	       pipeline_open(r->paths.work, &r->options->pipeline, r->store, r->blobs, &r->pipeline,
			     err);
}

static void run_close(struct run *r)
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

static void run_done(struct run *r)
{
	run_close(r);
	batch_view_done(&r->batch);
	blob_reader_close(r->input);
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	run_paths_done(&r->paths);
}

/* ---- watch ---- */

static struct meter_view view_of(const struct run *r)
{
	const struct counts *c = &r->batch.row.counts;

	return (struct meter_view){
		.done = c->completed + c->failed + c->expired + c->cancelled,
		.total = c->total,
		.failed = c->failed,
		.running = r->batch.running,
		.waiting = stall_words(r->batch.stall)->terminal,
	};
}

static bool look(struct run *r, struct error *err)
{
	batch_view_done(&r->batch);
	r->batch = (struct batch_view){ 0 };
	if (!store_batch_get(r->store, NULL, r->state.batch_id, &r->batch.row, err))
		return false;
	pipeline_view(r->pipeline, &r->batch);
	return true;
}

/* Until the batch is final or a signal comes: its number is left in *ret_signal. */
static bool watch_on(struct run *r, struct screen *screen, int *ret_signal, struct error *err)
{
	for (;;) {
		if (!look(r, err))
			return false;
		if (r->batch.certificate)
			return fail(
				err, ERR_UNAVAILABLE,
				"a certificate is refused, which no waiting mends: %s. The next "
				"call goes on where this one stopped.",
				r->batch.stall_message);
		bool last = batch_is_final(r->batch.row.status) || *ret_signal != 0;
		struct meter_view view = view_of(r);
		screen_show(screen, &view, r->batch.row.usage.total, sys.monotonic_ms(), last);
		if (last)
			return true;
		*ret_signal = signals_wait(LOOK_EVERY_MS);
	}
}

static bool watch(struct run *r, int *ret_signal, struct error *err)
{
	struct screen screen;

	screen_open(&screen, sys.monotonic_ms());
	bool good = watch_on(r, &screen, ret_signal, err);
	screen_close(&screen);
	return good;
}

/* ---- the end ---- */

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
	AUTO(index_drop) struct index *index = NULL;
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
	struct findings f = { .path = r->paths.input, .to = say(r) };
	struct error err;

	if (!findings_judge(r, &f, &err))
		report(&err);
	if (f.count == 0)
		errors_print(r, &f);
}

/* Bad lines: nothing was sent, so there is nothing to keep. A fault in the middle of the run leaves
 * all as it is. */
static int end_failed(struct run *r)
{
	bool ran = r->batch.row.at[BATCH_IN_PROGRESS] != 0;
	struct error err;

	print_findings(r);
	run_close(r);
	if (ran) {
		fprintf(stderr, "lowtide: the run failed; what is there is in %s\n", r->paths.work);
		return EXIT_FAULT;
	}
	fprintf(stderr, "lowtide: nothing was sent: %s cannot be run as it is\n", r->paths.input);
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
	};

	run_summary_print(&summary, say(r));
}

/* crash: what was moved is at its place, the rest follows with the next call; a stream is written
 * whole again. */
static bool results_place(struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;
	const struct batch *b = &r->batch.row;

	if (!run_result_place(p, b->error_file_id, p->errors, false, err))
		return false;
	if (p->stream)
		signals_end_at_once(); /* the reader of the stream may be slow */
	return (p->stream ? run_result_stream(p, b->output_file_id, err)
			  : run_result_place(p, b->output_file_id, p->output, true, err)) &&
	       run_work_remove(p, err);
}

static int end_good(struct run *r, struct error *err)
{
	bool with_errors = r->batch.row.error_file_id[0] != '\0';
	const struct counts *c = &r->batch.row.counts;

	run_close(r);
	if (!results_place(r, err)) {
		report(err);
		return EXIT_FAULT;
	}
	print_summary(r, with_errors);
	return c->completed == c->total ? EXIT_GOOD : EXIT_FAULT;
}

static int end_by_signal(struct run *r, int number)
{
	struct error err;

	fprintf(stderr,
		"lowtide: stopping: up to %" PRIu64
		" s for the lines in flight; again to stop at once\n",
		r->options->pipeline.drain_ms / 1000);
	signals_end_at_once();
	pipeline_drain(r->pipeline);
	if (look(r, &err)) {
		const struct counts *c = &r->batch.row.counts;
		fprintf(stderr,
			"lowtide: stopped with %" PRIu64 " of %" PRIu64
			" lines done; the same command goes on from there\n",
			c->completed + c->failed, c->total);
	}
	return 128 + number;
}

/* A run that could not begin leaves nothing; what is there to go on with stays. */
static void begin_undo(struct run *r)
{
	struct error ignored; /* the next call clears it away */

	if (r->lock_fd < 0 || access(r->paths.state, F_OK) == 0)
		return;
	run_close(r);
	(void)!run_work_remove(&r->paths, &ignored);
}

static int run_through(struct run *r, struct error *err)
{
	int number = 0;

	if (!run_open(r, err) || !watch(r, &number, err)) {
		report(err);
		begin_undo(r);
		return exit_code(err);
	}
	if (!batch_is_final(r->batch.row.status))
		return end_by_signal(r, number);
	return r->batch.row.status == BATCH_FAILED ? end_failed(r) : end_good(r, err);
}

int run_batch(const struct run_options *options)
{
	struct run r = { .options = options, .lock_fd = -1 };
	struct error err;

	signals_block();
	r.started_ms = sys.monotonic_ms();
	if (!run_paths_make(options->input, options->output, options->errors, &r.paths, &err)) {
		report(&err);
		return exit_code(&err);
	}
	int code = run_through(&r, &err);
	run_done(&r);
	return code;
}
