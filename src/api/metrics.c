/* metrics.c: a table for each group of metrics; the figures of the process and of HTTP are read
 * here, those of dispatch come from its view. */
#include "api/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/prometheus.h"
#include "api/routes.h"
#include "api/scheduling.h"
#include "dispatch/dispatch.h"
#include "trace/tracer.h"

/* ---- the process, with the names that Prometheus clients use everywhere, and HTTP ---- */

#define F(member) COLUMN(struct metrics_figures, member)

static const struct metric process_metrics[] = {
	{ "lowtide_build_info", "gauge", "The version of lowtide that runs.", METRIC_ONE,
	  LABEL_FROM("version", struct metrics_figures, version) },
	{ "process_resident_memory_bytes", "gauge", "Resident memory.", F(resident_bytes) },
	{ "process_cpu_seconds_total", "counter", "User and system CPU time.", F(cpu_s),
	  .decimals = 3 },
	{ "process_open_fds", "gauge", "Open file descriptors.", F(fds) },
	{ "process_max_fds", "gauge", "File descriptors that may be open.", F(fds_max) },
	{ "lowtide_http_connections", "gauge", "Open connections of clients.",
	  F(http_connections) },
};

static const struct metric answer_metrics[] = {
	{ "lowtide_http_requests_total", "counter", "Requests answered.",
	  COLUMN(struct answers_row, answers) },
};

static void write_process(struct buf *to, const struct metrics_figures *f)
{
	const struct metric_rows process = METRIC_ROWS(f, 1);
	const struct metric_rows answers = METRIC_ROWS(f->answers, f->answer_count,
						       LABEL_OF("route", struct answers_row, route),
						       LABEL_OF("code", struct answers_row, code));

	prometheus_write(to, process_metrics, ARRAY_LEN(process_metrics), &process);
	prometheus_write(to, answer_metrics, ARRAY_LEN(answer_metrics), &answers);
}

/* ---- upstreams, and models on them ---- */

#define U(member) COLUMN(struct view_upstream, member)

static const struct metric upstream_metrics[] = {
	{ "lowtide_upstream_up", "gauge",
	  "1 while the upstream takes requests, 0 while it is down.", U(up) },
	{ "lowtide_upstream_down_total", "counter", "How often the upstream went down.", U(trips) },
	{ "lowtide_upstream_in_flight", "gauge", "Requests in flight to the upstream.", U(batch),
	  LABEL("kind", "batch") },
	{ .value = U(online), LABEL("kind", "online") },
	{ "lowtide_upstream_requests_total", "counter", "Requests sent to the upstream.",
	  U(sent_batch), LABEL("kind", "batch") },
	{ .value = U(sent_online), LABEL("kind", "online") },
	{ "lowtide_upstream_answers_total", "counter", "How requests of batch lines ended.",
	  U(answered_2xx), LABEL("result", "2xx") },
	{ .value = U(answered_4xx), LABEL("result", "4xx") },
	{ .value = U(answered_throttled), LABEL("result", "throttled") },
	{ .value = U(answered_5xx), LABEL("result", "5xx") },
	{ .value = U(broken), LABEL("result", "broken") },
	{ "lowtide_upstream_tokens_total", "counter",
	  "Tokens that batch lines took, prompt and answer.", U(tokens) },
	{ "lowtide_engine_requests", "gauge", "What the engine's own metrics say of its load.",
	  U(running), LABEL("state", "running") },
	{ .value = U(waiting), LABEL("state", "waiting") },
	{ "lowtide_engine_cache_use", "gauge",
	  "The share of the engine's KV cache in use, as it says.", U(cache) },
};

#define L(member) COLUMN(struct view_lane, member)

static const struct metric lane_metrics[] = {
	{ "lowtide_concurrency_limit", "gauge",
	  "Requests that a model on an upstream may have in flight; models of one engine share one limit.",
	  L(limit.requests) },
	{ "lowtide_concurrency_limit_reason", "gauge",
	  "1 for the reason why the limit is what it is.", METRIC_ONE,
	  LABEL_FROM("reason", struct view_lane, limit.reason) },
	{ "lowtide_cross_traffic", "gauge", "Requests on the engine that bypass lowtide.",
	  L(limit.others) },
	{ "lowtide_online_reserve", "gauge", "Slots kept free for online requests.",
	  L(limit.reserve) },
	{ "lowtide_work_seconds", "gauge", "Time for a unit of work (about a token) at that limit.",
	  L(limit.work_s) },
};

/* Upstreams that are removed are left out: one of the same name may have taken their place. */
static bool upstream_stays(const void *row)
{
	const struct view_upstream *u = row;

	return !u->retired;
}

static bool lane_stays(const void *row)
{
	const struct view_lane *lane = row;

	return !lane->retired;
}

