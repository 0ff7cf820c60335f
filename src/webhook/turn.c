/* turn.c: the outbox thread's turn: records first, so that what it then finds due is due. */
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/sys.h"
#include "webhook/attempts.h"
#include "webhook/webhook_impl.h"

#define FAULT_WAIT_MS 1000u

/* ---- faults of the store: told once, until it is well again ---- */

static bool told(struct webhooks *w, const char *doing, const struct error *err)
{
	if (!w->fault_told)
		log_fault("webhook.store_fault", err, kv_str("doing", doing));
	w->fault_told = true;
	return false;
}

/* ---- the clock ---- */

void turn_begin(struct webhooks *w)
{
	(void)wall_begin(&w->wall, 0, sys.now_s(), sys.monotonic_ms());
	w->shifts = true; /* the clock may have been far ahead when the process ended */
}

static void clock_look(struct webhooks *w)
{
	if (wall_look(&w->wall, sys.now_s(), sys.monotonic_ms()) != WALL_DOUBTED)
		return;
	w->shift_s += w->wall.off_s;
	w->shifts = true;
}

static bool shift(struct webhooks *w)
{
	int64_t latest = w->wall.wall_s + ATTEMPTS_WAIT_MAX_S;
	struct error err;

	if (w->yields) { /* whoever delivers looks at its own clock, and this one when it is to */
		w->shifts = true;
		w->shift_s = 0;
		return true;
	}
	if (!w->shifts)
		return true;
	if (!store_outbox_shift(w->store, w->shift_s, latest, &err))
		return told(w, "shift", &err);
	for (struct sending *s = w->all; s != NULL; s = s->all_next)
		s->due.began_at += w->shift_s; /* as its row's: this thread's alone */
	w->shifts = false;
	w->shift_s = 0;
	return true;
}

/* ---- recording ---- */

static struct sending *take_ended(struct webhooks *w)
{
	pthread_mutex_lock(&w->lock);
	struct sending *first = w->ended;
	w->ended = NULL;
	pthread_mutex_unlock(&w->lock);
	return first;
}

static uint32_t random_number(void)
{
	uint32_t number;

	random_bytes(&number, sizeof(number));
	return number;
}

static int64_t next_attempt(const struct webhooks *w, const struct webhook_due *d)
{
	return attempts_next(d->began_at, d->attempts + 1, w->wall.wall_s, random_number());
}

static void result_log(struct webhooks *w, const struct sending *s, const struct webhook_result *r)
{
	uint64_t held;

	if (r->turned && r->error != NULL)
		log_warn("webhook.failing", kv_str("endpoint", r->endpoint),
			 kv_int("status", r->status), kv_str("said", r->error));
	else if (r->turned)
		log_info("webhook.well_again", kv_str("endpoint", r->endpoint));
	if (r->error == NULL || r->next_at != 0 || !r->recorded)
		return;
	w->given_up++;
	if (log_storm_pass(&w->given_up_storm, sys.monotonic_ms(), &held))
		log_warn("webhook.given_up", kv_str("endpoint", r->endpoint),
			 kv_str("delivery", r->delivery), kv_str("event_id", s->due.event),
			 kv_u64("others_before", held));
}

static void all_remove(struct webhooks *w, const struct sending *s)
{
	struct sending **link = &w->all;

	while (*link != s)
		link = &(*link)->all_next;
	*link = s->all_next;
	w->all_count--;
}

static void unrecorded_add(struct webhooks *w, struct sending *first)
{
	while (first != NULL) {
		struct sending *s = first;
		first = s->next;
		s->next = w->unrecorded;
		w->unrecorded = s;
	}
}

static size_t results_make(const struct webhooks *w, struct webhook_result *to)
{
	size_t n = 0;

	for (const struct sending *s = w->unrecorded; s != NULL; s = s->next)
		to[n++] = (struct webhook_result){
			.delivery = s->due.id,
			.endpoint = s->due.endpoint,
			.status = s->status,
			.latency_ms = s->latency_ms,
			.error = s->how == WEBHOOK_TAKEN ? NULL : s->error,
			.began_at = s->due.began_at,
			.next_at = s->how == WEBHOOK_TAKEN ? 0 : next_attempt(w, &s->due),
		};
	return n;
}

/* What cannot be recorded is kept, and holds its place among those under way. */
bool turn_record(struct webhooks *w)
{
	struct webhook_result results[WEBHOOK_ALL_MAX];
	struct error err;

	unrecorded_add(w, take_ended(w));
	size_t n = results_make(w, results);
	if (n == 0)
		return true;
	if (!store_webhook_record(w->store, results, n, &err))
		return told(w, "record", &err);
	for (size_t i = 0; w->unrecorded != NULL; i++) {
		struct sending *s = w->unrecorded;
		w->unrecorded = s->next;
		result_log(w, s, &results[i]);
		all_remove(w, s);
		sending_free(s);
	}
	return true;
}

