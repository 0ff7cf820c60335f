/* view.c: counts what there is, takes room for all of it at once, and copies. */
#include "dispatch/view.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/flow_impl.h"
#include "dispatch/lane.h"
#include "dispatch/model.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"
#include "dispatch/view_impl.h"

#define VIEW_BYTES_MAX (64u << 20) /* as much as an answer of the API may have */

/* ---- what an upstream is said to do ---- */

/* As its own breaker says, or its lanes', where all of them wait: of one that another node drives as far
 * as online requests of this one found out. */
static enum batch_stall upstream_state(const struct upstream *u)
{
	enum batch_stall least = STALL_REFUSED;
	bool any = false;

	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		if (lane->closed)
			continue;
		least = lane->circuit.stall < least ? lane->circuit.stall : least;
		any = true;
	}
	enum batch_stall state = any && least > u->circuit.stall ? least : u->circuit.stall;
	return u->elsewhere && state < STALL_ELSEWHERE ? STALL_ELSEWHERE : state;
}

static uint64_t upstream_trips(const struct upstream *u)
{
	uint64_t trips = u->circuit.breaker.trips;

	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		trips += lane->circuit.breaker.trips;
	return trips;
}

/* What it said last that was not well; of one that another node drives that it does. */
static const char *upstream_said(const struct upstream *u)
{
	if (upstream_state(u) == STALL_NONE)
		return "";
	if (upstream_state(u) == STALL_ELSEWHERE)
		return "another node drives it";
	for (const struct lane *lane = lanes_of(u); u->circuit.stall == STALL_NONE && lane != NULL;
	     lane = lane->next_of_upstream)
		if (!lane->closed && lane->circuit.stall != STALL_NONE)
			return lane->circuit.said.text;
	return u->circuit.said.text;
}

/* ---- whose models ---- */

enum place {
	PLACE_NONE,
	PLACE_OTHERS, /* in the row that the others share; no lanes */
	PLACE_OWN,    /* a row, and lanes */
};

static enum place model_place(const struct view_asked *asked, const struct model *m)
{
	if (asked->whose == VIEW_ORG && schedule_batches_of(m->schedule, asked->org) == 0)
		return PLACE_NONE;
	if (!model_is_told(m) || (asked->whose == VIEW_LISTED && !m->known))
		return PLACE_OTHERS;
	return PLACE_OWN;
}

static bool lane_is_shown(const struct view_asked *asked, const struct lane *lane)
{
	return model_place(asked, lane->model) == PLACE_OWN;
}

struct own_count {
	const char *org;
	struct view_model *row;
};

static void own_each(void *ctx, struct schedule_batch *b)
{
	const struct own_count *own = ctx;

	if (strcmp(b->org, own->org) != 0)
		return;
	own->row->batches++;
	own->row->waiting_again += ((const struct flow *)b->batch)->waiting;
}

static void model_count(const struct view_asked *asked, const struct model *m,
			struct view_model *row)
{
	row->slots += m->slots;
	if (asked->whose == VIEW_ORG) {
		schedule_each(m->schedule, own_each, &(struct own_count){ asked->org, row });
		return;
	}
	row->batches += m->batches;
	row->waiting_again += m->retry.waiting;
}

static unsigned lane_decisions(const struct lane *lane)
{
	return lane->decision_count < DECISIONS_MAX ? lane->decision_count : DECISIONS_MAX;
}

/* ---- room ---- */

/* How much there is of everything. */
struct extent {
	size_t upstreams, lanes, decisions, models, flows, text_bytes;
};

static void upstream_count(const struct upstream *u, const struct view_asked *asked,
			   struct extent *e)
{
	size_t name_bytes = strlen(u->config.name);

	e->upstreams++;
	e->text_bytes += name_bytes + strlen(upstream_said(u));
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		if (!lane_is_shown(asked, lane))
			continue;
		e->lanes++;
		e->decisions += asked->decisions ? lane_decisions(lane) : 0;
		e->text_bytes += strlen(lane->model->name);
	}
}

static void flow_extent(void *ctx, struct schedule_batch *b)
{
	struct extent *e = ctx;

	e->flows++;
	e->text_bytes += strlen(b->org) + strlen(((const struct flow *)b->batch)->id);
}

