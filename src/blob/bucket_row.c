/* bucket_row.c: the objects that one blob's data are. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "blob/bucket_impl.h"

void bucket_row_free(struct bucket_row *row)
{
	free(row->objects);
	free(row->strays);
	*row = (struct bucket_row){ 0 };
}

void bucket_object_key(const char *id, const struct bucket_object *o,
		       char ret[static BUCKET_KEY_SIZE])
{
	if (o->written)
		snprintf(ret, BUCKET_KEY_SIZE, "files/%s.jsonl", id);
	else
		snprintf(ret, BUCKET_KEY_SIZE, "files/%s.parts/%020" PRIu64, id, o->start);
}

void bucket_index_key(const char *id, char ret[static BUCKET_KEY_SIZE])
{
	snprintf(ret, BUCKET_KEY_SIZE, "files/%s.index", id);
}

/* ---- loading ---- */

bool bucket_row_reserve(struct bucket_row *row, struct error *err)
{
	struct bucket_object *more = array_room(row->objects, row->n, sizeof(*more));

	if (more == NULL)
		return fail_memory(err);
	row->objects = more;
	return true;
}

static bool stray_add(struct bucket_row *row, uint64_t start, struct error *err)
{
	uint64_t *more = array_room(row->strays, row->strays_n, sizeof(*more));

	if (more == NULL)
		return fail_memory(err);
	row->strays = more;
	row->strays[row->strays_n++] = start;
	return true;
}

static bool object_add(struct bucket_row *row, const struct bucket_object *o, struct error *err)
{
	if (!o->written && o->start != row->bytes)
		return stray_add(row, o->start, err);
	if (!bucket_row_reserve(row, err))
		return false;
	row->objects[row->n++] = *o;
	row->bytes += o->bytes;
	return true;
}

struct row_load {
	struct bucket_row *row;
	size_t begin; /* of what is behind "files/ID." */
};

/* The order of keys is that of the row: ".jsonl" before ".parts/", and digits as many. */
static bool load_one(void *ctx, const char *key, const struct s3_object *object, struct error *err)
{
	const struct row_load *l = ctx;
	struct bucket_object o = { .bytes = object->bytes };
	const char *name = key + l->begin;
	char *end;

	memcpy(o.etag, object->etag, sizeof(o.etag));
	if (strcmp(name, "index") == 0) {
		l->row->has_index = true;
		l->row->index_bytes = object->bytes;
		return true;
	}
	o.written = strcmp(name, "jsonl") == 0;
	if (!o.written) {
		if (strncmp(name, "parts/", 6) != 0 || strlen(name) != 26)
			return true; /* not of our making */
		o.start = strtoull(name + 6, &end, 10);
		if (*end != '\0')
			return true;
	}
	return object_add(l->row, &o, err);
}

bool bucket_row_load(struct bucket *b, const char *id, struct bucket_row *row, struct error *err)
{
	char begin[BUCKET_KEY_SIZE];

	bucket_row_free(row);
	snprintf(begin, sizeof(begin), "files/%s.", id);
	struct row_load l = { row, strlen(begin) };
	return s3_list(b->s3, begin, load_one, &l, err);
}

const struct bucket_object *bucket_row_at(const struct bucket_row *row, uint64_t at)
{
	size_t low = 0, high = row->n;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (row->objects[middle].start <= at)
			low = middle;
		else
			high = middle;
	}
	return &row->objects[low];
}

/* ---- cutting ---- */

#define COPY_BYTES (64u << 10)

static bool head_copy(struct bucket *b, const char *key, const struct bucket_object *o,
		      uint64_t bytes, struct blob_writer *to, struct error *err)
{
	char piece[COPY_BYTES];
	struct bucket_source source = { key, o->etag, o->bytes };
	size_t n;

	for (uint64_t at = 0; at < bytes; at += n) {
		size_t most = bytes - at < COPY_BYTES ? (size_t)(bytes - at) : COPY_BYTES;
		if (!bucket_cache_read(b->cache, &source, at, piece, most, &n, err) ||
		    !blob_write(to, (struct slice){ piece, n }, err))
			return false;
	}
	return true;
}

/* crash: the object is whole, with its end or without. */
static bool object_cut(struct bucket *b, const char *id, struct bucket_object *o, uint64_t bytes,
		       struct error *err)
{
	char key[BUCKET_KEY_SIZE];
	struct s3_object now;
	struct blob_writer *w;

	bucket_object_key(id, o, key);
	if (!blob_unnamed_create(&w, err))
		return false;
	bool ok = head_copy(b, key, o, bytes, w, err) &&
		  bucket_put_from(b, key, blob_writer_reader(w), bytes, err) &&
		  s3_head(b->s3, key, &now, err);
	blob_abort(w);
	if (ok) {
		o->bytes = bytes;
		memcpy(o->etag, now.etag, sizeof(o->etag));
	}
	return ok;
}

static bool object_remove(struct bucket *b, const char *id, const struct bucket_object *o,
			  struct error *err)
{
	char key[BUCKET_KEY_SIZE];

	bucket_object_key(id, o, key);
	return s3_delete(b->s3, key, err);
}

/* crash: some are gone from the end on, none in between: all of that is behind what is kept. */
bool bucket_row_cut(struct bucket *b, const char *id, struct bucket_row *row, uint64_t bytes,
		    struct error *err)
{
	while (row->n > 1 && row->objects[row->n - 1].start >= bytes) {
		if (!object_remove(b, id, &row->objects[row->n - 1], err))
			return false;
		row->bytes -= row->objects[--row->n].bytes;
	}
	if (row->bytes <= bytes)
		return true;
	struct bucket_object *last = &row->objects[row->n - 1];
	if (!object_cut(b, id, last, bytes - last->start, err))
		return false;
	row->bytes = bytes;
	return true;
}

bool bucket_row_tidy(struct bucket *b, const char *id, struct bucket_row *row, struct error *err)
{
	while (row->strays_n > 0) {
		struct bucket_object o = { .start = row->strays[row->strays_n - 1] };
		if (!object_remove(b, id, &o, err))
			return false;
		row->strays_n--;
	}
	return true;
}
