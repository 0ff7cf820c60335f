/* scheduling.c: the object, as a table for each kind of row in dispatch's view. */
#include "api/scheduling.h"

#include "api/layout.h"
#include "pipeline/pipeline.h"

/* ---- a model on an upstream ---- */

#define LIMIT(of)                                                                             \
	{ "concurrency_limit", COLUMN(of, limit.requests), .decimals = 1 },                   \
		{ "reason", COLUMN(of, limit.reason) }, { "batch", COLUMN(of, limit.batch) }, \
		{ "online", COLUMN(of, limit.online) },                                       \
		{ "cross_traffic", COLUMN(of, limit.others), .decimals = 1 },                 \
		{ "reserve", COLUMN(of, limit.reserve) },                                     \
		{ "best_per_s", COLUMN(of, limit.best_per_s), .decimals = 3 },                \
	{                                                                                     \
		"work_ms", COLUMN(of, limit.work_ms), .decimals = 4                           \
	}

static const struct json_member decision_members[] = {
	{ "at", COLUMN(struct view_decision, at) },
	LIMIT(struct view_decision),
};

static void put_decisions(struct buf *to, const void *row)
{
	const struct view_lane *lane = row;

	array_write(to, decision_members, ARRAY_LEN(decision_members), lane->decisions,
		    lane->decision_count, sizeof(*lane->decisions));
}

static const struct json_member lane_members[] = {
	{ "model", COLUMN(struct view_lane, model) },
	{ "in_flight", COLUMN(struct view_lane, in_flight) },
	{ "not_durable", COLUMN(struct view_lane, not_durable) },
	LIMIT(struct view_lane),
	{ "decisions", .write = put_decisions },
};

/* ---- an upstream ---- */

#define U(member) COLUMN(struct view_upstream, member)

static void put_state(struct buf *to, const void *row)
{
	const struct view_upstream *u = row;

	buf_json_string(to, slice_of(u->draining ? "draining" : stall_words(u->state)->upstream));
}

static void put_said(struct buf *to, const void *row)
{
	const struct view_upstream *u = row;

	if (u->state == STALL_NONE)
		buf_text(to, "null");
	else
		buf_json_string(to, u->said);
}

static const struct json_member engine_members[] = {
	{ "kind", U(engine) },
	{ "running", U(running), .decimals = DECIMALS_NONE },
	{ "waiting", U(waiting), .decimals = DECIMALS_NONE },
	{ "cache_use", U(cache), .decimals = 3 },
};

static void put_engine(struct buf *to, const void *row)
{
	const struct view_upstream *u = row;

	if (u->engine == NULL)
		buf_text(to, "null");
	else
		object_write(to, engine_members, ARRAY_LEN(engine_members), u);
}

static void put_lanes(struct buf *to, const void *row)
{
	const struct view_upstream *u = row;

	array_write(to, lane_members, ARRAY_LEN(lane_members), u->lanes, u->lane_count,
		    sizeof(*u->lanes));
}

static const struct json_member upstream_members[] = {
	{ "name", U(name) },
	{ "state", .write = put_state },
	{ "weight", U(weight) },
	{ "max_concurrency", U(max_concurrency) },
	{ "batch", U(batch) },
	{ "online", U(online) },
	{ "said", .write = put_said },
	{ "engine", .write = put_engine },
	{ "lanes", .write = put_lanes },
};

/* ---- an organization's view: without any count that others are part of ---- */

static const struct json_member own_lane_members[] = {
	{ "model", COLUMN(struct view_lane, model) },
	{ "concurrency_limit", COLUMN(struct view_lane, limit.requests), .decimals = 1 },
	{ "reason", COLUMN(struct view_lane, limit.reason) },
};

static void put_own_lanes(struct buf *to, const void *row)
{
	const struct view_upstream *u = row;

	array_write(to, own_lane_members, ARRAY_LEN(own_lane_members), u->lanes, u->lane_count,
		    sizeof(*u->lanes));
}

static const struct json_member own_upstream_members[] = {
	{ "name", U(name) },
	{ "state", .write = put_state },
	{ "lanes", .write = put_own_lanes },
};

/* Those that serve its models. */
static void put_own_upstreams(struct buf *to, const struct scheduling_view *v)
{
	bool any = false;

	buf_char(to, '[');
	for (const struct view_upstream *u = v->upstreams; u != v->upstreams + v->upstream_count;
	     u++) {
		if (u->lane_count == 0)
			continue;
		buf_text(to, any ? "," : "");
		object_write(to, own_upstream_members, ARRAY_LEN(own_upstream_members), u);
		any = true;
	}
	buf_char(to, ']');
}

static const struct json_member own_model_members[] = {
	{ "name", COLUMN(struct view_model, name) },
	{ "batches", COLUMN(struct view_model, batches) },
	{ "waiting_again", COLUMN(struct view_model, waiting_again) },
};

/* ---- all of it ---- */

static const struct json_member model_members[] = {
	{ "name", COLUMN(struct view_model, name) },
	{ "batches", COLUMN(struct view_model, batches) },
	{ "slots", COLUMN(struct view_model, slots), .decimals = 1 },
	{ "waiting_again", COLUMN(struct view_model, waiting_again) },
};

static void put_upstreams(struct buf *to, const void *row)
{
	const struct scheduling_view *v = row;

	if (v->whose == VIEW_ORG)
		put_own_upstreams(to, v);
	else
		array_write(to, upstream_members, ARRAY_LEN(upstream_members), v->upstreams,
			    v->upstream_count, sizeof(*v->upstreams));
}

static void put_models(struct buf *to, const void *row)
{
	const struct scheduling_view *v = row;
	bool own = v->whose == VIEW_ORG;

	array_write(to, own ? own_model_members : model_members,
		    own ? ARRAY_LEN(own_model_members) : ARRAY_LEN(model_members), v->models,
		    v->model_count + v->other_models, sizeof(*v->models));
}

#define V(member) COLUMN(struct scheduling_view, member)
#define SCHEDULING_MEMBERS                                                  \
	{ "object", .literal = "\"lowtide.scheduling\"" }, { "at", V(at) }, \
		{ "upstreams", .write = put_upstreams },                    \
	{                                                                   \
		"models", .write = put_models                               \
	}

static const struct json_member own_scheduling_members[] = { SCHEDULING_MEMBERS };
static const struct json_member scheduling_members[] = {
	SCHEDULING_MEMBERS,
	{ "online_requests", V(online_requests) },
	{ "online_waiting", V(online_waiting) },
};

void scheduling_write(struct buf *to, const struct scheduling_view *v)
{
	if (v->whose == VIEW_ORG)
		object_write(to, own_scheduling_members, ARRAY_LEN(own_scheduling_members), v);
	else
		object_write(to, scheduling_members, ARRAY_LEN(scheduling_members), v);
}

struct view_asked scheduling_asked(const struct request *rq, bool decisions)
{
	bool keyless = rq->key.id[0] == '\0';
	enum view_whose of_key = rq->key.is_operator ? VIEW_ALL : VIEW_ORG;

	return (struct view_asked){ .whose = keyless ? VIEW_LISTED : of_key,
				    .org = rq->key.org,
				    .decisions = decisions };
}

static void on_view(void *ctx, const struct scheduling_view *view)
{
	scheduling_write(ctx, view);
}

bool scheduling_get(struct request *rq, struct http_response *r, struct error *err)
{
	struct view_asked asked = scheduling_asked(rq, rq->key.is_operator);

	return pipeline_scheduling(rq->api->pipeline, &asked, on_view, &r->body, err);
}
