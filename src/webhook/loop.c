/* loop.c: what the loop's thread does between two waits. */
#include <assert.h>
#include <stdio.h>

#include "base/sys.h"

#include "webhook/webhook_impl.h"

static void going_remove(struct webhooks *w, const struct sending *s)
{
	struct sending **link = &w->going;

	while (*link != s) {
		assert(*link != NULL);
		link = &(*link)->next;
	}
	*link = s->next;
}

static void tests_remove(struct webhooks *w, const struct sending *s)
{
	pthread_mutex_lock(&w->lock);
	struct sending **link = &w->tests;
	while (*link != s)
		link = &(*link)->all_next;
	*link = s->all_next;
	pthread_mutex_unlock(&w->lock);
}

static void test_end(struct webhooks *w, struct sending *s)
{
	const struct webhook_test_end end = {
		.status = s->status,
		.error = s->error[0] != '\0' ? s->error : NULL,
	};

	tests_remove(w, s);
	s->tested(s->tested_ctx, &end);
	sending_free(s);
}

static void on_over(void *ctx, struct sending *s)
{
	struct webhooks *w = ctx;

	going_remove(w, s);
	if (s->tested != NULL) {
		test_end(w, s);
		return;
	}
	w->attempts[s->how]++;
	w->under_way--;
	/* A crash here leaves an event that was taken and is due still: it is sent once more. */
	failpoint("webhook.after_answer");
	pthread_mutex_lock(&w->lock);
	s->next = w->ended;
	w->ended = s;
	pthread_cond_signal(&w->asked);
	pthread_mutex_unlock(&w->lock);
}

static struct sending *take_to_start(struct webhooks *w, bool *ret_draining)
{
	pthread_mutex_lock(&w->lock);
	struct sending *first = w->to_start;
	w->to_start = NULL;
	*ret_draining = w->draining;
	pthread_mutex_unlock(&w->lock);
	return first;
}

static void secret_fill(struct webhooks *w, struct sending *s)
{
	pthread_mutex_lock(&w->lock);
	secrets_fill(&w->secrets, &s->due);
	pthread_mutex_unlock(&w->lock);
}

static void start_all(struct webhooks *w, struct sending *first)
{
	while (first != NULL) {
		struct sending *s = first;
		first = s->next;
		s->next = w->going;
		w->going = s;
		if (s->tested == NULL)
			w->under_way++;
		secret_fill(w, s);
		sending_start(s, w->client, &w->config, on_over, w);
	}
}

static void test_break_off(struct webhooks *w, struct sending *s)
{
	sending_stop(s);
	snprintf(s->error, sizeof(s->error), "The server is shutting down.");
	test_end(w, s);
}

static void tests_end(struct webhooks *w)
{
	for (struct sending *s = w->going, *next; s != NULL; s = next) {
		next = s->next;
		if (s->tested == NULL)
			continue;
		going_remove(w, s);
		test_break_off(w, s);
	}
}

void loop_turn(struct webhooks *w, int timeout_ms)
{
	bool woken, draining;

	client_wait(w->client, timeout_ms, &woken);
	client_deliver(w->client);
	start_all(w, take_to_start(w, &draining));
	client_due(w->client);
	client_deliver(w->client);
	if (draining)
		tests_end(w);
}

void loop_end(struct webhooks *w)
{
	bool draining;

	tests_end(w);
	for (; w->going != NULL; w->going = w->going->next)
		sending_stop(w->going); /* it is its owner's */
	for (struct sending *s = take_to_start(w, &draining), *next; s != NULL; s = next) {
		next = s->next;
		if (s->tested != NULL)
			test_break_off(w, s);
	}
}
