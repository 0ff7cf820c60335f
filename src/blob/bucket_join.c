/* bucket_join.c: a blob of the objects of others. The rows of the parts say what is to stand in the row of
 * the whole; what stands there already is not copied again, what else stands there goes, and then the row
 * is read once more. Two who join the same at one time put the same bytes under the same names, and
 * remove nothing that the other has put. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/several.h"
#include "blob/bucket_impl.h"
#include "blob/objects.h"

struct join {
	struct bucket *b;
	const char *id;
	const struct blob_joined *parts;
	struct bucket_row *rows; /* one for each part */
	struct join_copy *copies;
	size_t n, copies_n;
	uint64_t bytes; /* of the whole */
	struct bucket_row there;
};

/* One object of a part, and where it stands in the whole. */
struct join_copy {
	const char *part;
	const struct bucket_object *from;
	uint64_t start;
	bool there; /* it need not be copied */
};

/* ---- the rows of the parts ---- */

/* How many of the row's objects the first `bytes` are. */
static bool row_ends_at(const struct bucket_row *row, uint64_t bytes, size_t *ret_n)
{
	for (*ret_n = 0; *ret_n < row->n; ++*ret_n) {
		const struct bucket_object *o = &row->objects[*ret_n];
		if (o->start == bytes)
			return true;
	}
	return row->bytes == bytes;
}

/* A part that was put at once is an object, and asking for that is cheaper than a list. *ret_found false:
 * it is not. */
static bool part_find(const struct join *j, size_t i, bool *ret_found, struct error *err)
{
	const struct blob_joined *part = &j->parts[i];
	struct bucket_row *row = &j->rows[i];
	struct bucket_object first = { 0 };
	char key[BUCKET_KEY_SIZE];
	struct s3_object object;

	*ret_found = false;
	if (part->bytes > BUCKET_APPEND_BYTES)
		return true;
	bucket_object_key(part->id, &first, key);
	if (!s3_head(j->b->s3, key, &object, err))
		return err->sys == ENOENT;
	if (object.bytes != part->bytes)
		return true;
	if (!bucket_row_reserve(row, err))
		return false;
	first.bytes = object.bytes;
	memcpy(first.etag, object.etag, sizeof(first.etag));
	row->objects[0] = first;
	row->n = 1;
	row->bytes = first.bytes;
	*ret_found = true;
	return true;
}

/* A part without bytes need not be there. */
static bool part_load(void *ctx, size_t i, struct error *err)
{
	const struct join *j = ctx;
	const struct blob_joined *part = &j->parts[i];
	struct bucket_row *row = &j->rows[i];
	bool found;
	size_t n;

	if (part->bytes == 0)
		return true;
	if (!blob_id_is_plain(part->id))
		return blob_not_found(part->id, err);
	if (!part_find(j, i, &found, err))
		return false;
	if (found)
		return true;
	if (!bucket_row_load(j->b, part->id, row, err))
		return false;
	if (row->n == 0)
		return fail_sys(err, ENOENT, "joining %s, which is not there", part->id);
	if (!row_ends_at(row, part->bytes, &n))
		return fail_sys(err, EBADMSG,
				"joining %s, which has %llu bytes: %llu are asked for", part->id,
				(unsigned long long)row->bytes, (unsigned long long)part->bytes);
	row->n = n;
	return true;
}

static void copies_of_part(struct join *j, size_t i)
{
	const struct bucket_row *row = &j->rows[i];

	for (size_t k = 0; k < row->n; k++)
		if (row->objects[k].bytes > 0)
			j->copies[j->copies_n++] = (struct join_copy){
				.part = j->parts[i].id,
				.from = &row->objects[k],
				.start = j->bytes + row->objects[k].start,
			};
	j->bytes += j->parts[i].bytes;
}

static bool copies_make(struct join *j, struct error *err)
{
	size_t most = 0;

	for (size_t i = 0; i < j->n; i++)
		most += j->rows[i].n;
	j->copies = calloc(most + 1, sizeof(*j->copies));
	if (j->copies == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < j->n; i++)
		copies_of_part(j, i);
	return true;
}

/* ---- the row of the whole ---- */

