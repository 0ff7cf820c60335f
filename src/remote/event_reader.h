/* event_reader.h: takes a stream of server-sent events apart (WHATWG HTML, 9.2.6), in pieces of any
 * size. Pure. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"

#define EVENT_BYTES_MAX (32u << 20) /* of one event */
#define EVENT_NAME_BYTES 64

struct event_reader {
	struct buf line, data;
	char name[EVENT_NAME_BYTES]; /* of the event that is being read; "": "message" */
	char id[EVENT_NAME_BYTES];   /* the last one; "": none */
	bool after_cr;               /* an LF that comes next belongs to the line before */
	bool begun;                  /* the event has a `data` */
	bool handed_on;              /* it was whole */
};

void event_reader_init(struct event_reader *e);
void event_reader_free(struct event_reader *e);
/* A new connection: what was half read is forgotten, the id stays. */
void event_reader_restart(struct event_reader *e);
/* Reads on until an event is whole: *ret_event is set, and e->name, e->data are good until the next
 * call. `piece` is what is left. False: an event is larger than EVENT_BYTES_MAX, or memory is
 * out. */
MUST_USE bool event_reader_next(struct event_reader *e, struct slice *piece, bool *ret_event);
