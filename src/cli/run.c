/* run.c: `lowtide run`: begin or go on, watch, bring the results home.
 *
 *	        OUT.lowtide/run.json?
 *	   no /                      \ yes
 *	  begin: index the input,    go on: the input must be
 *	  make file, batch, state    the one that it was
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli/check.h"
#include "cli/data_dir.h"
#include "cli/report.h"
#include "cli/run_files.h"
#include "cli/screen.h"
#include "cli/signals.h"
#include "ingest/ingest.h"

#define RUN_ORG "run"
#define RUN_WINDOW "7d"
#define RUN_WINDOW_S (INT64_C(7) * 86400)
#define DEFAULT_ENDPOINT "/v1/chat/completions"

#define LOOK_EVERY_MS 50 /* whether it is done */

struct run {
	const struct run_options *options;
	struct run_paths paths;
	struct run_state state;
	bool continued;
	uint64_t started_ms;

	int input_fd; /* -1: not open */
	int lock_fd;
	struct store *store;
	struct blobs *blobs;
	struct pipeline *pipeline;

	struct batch batch;       /* as last looked at */
	struct progress progress; /* likewise */
};

/* ---- the input ---- */

static bool input_open(struct run *r, struct run_input *ret, struct error *err)
{
	struct stat st;

	r->input_fd = open(r->paths.input, O_RDONLY | O_CLOEXEC);
	if (r->input_fd < 0 || fstat(r->input_fd, &st) != 0)
		return fail_sys(err, errno, "%s", r->paths.input);
	if (!S_ISREG(st.st_mode))
		return fail(err, ERR_INVALID, "%s is not a regular file", r->paths.input);
	ret->bytes = (uint64_t)st.st_size;
	ret->modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	return true;
}

static bool same_file(const char *a, const char *b)
{
	struct stat at, bt;

	return stat(a, &at) == 0 && stat(b, &bt) == 0 && at.st_dev == bt.st_dev &&
	       at.st_ino == bt.st_ino;
}

/* Answers must not be written over what is being read. */
static bool places_check(const struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (same_file(p->input, p->output) || same_file(p->input, p->errors))
		return fail(err, ERR_INVALID, "the results cannot go into the input file %s",
			    p->input);
	if (strcmp(p->output, p->errors) == 0)
		return fail(err, ERR_INVALID, "answers and errors cannot both go into %s",
			    p->output);
	return true;
}

static bool places_free(const struct run *r, struct error *err)
{
	const char *const places[] = { r->paths.output, r->paths.errors };

	for (size_t i = 0; i < ARRAY_LEN(places) && !r->options->force; i++)
		if (access(places[i], F_OK) == 0)
			return fail(
				err, ERR_INVALID,
				"%s is there already: an earlier run is done. Take another name "
				"with -o, or overwrite it with --force",
				places[i]);
	return true;
}

static bool endpoint_known(const char *endpoint)
{
	/* The wider list: here nobody's contract is broken by an endpoint that Kimi lacks. */
	for (const char *const *e = profile_endpoints(PROFILE_OPENAI); *e != NULL; e++)
		if (strcmp(*e, endpoint) == 0)
			return true;
	return false;
}

static bool endpoint_check(const char *endpoint, struct error *err)
{
	char known[400] = "";

	if (endpoint == NULL || endpoint_known(endpoint))
		return true;
	for (const char *const *e = profile_endpoints(PROFILE_OPENAI); *e != NULL; e++) {
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", n > 0 ? ", " : "", *e);
	}
	return fail(err, ERR_INVALID, "--endpoint: '%.100s' is not one of: %s", endpoint, known);
}

/* ---- begin ---- */

/* The url that the lines name; lines that name another one are findings. */
static const char *endpoint_choose(const struct run_options *o, const struct index_summary *s)
{
	if (o->endpoint != NULL)
		return o->endpoint;
	if (s->url_count > 0 && endpoint_known(s->urls[0]))
		return s->urls[0];
	return DEFAULT_ENDPOINT;
}

/* Reads the input once: index, sha256, endpoint. */
static bool input_take(struct run *r, struct error *err)
{
	struct ingest_limits limits = { .line_bytes = r->options->pipeline.line_bytes };
	struct run_state *s = &r->state;
	struct index *index;

	id_file(s->file_id);
	if (!ingest_file(r->blobs, r->input_fd, &limits, s->file_id, s->input.sha256, &index, err))
		return false;
	snprintf(s->endpoint, sizeof(s->endpoint), "%s",
		 endpoint_choose(r->options, index_summary(index)));
	index_close(index);
	return blob_link(r->blobs, s->file_id, r->paths.input, err) && blobs_sync(r->blobs, err);
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

	id_batch(r->state.batch_id);
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
	struct ingest_limits limits = { .line_bytes = r->options->pipeline.line_bytes };
	struct index *index;
	char sha256[65];

	if (now->bytes != then->bytes)
		return fail_changed(r, err);
	if (now->modified_ns == then->modified_ns)
		return true;
	if (!ingest_file(NULL, r->input_fd, &limits, NULL, sha256, &index, err))
		return false;
	index_close(index);
	return strcmp(sha256, then->sha256) == 0 || fail_changed(r, err);
}

