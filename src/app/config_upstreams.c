/* config_upstreams.c: the list of upstreams: what it must be, and where its keys come from. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_impl.h"

/* ---- the list ---- */

static void keys_forget(struct config *c)
{
	for (size_t i = 0; c->ready_upstreams != NULL && i < c->upstream_count; i++) {
		char *key = c->ready_upstreams[i].api_key;
		if (key != NULL)
			explicit_bzero(key, strlen(key));
		free(key);
	}
	free(c->ready_upstreams);
	c->ready_upstreams = NULL;
}

static void upstream_setting_done(struct upstream_setting *u)
{
	free(u->name);
	free(u->url);
	free(u->api_key_env);
	free(u->api_key_file);
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

/* `--upstream URL` is a list of one. Its key, if it wants one, is in a variable of a fixed name. */
bool upstreams_from_url(struct config *c, const struct origin *origin, const char *url,
			struct error *err)
{
	const struct setting *s = setting_find(upstream_settings, upstream_setting_count, "url");
	const char *key = getenv(UPSTREAM_KEY_VARIABLE);

	upstreams_clear(c);
	struct upstream_setting *u = upstream_add(c, origin);
	if (u == NULL)
		return fail_memory(err);
	if (!setting_read(s, url, &u->url))
		return fail_text(s, origin, "upstreams", url, err);
	u->name = strdup(UPSTREAM_NAME);
	if (key != NULL && key[0] != '\0')
		u->api_key_env = strdup(UPSTREAM_KEY_VARIABLE);
	return u->name != NULL || fail_memory(err);
}

/* ---- what fits together ---- */

static bool check_upstream(const struct upstream_setting *u, struct error *err)
{
	if (u->url == NULL)
		return fail_at(err, &u->origin, "upstreams", "this entry has no url");
	if (u->api_key_env != NULL && u->api_key_file != NULL)
		return fail_at(err, &u->origin, "upstreams",
			       "the key comes from api_key_env or from api_key_file, not both");
	return true;
}

static bool serves(const struct upstream_setting *u, const char *model)
{
	for (char **m = u->models; *m != NULL; m++)
		if (strcmp(*m, model) == 0)
			return true;
	return false;
}

/* A model has one upstream. */
static bool check_apart(const struct upstream_setting *u, const struct upstream_setting *before,
			struct error *err)
{
	if (strcmp(u->name, before->name) == 0)
		return fail_at(err, &u->origin, "upstreams",
			       "the name '%.60s' is taken; give each upstream one of its own",
			       u->name);
	if (u->models == NULL || before->models == NULL)
		return fail_at(err, &u->origin, "upstreams",
			       "where there are several, each lists the models that it serves");
	for (char **m = u->models; *m != NULL; m++)
		if (serves(before, *m))
			return fail_at(err, &u->origin, "upstreams",
				       "the model '%.60s' is served by '%.60s' already; a model "
				       "has one upstream",
				       *m, before->name);
	return true;
}

bool upstreams_finish(struct config *c, struct error *err)
{
	for (size_t i = 0; i < c->upstream_count; i++) {
		struct upstream_setting *u = &c->upstreams[i];
		if (u->name == NULL && (u->name = strdup(UPSTREAM_NAME)) == NULL)
			return fail_memory(err);
		if (!check_upstream(u, err))
			return false;
		for (size_t k = 0; k < i; k++)
			if (!check_apart(u, &c->upstreams[k], err))
				return false;
	}
	return true;
}

/* ---- keys of the upstreams ---- */

/* A key goes into a header line: printable, no spaces. */
static bool key_valid(const char *key)
{
	if (key[0] == '\0')
		return false;
	for (const char *p = key; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return true;
}

static bool key_from_variable(const struct upstream_setting *u, char **ret, struct error *err)
{
	const char *key = getenv(u->api_key_env);

	if (key == NULL || key[0] == '\0')
		return fail_at(err, &u->origin, "api_key_env",
			       "the environment variable %.80s is not set", u->api_key_env);
	if (!key_valid(key))
		return fail_at(err, &u->origin, "api_key_env",
			       "what the environment variable %.80s holds is no key: it has spaces "
			       "or characters outside of ASCII",
			       u->api_key_env);
	*ret = strdup(key);
	return *ret != NULL || fail_memory(err);
}

static void close_file(FILE **file)
{
	if (*file != NULL)
		fclose(*file);
}

static bool key_from_file(const struct upstream_setting *u, char **ret, struct error *err)
{
	AUTO(close_file) FILE *file = fopen(u->api_key_file, "re");
	char key[4096];

	if (file == NULL)
		return fail_at(err, &u->origin, "api_key_file", "cannot read %.200s: %s",
			       u->api_key_file, strerror(errno));
	size_t n = fread(key, 1, sizeof(key) - 1, file);
	while (n > 0 && isspace((unsigned char)key[n - 1]))
		n--;
	key[n] = '\0';
	if (ferror(file) || strlen(key) != n || !key_valid(key))
		(void)!fail_at(err, &u->origin, "api_key_file",
			       "%.200s does not hold a key alone on one line", u->api_key_file);
	else if ((*ret = strdup(key)) == NULL)
		(void)!fail_memory(err);
	explicit_bzero(key, sizeof(key));
	return *ret != NULL;
}

bool config_read_keys(struct config *c, struct error *err)
{
	keys_forget(c);
	c->ready_upstreams = calloc(c->upstream_count + 1, sizeof(*c->ready_upstreams));
	if (c->ready_upstreams == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->upstream_count; i++) {
		const struct upstream_setting *u = &c->upstreams[i];
		struct upstream_config *ready = &c->ready_upstreams[i];
		uint64_t concurrency = u->concurrency > 0 ? u->concurrency : c->concurrency;
		*ready = (struct upstream_config){
			.name = u->name,
			.base_url = u->url,
			.models = u->models,
			.concurrency = (unsigned)concurrency,
		};
		if (u->api_key_env != NULL && !key_from_variable(u, &ready->api_key, err))
			return false;
		if (u->api_key_file != NULL && !key_from_file(u, &ready->api_key, err))
			return false;
	}
	return true;
}
