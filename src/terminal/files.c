/* files.c: see files.h. */
#include "terminal/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terminal/file_get.h"
#include "terminal/file_send.h"
#include "terminal/member.h"
#include "terminal/place.h"
#include "terminal/print_id.h"
#include "terminal/report.h"
#include "terminal/sent.h"

static const struct table_column in_list[] = {
	{ "ID", "id" },
	{ "NAME", "filename", .gives_way = 1, .shrinks = true },
	{ "SIZE", "bytes", TABLE_BYTES },
	{ "PURPOSE", "purpose", .gives_way = 3 },
	{ "MADE", "created_at", TABLE_AGE, .gives_way = 2 },
};
static const struct table_column whole[] = {
	{ "id", "id" },
	{ "name", "filename" },
	{ "size", "bytes", TABLE_BYTES },
	{ "purpose", "purpose" },
	{ "made", "created_at", TABLE_TIME },
	{ "expires", "expires_at", TABLE_TIME },
};
static const char *const plain[] = { "id",         "filename",   "bytes", "purpose",
				     "created_at", "expires_at", NULL };
static const struct output_layout layout = {
	.list = in_list,
	.list_count = ARRAY_LEN(in_list),
	.object = whole,
	.object_count = ARRAY_LEN(whole),
	.plain = plain,
	.none = "no files",
};

static int told(bool good, const struct error *err)
{
	if (good)
		return EXIT_GOOD;
	report(err);
	return exit_code(err);
}

/* ---- list, show ---- */

static enum remote_taken on_file(void *ctx, json_t *file, struct error *err)
{
	return output_row(ctx, file, err) ? REMOTE_MORE : REMOTE_FAULT;
}

static bool list(const struct asked *a, struct remote *r, struct error *err)
{
	struct output o;

	output_open(&o, a->form);
	output_list(&o, &layout);
	bool good = remote_list(r, "/files?limit=1000", 0, on_file, &o, err);
	return output_end(&o, good, err) && good;
}

int files_show_all(const struct asked *a)
{
	struct remote *r = NULL;
	struct error err;
	bool good = asked_open(a, &r, &err) && list(a, r, &err);

	remote_close(r);
	return told(good, &err);
}

/* GET or DELETE; *ret may be NULL. */
static bool call(struct remote *r, const char *method, const char *id, json_t **ret,
		 struct error *err)
{
	AUTO(auto_free) char *path = remote_path("/files/%s", id);
	struct remote_request q = { .method = method, .path = path };

	if (path == NULL)
		return fail_memory(err);
	return remote_json(r, &q, ret, err);
}

int files_show(const struct asked *a, const char *id)
{
	struct remote *r = NULL;
	json_t *file = NULL;
	struct output o;
	struct error err;
	bool good = asked_open(a, &r, &err) && call(r, "GET", id, &file, &err);

	output_open(&o, a->form);
	good = good && output_object(&o, &layout, file, &err);
	json_decref(file);
	remote_close(r);
	return told(good, &err);
}

/* ---- upload, content, delete ---- */

static bool on_keep(void *ctx, struct error *err)
{
	return sent_note(ctx, err);
}

/* A file whose id is not known to the user is of no use. */
static bool upload(struct remote *r, const struct request_file *in, struct error *err)
{
	struct upload_state state = { 0 };

	sent_begin();
	bool good = file_send(
			    r, in,
			    &(struct upload_job){ .state = &state, .keep = on_keep, .ctx = &state },
			    err) &&
		    request_file_unchanged(in, err) && print_id(state.file_id, err);
	if (!good && state.file_id != NULL)
		sent_delete(r, state.file_id);
	else if (!good)
		upload_forget(r, &state);
	sent_release();
	upload_state_done(&state);
	return good;
}

int files_send(const struct asked *a, const char *path)
{
	struct request_file in = REQUEST_FILE_CLOSED;
	struct remote *r = NULL;
	struct error err;
	bool good = request_file_open(path, &in, &err) && sent_guard(a, &err) &&
		    asked_open(a, &r, &err) && upload(r, &in, &err);

	remote_close(r);
	request_file_close(&in);
	return told(good, &err);
}

int files_content(const struct asked *a, const char *id, const char *to)
{
	struct remote *r = NULL;
	struct error err;
	bool good = place_check(to, &err) && asked_open(a, &r, &err) &&
		    file_get(r, id, to, NULL, &err);

	remote_close(r);
	return told(good, &err);
}

/* What one id is refused for says nothing of the others. */
int files_remove(const struct asked *a, const char *const *ids, size_t count)
{
	struct remote *r = NULL;
	struct error err;
	int code = told(asked_open(a, &r, &err), &err);

	for (size_t i = 0; i < count && r != NULL; i++) {
		if (call(r, "DELETE", ids[i], NULL, &err))
			continue;
		report(&err);
		code = EXIT_FAULT;
		if (!remote_refused_this(r))
			break;
	}
	remote_close(r);
	return code;
}
