/* metrics.h: GET /metrics, as Prometheus text (contract 13). */
#pragma once

#include "api/nodes.h"
#include "api/request.h"
#include "dispatch/view.h"

#define ANSWER_CODES 5u /* 1xx to 5xx */

/* How often a route was answered so. */
struct answers_row {
	const char *route, *code; /* "GET /v1/files", "2xx" */
	uint64_t answers;
};

struct memory_row {
	const char *use; /* budget_label() */
	uint64_t bytes;
};

struct webhook_row {
	const char *result; /* webhook_end_names */
	uint64_t attempts;
};

/* All that is shown but for what dispatch does. */
struct metrics_figures {
	const char *version;
	uint64_t resident_bytes, fds, fds_max;
	double cpu_s;
	unsigned http_connections;
	struct answers_row answers[(ROUTES_MAX + 1) * ANSWER_CODES]; /* those that there were */
	size_t answer_count;
	char routes[ROUTES_MAX][96]; /* that `answers` names */
	struct memory_row memory[BUDGET_KINDS];
	uint64_t memory_limit_bytes;
	struct webhook_figures webhooks;
	uint64_t spans_sent, spans_dropped;
	struct node_figures node;
};

bool metrics_get(struct request *rq, struct http_response *r, struct error *err);
/* Pure. */
void metrics_write(struct buf *to, const struct metrics_figures *f,
		   const struct scheduling_view *v);
