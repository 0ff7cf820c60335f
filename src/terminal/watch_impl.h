/* watch_impl.h: what the threads of `watch` share. Private to watch*.c.
 *
 *	watch-events  the stream of events: news as they come
 *	watch-polls   asks about batches without news: after POLL_CALM_MS beside a stream (which may
 *	              be held back by a proxy, or has begun after a batch's end), more often without
 *	              one. What it cannot ask ends the watch
 *	main          draws */
#pragma once

#include <pthread.h>

#include "terminal/watch.h"
#include "terminal/watch_view.h"

struct watching {
	const struct watch_options *options;
	struct remote *events, *polls;

	pthread_mutex_t lock;
	pthread_cond_t ended;
	struct watched *all;
	size_t n, room;
	bool streamless; /* the stream is over */
	bool over;       /* all have ended, or it failed */
	bool failed;
	struct error err;      /* why */
	char note[400];        /* an outage, in a sentence; "": none */
	unsigned threads_left; /* that have not returned */
};

/* The first look. False: it cannot be asked, or there is no such batch. */
MUST_USE bool watch_begin(struct watching *w, struct error *err);
MUST_USE bool watch_start_threads(struct watching *w, struct error *err);
