/* nodes.h: GET /v1/lowtide/nodes: the servers that share this one's database and bucket, for
 * operators (docs/console-api.md). Every node answers from what its last look saw, and so alike but
 * for `is_self`. */
#pragma once

#include "api/request.h"
#include "store/nodes.h"
#include "store/upstream_leases.h"

/* What a node knows of all of them. */
struct nodes_view {
	bool is_node;                  /* false: this is the one machine */
	uint64_t self;                 /* its own number */
	char fault[800];               /* why it has no lease, and cannot tell of others'; or "" */
	const struct node_seen *nodes; /* by number */
	size_t node_count;
	const struct upstream_seen *upstreams; /* by name */
	size_t upstream_count;
};

bool nodes_get(struct request *rq, struct http_response *r, struct error *err);
/* Pure. A version or a configuration differs where it is not that of most nodes; of equally many,
 * that of the node with the smallest number. False: no memory. */
MUST_USE bool nodes_write(struct buf *to, const struct nodes_view *v, struct error *err);

/* For /metrics. */
struct node_figures {
	bool is_node;
	double nodes; /* NAN: it cannot tell */
	double lease_s;
	bool is_leader;
	unsigned driven; /* upstreams */
	uint64_t spans, buried;
};
MUST_USE bool nodes_figures(struct pipeline *p, struct node_figures *ret, struct error *err);
