/* webhook.c: two threads, what they are asked, and how they end. */
#include "webhook/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/sys.h"
#include "base/worker.h"
#include "webhook/address.h"
#include "webhook/webhook_impl.h"

#define CONNECTIONS 4u /* none is used again */

const char *const webhook_end_names[WEBHOOK_ENDS] = {
	[WEBHOOK_TAKEN] = "taken",
	[WEBHOOK_ANSWERED] = "answered",
	[WEBHOOK_TIMEOUT] = "timeout",
	[WEBHOOK_UNREACHABLE] = "unreachable",
};

/* ---- asking ---- */

/* In the store's turn. */
static void on_filled(void *ctx)
{
	struct webhooks *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->kicked = true;
	pthread_cond_signal(&w->asked);
	pthread_mutex_unlock(&w->lock);
}

void webhooks_yield(struct webhooks *w, bool yields)
{
	w->yields = yields;
	if (!yields)
		on_filled(w);
}

void webhooks_drain(struct webhooks *w)
{
	pthread_mutex_lock(&w->lock);
	w->draining = true;
	pthread_mutex_unlock(&w->lock);
	client_wake(w->client);
}

const struct webhooks_config *webhooks_config_of(const struct webhooks *w)
{
	return &w->config;
}

void webhooks_figures(struct webhooks *w, struct webhook_figures *ret)
{
	int64_t oldest = w->oldest_at, now = sys.now_s();

	for (unsigned i = 0; i < WEBHOOK_ENDS; i++)
		ret->attempts[i] = w->attempts[i];
	ret->given_up = w->given_up;
	ret->under_way = w->under_way;
	ret->oldest_s = oldest != 0 && oldest < now ? now - oldest : 0;
}

/* ---- the configuration's endpoints ---- */

static void secrets_swap(struct webhooks *w, struct webhook_secrets *other)
{
	pthread_mutex_lock(&w->lock);
	struct webhook_secrets before = w->secrets;
	w->secrets = *other;
	*other = before;
	pthread_mutex_unlock(&w->lock);
}

/* First the secrets: what the store has becomes due at once. */
bool webhooks_endpoints(struct webhooks *w, const struct webhook_endpoint *list, size_t n,
			struct error *err)
{
	struct webhook_secrets secrets;

	if (!secrets_copy(list, n, &secrets))
		return fail_memory(err);
	secrets_swap(w, &secrets);
	bool ok = store_webhook_configure(w->store, list, n, sys.now_s(), err);
	if (!ok)
		secrets_swap(w, &secrets);
	secrets_done(&secrets);
	if (ok)
		on_filled(w);
	return ok;
}

/* ---- test calls ---- */

/* With the lock held. */
static bool test_may(const struct webhooks *w, const char *endpoint, struct error *err)
{
	unsigned n = 0;

	if (w->draining)
		return fail(err, ERR_UNAVAILABLE,
			    "The server is shutting down. Please retry shortly.");
	for (const struct sending *s = w->tests; s != NULL; s = s->all_next, n++)
		if (strcmp(s->due.endpoint, endpoint) == 0)
			return fail(err, ERR_RATE_LIMIT,
				    "A test of this webhook endpoint is under way already.");
	return n < WEBHOOK_TESTS_MAX ||
	       fail(err, ERR_RATE_LIMIT,
		    "Too many tests of webhook endpoints are under way. Please try again later.");
}

static bool test_hand_over(struct webhooks *w, struct sending *s, struct error *err)
{
	pthread_mutex_lock(&w->lock);
	bool may = test_may(w, s->due.endpoint, err);
	if (may) {
		s->all_next = w->tests;
		w->tests = s;
		s->next = w->to_start;
		w->to_start = s;
	}
	pthread_mutex_unlock(&w->lock);
	return may;
}

