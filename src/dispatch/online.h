/* online.h: a client's own request, passed to an upstream as it is, ahead of all batch lines
 * (contract 13).
 *
 *	api: dispatch_online() ---> head ---> body... ---> end        (dispatch thread)
 *	api: dispatch_online_release() at any time, once -> released (dispatch thread)
 *
 * The struct is the caller's, from dispatch_online() until `released`; so are the texts that it
 * names. Releasing one that has not ended cancels it: its connection to the upstream is closed. */
#pragma once

#include <stdint.h>

#include "base/slice.h"
#include "client/headers.h"
#include "dispatch/mail.h"

struct dispatch;

/* Why it ended. */
enum online_end {
	ONLINE_WHOLE,       /* the whole answer has been passed on */
	ONLINE_BROKEN,      /* the connection broke, before the head or in the middle */
	ONLINE_MALFORMED,   /* its head holds what no header may; nothing was passed on */
	ONLINE_TIMEOUT,     /* no answer within the time of a line */
	ONLINE_UNREACHABLE, /* no upstream that serves it can be reached; nothing was sent */
	ONLINE_BUSY,        /* too many wait for room on an upstream already; nothing was sent */
	ONLINE_NO_UPSTREAM, /* no upstream is configured for its model */
	ONLINE_CLOSING,     /* the server is stopping */
};

/* All in the dispatch thread; must not block. */
struct online_ops {
	void (*head)(void *ctx, const struct exchange_head *h);
	/* False: there is no room; the piece comes again after dispatch_online_more(). */
	bool (*body)(void *ctx, struct slice piece);
	void (*end)(void *ctx, enum online_end how);
	void (*released)(void *ctx);
};

/* How far it is. Zeroed at first. */
enum relay_state {
	RELAY_NEW,      /* the dispatch thread has not seen it */
	RELAY_WAITS,    /* for room on an upstream */
	RELAY_SENT,     /* to an upstream, which has not answered */
	RELAY_ANSWERED, /* the head has been passed on */
	RELAY_ENDED,
};

struct online {
	/* set by the caller */
	const struct online_ops *ops;
	void *ctx;
	bool get;               /* GET without a body, else POST */
	const char *endpoint;   /* "/v1/chat/completions" */
	struct slice model;     /* decoded, as its body names it; n == 0: none is named */
	struct headers headers; /* the client's end-to-end ones; without its key, Host and
	                             * Content-Length. Freed by the caller after `released` */
	struct slice body;
	unsigned units; /* of it: body_units() (batch/weight.h), which may take a while; 0: it is 1 */

	/* dispatch's own */
	struct mail mail;
	struct online *next, *prev; /* of those that have not ended */
	struct online_call *call;   /* while it is sent */
	enum relay_state state;
	uint64_t tried; /* bit an upstream that could not be reached */
};

/* ---- from any thread; none blocks ---- */
void dispatch_online(struct dispatch *d, struct online *o);
/* There is room for pieces again. */
void dispatch_online_more(struct dispatch *d, struct online *o);
/* The caller is done with it, whether it has ended or not. */
void dispatch_online_release(struct dispatch *d, struct online *o);
