/* config_webhooks.c: the list webhooks.endpoints: what its entries must be, and their secrets. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/config_impl.h"
#include "webhook/event.h"
#include "webhook/signature.h"
#include "webhook/target.h"

#define KEY "webhooks.endpoints"
#define ID_PREFIX "we_config_" /* ids of others are of hex digits */
#define NAME_MAX_BYTES 32u

/* ---- the list ---- */

bool webhook_entry_add(struct config *c, const struct origin *origin, struct config_entry *ret)
{
	struct webhook_setting *more = reallocarray(c->webhooks, c->webhook_count + 1,
						    sizeof(*more));

	if (more == NULL)
		return false;
	c->webhooks = more;
	struct webhook_setting *w = &more[c->webhook_count++];
	*w = (struct webhook_setting){ .origin = *origin };
	*ret = (struct config_entry){ w, &w->given };
	return true;
}

static void secrets_forget(struct config *c)
{
	if (c->ready_webhooks != NULL)
		explicit_bzero(c->ready_webhooks, c->webhook_count * sizeof(*c->ready_webhooks));
	free(TAKE(c->ready_webhooks));
	free(TAKE(c->ready_webhook_ca));
}

void webhooks_clear(struct config *c)
{
	secrets_forget(c);
	for (size_t i = 0; i < c->webhook_count; i++) {
		struct webhook_setting *w = &c->webhooks[i];
		char *texts[] = {
			w->name, w->url, w->org, w->secret, w->secret_env, w->secret_file
		};
		for (size_t k = 0; k < ARRAY_LEN(texts); k++)
			free(texts[k]);
		for (char **type = w->event_types; type != NULL && *type != NULL; type++)
			free(*type);
		free(w->event_types);
	}
	free(TAKE(c->webhooks));
	c->webhook_count = 0;
}

/* ---- what an entry must be ---- */

static bool fail_entry(const struct webhook_setting *w, const char *what, struct error *err)
{
	return fail_at(err, &w->origin, KEY, "%s", what);
}