/* The copy that stands at `start`. */
static struct join_copy *copy_at(const struct join *j, uint64_t start)
{
	size_t low = 0, high = j->copies_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (j->copies[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < j->copies_n && j->copies[low].start == start ? &j->copies[low] : NULL;
}

/* An ETag is that of the bytes, or of one putting of them: two objects of one ETag are alike. */
static void there_mark(struct join *j)
{
	for (size_t i = 0; i < j->there.n; i++) {
		const struct bucket_object *o = &j->there.objects[i];
		struct join_copy *c = o->written ? NULL : copy_at(j, o->start);
		if (c != NULL)
			c->there = c->from->bytes == o->bytes && o->etag[0] != '\0' &&
				   strcmp(c->from->etag, o->etag) == 0;
	}
}

static bool copy_one(void *ctx, size_t i, struct error *err)
{
	const struct join *j = ctx;
	const struct join_copy *c = &j->copies[i];
	const struct bucket_object to = { .start = c->start };
	char from_key[BUCKET_KEY_SIZE], to_key[BUCKET_KEY_SIZE];

	if (c->there)
		return true;
	bucket_object_key(c->part, c->from, from_key);
	bucket_object_key(j->id, &to, to_key);
	return s3_copy(j->b->s3, from_key, to_key, c->from->bytes, err);
}

/* A whole without bytes is an object without. */
static bool empty_put(const struct join *j, struct error *err)
{
	const struct bucket_object first = { 0 };
	char key[BUCKET_KEY_SIZE];
	struct slice none = SLICE("");
	struct s3_body body = s3_body_of(&none);

	bucket_object_key(j->id, &first, key);
	return s3_put(j->b->s3, key, &body, NULL, err);
}

static bool is_of_whole(const struct join *j, uint64_t start)
{
	return copy_at(j, start) != NULL || (j->bytes == 0 && start == 0);
}

static bool object_remove(const struct join *j, const struct bucket_object *o, struct error *err)
{
	char key[BUCKET_KEY_SIZE];

	if (!o->written && is_of_whole(j, o->start))
		return true;
	bucket_object_key(j->id, o, key);
	return s3_delete(j->b->s3, key, err);
}

/* From the row as it was before the copies. */
static bool others_remove(const struct join *j, struct error *err)
{
	for (size_t i = j->there.n; i-- > 0;)
		if (!object_remove(j, &j->there.objects[i], err))
			return false;
	for (size_t i = 0; i < j->there.strays_n; i++) {
		const struct bucket_object o = { .start = j->there.strays[i] };
		if (!object_remove(j, &o, err))
			return false;
	}
	return true;
}

static bool whole_check(struct join *j, struct error *err)
{
	size_t n = j->bytes > 0 ? j->copies_n : 1;

	if (!bucket_row_load(j->b, j->id, &j->there, err))
		return false;
	if (j->there.bytes == j->bytes && j->there.n == n && j->there.strays_n == 0)
		return true;
	return fail_sys(err, EBADMSG,
			"joined %s has %llu bytes in %zu objects and %zu strays: %llu "
			"in %zu are right",
			j->id, (unsigned long long)j->there.bytes, j->there.n, j->there.strays_n,
			(unsigned long long)j->bytes, n);
}

/* crash, while it is copied or removed: some objects of the whole, with or without what stood there
 * before. Whoever owns it has not recorded the whole, and joins it again. */
static bool whole_make(struct join *j, struct error *err)
{
	if (!bucket_row_load(j->b, j->id, &j->there, err))
		return false;
	there_mark(j);
	return several_do("blob-join", copy_one, j, j->copies_n, err) &&
	       (j->bytes > 0 || empty_put(j, err)) && others_remove(j, err) && whole_check(j, err);
}

static void join_free(struct join *j)
{
	for (size_t i = 0; j->rows != NULL && i < j->n; i++)
		bucket_row_free(&j->rows[i]);
	bucket_row_free(&j->there);
	free(j->rows);
	free(j->copies);
}

bool blobs_join(struct blobs *blobs, const char *id, const struct blob_joined *parts, size_t n,
		struct error *err)
{
	struct join j = { .b = (struct bucket *)blobs, .id = id, .parts = parts, .n = n };

	if (!blob_id_is_plain(id))
		return blob_not_found(id, err);
	j.rows = calloc(n + 1, sizeof(*j.rows));
	bool ok = (j.rows != NULL || fail_memory(err)) &&
		  several_do("blob-join", part_load, &j, n, err) && copies_make(&j, err) &&
		  whole_make(&j, err);
	join_free(&j);
	return ok;
}