static void write_upstreams(struct buf *to, const struct scheduling_view *v)
{
	struct metric_rows upstreams = METRIC_ROWS(
		v->upstreams, v->upstream_count, LABEL_OF("upstream", struct view_upstream, name));
	struct metric_rows lanes = METRIC_ROWS(v->lanes, v->lane_count,
					       LABEL_OF("upstream", struct view_lane, upstream),
					       LABEL_OF("model", struct view_lane, model));

	upstreams.shown = upstream_stays;
	lanes.shown = lane_stays;
	prometheus_write(to, upstream_metrics, ARRAY_LEN(upstream_metrics), &upstreams);
	prometheus_write(to, lane_metrics, ARRAY_LEN(lane_metrics), &lanes);
}

/* ---- models ---- */

static const struct metric model_metrics[] = {
	{ "lowtide_batches", "gauge", "Batches in progress, by model.",
	  COLUMN(struct view_model, batches) },
	{ "lowtide_lines_waiting_again", "gauge",
	  "Lines that failed and wait to be sent again, by model.",
	  COLUMN(struct view_model, waiting_again) },
};

static void write_models(struct buf *to, const struct scheduling_view *v)
{
	const struct metric_rows models = METRIC_ROWS(
		v->models, v->model_count + 1, /* with that of the others */
		LABEL_OF("model", struct view_model, name));

	prometheus_write(to, model_metrics, ARRAY_LEN(model_metrics), &models);
}

/* ---- memory, and online requests ---- */

static const struct metric memory_metrics[] = {
	{ "lowtide_memory_bytes", "gauge", "Memory for what is on its way, of limits.memory.",
	  COLUMN(struct memory_row, bytes) },
};

static const struct metric limit_metrics[] = {
	{ "lowtide_memory_limit_bytes", "gauge", "limits.memory; 0: no limit.",
	  F(memory_limit_bytes) },
};

static void write_memory(struct buf *to, const struct metrics_figures *f)
{
	const struct metric_rows uses = METRIC_ROWS(f->memory, BUDGET_KINDS,
						    LABEL_OF("use", struct memory_row, use));
	const struct metric_rows limit = METRIC_ROWS(f, 1);

	prometheus_write(to, memory_metrics, ARRAY_LEN(memory_metrics), &uses);
	prometheus_write(to, limit_metrics, ARRAY_LEN(limit_metrics), &limit);
}

static const struct metric webhook_attempt_metrics[] = {
	{ "lowtide_webhook_attempts_total", "counter",
	  "Attempts to send an event to its receiver, by how they ended.",
	  COLUMN(struct webhook_row, attempts) },
};

static const struct metric webhook_metrics[] = {
	{ "lowtide_webhook_given_up_total", "counter",
	  "Events that their receiver did not take in 72 hours.", F(webhooks.given_up) },
	{ "lowtide_webhook_under_way", "gauge", "Attempts under way.", F(webhooks.under_way) },
	{ "lowtide_webhook_oldest_seconds", "gauge",
	  "Age of the oldest event that its receiver has not taken; 0: there is none.",
	  F(webhooks.oldest_s) },
};

static void write_webhooks(struct buf *to, const struct metrics_figures *f)
{
	struct webhook_row rows[WEBHOOK_ENDS];

	for (unsigned i = 0; i < WEBHOOK_ENDS; i++)
		rows[i] = (struct webhook_row){ webhook_end_names[i], f->webhooks.attempts[i] };
	const struct metric_rows ends = METRIC_ROWS(rows, WEBHOOK_ENDS,
						    LABEL_OF("result", struct webhook_row, result));
	const struct metric_rows all = METRIC_ROWS(f, 1);

	prometheus_write(to, webhook_attempt_metrics, ARRAY_LEN(webhook_attempt_metrics), &ends);
	prometheus_write(to, webhook_metrics, ARRAY_LEN(webhook_metrics), &all);
}

static const struct metric trace_metrics[] = {
	{ "lowtide_trace_spans_total", "counter", "Spans of traces, by what became of them.",
	  F(spans_sent), LABEL("result", "sent") },
	{ .value = F(spans_dropped), LABEL("result", "dropped") },
};

static void write_traces(struct buf *to, const struct metrics_figures *f)
{
	const struct metric_rows one = METRIC_ROWS(f, 1);

	prometheus_write(to, trace_metrics, ARRAY_LEN(trace_metrics), &one);
}

static const struct metric online_metrics[] = {
	{ "lowtide_online_requests", "gauge", "Online requests that have not ended.",
	  COLUMN(struct scheduling_view, online_requests) },
	{ "lowtide_online_waiting", "gauge", "Of these, those that wait for an upstream.",
	  COLUMN(struct scheduling_view, online_waiting) },
};

static void write_online(struct buf *to, const struct scheduling_view *v)
{
	const struct metric_rows view = METRIC_ROWS(v, 1);

	prometheus_write(to, online_metrics, ARRAY_LEN(online_metrics), &view);
}

