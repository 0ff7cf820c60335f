/* upload_complete.c: where the list names the parts of the upload's own blob in their order and no
 * others, that blob becomes the file: it is read once, and nothing is written but its index. Else
 * the parts are copied into another blob in the same pass. Whatever fails, the upload stays pending
 * with all its parts.
 *
 * Of nodes each part has a blob of its own, and the store that they share makes the file of those: that
 * is read once, too. Two nodes that complete one upload make a file each; the first to enter its own has
 * made the upload's, and the other drops its own and answers with that. */
#include "api/upload_complete.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "api/input_rules.h"
#include "api/members.h"
#include "api/upload_claims.h"
#include "api/uploads.h"
#include "base/log.h"
#include "base/sys.h"
#include "blob/objects.h"
#include "blob/parts.h"

#define MD5_HEX 32
/* What a pass takes at most, for Retry-After while it runs. */
#define BYTES_PER_S (256u << 20)
#define RETRY_MOST_S 60u
/* Parts that are smaller on average are copied: of as many objects a file is slow to read. */
#define JOIN_PART_BYTES (1u << 20)

/* How the parts become the file. */
enum making {
	IN_PLACE, /* the upload's blob is it */
	JOINED,   /* of blobs that are parts, by the store that has them */
	COPIED,
};

struct completion {
	struct api *api;
	struct upload_claim claim;
	bool alone; /* nobody appends to the upload's blob */
	struct upload_row upload;
	struct upload_part *parts;
	size_t n;
	char list[65];         /* hash of their ids */
	char md5[MD5_HEX + 1]; /* "": not given */
	struct file file;      /* to be */
};

static void completion_done(struct completion *c)
{
	upload_claim_end(&c->api->upload_claims, &c->claim);
	free(c->parts);
}

/* ---- the request ---- */

/* What is no id of ours becomes "", which names no part either. */
static bool part_id_read(const struct json *j, enum json_type type, size_t number,
			 struct upload_part *ret, struct error *err)
{
	struct slice raw = j->value;
	char path[40];

	if (type != JSON_STRING) {
		snprintf(path, sizeof(path), "part_ids[%zu]", number);
		return fail_type(err, path, JSON_STRING, type, raw);
	}
	raw.p++; /* without its quotes */
	raw.n -= 2;
	size_t n = json_decode(raw, ret->id, sizeof(ret->id) - 1);
	if (n >= sizeof(ret->id) || memchr(ret->id, '\0', n) != NULL)
		n = 0;
	ret->id[n] = '\0';
	return true;
}

static bool part_ids_read(struct completion *c, struct slice text, struct error *err)
{
	struct json j;
	size_t count = json_array_count(text);

	if (count > UPLOAD_PARTS_MAX)
		return fail_param(err, "part_ids", "invalid_value",
				  "Invalid value for 'part_ids': an upload has at most %u parts, "
				  "the list has %zu.",
				  UPLOAD_PARTS_MAX, count);
	c->parts = calloc(count + 1, sizeof(*c->parts));
	if (c->parts == NULL)
		return fail_memory(err);
	json_init(&j, text);
	(void)json_next(&j);
	for (; json_element(&j); c->n++) {
		enum json_type type = json_next(&j);
		if (!part_id_read(&j, type, c->n, &c->parts[c->n], err))
			return false;
	}
	return true;
}

static bool md5_read(struct completion *c, const struct member *m, struct error *err)
{
	AUTO(auto_free) char *text = NULL;
	size_t n;

	if (member_absent(m))
		return true;
	if (!member_require(m, JSON_STRING, err) || !member_text(m, &text, &n, err))
		return false;
	if (n != MD5_HEX || strspn(text, "0123456789abcdefABCDEF") != n)
		return fail_param(err, "md5", "invalid_value",
				  "Invalid value for 'md5': expected %d hexadecimal digits.",
				  MD5_HEX);
	memcpy(c->md5, text, n + 1);
	return true;
}

/* Of the ids as they stand in the list. */
static bool list_hash(struct completion *c, struct error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *hash = EVP_MD_CTX_new();
	bool ok = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;

	for (size_t i = 0; ok && i < c->n; i++)
		ok = EVP_DigestUpdate(hash, c->parts[i].id, strlen(c->parts[i].id) + 1) == 1;
	ok = ok && EVP_DigestFinal_ex(hash, digest, NULL) == 1;
	EVP_MD_CTX_free(hash);
	for (unsigned i = 0; ok && i < 32; i++)
		snprintf(c->list + 2 * (size_t)i, 3, "%02x", digest[i]);
	return ok || fail_memory(err);
}

