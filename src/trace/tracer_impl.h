/* tracer_impl.h: the tracer's loop, for its own thread and for tests that turn it by hand. */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "client/client.h"
#include "trace/tracer.h"

struct tracer {
	/* constant */
	const char *version;
	unsigned sample;
	char *url;
	char instance[33]; /* random hex */
	struct client *client;
	struct client_route *route;

	_Atomic uint64_t sent, dropped;
	_Atomic bool told; /* the log knows that spans are dropped; the thread's to set */

	pthread_mutex_t lock; /* for the queue; innermost */
	struct span *head, **tail;
	unsigned n;
	bool closing;
	uint64_t close_ms; /* then it is over */

	/* the thread's */
	pthread_t thread;
	bool thread_started;
	struct exchange exchange;
	struct buf payload, answer;
	unsigned payload_spans; /* 0: nothing is on its way */
	unsigned tries;
	uint64_t first_ms; /* since when a first one waits; 0: none does */
	uint64_t hold_ms;  /* no request before; after a failure */
	uint64_t dropped_seen, dropped_ms;
	char said[160]; /* why the last request failed; "": it did not */
};

MUST_USE bool tracer_new(const struct tracer_config *config, struct tracer **ret,
			 struct error *err);
/* One turn of the loop; false once it is closing and nothing is left to do, or time is up. */
bool tracer_turn(struct tracer *t);
