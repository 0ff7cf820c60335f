/* objects.h: the numbers of a node's objects that are not decided, for its floor. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Zeroed at first. */
struct objects {
	uint64_t last;  /* that was given */
	uint64_t *open; /* not decided, ascending */
	size_t n, room;
};

/* From 1. Ends the process where there is no memory for it (base/memory.h). */
uint64_t objects_take(struct objects *o);
/* One that is decided already, or was never given, changes nothing. */
void objects_decided(struct objects *o, uint64_t number);
/* All smaller ones are decided. */
uint64_t objects_floor(const struct objects *o);
void objects_done(struct objects *o);