static bool request_read(struct completion *c, struct slice body, struct error *err)
{
	struct member m[] = { { .name = "part_ids" }, { .name = "md5" } };

	if (!members_find(body, m, ARRAY_LEN(m)))
		return fail(err, ERR_INVALID, "We could not parse the JSON body of your request.");
	return member_require(&m[0], JSON_ARRAY, err) && part_ids_read(c, m[0].text, err) &&
	       md5_read(c, &m[1], err) && list_hash(c, err);
}

/* ---- what the parts are ---- */

static bool sizes_check(const struct completion *c, struct error *err)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->n; i++)
		sum += c->parts[i].bytes; /* at most 64 MiB each, and 2^14 of them */
	return sum == c->upload.bytes ||
	       fail_param(err, "part_ids", "invalid_value",
			  "The parts have %llu bytes together, the upload was announced with %llu.",
			  (unsigned long long)sum, (unsigned long long)c->upload.bytes);
}

/* Whether the upload's blob is the file. A node cannot tell: another may append to it. */
static bool is_in_place(const struct completion *c)
{
	uint64_t at = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct upload_part *p = &c->parts[i];
		if (strcmp(p->blob, c->upload.blob) != 0 || p->at != at)
			return false;
		at += p->bytes;
	}
	return !store_is_shared(c->api->store) && c->alone && c->n > 0 &&
	       at == c->upload.blob_bytes;
}

static bool is_of_blobs(const struct completion *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->parts[i].blob, c->parts[i].id) != 0)
			return false;
	return store_is_shared(c->api->store) && c->n > 0 &&
	       c->upload.bytes / c->n >= JOIN_PART_BYTES;
}

static enum making making_of(const struct completion *c)
{
	if (is_in_place(c))
		return IN_PLACE;
	return is_of_blobs(c) ? JOINED : COPIED;
}

/* ---- the pass ---- */

/* The upload's blob without what stands behind its parts: a part that broke off. */
static bool blob_cut(const struct completion *c, struct error *err)
{
	struct blob_appender *a;

	if (!blob_append_open(c->api->blobs, c->upload.blob, c->upload.blob_bytes, &a, err))
		return false;
	bool ok = blob_append_sync(a, err);
	blob_append_close(a);
	return ok;
}

static bool parts_open(const struct completion *c, struct blob_reader **ret, struct error *err)
{
	struct blob_part *list = calloc(c->n + 1, sizeof(*list));

	if (list == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->n; i++) {
		memcpy(list[i].id, c->parts[i].blob, sizeof(list[i].id));
		list[i].at = c->parts[i].at;
		list[i].bytes = c->parts[i].bytes;
	}
	bool ok = blob_parts_open(c->api->blobs, list, c->n, ret, err);
	free(list);
	return ok;
}

/* crash: a blob of no row, which the sweep of a start removes. */
static bool parts_join(const struct completion *c, struct blob_reader **ret, struct error *err)
{
	struct blob_joined *list = calloc(c->n, sizeof(*list));

	if (list == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->n; i++)
		list[i] = (struct blob_joined){ c->parts[i].blob, c->parts[i].bytes };
	bool ok = blobs_join(c->api->blobs, c->file.id, list, c->n, err) &&
		  blob_open(c->api->blobs, c->file.id, BLOB_DATA, ret, err);
	free(list);
	return ok;
}

static bool md5_check(const struct completion *c, const struct ingest *in, struct error *err)
{
	return c->md5[0] == '\0' || strcasecmp(c->md5, ingest_md5(in)) == 0 ||
	       fail_param(err, "md5", "invalid_value",
			  "The md5 of the parts is %s, not %s. The upload is still pending.",
			  ingest_md5(in), c->md5);
}

/* The bytes of `from` become the blob c->file.id with an index, or are it and get one. */
static bool pass(struct completion *c, const struct blob_reader *from, bool beside,
		 struct error *err)
{
	struct ingest_limits limits = c->api->config.limits;
	struct ingest *in;

	limits.file_bytes = 0; /* judged when it was announced, by another limit */
	limits.md5 = c->md5[0] != '\0';
	limits.use = budget_use(c->api->budget, BUDGET_UPLOADS);
	if (!(beside ? ingest_open_beside(c->api->blobs, from, &limits, &in, err)
		     : ingest_open(c->api->blobs, &limits, &in, err)))
		return false;
	if (!ingest_read(in, from, err) || !ingest_finish(in, err) || !md5_check(c, in, err)) {
		ingest_abort(in);
		return false;
	}
	memcpy(c->file.sha256, ingest_sha256(in), sizeof(c->file.sha256));
	return ingest_commit(in, c->file.id, err);
}

static bool file_open(struct completion *c, enum making how, struct blob_reader **ret,
		      struct error *err)
{
	if (how == IN_PLACE) {
		memcpy(c->file.id, c->upload.blob, sizeof(c->file.id));
		return blob_cut(c, err) &&
		       blob_open(c->api->blobs, c->upload.blob, BLOB_DATA, ret, err);
	}
	id_file(c->file.id);
	return how == JOINED ? parts_join(c, ret, err) : parts_open(c, ret, err);
}

