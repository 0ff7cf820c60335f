/* event_text.h: one event, written once and shared by all that it is sent to. */
#pragma once

#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "batch/batch.h"

/* Refs are the events thread's alone. */
struct event_text {
	unsigned refs;
	struct buf bytes;       /* "id: 7\nevent: batch\ndata: {...}\n\n" */
	size_t json_at, json_n; /* the object in it */
	int64_t changed;        /* number of the state that it shows */
	bool counts;            /* the state is not new: it has no id */
	enum batch_status status;
};

/* Begins one with a single ref: the caller writes the object behind what stands in `bytes`, then
 * event_text_seal(). NULL: no memory. `counts`: without an id. */
struct event_text *event_text_new(const struct batch *row, bool counts, struct budget_use *use);
/* False: there was no memory for it, and it is freed. */
MUST_USE bool event_text_seal(struct event_text *t);
struct event_text *event_text_ref(struct event_text *t);
void event_text_unref(struct event_text *t); /* NULL is fine */
