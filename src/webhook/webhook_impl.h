/* webhook_impl.h: what the files of webhook/ share. Private to them, and to their unit test.
 *
 *	sending.c   one attempt: body, signature, exchange, how it ended
 *	turn.c      the outbox thread's: what ended is recorded, what is due goes to the loop
 *	secrets.c   of the configuration's endpoints
 *	loop.c      the loop thread's: starts exchanges, hands back what ended
 *	webhook.c   the threads, and what other threads ask
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "webhook/sending.h"
#include "webhook/webhook.h"

/* Of an endpoint of the configuration: they stand in no database. */
struct webhook_secret {
	char endpoint[ID_SIZE];
	char secret[WEBHOOK_SECRET_BYTES];
};

struct webhook_secrets {
	struct webhook_secret *list;
	size_t n;
};

struct webhooks {
	struct webhooks_config config; /* without endpoints */
	struct store *store;
	struct client *client;

	pthread_mutex_t lock; /* for what follows, up to the next comment */
	pthread_cond_t asked;
	struct sending *to_start; /* for the loop */
	struct sending *ended;    /* for the outbox */
	struct sending *tests;    /* of the loop, by all_next: for how many there are */
	bool kicked, draining, stopping;
	struct webhook_secrets secrets;

	/* the outbox thread's */
	struct sending *all;        /* that are with the loop, or not recorded, by all_next */
	unsigned all_count;         /* of them */
	struct sending *unrecorded; /* ended */
	char after[ID_SIZE];        /* the endpoint that was served last */
	struct wall wall;
	int64_t shift_s; /* how far the clock has moved and what is due has not yet */
	bool shifts;     /* it has, or nothing has looked whether something is due too late */
	bool fault_told;

	/* the loop thread's */
	struct sending *going; /* started, by next */

	/* figures */
	_Atomic uint64_t attempts[WEBHOOK_ENDS], given_up, under_way;
	_Atomic int64_t oldest_at;
	struct log_storm given_up_storm;

	pthread_t loop_thread, outbox_thread;
	bool has_loop, has_outbox;
	_Atomic bool yields; /* another process delivers */
};

/* ---- turn.c ---- */

/* Before the first turn. */
void turn_begin(struct webhooks *w);
/* Records what has ended and hands on what is due. Returns how long nothing will be due, unless
 * something ends or is asked for; TURN_WAIT_MAX_MS at most. */
#define TURN_WAIT_MAX_MS 60000u
uint64_t turn_run(struct webhooks *w);
/* The first half of it. False: the store failed, and what has ended is kept. */
bool turn_record(struct webhooks *w);

/* ---- secrets.c ---- */

MUST_USE bool secrets_copy(const struct webhook_endpoint *list, size_t n,
			   struct webhook_secrets *ret);
/* Wipes them. */
void secrets_done(struct webhook_secrets *s);
/* An endpoint of the configuration has its secret here: writes that to `due`. With the lock. */
void secrets_fill(const struct webhook_secrets *s, struct webhook_due *due);

/* ---- loop.c ---- */

/* One turn of the loop, which waits `timeout_ms` at most (-1: without end). */
void loop_turn(struct webhooks *w, int timeout_ms);
/* Breaks off what is under way. No turn after that. */
void loop_end(struct webhooks *w);

/* ---- webhook.c, for tests ---- */

/* webhooks_open() without the threads, on a client of the caller's. */
MUST_USE bool webhooks_new(const struct webhooks_config *config, struct store *store,
			   struct client *client, struct webhooks **ret, struct error *err);
void webhooks_free(struct webhooks *w);
