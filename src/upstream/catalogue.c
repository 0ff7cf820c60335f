/* catalogue.c: claims are looked up in the list itself; the snapshot is made from the list and put
 * in place under the lock. */
#include "upstream/catalogue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- which upstream serves what ---- */

static bool names_have(char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

bool upstream_claims(const struct upstream *u, const char *model)
{
	if (u->retired)
		return false;
	if (u->config.models != NULL)
		return names_have(u->config.models, model);
	return reported_find(&u->reported, model) != NULL;
}

bool upstream_serves(const struct upstream *list, const struct upstream *u, const char *model)
{
	if (u->retired)
		return false;
	if (model[0] == '\0' || upstream_claims(u, model))
		return true;
	if (u->config.models != NULL)
		return false;
	/* A model that no upstream claims may be sent to any upstream without a list. */
	for (const struct upstream *other = list; other != NULL; other = other->next)
		if (upstream_claims(other, model))
			return false;
	return true;
}

const struct upstream *catalogue_unlisted(const struct upstream *list, const char *model)
{
	const struct upstream *reports = NULL;

	for (const struct upstream *u = list; u != NULL; u = u->next) {
		bool listless = u->config.models == NULL;
		if (!upstream_takes(u))
			continue;
		if (upstream_claims(u, model) || (listless && u->reported.n == 0))
			return NULL;
		if (reports == NULL && listless)
			reports = u;
	}
	return reports;
}

/* ---- the snapshot: what configurations list ---- */

static void names_free(char **names)
{
	for (char **n = names; n != NULL && *n != NULL; n++)
		free(*n);
	free(names);
}

static size_t listed_count(const struct upstream *u)
{
	size_t n = 0;

	for (char **m = u->config.models; !u->retired && m != NULL && *m != NULL; m++)
		n++;
	return n;
}

/* NULL: no memory. */
static char **listed_make(const struct upstream *list)
{
	size_t most = 1, n = 0;

	for (const struct upstream *u = list; u != NULL; u = u->next)
		most += listed_count(u);
	char **listed = calloc(most, sizeof(*listed));
	for (const struct upstream *u = list; listed != NULL && u != NULL; u = u->next)
		for (size_t i = 0; i < listed_count(u); i++, n++)
			if ((listed[n] = strdup(u->config.models[i])) == NULL) {
				names_free(listed);
				return NULL;
			}
	assert(n < most); /* NULL stands behind the last */
	return listed;
}

static bool any_is_served(const struct upstream *list)
{
	for (const struct upstream *u = list; u != NULL; u = u->next)
		if (!u->retired && u->config.models == NULL)
			return true;
	return false;
}

/* ---- the snapshot: all models ---- */

/* A model as one upstream has it. */
struct joined {
	const struct reported_model *model;
	size_t order; /* the upstream's in the list; SIZE_MAX: from configuration only */
};

static int by_id(const void *a, const void *b)
{
	const struct joined *x = a, *y = b;
	int order = strcmp(x->model->id, y->model->id);

	return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

static void model_write(struct buf *to, const struct reported_model *m, int64_t created)
{
	buf_text(to, to->n > 1 ? ",{\"id\":" : "{\"id\":");
	buf_json_string(to, slice_of(m->id));
	buf_printf(to, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":",
		   (long long)(m->created > 0 ? m->created : created));
	buf_json_string(to, slice_of(m->owned_by != NULL ? m->owned_by : "lowtide"));
	if (m->more != NULL)
		buf_text(to, m->more);
	buf_char(to, '}');
}

/* Those of one upstream: pointers into what it reports, or into `listed` for those that only its
 * configuration knows. How many they are. */
static size_t models_collect(const struct upstream *u, size_t order, struct joined *to,
			     struct reported_model *listed)
{
	size_t n = 0;

	if (u->retired)
		return 0;
	for (char **m = u->config.models; m != NULL && *m != NULL; m++, n++) {
		const struct reported_model *found = reported_find(&u->reported, *m);
		listed[n].id = *m;
		to[n] = found != NULL ? (struct joined){ found, order }
				      : (struct joined){ &listed[n], SIZE_MAX };
	}
	for (size_t i = 0; u->config.models == NULL && i < u->reported.n; i++, n++)
		to[n] = (struct joined){ &u->reported.models[i], order };
	return n;
}

/* NULL: no memory. */
static char *models_make(const struct upstream *list, int64_t created)
{
	size_t most = 1, n = 0, order = 0;

	for (const struct upstream *u = list; u != NULL; u = u->next)
		most += u->reported.n + listed_count(u);
	AUTO(auto_free) struct joined *all = calloc(most, sizeof(*all));
	AUTO(auto_free) struct reported_model *listed = calloc(most, sizeof(*listed));
	struct buf json = BUF(16u << 20);
	if (all == NULL || listed == NULL)
		return NULL;
	for (const struct upstream *u = list; u != NULL; u = u->next)
		n += models_collect(u, order++, all + n, listed + n);
	assert(n < most);
	qsort(all, n, sizeof(*all), by_id);
	buf_char(&json, '[');
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(all[i].model->id, all[i - 1].model->id) != 0)
			model_write(&json, all[i].model, created);
	buf_text(&json, "]");
	buf_char(&json, '\0');
	if (json.failed)
		buf_free(&json);
	return json.p;
}

/* ---- for other threads ---- */

void catalogue_init(struct catalogue *c)
{
	*c = (struct catalogue){ 0 };
	pthread_mutex_init(&c->lock, NULL);
}

void catalogue_done(struct catalogue *c)
{
	names_free(c->now.listed);
	free(c->now.models_json);
	pthread_mutex_destroy(&c->lock);
}

void catalogue_renew(struct catalogue *c, const struct upstream *list, int64_t created)
{
	struct catalogue_snapshot next = { .listed = listed_make(list),
					   .models_json = models_make(list, created) };

	next.any = next.listed == NULL || any_is_served(list);
	pthread_mutex_lock(&c->lock);
	struct catalogue_snapshot old = c->now;
	if (next.models_json == NULL)
		next.models_json = TAKE(old.models_json);
	c->now = next;
	pthread_mutex_unlock(&c->lock);
	names_free(old.listed);
	free(old.models_json);
}

bool catalogue_serves(struct catalogue *c, const char *model)
{
	pthread_mutex_lock(&c->lock);
	bool serves = c->now.any || (c->now.listed != NULL && names_have(c->now.listed, model));
	pthread_mutex_unlock(&c->lock);
	return serves;
}

void catalogue_models(struct catalogue *c, struct buf *to)
{
	pthread_mutex_lock(&c->lock);
	buf_text(to, c->now.models_json != NULL ? c->now.models_json : "[]");
	pthread_mutex_unlock(&c->lock);
}
