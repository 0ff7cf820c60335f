/* config_layers.c: settings from the environment and from flags, and how any layer gives one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config_impl.h"
#include "base/log.h"

bool config_give(struct config *c, const struct setting *s, const struct origin *origin,
		 const char *text, struct error *err)
{
	struct given *g = given_of(c, s);

	if (s->type == SETTING_UPSTREAMS) {
		if (g->origin.layer != origin->layer)
			upstreams_clear(c); /* else it is --upstream once more */
		if (origin->layer == LAYER_ENVIRONMENT ? !upstreams_add_urls(c, origin, text, err)
						       : !upstream_add_url(c, origin, text, err))
			return false;
	} else if (!setting_allows(s, text)) {
		return fail_text(s, origin, s->key, text, err);
	} else {
		char *copy = strdup(text);
		if (copy == NULL)
			return fail_memory(err);
		free(g->text);
		g->text = copy;
	}
	g->origin = *origin;
	return true;
}

/* ---- environment and flags ---- */

bool config_read_environment(struct config *c, struct error *err)
{
	static const struct origin origin = { LAYER_ENVIRONMENT, NULL, 0 };
	char name[64];

	for (size_t i = 0; i < setting_count; i++) {
		setting_variable(settings[i].key, name, sizeof(name));
		const char *text = getenv(name);
		if (text != NULL && !config_give(c, &settings[i], &origin, text, err))
			return false;
	}
	return true;
}

/* Variables that have a meaning though they are no settings. */
static bool variable_known(const struct config *c, const char *name, const char *value)
{
	/* the last three are for commands that ask a server (remote/remote.h) */
	static const char *const others[] = {
		FIRST_KEY_VARIABLE, UPSTREAM_KEY_VARIABLE, "LOWTIDE_FAILPOINTS",
		"LOWTIDE_URL",      "LOWTIDE_API_KEY",     "LOWTIDE_CA_FILE",
	};
	char variable[64];

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strcmp(name, others[i]) == 0)
			return true;
	for (size_t i = 0; i < c->upstream_count; i++)
		if (c->upstreams[i].api_key_env != NULL &&
		    strcmp(name, c->upstreams[i].api_key_env) == 0)
			return true;
	for (size_t i = 0; i < setting_count; i++) {
		setting_variable(settings[i].key, variable, sizeof(variable));
		if (strcmp(name, variable) == 0)
			return true;
	}
	/* Kubernetes gives these to every container beside a service that is called lowtide. */
	return strncmp(name, "LOWTIDE_SERVICE_", 16) == 0 ||
	       strncmp(name, "LOWTIDE_PORT_", 13) == 0 ||
	       (strcmp(name, "LOWTIDE_PORT") == 0 && strstr(value, "://") != NULL);
}

void config_warn_environment(const struct config *c)
{
	char name[128], suggestion[400];

	for (char **entry = environ; *entry != NULL; entry++) {
		struct slice variable = { *entry, strcspn(*entry, "=") };
		if (strncmp(*entry, "LOWTIDE_", 8) != 0 ||
		    !slice_copy(variable, name, sizeof(name)) ||
		    variable_known(c, name, *entry + variable.n))
			continue;
		setting_suggest_variable(settings, setting_count, name, suggestion,
					 sizeof(suggestion));
		log_warn("config.unknown_variable", kv_str("variable", name),
			 kv_str("hint", suggestion));
	}
}

bool config_read_flags(struct config *c, const struct config_flag *flags, size_t count,
		       struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct setting *s = setting_find(settings, setting_count, flags[i].key);
		struct origin origin = { LAYER_FLAG, flags[i].flag, 0 };
		if (s == NULL)
			return fail_unknown(settings, setting_count, &origin, flags[i].key, err);
		if (!config_give(c, s, &origin, flags[i].value, err))
			return false;
	}
	return true;
}
