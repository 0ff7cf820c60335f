/* upstreams.c: the list of upstreams, the models that batches ask for, and the lanes between them. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"

#define MODELS_KEPT 64u   /* with no batch: what is known of their limits may serve again */
#define MODELS_TIDIED 64u /* at most, a second */
#define MODEL_IDLE_MS (3600u * 1000u)

static struct limit_config upstream_limit_config(const struct upstream *u)
{
	return (struct limit_config){ .fixed = u->config.concurrency,
				      .max = upstream_most(u),
				      .reserve = u->config.reserve };
}

/* ---- lanes ---- */

struct lane *lane_find(const struct model *m, const struct upstream *u)
{
	for (struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model)
		if (lane->upstream == u)
			return lane;
	return NULL;
}

static bool lane_open(struct model *m, struct upstream *u)
{
	uint64_t now_us = sys.monotonic_us();
	struct limit_config config = upstream_limit_config(u);
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		return false;
	lane->limit = limit_new(&config, now_us);
	if (lane->limit == NULL) {
		free(lane);
		return false;
	}
	lane->upstream = u;
	lane->model = m;
	lane->slots.of = &u->slots;
	struct lane **end = &m->lanes;
	while (*end != NULL)
		end = &(*end)->next_of_model;
	*end = lane; /* in the order of the upstreams: of two that are as good the first is taken */
	lane->next_of_upstream = target_of(u)->lanes;
	target_of(u)->lanes = lane;
	for (unsigned i = 0; i < u->slots.online; i++)
		limit_online_sent(lane->limit, now_us);
	if (u->has_gauges)
		limit_gauges(lane->limit, &u->gauges, slots_in_flight(&u->slots), now_us);
	return true;
}

static bool lane_idle(const struct lane *lane)
{
	return slots_held(&lane->slots) == 0;
}

static void lane_free(struct lane *lane)
{
	struct lane **link = &target_of(lane->upstream)->lanes;
	while (*link != lane)
		link = &(*link)->next_of_upstream;
	*link = lane->next_of_upstream;
	link = &lane->model->lanes;
	while (*link != lane)
		link = &(*link)->next_of_model;
	*link = lane->next_of_model;
	limit_free(lane->limit);
	free(lane);
}

/* Without memory for a lane the model is served by the others, and tried again at the next renewal. */
static void model_lanes_renew(struct dispatch *d, struct model *m)
{
	m->known = false;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		struct lane *lane = lane_find(m, u);
		m->known = m->known || upstream_claims(u, m->name);
		bool serves = upstream_serves(d->upstreams, u, m->name);
		if (lane == NULL && serves && !lane_open(m, u))
			log_error("memory.exhausted", kv_str("upstream", u->config.name));
		if (lane != NULL)
			lane->closed = !serves;
	}
	model_stall(d, m);
}

static void lanes_renew(struct dispatch *d)
{
	for (struct model *m = d->models; m != NULL; m = m->next)
		model_lanes_renew(d, m);
	catalogue_renew(&d->catalogue, d->upstreams, d->started_at);
}

/* ---- models ---- */

bool model_is_told(const struct model *m)
{
	return (m->known || m->labelled) && strcmp(m->name, OTHER_MODELS) != 0 &&
	       strlen(m->name) <= MODEL_LABEL_MAX;
}

/* One of the first invented ones has a label, for as long as we run: who collects the figures keeps
 * every label that ever was. */
static bool label_has(struct dispatch *d, const char *name)
{
	for (unsigned i = 0; i < d->label_count; i++)
		if (strcmp(d->labels[i], name) == 0)
			return true;
	if (d->label_count == OTHER_MODELS_MAX || strlen(name) > MODEL_LABEL_MAX)
		return false;
	d->labels[d->label_count] = strdup(name);
	return d->labels[d->label_count] != NULL && ++d->label_count > 0;
}

struct model *model_find(const struct dispatch *d, const char *name)
{
	for (struct model *m = d->models; m != NULL; m = m->next)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

struct model *model_get(struct dispatch *d, const char *name)
{
	struct model *m = model_find(d, name);
	if (m != NULL)
		return m;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return NULL;
	m->name = strdup(name);
	m->schedule = schedule_open(&flow_schedule_ops);
	if (m->name == NULL || m->schedule == NULL) {
		schedule_close(m->schedule);
		free(m->name);
		free(m);
		return NULL;
	}
	m->next = d->models;
	d->models = m;
	model_lanes_renew(d, m);
	m->labelled = !m->known && label_has(d, name);
	return m;
}

static void model_free(struct model *m)
{
	while (m->lanes != NULL)
		lane_free(m->lanes);
	schedule_close(m->schedule);
	retry_done(&m->retry);
	free(m->name);
	free(m);
}

void upstream_online(struct upstream *u, int more)
{
	uint64_t now_us = sys.monotonic_us();
	if (more > 0)
		slot_online_take(&u->slots);
	else
		slot_online_drop(&u->slots);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		if (more > 0)
			limit_online_sent(lane->limit, now_us);
		else
			limit_online_gone(lane->limit, now_us);
	}
}

