/* events.h: who follows batches (contract 11.3): server-sent events of one batch, or of all batches
 * of an organization, and long polls.
 *
 *	store ---- each change of state, in the order of commits ----+
 *	pipeline -- once a second: which batches have other counts --+--> events thread --> streams
 *	handlers -- a listener: its connection is suspended ---------+
 *
 * One thread writes each object once, for all that listen, and gives it to their streams; a listener
 * holds no thread. What has an id is a change of state: its number (batch.changed, store.h), which
 * grows with each change in the organization and survives a restart. A client that comes back to the
 * stream of its organization with the last id gets every batch whose state has changed since, at
 * least the newest object of each; only that is promised. States that were passed through meanwhile,
 * and counts, may be left out for a client that was away or does not read: that is no gap.
 *
 * A listener ends within a second of its key's end: of its revocation, or of the suspension of the
 * key's organization.
 *
 * Without an id, or with one that is not from here, the stream of an organization begins with the
 * batches that have not ended. */
#pragma once

#include "api/request.h"

struct events;

MUST_USE bool events_open(struct api *api, struct events **ret, struct error *err);
/* The HTTP server is closed. NULL is fine. */
void events_close(struct events *e);
/* The server stops: streams end, long polls are answered, and so are those to come. */
void events_drain(struct events *e);

/* GET /v1/batches/{id}/events */
bool events_batch(struct request *rq, struct http_response *r, struct error *err);
/* GET /v1/lowtide/events */
bool events_org(struct request *rq, struct http_response *r, struct error *err);
/* GET /v1/batches/{id}?wait=N: `b` is the batch as it was at arrival. *ret_waits false: it is to be
 * answered at once. */
MUST_USE bool events_wait(struct request *rq, const struct batch *b, bool *ret_waits,
			  struct http_response *r, struct error *err);
