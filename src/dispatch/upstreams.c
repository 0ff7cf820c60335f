/* upstreams.c: see upstreams.h. */
#include "dispatch/upstreams.h"

#include <assert.h>

#include "base/log.h"
#include "base/sys.h"
#include "dispatch/dispatch_impl.h"
#include "dispatch/lane.h"
#include "dispatch/line_transfer.h"
#include "dispatch/serving.h"
#include "dispatch/target.h"
#include "dispatch/thread.h"

#define MODELS_KEPT 64u   /* with no batch: what is known of their limits may serve again */
#define MODELS_TIDIED 64u /* at most, a second */
#define MODEL_IDLE_MS (3600u * 1000u)

/* ---- the list ---- */

static bool number_free(const struct dispatch *d, const struct upstream *fresh, unsigned number)
{
	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (u->number == number)
			return false;
	for (const struct upstream *u = fresh; u != NULL; u = u->next)
		if (u->number == number)
			return false;
	return true;
}

static struct upstream *upstream_known(const struct dispatch *d, const struct upstream_config *c)
{
	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if (!u->retired && upstream_config_identity_same(&u->config, c))
			return u;
	return NULL;
}

/* What can fail, first: an upstream for each entry that is new, and a copy of every entry. */
struct renewal {
	struct upstream_config configs[UPSTREAMS_MAX];
	struct upstream *upstreams[UPSTREAMS_MAX]; /* known or new, in the order of the list */
	struct upstream *fresh;                    /* those that are new */
	size_t n;
};

static bool renewal_prepare(struct dispatch *d, const struct upstream_config *list, size_t n,
			    struct renewal *r, bool *ret_fits)
{
	for (; r->n < n; r->n++) {
		if (!upstream_config_copy(&list[r->n], &r->configs[r->n]))
			return false;
		r->upstreams[r->n] = upstream_known(d, &list[r->n]);
		if (r->upstreams[r->n] != NULL)
			continue;
		struct target *t = target_new(d, &list[r->n]);
		if (t == NULL) {
			upstream_config_done(&r->configs[r->n]);
			return false;
		}
		struct upstream *u = &t->upstream;
		while (!number_free(d, r->fresh, u->number))
			u->number++;
		u->next = r->fresh;
		r->fresh = u;
		r->upstreams[r->n] = u;
		*ret_fits = u->number < UPSTREAMS_MAX;
		if (!*ret_fits) {
			upstream_config_done(&r->configs[r->n]);
			return false;
		}
	}
	return true;
}

static void renewal_undo(struct renewal *r)
{
	for (size_t i = 0; i < r->n; i++)
		upstream_config_done(&r->configs[i]);
	for (struct upstream *u = r->fresh, *next; u != NULL; u = next) {
		next = u->next;
		target_free(target_of(u));
	}
}

/* From here on nothing fails: the list is that of the renewal, and behind it those that are
 * retired. */
static void renewal_link(struct dispatch *d, struct renewal *r)
{
	struct upstream *retired = NULL, **retired_end = &retired, **end = &d->upstreams;

	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		u->retired = true;
	for (size_t i = 0; i < r->n; i++)
		r->upstreams[i]->retired = false;
	for (struct upstream *u = d->upstreams, *next; u != NULL; u = next) {
		next = u->next;
		if (!u->retired)
			continue;
		*retired_end = u;
		retired_end = &u->next;
	}
	*retired_end = NULL;
	for (size_t i = 0; i < r->n; i++) {
		*end = r->upstreams[i];
		end = &r->upstreams[i]->next;
	}
	*end = retired;
}

void upstreams_driven(struct dispatch *d)
{
	uint64_t now_ms = sys.monotonic_ms(), taken = driven_apply(&d->driven, d->upstreams);

	for (struct upstream *u = d->upstreams; u != NULL; u = u->next)
		if ((taken >> u->number & 1) != 0)
			lanes_taken(u, now_ms);
}

