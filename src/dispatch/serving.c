/* serving.c: see serving.h. */
#include "dispatch/serving.h"

#include <assert.h>

#include "base/log.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/lane.h"
#include "dispatch/stall.h"
#include "dispatch/thread.h"
#include "upstream/upstream.h"

/* Without memory for a lane the model is served by the others, and tried again at the next
 * renewal. */
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
	model_stall(m);
}

void serving_renew(struct dispatch *d)
{
	for (struct model *m = d->models; m != NULL; m = m->next)
		model_lanes_renew(d, m);
	catalogue_renew(&d->catalogue, d->upstreams, d->started_at);
}

struct model *model_get(struct dispatch *d, const char *name, const struct schedule_ops *ops)
{
	struct model *m = model_find(d->models, name);

	assert(on_dispatch_thread());
	if (m != NULL)
		return m;
	m = model_new(name, ops);
	if (m == NULL)
		return NULL;
	m->next = d->models;
	d->models = m;
	model_lanes_renew(d, m);
	m->labelled = !m->known && model_label_get(&d->labels, name);
	return m;
}

/* Some engines take any name, some know names that they do not list: so the line is sent, and the
 * engine judges. But who has mistyped it reads it here. */
void model_unlisted_tell(struct dispatch *d, struct model *m)
{
	assert(on_dispatch_thread());
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

void serving_reported(struct dispatch *d, bool others)
{
	assert(on_dispatch_thread());
	if (!others) { /* what it says of them may be new */
		catalogue_renew(&d->catalogue, d->upstreams, d->started_at);
		return;
	}
	serving_renew(d);
	for (struct model *m = d->models; m != NULL; m = m->next)
		model_unlisted_tell(d, m);
}
