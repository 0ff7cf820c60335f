/* health.c */
#include "api/health.h"

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

bool health_ready(struct request *rq, struct http_response *r, struct error *err)
{
	return health_takes_work(rq, err) && health_alive(rq, r, err);
}
