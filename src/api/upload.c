/* upload.c: fields in any order, so the file may be in before the purpose is known: what can be
 * judged early spares the disk, but the answer comes from upload_judge() once all is there.
 *
 * Order at the end: bytes durable under their name, then the row in the store. A crash between them
 * leaves a blob without a row, which the next start sweeps; a failure between them is undone
 * here. */
#include "api/upload.h"

#include <errno.h>
#include <stdlib.h>

#include "api/expiry.h"
#include "api/filename.h"
#include "api/input_rules.h"
#include "api/objects.h"
#include "base/log.h"
#include "base/sys.h"
#include "http/multipart.h"
#include "ingest/ingest.h"

#define FIELD_MAX 128 /* all values there are are shorter */
#define RESERVE_BYTES (1u << 20)

/* A small field. Longer than FIELD_MAX: `text.failed`, and no valid value. */
struct field {
	const char *name;
	bool given;
	struct buf text;
};

enum { PURPOSE, ANCHOR, SECONDS, FIELD_COUNT };

struct upload {
	struct api *api;
	char org[ID_SIZE];
	bool counted;             /* as one of its organization's uploads */
	struct file_quota quota;  /* its organization's ... */
	struct file_use reserved; /* ... and what of it is this upload's */
	uint64_t announced;       /* bytes that the file has at least, by the length of the form */
	struct multipart *form;
	bool whole;     /* the form was read to its end without a fault */
	bool no_memory; /* it could not be, whatever it is like */
	struct field fields[FIELD_COUNT];
	unsigned files;
	char filename[sizeof(((struct file *)0)->filename)];
	struct ingest *ingest; /* NULL: nothing to store (yet, or any more) */
	bool may_repeat;       /* the call: by its headers */
	bool over_quota;       /* `fault` says so; then `ingest` only hashes */
	bool failed;           /* `fault` says why the bytes cannot be taken */
	struct error fault;
};

/* ---- rules: each may be asked as soon as its field is in ---- */

static bool fail_missing(struct error *err, const char *name)
{
	return fail_param(err, name, "missing_required_parameter",
			  "Missing required parameter: '%s'.", name);
}

static bool check_purpose(const struct upload *u, struct error *err)
{
	const struct field *purpose = &u->fields[PURPOSE];

	if (!purpose->given)
		return fail_missing(err, "purpose");
	return input_purpose_check(purpose->text.failed ? SLICE("") : buf_slice(&purpose->text),
				   err);
}

/* *ret_s: 0 if the client said nothing. */
static bool check_expiry(const struct upload *u, int64_t *ret_s, struct error *err)
{
	const struct field *anchor = &u->fields[ANCHOR], *seconds = &u->fields[SECONDS];

	*ret_s = 0;
	if (!anchor->given && !seconds->given)
		return true;
	if (!anchor->given || !seconds->given)
		return fail_missing(err, anchor->given ? seconds->name : anchor->name);
	return expiry_anchor(anchor->name, buf_slice(&anchor->text), err) &&
	       expiry_seconds(seconds->name, buf_slice(&seconds->text), ret_s, err);
}

/* Whether memory was out: then it is not known which fields the form lacks. */
static bool upload_lacks_memory(const struct upload *u)
{
	bool lacks = u->no_memory;

	for (unsigned i = 0; i < FIELD_COUNT; i++)
		lacks |= u->fields[i].text.no_memory;
	return lacks;
}

/* The form as a whole, in the order in which faults are told. */
static bool upload_judge(const struct upload *u, int64_t *ret_expires_after_s, struct error *err)
{
	if (upload_lacks_memory(u))
		return fail_memory(err);
	if (!u->whole)
		return fail(err, ERR_INVALID,
			    "Invalid multipart form: it is malformed or ends before its closing "
			    "boundary.");
	if (u->files == 0)
		return fail_missing(err, "file");
	if (u->files > 1)
		return fail_param(err, "file", "invalid_value",
				  "Invalid value for 'file': only one file is accepted.");
	if (!check_purpose(u, err))
		return false;
	if (u->failed) {
		*err = u->fault;
		return false;
	}
	return check_expiry(u, ret_expires_after_s, err);
}

/* ---- the form as it streams in ---- */

static void field_add(struct upload *u, const struct multipart_part *part, struct slice piece)
{
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		struct field *f = &u->fields[i];
		if (strcmp(part->name, f->name) != 0)
			continue;
		if (part->first)
			buf_clear(&f->text); /* of one given twice the last counts */
		f->given = true;
		buf_add(&f->text, piece);
	}
}

