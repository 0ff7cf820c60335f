/* events_turn.c: a turn of the events thread. Nothing here holds a lock; the store and the pipeline
 * may be waited for. */
#include <assert.h>
#include <stdlib.h>

#include "api/events_impl.h"
#include "api/show.h"
#include "base/clock.h"
#include "base/log.h"

#define TICK_MS 1000u
#define COUNTS_MS 950u /* a second, with room for a turn that comes early */
#define COMMENT_MS 15000u
#define PAGE 8u /* batches that are read at once for a listener that is behind */

/* ---- events ---- */

static struct event_text *text_of(struct events *e, struct batch *row, bool counts)
{
	struct event_text *t = event_text_new(row, counts,
					      budget_use(e->api->budget, BUDGET_STREAMS));

	if (t == NULL)
		return NULL;
	struct batch_view v = { .row = *row };
	batch_show_at(e->api, &v, &t->bytes);
	*row = v.row;
	return event_text_seal(t) ? t : NULL;
}

/* The batch as it is now; NULL: it cannot be told. */
static struct event_text *text_now(struct events *e, const char *id, bool counts, struct error *err)
{
	AUTO(batch_done) struct batch row = { 0 };

	if (!store_batch_get(e->api->store, NULL, id, &row, err))
		return NULL;
	struct event_text *t = text_of(e, &row, counts);
	if (t == NULL)
		(void)fail_memory(err);
	return t;
}

/* ---- an organization's listeners ---- */

/* The next page of what changed, from the store. False: it cannot be read. */
static bool catch_up(struct events *e, const struct feed_org *o, struct event_listener *l,
		     struct error *err)
{
	bool open_only = l->after < l->open_until;
	const struct changed_query asked = { .org = o->id,
					     .after = l->after,
					     .up_to = open_only ? l->open_until : o->last,
					     .open_only = open_only,
					     .limit = PAGE };
	struct batch rows[PAGE];
	size_t n;
	bool ok = true;

	if (!store_batches_changed(e->api->store, &asked, rows, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct event_text *t = NULL;
		if (ok && listener_is_free(l) && (t = text_of(e, &rows[i], false)) == NULL)
			ok = fail_memory(err);
		if (t != NULL) {
			listener_give(l, t);
			l->after = t->changed;
		}
		event_text_unref(t);
		batch_done(&rows[i]);
	}
	if (n < PAGE && ok && listener_is_free(l))
		l->after = asked.up_to;
	return ok;
}

/* The first counts that it was not given; behind them come the others. */
static struct feed_batch *counts_first(const struct feed_org *o, const struct event_listener *l)
{
	struct feed_batch *b = o->newest;

