/* reload.c: the configuration of a server that runs, read anew. */
#include "app/reload.h"

#include <stdio.h>
#include <string.h>

#include "app/endpoints.h"
#include "app/settings.h"

/* ---- what is different ---- */

/* ", name", cut where there is no more room. */
static void name_add(char *to, size_t size, const char *name)
{
	size_t n = strlen(to);

	snprintf(to + n, size - n, "%s%s", n > 0 ? "," : "", name);
}

static const struct upstream_config *upstream_named(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->upstream_count; i++)
		if (strcmp(c->ready_upstreams[i].name, name) == 0)
			return &c->ready_upstreams[i];
	return NULL;
}

struct reload_names reload_compare(const struct config *a, const struct config *b)
{
	struct reload_names names = { 0 };

	for (size_t i = 0; i < a->upstream_count; i++) {
		const struct upstream_config *before = &a->ready_upstreams[i];
		const struct upstream_config *after = upstream_named(b, before->name);
		if (after == NULL)
			name_add(names.went, sizeof(names.went), before->name);
		else if (!upstream_config_same(before, after))
			name_add(names.changed, sizeof(names.changed), before->name);
	}
	for (size_t i = 0; i < b->upstream_count; i++)
		if (upstream_named(a, b->ready_upstreams[i].name) == NULL)
			name_add(names.came, sizeof(names.came), b->ready_upstreams[i].name);
	return names;
}

void reload_left(const struct config *a, const struct config *b, char *to, size_t size)
{
	to[0] = '\0';
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		if (!s->at_reload &&
		    !setting_same(s, (const char *)a + s->at, (const char *)b + s->at))
			name_add(to, size, s->key);
	}
}

/* ---- the reload ---- */

static bool read_anew(const struct config_source *source, struct config *ret, struct error *err)
{
	if (!config_load(source->file, source->flags, source->flag_count, ret, err))
		return false;
	bool good = config_read_keys(ret, err) &&
		    (ret->upstream_count > 0 ||
		     fail_param(err, "upstreams", NULL,
				"%s: upstreams: there is none: a server needs at least one with a "
				"url",
				source->file != NULL ? source->file : "the configuration"));
	if (!good)
		config_done(ret);
	return good;
}

static void report_good(const struct reload *r, const struct config *before)
{
	const struct config *now = &r->newest;
	struct reload_names names = reload_compare(before, now);
	char left[700];

	reload_left(r->running, now, left, sizeof(left));
	log_info("config.reloaded", kv_u64("upstreams", now->upstream_count),
		 kv_str("came", names.came), kv_str("went", names.went),
		 kv_str("changed", names.changed));
	if (left[0] != '\0')
		log_warn("config.restart_needed", kv_str("settings", left));
}

static bool endpoints_renew(const struct reload *r, const struct config *before,
			    const struct config *now, struct error *err)
{
	struct webhook_endpoint *list;
	size_t n;

	if (config_webhooks_same(before, now))
		return true;
	bool ok = endpoints_make(now, r->store, &list, &n, err) &&
		  webhooks_endpoints(r->webhooks, list, n, err);
	endpoints_free(list, n);
	return ok;
}

/* The first configuration is never freed here: the parts that took it at the start may still hold
 * its strings. Those of later ones are copied by the only part that sees them, the pipeline. */
bool reload_run(struct reload *r)
{
	struct config read, before;
	struct error err;

	if (!read_anew(r->source, &read, &err)) {
		log_fault("config.reload_failed", &err);
		return false;
	}
	if (!endpoints_renew(r, r->reloaded ? &r->newest : r->running, &read, &err) ||
	    !api_prices(r->api, read.ready_prices, read.price_count, &err) ||
	    !pipeline_upstreams(r->pipeline, read.ready_upstreams, read.upstream_count, &err)) {
		log_fault("config.reload_failed", &err);
		config_done(&read);
		return false;
	}
	before = r->newest;
	r->newest = read;
	log_set_level((enum log_level)read.log_level);
	log_set_format((enum log_format)read.log_format);
	report_good(r, r->reloaded ? &before : r->running);
	if (r->reloaded)
		config_done(&before);
	r->reloaded = true;
	return true;
}

void reload_done(struct reload *r)
{
	if (r->reloaded)
		config_done(&r->newest);
	r->reloaded = false;
}
