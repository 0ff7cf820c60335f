/* config_upstreams.c: the list of upstreams: what it must be, and where its keys come from. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_impl.h"

/* ---- the list ---- */

static void keys_forget(struct config *c)
{
	for (size_t i = 0; c->ready_upstreams != NULL && i < c->upstream_count; i++)
		upstream_config_done(&c->ready_upstreams[i]);
	free(c->ready_upstreams);
	c->ready_upstreams = NULL;
}

static void upstream_setting_done(struct upstream_setting *u)
{
	free(u->name);
	free(u->url);
	free(u->api_key_env);
	free(u->api_key_file);
	free(u->ca_file);
	free(u->cert_file);
	free(u->key_file);
	for (char **model = u->models; model != NULL && *model != NULL; model++)
		free(*model);
	free(u->models);
	*u = (struct upstream_setting){ 0 };
}

void upstreams_clear(struct config *c)
{
	keys_forget(c);
	for (size_t i = 0; i < c->upstream_count; i++)
		upstream_setting_done(&c->upstreams[i]);
	free(c->upstreams);
	c->upstreams = NULL;
	c->upstream_count = 0;
}

bool upstream_entry_add(struct config *c, const struct origin *origin, struct config_entry *ret)
{
	struct upstream_setting *u = upstream_add(c, origin);

	if (u != NULL)
		*ret = (struct config_entry){ u, &u->given };
	return u != NULL;
}

struct upstream_setting *upstream_add(struct config *c, const struct origin *origin)
{
	struct upstream_setting *more = reallocarray(c->upstreams, c->upstream_count + 1,
						     sizeof(*more));

	if (more == NULL)
		return NULL;
	c->upstreams = more;
	more[c->upstream_count] = (struct upstream_setting){ .origin = *origin };
	return &more[c->upstream_count++];
}

/* Its key, if it wants one, is in a variable of a fixed name. */
bool upstream_add_url(struct config *c, const struct origin *origin, const char *url,
		      struct error *err)
{
	const struct setting *s = setting_find(upstream_settings, upstream_setting_count, "url");
	const char *key = getenv(UPSTREAM_KEY_VARIABLE);
	struct upstream_setting *u = upstream_add(c, origin);

	if (u == NULL)
		return fail_memory(err);
	if (!setting_read(s, url, &u->url))
		return fail_text(s, origin, "upstreams", url, err);
	if (key == NULL || key[0] == '\0')
		return true;
	u->api_key_env = strdup(UPSTREAM_KEY_VARIABLE);
	return u->api_key_env != NULL || fail_memory(err);
}

bool upstreams_add_urls(struct config *c, const struct origin *origin, const char *text,
			struct error *err)
{
	AUTO(auto_free) char *urls = strdup(text);
	char *rest, *url = urls != NULL ? strtok_r(urls, ", ", &rest) : NULL;

	if (urls == NULL)
		return fail_memory(err);
	if (url == NULL)
		return upstream_add_url(c, origin, "", err); /* says what an empty one is not */
	for (; url != NULL; url = strtok_r(NULL, ", ", &rest))
		if (!upstream_add_url(c, origin, url, err))
			return false;
	return true;
}

/* ---- what fits together ---- */

static bool check_upstream(const struct upstream_setting *u, struct error *err)
{
	if (u->url == NULL)
		return fail_at(err, &u->origin, "upstreams", "this entry has no url");
	if (u->api_key_env != NULL && u->api_key_file != NULL)
		return fail_at(err, &u->origin, "upstreams",
			       "the key comes from api_key_env or from api_key_file, not both");
	return tls_settings_check(u, err);
}

/* A default maximum gives way to a concurrency that was configured. */
static bool max_chosen(const struct config *c, const struct upstream_setting *u)
{
	return u->max_concurrency > 0 || !config_is_default(c, "execution.max_concurrency");
}

uint64_t upstream_fixed(const struct config *c, const struct upstream_setting *u)
{
	uint64_t concurrency = u->concurrency > 0 ? u->concurrency : c->concurrency;

	return concurrency != AMOUNT_AUTO ? concurrency : 0;
}

uint64_t upstream_max(const struct config *c, const struct upstream_setting *u)
{
	uint64_t fixed = upstream_fixed(c, u);
	uint64_t max = u->max_concurrency > 0 ? u->max_concurrency : c->max_concurrency;

	return fixed > max && !max_chosen(c, u) ? fixed : max;
}

static bool check_widths(const struct config *c, const struct upstream_setting *u,
			 struct error *err)
{
	uint64_t fixed = upstream_fixed(c, u), max = upstream_max(c, u);