/* From here on the bytes are read and dropped; disk space is given back at once. */
static void upload_fail(struct upload *u)
{
	u->failed = true;
	ingest_abort(TAKE(u->ingest));
}

static bool upload_reserve(struct upload *u, uint64_t files, uint64_t bytes)
{
	struct api *api = u->api;
	struct file_use more = { files, bytes };

	if (!limits_reserve(&api->limits, api->store, &u->quota, u->org, &more, &u->fault))
		return false;
	u->reserved.files += files;
	u->reserved.bytes += bytes;
	return true;
}

/* The piece's bytes are reserved before they are written; beyond what was announced some at a time,
 * as long as there is room for so many. */
static bool piece_reserve(struct upload *u, size_t n)
{
	uint64_t needed = ingest_bytes(u->ingest) + n;

	if (needed <= u->reserved.bytes)
		return true;
	return upload_reserve(u, 0, RESERVE_BYTES) ||
	       upload_reserve(u, 0, needed - u->reserved.bytes);
}

/* `fault` says that the quota is used up. Nothing is stored. But a repeated call has to get the
 * answer of the first, and is recognised by its content (contract 2.4): so an upload that may be a
 * repetition is hashed to its end. */
static bool over_quota(struct upload *u)
{
	u->over_quota = u->may_repeat;
	if (u->over_quota)
		ingest_forgo(u->ingest);
	return u->over_quota;
}

static void file_begin(struct upload *u, const char *filename)
{
	struct ingest_limits limits = u->api->config.limits;

	limits.use = budget_use(u->api->budget, BUDGET_UPLOADS);
	u->files++;
	bool ok = u->files == 1 &&
		  filename_read("file", filename, u->filename, sizeof(u->filename), &u->fault) &&
		  filename_check(u->filename, &u->fault) &&
		  (!u->fields[PURPOSE].given || check_purpose(u, &u->fault)) &&
		  ingest_open(u->api->blobs, &limits, &u->ingest, &u->fault) &&
		  (upload_reserve(u, 1, u->announced) || over_quota(u));
	if (!ok)
		upload_fail(u);
}

static void file_write_piece(struct upload *u, struct slice piece)
{
	bool ok = (u->over_quota || piece_reserve(u, piece.n) || over_quota(u)) &&
		  ingest_write(u->ingest, piece, &u->fault);

	if (!ok)
		upload_fail(u);
}

/* A file without a filename is no file (contract 3.2). */
static bool on_piece(void *ctx, const struct multipart_part *part, struct slice piece)
{
	struct upload *u = ctx;

	if (strcmp(part->name, "file") != 0)
		field_add(u, part, piece);
	else if (part->filename == NULL || part->filename[0] == '\0')
		return true;
	else if (part->first)
		file_begin(u, part->filename);
	else if (u->ingest != NULL)
		file_write_piece(u, piece);
	return true;
}

/* ---- begin, body ---- */

static struct upload *upload_new(struct api *api, const char *content_type)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->api = api;
	u->fields[PURPOSE].name = "purpose";
	u->fields[ANCHOR].name = "expires_after[anchor]";
	u->fields[SECONDS].name = "expires_after[seconds]";
	for (unsigned i = 0; i < FIELD_COUNT; i++)
		u->fields[i].text = BUF(FIELD_MAX);
	errno = 0;
	u->form = multipart_open(content_type, on_piece, u);
	if (u->form == NULL && errno == ENOMEM)
		free(TAKE(u));
	return u;
}

bool upload_begin(struct request *rq, struct http_response *r, struct error *err)
{
	uint64_t length = http_content_length(rq->http);

	rq->upload = upload_new(rq->api, http_request_header(rq->http, "Content-Type"));
	if (rq->upload == NULL)
		return fail_memory(err);
	if (rq->upload->form == NULL || !http_has_body(rq->http))
		return fail_missing(err, "file"); /* not multipart: there can be no file in it */
	rq->upload->announced = length != UINT64_MAX && length > FORM_BYTES ? length - FORM_BYTES
									    : 0;
	if (!ingest_size_check(&rq->api->config.limits, rq->upload->announced, err))
		return false;
	rq->upload->quota = (struct file_quota){ limit_of(rq, LIMIT_FILES),
						 limit_of(rq, LIMIT_BYTES) };
	memcpy(rq->upload->org, rq->key.org, sizeof(rq->upload->org));
	rq->upload->may_repeat = rq->claim.call.idempotency_key[0] != '\0' || rq->claim.call.resent;
	rq->upload->counted = limits_upload_begin(rq, r, err);
	if (!rq->upload->counted)
		return false;
	http_body_to_worker(rq->http);
	return true;
}