static struct extent extent_of(const struct dispatch *d, const struct view_asked *asked)
{
	struct extent e = { .models = 1 }; /* the row that the others share */

	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		upstream_count(u, asked, &e);
	for (const struct model *m = d->models; m != NULL; m = m->next) {
		if (asked->flows)
			schedule_each(m->schedule, flow_extent, &e);
		if (model_place(asked, m) != PLACE_OWN)
			continue;
		e.models++;
		e.text_bytes += strlen(m->name);
	}
	return e;
}

/* Where the next of each goes. */
struct filling {
	struct view_upstream *upstream;
	struct view_lane *lane;
	struct view_decision *decision;
	struct view_model *model;
	struct view_flow *flow;
	struct slice flows_model; /* of the flows that are being copied */
	char *text, *end;
	const struct view_asked *asked;
	uint64_t now_us;
};

/* All of them lie one behind the other, those of the same alignment first. */
static bool room_take(const struct extent *e, struct buf *memory, struct filling *ret)
{
	size_t bytes = e->upstreams * sizeof(*ret->upstream) + e->lanes * sizeof(*ret->lane) +
		       e->decisions * sizeof(*ret->decision) + e->models * sizeof(*ret->model) +
		       e->flows * sizeof(*ret->flow) + e->text_bytes;

	if (!buf_reserve(memory, bytes))
		return false;
	ret->upstream = (struct view_upstream *)(void *)memory->p;
	ret->lane = (struct view_lane *)(ret->upstream + e->upstreams);
	ret->decision = (struct view_decision *)(ret->lane + e->lanes);
	ret->model = (struct view_model *)(ret->decision + e->decisions);
	ret->flow = (struct view_flow *)(ret->model + e->models);
	ret->text = (char *)(ret->flow + e->flows);
	ret->end = ret->text + e->text_bytes;
	return true;
}

/* ---- copying ---- */

static struct slice text_copy(struct filling *f, const char *text)
{
	struct slice copy = { f->text, strlen(text) };

	assert(copy.n <= (size_t)(f->end - f->text));
	memcpy(f->text, text, copy.n);
	f->text += copy.n;
	return copy;
}

static struct view_limit limit_view(const struct limit_state *s)
{
	return (struct view_limit){
		.requests = s->limit,
		.reason = limit_reason_name(s->reason),
		.batch = s->batch,
		.online = s->online,
		.others = s->others,
		.reserve = s->reserve,
		.best_per_s = s->best_per_s,
		.work_ms = s->work_ms,
		.work_s = s->work_ms / 1000,
	};
}

static void decisions_view(struct filling *f, const struct lane *lane, struct view_lane *to)
{
	unsigned n = lane_decisions(lane);

	to->decisions = f->decision;
	to->decision_count = n;
	for (unsigned i = lane->decision_count - n; i != lane->decision_count; i++) {
		const struct decision *one = &lane->decisions[i % DECISIONS_MAX];
		*f->decision++ = (struct view_decision){ one->at, limit_view(&one->state) };
	}
}

static void lane_view(struct filling *f, const struct lane *lane, struct slice upstream)
{
	struct limit_state state = limit_state(lane->limit, f->now_us);
	struct view_lane *to = f->lane++;

	state.online -= target_of(lane->upstream)->online_heard;
	*to = (struct view_lane){
		.upstream = upstream,
		.model = text_copy(f, lane->model->name),
		.retired = lane->upstream->retired,
		.in_flight = lane->slots.sent,
		.not_durable = slots_unrecorded(&lane->slots),
		.limit = limit_view(&state),
	};
	if (f->asked->decisions)
		decisions_view(f, lane, to);
}

static void counts_view(const struct upstream_counts *c, struct view_upstream *to)
{
	to->sent_batch = c->sent;
	to->sent_online = c->online;
	to->answered_2xx = c->answered_2xx;
	to->answered_4xx = c->answered_4xx;
	to->answered_throttled = c->answered_throttled;
	to->answered_5xx = c->answered_5xx;
	to->broken = c->broken;
	to->tokens = c->tokens;
}

