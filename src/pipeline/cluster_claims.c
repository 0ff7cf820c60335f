/* cluster_claims.c: which spans a node asks for, and which it gives back. In a look, one at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "base/sys.h"
#include "pipeline/cluster_impl.h"

#define UNSENT_LEAST 512u /* lines of a batch that are enough to have ready, ... */
#define UNSENT_TIMES 2u   /* ... or so many times those in flight, ... */
#define UNSENT_S 2.0      /* ... and those of so long */
#define HELD_MOST 256u    /* spans with lines to send that a node has at a time */
#define CLAIMS_AT_ONCE 32u
#define WANTS_TOLD 64u /* models, at a time */
#define DECLINED_MS 20000
#define CLAIM_EVERY_MS 2000 /* where nothing says that there is more: a notice may be missed */
#define WANT_EVERY_MS 5000
#define WANTED_MS 12000 /* another node's word holds so long: it says so again before */

/* ---- what it has ---- */

/* Of one batch. */
struct held_batch {
	const char *id;
	uint64_t unsent, running;
	double rate_per_s;
};

struct held {
	struct span_id *spans;
	struct held_batch *batches;
	const char **full; /* batches of which it has enough */
	size_t spans_n, batches_n, full_n, cap;
	unsigned sending; /* spans that have lines to send */
};

static void held_done(struct held *h)
{
	free(h->spans);
	free(h->batches);
	free(h->full);
}

static void batch_add(struct held *h, const struct span_id *span, const struct span_unsent *left)
{
	size_t i = 0;

	while (i < h->batches_n && strcmp(h->batches[i].id, span->batch) != 0)
		i++;
	if (i == h->batches_n)
		h->batches[h->batches_n++] = (struct held_batch){ .id = span->batch };
	h->batches[i].unsent += left->unsent;
	h->batches[i].running += left->running;
	h->batches[i].rate_per_s += left->rate_per_s;
}

static void on_held(void *ctx, struct coordinator *c)
{
	struct held *h = ctx;
	struct span_unsent left;

	if (coordinator_span_number(c) == COORDINATOR_WHOLE || h->spans_n == h->cap)
		return;
	struct span_id *span = &h->spans[h->spans_n++];
	memcpy(span->batch, coordinator_id(c), sizeof(span->batch));
	span->n = coordinator_span_number(c);
	coordinator_span_unsent(c, &left);
	h->sending += left.unsent > 0;
	batch_add(h, span, &left);
}

/* A claim and what opening a span takes are over well before what is ready has been sent; and no more is
 * ready than that, since another node may be done with its own sooner. */
static bool is_full(const struct held_batch *b)
{
	uint64_t wanted = UNSENT_TIMES * b->running + (uint64_t)(b->rate_per_s * UNSENT_S);

	return b->unsent >= (wanted > UNSENT_LEAST ? wanted : UNSENT_LEAST);
}

/* Spans come by this look alone, so there is room for all. */
static bool held_look(struct cluster *cl, struct held *h, struct error *err)
{
	h->cap = cluster_spans(cl) + cl->declined_n;
	h->spans = calloc(h->cap + 1, sizeof(*h->spans));
	h->batches = calloc(h->cap + 1, sizeof(*h->batches));
	h->full = calloc(h->cap + 1, sizeof(*h->full));
	if (h->spans == NULL || h->batches == NULL || h->full == NULL)
		return fail_memory(err);
	batch_table_each(cl->table, on_held, h);
	for (size_t i = 0; i < cl->declined_n && h->spans_n < h->cap; i++)
		h->spans[h->spans_n++] = cl->declined[i].span;
	for (size_t i = 0; i < h->batches_n; i++)
		if (is_full(&h->batches[i]))
			h->full[h->full_n++] = h->batches[i].id;
	return true;
}

/* ---- what it drives ---- */

/* The names of models that it drives, and claims lines of. */
struct driven_models {
	char **listed; /* one array with its texts */
	const char **of;
	size_t n;
	char (*open)[SPAN_MODEL_SIZE]; /* of batches in progress, whoever drives them */
	size_t open_n;
	bool mixed; /* some of these have lines of several models */
};

static void driven_models_done(struct driven_models *m)
{
	free(m->listed);
	free(m->of);
	free(m->open);
}

