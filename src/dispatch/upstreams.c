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

static void names_free(char **names)
{
	for (char **n = names; n != NULL && *n != NULL; n++)
		free(*n);
	free(names);
}

/* ---- one upstream ---- */

static bool headers_make(struct upstream *u)
{
	struct headers *h = &u->headers;

	return (u->config.api_key == NULL || headers_add_bearer(h, u->config.api_key)) &&
	       headers_add(h, SLICE("Content-Type"), SLICE("application/json")) &&
	       headers_add(h, SLICE("Accept"), SLICE("application/json")) &&
	       headers_add(h, SLICE("User-Agent"), SLICE("lowtide"));
}

/* Metrics and health stand beside the API, not in it: without the version at the end of the base
 * URL. NULL: no memory. */
static char *url_beside(const struct upstream *u, const char *path)
{
	struct buf url = BUF(4096);
	const char *base = u->config.base_url;
	size_t n = strlen(base);
	if (n > 3 && strcmp(base + n - 3, "/v1") == 0)
		n -= 3;
	buf_append(&url, base, n);
	buf_text(&url, path);
	buf_char(&url, '\0');
	if (url.failed)
		buf_free(&url);
	return url.p;
}

static bool urls_make(struct upstream *u)
{
	struct buf models = BUF(4096);
	(void)upstream_url(u, "/v1/models", &models);
	u->metrics_url = url_beside(u, "/metrics");
	u->health_url = url_beside(u, "/health");
	u->models_url = models.p;
	return u->metrics_url != NULL && u->health_url != NULL && !models.failed;
}

static void upstream_free(struct upstream *u)
{
	watches_close(u);
	for (struct line_transfer *t = u->free_transfers, *next; t != NULL; t = next) {
		next = t->next_free;
		line_transfer_free(t);
	}
	client_route_free(u->route);
	headers_free(&u->headers);
	free(u->metrics_url);
	free(u->models_url);
	free(u->health_url);
	upstream_config_done(&u->config);
	free(u);
}

static struct upstream *upstream_new(struct dispatch *d, const struct upstream_config *config)
{
	struct upstream *u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NULL;
	watches_init(d, u);
	u->slots.of = &d->slots;
	u->opened_ms = sys.monotonic_ms();
	u->route = client_route_new(d->client, config->base_url, &config->tls);
	if (u->route != NULL && upstream_config_copy(config, &u->config) && headers_make(u) &&
	    urls_make(u))
		return u;
	upstream_free(u);
	return NULL;
}

unsigned upstream_load(const struct upstream *u)
{
	return slots_load(&u->slots);
}

unsigned upstream_most(const struct upstream *u)
{
	unsigned fixed = u->config.concurrency;
	return fixed > 0 && fixed < u->config.max_concurrency ? fixed : u->config.max_concurrency;
}

static struct limit_config upstream_limit_config(const struct upstream *u)
{
	return (struct limit_config){ .fixed = u->config.concurrency,
				      .max = upstream_most(u),
				      .reserve = u->config.reserve };
}

/* ---- who serves what ---- */

static bool names_have(char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* The configuration lists it, or, where there is no list, the upstream itself. */
bool upstream_claims(const struct upstream *u, const char *model)
{
	if (u->retired)
		return false;
	if (u->config.models != NULL)
		return names_have(u->config.models, model);
	for (size_t i = 0; i < u->reported_n; i++)
		if (strcmp(u->reported[i].id, model) == 0)
			return true;
	return false;
}

bool upstream_serves(const struct dispatch *d, const struct upstream *u, const char *model)
{
	if (u->retired)
		return false;
	if (model[0] == '\0' || upstream_claims(u, model))
		return true;
	if (u->config.models != NULL)
		return false;
	/* Nobody is known to have it: whoever has no list may. */
	for (const struct upstream *other = d->upstreams; other != NULL; other = other->next)
		if (upstream_claims(other, model))
			return false;
	return true;
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
	lane->next_of_model = m->lanes;
	m->lanes = lane;
	lane->next_of_upstream = u->lanes;
	u->lanes = lane;
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
	struct lane **link = &lane->upstream->lanes;
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
		bool serves = upstream_serves(d, u, m->name);
		if (lane == NULL && serves && !lane_open(m, u))
			log_error("memory.exhausted", kv_str("upstream", u->config.name));
		if (lane != NULL)
			lane->closed = !serves;
	}
	model_stall(d, m);
}

