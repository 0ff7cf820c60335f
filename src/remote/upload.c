/* upload.c: see upload.h. A form is made in memory around a piece of the file, so that it can be
 * sent again. */
#include "remote/upload.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/sys.h"

#define FORM_BYTES 4096u
#define PARTS_MAX 8192u /* the server takes twice as many */
#define MIB (1u << 20)
#define COMPLETE_MS 3600000u /* the server reads the whole file */

/* ---- the state ---- */

void upload_state_done(struct upload_state *s)
{
	for (size_t i = 0; i < s->part_count; i++)
		free(s->parts[i]);
	free(s->parts);
	free(s->upload_id);
	free(s->file_id);
	*s = (struct upload_state){ 0 };
}

bool upload_state_add(struct upload_state *s, const char *part_id)
{
	if (s->part_count == s->part_cap) {
		size_t cap = s->part_cap == 0 ? 64 : 2 * s->part_cap;
		char **more = reallocarray(s->parts, cap, sizeof(*more));
		if (more == NULL)
			return false;
		s->parts = more;
		s->part_cap = cap;
	}
	s->parts[s->part_count] = strdup(part_id);
	return s->parts[s->part_count] != NULL && ++s->part_count > 0;
}

static bool keep(const struct upload_job *job, struct error *err)
{
	return job->keep == NULL || job->keep(job->ctx, err);
}

static void show(const struct upload_job *job, uint64_t done)
{
	if (job->progress != NULL)
		job->progress(job->ctx, done);
}

/* Keeps the string member `name` of `object` in `*to`. */
static bool take_id(const json_t *object, const char *name, char **to, struct error *err)
{
	const char *id = json_string_value(json_object_get(object, name));

	if (id == NULL)
		return fail(err, ERR_UPSTREAM,
			    "the server's answer has no %s: is it a lowtide server? (LOWTIDE_URL)",
			    name);
	free(*to);
	*to = strdup(id);
	return *to != NULL || fail_memory(err);
}

/* ---- pieces of the file as forms ---- */

struct upload_form {
	struct buf bytes;
	char boundary[ID_SIZE], type[96];
	size_t at; /* where the piece begins */
};

static void form_free(struct upload_form *f)
{
	buf_free(&f->bytes);
}

static void form_begin(struct upload_form *f, uint64_t piece_max)
{
	id_request(f->boundary); /* 32 random hex: no file has it by chance */
	f->bytes = BUF(piece_max + FORM_BYTES);
	snprintf(f->type, sizeof(f->type), "multipart/form-data; boundary=%s", f->boundary);
}

/* A file name in a form: quotes and line ends are escaped as browsers do. */
static void add_name(struct buf *b, const char *name)
{
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"' || *p == '\r' || *p == '\n')
			buf_printf(b, "%%%02X", (unsigned char)*p);
		else
			buf_char(b, *p);
	}
}

static void form_field(struct upload_form *f, const char *name, const char *value)
{
	buf_printf(&f->bytes, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
		   f->boundary, name, value);
}

/* Reads `n` bytes of the file at `at` into the form, and ends it. */
static bool form_piece(struct upload_form *f, const struct upload_job *job, const char *field,
		       uint64_t at, size_t n, struct error *err)
{
	buf_printf(&f->bytes, "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"",
		   f->boundary, field);
	add_name(&f->bytes, job->name);
	buf_text(&f->bytes, "\"\r\nContent-Type: application/jsonl\r\n\r\n");
	f->at = f->bytes.n;
	if (!buf_reserve(&f->bytes, n + FORM_BYTES / 2))
		return fail_memory(err);
	if (!sys_pread_all(job->fd, f->bytes.p + f->at, n, (off_t)at))
		return errno == ENODATA ? fail(err, ERR_INVALID,
					       "%s has become shorter while it was sent: call "
					       "again when nothing writes it any more",
					       job->path)
					: fail_sys(err, errno, "reading %s", job->path);
	f->bytes.n += n;
	buf_printf(&f->bytes, "\r\n--%s--\r\n", f->boundary);
	return !f->bytes.failed || fail_memory(err);
}

/* ---- a whole file ---- */

