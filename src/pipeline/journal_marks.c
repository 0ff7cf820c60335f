/* journal_marks.c: see journal_marks.h. */
#include "pipeline/journal_marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void journal_marks_clear(struct journal_marks *m)
{
	free(m->of);
	*m = (struct journal_marks){ 0 };
}

void journal_marks_add(struct journal_marks *m, struct journal_mark mark)
{
	if (m->n > 0 && mark.number < m->of[m->n - 1].number + MARK_LINES)
		return;
	struct journal_mark *more = array_room(m->of, m->n, sizeof(*more));
	if (more == NULL)
		return;
	m->of = more;
	m->of[m->n++] = mark;
}

struct journal_mark journal_marks_find(const struct journal_marks *m, uint32_t number)
{
	size_t low = 0, high = m->n; /* the answer is in low..high-1, if any is up to `number` */

	if (m->n == 0)
		return (struct journal_mark){ 0, 0 };
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (m->of[middle].number <= number)
			low = middle;
		else
			high = middle;
	}
	return m->of[low];
}

void journal_marks_forget(struct journal_marks *m, uint64_t at)
{
	size_t drop = 0;

	while (drop + 1 < m->n && m->of[drop + 1].at <= at)
		drop++;
	if (drop == 0)
		return;
	m->n -= drop;
	memmove(m->of, m->of + drop, m->n * sizeof(m->of[0]));
}