/* ---- the list ---- */

static bool number_free(const struct dispatch *d, const struct upstream *fresh, unsigned number)
{
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (u->number == number)
			return false;
	for (const struct upstream *u = fresh; u != NULL; u = u->next)
		if (u->number == number)
			return false;
	return true;
}

static struct upstream *upstream_known(const struct dispatch *d, const struct upstream_config *c)
{
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (!u->retired && upstream_config_identity_same(&u->config, c))
			return u;
	return NULL;
}

static void target_configure(struct upstream *u, struct upstream_config *config)
{
	uint64_t now_us = sys.monotonic_us();

	upstream_configure(u, config, now_us / 1000);
	struct limit_config limit = upstream_limit_config(u);
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream) {
		breaker_probe_at(&lane->circuit.breaker, now_us / 1000);
		limit_configure(lane->limit, &limit, now_us);
	}
	if (u->config.metrics == GAUGES_NONE)
		upstream_gauges(u, now_us); /* there are none any more */
}

/* What can fail, first: an upstream for each entry that is new, and a copy of every entry. */
struct renewal {
	struct upstream_config configs[UPSTREAMS_MAX];
	struct upstream *upstreams[UPSTREAMS_MAX]; /* known or new, in the order of the list */
	struct upstream *fresh;                    /* those that are new */
	size_t n;
};

static bool renewal_prepare(struct dispatch *d, const struct upstream_config *list, size_t n,
			    struct renewal *r, bool *ret_fits)
{
	for (; r->n < n; r->n++) {
		if (!upstream_config_copy(&list[r->n], &r->configs[r->n]))
			return false;
		r->upstreams[r->n] = upstream_known(d, &list[r->n]);
		if (r->upstreams[r->n] != NULL)
			continue;
		struct target *t = target_new(d, &list[r->n]);
		if (t == NULL) {
			upstream_config_done(&r->configs[r->n]);
			return false;
		}
		struct upstream *u = &t->upstream;
		while (!number_free(d, r->fresh, u->number))
			u->number++;
		u->next = r->fresh;
		r->fresh = u;
		r->upstreams[r->n] = u;
		*ret_fits = u->number < UPSTREAMS_MAX;
		if (!*ret_fits) {
			upstream_config_done(&r->configs[r->n]);
			return false;
		}
	}
	return true;
}

static void renewal_undo(struct renewal *r)
{
	for (size_t i = 0; i < r->n; i++)
		upstream_config_done(&r->configs[i]);
	for (struct upstream *u = r->fresh, *next; u != NULL; u = next) {
		next = u->next;
		target_free(target_of(u));
	}
}

/* From here on nothing fails: the list is that of the renewal, and behind it those that are retired. */
static void renewal_link(struct dispatch *d, struct renewal *r)
{
	struct upstream *retired = NULL, **retired_end = &retired, **end = &d->upstreams;

	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		u->retired = true;
	for (size_t i = 0; i < r->n; i++)
		r->upstreams[i]->retired = false;
	for (struct upstream *u = d->upstreams, *next; u != NULL; u = next) {
		next = u->next;
		if (!u->retired)
			continue;
		*retired_end = u;
		retired_end = &u->next;
	}
	*retired_end = NULL;
	for (size_t i = 0; i < r->n; i++) {
		*end = r->upstreams[i];
		end = &r->upstreams[i]->next;
	}
	*end = retired;
}

bool upstreams_set(struct dispatch *d, const struct upstream_config *list, size_t n,
		   struct error *err)
{
	struct renewal r = { 0 };
	bool fits = n <= UPSTREAMS_MAX;
	unsigned connections = 8;

	if (!fits || !renewal_prepare(d, list, n, &r, &fits)) {
		renewal_undo(&r);
		return fits ? fail_memory(err)
			    : fail(err, ERR_INVALID,
				   "at most %u upstreams, those included that still end what they "
				   "have in flight",
				   UPSTREAMS_MAX);
	}
	renewal_link(d, &r);
	for (size_t i = 0; i < n; i++) {
		target_configure(r.upstreams[i], &r.configs[i]);
		connections += upstream_most(r.upstreams[i]);
	}
	client_connections(d->client, connections);
	lanes_renew(d);
	return true;
}

