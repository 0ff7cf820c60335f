/* events_impl.h: what the files of the events share. Each calls only those below it:
 *
 *	events.c        the routes; the thread, and what other threads hand it
 *	events_turn.c   a turn of the thread: changes, listeners that come and go, once a second counts
 *	events_keys.c   listeners whose key has ended
 *	feeds.c         what a batch or an organization has for its listeners, and who they are
 *	listener.c      one listener
 *	event_text.c    one event */
#pragma once

#include <pthread.h>

#include "api/events.h"
#include "api/feeds.h"
#include "api/listener.h"

/* A change of state on its way to the thread; without a row: one was not seen. */
struct change {
	struct change *next;
	bool known;
	struct batch row;
};

struct events {
	struct api *api;
	pthread_t thread;
	bool started;
	_Atomic unsigned listeners; /* that have been added and are not freed */

	pthread_mutex_t lock; /* for what follows, held for an instant */
	pthread_cond_t asked;
	bool stopping, draining;
	bool missed; /* changes that could not be kept */
	struct change *changes, **changes_end;
	unsigned change_count;
	struct event_listener *added; /* `next` */
	struct event_listener *told;  /* `next_told` */

	/* the thread's own */
	struct feeds feeds;
	uint64_t tick_ms; /* clock_ms() of the next look at counts */
	bool drained;
	bool untold; /* some change could not be told: the next tick tries again */
};

/* What the thread takes over in a turn. */
struct events_news {
	struct change *changes;
	struct event_listener *added, *told;
	bool missed, draining;
};

/* A listener's `room` or `closed`. Any thread. */
void events_tell(struct events *e, struct event_listener *l, bool closed);

/* ---- events_turn.c ---- */

void events_turn(struct events *e, struct events_news *news);
/* clock_ms() of the next turn without news; UINT64_MAX: none. */
uint64_t events_due_ms(const struct events *e);

/* ---- events_keys.c ---- */

/* Ends listeners whose keys are not good any more. */
void events_keys_look(struct events *e);
