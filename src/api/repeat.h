/* repeat.h: repeated calls (contract 2.4). The store knows the calls that were answered; this list
 * knows those that still run, so that a second call is held off meanwhile instead of making a
 * second object.
 *
 * A call with an Idempotency-Key claims that key from its headers on. One without claims its
 * content as soon as that is known: then only a resend (x-stainless-retry-count >= 1) is held off,
 * since two plain calls may be the same and make two objects. Any thread.
 *
 * A call that runs on another node is not held off here: of two the first to be entered in the store makes
 * the object, and the other, which has worked in vain, gets that for its answer (store/calls.c). */
#pragma once

#include <pthread.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/server.h"
#include "store/store.h"

/* Lives in the request; in the list while `held`. */
struct claim {
	struct claim *next;
	struct call call;
	bool held;
};

struct claims {
	pthread_mutex_t lock;
	struct claim *first;
};

struct request;

/* Reads the headers into rq->claim.call and claims the key, if there is one. CONFLICT with
 * Retry-After while it is claimed by another; INVALID for a key that is too long. */
MUST_USE bool repeat_begin(struct request *rq, const char *route, struct http_response *r,
			   struct error *err);
/* The content is known: `content` is what makes two calls the same. *ret_id is the object that the
 * first such call made, or "" when this call is to go on. CONFLICT as above; KEY_REUSED. */
MUST_USE bool repeat_find(struct request *rq, struct slice content, struct http_response *r,
			  char ret_id[static ID_SIZE], struct error *err);
/* The call is over. Nothing happens if nothing is claimed. */
void repeat_end(struct request *rq);