static bool send_whole(struct remote *r, const struct upload_job *job, struct error *err)
{
	AUTO(form_free) struct upload_form f;
	json_t *file = NULL;

	form_begin(&f, job->size);
	form_field(&f, "purpose", "batch");
	if (!form_piece(&f, job, "file", 0, (size_t)job->size, err))
		return false;
	struct remote_request q = {
		.method = "POST",
		.path = "/files",
		.bytes = buf_slice(&f.bytes),
		.content_type = f.type,
		.idempotency_key = job->key,
	};
	bool good = remote_json(r, &q, &file, err) &&
		    take_id(file, "id", &job->state->file_id, err);
	json_decref(file);
	return good && keep(job, err);
}

/* ---- parts ---- */

struct hash {
	EVP_MD_CTX *md5;
};

static void hash_free(struct hash *h)
{
	EVP_MD_CTX_free(h->md5);
}

/* OpenSSL in FIPS mode has no MD5: then the file goes without. */
static bool hash_begin(struct hash *h)
{
	h->md5 = EVP_MD_CTX_new();
	if (h->md5 == NULL)
		return false;
	if (EVP_DigestInit_ex(h->md5, EVP_md5(), NULL) != 1) {
		EVP_MD_CTX_free(h->md5);
		h->md5 = NULL;
	}
	return true;
}

static void hash_add(struct hash *h, struct slice piece)
{
	if (h->md5 != NULL)
		(void)EVP_DigestUpdate(h->md5, piece.p, piece.n);
}

/* The parts that are there already. */
static bool hash_read(struct hash *h, const struct upload_job *job, uint64_t until,
		      struct error *err)
{
	AUTO(auto_free) char *piece = malloc(MIB);

	if (piece == NULL)
		return fail_memory(err);
	for (uint64_t at = 0; h->md5 != NULL && at < until;) {
		size_t n = until - at < MIB ? (size_t)(until - at) : MIB;
		if (!sys_pread_all(job->fd, piece, n, (off_t)at))
			return fail_sys(err, errno, "reading %s", job->path);
		hash_add(h, (struct slice){ piece, n });
		at += n;
	}
	return true;
}

static void hash_text(struct hash *h, char to[static 33])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	to[0] = '\0';
	if (h->md5 != NULL && EVP_DigestFinal_ex(h->md5, sum, &n) == 1)
		for (unsigned i = 0; i < n && i < 16; i++)
			snprintf(to + 2 * i, 3, "%02x", sum[i]);
}

static bool create(struct remote *r, const struct upload_job *job, struct error *err)
{
	struct upload_state *s = job->state;
	json_t *upload = NULL;
	json_t *body = json_pack("{s:I, s:s, s:s, s:s}", "bytes", (json_int_t)job->size, "filename",
				 job->name, "mime_type", "application/jsonl", "purpose", "batch");
	/* One that is made twice, because its answer was lost, ends by itself after an hour. */
	struct remote_request q = {
		.method = "POST", .path = "/uploads", .body = body, .again = true
	};
	uint64_t least = (job->size / PARTS_MAX + MIB - 1) / MIB * MIB;

	if (body == NULL)
		return fail_memory(err);
	bool good = remote_json(r, &q, &upload, err) && take_id(upload, "id", &s->upload_id, err);
	s->part_bytes = least > UPLOAD_PART_BYTES ? least : UPLOAD_PART_BYTES;
	json_decref(upload);
	json_decref(body);
	return good && keep(job, err);
}

static bool part_send(struct remote *r, const struct upload_job *job, struct hash *hash,
		      uint64_t at, size_t n, struct error *err)
{
	AUTO(form_free) struct upload_form f;
	AUTO(auto_free) char *path = remote_path("/uploads/%s/parts", job->state->upload_id);
	AUTO(auto_free) char *id = NULL;
	json_t *part = NULL;

	form_begin(&f, n);
	if (path == NULL)
		return fail_memory(err);
	if (!form_piece(&f, job, "data", at, n, err))
		return false;
	/* a part that comes twice is left out of the list, and dropped */
	struct remote_request q = { .method = "POST",
				    .path = path,
				    .bytes = buf_slice(&f.bytes),
				    .content_type = f.type,
				    .again = true };
	bool good = remote_json(r, &q, &part, err) && take_id(part, "id", &id, err);
	json_decref(part);
	if (!good)
		return false;
	hash_add(hash, (struct slice){ f.bytes.p + f.at, n });
	if (!upload_state_add(job->state, id))
		return fail_memory(err);
	return keep(job, err);
}