static void engine_view(const struct upstream *u, uint64_t now_ms, struct view_upstream *to)
{
	const struct gauges *g = &u->gauges;
	bool current = watches_gauges_current(&target_of(u)->watches, now_ms);

	to->engine = current ? gauges_kind_words[g->kind] : NULL;
	to->running = current ? g->running : NAN;
	to->waiting = current ? g->waiting : NAN;
	to->cache = current && g->cache >= 0 ? g->cache : NAN;
}

static void upstream_view(struct filling *f, const struct upstream *u)
{
	enum batch_stall state = upstream_state(u);
	struct view_upstream *to = f->upstream++;

	*to = (struct view_upstream){
		.name = text_copy(f, u->config.name),
		.retired = u->retired,
		.draining = u->retired || u->config.drain,
		.driven = !u->elsewhere,
		.state = state,
		.said = text_copy(f, upstream_said(u)),
		.up = state <= STALL_THROTTLED,
		.weight = u->config.weight,
		.max_concurrency = upstream_most(u),
		.batch = u->slots.sent,
		.online = u->slots.online - target_of(u)->online_heard,
		.trips = upstream_trips(u),
		.lanes = f->lane,
	};
	counts_view(&u->counts, to);
	engine_view(u, f->now_us / 1000, to);
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (lane_is_shown(f->asked, lane))
			lane_view(f, lane, to->name);
	to->lane_count = (size_t)(f->lane - to->lanes);
}

static void flow_copy(void *ctx, struct schedule_batch *b)
{
	struct filling *f = ctx;
	const struct flow *flow = b->batch;

	*f->flow++ = (struct view_flow){
		.model = f->flows_model,
		.org = text_copy(f, b->org),
		.batch = text_copy(f, flow->id),
		.waiting_again = flow->waiting,
	};
}

static void models_view(struct filling *f, const struct model *first, struct scheduling_view *to)
{
	struct view_model others = { .name = SLICE(OTHER_MODELS) };

	to->models = f->model;
	for (const struct model *m = first; m != NULL; m = m->next) {
		enum place place = model_place(f->asked, m);
		if (place == PLACE_NONE)
			continue;
		struct view_model *row = place == PLACE_OWN ? f->model++ : &others;
		if (place == PLACE_OWN)
			*row = (struct view_model){ .name = text_copy(f, m->name) };
		else
			to->other_models = true;
		model_count(f->asked, m, row);
		f->flows_model = row->name;
		if (f->asked->flows)
			schedule_each(m->schedule, flow_copy, f);
	}
	to->model_count = (size_t)(f->model - to->models);
	*f->model++ = others;
}

/* Those show them: what all nodes show together counts each once. */
static unsigned online_elsewhere(const struct dispatch *d)
{
	unsigned n = 0;

	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		n += target_of(u)->online_heard;
	return n;
}

bool view_make(const struct dispatch *d, const struct view_asked *asked,
	       struct scheduling_view *ret, struct error *err)
{
	struct extent extent = extent_of(d, asked);
	struct filling f = { .asked = asked, .now_us = sys.monotonic_us() };
	struct scheduling_view v = {
		.at = sys.now_s(),
		.whose = asked->whose,
		.online_requests = d->online_count,
		.online_waiting = d->online_waiting,
		.online_elsewhere = online_elsewhere(d),
		.memory = BUF_OF(VIEW_BYTES_MAX, budget_use(d->config.budget, BUDGET_CALLS)),
	};

	assert(on_dispatch_thread());
	if (!room_take(&extent, &v.memory, &f))
		return fail_memory(err);
	v.upstreams = f.upstream;
	v.upstream_count = extent.upstreams;
	v.lanes = f.lane;
	v.lane_count = extent.lanes;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		upstream_view(&f, u);
	v.flows = f.flow;
	v.flow_count = extent.flows;
	models_view(&f, d->models, &v);
	assert(f.flow == v.flows + extent.flows);
	assert(f.upstream == v.upstreams + extent.upstreams);
	assert(f.lane == v.lanes + extent.lanes);
	assert(f.model == v.models + extent.models && f.text == f.end);
	*ret = v;
	return true;
}

void scheduling_view_done(struct scheduling_view *v)
{
	buf_free(&v->memory);
}
