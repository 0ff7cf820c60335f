/* sending.h: one attempt to send an event to its receiver: what is sent, and how it ended. */
#pragma once

#include "base/buf.h"
#include "client/client.h"
#include "store/webhooks.h"
#include "webhook/webhook.h"

struct sending;
typedef void (*sending_fn)(void *ctx, struct sending *s);

/* An owner makes it, the loop's thread starts it and ends it, the owner frees it. */
struct sending {
	struct exchange exchange; /* first: the ops are handed it */
	struct client_route *route;
	struct sending *next, *all_next; /* in lists of whoever has it, and of its owner */
	struct webhook_due due;
	struct buf body;
	uint64_t began_ms;
	size_t heard; /* bytes of the answer */
	sending_fn over;
	void *over_ctx;

	/* a test call (webhook.h); NULL: a delivery */
	webhook_test_fn tested;
	void *tested_ctx;

	/* how it ended */
	enum webhook_end how;
	int status; /* 0: no answer came */
	uint64_t latency_ms;
	char error[WEBHOOK_ERROR_BYTES]; /* "": it was taken */
};

/* `due` is copied. NULL: no memory. */
struct sending *sending_new(const struct webhook_due *due);
/* NULL is fine. Not while it is started. */
void sending_free(struct sending *s);
/* Starts it; `over` is called when it has ended, perhaps at once, with nothing left open. */
void sending_start(struct sending *s, struct client *client, const struct webhooks_config *config,
		   sending_fn over, void *ctx);
/* Breaks it off, without `over`. */
void sending_stop(struct sending *s);
