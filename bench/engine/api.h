/* api.h: what the simulated engine answers: the OpenAI-compatible routes, its metrics, and what the
 * bench asks of it (GET /stats, POST /control). Joins http.h and engine.h. */
#pragma once

#include <stdint.h>

#include "engine.h"
#include "http.h"
#include "metrics.h"

#define SLOTS_MAX 65536
#define NOTICES_MAX 8192u /* a power of 2 */

/* A 429 that went out: what it asked for. */
struct notice {
	int64_t at_ns, until_ns;
};

struct api {
	struct metrics metrics; /* and the names of models */
	bool no_metrics;
	double metrics_ms_low, metrics_ms_high; /* that GET /metrics takes */
	double refuse;                          /* share of the requests that get a 429 */
	uint64_t random;
	struct sim sim;
	struct http http;
	int64_t started_ns;

	uint64_t n_requests; /* finished, refused, cancelled, cut by an outage, waiting, or running */
	uint64_t n_refused;
	uint64_t n_cancelled; /* the client went away */
	uint64_t n_paused;    /* came while a pause was in force that its sender could know of */
	uint64_t n_down;      /* were cut by an outage */
	bool going_down;
	struct notice notices[NOTICES_MAX]; /* those too young to be known to a client, a ring */
	uint64_t n_notices, n_notices_known;
	int64_t pause_until_ns; /* by all notices that clients know */
	int64_t up_at_ns;       /* end of the outage that is on; NEVER_NS: none is */
	int64_t was_up_ns;      /* end of the last outage; 0: there was none */
	int64_t first_after_ns; /* first request after that; 0: none yet */

	/* As of the last POST /control {"mark": true}; of the start, before. */
	int64_t marked_ns;
	struct sim_stats marked;
	uint64_t marked_rejected;
};

int64_t now_ns(void);

void api_open(struct api *a);
void api_close(struct api *a);
/* Does what is due by time, and runs the engine. Returns when to call again, or NEVER_NS. */
int64_t api_turn(struct api *a);