static bool complete(struct remote *r, const struct upload_job *job, const char *md5,
		     struct error *err)
{
	struct upload_state *s = job->state;
	AUTO(auto_free) char *path = remote_path("/uploads/%s/complete", s->upload_id);
	json_t *ids = json_array(), *upload = NULL;

	for (size_t i = 0; i < s->part_count; i++)
		if (json_array_append_new(ids, json_string(s->parts[i])) != 0)
			break;
	json_t *body = json_pack("{s:o, s:s*}", "part_ids", ids, "md5",
				 md5[0] != '\0' ? md5 : NULL);
	if (body == NULL || path == NULL || json_array_size(ids) != s->part_count) {
		json_decref(body);
		return fail_memory(err);
	}
	struct remote_request q = { .method = "POST",
				    .path = path,
				    .body = body,
				    .again = true,
				    .timeout_ms = COMPLETE_MS };
	bool good = remote_json(r, &q, &upload, err) &&
		    take_id(json_object_get(upload, "file"), "id", &s->file_id, err);
	json_decref(upload);
	json_decref(body);
	return good && keep(job, err);
}

static bool send_parts(struct remote *r, const struct upload_job *job, struct error *err)
{
	AUTO(hash_free) struct hash hash = { 0 };
	struct upload_state *s = job->state;
	char md5[33];

	if (!hash_begin(&hash))
		return fail_memory(err);
	if (s->upload_id == NULL && !create(r, job, err))
		return false;
	uint64_t at = s->part_count * s->part_bytes;
	if (at > job->size)
		at = job->size;
	if (!hash_read(&hash, job, at, err))
		return false;
	for (show(job, at); at < job->size; show(job, at)) {
		uint64_t left = job->size - at;
		size_t n = (size_t)(left < s->part_bytes ? left : s->part_bytes);
		if (!part_send(r, job, &hash, at, n, err))
			return false;
		at += n;
	}
	hash_text(&hash, md5);
	return complete(r, job, md5, err);
}

/* ---- all of it ---- */

void upload_forget(struct remote *r, struct upload_state *s)
{
	AUTO(auto_free) char *path = NULL;
	struct error err;

	if (s->upload_id != NULL && s->file_id == NULL &&
	    (path = remote_path("/uploads/%s/cancel", s->upload_id)) != NULL) {
		struct remote_request q = { .method = "POST", .path = path };
		(void)!remote_json(r, &q, NULL, &err); /* it ends by itself after an hour */
	}
	upload_state_done(s);
}

/* Whether what was kept is not there any more: the hour of an upload is over, say. */
static bool is_gone(const struct remote *r)
{
	int status = remote_status(r);

	return status == 400 || status == 404;
}

/* A file that an earlier process has sent may have been deleted since. */
static bool file_is_there(struct remote *r, struct upload_state *s, bool *ret, struct error *err)
{
	AUTO(auto_free) char *path = remote_path("/files/%s", s->file_id);
	struct remote_request q = { .method = "GET", .path = path };

	if (path == NULL)
		return fail_memory(err);
	*ret = remote_json(r, &q, NULL, err);
	return *ret || is_gone(r);
}

bool upload_run(struct remote *r, const struct upload_job *job, struct error *err)
{
	struct upload_state *s = job->state;
	bool kept = s->upload_id != NULL, there = false;

	if (s->file_id != NULL) {
		if (!file_is_there(r, s, &there, err))
			return false;
		if (there)
			return true;
		upload_state_done(s);
		id_request(job->key);
	}
	if (job->size <= UPLOAD_WHOLE_BYTES)
		return send_whole(r, job, err);
	if (send_parts(r, job, err))
		return true;
	if (!kept || !is_gone(r))
		return false;
	upload_forget(r, s);
	return send_parts(r, job, err);
}
