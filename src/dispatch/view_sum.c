#include "dispatch/view_sum.h"

#include <stdlib.h>

#include "base/sys.h"
#include "dispatch/model.h"

#define SUM_BYTES_MAX (64u << 20)

struct sum {
	const struct scheduling_view *const *views;
	size_t n;
	const struct view_asked *asked;
	struct view_upstream *upstreams;
	struct view_lane *lanes;
	struct view_model *models;
	size_t upstream_n, lane_n, model_n;
};

/* ---- whose models ---- */

static bool flow_counts(const struct sum *s, const struct view_flow *f, struct slice model)
{
	return slice_eq(f->model, model) &&
	       (s->asked->whose != VIEW_ORG || slice_is(f->org, s->asked->org));
}

static bool model_is_shown(const struct sum *s, struct slice model)
{
	if (s->asked->whose != VIEW_ORG)
		return true;
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->views[i]->flow_count; k++)
			if (flow_counts(s, &s->views[i]->flows[k], model))
				return true;
	return false;
}

/* ---- upstreams ---- */

static bool upstream_is(const struct view_upstream *u, const struct view_upstream *other)
{
	return u->retired == other->retired && slice_eq(u->name, other->name);
}

static void counts_add(struct view_upstream *to, const struct view_upstream *more)
{
	to->batch += more->batch;
	to->online += more->online;
	to->sent_batch += more->sent_batch;
	to->sent_online += more->sent_online;
}

static void upstream_add(struct sum *s, const struct view_upstream *u)
{
	size_t i = 0;

	while (i < s->upstream_n && !upstream_is(&s->upstreams[i], u))
		i++;
	struct view_upstream *to = &s->upstreams[i];
	if (i == s->upstream_n) {
		s->upstreams[s->upstream_n++] = *u;
		return;
	}
	struct view_upstream before = *to;
	if (!to->driven && u->driven) {
		*to = *u;
		counts_add(to, &before);
	} else {
		counts_add(to, u);
	}
}

/* ---- their lanes ---- */

static void lane_counts_add(struct view_lane *to, const struct view_lane *more)
{
	to->in_flight += more->in_flight;
	to->not_durable += more->not_durable;
	to->limit.batch += more->limit.batch;
	to->limit.online += more->limit.online;
}

static void lane_add(struct sum *s, struct view_lane *first, const struct view_lane *lane)
{
	struct view_lane *to = first;

	if (!model_is_shown(s, lane->model))
		return;
	while (to < s->lanes + s->lane_n && !slice_eq(to->model, lane->model))
		to++;
	if (to < s->lanes + s->lane_n)
		lane_counts_add(to, lane);
	else
		s->lanes[s->lane_n++] = *lane;
}

/* `u` of one view: what another's driver tells of a lane is not said again, but what is in flight. */
static void lanes_of_view_add(struct sum *s, struct view_lane *first, const struct view_upstream *u,
			      bool has_driver)
{
	for (size_t k = 0; k < u->lane_count; k++)
		if (!has_driver || u->driven || view_lane_is_busy(&u->lanes[k]))
			lane_add(s, first, &u->lanes[k]);
}

/* The driver's first. */
static void lanes_add(struct sum *s, struct view_upstream *to)
{
	struct view_lane *first = s->lanes + s->lane_n;
	bool has_driver = to->driven;

	for (int driver = 1; driver >= 0; driver--)
		for (size_t i = 0; i < s->n; i++)
			for (size_t k = 0; k < s->views[i]->upstream_count; k++) {
				const struct view_upstream *u = &s->views[i]->upstreams[k];
				if (upstream_is(to, u) && u->driven == driver)
					lanes_of_view_add(s, first, u, has_driver);
			}
	to->lanes = first;
	to->lane_count = (size_t)(s->lanes + s->lane_n - first);
}

/* ---- models ---- */

