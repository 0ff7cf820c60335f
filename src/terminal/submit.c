/* submit.c: see submit.h: the file is sent, the batch made, its end waited for. */
#include "terminal/submit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "terminal/batches.h"
#include "terminal/file_send.h"
#include "terminal/member.h"
#include "terminal/pairs.h"
#include "terminal/print_id.h"
#include "terminal/report.h"
#include "terminal/results.h"
#include "terminal/sent.h"
#include "terminal/submission.h"
#include "terminal/waiting.h"

struct submitting {
	const struct submit_options *o;
	struct request_file in;
	struct remote *remote;
	struct submission kept;
};

/* ---- what the batch is to be ---- */

static json_t *options_of(const struct submit_options *o)
{
	json_t *own = json_object();

	if (o->canary > 0)
		json_object_set_new(own, "canary", json_integer((json_int_t)o->canary));
	if (o->token_budget > 0)
		json_object_set_new(own, "token_budget", json_integer((json_int_t)o->token_budget));
	if (o->hours != NULL)
		json_object_set_new(own, "hours", json_string(o->hours));
	if (o->skip_bad_lines)
		json_object_set_new(own, "on_invalid_line", json_string("skip"));
	return own;
}

/* The body of the create but for the file. */
static bool body_make(const struct submit_options *o, const struct request_file *in, json_t **ret,
		      struct error *err)
{
	json_t *metadata, *own;

	*ret = NULL;
	if (!pairs_object("--metadata", o->metadata, o->metadata_count, &metadata, err))
		return false;
	own = options_of(o);
	*ret = json_pack("{s:s, s:s}", "endpoint", request_file_endpoint(in, o->endpoint),
			 "completion_window", o->window);
	if (*ret != NULL && json_object_size(metadata) > 0)
		json_object_set(*ret, "metadata", metadata);
	if (*ret != NULL && json_object_size(own) > 0)
		json_object_set(*ret, "lowtide", own);
	json_decref(metadata);
	json_decref(own);
	return *ret != NULL || fail(err, ERR_INVALID, "an option is not UTF-8");
}

/* ---- sending it ---- */

static bool on_keep(void *ctx, struct error *err)
{
	struct submitting *s = ctx;

	return s->in.is_stdin ? sent_note(&s->kept.upload, err) : submission_keep(&s->kept, err);
}

static bool send_file(struct submitting *s, struct error *err)
{
	const struct upload_job how = {
		.key = s->kept.file_key, .state = &s->kept.upload, .keep = on_keep, .ctx = s
	};

	return file_send(s->remote, &s->in, &how, err) && request_file_unchanged(&s->in, err);
}

static bool create(struct submitting *s, json_t *body, struct error *err)
{
	json_t *batch = NULL;
	struct remote_request q = { .method = "POST",
				    .path = "/batches",
				    .body = body,
				    .idempotency_key = s->kept.batch_key };

	/* Before the call, the key: a crash after it leaves a batch that the same call finds. */
	if (!submission_keep(&s->kept, err))
		return false;
	json_object_set_new(body, "input_file_id", json_string(s->kept.upload.file_id));
	if (!remote_json(s->remote, &q, &batch, err))
		return false;
	const char *id = member_string(batch, "id");
	s->kept.batch_id = id[0] != '\0' ? strdup(id) : NULL;
	json_decref(batch);
	if (s->kept.batch_id == NULL)
		return fail(err, ERR_UPSTREAM,
			    "the server's answer has no id: is it a lowtide server? (LOWTIDE_URL)");
	return submission_keep(&s->kept, err);
}

/* A batch that the same call made before it was cut off; *ret false: it is not there any more, or
 * ended so long ago that the call is another one. */
static bool batch_is_there(struct submitting *s, bool *ret, struct error *err)
{
	AUTO(auto_free) char *path = remote_path("/batches/%s", s->kept.batch_id);
	struct remote_request q = { .method = "GET", .path = path };
	json_t *batch = NULL;

	if (path == NULL)
		return fail_memory(err);
	bool found = remote_json(s->remote, &q, &batch, err);
	*ret = found && !(batch_has_ended(batch) && submission_is_old(&s->kept));
	json_decref(batch);
	return found || remote_status(s->remote) == 404;
}