bool upload_room(struct request *rq, size_t bytes)
{
	return rq->upload->ingest == NULL || ingest_room(rq->upload->ingest, bytes);
}

void upload_body(struct request *rq, struct slice piece)
{
	/* A form that is malformed stays so: upload_handle hears of it. */
	(void)!multipart_write(rq->upload->form, piece);
}

/* What was reserved is in the store now, or is gone. */
static void upload_over(struct upload *u)
{
	if (!u->counted)
		return;
	u->counted = false;
	limits_upload_end(&u->api->limits, u->org, &u->reserved);
}

void upload_free(struct upload *u)
{
	if (u == NULL)
		return;
	upload_over(u);
	(void)!multipart_close(u->form);
	ingest_abort(u->ingest);
	for (unsigned i = 0; i < FIELD_COUNT; i++)
		buf_free(&u->fields[i].text);
	free(u);
}

/* ---- handle ---- */

/* Contract 2.4: content of an upload = name, purpose, expiry, SHA-256. */
static void upload_content(const struct file *f, int64_t expires_after_s, struct buf *to)
{
	buf_append(to, f->filename, strlen(f->filename) + 1);
	buf_printf(to, "%s %lld %s", file_purpose_name(f->purpose), (long long)expires_after_s,
		   f->sha256);
}

static void describe_file(const struct request *rq, int64_t expires_after_s, struct file *to)
{
	const struct upload *u = rq->upload;

	*to = (struct file){
		.purpose = PURPOSE_BATCH,
		.bytes = ingest_bytes(u->ingest),
		.created_at = sys.now_s(),
	};
	id_file(to->id);
	memcpy(to->org, rq->key.org, sizeof(to->org));
	memcpy(to->filename, u->filename, sizeof(to->filename));
	memcpy(to->sha256, ingest_sha256(u->ingest), sizeof(to->sha256));
	to->expires_at = input_expires_at(rq->api, to->created_at, expires_after_s);
}

/* The bytes lie under their name; without a row they have to go again. *ret_id is the file's, or
 * that of a repeated call's first. */
static bool enter_in_store(struct request *rq, const struct file *f, char ret_id[static ID_SIZE],
			   struct error *err)
{
	struct api *api = rq->api;
	struct error ignored;

	bool ok = input_first_line_check(api, f->id, err) &&
		  store_file_insert(api->store, f, &rq->upload->quota, &rq->claim.call, ret_id,
				    err);
	if (ok && strcmp(ret_id, f->id) == 0)
		return true;
	/* If even that fails, the next start sweeps it. */
	if (!blob_remove(api->blobs, f->id, &ignored))
		log_fault("upload.orphan", &ignored, kv_str("file", f->id));
	return ok;
}

static bool answer_file(struct request *rq, const char *id, struct http_response *r,
			struct error *err)
{
	struct file f;

	if (!store_file_get(rq->api->store, rq->key.org, id, sys.now_s(), &f, err))
		return false;
	file_write(&r->body, &f);
	return true;
}

static bool upload_finish(struct request *rq, struct http_response *r, struct error *err)
{
	struct upload *u = rq->upload;
	AUTO(buf_free) struct buf content = BUF(4096);
	struct file f;
	int64_t expires_after_s;
	char id[ID_SIZE];

	u->no_memory = multipart_no_memory(u->form);
	u->whole = multipart_close(TAKE(u->form));
	if (!upload_judge(u, &expires_after_s, err) || !ingest_finish(u->ingest, err) ||
	    !input_empty_check(u->api, ingest_bytes(u->ingest), err))
		return false;
	describe_file(rq, expires_after_s, &f);
	upload_content(&f, expires_after_s, &content);
	if (content.failed)
		return fail_memory(err);
	if (!repeat_find(rq, buf_slice(&content), r, id, err))
		return false;
	if (id[0] != '\0')
		return answer_file(rq, id, r, err); /* upload_free drops the copy */
	if (u->over_quota) {
		*err = u->fault;
		return false;
	}
	if (!ingest_commit(TAKE(u->ingest), f.id, err) || !enter_in_store(rq, &f, id, err))
		return false;
	if (strcmp(id, f.id) != 0)
		return answer_file(rq, id, r, err);
	file_write(&r->body, &f);
	return true;
}

bool upload_handle(struct request *rq, struct http_response *r, struct error *err)
{
	bool ok = upload_finish(rq, r, err);

	/* Before the client can know, and send the next. */
	upload_over(rq->upload);
	return ok;
}
