/* health.c */
#include "api/health.h"

#include "api/console.h"

bool health_about(struct request *rq, struct http_response *r, struct error *err)
{
	const char *version = rq->api->config.version;

	(void)err;
	if (console_leads(rq, r))
		return true;
	r->content_type = "text/plain; charset=utf-8";
	buf_printf(
		&r->body,
		"lowtide %s: a batch server for LLMs.\n"
		"\n"
		"/v1        the Batch API of Kimi and OpenAI, and online requests: the base URL\n"
		"           for their clients; wants an API key (lowtide key create)\n"
		"/healthz   alive; /readyz: takes work; /metrics: for Prometheus\n"
		"\n"
		"README.md says how to use it, lowtide --help what its commands are.\n",
		version != NULL ? version : "");
	return true;
}

bool health_alive(struct request *rq, struct http_response *r, struct error *err)
{
	(void)rq;
	(void)err;
	buf_text(&r->body, "{\"status\":\"ok\"}");
	return true;
}

bool health_takes_work(const struct request *rq, struct error *err)
{
	if (!atomic_load(&rq->api->draining))
		return true;
	return fail(err, ERR_UNAVAILABLE, "The server is shutting down. Please retry shortly.");
}

/* A load balancer sends clients where it is true. */
static bool node_takes_clients(const struct request *rq, struct error *err)
{
	char why[256];

	if (rq->api->config.is_worker)
		return fail(
			err, ERR_UNAVAILABLE,
			"This node is a worker: it sends lines, and is not for clients (role).");
	return pipeline_takes_clients(rq->api->pipeline, why, sizeof(why)) ||
	       fail(err, ERR_UNAVAILABLE, "%s", why);
}

bool health_ready(struct request *rq, struct http_response *r, struct error *err)
{
	const char *trouble = blobs_trouble(rq->api->blobs);

	if (trouble != NULL)
		return fail(err, ERR_UNAVAILABLE, "%s", trouble);
	return health_takes_work(rq, err) && node_takes_clients(rq, err) &&
	       store_answers(rq->api->store, err) && health_alive(rq, r, err);
}