bool upstreams_set(struct dispatch *d, const struct upstream_config *list, size_t n,
		   struct error *err)
{
	struct renewal r = { 0 };
	bool fits = n <= UPSTREAMS_MAX;
	unsigned connections = 8;
	uint64_t now_us = sys.monotonic_us();

	if (!fits || !renewal_prepare(d, list, n, &r, &fits)) {
		renewal_undo(&r);
		return fits ? fail_memory(err)
			    : fail(err, ERR_INVALID,
				   "at most %u upstreams, those included that still end what they "
				   "have in flight",
				   UPSTREAMS_MAX);
	}
	renewal_link(d, &r);
	upstreams_driven(d);
	for (size_t i = 0; i < n; i++) {
		upstream_configure(r.upstreams[i], &r.configs[i], now_us / 1000);
		lanes_configure(r.upstreams[i], now_us);
		connections += upstream_most(r.upstreams[i]);
	}
	client_connections(d->client, connections);
	serving_renew(d);
	return true;
}

static void model_drop(struct model *m)
{
	while (m->lanes != NULL)
		lane_free(m->lanes);
	model_free(m);
}

static void upstream_free(struct upstream *u)
{
	line_transfers_trim(u);
	target_free(target_of(u));
}

void upstreams_free(struct dispatch *d)
{
	for (struct model *m = d->models, *next; m != NULL; m = next) {
		next = m->next;
		model_drop(m);
	}
	for (struct upstream *u = d->upstreams, *next; u != NULL; u = next) {
		next = u->next;
		upstream_free(u);
	}
	d->models = NULL;
	d->upstreams = NULL;
	model_labels_free(&d->labels);
}

/* ---- tidying ---- */

static void lanes_tidy(struct upstream *u)
{
	for (struct lane *lane = target_of(u)->lanes, *next; lane != NULL; lane = next) {
		next = lane->next_of_upstream;
		if ((u->retired || lane->closed) && lane_is_idle(lane))
			lane_free(lane);
	}
}

static bool model_idle(const struct model *m)
{
	if (m->batches > 0 || m->retry.reserved > 0)
		return false;
	for (const struct lane *lane = m->lanes; lane != NULL; lane = lane->next_of_model)
		if (!lane_is_idle(lane))
			return false;
	return true;
}

/* Takes out the one that has been idle longest, if it is to go; false: none is. */
static bool model_tidy(struct dispatch *d, uint64_t now_ms)
{
	struct model **oldest = NULL;
	unsigned count = 0;

	for (struct model **link = &d->models; *link != NULL; link = &(*link)->next, count++)
		if (model_idle(*link) &&
		    (oldest == NULL || (*link)->idle_since_ms < (*oldest)->idle_since_ms))
			oldest = link;
	if (oldest == NULL ||
	    (count <= MODELS_KEPT && now_ms - (*oldest)->idle_since_ms <= MODEL_IDLE_MS))
		return false;
	struct model *m = *oldest;
	*oldest = m->next;
	model_drop(m);
	return true;
}

static void models_tidy(struct dispatch *d, uint64_t now_ms)
{
	for (unsigned n = 0; n < MODELS_TIDIED && model_tidy(d, now_ms); n++)
		;
}

static void slots_check(const struct dispatch *d)
{
	struct slots all = { 0 };

	for (const struct upstream *u = d->upstreams; u != NULL; u = u->next) {
		lanes_check(u);
		slots_add(&all, &u->slots);
	}
	slots_agree(&d->slots, &all);
	slots_agree_online(&d->slots, &all);
}

void upstreams_tidy(struct dispatch *d, uint64_t now_ms)
{
	assert(on_dispatch_thread());
	slots_check(d);
	models_tidy(d, now_ms);
	for (struct upstream **link = &d->upstreams; *link != NULL;) {
		struct upstream *u = *link;
		lanes_tidy(u);
		if (!u->retired || target_of(u)->lanes != NULL || upstream_load(u) > 0) {
			link = &u->next;
			continue;
		}
		log_info("upstream.gone", kv_str("upstream", u->config.name));
		*link = u->next;
		upstream_free(u);
	}
}
