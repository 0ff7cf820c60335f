/* answers.h: how many answers of a server are under way, so that closing it can wait for them. Any
 * thread.
 *
 *	answers_begin() --- answers_ended() -----------------------------> over
 *	          |                                                         ^
 *	          +------ answers_to_client() --- answers_sent() -----------+
 *
 * "Handling" is an answer that a worker has or will have, or a stream that goes on; "sending" a
 * stream that has ended, of which the client has not got all. The call that takes an answer out of
 * handling is the last touch of the server by the thread that had it. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct answers {
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t none;  /* handling or sending has become 0 */
	unsigned handling, sending;
	bool closing;
};

void answers_init(struct answers *a);
void answers_done(struct answers *a);

/* One more answer is handled. False when the server closes: no worker takes any more. */
MUST_USE bool answers_begin(struct answers *a);
/* One answer less is handled. */
void answers_ended(struct answers *a);
/* An answer that was handled is sent: its connection is not suspended any more, so the server may
 * close, but gives the client some time. */
void answers_to_client(struct answers *a);
/* One answer less is sent. Loop thread. */
void answers_sent(struct answers *a);

/* Takes no more, waits until none is handled, and then `unread_ms` at most until none is sent.
 * Returns how many are still being sent. */
unsigned answers_close(struct answers *a, uint64_t unread_ms);
