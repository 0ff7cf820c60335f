/* stream.h: a page of the lines of a batch in the order in which they ended (contract 11.3), read
 * from the result files, where they are merged, and else from the journal.
 *
 * A page is a list of places, made when it is opened; it keeps descriptors of its own of the files
 * that it reads (of a batch that is final two at most, else three), so that a journal or a result
 * file that is removed meanwhile is read to the end of the page.
 *
 * Threads: one at a time; opening and reading wait for the disk. */
#pragma once

#include <sys/types.h>

#include "base/budget.h"
#include "base/error.h"
#include "blob/blob.h"
#include "journal/journal.h"

/* What there is to read, at one moment. NULL: no such file. */
struct stream_sources {
	struct blob_reader *order, *output, *error;
	uint64_t output_bytes, error_bytes; /* merged, for good */
	struct journal *journal;            /* journal_open_to_read() */
	uint64_t journal_at;                /* a record of it from where on the page's are */
	uint64_t journal_end;
	uint64_t records; /* lines of the batch */
	uint32_t before;  /* numbers up to here stand elsewhere: the order begins behind them */
	uint32_t last;    /* numbers up to here may be shown */
};
void stream_sources_close(struct stream_sources *s); /* NULL members are fine */

struct stream;

/* The lines behind number `after`, at most `limit`. A page ends earlier where its lines have
 * STREAM_PAGE_BYTES, but has one. Takes over what `s` holds, also on failure. Its list is charged to
 * `use` (may be NULL). */
#define STREAM_PAGE_BYTES (64u << 20)
MUST_USE bool stream_open(struct stream_sources *s, uint32_t after, uint32_t limit,
			  struct budget_use *use, struct stream **ret, struct error *err);
void stream_close(struct stream *s); /* NULL is fine */

uint64_t stream_bytes(const struct stream *s);
/* The number of the page's last line; `after` of an empty page. Holes count. */
uint32_t stream_last(const struct stream *s);
/* Each line of the page; holes are passed over. */
struct stream_line {
	uint32_t number, record; /* in the order of ending, from 1; in the index, from 0 */
	uint32_t length;         /* with its LF */
	uint64_t at;             /* in the page */
};
typedef void (*stream_fn)(void *ctx, const struct stream_line *line);
void stream_each(const struct stream *s, stream_fn each, void *ctx);
/* Some of `n` (> 0) bytes at `at`, at least one; 0: they end there. */
MUST_USE bool stream_read(struct stream *s, uint64_t at, void *to, size_t n, size_t *ret_n,
			  struct error *err);