static bool name_good(const char *name)
{
	for (const char *p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
			return false;
	return strlen(name) <= NAME_MAX_BYTES;
}

static bool check_name(const struct config *c, size_t i, struct error *err)
{
	const struct webhook_setting *w = &c->webhooks[i];

	if (w->name == NULL)
		return fail_entry(w, "this entry has no name", err);
	if (!name_good(w->name))
		return fail_at(err, &w->origin, KEY,
			       "'%.60s' is no name of at most %u letters, digits, hyphens and "
			       "underscores",
			       w->name, NAME_MAX_BYTES);
	for (size_t k = 0; k < i; k++)
		if (strcmp(w->name, c->webhooks[k].name) == 0)
			return fail_at(err, &w->origin, KEY, "the name '%.60s' is taken", w->name);
	return true;
}

static bool check_url(const struct config *c, const struct webhook_setting *w, struct error *err)
{
	if (w->url == NULL)
		return fail_entry(w, "this entry has no url", err);
	const char *refusal = target_refusal(w->url, c->webhooks_private);
	if (strlen(w->url) >= WEBHOOK_URL_BYTES)
		refusal = "it is too long.";
	return refusal == NULL ||
	       fail_at(err, &w->origin, KEY, "the url of '%.40s': %s", w->name, refusal);
}

static unsigned types_of(const struct webhook_setting *w)
{
	unsigned mask = 0;

	if (w->event_types == NULL)
		return WEBHOOK_ALL_TYPES;
	for (char **type = w->event_types; *type != NULL; type++)
		mask |= event_type_of(slice_of(*type));
	return mask;
}

static bool check_types(const struct webhook_setting *w, struct error *err)
{
	for (char **type = w->event_types; type != NULL && *type != NULL; type++)
		if (event_type_of(slice_of(*type)) == 0)
			return fail_at(err, &w->origin, KEY,
				       "'%.40s' is no type of events; there are batch.completed, "
				       "batch.failed, batch.expired and batch.cancelled",
				       *type);
	return true;
}

static bool check_secret(const struct webhook_setting *w, struct error *err)
{
	int given = (w->secret != NULL) + (w->secret_env != NULL) + (w->secret_file != NULL);

	return given == 1 ||
	       fail_at(err, &w->origin, KEY,
		       "the secret of '%.40s' comes from one of secret, secret_env and secret_file",
		       w->name);
}

bool webhooks_finish(struct config *c, struct error *err)
{
	for (size_t i = 0; i < c->webhook_count; i++) {
		const struct webhook_setting *w = &c->webhooks[i];
		if (!check_name(c, i, err) || !check_url(c, w, err) || !check_types(w, err) ||
		    !check_secret(w, err))
			return false;
		if (w->org != NULL && strlen(w->org) >= ID_SIZE)
			return fail_entry(w, "the name of its org is too long", err);
	}
	return true;
}

/* ---- secrets ---- */

static bool secret_read(const struct webhook_setting *w, char **ret, struct error *err)
{
	if (w->secret_env != NULL)
		return key_from_variable(&w->origin, "secret_env", w->secret_env, ret, err);
	if (w->secret_file != NULL)
		return key_from_file(&w->origin, "secret_file", w->secret_file, ret, err);
	*ret = strdup(w->secret);
	return *ret != NULL || fail_memory(err);
}

static bool ready_make(const struct webhook_setting *w, struct webhook_endpoint *ret,
		       struct error *err)
{
	char *secret = NULL;

	if (!secret_read(w, &secret, err))
		return false;
	bool good = secret_is_good(secret);
	snprintf(ret->id, sizeof(ret->id), ID_PREFIX "%s", w->name);
	snprintf(ret->org, sizeof(ret->org), "%s", w->org != NULL ? w->org : "");
	snprintf(ret->name, sizeof(ret->name), "%s", w->name);
	snprintf(ret->url, sizeof(ret->url), "%s", w->url);
	snprintf(ret->secret, sizeof(ret->secret), "%s", secret);
	ret->event_types = types_of(w);
	explicit_bzero(secret, strlen(secret));
	free(secret);
	return good || fail_at(err, &w->origin, KEY,
			       "the secret of '%.40s' is not " SECRET_PREFIX
			       " and the base64 of at least %d bytes",
			       w->name, SECRET_KEY_BYTES_MIN);
}

bool webhooks_read_keys(struct config *c, struct error *err)
{
	secrets_forget(c);
	c->ready_webhooks = calloc(c->webhook_count + 1, sizeof(*c->ready_webhooks));
	if (c->ready_webhooks == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < c->webhook_count; i++)
		if (!ready_make(&c->webhooks[i], &c->ready_webhooks[i], err))
			return false;
	return tls_ca_read(c, "webhooks.ca_file", c->webhook_ca_file, &c->ready_webhook_ca, err);
}

bool config_webhooks_same(const struct config *a, const struct config *b)
{
	if (a->webhook_count != b->webhook_count)
		return false;
	for (size_t i = 0; i < a->webhook_count; i++) {
		const struct webhook_endpoint *one = &a->ready_webhooks[i];
		const struct webhook_endpoint *other = &b->ready_webhooks[i];
		if (strcmp(one->id, other->id) != 0 || strcmp(one->url, other->url) != 0 ||
		    strcmp(one->org, other->org) != 0 || strcmp(one->secret, other->secret) != 0 ||
		    one->event_types != other->event_types)
			return false;
	}
	return true;
}

/* ---- showing it ---- */

void webhooks_print(const struct config *c, FILE *to)
{
	for (size_t i = 0; i < c->webhook_count; i++) {
		const struct webhook_setting *w = &c->webhooks[i];
		const char *at = w->secret_env != NULL    ? w->secret_env
				 : w->secret_file != NULL ? w->secret_file
							  : "given here";
		fprintf(to, "  %s: %.*s, org: %s, secret: %s, event_types:", w->name,
			(int)strcspn(w->url, "?"), w->url, w->org != NULL ? w->org : "any", at);
		for (char **type = w->event_types; type != NULL && *type != NULL; type++)
			fprintf(to, " %s", *type);
		fprintf(to, "%s\n", w->event_types == NULL ? " all" : "");
	}
}
