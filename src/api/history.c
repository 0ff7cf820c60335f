/* history.c: see history.h. */
#include "api/history.h"

#include <math.h>

#include "api/operator.h"

static const struct history_span {
	const char *name;
	enum rings_span ring;
} spans[] = {
	[HISTORY_HOUR] = { "hour", RINGS_HOUR },
	[HISTORY_DAY] = { "day", RINGS_DAY },
	[HISTORY_BATCH] = { "batch", RINGS_HOUR },
};

/* Of a batch there is the first. */
static const struct {
	const char *name, *unit;
	size_t at; /* of the double in a rate */
} series[] = {
	{ "lines_per_s", "lines/s", offsetof(struct rings_rate, lines_per_s) },
	{ "tokens_per_s", "tokens/s", offsetof(struct rings_rate, tokens_per_s) },
	{ "online_first_token_ms", "ms", offsetof(struct rings_rate, first_ms) },
};

static void write_value(struct buf *to, double value)
{
	if (isnan(value))
		buf_text(to, "null");
	else if (value == 0)
		buf_char(to, '0');
	else
		buf_printf(to, "%.3f", value);
}

static void write_values(struct buf *to, const struct history_page *page, size_t at)
{
	for (unsigned i = 0; i < page->steps; i++) {
		const char *rate = (const char *)&page->rates[i];
		buf_text(to, i > 0 ? "," : "");
		write_value(to, *(const double *)(const void *)(rate + at));
	}
}

void history_write(struct buf *to, enum history_of of, const struct history_page *page)
{
	const size_t n = of == HISTORY_BATCH ? 1 : ARRAY_LEN(series);

	buf_printf(to, "{\"object\":\"history\",\"span\":\"%s\",\"step_s\":%u,\"from\":%lld",
		   spans[of].name, page->step_s, (long long)page->from);
	buf_text(to, ",\"series\":[");
	for (size_t i = 0; i < n; i++) {
		buf_printf(to, "%s{\"name\":\"%s\",\"unit\":\"%s\",\"values\":[", i > 0 ? "," : "",
			   series[i].name, series[i].unit);
		write_values(to, page, series[i].at);
		buf_text(to, "]}");
	}
	buf_text(to, "]}");
}

static bool span_read(const struct http_request *q, enum history_of *ret, struct error *err)
{
	const char *text = http_query(q, "span");

	*ret = HISTORY_HOUR;
	if (text == NULL || strcmp(text, spans[HISTORY_HOUR].name) == 0)
		return true;
	*ret = HISTORY_DAY;
	return strcmp(text, spans[HISTORY_DAY].name) == 0 ||
	       fail_param(err, "span", "invalid_value",
			  "Invalid value for 'span': '%.100s'. Supported values are: 'hour' and "
			  "'day'.",
			  text);
}

static bool batch_get(struct request *rq, const char *id, const char *org, struct http_response *r,
		      struct error *err)
{
	AUTO(batch_done) struct batch b = { 0 };
	struct history_page page;

	if (!store_batch_get(rq->api->store, org, id, &b, err))
		return false;
	pipeline_history_batch(rq->api->pipeline, id, &page);
	history_write(&r->body, HISTORY_BATCH, &page);
	return true;
}

bool history_get(struct request *rq, struct http_response *r, struct error *err)
{
	const char *name = rq->key.is_operator ? http_query(rq->http, "org") : NULL;
	const char *batch = http_query(rq->http, "batch");
	struct history_page page;
	enum history_of of;
	struct org org;

	if (!span_read(rq->http, &of, err) ||
	    (name != NULL && !operator_named(rq, name, &org, err)))
		return false;
	const char *of_org = !rq->key.is_operator ? rq->key.org : name != NULL ? org.id : NULL;
	if (batch != NULL)
		return batch_get(rq, batch, of_org, r, err);
	pipeline_history(rq->api->pipeline, of_org, spans[of].ring, &page);
	history_write(&r->body, of, &page);
	return true;
}