void upstreams_free(struct dispatch *d)
{
	for (struct model *m = d->models, *next; m != NULL; m = next) {
		next = m->next;
		model_free(m);
	}
	for (struct upstream *u = d->upstreams, *next; u != NULL; u = next) {
		next = u->next;
		target_free(target_of(u));
	}
	d->models = NULL;
	d->upstreams = NULL;
	while (d->label_count > 0)
		free(d->labels[--d->label_count]);
}

/* ---- what the polls find out ---- */

bool upstream_busy(const struct upstream *u)
{
	if (u->slots.sent > 0)
		return true;
	for (const struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (!lane->closed &&
		    (lane->model->retry.waiting > 0 || schedule_has_line(lane->model->schedule)))
			return true;
	return false;
}

void upstream_gauges(struct upstream *u, uint64_t now_us)
{
	for (struct lane *lane = lanes_of(u); lane != NULL; lane = lane->next_of_upstream)
		if (u->has_gauges)
			limit_gauges(lane->limit, &u->gauges, slots_in_flight(&u->slots), now_us);
		else
			limit_gauges_lost(lane->limit, now_us);
}

/* Some engines take any name, some know names that they do not list: so the line is sent, and the
 * engine judges. But whoever has mistyped it reads it here. */
void model_unlisted_tell(struct dispatch *d, struct model *m)
{
	if (m->unlisted_told || m->batches == 0 || m->name[0] == '\0')
		return;
	const struct upstream *lists = catalogue_unlisted(d->upstreams, m->name);
	if (lists == NULL)
		return;
	m->unlisted_told = true;
	log_warn("model.not_listed", kv_str("model", m->name),
		 kv_str("upstream", lists->config.name), kv_u64("models", lists->reported.n),
		 kv_str("first", lists->reported.models[0].id));
}

void upstream_models(struct dispatch *d, bool others)
{
	if (!others) { /* what it says of them may be new */
		catalogue_renew(&d->catalogue, d->upstreams, d->started_at);
		return;
	}
	lanes_renew(d);
	for (struct model *m = d->models; m != NULL; m = m->next)
		model_unlisted_tell(d, m);
}

/* ---- tidying ---- */

static void lanes_tidy(struct upstream *u)
{
	for (struct lane *lane = target_of(u)->lanes, *next; lane != NULL; lane = next) {
		next = lane->next_of_upstream;
		if ((u->retired || lane->closed) && lane_idle(lane))
			lane_free(lane);
	}
}

static bool model_idle(const struct model *m)
{
	if (m->batches > 0 || m->retry.reserved > 0)
		return false;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model)
		if (!lane_idle(lane))
			return false;
	return true;
}

/* Takes out the one that has been idle longest, if it is to go; false: none is. */
static bool model_tidy(struct dispatch *d, uint64_t now_ms)
{
	struct model **oldest = NULL;
	unsigned count = 0;
	for (struct model **link = &d->models; *link != NULL; link = &(*link)->next, count++)
		if (model_idle(*link) &&
		    (oldest == NULL || (*link)->idle_since_ms < (*oldest)->idle_since_ms))
			oldest = link;
	if (oldest == NULL ||
	    (count <= MODELS_KEPT && now_ms - (*oldest)->idle_since_ms <= MODEL_IDLE_MS))
		return false;
	struct model *m = *oldest;
	*oldest = m->next;
	model_free(m);
	return true;
}

static void models_tidy(struct dispatch *d, uint64_t now_ms)
{
	for (unsigned n = 0; n < MODELS_TIDIED && model_tidy(d, now_ms); n++)
		;
}

/* What is in flight is counted alike at every level, and by the controllers of the widths. */
static void slots_check(const struct dispatch *d)
{
	struct slots all = { 0 };

	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		struct slots sum = { 0 };

		for (const struct lane *lane = lanes_of(u); lane != NULL;
		     lane = lane->next_of_upstream) {
			assert(limit_state(lane->limit, sys.monotonic_us()).batch ==
			       lane->slots.sent);
			slots_add(&sum, &lane->slots);
		}
		slots_agree(&u->slots, &sum);
		slots_add(&all, &u->slots);
	}
	slots_agree(&d->slots, &all);
}

void upstreams_tidy(struct dispatch *d, uint64_t now_ms)
{
	slots_check(d);
	models_tidy(d, now_ms);
	for (struct upstream **link = &d->upstreams; *link != NULL;) {
		struct upstream *u = *link;
		lanes_tidy(u);
		if (!u->retired || target_of(u)->lanes != NULL || upstream_load(u) > 0) {
			link = &u->next;
			continue;
		}
		log_info("upstream.gone", kv_str("upstream", u->config.name));
		*link = u->next;
		target_free(target_of(u));
	}
}
