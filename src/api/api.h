/* api.h: the wire contract on top of the stages: routes, JSON in and out, errors, both profiles.
 * Fills an http_app; holds no state of its own but calls under way. */
#pragma once

#include "api/limits.h"
#include "batch/price.h"
#include "blob/blob.h"
#include "http/server.h"
#include "ingest/ingest.h"
#include "pipeline/pipeline.h"
#include "store/store.h"
#include "webhook/webhook.h"

struct api;
struct history;
struct tracer;

struct api_config {
	enum profile profile;
	struct window_rule windows;
	struct ingest_limits limits;
	uint64_t upload_bytes;           /* of a file that is uploaded in parts; 0: any number */
	uint64_t org_limits[ORG_LIMITS]; /* of an organization without its own; 0: any number */
	bool missing_input_refused; /* create with an unknown file: 400 (kimi) or failed (openai) */
	bool kimi_calls;            /* Kimi's calls that are answered at once are passed on */
	bool first_line_checked;    /* an upload whose first line is not JSON is refused */
	uint64_t input_expires_after_s; /* of uploads without expires_after; 0: never */
	uint64_t result_expires_after_s;
	struct webhooks *webhooks;      /* that deliver what the store holds; borrowed */
	uint64_t webhook_endpoints_max; /* of an organization; 0: any number */
	const struct price *prices;     /* of models; copied */
	size_t price_count;
	bool is_worker;          /* a node that is not for clients: /readyz */
	const char *version;     /* of the program, for /metrics; static */
	struct tracer *tracer;   /* the caller's; NULL: nothing is traced */
	struct history *history; /* the caller's; NULL: there is none */
};

MUST_USE bool api_open(const struct api_config *config, struct store *store, struct blobs *blobs,
		       struct pipeline *pipeline, struct api **ret, struct error *err);
/* Once no call comes any more: its own thread ends, which uses the pipeline. NULL is fine. */
void api_stop(struct api *api);
/* After the pipeline and the webhooks: their threads release what calls lent them until they are
 * closed. NULL is fine. */
void api_close(struct api *api);
/* The callbacks for http_server_open, with `api` as their ctx. */
struct http_app api_http_app(void);
/* Takes over other prices; they are copied. Any thread. */
MUST_USE bool api_prices(struct api *api, const struct price *list, size_t n, struct error *err);
/* From now on /readyz and calls that create answer 503: the server is stopping. */
void api_drain(struct api *api);
