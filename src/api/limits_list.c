/* limits_list.c: a row for each limit, with what the store and this process say of its use. */
#include "api/limits_list.h"

#include "api/layout.h"
#include "api/request.h"
#include "base/sys.h"
#include "pipeline/pipeline.h"

struct limit_row {
	const char *name;
	uint64_t limit, use;
	int64_t resets_at; /* Unix s; 0: it is not of a span of time, or nothing is used */
};

static const struct json_member limit_members[] = {
	{ "name", COLUMN(struct limit_row, name) },
	{ "limit", COLUMN(struct limit_row, limit) },
	{ "use", COLUMN(struct limit_row, use) },
	{ "resets_at", COLUMN(struct limit_row, resets_at), FORM_NULL_IF_ZERO },
};

static void use_calls(struct limit_row *row, const struct call_rate *rate)
{
	row->use = rate->limit - (rate->left < rate->limit ? rate->left : rate->limit);
	if (row->use > 0)
		row->resets_at = sys.now_s() + (int64_t)(rate->full_ms + 999) / 1000;
}

bool limits_write(struct request *rq, const char *org, const int64_t own[static ORG_LIMITS],
		  struct buf *to, struct error *err)
{
	struct limit_row rows[ORG_LIMITS];
	struct limits_use now;
	struct org_queue queue;
	struct file_use use;
	uint64_t tokens;

	if (!store_file_use(rq->api->store, org, sys.now_s(), &use, err) ||
	    !store_org_queue(rq->api->store, org, &queue, err) ||
	    !pipeline_tokens_count(rq->api->pipeline, org, &tokens, err))
		return false;
	for (unsigned i = 0; i < ORG_LIMITS; i++)
		rows[i] = (struct limit_row){ .name = org_limit_names[i],
					      .limit = limit_or_configured(rq->api, own[i], i) };
	limits_look(&rq->api->limits, org, rows[LIMIT_CALLS_PER_MINUTE].limit, &now);
	rows[LIMIT_FILES].use = use.files + now.reserved.files;
	rows[LIMIT_BYTES].use = use.bytes + now.reserved.bytes;
	rows[LIMIT_UPLOADS].use = now.uploads + queue.uploads;
	rows[LIMIT_ONLINE].use = now.online;
	rows[LIMIT_LISTENERS].use = now.listeners;
	rows[LIMIT_OPEN_BATCHES].use = queue.batches;
	rows[LIMIT_ENQUEUED_REQUESTS].use = queue.requests;
	rows[LIMIT_ENQUEUED_TOKENS].use = queue.tokens;
	rows[LIMIT_TOKENS_PER_DAY].use = tokens;
	if (tokens > 0)
		rows[LIMIT_TOKENS_PER_DAY].resets_at = pipeline_tokens_reset();
	use_calls(&rows[LIMIT_CALLS_PER_MINUTE], &now.calls);
	array_write(to, limit_members, ARRAY_LEN(limit_members), rows, ORG_LIMITS, sizeof(rows[0]));
	return true;
}

bool limits_get(struct request *rq, struct http_response *r, struct error *err)
{
	buf_text(&r->body, "{\"object\":\"list\",\"data\":");
	if (!limits_write(rq, rq->key.org, rq->key.limits, &r->body, err))
		return false;
	buf_char(&r->body, '}');
	return true;
}
