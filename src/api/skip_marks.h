/* skip_marks.h: where lines of result files begin, as far as calls with `skip` have found out (contract
 * 11.3): who goes on with a download by X-Last-Line does not have the file read from its start each
 * time. A file never changes under its id.
 *
 * A fixed number of marks, the oldest goes first. Threads: any. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/id.h"

#define SKIP_MARKS 256u

struct skip_mark {
	char file[ID_SIZE];
	uint64_t lines, at; /* so many lines end before the offset `at` */
};

struct skip_marks {
	pthread_mutex_t lock; /* for what follows */
	struct skip_mark of[SKIP_MARKS];
	unsigned next;
};

void skip_marks_open(struct skip_marks *m);
void skip_marks_close(struct skip_marks *m);
/* The mark nearest to line `lines` of the file, and not behind it; the file's start where none is
 * known. */
struct skip_mark skip_marks_find(struct skip_marks *m, const char *file, uint64_t lines);
void skip_marks_put(struct skip_marks *m, const struct skip_mark *mark);
