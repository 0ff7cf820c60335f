/* schedule.c: see schedule.h. */
#include "schedule/schedule.h"

#include <stddef.h>

void schedule_add(struct schedule *s, struct schedule_entry *e)
{
	if (e->next != NULL)
		return;
	if (s->turn == NULL) {
		e->next = e->prev = e;
		s->turn = e;
		return;
	}
	e->next = s->turn;
	e->prev = s->turn->prev;
	e->prev->next = e;
	e->next->prev = e;
}

void schedule_remove(struct schedule *s, struct schedule_entry *e)
{
	if (e->next == NULL)
		return;
	if (s->turn == e)
		s->turn = e->next == e ? NULL : e->next;
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->next = e->prev = NULL;
}

static bool entry_line(struct schedule_entry *e, uint64_t *ret_record)
{
	struct lease *l = &e->lease;
	for (;;) {
		while (l->cursor < l->lines) {
			uint32_t i = l->cursor++;
			if (!bit_get(l->done, i)) {
				*ret_record = l->first + i;
				return true;
			}
		}
		if (!e->lease_next(e->batch, l))
			return false;
	}
}

bool schedule_next(struct schedule *s, void **ret_batch, uint64_t *ret_record)
{
	while (s->turn != NULL) {
		struct schedule_entry *e = s->turn;
		if (entry_line(e, ret_record)) {
			s->turn = e->next;
			*ret_batch = e->batch;
			return true;
		}
		schedule_remove(s, e);
	}
	return false;
}