static bool is_among(const struct driven_models *m, const char *model)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->of[i], model) == 0)
			return true;
	return false;
}

/* Also those that no upstream lists, where one has no list and takes any: of batches that are open. ""
 * stands for those of a batch of several. */
static bool driven_models_read(struct cluster *cl, struct driven_models *ret, struct error *err)
{
	ret->n = dispatch_driven_models(cl->env->dispatch, &ret->listed);
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_span_models(db, &ret->open, &ret->open_n, err);
	cluster_db_return(cl, db);
	if (!ok)
		return false;
	ret->of = calloc(ret->n + ret->open_n + 1, sizeof(*ret->of));
	if (ret->of == NULL)
		return fail_memory(err);
	for (size_t i = 0; i < ret->n; i++)
		ret->of[i] = ret->listed[i];
	for (size_t i = 0; i < ret->open_n; i++) {
		ret->mixed = ret->mixed || ret->open[i][0] == '\0';
		if (!is_among(ret, ret->open[i]) &&
		    dispatch_drives_model(cl->env->dispatch, ret->open[i], DRIVES_WELL))
			ret->of[ret->n++] = ret->open[i];
	}
	return true;
}

/* ---- claims ---- */

/* It is in the node's name: a crash, or no memory, leaves it so, and another claim gives it again.
 * `losses`: before it was claimed. */
static bool span_begin(struct cluster *cl, struct span_lent *lent, struct owner me, unsigned losses,
		       struct error *err)
{
	struct coordinator *c;

	if (!coordinator_new_span(cl->env, lent, me, &c, err)) {
		span_lent_done(lent);
		return false;
	}
	if (!batch_table_add(cl->table, c))
		coordinator_free(c); /* the one before has not gone yet: at the next look */
	else if (cl->losses != losses)
		coordinator_span_leave(c, SPAN_IS_LOST); /* it was not there to be told */
	else
		coordinator_kick(c);
	return true;
}

static bool claim(struct cluster *cl, const struct driven_models *models, bool *ret_more,
		  struct error *err)
{
	AUTO(held_done) struct held h = { 0 };
	struct span_lent lent;

	*ret_more = false;
	if (!held_look(cl, &h, err))
		return false;
	cl->asked_spans = h.spans_n;
	cl->asked_full = h.full_n;
	unsigned losses = cl->losses;
	struct owner me = node_owner(cl->node);
	const struct span_wanted asked = {
		.ticket = ++cl->ticket,
		.models = models->of,
		.n_models = h.sending < HELD_MOST ? models->n : 0,
		.held = h.spans,
		.n_held = h.spans_n,
		.full = h.full,
		.n_full = h.full_n,
	};
	struct db *db = cluster_db_borrow(cl);
	bool ok = store_span_claim(db, me, &asked, &lent, ret_more, err);
	cluster_db_return(cl, db);
	return ok && (!*ret_more || span_begin(cl, &lent, me, losses, err));
}

/* A model whose lines wait here. */
struct wanting_model {
	char *name;
	bool driven;  /* this node drives an upstream that serves it, ... */
	bool is_down; /* ... of which none has answered for long, and another node would send them */
};

struct wanting {
	struct cluster *cluster;
	struct wanting_model *models;
	size_t n;
	/* of the span that is looked at */
	bool any, any_down;
	size_t shares;
};

static void wanting_done(struct wanting *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->models[i].name);
	free(w->models);
}

static size_t wanting_find(const struct wanting *w, const char *model)
{
	size_t i = 0;

	while (i < w->n && strcmp(w->models[i].name, model) != 0)
		i++;
	return i;
}

/* Without memory it is not known: its spans stay. */
static void on_model(void *ctx, const char *model, uint64_t left)
{
	struct wanting *w = ctx;

	(void)left;
	if (model == NULL || wanting_find(w, model) < w->n)
		return;
	struct wanting_model *more = array_room(w->models, w->n, sizeof(*more));
	if (more == NULL)
		return;
	w->models = more;
	more[w->n] = (struct wanting_model){ .name = strdup(model) };
	w->n += more[w->n].name != NULL;
}

static void on_models(void *ctx, struct coordinator *c)
{
	if (coordinator_span_number(c) != COORDINATOR_WHOLE)
		coordinator_span_models(c, on_model, ctx);
}

