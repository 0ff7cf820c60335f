/* remote_impl.h: what the files of remote/ share. Private to them, and to their unit tests.
 *
 *	remote.c        opens it; what was answered last
 *	where.c         which server, with which key
 *	call.c          one call: attempts, and the waits between them
 *	say.c           sentences about a call that failed
 *	answers.c       JSON, lists, paths
 *	events.c        streams of events, by event_reader.h
 */
#pragma once

#include "base/buf.h"
#include "client/client.h"
#include "remote/remote.h"

struct remote {
	struct client *client;
	struct client_route *route;
	char *url; /* with /v1, without a slash at its end */
	char *key; /* NULL: none */
	unsigned patience_s;
	void (*note)(void *ctx, const char *text);
	void *note_ctx;

	bool answered; /* some call was: a server that is not there now may come back */
	/* of the last call */
	int status;
	uint64_t length;
	struct headers answer; /* its headers */
	bool may_pass, path_unknown;
};

/* On a client that is there, which is the remote's from now on, also after a failure. */
MUST_USE bool remote_open_on(struct client *client, const struct remote_setup *s,
			     struct remote **ret, struct error *err);

/* ---- where.c ---- */

struct remote_where {
	char *url, *key, *ca; /* key and ca (PEM) may be NULL */
};
MUST_USE bool where_find(const struct remote_setup *s, struct remote_where *ret, struct error *err);
void where_done(struct remote_where *w);
/* `from` says where the URL was given. */
MUST_USE bool where_url(const char *given, const char *from, char **ret, struct error *err);

/* ---- call.c ---- */

typedef enum remote_taken (*remote_take_fn)(void *ctx, struct slice piece, struct error *err);

struct remote_sink {
	remote_take_fn take;
	void *ctx;
	uint64_t quiet_ms; /* without a byte for so long the connection counts as broken */
};

/* The bytes of a 2xx answer go to `sink`; without one they are collected in `body`. */
MUST_USE bool remote_call(struct remote *r, const struct remote_request *q,
			  const struct remote_sink *sink, struct buf *body, struct error *err);

/* ---- say.c ---- */

/* How an attempt ended. */
struct remote_end {
	enum exchange_end how;
	int status;
	const char *said;
	struct slice body; /* of an answer other than 2xx */
};

/* Fills `err`, and r->path_unknown; returns false. */
bool remote_say(struct remote *r, const struct remote_request *q, const struct remote_end *end,
		struct error *err);
