/* event.h: events as they are sent (contract 12). Pure. */
#pragma once

#include "base/buf.h"
#include "batch/batch.h"

/* "batch.completed" of a final state; NULL of another. */
const char *event_type_name(enum batch_status status);
/* The mask 1 << status of the type of that name; 0: there is none. */
unsigned event_type_of(struct slice name);
/* Appends the types of the mask as a JSON array, or, for a message, parted by commas. */
void event_types_write(struct buf *to, unsigned mask);
void event_types_describe(struct buf *to);

struct event {
	const char *id, *batch;
	enum batch_status type;
	int64_t at;
};
/* Appends the event's body: the same bytes at each attempt. */
void event_write(struct buf *to, const struct event *e);
