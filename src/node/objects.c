#include "node/objects.h"

#include <string.h>

#include "base/memory.h"

static void grow(struct objects *o)
{
	size_t room = o->room == 0 ? 64 : 2 * o->room;
	uint64_t *open = must_calloc(room, sizeof(*open));

	if (o->n > 0)
		memcpy(open, o->open, o->n * sizeof(*open));
	free(o->open);
	o->open = open;
	o->room = room;
}

uint64_t objects_take(struct objects *o)
{
	if (o->n == o->room)
		grow(o);
	o->open[o->n++] = ++o->last;
	return o->last;
}

void objects_decided(struct objects *o, uint64_t number)
{
	size_t from = 0, to = o->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (o->open[middle] < number)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == o->n || o->open[from] != number)
		return;
	o->n--;
	memmove(&o->open[from], &o->open[from + 1], (o->n - from) * sizeof(o->open[0]));
}

uint64_t objects_floor(const struct objects *o)
{
	return o->n > 0 ? o->open[0] : o->last + 1;
}

void objects_done(struct objects *o)
{
	free(o->open);
	*o = (struct objects){ 0 };
}