/* No call goes on with what came on standard input: it goes again, unless a batch may be of it. */
static bool make_of_stdin(struct submitting *s, json_t *body, struct error *err)
{
	struct upload_state *u = &s->kept.upload;

	sent_begin();
	bool is_sent = send_file(s, err);
	if (!is_sent && u->file_id == NULL)
		upload_forget(s->remote, u);
	sent_release();
	bool good = is_sent && create(s, body, err);
	if (!good && u->file_id != NULL && (!is_sent || remote_refused_this(s->remote)))
		sent_delete(s->remote, u->file_id);
	return good;
}

static bool batch_make(struct submitting *s, json_t *body, struct error *err)
{
	bool there = false;

	if (s->kept.batch_id != NULL && !batch_is_there(s, &there, err))
		return false;
	if (there) {
		fprintf(stderr,
			"lowtide: going on with the batch of the same call, which was cut off\n");
		return true;
	}
	if (s->kept.batch_id != NULL)
		submission_forget_batch(&s->kept);
	return s->in.is_stdin ? make_of_stdin(s, body, err)
			      : send_file(s, err) && create(s, body, err);
}

/* ---- all of it ---- */

static bool told(void *ctx, const json_t *batch, struct error *err)
{
	(void)ctx;
	(void)err;
	waiting_tell(batch);
	return true;
}

static bool fetch(struct submitting *s, struct error *err)
{
	struct results_options r = {
		.id = s->kept.batch_id, .output = s->o->output, .errors = s->o->errors, .told = true
	};

	if (r.output == NULL && r.errors == NULL)
		return true;
	return results_fetch(s->remote, &r, err);
}

/* Until results are here the record stays: the same call waits on. */
static bool wait_and_fetch(struct submitting *s, int *ret_code, struct error *err)
{
	const char *id = s->kept.batch_id;
	enum waiting_code code;
	struct waiting w = {
		.remote = s->remote, .timeout_s = s->o->timeout_s, .shows = true, .ended = told
	};

	if (!waiting_run(&w, &id, 1, &code, err))
		return false;
	*ret_code = code;
	if (code == WAITING_TIMEOUT) {
		fprintf(stderr, "lowtide: %s has not ended; the same call waits on\n", id);
		return true;
	}
	if (!fetch(s, err))
		return false;
	submission_end(&s->kept);
	return true;
}

static bool submit_on(struct submitting *s, json_t *body, int *ret_code, struct error *err)
{
	AUTO(auto_free) char *options = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);

	if (options == NULL)
		return fail_memory(err);
	if (!submission_open(&s->kept, remote_url(s->remote), &s->in, options, err))
		return false;
	/* Once the id is printed the call is done: before that the same call finds it. */
	bool good = batch_make(s, body, err) && print_id(s->kept.batch_id, err);
	if (good && s->o->wait)
		good = wait_and_fetch(s, ret_code, err);
	else if (good)
		submission_end(&s->kept);
	submission_close(&s->kept);
	return good;
}

static bool submit_run(const struct submit_options *o, int *ret_code, struct error *err)
{
	struct submitting s = { .o = o };
	json_t *body = NULL;

	if (!results_places_check(o->path, o->output, o->errors, err) ||
	    !request_file_open(o->path, &s.in, err))
		return false;
	bool good = body_make(o, &s.in, &body, err) &&
		    (!s.in.is_stdin || sent_guard(&o->asked, err)) &&
		    asked_open_patient(&o->asked, WAITING_PATIENCE_S, &s.remote, err);
	if (good)
		good = submit_on(&s, body, ret_code, err);
	remote_close(s.remote);
	json_decref(body);
	request_file_close(&s.in);
	return good;
}

int submit(const struct submit_options *o)
{
	struct error err;
	int code = EXIT_GOOD;

	if (submit_run(o, &code, &err))
		return code;
	report(&err);
	return exit_code(&err);
}