/* What other threads may ask: under the lock. */
static void served_renew(struct dispatch *d)
{
	size_t n = 0, count = 0;
	bool any = false;
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		any = any || (!u->retired && u->config.models == NULL);
		for (char **m = u->config.models; m != NULL && *m != NULL; m++)
			n++;
	}
	char **served = calloc(n + 1, sizeof(*served));
	for (struct upstream *u = d->upstreams; served != NULL && u != NULL; u = u->next)
		for (char **m = u->config.models; !u->retired && m != NULL && *m != NULL; m++)
			if ((served[count] = strdup(*m)) != NULL)
				count++;
	pthread_mutex_lock(&d->lock);
	char **old = d->served;
	d->served = served;
	d->serves_any = any ||
			served == NULL; /* in doubt a line is sent, and the upstream judges */
	pthread_mutex_unlock(&d->lock);
	names_free(old);
}

void lanes_renew(struct dispatch *d)
{
	for (struct model *m = d->models; m != NULL; m = m->next)
		model_lanes_renew(d, m);
	served_renew(d);
	models_join(d);
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
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream) {
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

static void upstream_configure(struct upstream *u, struct upstream_config *config)
{
	uint64_t now_us = sys.monotonic_us();
	upstream_config_done(&u->config);
	u->config = *config;
	pace_configure(&u->pace, config->requests_per_minute, config->tokens_per_minute,
		       now_us / 1000);
	u->paced_until_ms = 0;                        /* found with the limits before */
	breaker_probe_at(&u->breaker, now_us / 1000); /* what it refused may be mended */
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		breaker_probe_at(&lane->breaker, now_us / 1000);
	struct limit_config limit = upstream_limit_config(u);
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		limit_configure(lane->limit, &limit, now_us);
	if (config->metrics != GAUGES_NONE)
		return;
	u->has_gauges = false; /* nobody asks any more: what they said last is not to stay */
	for (struct lane *lane = u->lanes; lane != NULL; lane = lane->next_of_upstream)
		limit_gauges_lost(lane->limit, now_us);
}

/* What can fail, first: an upstream for each entry that is new, and a copy of every entry. */
struct renewal {
	struct upstream_config configs[UPSTREAMS_MAX];
	struct upstream *upstreams[UPSTREAMS_MAX]; /* known or new */
	struct upstream *fresh;
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
		struct upstream *u = upstream_new(d, &list[r->n]);
		if (u == NULL) {
			upstream_config_done(&r->configs[r->n]);
			return false;
		}
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
		upstream_free(u);
	}
}

bool upstreams_set(struct dispatch *d, const struct upstream_config *list, size_t n,
		   struct error *err)
{
	struct renewal r = { 0 };
	bool fits = n <= UPSTREAMS_MAX;
	if (!fits || !renewal_prepare(d, list, n, &r, &fits)) {
		renewal_undo(&r);
		return fits ? fail_memory(err)
			    : fail(err, ERR_INVALID,
				   "at most %u upstreams, those included that still end what they "
				   "have in flight",
				   UPSTREAMS_MAX);
	}
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		u->retired = true;
	struct upstream **end = &d->upstreams;
	while (*end != NULL)
		end = &(*end)->next;
	*end = r.fresh;
	unsigned connections = 8;
	for (size_t i = 0; i < n; i++) {
		r.upstreams[i]->retired = false;
		r.upstreams[i]->position = i;
		upstream_configure(r.upstreams[i], &r.configs[i]);
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
		upstream_free(u);
	}
	d->models = NULL;
	d->upstreams = NULL;
	while (d->label_count > 0)
		free(d->labels[--d->label_count]);
	names_free(d->served);
	free(d->models_json);
}

/* ---- tidying ---- */

static void lanes_tidy(struct upstream *u)
{
	for (struct lane *lane = u->lanes, *next; lane != NULL; lane = next) {
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

		for (const struct lane *lane = u->lanes; lane != NULL;
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
		if (!u->retired || u->lanes != NULL || upstream_load(u) > 0) {
			link = &u->next;
			continue;
		}
		log_info("upstream.gone", kv_str("upstream", u->config.name));
		*link = u->next;
		upstream_free(u);
	}
}
