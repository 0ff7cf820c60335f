/* part.c: the bytes go where part_open() says, and count once their row is in the store.
 *
 * Behind upload_row.blob_bytes the upload's blob holds nothing that counts: a crash, a client that
 * goes away and a part that is refused leave bytes there, which the next opening cuts off.
 *
 * Of nodes none knows whether another appends, so there every part has a blob of its own. */
#include "api/part.h"

#include <errno.h>
#include <stdlib.h>

#include "api/layout.h"
#include "api/upload.h"
#include "api/upload_claims.h"
#include "base/log.h"
#include "base/sys.h"
#include "http/multipart.h"
#include "store/uploads.h"

struct part_form {
	struct api *api;
	char org[ID_SIZE];
	char upload[sizeof(((struct request *)0)->object_id)];
	bool counted; /* as one of its organization's parts */
	struct file_quota quota;
	struct multipart *form;
	unsigned given; /* fields `data` */
	bool failed;    /* `fault` says why the bytes cannot be taken */
	struct error fault;

	struct upload_claim claim;  /* on the upload's blob ... */
	struct blob_appender *tail; /* ... which the part is appended to */
	struct blob_writer *own;    /* or its own */
	struct upload_part row;
};

/* ---- where the bytes go ---- */

static bool is_open(const struct part_form *p)
{
	return p->tail != NULL || p->own != NULL;
}

static bool part_open(struct part_form *p, struct error *err)
{
	struct api *api = p->api;
	struct upload_row u;
	/* First: from then on nobody else moves the end of the blob. */
	bool in_turn = !store_is_shared(api->store) &&
		       upload_claim_blob(&api->upload_claims, &p->claim, p->upload);

	if (!store_upload_get(api->store, p->org, p->upload, sys.now_s(), &u, err) ||
	    !upload_is_pending(&u, err))
		return false;
	id_part(p->row.id);
	memcpy(p->row.blob, in_turn ? u.blob : p->row.id, sizeof(p->row.blob));
	if (!in_turn)
		return blob_create(api->blobs, &p->own, err);
	p->row.at = u.blob_bytes;
	return blob_append_open(api->blobs, u.blob, u.blob_bytes, &p->tail, err);
}

/* Where the upload has ended meanwhile, its blob may have been removed before it was opened here,
 * which makes it again. (It is no file: it was claimed, so complete has made another.) */
static void blob_leave(struct part_form *p)
{
	struct upload_row u;
	struct error err;

	blob_append_rewind_to(p->tail, p->row.at);
	bool ok = blob_append_sync(p->tail, &err);
	blob_append_close(TAKE(p->tail));
	ok = ok && store_upload_get(p->api->store, p->org, p->upload, sys.now_s(), &u, &err);
	if (ok && u.ended) /* one that is past its time is the sweep's, which ends it first */
		ok = blob_remove(p->api->blobs, u.blob, &err);
	if (!ok) /* the next part, or the next start, finds it */
		log_fault("part.leftover", &err, kv_str("upload", p->upload));
}

/* What was written does not count, and goes. */
static void part_drop(struct part_form *p)
{
	blob_abort(TAKE(p->own));
	if (p->tail != NULL)
		blob_leave(p);
	upload_claim_end(&p->api->upload_claims, &p->claim);
}

/* ---- the form as it streams in ---- */

static bool fail_too_large(struct error *err)
{
	return fail(err, ERR_TOO_LARGE, "A part of an upload may have %u bytes.", PART_BYTES_MAX);
}

static bool data_write(struct part_form *p, struct slice piece, struct error *err)
{
	if (p->row.bytes + piece.n > PART_BYTES_MAX)
		return fail_too_large(err);
	p->row.bytes += piece.n;
	return p->tail != NULL ? blob_append(p->tail, piece, err) : blob_write(p->own, piece, err);
}

/* From a fault on the bytes are read and dropped. */
static bool on_piece(void *ctx, const struct multipart_part *form, struct slice piece)
{
	struct part_form *p = ctx;

	if (strcmp(form->name, "data") != 0)
		return true;
	p->given += form->first;
	if (p->failed || p->given > 1)
		return true;
	p->failed = form->first ? !part_open(p, &p->fault) : !data_write(p, piece, &p->fault);
	if (p->failed)
		part_drop(p);
	return true;
}