/* One that nobody knows may be another's as well as ours: it stays. */
static void on_share(void *ctx, const char *model, uint64_t left)
{
	struct wanting *w = ctx;
	size_t i = model != NULL ? wanting_find(w, model) : w->n;

	(void)left;
	w->shares++;
	w->any = w->any || i == w->n || (w->models[i].driven && !w->models[i].is_down);
	w->any_down = w->any_down || (i < w->n && w->models[i].driven && w->models[i].is_down);
}

/* Without memory it may be claimed again at once, which costs a look at its chunks. */
static void declined_add(struct cluster *cl, const struct coordinator *c)
{
	struct declined *more = array_room(cl->declined, cl->declined_n, sizeof(*more));

	if (more == NULL)
		return;
	cl->declined = more;
	struct declined *d = &more[cl->declined_n++];
	memcpy(d->span.batch, coordinator_id(c), sizeof(d->span.batch));
	d->span.n = coordinator_span_number(c);
	d->until_ms = sys.monotonic_ms() + DECLINED_MS;
}

static void declined_forget(struct cluster *cl)
{
	uint64_t now_ms = sys.monotonic_ms();

	for (size_t i = 0; i < cl->declined_n;)
		if (now_ms >= cl->declined[i].until_ms)
			cl->declined[i] = cl->declined[--cl->declined_n];
		else
			i++;
}

/* Under wanted_lock. */
static struct wanted_model *wanted_of(struct cluster *cl, const char *model)
{
	for (size_t i = 0; i < CLUSTER_WANTED; i++)
		if (strcmp(cl->wanted[i].model, model) == 0)
			return &cl->wanted[i];
	return NULL;
}

static bool is_wanted(struct cluster *cl, const char *model)
{
	pthread_mutex_lock(&cl->wanted_lock);
	const struct wanted_model *w = wanted_of(cl, model);
	bool wanted = w != NULL && sys.monotonic_ms() < w->until_ms;
	pthread_mutex_unlock(&cl->wanted_lock);
	return wanted;
}

/* What is in flight ends before, as the upstream that it is at is left once that is so; but where that is down
 * it may never. What is given back is not claimed again for a while: of a batch of several models another
 * node sends the rest. */
static void on_unwanted(void *ctx, struct coordinator *c)
{
	struct wanting *w = ctx;
	struct span_unsent left;

	if (coordinator_span_number(c) == COORDINATOR_WHOLE)
		return;
	coordinator_span_unsent(c, &left);
	w->any = left.unsent == 0;
	if (w->any)
		return;
	w->shares = 0;
	w->any_down = false;
	coordinator_span_models(c, on_share, w);
	if (w->any || w->shares == 0 || (left.running > 0 && !w->any_down))
		return;
	declined_add(w->cluster, c);
	coordinator_span_leave(c, SPAN_GOES_BACK);
}

/* A batch's model may have come to another node with its upstream; or no upstream that this node drives
 * has answered for it for some time, and another node would send its lines. */
static void unwanted_leave(struct cluster *cl)
{
	AUTO(wanting_done) struct wanting w = { .cluster = cl };
	struct dispatch *d = cl->env->dispatch;

	batch_table_each(cl->table, on_models, &w);
	for (size_t i = 0; i < w.n; i++) {
		struct wanting_model *m = &w.models[i];
		m->driven = dispatch_drives_model(d, m->name, DRIVES_ANY);
		m->is_down = m->driven && is_wanted(cl, m->name) &&
			     !dispatch_drives_model(d, m->name, DRIVES_HOPED);
	}
	batch_table_each(cl->table, on_unwanted, &w);
}

/* ---- what this node would send, and what others would ---- */

static bool is_open(const struct driven_models *m, const char *model)
{
	bool open = m->mixed;

	for (size_t i = 0; i < m->open_n && !open; i++)
		open = strcmp(m->open[i], model) == 0;
	return open;
}

/* Of models whose batches are, or may be, in progress it has nothing to send, and found nothing: whoever
 * has their spans, and cannot send, is to know. */