	if (fixed <= max)
		return true;
	return fail_at(err, &u->origin, "upstreams",
		       "the concurrency of '%.60s', %" PRIu64
		       ", is more than its max_concurrency, which is %" PRIu64,
		       u->name, fixed, max);
}

/* Batches would wait for ever. */
static bool check_reserve(const struct config *c, const struct upstream_setting *u,
			  struct error *err)
{
	const struct setting *s = setting_find(settings, setting_count, "online.reserve");
	uint64_t fixed = upstream_fixed(c, u);
	uint64_t most = fixed > 0 ? fixed : upstream_max(c, u);

	if (c->reserve == AMOUNT_AUTO || c->reserve < most)
		return true;
	return fail_at(err, &given_of(c, s)->origin, s->key,
		       "%" PRIu64 " leaves nothing for batches: at most %" PRIu64
		       " requests are in flight to '%.60s'",
		       c->reserve, most, u->name);
}

static bool check_name(const struct config *c, size_t i, struct error *err)
{
	const struct upstream_setting *u = &c->upstreams[i];

	for (size_t k = 0; k < i; k++)
		if (strcmp(u->name, c->upstreams[k].name) == 0)
			return fail_at(err, &u->origin, "upstreams",
				       "the name '%.60s' is taken; give each upstream one of its "
				       "own",
				       u->name);
	return true;
}

static bool name_default(struct upstream_setting *u, size_t i, struct error *err)
{
	char name[40];

	if (u->name != NULL)
		return true;
	snprintf(name, sizeof(name), i == 0 ? UPSTREAM_NAME : "upstream-%zu", i + 1);
	u->name = strdup(name);
	return u->name != NULL || fail_memory(err);
}

static bool is_given(const struct upstream_setting *u, const char *key)
{
	const struct setting *s = setting_find(upstream_settings, upstream_setting_count, key);

	return (u->given >> (s - upstream_settings) & 1) != 0;
}

static bool defaults_take(struct upstream_setting *u, struct error *err)
{
	u->has_priority = is_given(u, "priority");
	for (size_t i = 0; i < upstream_setting_count; i++) {
		const struct setting *s = &upstream_settings[i];
		const char *initial = s->initial[PROFILE_KIMI]; /* the same in both */
		if (initial != NULL && !(u->given >> i & 1) &&
		    !setting_read(s, initial, setting_member(s, u)))
			return fail_memory(err);
	}
	return true;
}

bool upstreams_finish(struct config *c, struct error *err)
{
	for (size_t i = 0; i < c->upstream_count; i++) {
		struct upstream_setting *u = &c->upstreams[i];
		if (!name_default(u, i, err) || !defaults_take(u, err) || !check_upstream(u, err) ||
		    !check_widths(c, u, err) || !check_reserve(c, u, err) || !check_name(c, i, err))
			return false;
	}
	return true;
}

/* ---- keys of the upstreams ---- */

/* All members but the key and the certificates. The strings stay those of `u`. */
static struct upstream_config ready_of(const struct config *c, const struct upstream_setting *u)
{
	return (struct upstream_config){
		.name = u->name,
		.base_url = u->url,
		.models = u->models,
		.weight = (unsigned)u->weight,
		.concurrency = (unsigned)upstream_fixed(c, u),
		.max_concurrency = (unsigned)upstream_max(c, u),
		.reserve = c->reserve != AMOUNT_AUTO ? (int)c->reserve : -1,
		.requests_per_minute = u->requests_per_minute,
		.tokens_per_minute = u->tokens_per_minute,
		.metrics = (enum gauges_kind)u->metrics,
		.has_priority = u->has_priority,
		.priority = (int)u->priority,
		.drain = u->drain,
	};
}

bool upstreams_read_keys(struct config *c, struct error *err)
{
	keys_forget(c);
	c->ready_upstreams = calloc(c->upstream_count + 1, sizeof(*c->ready_upstreams));
	if (c->ready_upstreams == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->upstream_count; i++) {
		const struct upstream_setting *u = &c->upstreams[i];
		struct upstream_config *ready = &c->ready_upstreams[i];
		const struct upstream_config shared = ready_of(c, u);
		if (!upstream_config_copy(&shared, ready))
			return fail_memory(err);
		if (u->api_key_env != NULL &&
		    !key_from_variable(&u->origin, "api_key_env", u->api_key_env, &ready->api_key,
				       err))
			return false;
		if (u->api_key_file != NULL &&
		    !key_from_file(&u->origin, "api_key_file", u->api_key_file, &ready->api_key,
				   err))
			return false;
		if (!tls_files_read(c, u, &ready->tls, err))
			return false;
	}
	return true;
}