/* ---- what is due ---- */

/* What has begun, of all and of one endpoint. */
struct begun {
	unsigned failing, own;
};

static struct begun begun_of(const struct webhooks *w, const char *endpoint)
{
	struct begun begun = { 0 };

	for (const struct sending *s = w->all; s != NULL; s = s->all_next) {
		begun.failing += s->due.failing;
		begun.own += strcmp(s->due.endpoint, endpoint) == 0;
	}
	return begun;
}

static bool has_begun(const struct webhooks *w, const char *delivery)
{
	for (const struct sending *s = w->all; s != NULL; s = s->all_next)
		if (strcmp(s->due.id, delivery) == 0)
			return true;
	return false;
}

/* A receiver that hangs holds up neither others nor, once it is known for it, much of anything. */
static bool has_room(const struct webhooks *w, const struct webhook_due *d)
{
	struct begun begun = begun_of(w, d->endpoint);

	if (d->failing)
		return begun.own == 0 && begun.failing < WEBHOOK_ALL_MAX / 2;
	return begun.own < WEBHOOK_ENDPOINT_MAX;
}

static bool hand_over(struct webhooks *w, const struct webhook_due *d)
{
	struct sending *s = sending_new(d);

	if (s == NULL)
		return false;
	s->all_next = w->all;
	w->all = s;
	w->all_count++;
	memcpy(w->after, d->endpoint, sizeof(w->after));
	pthread_mutex_lock(&w->lock);
	s->next = w->to_start;
	w->to_start = s;
	pthread_mutex_unlock(&w->lock);
	client_wake(w->client);
	return true;
}

/* Lowers *wait_ms to when the next one of them is due. False: there is no memory. */
static bool list_serve(struct webhooks *w, const struct webhook_due *list, size_t n,
		       uint64_t *wait_ms, struct error *err)
{
	int64_t now = w->wall.wall_s;

	for (size_t i = 0; i < n && w->all_count < WEBHOOK_ALL_MAX; i++) {
		const struct webhook_due *d = &list[i];
		uint64_t left_ms = d->next_at > now ? (uint64_t)(d->next_at - now) * 1000 : 0;
		if (has_begun(w, d->id))
			continue;
		if (left_ms > 0 && left_ms < *wait_ms)
			*wait_ms = left_ms;
		if (left_ms > 0 || !has_room(w, d))
			break;
		if (!hand_over(w, d))
			return fail_memory(err);
	}
	return true;
}

/* As list_serve(), of an endpoint. False: the store failed, too. */
static bool serve(struct webhooks *w, const char *endpoint, uint64_t *wait_ms, struct error *err)
{
	AUTO(auto_free) struct webhook_due *list = NULL;
	size_t n = 0;

	if (!store_webhook_due(w->store, endpoint, WEBHOOK_ENDPOINT_MAX + 1, &list, &n, err))
		return false;
	bool ok = list_serve(w, list, n, wait_ms, err);
	for (size_t i = 0; i < n; i++)
		webhook_due_done(&list[i]);
	return ok;
}

/* In turn: the first is the one after the endpoint that was served last. */
static size_t first_of(const struct webhooks *w, char (*ids)[ID_SIZE], size_t n)
{
	size_t i = 0;

	while (i < n && strcmp(ids[i], w->after) <= 0)
		i++;
	return i < n ? i : 0;
}

static bool serve_all(struct webhooks *w, uint64_t *wait_ms)
{
	AUTO(auto_free) char(*ids)[ID_SIZE] = NULL;
	struct error err;
	size_t n = 0;

	if (!store_webhooks_pending(w->store, &ids, &n, &err))
		return told(w, "pending", &err);
	size_t first = first_of(w, ids, n);
	for (size_t i = 0; i < n && w->all_count < WEBHOOK_ALL_MAX; i++)
		if (!serve(w, ids[(first + i) % n], wait_ms, &err))
			return told(w, "due", &err);
	return true;
}

static bool oldest_look(struct webhooks *w)
{
	struct error err;
	int64_t oldest;

	if (!store_outbox_oldest(w->store, &oldest, &err))
		return told(w, "oldest", &err);
	w->oldest_at = oldest;
	return true;
}

uint64_t turn_run(struct webhooks *w)
{
	uint64_t wait_ms = TURN_WAIT_MAX_MS;

	clock_look(w);
	if (!shift(w) || !turn_record(w) || !(w->yields || serve_all(w, &wait_ms)) ||
	    !oldest_look(w))
		return FAULT_WAIT_MS;
	w->fault_told = false;
	return wait_ms;
}
