/* migrate_files.c: see migrate_files.h. One file after the other. */
#include "cli/migrate_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/sys.h"

#define PIECE_BYTES (1u << 20)

struct files_moving {
	struct store *store;
	struct blobs *from, *to;
	const char (*left_out)[ID_SIZE];
	size_t left_out_n;
	char *piece; /* PIECE_BYTES */
	EVP_MD_CTX *hash;
	struct files_moved *moved;
};

/* ---- one file ---- */

/* *ret_there: whole, as an earlier call has put it: an object appears whole, or not at all. */
static bool there_look(const struct files_moving *m, const char *id, enum blob_kind kind,
		       uint64_t bytes, bool *ret_there, struct error *err)
{
	struct blob_reader *r;

	*ret_there = false;
	if (!blob_open(m->to, id, kind, &r, err))
		return err->kind == ERR_NOT_FOUND;
	*ret_there = blob_bytes(r) == bytes;
	blob_reader_close(r);
	return true;
}

static bool bytes_copy(const struct files_moving *m, const struct blob_reader *from,
		       struct blob_writer *to, struct error *err)
{
	uint64_t bytes = blob_bytes(from);

	if (EVP_DigestInit_ex(m->hash, EVP_sha256(), NULL) != 1)
		return fail_memory(err);
	for (uint64_t at = 0; at < bytes;) {
		size_t n = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
		if (!blob_read_at(from, at, m->piece, n, err) ||
		    !blob_write(to, (struct slice){ m->piece, n }, err))
			return false;
		if (EVP_DigestUpdate(m->hash, m->piece, n) != 1)
			return fail_memory(err);
		at += n;
	}
	return true;
}

/* crash: nothing of that name, or all of it. */
static bool blob_copy(const struct files_moving *m, const char *id, enum blob_kind kind,
		      const struct blob_reader *from, struct error *err)
{
	struct blob_writer *w;
	bool there;

	if (!blob_create(m->to, &w, err))
		return false;
	if (!bytes_copy(m, from, w, err)) {
		blob_abort(w);
		return false;
	}
	return blob_commit(w, id, kind, err) &&
	       there_look(m, id, kind, blob_bytes(from), &there, err) &&
	       (there || fail_sys(err, EIO, "the bucket does not have %s whole", id));
}

static bool digest_check(const struct files_moving *m, const char *id, struct error *err)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[65];
	struct file f;

	if (EVP_DigestFinal_ex(m->hash, digest, NULL) != 1)
		return fail_memory(err);
	for (unsigned i = 0; i < 32; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", digest[i]);
	if (!store_file_get(m->store, NULL, id, 0, &f, err))
		return err->kind == ERR_NOT_FOUND; /* a part of an upload */
	if (f.sha256[0] == '\0' || strcmp(f.sha256, hex) == 0)
		return true;
	m->moved->damaged++;
	fprintf(stderr,
		"lowtide: warning: the file %s is not what was uploaded, its sha256 is another: it is "
		"moved as it is\n",
		id);
	return true;
}

static bool file_put(const struct files_moving *m, const char *id, enum blob_kind kind,
		     const struct blob_reader *from, struct error *err)
{
	bool there;

	if (!there_look(m, id, kind, blob_bytes(from), &there, err))
		return false;
	m->moved->before += there;
	if (there)
		return true;
	if (!blob_copy(m, id, kind, from, err) || (kind == BLOB_DATA && !digest_check(m, id, err)))
		return false;
	m->moved->files++;
	m->moved->bytes += blob_bytes(from);
	(void)failpoint("migrate.after_file");
	return true;
}

/* ---- which ---- */

static bool is_wanted(const struct files_moving *m, const char *id, bool *ret, struct error *err)
{
	bool deleted;

	*ret = false;
	for (size_t i = 0; i < m->left_out_n; i++)
		if (strcmp(m->left_out[i], id) == 0)
			return true;
	return store_blob_known(m->store, id, ret, &deleted, err);
}

/* False: it is no file of ours. */
static bool name_read(const char *name, char id[static ID_SIZE], enum blob_kind *ret_kind)
{
	const char *dot = strrchr(name, '.');

	if (dot == NULL || dot == name)
		return false;
	*ret_kind = strcmp(dot, ".index") == 0 ? BLOB_INDEX : BLOB_DATA;
	return (*ret_kind == BLOB_INDEX || strcmp(dot, ".jsonl") == 0) &&
	       slice_copy((struct slice){ name, (size_t)(dot - name) }, id, ID_SIZE);
}

static bool name_move(const struct files_moving *m, const char *name, struct error *err)
{
	char id[ID_SIZE];
	enum blob_kind kind;
	struct blob_reader *from;
	bool wanted;

	if (!name_read(name, id, &kind))
		return true;
	if (!is_wanted(m, id, &wanted, err))
		return false;
	if (!wanted)
		return true;
	if (!blob_open(m->from, id, kind, &from, err))
		return false;
	bool ok = file_put(m, id, kind, from, err);
	blob_reader_close(from);
	return ok;
}

static bool names_move(const struct files_moving *m, const char *folder, struct error *err)
{
	struct dirent **names;
	bool ok = true;
	int n = scandir(folder, &names, NULL, alphasort);

	if (n < 0)
		return errno == ENOENT || fail_sys(err, errno, "reading %s", folder);
	for (int i = 0; i < n; i++) {
		ok = ok && name_move(m, names[i]->d_name, err);
		free(names[i]);
	}
	free(names);
	return ok;
}

bool migrate_files(const char *data_dir, struct store *store, struct blobs *from, struct blobs *to,
		   const char (*left_out)[ID_SIZE], size_t left_out_n, struct files_moved *ret,
		   struct error *err)
{
	char folder[PATH_MAX];
	AUTO(auto_free) char *piece = malloc(PIECE_BYTES);
	struct files_moving m = { .store = store,
				  .from = from,
				  .to = to,
				  .left_out = left_out,
				  .left_out_n = left_out_n,
				  .piece = piece,
				  .hash = EVP_MD_CTX_new(),
				  .moved = ret };

	*ret = (struct files_moved){ 0 };
	snprintf(folder, sizeof(folder), "%s/files", data_dir);
	bool ok = (piece != NULL && m.hash != NULL) || fail_memory(err);
	ok = ok && names_move(&m, folder, err) && blobs_sync(to, err);
	EVP_MD_CTX_free(m.hash);
	return ok;
}
