/* run_begin.c: the input, where results go, and what a run begins or goes on with. */
#include "cli/run_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/sys.h"
#include "batch/endpoint.h"
#include "cli/earlier.h"
#include "cli/run_summary.h"
#include "ingest/ingest.h"

#define RUN_ORG "run"
#define DEFAULT_ENDPOINT "/v1/chat/completions"

/* ---- the input ---- */

bool run_input_open(struct run *r, struct run_input *ret, struct error *err)
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
bool run_places_check(const struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (!directory_check(p->errors, err) || !directory_check(p->work, err))
		return false;
	if (r->options->documents != NULL && !run_documents_check(r, err))
		return false;
	if ((!p->stream && run_same_file(p->input, p->output)) ||
	    run_same_file(p->input, p->errors))
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

bool run_places_free(const struct run *r, struct error *err)
{
	const struct run_paths *p = &r->paths;

	if (r->options->force || r->options->retry_failed)
		return true;
	if (!p->stream && !place_free(p->output, err))
		return false;
	return (r->options->documents != NULL && r->options->errors == NULL) ||
	       place_free(p->errors, err);
}

/* The wider profile: at a terminal an endpoint that Kimi lacks breaks no contract. */
bool run_endpoint_check(const char *endpoint, struct error *err)
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
		return endpoint_path(slice_of(o->endpoint)); /* run_endpoint_check() knew it */
	return of_file != NULL ? of_file : DEFAULT_ENDPOINT;
}

static struct ingest_limits input_limits(const struct run *r)
{
	return (struct ingest_limits){ .line_bytes = r->options->pipeline.rules.line_bytes,
				       .lines_max = r->options->limit };
}

/* Those of documents are made result lines again first. */
static bool answers_keep_in(struct run *r, const struct index *index, const char *journal,
			    struct error *err)
{
	AUTO(auto_free) char *made = NULL;

	if (r->options->documents == NULL)
		return earlier_keep(r->paths.output, r->input, index, journal, &r->kept, err);
	if (asprintf(&made, "%s/earlier.jsonl", r->paths.work) < 0)
		return fail_memory(err);
	if (!run_documents_earlier(r, made, err))
		return false;
	bool good = earlier_keep(made, r->input, index, journal, &r->kept, err);
	(void)unlink(made); /* what stays goes with the directory */
	return good;
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
	return answers_keep_in(r, index, path, err);
}

/* Reads the input once: index, sha256, endpoint. */
static bool input_take(struct run *r, struct error *err)
{
	struct ingest_limits limits = input_limits(r);
	struct run_state *s = &r->state;
	AUTO(auto_index_close) struct index *index = NULL;

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
	const char *window = r->options->window != NULL ? r->options->window : RUN_WINDOW;
	struct batch b = {
		.status = BATCH_VALIDATING,
		.created_at = now,
		.options = r->options->batch,
		.metadata = r->options->metadata,
	};
	uint64_t window_s = 0;
	char id[ID_SIZE];

	if (!duration_parse(slice_of(window), &window_s) ||
	    !slice_copy(slice_of(window), b.completion_window, sizeof(b.completion_window)))
		return fail(err, ERR_INVALID, "--window: '%.40s' is not a time such as 12h or 7d",
			    window);
	b.expires_at = now + (int64_t)window_s;

	snprintf(b.id, sizeof(b.id), "%s", r->state.batch_id);
	snprintf(b.org, sizeof(b.org), "%s", org);
	snprintf(b.endpoint, sizeof(b.endpoint), "%s", r->state.endpoint);
	snprintf(b.input_file_id, sizeof(b.input_file_id), "%s", r->state.file_id);
	return store_batch_insert(r->store, &b, NULL, false, 0, id, err);
}

bool run_begin(struct run *r, const struct run_input *input, struct error *err)
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

static bool fail_option(const struct run *r, const char *option, struct error *err)
{
	return fail(
		err, ERR_INVALID,
		"this run began with another %s: go on with that one, or remove %s to start over",
		option, r->paths.work);
}

/* The canary alone may be left out: then the rest runs. */
static bool options_check(const struct run *r, const struct batch *b, struct error *err)
{
	const struct batch_options *then = &b->options, *now = &r->options->batch;

	if (now->canary != 0 && now->canary != then->canary)
		return fail_option(r, "--canary", err);
	if (strcmp(now->hours, then->hours) != 0)
		return fail_option(r, "--hours", err);
	if (now->token_budget != then->token_budget)
		return fail_option(r, "--token-budget", err);
	if (now->skip_invalid != then->skip_invalid)
		return fail_option(r, "--skip-bad-lines", err);
	return r->options->window == NULL ||
	       strcmp(r->options->window, b->completion_window) == 0 ||
	       fail_option(r, "--window", err);
}

static bool options_same(const struct run *r, struct error *err)
{
	struct batch b;

	if (!store_batch_get(r->store, NULL, r->state.batch_id, &b, err))
		return false;
	bool same = options_check(r, &b, err);
	batch_done(&b);
	return same;
}

bool run_go_on(struct run *r, const struct run_input *input, struct error *err)
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
	return options_same(r, err) && input_unchanged(r, input, err) &&
	       blob_lend(r->blobs, r->state.file_id, r->paths.input, err);
}
