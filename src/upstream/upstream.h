/* upstream.h: an upstream as the configuration says it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "upstream/gauges.h"
#include "upstream/tls.h"

struct upstream_config {
	char *name;               /* for log, metrics and messages; unique */
	char *base_url;           /* "http://127.0.0.1:8080/v1", no slash at the end */
	char *api_key;            /* or NULL; sent as Authorization: Bearer */
	struct upstream_tls tls;  /* of https */
	char **models;            /* NULL-ended; NULL: it takes any */
	unsigned weight;          /* from 1: its share of the requests while several have room */
	unsigned concurrency;     /* requests in flight, fixed; 0: found by itself */
	unsigned max_concurrency; /* never more in flight; from 1 */
	int reserve; /* kept free for online requests; < 0: by itself (upstream/width.h) */
	uint64_t requests_per_minute; /* 0: no limit */
	uint64_t tokens_per_minute;
	enum gauges_kind metrics;
	bool has_priority; /* batch lines get a member `priority` of this value */
	int priority;
	bool drain; /* nothing new is sent; what is in flight ends */
};