static bool fail_missing(struct error *err)
{
	return fail_param(err, "data", "missing_required_parameter",
			  "Missing required parameter: 'data'.");
}

bool part_begin(struct request *rq, struct http_response *r, struct error *err)
{
	uint64_t length = http_content_length(rq->http);
	struct part_form *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return fail_memory(err);
	rq->part = p;
	p->api = rq->api;
	memcpy(p->org, rq->key.org, sizeof(p->org));
	p->quota = (struct file_quota){ limit_of(rq, LIMIT_FILES), limit_of(rq, LIMIT_BYTES) };
	memcpy(p->upload, rq->object_id, sizeof(p->upload));
	errno = 0;
	p->form = multipart_open(http_request_header(rq->http, "Content-Type"), on_piece, p);
	if (p->form == NULL && errno == ENOMEM)
		return fail_memory(err);
	if (p->form == NULL || !http_has_body(rq->http))
		return fail_missing(err); /* not multipart: there can be no data in it */
	if (length != UINT64_MAX && length > PART_BYTES_MAX + FORM_BYTES)
		return fail_too_large(err);
	p->counted = limits_part_begin(rq, r, err);
	if (!p->counted)
		return false;
	http_body_to_worker(rq->http);
	return true;
}

void part_body(struct request *rq, struct slice piece)
{
	/* A form that is malformed stays so: part_handle hears of it. */
	(void)!multipart_write(rq->part->form, piece);
}

void part_free(struct part_form *p)
{
	if (p == NULL)
		return;
	part_drop(p);
	(void)!multipart_close(p->form);
	if (p->counted)
		limits_part_end(&p->api->limits, p->org);
	free(p);
}

/* ---- handle ---- */

static bool part_judge(struct part_form *p, struct error *err)
{
	bool no_memory = multipart_no_memory(p->form), whole = multipart_close(TAKE(p->form));

	if (no_memory)
		return fail_memory(err);
	if (p->failed) {
		*err = p->fault;
		return false;
	}
	if (!whole)
		return fail(err, ERR_INVALID,
			    "Invalid multipart form: it is malformed or ends before its closing "
			    "boundary.");
	if (p->given > 1)
		return fail_param(err, "data", "invalid_value",
				  "Invalid value for 'data': only one part is accepted.");
	return is_open(p) || fail_missing(err);
}

/* crash: bytes behind the end of the upload's blob, or a blob of no part: store_part_insert(). */
static bool bytes_durable(struct part_form *p, struct error *err)
{
	if (p->tail != NULL && !blob_append_sync(p->tail, err))
		return false;
	if (p->own != NULL && !blob_commit(TAKE(p->own), p->row.id, BLOB_DATA, err))
		return false;
	return (p->tail != NULL && p->row.at > 0) || blobs_sync(p->api->blobs, err);
}

static bool part_enter(struct part_form *p, struct error *err)
{
	bool own = p->own != NULL;
	struct error unheard; /* of two faults the first is told */

	if (bytes_durable(p, err) && store_part_insert(p->api->store, p->org, p->upload, &p->row,
						       &p->quota, sys.now_s(), err)) {
		blob_append_close(TAKE(p->tail));
		return true;
	}
	if (own && !blob_remove(p->api->blobs, p->row.id, &unheard))
		log_fault("part.leftover", &unheard, kv_str("part", p->row.id));
	return false;
}

struct part_answer {
	const char *id, *upload;
	int64_t created_at;
};

static const struct json_member members[] = {
	{ "id", COLUMN(struct part_answer, id) },
	{ "object", .literal = "\"upload.part\"" },
	{ "created_at", COLUMN(struct part_answer, created_at) },
	{ "upload_id", COLUMN(struct part_answer, upload) },
};

bool part_handle(struct request *rq, struct http_response *r, struct error *err)
{
	struct part_form *p = rq->part;
	bool ok = part_judge(p, err) && part_enter(p, err);

	if (ok) {
		const struct part_answer a = { p->row.id, p->upload, sys.now_s() };
		object_write(&r->body, members, ARRAY_LEN(members), &a);
	}
	part_drop(p); /* before the client can know, and send the next */
	return ok;
}
