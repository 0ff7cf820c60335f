/* retry.h: the lines of one model that wait to be sent again.
 *
 *	heap    by due time. A lane that looks for one takes the one due first that did not fail on
 *	        an upstream to be avoided
 *	alone   a list of those that go alone, when nothing else is left to be sent
 *
 * An entry is embedded in its line and is the line's; it is in one of the two from retry_put() to
 * retry_take(). Room for every line that may come is made beforehand (retry_reserve()), so that
 * putting a line off cannot fail.
 *
 * Pure: the caller gives the time in. Threads: dispatch alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_PARKED UINT64_MAX         /* due_ms of an entry that is due at no time */
#define RETRY_ANY_TIME (UINT64_MAX - 1) /* now_ms by which every entry but a parked one is due */
#define RETRY_AVOIDS_NONE UINT32_MAX

enum retry_place { RETRY_OUT, RETRY_IN_HEAP, RETRY_ALONE };

struct retry_entry {
	/* the line's; not to be changed while the entry is in */
	uint32_t avoid;    /* number of the upstream that failed the line last; RETRY_AVOIDS_NONE */
	bool goes_alone;   /* when nothing else is left */
	bool for_operator; /* it waits for what the operator may mend; retry_take() clears it */

	/* retry's own, readable by the line */
	enum retry_place place;
	uint64_t due_ms;
	size_t at; /* index in the heap */
	struct retry_entry *next_alone;
};

/* Zeroed at first. */
struct retry {
	struct retry_entry **heap;
	size_t waiting; /* in the heap */
	size_t capacity;
	size_t reserved; /* lines that are or may come to be in */
	struct retry_entry *alone;
	unsigned for_operator; /* entries in the heap or alone that wait for the operator */
};

/* Frees the memory; no line is left. */
void retry_done(struct retry *r);

/* For each line of the model, before anything else and after all; the process ends when memory is
 * out (base/memory.h). */
void retry_reserve(struct retry *r);
void retry_release(struct retry *r);

/* Puts the entry where `goes_alone` says. */
void retry_put(struct retry *r, struct retry_entry *e, uint64_t due_ms);
/* Takes it out, wherever it is. */
void retry_take(struct retry *r, struct retry_entry *e);
/* Gives an entry that is in another time. */
void retry_move(struct retry *r, struct retry_entry *e, uint64_t due_ms);
/* Entries that wait for the operator are due now, but for those that are parked. */
void retry_operator_now(struct retry *r, uint64_t now_ms);

/* An entry of the heap that is due by now_ms and does not avoid `upstream` (RETRY_AVOIDS_NONE:
 * any), near to the first of these; NULL: none is found. It stays in. */
struct retry_entry *retry_due(const struct retry *r, uint64_t now_ms, uint32_t upstream);
/* One of those that go alone; NULL: none is due. It stays in. */
struct retry_entry *retry_alone_due(const struct retry *r, uint64_t now_ms);
/* When the first entry of the heap is due; RETRY_PARKED: none will be. */
uint64_t retry_first_ms(const struct retry *r);
/* Whether there is any entry. */
bool retry_has_any(const struct retry *r);