static bool wants_tell(struct cluster *cl, const struct driven_models *models, struct error *err)
{
	AUTO(wanting_done) struct wanting here = { .cluster = cl };
	struct wanted_told told = { .node = node_owner(cl->node).node };
	uint64_t now_ms = sys.monotonic_ms();
	bool ok = true;

	if (now_ms < cl->want_ms + WANT_EVERY_MS)
		return true;
	cl->want_ms = now_ms;
	batch_table_each(cl->table, on_models, &here);
	struct db *db = cluster_db_borrow(cl);
	for (size_t i = 0, n = 0; ok && i < models->n && n < WANTS_TOLD; i++) {
		if (models->of[i][0] == '\0' || !is_open(models, models->of[i]) ||
		    wanting_find(&here, models->of[i]) < here.n)
			continue;
		snprintf(told.model, sizeof(told.model), "%s", models->of[i]);
		ok = store_wanted_tell(db, &told, err);
		n++;
	}
	cluster_db_return(cl, db);
	return ok;
}

void cluster_wanted(struct cluster *cl, const char *model)
{
	pthread_mutex_lock(&cl->wanted_lock);
	struct wanted_model *w = wanted_of(cl, model);
	if (w == NULL)
		w = &cl->wanted[cl->wanted_next++ % CLUSTER_WANTED];
	snprintf(w->model, sizeof(w->model), "%s", model);
	w->until_ms = sys.monotonic_ms() + WANTED_MS;
	pthread_mutex_unlock(&cl->wanted_lock);
	cluster_check(cl);
}

/* ---- the claims ---- */

/* Since the last claim that found none, by which nobody else is needed to know that there may be more. */
static bool held_differs(struct cluster *cl, bool *ret_differs, struct error *err)
{
	AUTO(held_done) struct held h = { 0 };

	if (!held_look(cl, &h, err))
		return false;
	*ret_differs = h.spans_n != cl->asked_spans || h.full_n != cl->asked_full;
	return true;
}

/* Also of a node that drives nothing: lines of batches that have ended are filled by any. */
bool cluster_claims_look(struct cluster *cl, struct error *err)
{
	AUTO(driven_models_done) struct driven_models models = { 0 };
	uint64_t now_ms = sys.monotonic_ms();
	bool anew = atomic_exchange(&cl->claims_anew, false), more = true, ok = true;
	char why[128];

	if (cl->draining || !node_is_well(cl->node, why, sizeof(why)))
		return true;
	unwanted_leave(cl);
	declined_forget(cl);
	anew = anew || now_ms >= cl->asked_ms + CLAIM_EVERY_MS;
	if (!anew && !held_differs(cl, &anew, err))
		return false;
	if (!anew)
		return true;
	cl->asked_ms = now_ms;
	if (!driven_models_read(cl, &models, err))
		return false;
	for (unsigned i = 0; ok && more && i < CLAIMS_AT_ONCE; i++)
		ok = claim(cl, &models, &more, err);
	if (ok && more)
		cluster_look(cl);
	return ok && (more || wants_tell(cl, &models, err));
}

/* ---- all that it has ---- */

static void on_lost_all(void *ctx, struct coordinator *c)
{
	(void)ctx;
	coordinator_span_leave(c, SPAN_IS_LOST);
}

void cluster_spans_lost(struct cluster *cl)
{
	batch_table_each(cl->table, on_lost_all, NULL);
}

static void on_leave_all(void *ctx, struct coordinator *c)
{
	(void)ctx;
	coordinator_span_leave(c, SPAN_GOES_BACK);
}

void cluster_spans_leave(struct cluster *cl)
{
	batch_table_each(cl->table, on_leave_all, NULL);
}

static void on_count(void *ctx, struct coordinator *c)
{
	size_t *n = ctx;

	*n += coordinator_span_number(c) != COORDINATOR_WHOLE;
}

size_t cluster_spans(struct cluster *cl)
{
	size_t n = 0;

	batch_table_each(cl->table, on_count, &n);
	return n;
}

void cluster_spans_with(struct cluster *cl, const char *batch_id, batch_fn fn, void *ctx)
{
	(void)batch_table_with(cl->table, batch_id, fn, ctx);
}

bool cluster_batches_open(struct cluster *cl, char (**ret)[ID_SIZE], size_t *ret_n,
			  struct error *err)
{
	return store_batches_open(cl->env->store, ret, ret_n, err);
}
