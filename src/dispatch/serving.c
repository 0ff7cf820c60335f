/* serving.c: see serving.h. */
#include "dispatch/serving.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"
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

/* ---- what this node drives ---- */

#define PROBE_OVERDUE_MS 5000u

static bool probe_is_young(const struct slots *s, uint64_t now_ms)
{
	return s->probes > 0 && now_ms < s->probed_at_ms + DRIVES_HOPE_MS;
}

/* One without a health call is found to be up by a line alone: from time to time it gets some. */
static bool circuit_is_well(const struct circuit *c, const struct slots *s, enum drives_how how,
			    uint64_t now_ms)
{
	const struct breaker *b = &c->breaker;

	if (how == DRIVES_ANY || !circuit_is_open(c))
		return true;
	if (how == DRIVES_HOPED)
		return now_ms < b->since_ms + DRIVES_HOPE_MS || probe_is_young(s, now_ms);
	return breaker_is_up(b) || now_ms >= b->probe_at_ms + PROBE_OVERDUE_MS;
}

static bool upstream_drives(const struct dispatch *d, const struct upstream *u, const char *name,
			    enum drives_how how)
{
	uint64_t now_ms = sys.monotonic_ms();
	const struct model *m = model_find(d->models, name);
	const struct lane *lane = m != NULL ? lane_find(m, u) : NULL;

	return upstream_takes_lines(u) && upstream_serves(d->upstreams, u, name) &&
	       circuit_is_well(&u->circuit, &u->slots, how, now_ms) &&
	       (lane == NULL || circuit_is_well(&lane->circuit, &lane->slots, how, now_ms));
}

bool serving_drives(const struct dispatch *d, const char *model, enum drives_how how)
{
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (upstream_drives(d, u, model, how))
			return true;
	return false;
}

static size_t names_most(const struct dispatch *d)
{
	size_t n = 0;

	for (const struct model *m = d->models; m != NULL; m = m->next)
		n++;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		n += u->reported.n;
		for (char **m = u->config.models; m != NULL && *m != NULL; m++)
			n++;
	}
	return n;
}

/* Of one upstream: how many. */
static size_t names_of(const struct upstream *u, const char **to)
{
	size_t n = 0;

	for (char **m = u->config.models; m != NULL && *m != NULL; m++)
		to[n++] = *m;
	for (size_t i = 0; u->config.models == NULL && i < u->reported.n; i++)
		to[n++] = u->reported.models[i].id;
	return n;
}

static int by_name(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* Each once, of those that are driven: how many, and their bytes. */
static size_t names_keep(const struct dispatch *d, const char **names, size_t n, size_t *ret_bytes)
{
	size_t kept = 0;

	*ret_bytes = 0;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++) {
		if (names[i][0] == '\0' || (kept > 0 && strcmp(names[kept - 1], names[i]) == 0) ||
		    !serving_drives(d, names[i], DRIVES_WELL))
			continue;
		names[kept++] = names[i];
		*ret_bytes += strlen(names[i]) + 1;
	}
	return kept;
}

/* The pointers, and behind them what they lead to. NULL: no memory. */
static char **names_copy(const char *const *names, size_t n, size_t bytes)
{
	char **copy = calloc(1, (n + 1) * sizeof(*copy) + bytes);
	char *text = copy != NULL ? (char *)(copy + n + 1) : NULL;

	for (size_t i = 0; copy != NULL && i < n; i++) {
		size_t size = strlen(names[i]) + 1;
		copy[i] = memcpy(text, names[i], size);
		text += size;
	}
	return copy;
}

bool serving_driven(const struct dispatch *d, char ***ret, size_t *ret_n)
{
	AUTO(auto_free) const char **names = calloc(names_most(d) + 1, sizeof(*names));
	size_t n = 0, bytes;

	if (names == NULL)
		return false;
	for (const struct model *m = d->models; m != NULL; m = m->next)
		names[n++] = m->name;
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		n += names_of(u, names + n);
	n = names_keep(d, names, n, &bytes);
	*ret = names_copy(names, n, bytes);
	*ret_n = *ret != NULL ? n : 0;
	return *ret != NULL;
}
