/* bucket_write.c: a blob that is written once. Its bytes go to a file without a name on this machine,
 * from which they are put when they get their name: so they can be read back and changed until then,
 * nothing of them is in the bucket before, and they cost no memory. A crash leaves nothing; during
 * the putting in parts perhaps an upload that bucket_sweep() aborts. */
#include <stdlib.h>

#include "base/sys.h"
#include "blob/bucket_impl.h"

/* ---- a name ---- */

/* What was appended under that name goes before: behind the new bytes it could be taken for their
 * end. crash: a shorter blob than the one that was there, or none: its owner, who was about to put
 * another in its place, does so again. */
static bool parts_remove(struct bucket *b, const char *id, struct error *err)
{
	struct bucket_row row = { 0 };
	bool ok = bucket_row_load(b, id, &row, err) && bucket_row_tidy(b, id, &row, err);

	for (size_t i = row.n; ok && i-- > 0;) {
		char key[BUCKET_KEY_SIZE];
		bucket_object_key(id, &row.objects[i], key);
		ok = row.objects[i].written || s3_delete(b->s3, key, err);
	}
	bucket_row_free(&row);
	return ok;
}

bool bucket_name_give(struct bucket *b, const char *id, enum blob_kind kind,
		      const struct blob_reader *from, struct error *err)
{
	const struct bucket_object whole = { .written = true };
	char key[BUCKET_KEY_SIZE];
	int fault = failpoint("ingest.before_rename");

	if (!blob_id_is_plain(id))
		return blob_not_found(id, err);
	if (fault != 0)
		return fail_sys(err, fault, "putting %s", id);
	if (kind == BLOB_INDEX)
		bucket_index_key(id, key);
	else
		bucket_object_key(id, &whole, key);
	if (kind == BLOB_DATA && !parts_remove(b, id, err))
		return false;
	/* crash: a whole blob under its name without a row, or none: sweep. */
	if (!bucket_put_from(b, key, from, blob_bytes(from), err))
		return false;
	(void)failpoint("ingest.after_rename");
	return true;
}

/* ---- the writer ---- */

struct bucket_writer {
	struct blob_writer writer; /* first; `back` is the file's */
	struct bucket *bucket;
	struct blob_writer *file;
};

static struct bucket_writer *writer_of(struct blob_writer *w)
{
	return (struct bucket_writer *)w;
}

static bool writer_write_at(struct blob_writer *w, uint64_t at, struct slice bytes,
			    struct error *err)
{
	struct blob_writer *file = writer_of(w)->file;

	return file->ops->write_at(file, at, bytes, err);
}

/* Bytes without a name need not last. */
static bool writer_sync(struct blob_writer *w, struct error *err)
{
	(void)w;
	(void)err;
	return true;
}

static bool writer_give_name(struct blob_writer *w, const char *id, enum blob_kind kind,
			     struct error *err)
{
	return bucket_name_give(writer_of(w)->bucket, id, kind, w->back, err);
}

static void writer_close(struct blob_writer *w, bool named)
{
	struct blob_writer *file = writer_of(w)->file;

	(void)named;
	file->ops->close(file, false);
	free(w);
}

static const struct blob_writer_ops writer_ops = { writer_write_at, writer_sync, writer_give_name,
						   writer_close };

bool bucket_create(struct blobs *blobs, struct blob_writer **ret, struct error *err)
{
	struct bucket_writer *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return fail_memory(err);
	if (!blob_unnamed_create(&d->file, err)) {
		free(d);
		return false;
	}
	d->bucket = (struct bucket *)blobs;
	d->file->scratch = true;
	d->writer = (struct blob_writer){ .ops = &writer_ops, .back = d->file->back };
	*ret = &d->writer;
	return true;
}