static bool file_make(struct completion *c, enum making how, struct error *err)
{
	struct blob_reader *from;

	if (!file_open(c, how, &from, err))
		return false;
	bool ok = pass(c, from, how != COPIED, err);
	blob_reader_close(from);
	return ok;
}

/* ---- the row ---- */

static void file_describe(struct completion *c)
{
	struct file *f = &c->file;

	f->purpose = PURPOSE_BATCH;
	f->bytes = c->upload.bytes;
	f->created_at = sys.now_s();
	f->expires_at = input_expires_at(c->api, f->created_at, c->upload.expires_after_s);
	memcpy(f->org, c->upload.org, sizeof(f->org));
	memcpy(f->filename, c->upload.filename, sizeof(f->filename));
}

/* The file was not entered. A copy goes. The upload's blob stays while its row is pending, and where
 * another call has made the file of it; else its end has named the blob as spare, and what the pass has
 * added to it may have come after the sweep. */
static void file_leave(const struct completion *c, bool in_place)
{
	struct upload_row u;
	struct error err;
	bool stays = in_place && (!store_upload_get(c->api->store, c->upload.org, c->upload.id,
						    sys.now_s(), &u, &err) ||
				  !u.ended || strcmp(u.file, c->file.id) == 0);

	if (!stays && !blob_remove(c->api->blobs, c->file.id, &err))
		log_fault("upload.orphan", &err, kv_str("file", c->file.id));
}

static bool complete(struct completion *c, struct error *err)
{
	struct api *api = c->api;

	if (!upload_is_pending(&c->upload, err) ||
	    !store_parts_get(api->store, c->upload.id, c->parts, c->n, err) || !sizes_check(c, err))
		return false;
	enum making how = making_of(c);
	bool ok = file_make(c, how, err);
	if (ok)
		file_describe(c);
	ok = ok && input_first_line_check(api, c->file.id, err) &&
	     store_upload_complete(api->store, c->upload.id, &c->file, c->list, err);
	if (!ok) {
		file_leave(c, how == IN_PLACE);
		return false;
	}
	c->upload.status = UPLOAD_COMPLETED;
	pipeline_sweep(api->pipeline); /* blobs that are not the file's may go */
	return true;
}

/* ---- the call ---- */

static bool fail_running(const struct completion *c, struct http_response *r, struct error *err)
{
	uint64_t takes_s = 1 + c->upload.bytes / BYTES_PER_S;

	http_header(r, "Retry-After", "%u",
		    takes_s < RETRY_MOST_S ? (unsigned)takes_s : RETRY_MOST_S);
	return fail(err, ERR_CONFLICT,
		    "The upload is being completed by another call. Please retry for its answer.");
}

/* Contract 4: the same parts again get the same file. */
static bool is_repeated(const struct completion *c)
{
	return c->upload.status == UPLOAD_COMPLETED && strcmp(c->upload.part_list, c->list) == 0;
}

static bool first_file_get(struct completion *c, struct error *err)
{
	return store_file_get(c->api->store, c->upload.org, c->upload.file, sys.now_s(), &c->file,
			      err);
}

/* Of an upload that has ended meanwhile, so that its parts may be gone, *why says that. */
static void upload_reread(struct completion *c, struct error *why)
{
	struct upload_row u;
	struct error err;

	if (!store_upload_get(c->api->store, c->upload.org, c->upload.id, sys.now_s(), &u, &err))
		return;
	if (!upload_is_pending(&u, &err))
		*why = err;
	c->upload = u;
}

/* Where another node has completed it meanwhile, with the same parts, that call was the first. */
static bool complete_or_repeat(struct completion *c, struct error *err)
{
	if (!is_repeated(c)) {
		if (complete(c, err))
			return true;
		upload_reread(c, err);
	}
	return is_repeated(c) && first_file_get(c, err);
}

bool upload_complete(struct request *rq, struct http_response *r, struct error *err)
{
	struct api *api = rq->api;
	AUTO(completion_done) struct completion c = { .api = api };

	if (!request_read(&c, buf_slice(&rq->body), err))
		return false;
	bool claimed = upload_claim_complete(&api->upload_claims, &c.claim, rq->object_id,
					     &c.alone);
	if (!store_upload_get(api->store, rq->key.org, rq->object_id, sys.now_s(), &c.upload, err))
		return false;
	if (!claimed)
		return fail_running(&c, r, err);
	if (!complete_or_repeat(&c, err))
		return false;
	upload_write(&r->body, &c.upload, &c.file);
	return true;
}
