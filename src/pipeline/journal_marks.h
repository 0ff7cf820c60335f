/* journal_marks.h: where to begin to look in a journal for the n-th line that ended: the place of
 * one record in 256. So a reader goes over 255 records at most, and a mark costs 16 bytes.
 *
 * Threads: one at a time; its owner has a lock. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MARK_LINES 256u

struct journal_mark {
	uint32_t number; /* of a line in the order of ending, from 1 */
	uint64_t at;     /* of its record */
};

/* Zero at first. */
struct journal_marks {
	struct journal_mark *of; /* ascending */
	size_t n;
};

void journal_marks_clear(struct journal_marks *m);
/* A record behind those before it. Keeps it if it is due; without memory it does not, and readers go
 * over more records. */
void journal_marks_add(struct journal_marks *m, struct journal_mark mark);
/* The last mark up to `number`, or, where there is none, the first of all; at 0: there are none. */
struct journal_mark journal_marks_find(const struct journal_marks *m, uint32_t number);
/* Records before `at` are not looked for any more. */
void journal_marks_forget(struct journal_marks *m, uint64_t at);
