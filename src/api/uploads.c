/* uploads.c: an upload is a row, and a promise of room; its bytes come with its parts. */
#include "api/uploads.h"

#include <stdlib.h>

#include "api/expiry.h"
#include "api/filename.h"
#include "api/input_rules.h"
#include "api/layout.h"
#include "api/members.h"
#include "api/number.h"
#include "api/objects.h"
#include "base/sys.h"

#define TOO_MANY_RETRY_S 10

/* ---- the object ---- */

static void put_status(struct buf *to, const void *row)
{
	const struct upload_row *u = row;

	buf_json_string(to, slice_of(upload_status_name(u->status)));
}

#define U(member) COLUMN(struct upload_row, member)

static const struct json_member upload_members[] = {
	{ "id", U(id) },
	{ "object", .literal = "\"upload\"" },
	{ "bytes", U(bytes) },
	{ "created_at", U(created_at) },
	{ "filename", U(filename) },
	{ "purpose", .literal = "\"batch\"" },
	{ "status", .write = put_status },
	{ "expires_at", U(expires_at) },
};

void upload_write(struct buf *to, const struct upload_row *u, const struct file *file)
{
	buf_char(to, '{');
	members_write(to, upload_members, ARRAY_LEN(upload_members), u);
	buf_text(to, ",\"file\":");
	if (file != NULL)
		file_write(to, file);
	else
		buf_text(to, "null");
	buf_char(to, '}');
}

/* ---- create ---- */

enum { BYTES, FILENAME, MIME_TYPE, PURPOSE, EXPIRES_AFTER, MEMBER_COUNT };

/* Whatever the setting: sums of them stay integers in the store. */
#define BYTES_MAX (INT64_C(1) << 53)

static bool read_bytes(const struct api *api, struct slice text, uint64_t *ret, struct error *err)
{
	uint64_t most = api->config.upload_bytes;
	int64_t bytes;

	if (!number_read("bytes", text, 0, INT64_MAX, &bytes, err))
		return false;
	*ret = (uint64_t)bytes;
	if (most > 0 && *ret > most)
		return ingest_size_fail(api->config.profile, most, "limits.upload_bytes", err);
	return number_read("bytes", text, 0, BYTES_MAX, &bytes, err) &&
	       input_empty_check(api, *ret, err);
}

static bool read_filename(const struct member *m, struct upload_row *ret, struct error *err)
{
	AUTO(auto_free) char *text = NULL;
	size_t n;

	if (!member_text(m, &text, &n, err))
		return false;
	if (strlen(text) != n)
		return fail_param(err, "filename", "invalid_value",
				  "Invalid value for 'filename': it holds a NUL.");
	return filename_read("filename", text, ret->filename, sizeof(ret->filename), err) &&
	       filename_check(ret->filename, err);
}

static bool read_purpose(const struct member *m, struct error *err)
{
	AUTO(auto_free) char *text = NULL;
	size_t n;

	return member_text(m, &text, &n, err) &&
	       input_purpose_check((struct slice){ text, n }, err);
}

/* Any type of file is fine, as with POST /v1/files. */
static bool upload_read(struct request *rq, struct upload_row *ret, struct error *err)
{
	struct member m[MEMBER_COUNT] = {
		[BYTES].name = "bytes",
		[FILENAME].name = "filename",
		[MIME_TYPE].name = "mime_type",
		[PURPOSE].name = "purpose",
		[EXPIRES_AFTER].name = "expires_after",
	};

	if (!members_find(buf_slice(&rq->body), m, MEMBER_COUNT))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	return member_require(&m[BYTES], JSON_NUMBER, err) &&
	       member_require(&m[FILENAME], JSON_STRING, err) &&
	       member_require(&m[MIME_TYPE], JSON_STRING, err) &&
	       member_require(&m[PURPOSE], JSON_STRING, err) &&
	       read_bytes(rq->api, m[BYTES].text, &ret->bytes, err) &&
	       read_filename(&m[FILENAME], ret, err) && read_purpose(&m[PURPOSE], err) &&
	       expiry_member(&m[EXPIRES_AFTER], "expires_after.anchor", "expires_after.seconds",
			     &ret->expires_after_s, err);
}

/* What makes two creates the same (contract 2.4). */
static void upload_content(const struct upload_row *u, struct buf *to)
{
	buf_append(to, u->filename, strlen(u->filename) + 1);
	buf_printf(to, "%llu %lld", (unsigned long long)u->bytes, (long long)u->expires_after_s);
}

/* The upload as it was when it was made. */
static bool first_answer_again(struct request *rq, const char *id, struct http_response *r,
			       struct error *err)
{
	struct upload_row u;

	if (!store_upload_get(rq->api->store, rq->key.org, id, sys.now_s(), &u, err))
		return false;
	u.status = UPLOAD_PENDING;
	upload_write(&r->body, &u, NULL);
	return true;
}

/* The room is reserved in memory until the row is there, which reserves it from then on: so neither
 * files that are being uploaded nor other uploads get between. */
static bool upload_insert(struct request *rq, const struct upload_row *u, struct http_response *r,
			  char ret_id[static ID_SIZE], struct error *err)
{
	const struct file_quota quota = { limit_of(rq, LIMIT_FILES), limit_of(rq, LIMIT_BYTES) };
	struct file_use more = { 1, u->bytes };
	struct api *api = rq->api;

	if (!limits_upload_begin(rq, r, err))
		return false;
	bool ok = limits_reserve(&api->limits, api->store, &quota, rq->key.org, &more, err);
	if (!ok)
		more = (struct file_use){ 0 };
	ok = ok && store_upload_insert(api->store, u, &quota, limit_of(rq, LIMIT_UPLOADS),
				       &rq->claim.call, ret_id, err);
	limits_upload_end(&api->limits, rq->key.org, &more);
	if (!ok && err->kind == ERR_RATE_LIMIT)
		http_header(r, "Retry-After", "%d", TOO_MANY_RETRY_S);
	return ok;
}

bool uploads_create(struct request *rq, struct http_response *r, struct error *err)
{
	struct upload_row u = { .created_at = sys.now_s(), .status = UPLOAD_PENDING };
	AUTO(buf_free) struct buf content = BUF(4096);
	char id[ID_SIZE];

	if (!upload_read(rq, &u, err))
		return false;
	u.expires_at = u.created_at + UPLOAD_PENDING_S;
	upload_content(&u, &content);
	if (content.failed)
		return fail_memory(err);
	if (!repeat_find(rq, buf_slice(&content), r, id, err))
		return false;
	if (id[0] != '\0')
		return first_answer_again(rq, id, r, err);
	memcpy(u.org, rq->key.org, sizeof(u.org));
	id_upload(u.id);
	id_file(u.blob);
	if (!upload_insert(rq, &u, r, id, err))
		return false;
	if (strcmp(id, u.id) != 0)
		return first_answer_again(rq, id, r, err);
	upload_write(&r->body, &u, NULL);
	return true;
}

/* ---- cancel ---- */

bool uploads_cancel(struct request *rq, struct http_response *r, struct error *err)
{
	struct upload_row u;

	if (!store_upload_cancel(rq->api->store, rq->key.org, rq->object_id, sys.now_s(), &u, err))
		return false;
	pipeline_sweep(rq->api->pipeline); /* its blobs may go */
	upload_write(&r->body, &u, NULL);
	return true;
}