	if (l->counted == o->serial)
		return NULL;
	while (b != NULL && b->before != NULL && b->before->counted > l->counted)
		b = b->before;
	return b != NULL && b->counted > l->counted ? b : NULL;
}

/* A batch that cannot be told any more has told its end. */
static void counts_give(struct events *e, struct event_listener *l, struct feed_batch *b)
{
	struct event_text *t = b->counts != NULL ? event_text_ref(b->counts) : NULL;
	struct error err;

	if (t == NULL)
		t = text_now(e, b->id, true, &err);
	l->counted = b->counted;
	if (t != NULL && t->changed <= b->org->last)
		listener_give(l, t);
	event_text_unref(t);
}

static void org_serve(struct events *e, struct feed_org *o, struct event_listener *l)
{
	struct feed_batch *b = NULL;
	struct error err;

	while (listener_is_free(l)) {
		if (l->after < l->open_until || l->after < o->complete_from) {
			if (!catch_up(e, o, l, &err))
				listener_fail(l, &err);
		} else if (l->after < o->last) {
			struct event_text *t = feed_org_next(o, l->after);
			l->after = t->changed;
			listener_give(l, t);
		} else if ((b = b != NULL ? b->behind : counts_first(o, l)) != NULL) {
			counts_give(e, l, b);
		} else {
			l->counted = o->serial;
			return;
		}
	}
}

static void org_serve_all(struct events *e, struct feed_org *o)
{
	for (struct event_listener *l = o->listeners; l != NULL; l = l->next)
		org_serve(e, o, l);
}

static void batch_serve_all(struct feed_batch *b)
{
	for (struct event_listener *l = b->listeners; l != NULL; l = l->next)
		feed_batch_serve(b, l);
}

static void serve(struct events *e, struct event_listener *l)
{
	struct feed_batch *b = feed_batch_find(&e->feeds, l->batch);
	struct feed_org *o = feed_org_find(&e->feeds, l->org);

	if (l->kind != LISTENER_ORG && b != NULL)
		feed_batch_serve(b, l);
	else if (l->kind == LISTENER_ORG && o != NULL)
		org_serve(e, o, l);
}

/* ---- changes of state ---- */

static void org_renew(struct events *e, struct feed_org *o);

/* Between what was seen last and this one others may have changed some of the organization's batches. */
static bool has_gap(const struct events *e, const struct feed_org *o, const struct batch *row)
{
	return store_is_shared(e->api->store) && row->changed > o->last + 1;
}

static void change_take(struct events *e, struct batch *row)
{
	struct feed_org *o = feed_org_find(&e->feeds, row->org);
	struct feed_batch *b = feed_batch_find(&e->feeds, row->id);

	if (o != NULL && !e->untold && has_gap(e, o, row))
		org_renew(e, o);
	/* Above one that was not told none is: the store has them in order (org_renew()). */
	bool for_org = o != NULL && !e->untold && row->changed > o->last;
	bool for_batch = b != NULL && b->listeners != NULL && row->changed > b->changed;

	if (!for_org && !for_batch)
		return;
	struct event_text *t = text_of(e, row, false);
	if (t == NULL) {
		e->untold = true;
		return;
	}
	if (for_org) {
		feed_org_push(o, t);
		org_serve_all(e, o);
	}
	if (for_batch) {
		feed_batch_push(b, t);
		batch_serve_all(b);
	}
	if (b != NULL)
		b->told_ms = clock_ms();
	event_text_unref(t);
}

static void changes_take(struct events *e, struct change *first)
{
	while (first != NULL) {
		struct change *c = first;
		first = c->next;
		change_take(e, &c->row);
		batch_done(&c->row);
		free(c);
	}
}

/* The batch has moved on unseen: its newest state is told. */
static void batch_renew(struct events *e, struct feed_batch *b)
{
	struct error err;
	struct event_text *t = b->listeners != NULL ? text_now(e, b->id, false, &err) : NULL;

	if (b->listeners != NULL && t == NULL)
		e->untold = true;
	if (t != NULL && t->changed > b->changed) {
		feed_batch_push(b, t);
		batch_serve_all(b);
	}
	event_text_unref(t);
}

static void org_renew(struct events *e, struct feed_org *o)
{
	struct error err;
	int64_t last;

	if (!store_changed_last(e->api->store, o->id, &last, &err)) {
		e->untold = true;
		return;
	}
	if (last <= o->last)
		return;
	feed_org_forget(o, last);
	org_serve_all(e, o);
}

/* Changes were not told: what there is now is read. */
static void all_renew(struct events *e)
{
	e->untold = false;
	for (unsigned i = 0; i < FEED_BUCKETS; i++) {
		for (struct feed_batch *b = e->feeds.batches[i]; b != NULL; b = b->next)
			batch_renew(e, b);
		for (struct feed_org *o = e->feeds.orgs[i]; o != NULL; o = o->next)
			org_renew(e, o);
	}
}

/* ---- listeners come and go ---- */

static bool batch_attach(struct events *e, struct event_listener *l, struct error *err)
{
	struct feed_org *o = feed_org_find(&e->feeds, l->org);
	struct feed_batch *b = feed_batch_get(&e->feeds, l->batch, o);

	if (b == NULL)
		return fail_memory(err);
	if (b->n == 0) {
		struct event_text *t = text_now(e, b->id, false, err);
		if (t == NULL) {
			feed_batch_tidy(&e->feeds, b);
			return false;
		}
		feed_batch_push(b, t);
		b->told_ms = clock_ms();
		event_text_unref(t);
	}
	listener_unlink(l);
	listener_link(l, &b->listeners);
	l->seen = b->serial - 1;
	feed_batch_serve(b, l);
	return true;
}

/* An id that is not of this store's tells nothing. */
static bool org_attach(struct events *e, struct event_listener *l, struct error *err)
{
	struct feed_org *o = feed_org_get(&e->feeds, l->org);

	if (o == NULL)
		return fail_memory(err);
	if (o->listeners == NULL && !store_changed_last(e->api->store, o->id, &o->last, err)) {
		feed_org_tidy(&e->feeds, o);
		return false;
	}
	if (o->listeners == NULL)
		o->complete_from = o->last;
	listener_link(l, &o->listeners);
	if (l->after < 0 || l->after > o->last) {
		l->after = 0;
		l->open_until = o->last;
	}
	l->counted = o->serial;
	org_serve(e, o, l);
	if (!l->headed)
		listener_comment(l); /* it sees at once that it is heard */
	return true;
}

static void drain_one(void *ctx, struct event_listener *l);

static void attach(struct events *e, struct event_listener *l)
{
	struct error err;

	l->attached = true;
	l->comment_ms = clock_ms() + COMMENT_MS;
	bool ok = l->kind == LISTENER_ORG ? org_attach(e, l, &err) : batch_attach(e, l, &err);
	if (!ok) {
		log_fault("events.not_begun", &err, kv_str("request", l->request_id));
		listener_fail(l, &err);
	} else if (e->drained) {
		drain_one(e, l);
	}
}

static void added_take(struct events *e, struct event_listener *l)
{
	while (l != NULL) {
		struct event_listener *next = l->next;
		l->next = NULL;
		attach(e, l);
		l = next;
	}
}

static void listener_gone(struct events *e, struct event_listener *l)
{
	struct feed_batch *b = feed_batch_find(&e->feeds, l->batch);
	struct feed_org *o = feed_org_find(&e->feeds, l->org);
	bool of_org = l->kind == LISTENER_ORG;

	listener_unlink(l);
	listener_free(l);
	if (!of_org && b != NULL)
		feed_batch_tidy(&e->feeds, b);
	if (of_org && o != NULL)
		feed_org_tidy(&e->feeds, o);
	e->listeners--;
}

/* What was added is attached by now. */
static void told_take(struct events *e, struct event_listener *l)
{
	while (l != NULL) {
		pthread_mutex_lock(&e->lock);
		struct event_listener *next = l->next_told;
		l->told = false;
		bool room = l->has_room, closed = l->closed;
		l->has_room = false;
		pthread_mutex_unlock(&e->lock);
		assert(l->attached);
		if (closed) {
			listener_gone(e, l);
		} else if (room) {
			listener_go_on(l);
			serve(e, l);
		}
		l = next;
	}
}

/* ---- once a second: counts ---- */

struct tick {
	struct events *e;
	uint64_t now_ms;
	struct feed_batch *dirty;
};

static bool pulse_differs(const struct batch_pulse *a, const struct batch_pulse *b)
{
	return a->ended != b->ended || a->running != b->running ||
	       a->queue_position != b->queue_position || a->stall != b->stall ||
	       a->at_risk != b->at_risk;
}

/* Under the pipeline's lock. Of a batch that nothing was told of a first pulse without anything in
 * it is no news. */
static void on_pulse(void *ctx, const struct batch_pulse *pulse)
{
	struct tick *t = ctx;
	struct feeds *f = &t->e->feeds;
	struct feed_batch *b = feed_batch_find(f, pulse->id);
	struct feed_org *o = b == NULL || b->org == NULL ? feed_org_find(f, pulse->org) : b->org;

	if (b == NULL || (b->org == NULL && o != NULL))
		b = o != NULL ? feed_batch_get(f, pulse->id, o) : NULL;
	if (b == NULL)
		return;
	b->looked = f->ticks;
	bool news = b->pulsed
			    ? pulse_differs(&b->pulse, pulse)
			    : pulse->ended > 0 || pulse->running > 0 || pulse->stall != STALL_NONE;
	if (!news || t->now_ms - b->told_ms < COUNTS_MS)
		return;
	b->pulse = *pulse;
	b->pulse.id = b->pulse.org = NULL;
	b->pulsed = true;
	if (b->dirty)
		return;
	b->dirty = true;
	b->next_dirty = t->dirty;
	t->dirty = b;
}

/* A change of state that is on its way tells more, and comes first. */
static void counts_make(struct events *e, struct feed_batch *b, uint64_t now_ms)
{
	struct error err;
	struct event_text *t = text_now(e, b->id, true, &err);
	int64_t known = b->listeners != NULL ? b->changed : 0;

	b->dirty = false;
	if (b->org != NULL)
		known = b->org->last;
	if (t == NULL || t->changed > known) {
		b->pulsed = false;
		event_text_unref(t);
		return;
	}
	b->told_ms = now_ms;
	if (b->org != NULL) {
		feed_org_counted(b->org, b);
		b->counts = event_text_ref(t);
	}
	if (b->listeners != NULL) {
		feed_batch_push(b, t);
		batch_serve_all(b);
	}
	event_text_unref(t);
}

/* Those that nobody listens to and that do not run any more go. */
static void feeds_look(struct events *e)
{
	struct feeds *f = &e->feeds;

	for (unsigned i = 0; i < FEED_BUCKETS; i++)
		for (struct feed_org *o = f->orgs[i]; o != NULL; o = o->next)
			org_serve_all(e, o);
	for (unsigned i = 0; i < FEED_BUCKETS; i++) {
		for (struct feed_batch *b = f->batches[i], *next; b != NULL; b = next) {
			next = b->next;
			event_text_unref(b->counts);
			b->counts = NULL;
			if (b->org != NULL && b->looked != f->ticks && b->listeners == NULL) {
				feed_batch_leave(b);
				feed_batch_tidy(f, b);
			}
		}
	}
}

static void counts_look(struct events *e, uint64_t now_ms)
{
	struct tick t = { .e = e, .now_ms = now_ms };

	e->feeds.ticks++;
	pipeline_pulses(e->api->pipeline, on_pulse, &t);
	while (t.dirty != NULL) {
		struct feed_batch *b = t.dirty;
		t.dirty = b->next_dirty;
		counts_make(e, b, now_ms);
	}
	feeds_look(e);
}

/* ---- times ---- */

/* A long poll is answered with what is now. */
static void wait_answer(struct events *e, struct event_listener *l)
{
	struct error err;
	struct event_text *t = text_now(e, l->batch, true, &err);

	if (t != NULL)
		listener_give(l, t);
	else
		listener_fail(l, &err);
	event_text_unref(t);
}

static void look_one(void *ctx, struct event_listener *l)
{
	struct events *e = ctx;
	uint64_t now_ms = clock_ms();

	if (l->kind == LISTENER_WAIT && !l->headed && now_ms >= l->due_ms)
		wait_answer(e, l);
	if (now_ms < l->comment_ms)
		return;
	l->comment_ms += COMMENT_MS;
	listener_comment(l);
}

static void due_one(void *ctx, struct event_listener *l)
{
	uint64_t *due_ms = ctx;

	if (l->kind == LISTENER_WAIT && !l->headed && l->due_ms < *due_ms)
		*due_ms = l->due_ms;
}

uint64_t events_due_ms(const struct events *e)
{
	uint64_t due_ms = e->tick_ms;

	if (e->listeners == 0)
		return UINT64_MAX;
	feeds_each((struct feeds *)&e->feeds, due_one, &due_ms);
	return due_ms;
}

/* ---- the end ---- */

static void drain_one(void *ctx, struct event_listener *l)
{
	if (l->kind != LISTENER_WAIT)
		listener_end(l);
	else if (!l->headed)
		wait_answer(ctx, l);
}

void events_turn(struct events *e, struct events_news *news)
{
	if (news->missed) /* before the changes that came after */
		all_renew(e);
	changes_take(e, news->changes);
	added_take(e, news->added);
	told_take(e, news->told);
	if (news->draining && !e->drained) {
		e->drained = true;
		feeds_each(&e->feeds, drain_one, e);
	}
	uint64_t now_ms = clock_ms();
	if (now_ms >= e->tick_ms) {
		e->tick_ms = now_ms + TICK_MS;
		if (e->listeners > 0)
			events_keys_look(e);
		if (e->untold)
			all_renew(e);
		if (e->listeners > 0)
			counts_look(e, now_ms);
	}
	if (e->listeners > 0)
		feeds_each(&e->feeds, look_one, e);
}
