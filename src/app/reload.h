/* reload.h: what SIGHUP does: the configuration is read anew from the same file, environment (that
 * of the process, so it is as it was) and flags, and the upstreams' keys with it.
 *
 *	broken     config.reload_failed says where and what; all stays as it was
 *	good       settings with `at_reload` (settings.h) count at once: the upstreams and their
 *	           terms, webhooks.endpoints, log.level. config.reloaded says which upstreams came, went and changed;
 *	           config.restart_needed names the settings that wait for the next start */
#pragma once

#include "app/config.h"

struct reload {
	const struct config *running; /* that the server started with; outlives this */
	const struct config_source *source;
	struct store *store;
	struct webhooks *webhooks;
	struct pipeline *pipeline;
	struct api *api;
	struct config newest; /* that was read last, where `reloaded` */
	bool reloaded;
};

/* False: broken. */
bool reload_run(struct reload *r);
void reload_done(struct reload *r);

/* Which upstreams came, went and changed from `a` to `b`, as lists of names with commas. For both
 * config_read_keys() was called. */
struct reload_names {
	char came[400], went[400], changed[400];
};
struct reload_names reload_compare(const struct config *a, const struct config *b);
/* The settings whose values differ and that are not `at_reload`; "": none. */
void reload_left(const struct config *a, const struct config *b, char *to, size_t size);
