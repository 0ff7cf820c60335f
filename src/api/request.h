/* request.h: what every part of the API shares: the api itself and one request on its way. */
#pragma once

#include <stdatomic.h>

#include "api/api.h"
#include "api/repeat.h"
#include "api/skip_marks.h"
#include "api/upload_claims.h"
#include "base/error.h"
#include "base/log.h"

#define ROUTES_MAX 80

/* Answers by route and first digit of the status; the last row: no route. */
typedef _Atomic uint64_t answer_counts[ROUTES_MAX + 1][6];

struct events;

struct api {
	struct api_config config;
	struct store *store;
	struct blobs *blobs;
	struct pipeline *pipeline;
	struct claims claims;
	struct events *events;
	struct upload_claims upload_claims;
	struct prices prices;
	struct limits limits;
	struct skip_marks skip_marks;
	atomic_bool draining;
	answer_counts answers;
	const struct route *routes; /* routes_table() */
	size_t route_count;
	struct budget *budget; /* the pipeline's */
	struct log_storm no_memory;
};

struct upload;
struct part_form;

/* From the headers to the answer. Belongs to one thread at a time, as http/server.h says. */
struct request {
	struct api *api;
	struct http_request *http;
	const struct route *route;
	char id[ID_SIZE]; /* x-request-id */
	uint64_t began_ms;
	struct key key;      /* whose call it is; empty where a route needs no key */
	char object_id[256]; /* from the path; one that was longer names nothing either */
	char part_id[256];   /* likewise, the second id in a path */
	struct claim claim;
	struct call_rate rate;   /* of its organization's calls */
	struct buf body;         /* of a JSON route, or of one that is passed on */
	struct upload *upload;   /* of an upload */
	struct part_form *part;  /* of a part of one */
	uint64_t waits_since_ms; /* for memory for its body; 0: it does not */
	uint64_t charged_bytes;  /* for its connection, while it is online */
	bool later; /* the route answers by http_later(): not with `r`, and on its own */
};

/* What answers a route: fills `r`, or fails and errors.h makes the answer, or sets rq->later.
 * Headers that `r` was given before a failure stay. */
typedef bool (*route_fn)(struct request *rq, struct http_response *r, struct error *err);

#define JSON_BODY_MAX (1u << 20) /* contract 2.3: over it 413 */

/* What every answer carries (contract 2.1), what the log says of it, and its place in the figures.
 * Any thread: the request itself may be over. */
struct answered {
	struct api *api;
	const struct route *route; /* NULL: none */
	const char *id, *method, *path, *org;
	uint64_t began_ms;
	const struct call_rate *rate; /* NULL: its organization's calls are not counted */
};
void answer_finish(const struct answered *a, struct http_response *r);

static inline bool is_openai(const struct request *rq)
{
	return rq->api->config.profile == PROFILE_OPENAI;
}