/* On one machine without a line. */
static const struct metric node_metrics[] = {
	{ "lowtide_nodes", "gauge", "Nodes whose lease runs, as this one sees them.",
	  F(node.nodes) },
	{ "lowtide_node_lease_seconds", "gauge",
	  "How long this node may still send without renewing its lease.", F(node.lease_s),
	  .decimals = 3 },
	{ "lowtide_node_leader", "gauge", "1 while this node does what one node is to do.",
	  F(node.is_leader) },
	{ "lowtide_node_upstreams_driven", "gauge", "Upstreams that this node drives.",
	  F(node.driven) },
	{ "lowtide_node_spans", "gauge", "Spans of batches that this node has.", F(node.spans) },
	{ "lowtide_node_buried_total", "counter",
	  "How often this node's lease ran out and others took what it had.", F(node.buried) },
};

static const struct metric node_view_metrics[] = {
	{ "lowtide_node_online_elsewhere", "gauge",
	  "Online requests of other nodes at upstreams that this node drives.",
	  COLUMN(struct scheduling_view, online_elsewhere) },
};

static void write_node(struct buf *to, const struct metrics_figures *f,
		       const struct scheduling_view *v)
{
	const struct metric_rows node = METRIC_ROWS(f, f->node.is_node ? 1 : 0);
	const struct metric_rows view = METRIC_ROWS(v, f->node.is_node ? 1 : 0);

	prometheus_write(to, node_metrics, ARRAY_LEN(node_metrics), &node);
	prometheus_write(to, node_view_metrics, ARRAY_LEN(node_view_metrics), &view);
}

void metrics_write(struct buf *to, const struct metrics_figures *f, const struct scheduling_view *v)
{
	write_process(to, f);
	write_upstreams(to, v);
	write_models(to, v);
	write_memory(to, f);
	write_online(to, v);
	write_webhooks(to, f);
	write_traces(to, f);
	write_node(to, f, v);
}

/* ---- figures ---- */

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	uint64_t size = 0, resident = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) != 2) // NOLINT(cert-err34-c)
		resident = 0;
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t n = 0;

	if (dir == NULL)
		return 0;
	while ((entry = readdir(dir)) != NULL) // NOLINT(concurrency-mt-unsafe)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n - 1; /* without the directory's own */
}

static uint64_t most_fds(void)
{
	struct rlimit fds;

	return getrlimit(RLIMIT_NOFILE, &fds) == 0 ? fds.rlim_cur : 0;
}

static double cpu_seconds(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used) != 0)
		return 0;
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void answers_add(struct metrics_figures *f, const char *route, _Atomic uint64_t *counts)
{
	static const char *const codes[ANSWER_CODES] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

	for (unsigned i = 0; i < ANSWER_CODES; i++) {
		uint64_t n = counts[i + 1];
		if (n > 0)
			f->answers[f->answer_count++] = (struct answers_row){ route, codes[i], n };
	}
}

static void answers_read(struct metrics_figures *f, struct api *api)
{
	for (size_t i = 0; i < api->route_count; i++) {
		const struct route *route = &api->routes[i];
		snprintf(f->routes[i], sizeof(f->routes[i]), "%s %s", route->method, route->path);
		answers_add(f, f->routes[i], api->answers[i]);
	}
	answers_add(f, "other", api->answers[ROUTES_MAX]);
}

static void memory_read(struct metrics_figures *f, const struct budget *b)
{
	for (unsigned kind = 0; kind < BUDGET_KINDS; kind++)
		f->memory[kind] = (struct memory_row){ budget_label(kind), b->uses[kind].bytes };
	f->memory_limit_bytes = b->limit;
}

static void traces_read(struct metrics_figures *f, const struct tracer *t)
{
	struct tracer_counts counts = tracer_counts(t);

	f->spans_sent = counts.sent;
	f->spans_dropped = counts.dropped;
}

static void figures_read(struct metrics_figures *f, struct request *rq)
{
	f->version = rq->api->config.version;
	f->resident_bytes = resident_bytes();
	f->cpu_s = cpu_seconds();
	f->fds = open_fds();
	f->fds_max = most_fds();
	f->http_connections = http_connections(rq->http);
	traces_read(f, rq->api->config.tracer);
	answers_read(f, rq->api);
	webhooks_figures(rq->api->config.webhooks, &f->webhooks);
	memory_read(f, rq->api->budget);
}

bool metrics_get(struct request *rq, struct http_response *r, struct error *err)
{
	AUTO(scheduling_view_done) struct scheduling_view view = { 0 };
	struct metrics_figures figures = { 0 };
	struct view_asked asked = scheduling_asked(rq, false);

	figures_read(&figures, rq); /* memory as it is without the view */
	if (!nodes_figures(rq->api->pipeline, &figures.node, err) ||
	    !dispatch_view(pipeline_dispatch(rq->api->pipeline), &asked, &view, err))
		return false;
	r->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metrics_write(&r->body, &figures, &view);
	return true;
}
