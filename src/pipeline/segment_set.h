/* segment_set.h: which lines of a batch have ended, kept by segments, and where their journal
 * records stand.
 *
 *	  merged            under way                       untouched
 *	+---+---+---+ +--------------------------------+ +---+---+---+
 *	| 0 | 1 | 2 | | a bit a line, lines left,      | | 6 | 7 | 8 |
 *	+---+---+---+ | journal [at, end)              | +---+---+---+
 *	              +--------------------------------+
 *
 * A segment costs 32 bytes, and 128 more from its first ended line until it is merged. The set
 * knows no batch and no file. Threads: one at a time; its owner has a lock. */
#pragma once

#include "base/error.h"
#include "batch/segment.h"

struct segment_set;

/* A segment, as merging wants it. */
struct segment_bounds {
	uint64_t first; /* its first record */
	uint32_t lines; /* SEGMENT_LINES, but for the last one */
	bool finished;  /* all its lines have ended */
	uint64_t journal_at,
		journal_end; /* between them stand its records, among others; 0, 0: none */
};

/* How many segments so many lines make. */
uint64_t segments_of(uint64_t lines);

/* A set of `lines` lines whose first `merged` segments are in the result files. Records that are
 * found from now on stand at `journal_end` or behind. */
MUST_USE bool segment_set_new(uint64_t lines, uint64_t merged, uint64_t journal_end,
			      struct segment_set **ret, struct error *err);
void segment_set_free(struct segment_set *set); /* NULL is fine */

uint64_t segment_set_count(const struct segment_set *set);
uint64_t segment_set_lines(const struct segment_set *set);
/* Lines that have ended, those of merged segments too. */
uint64_t segment_set_ended(const struct segment_set *set);

/* A line of the set that is not merged. */
bool segment_set_has(const struct segment_set *set, uint64_t record);
/* The line of the set has ended, or is merged. */
bool segment_set_has_ended(const struct segment_set *set, uint64_t record);
/* The line has ended and its record of `bytes` bytes at `at` is durable. False: it had ended
 * already. */
bool segment_set_end_line(struct segment_set *set, uint64_t record, uint64_t at, uint64_t bytes);

/* A cursor over the lines of segment `n` that have not ended; false: there are none. */
bool segment_set_cursor(const struct segment_set *set, uint64_t n, struct segment_cursor *ret);
struct segment_bounds segment_set_bounds(const struct segment_set *set, uint64_t n);
/* Offset of the journal from which a record of segment `first` or a later one may stand. */
uint64_t segment_set_journal_from(const struct segment_set *set, uint64_t first);
/* Behind the last durable record that was told of. */
uint64_t segment_set_journal_end(const struct segment_set *set);
/* The segments before `end` are in the result files. */
void segment_set_merge(struct segment_set *set, uint64_t end);