static bool go_on(struct run *r, const struct run_input *input, struct error *err)
{
	const char *endpoint = r->options->endpoint;

	if (endpoint != NULL && strcmp(endpoint, r->state.endpoint) != 0)
		return fail(
			err, ERR_INVALID,
			"this run began with the endpoint %s and cannot go on with %s; remove %s "
			"to start over",
			r->state.endpoint, endpoint, r->paths.work);
	/* The link again: the file may have been moved and be named anew. */
	return input_unchanged(r, input, err) &&
	       blob_link(r->blobs, r->state.file_id, r->paths.input, err);
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
	batch_done(&r->batch);
	if (r->input_fd >= 0)
		close(r->input_fd);
	if (r->lock_fd >= 0)
		close(r->lock_fd);
	run_paths_done(&r->paths);
}

/* ---- watch ---- */

static const char *stall_text(const char *reason)
{
	if (reason == NULL)
		return NULL;
	return strcmp(reason, STALL_UPSTREAM_DOWN) == 0  ? "the upstream is down"
	       : strcmp(reason, STALL_UPSTREAM_429) == 0 ? "the upstream is busy"
	       : strcmp(reason, STALL_PAUSED) == 0       ? "paused, see the log"
							 : reason;
}

static struct meter_view view_of(const struct run *r)
{
	const struct counts *c = &r->progress.counts;

	return (struct meter_view){
		.done = c->completed + c->failed + c->expired + c->cancelled,
		.total = c->total,
		.failed = c->failed,
		.running = r->progress.running,
		.waiting = stall_text(r->progress.stall_reason),
	};
}

static bool look(struct run *r, struct error *err)
{
	batch_done(&r->batch);
	r->batch = (struct batch){ 0 };
	if (!store_batch_get(r->store, NULL, r->state.batch_id, &r->batch, err))
		return false;
	pipeline_progress(r->pipeline, &r->batch, &r->progress);
	return true;
}

/* Until the batch is final or a signal comes: its number is left in *ret_signal. */
static bool watch(struct run *r, int *ret_signal, struct error *err)
{
	struct screen screen;

	screen_open(&screen, sys.monotonic_ms());
	for (;;) {
		if (!look(r, err))
			return false;
		bool last = batch_is_final(r->batch.status) || *ret_signal != 0;
		struct meter_view view = view_of(r);
		screen_show(&screen, &view, r->progress.usage.total, sys.monotonic_ms(), last);
		if (last)
			return true;
		*ret_signal = signals_wait(LOOK_EVERY_MS);
	}
}

/* ---- the end ---- */

/* The entries of a batch's `errors`. */
static void print_findings(const struct run *r)
{
	json_t *errors = json_loads(r->batch.errors != NULL ? r->batch.errors : "[]", 0, NULL);
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
		finding_print(r->paths.input, &finding, stdout);
	}
	json_decref(errors);
}

/* Bad lines: nothing was sent, so there is nothing to keep. A fault in the middle of the run leaves
 * all as it is. */
static int end_failed(struct run *r)
{
	bool ran = r->batch.at[BATCH_IN_PROGRESS] != 0;
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
	const struct counts *c = &r->progress.counts;
	const struct usage *u = &r->progress.usage;
	double seconds = (double)(sys.monotonic_ms() - r->started_ms) / 1000;
	char span[24];

	meter_span((int64_t)(seconds + 0.5), span);
	printf("%s: %" PRIu64 " lines in %s%s: %" PRIu64 " completed, %" PRIu64 " failed",
	       batch_status_name(r->batch.status), c->total, span,
	       r->continued ? " (the last part)" : "", c->completed, c->failed);
	if (c->expired > 0)
		printf(", %" PRIu64 " not run within " RUN_WINDOW, c->expired);
	printf("\ntokens: %" PRIu64 " in, %" PRIu64 " out\nanswers: %s\n", u->input, u->output,
	       r->paths.output);
	if (with_errors)
		printf("errors: %s\n", r->paths.errors);
}

static int end_good(struct run *r, struct error *err)
{
	bool with_errors = r->batch.error_file_id[0] != '\0';
	const struct counts *c = &r->progress.counts;

	run_close(r);
	/* crash: what was moved is at its place, the rest follows with the next call. */
	if (!run_result_place(&r->paths, r->batch.error_file_id, r->paths.errors, false, err) ||
	    !run_result_place(&r->paths, r->batch.output_file_id, r->paths.output, true, err) ||
	    !run_work_remove(&r->paths, err)) {
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
		const struct counts *c = &r->progress.counts;
		fprintf(stderr,
			"lowtide: stopped with %" PRIu64 " of %" PRIu64
			" lines done; the same command goes on from there\n",
			c->completed + c->failed, c->total);
	}
	return 128 + number;
}

static int run_through(struct run *r, struct error *err)
{
	int number = 0;

	if (!run_open(r, err) || !watch(r, &number, err)) {
		report(err);
		return err->kind == ERR_INVALID ? EXIT_USAGE : EXIT_FAULT;
	}
	if (!batch_is_final(r->batch.status))
		return end_by_signal(r, number);
	return r->batch.status == BATCH_FAILED ? end_failed(r) : end_good(r, err);
}

int run_batch(const struct run_options *options)
{
	struct run r = { .options = options, .input_fd = -1, .lock_fd = -1 };
	struct error err;

	signals_block();
	r.started_ms = sys.monotonic_ms();
	if (!run_paths_make(options->input, options->output, options->errors, &r.paths, &err)) {
		report(&err);
		return EXIT_FAULT;
	}
	int code = run_through(&r, &err);
	run_done(&r);
	return code;
}