static bool is_counted(const struct sum *s, size_t view, size_t flow)
{
	const struct view_flow *f = &s->views[view]->flows[flow];

	for (size_t i = 0; i <= view; i++)
		for (size_t k = 0; k < (i < view ? s->views[i]->flow_count : flow); k++)
			if (slice_eq(s->views[i]->flows[k].batch, f->batch) &&
			    slice_eq(s->views[i]->flows[k].model, f->model))
				return true;
	return false;
}

static void flows_count(const struct sum *s, struct view_model *m)
{
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->views[i]->flow_count; k++) {
			const struct view_flow *f = &s->views[i]->flows[k];
			if (!flow_counts(s, f, m->name))
				continue;
			m->waiting_again += f->waiting_again;
			m->batches += !is_counted(s, i, k);
		}
}

static void model_add(struct sum *s, const struct view_model *m)
{
	size_t i = 0;

	if (!model_is_shown(s, m->name))
		return;
	while (i < s->model_n && !slice_eq(s->models[i].name, m->name))
		i++;
	if (i == s->model_n)
		s->models[s->model_n++] = (struct view_model){ .name = m->name };
	s->models[i].slots += view_slots_rounded(m->slots);
}

static int by_name(const void *a, const void *b)
{
	struct slice x = ((const struct view_model *)a)->name;
	struct slice y = ((const struct view_model *)b)->name;
	int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return order != 0 ? order : (x.n > y.n) - (x.n < y.n);
}

/* The row that models without a label share is the last. */
static void models_add(struct sum *s, struct scheduling_view *to)
{
	struct view_model others = { .name = SLICE(OTHER_MODELS) };

	for (size_t i = 0; i < s->n; i++) {
		const struct scheduling_view *v = s->views[i];
		for (size_t k = 0; k < v->model_count; k++)
			model_add(s, &v->models[k]);
		if (!v->other_models)
			continue;
		others.slots += view_slots_rounded(v->models[v->model_count].slots);
		to->other_models |= model_is_shown(s, others.name);
	}
	qsort(s->models, s->model_n, sizeof(*s->models), by_name);
	to->models = s->models;
	to->model_count = s->model_n;
	s->models[s->model_n] = others;
	for (size_t i = 0; i <= s->model_n; i++)
		flows_count(s, &s->models[i]);
}

/* ---- all of it ---- */

static bool sum_begin(struct sum *s, struct buf *memory)
{
	size_t upstreams = 0, lanes = 0, models = 1;

	for (size_t i = 0; i < s->n; i++) {
		upstreams += s->views[i]->upstream_count;
		lanes += s->views[i]->lane_count;
		models += s->views[i]->model_count;
	}
	if (!buf_reserve(memory, upstreams * sizeof(*s->upstreams) + lanes * sizeof(*s->lanes) +
					 models * sizeof(*s->models)))
		return false;
	s->upstreams = (struct view_upstream *)(void *)memory->p;
	s->lanes = (struct view_lane *)(s->upstreams + upstreams);
	s->models = (struct view_model *)(s->lanes + lanes);
	return true;
}

bool view_sum(const struct scheduling_view *const *views, size_t n, const struct view_asked *asked,
	      struct scheduling_view *ret, struct error *err)
{
	struct sum s = { .views = views, .n = n, .asked = asked };
	struct scheduling_view v = { .at = sys.now_s(),
				     .whose = asked->whose,
				     .memory = BUF(SUM_BYTES_MAX) };

	if (!sum_begin(&s, &v.memory))
		return fail_memory(err);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < views[i]->upstream_count; k++)
			upstream_add(&s, &views[i]->upstreams[k]);
		v.online_requests += views[i]->online_requests;
		v.online_waiting += views[i]->online_waiting;
	}
	for (size_t i = 0; i < s.upstream_n; i++)
		lanes_add(&s, &s.upstreams[i]);
	v.upstreams = s.upstreams;
	v.upstream_count = s.upstream_n;
	v.lanes = s.lanes;
	v.lane_count = s.lane_n;
	models_add(&s, &v);
	*ret = v;
	return true;
}
