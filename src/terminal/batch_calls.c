/* batch_calls.c: see batch_calls.h. */
#include "terminal/batch_calls.h"

#include <inttypes.h>

#include "base/id.h"
#include "terminal/batches.h"
#include "terminal/report.h"

#define PAGE 100u /* the most that the API gives at once */
#define PATH_BYTES_MAX (64u << 10)

static int tell(const struct error *err)
{
	report(err);
	return EXIT_FAULT;
}

/* ---- list ---- */

/* Appends a piece of the query, escaped by remote_path(). */
static void add_piece(struct buf *path, char *piece)
{
	if (piece == NULL)
		path->failed = true;
	else
		buf_text(path, piece);
	free(piece);
}

static void add_label(struct buf *path, const char *label)
{
	size_t n = strcspn(label, "=");
	AUTO(auto_free) char *key = strndup(label, n);

	if (key == NULL) {
		path->failed = true;
		return;
	}
	buf_text(path, "&metadata%5B");
	add_piece(path, remote_path("%s", key));
	buf_text(path, "%5D=");
	add_piece(path, remote_path("%s", label + n + (label[n] == '=')));
}

static void list_path(const struct list_options *o, struct buf *path)
{
	buf_printf(path, "/batches?limit=%u",
		   o->most > 0 && o->most < PAGE ? (unsigned)o->most : PAGE);
	if (o->status != NULL)
		add_piece(path, remote_path("&status=%s", o->status));
	if (o->since > 0)
		buf_printf(path, "&created_after=%" PRId64, o->since - 1);
	for (size_t i = 0; i < o->label_count; i++)
		add_label(path, o->labels[i]);
	if (o->asked.org != NULL)
		add_piece(path, remote_path("&org=%s", o->asked.org));
	buf_char(path, '\0');
}

static enum remote_taken on_batch(void *ctx, json_t *batch, struct error *err)
{
	return output_row(ctx, batch, err) ? REMOTE_MORE : REMOTE_FAULT;
}

int ask_list(const struct list_options *o)
{
	AUTO(buf_free) struct buf path = BUF(PATH_BYTES_MAX);
	struct remote *r = NULL;
	struct output out;
	struct error err, end_err;

	list_path(o, &path);
	if (path.failed) {
		fail_memory(&err);
		return tell(&err);
	}
	if (!asked_open(&o->asked, &r, &err))
		return tell(&err);
	output_open(&out, o->asked.form);
	output_list(&out, &batches_layout);
	bool good = remote_list(r, path.p, o->most, on_batch, &out, &err);
	bool ended = output_end(&out, good, &end_err);
	remote_close(r);
	if (!good || !ended)
		return tell(good ? &end_err : &err);
	return EXIT_GOOD;
}

/* ---- one batch ---- */

/* Asks `q` of the batch, and shows the batch object that is answered. */
static bool ask(const struct asked *a, const char *given, const char *action,
		struct remote_request *q, const struct output_layout *layout, struct error *err)
{
	char id[BATCH_ID_BYTES];
	struct remote *r = NULL;
	json_t *batch = NULL;
	struct output out;

	if (!asked_batch_id(given, id, err))
		return false;
	AUTO(auto_free) char *path = asked_batch_path(a, id, action);
	if (path == NULL)
		return fail_memory(err);
	if (!asked_open(a, &r, err))
		return false;
	q->path = path;
	output_open(&out, a->form);
	bool good = remote_json(r, q, &batch, err) && output_object(&out, layout, batch, err);
	json_decref(batch);
	remote_close(r);
	return good;
}

int ask_show(const struct asked *a, const char *id)
{
	struct error err;

	return ask(a, id, "", &(struct remote_request){ .method = "GET" }, &batches_layout, &err)
		       ? EXIT_GOOD
		       : tell(&err);
}

/* Done twice each is as done once. */
int ask_act(const struct asked *a, const char *id, const char *action)
{
	char tail[32];
	struct error err;

	snprintf(tail, sizeof(tail), "/%s", action);
	return ask(a, id, tail, &(struct remote_request){ .method = "POST", .again = true },
		   &batch_brief_layout, &err)
		       ? EXIT_GOOD
		       : tell(&err);
}

int ask_retry(const struct asked *a, const char *id)
{
	char key[ID_SIZE];
	struct error err;

	id_request(key);
	return ask(a, id, "/retry",
		   &(struct remote_request){ .method = "POST", .idempotency_key = key },
		   &batch_brief_layout, &err)
		       ? EXIT_GOOD
		       : tell(&err);
}
