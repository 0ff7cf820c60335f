/* ingest_unit.h: what the tests of ingest share: a store in a scratch directory, and a text that
 * has gone through an ingest. */
#pragma once

#include "unit.h"

#include "base/log.h"
#include "ingest/ingest.h"

static char *dir;
static struct blobs *blobs;

/* Thousands of files are made here and no power is cut. */
static inline int no_sync(int fd)
{
	(void)fd;
	return 0;
}

static inline int store_setup(void **state)
{
	struct error err;

	(void)state;
	log_set_level(LOG_OFF);
	sys.fsync = no_sync;
	dir = scratch_dir_new();
	assert_true(blobs_open(dir, NULL, &blobs, &err));
	return 0;
}

static inline int store_teardown(void **state)
{
	(void)state;
	blobs_close(blobs);
	scratch_dir_remove(dir);
	return 0;
}

static const struct ingest_limits no_limits = { 0 };

/* Writes `text` in chunks of `chunk` bytes and finishes; false at the first error. */
static inline bool ingest_chunks(struct ingest *in, struct slice text, size_t chunk,
				 struct error *err)
{
	for (size_t at = 0; at < text.n; at += chunk) {
		size_t n = text.n - at < chunk ? text.n - at : chunk;
		/* a copy of its own: what is read beyond the chunk is seen by ASan */
		char *copy = malloc(n);
		memcpy(copy, text.p + at, n);
		bool ok = ingest_write(in, (struct slice){ copy, n }, err);
		free(copy);
		if (!ok)
			return false;
	}
	return ingest_finish(in, err);
}

/* A file as a batch finds it. */
struct ingested {
	struct index *index;
	struct blob_reader *blob;
};

static inline struct ingested ingested_open(const char *id)
{
	struct ingested file;
	struct blob_reader *index;
	struct error err;

	if (!blob_open(blobs, id, BLOB_DATA, &file.blob, &err) ||
	    !blob_open(blobs, id, BLOB_INDEX, &index, &err) ||
	    !index_open(index, &file.index, &err))
		fail_msg("%s (%s)", err.message, err.detail);
	return file;
}

static inline void ingested_close(struct ingested *file)
{
	struct error err;

	index_close(file->index);
	blob_reader_close(file->blob);
	assert_true(blob_remove(blobs, "file-test", &err));
	assert_int_equal(scratch_count(dir, "files"), 0);
	assert_int_equal(scratch_count(dir, "tmp"), 0);
}

static inline struct ingested ingested_limited(struct slice text, size_t chunk,
					       const struct ingest_limits *limits)
{
	struct ingest *in;
	struct error err;

	if (!ingest_open(blobs, limits, &in, &err) || !ingest_chunks(in, text, chunk, &err) ||
	    !ingest_commit(in, "file-test", &err))
		fail_msg("%s (%s)", err.message, err.detail);
	return ingested_open("file-test");
}

static inline struct ingested ingested_text(const char *text)
{
	return ingested_limited(slice_of(text), SIZE_MAX, &no_limits);
}

static inline uint64_t ingested_lines(const struct ingested *file)
{
	return index_summary(file->index)->lines;
}

static inline struct index_record ingested_record(const struct ingested *file, uint64_t number)
{
	struct index_record record;
	struct error err;

	assert_true(index_read(file->index, number, &record, 1, &err));
	return record;
}
