/* webhook.h: delivers the events of batches to their receivers (contract 12).
 *
 *	store: final state + deliveries, one transaction -> the outbox thread: what is due?
 *	   -> the loop thread: an exchange each -> the outbox thread: recorded, over or due again
 *
 * At least once: a delivery is due until an attempt at it is recorded, wherever the process is
 * killed. Attempts of different endpoints do not wait for one another: an endpoint has
 * WEBHOOK_ENDPOINT_MAX attempts under way at once, one while it fails; all together have
 * WEBHOOK_ALL_MAX, half of which endpoints that fail cannot take.
 *
 * Where next_at says when, it is by the wall clock; when that steps (base/wall.h) all that is due
 * moves with it: nothing is given up by a clock that was set ahead, nor waits for one that was set
 * back.
 *
 * Two threads of its own: a client's loop (client/client.h), which waits for nothing but the
 * network, and the outbox's, which has the database. Calls from any thread; none blocks but on
 * locks. */
#pragma once

#include "base/wall.h"
#include "client/client.h"
#include "store/webhooks.h"

#define WEBHOOK_ENDPOINT_MAX 4u
#define WEBHOOK_ALL_MAX 256u
#define WEBHOOK_TESTS_MAX 32u

struct webhooks;

struct webhooks_config {
	bool allow_private;     /* also http, and addresses of any network */
	uint64_t timeout_ms;    /* of an attempt */
	const char *user_agent; /* static */
	struct tls_pem tls;     /* `ca` alone is used; borrowed */
	/* the configuration's endpoints, with their secrets; borrowed while it is opened */
	const struct webhook_endpoint *endpoints;
	size_t endpoint_count;
	bool yields; /* at first: webhooks_yield() */
};

/* Delivers what the store's outbox holds, and will hold, until it is closed. Opened before anything
 * moves batches. `store` must outlive it. */
MUST_USE bool webhooks_open(const struct webhooks_config *config, struct store *store,
			    struct webhooks **ret, struct error *err);
/* The configuration's endpoints are these from now on: what is due to others is dropped, and attempts
 * that begin are signed with these secrets. After a failure all is as it was. */
MUST_USE bool webhooks_endpoints(struct webhooks *w, const struct webhook_endpoint *list, size_t n,
				 struct error *err);
/* Another process that shares the store delivers what is due: this one begins no attempts, but tests,
 * until it is told that it does not. Any thread. */
void webhooks_yield(struct webhooks *w, bool yields);
/* Tests that are under way end: nobody will wait for them. */
void webhooks_drain(struct webhooks *w);
/* Attempts under way are broken off; the next start makes them again. Nothing else may use the
 * store's outbox any more. NULL is fine. */
void webhooks_close(struct webhooks *w);
const struct webhooks_config *webhooks_config_of(const struct webhooks *w);

/* ---- a test call ---- */

struct webhook_test_end {
	int status;        /* 0: no answer came */
	const char *error; /* why, a sentence; NULL: it was taken */
};
/* Sends one event of `type` about a batch that is none, once; `ended` is called in the loop thread.
 * RATE_LIMIT if there are WEBHOOK_TESTS_MAX already, or one of this endpoint. */
typedef void (*webhook_test_fn)(void *ctx, const struct webhook_test_end *end);
MUST_USE bool webhooks_test(struct webhooks *w, const struct webhook_endpoint *e,
			    enum batch_status type, webhook_test_fn ended, void *ctx,
			    struct error *err);

/* ---- figures ---- */

/* How attempts end. */
enum webhook_end {
	WEBHOOK_TAKEN,
	WEBHOOK_ANSWERED, /* otherwise than by 2xx */
	WEBHOOK_TIMEOUT,
	WEBHOOK_UNREACHABLE, /* no connection, refused addresses too, or it broke */
	WEBHOOK_ENDS
};
extern const char *const webhook_end_names[WEBHOOK_ENDS];

struct webhook_figures {
	uint64_t attempts[WEBHOOK_ENDS];
	uint64_t given_up;  /* deliveries, after 72 hours */
	uint64_t under_way; /* attempts */
	int64_t oldest_s;   /* age of the oldest event that is still to be sent; 0: there is none */
};
void webhooks_figures(struct webhooks *w, struct webhook_figures *ret);
