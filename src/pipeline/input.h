/* input.h: the input file of one batch: its bytes and its line index. Knows no batch.
 *
 * Its descriptors may be closed for a while (open_files.h): a reader pins them. input_look(),
 * input_model() and input_line() share a cache of index records and are the dispatch thread's; the
 * rest may be called by any thread. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "batch/line.h"
#include "blob/blob.h"
#include "ingest/index.h"

struct override;

struct input {
	/* set by the owner before input_open() */
	struct blobs *blobs;
	const char *file_id, *batch_id;  /* the second for the log */
	const struct override *override; /* set in each body; NULL: nothing is. Before it is read */
	/* our own: zero at first */
	struct blob_reader *blob; /* NULL: not open, or lost */
	struct index *index;      /* NULL: it is not open, or lost */
	struct index_record *cache;
	uint64_t cache_first, cache_n;
};

/* Opens the file. An index that is gone or damaged is made anew from the bytes: what a line may be
 * is said by `line_bytes`, 0 for a file whose lines were found good before. On failure some of it
 * may be open: input_close(). */
MUST_USE bool input_open(struct input *in, uint64_t line_bytes, struct error *err);
void input_close(struct input *in);

/* Closes the descriptors and keeps the rest; opens them again. */
void input_release(struct input *in);
MUST_USE bool input_take_up(struct input *in, struct error *err);

uint64_t input_lines(const struct input *in);

/* What the schedule wants to know of a line. */
MUST_USE bool input_look(struct input *in, uint64_t record, struct line_look *ret,
			 struct error *err);
/* The number of the line's model in the index (index.h). */
MUST_USE bool input_model(struct input *in, uint64_t record, uint16_t *ret, struct error *err);
/* Reads the line into `to`; *ret points there. What is set in each body makes another of it, which
 * stands behind the line. */
MUST_USE bool input_line(struct input *in, uint64_t record, struct buf *to,
			 struct request_line *ret, struct error *err);
/* The raw custom_id, appended to `to`; false when it cannot be read. */
MUST_USE bool input_custom_id(const struct input *in, uint64_t record, struct buf *to);
/* The line of the file that a record stands for, from 1; 0: it cannot be read. */
uint64_t input_line_number(const struct input *in, uint64_t record);