bool webhooks_test(struct webhooks *w, const struct webhook_endpoint *e, enum batch_status type,
		   webhook_test_fn ended, void *ctx, struct error *err)
{
	struct webhook_due due = { .type = type, .at = sys.now_s(), .old_until = e->old_until };

	id_delivery(due.id);
	id_event(due.event);
	id_batch(due.batch);
	memcpy(due.endpoint, e->id, sizeof(due.endpoint));
	memcpy(due.url, e->url, sizeof(due.url));
	memcpy(due.secret, e->secret, sizeof(due.secret));
	memcpy(due.old_secret, e->old_secret, sizeof(due.old_secret));
	struct sending *s = sending_new(&due);
	if (s == NULL)
		return fail_memory(err);
	s->tested = ended;
	s->tested_ctx = ctx;
	if (!test_hand_over(w, s, err)) {
		sending_free(s);
		return false;
	}
	client_wake(w->client);
	return true;
}

/* ---- the threads ---- */

static bool is_stopping(struct webhooks *w)
{
	pthread_mutex_lock(&w->lock);
	bool stopping = w->stopping;
	pthread_mutex_unlock(&w->lock);
	return stopping;
}

static void *loop_main(void *arg)
{
	struct webhooks *w = arg;

	while (!is_stopping(w))
		loop_turn(w, -1);
	loop_end(w);
	return NULL;
}

/* False: it is stopping. */
static bool outbox_wait(struct webhooks *w, uint64_t wait_ms)
{
	struct timespec end = clock_after_ms(wait_ms);
	/* What ended while the store fails is asked about again when the wait is over. */
	bool failing = w->unrecorded != NULL;

	pthread_mutex_lock(&w->lock);
	while (!w->kicked && !w->stopping && (failing || w->ended == NULL) &&
	       pthread_cond_timedwait(&w->asked, &w->lock, &end) == 0)
		;
	w->kicked = false;
	bool goes_on = !w->stopping;
	pthread_mutex_unlock(&w->lock);
	return goes_on;
}

static void *outbox_main(void *arg)
{
	struct webhooks *w = arg;

	turn_begin(w);
	while (outbox_wait(w, turn_run(w)))
		;
	return NULL;
}

/* ---- opening and closing ---- */

bool webhooks_new(const struct webhooks_config *config, struct store *store, struct client *client,
		  struct webhooks **ret, struct error *err)
{
	struct webhooks *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return fail_memory(err);
	w->config = *config;
	w->config.endpoints = NULL;
	w->config.endpoint_count = 0;
	w->store = store;
	w->client = client;
	w->yields = config->yields;
	if (!secrets_copy(config->endpoints, config->endpoint_count, &w->secrets)) {
		free(w);
		return fail_memory(err);
	}
	pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->asked);
	if (!config->allow_private)
		client_guard(client, address_refusal);
	client_connections(client, CONNECTIONS);
	*ret = w;
	return true;
}

void webhooks_free(struct webhooks *w)
{
	while (w->all != NULL) {
		struct sending *s = w->all;
		w->all = s->all_next;
		sending_free(s);
	}
	secrets_done(&w->secrets);
	pthread_cond_destroy(&w->asked);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static bool threads_start(struct webhooks *w, struct error *err)
{
	w->has_loop = thread_start(&w->loop_thread, "webhooks", loop_main, w, err);
	w->has_outbox = w->has_loop &&
			thread_start(&w->outbox_thread, "outbox", outbox_main, w, err);
	return w->has_outbox;
}

bool webhooks_open(const struct webhooks_config *config, struct store *store, struct webhooks **ret,
		   struct error *err)
{
	struct client *client;
	struct webhooks *w;

	if (!store_webhook_configure(store, config->endpoints, config->endpoint_count, sys.now_s(),
				     err) ||
	    !client_open(&client, err))
		return false;
	if (!webhooks_new(config, store, client, &w, err)) {
		client_close(client);
		return false;
	}
	store_outbox_watch(store, on_filled, w);
	if (!threads_start(w, err)) {
		webhooks_close(w);
		return false;
	}
	*ret = w;
	return true;
}

void webhooks_close(struct webhooks *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->asked);
	pthread_mutex_unlock(&w->lock);
	client_wake(w->client);
	if (w->has_loop)
		pthread_join(w->loop_thread, NULL);
	if (w->has_outbox)
		pthread_join(w->outbox_thread, NULL);
	if (w->has_outbox)
		(void)turn_record(w); /* what has ended meanwhile */
	store_outbox_watch(w->store, NULL, NULL);
	struct client *client = w->client;
	webhooks_free(w);
	client_close(client);
}
