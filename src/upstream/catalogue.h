/* catalogue.h: which upstream serves which model.
 *
 * An upstream *claims* a model that its configuration lists or, without a list there, that it
 * reports itself (GET /v1/models). An upstream *serves* the models that it claims, and requests
 * that name no model; a model that no upstream claims is served by each upstream without a list:
 * some engines take any name.
 *
 * Other threads read a snapshot, which never changes: dispatch puts another in its place after the
 * list of upstreams, or what one reports, has changed. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "upstream/upstream.h"

/* ---- of the list, as it is now. Threads: dispatch alone ---- */

/* A retired one claims nothing, and serves nothing. */
bool upstream_claims(const struct upstream *u, const char *model);
/* `list`: all upstreams. `model` "": none is named. */
bool upstream_serves(const struct upstream *list, const struct upstream *u, const char *model);
/* The first upstream that reports its models, where no upstream claims `model`, and every upstream
 * has said what it has. NULL: otherwise. */
const struct upstream *catalogue_unlisted(const struct upstream *list, const char *model);

/* ---- for other threads ---- */

struct catalogue_snapshot {
	char **listed; /* NULL-ended: models that configurations list */
	bool any;      /* some upstream has no list */
	char *models_json;
};

struct catalogue {
	pthread_mutex_t lock; /* innermost: nothing else is locked under it */
	struct catalogue_snapshot now;
};

void catalogue_init(struct catalogue *c);
void catalogue_done(struct catalogue *c);
/* Makes the snapshot anew. A model that is reported without a time is given `created` (Unix s).
 * Without memory the models stay as they were, and any model counts as served: the upstream
 * judges. */
void catalogue_renew(struct catalogue *c, const struct upstream *list, int64_t created);
/* Whether some upstream takes lines of that model: its list has the model, or it has no list. Any
 * thread. */
bool catalogue_serves(struct catalogue *c, const char *model);
/* JSON array of the models that the upstreams have together, by id:
 * {"id","object":"model","created", "owned_by", and what else their upstream says}; of several that
 * have one, the first that reports it tells. Any thread. */
void catalogue_models(struct catalogue *c, struct buf *to);
