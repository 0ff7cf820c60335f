/* asked.c: see asked.h. */
#include "terminal/asked.h"

#include <unistd.h>

#include "terminal/text.h"
#include "terminal/tty.h"

/* In place of a bar that may stand there, which is drawn anew below. */
static void note(void *ctx, const char *text)
{
	(void)ctx;
	fputs(tty_is(STDERR_FILENO) ? "\r\033[Klowtide: trying again: " : "lowtide: trying again: ",
	      stderr);
	print_plain(text, stderr);
	fputc('\n', stderr);
}

bool asked_open_patient(const struct asked *a, unsigned patience_s, struct remote **ret,
			struct error *err)
{
	const struct remote_setup setup = { .url = a->url,
					    .key = a->key,
					    .ca_file = a->ca_file,
					    .patience_s = patience_s,
					    .note = note };

	return remote_open(&setup, ret, err);
}

bool asked_open(const struct asked *a, struct remote **ret, struct error *err)
{
	return asked_open_patient(a, 0, ret, err);
}

bool asked_batch_id(const char *given, char ret[static BATCH_ID_BYTES], struct error *err)
{
	size_t n = strlen(given);
	bool bare = n == 32 && strspn(given, "0123456789abcdef") == n;

	if (n == 0 || n + sizeof("batch_") > BATCH_ID_BYTES)
		return fail(err, ERR_INVALID,
			    "'%.200s' is no id of a batch; `lowtide list` shows them", given);
	snprintf(ret, BATCH_ID_BYTES, "%s%s", bare ? "batch_" : "", given);
	return true;
}

char *asked_batch_path(const struct asked *a, const char *id, const char *action)
{
	AUTO(auto_free) char *path = remote_path("/batches/%s", id);
	AUTO(auto_free) char *org = a->org != NULL ? remote_path("?org=%s", a->org) : NULL;
	char *all;

	if (path == NULL || (a->org != NULL && org == NULL) ||
	    asprintf(&all, "%s%s%s", path, action, org != NULL ? org : "") < 0)
		return NULL;
	return all;
}

bool asked_batch(struct remote *r, const struct asked *a, const char *id, json_t **ret,
		 struct error *err)
{
	AUTO(auto_free) char *path = asked_batch_path(a, id, "");

	if (path == NULL)
		return fail_memory(err);
	return remote_json(r, &(struct remote_request){ .method = "GET", .path = path }, ret, err);
}
