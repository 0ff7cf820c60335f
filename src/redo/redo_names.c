/* redo_names.c: which files have entries in the log: a table of hashes of their names. */
#include <stdlib.h>
#include <xxhash.h>

#include "redo/redo_impl.h"

#define ROOM_FIRST 256u

static uint64_t name_hash(const char *name)
{
	uint64_t hash = XXH3_64bits(name, strlen(name));

	return hash != 0 ? hash : 1; /* 0: a slot that is free */
}

/* Where the hash is, or would be. */
static struct redo_name *slot_find(struct redo_name *slots, size_t room, uint64_t hash)
{
	size_t at = hash & (room - 1);

	while (slots[at].hash != 0 && slots[at].hash != hash)
		at = (at + 1) & (room - 1);
	return &slots[at];
}

/* Into a table of the size that those want which are in the log still. */
static bool table_renew(struct redo_names *names)
{
	size_t live = 0, room = ROOM_FIRST;

	for (size_t i = 0; i < names->room; i++)
		live += names->slots[i].last > names->done;
	while (room < 4 * (live + 1))
		room *= 2;
	struct redo_name *slots = calloc(room, sizeof(*slots));
	if (slots == NULL)
		return false;
	for (size_t i = 0; i < names->room; i++)
		if (names->slots[i].last > names->done)
			*slot_find(slots, room, names->slots[i].hash) = names->slots[i];
	free(names->slots);
	names->slots = slots;
	names->room = room;
	names->used = live;
	return true;
}

bool redo_names_note(struct redo_names *names, const char *name, uint64_t sequence)
{
	if (2 * (names->used + 1) > names->room && !table_renew(names))
		return false;
	struct redo_name *slot = slot_find(names->slots, names->room, name_hash(name));
	names->used += slot->hash == 0;
	*slot = (struct redo_name){ name_hash(name), sequence };
	return true;
}

bool redo_names_have(const struct redo_names *names, const char *name)
{
	return names->room > 0 &&
	       slot_find(names->slots, names->room, name_hash(name))->last > names->done;
}

void redo_names_done(struct redo_names *names)
{
	free(names->slots);
	*names = (struct redo_names){ 0 };
}
