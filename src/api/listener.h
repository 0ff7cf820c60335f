/* listener.h: a call that waits for events: a stream of server-sent events, or a long poll, which
 * is answered with the object of the first event that it waits for (contract 11.3).
 *
 *	handler (API worker)  listener_new() -> events_add()
 *	events thread         listener_give(), listener_go_on(), listener_end(), listener_free()
 *	HTTP loop             `room`, `closed`: the events thread is told, and no more
 *
 * A listener holds one event that its client has not taken whole, and LISTENER_BYTES of it at most
 * in its stream: so a client that does not read costs no more than that, and gets the newest when
 * it reads again. */
#pragma once

#include "api/event_text.h"
#include "api/request.h"

#define LISTENER_BYTES (16u << 10)

struct events;

enum listener_kind {
	LISTENER_BATCH, /* the events of one batch */
	LISTENER_ORG,   /* those of all batches of its organization */
	LISTENER_WAIT,  /* a long poll */
};

struct event_listener {
	/* constant from the start */
	struct events *of;
	/* A `room` or `closed`. Any thread; set before listener_begin(). */
	void (*tell)(struct events *of, struct event_listener *l, bool closed);
	struct api *api;
	const struct route *route;
	enum listener_kind kind;
	char request_id[ID_SIZE], org[ID_SIZE], batch[ID_SIZE];
	uint64_t began_ms;
	struct call_rate rate;
	char key_hash[65]; /* of the key that it came with */
	struct http_stream *stream;

	/* under the lock of the events (events_impl.h) */
	struct event_listener *next_told;
	bool told, has_room, closed;

	/* the events thread's */
	struct event_listener *next, **at;
	bool attached, headed, ended;
	bool full;               /* the stream takes no more: `room` will come */
	struct event_text *text; /* not given to the stream whole; NULL: it may get another */
	size_t sent;             /* bytes of it */
	uint64_t comment_ms;     /* clock_ms() of the next comment */
	uint64_t due_ms;         /* a long poll's end */
	enum batch_status since; /* a long poll's state at its arrival */
	uint64_t seen;           /* of a batch: serial of the last event that it was given */
	int64_t after;      /* of an organization: number of the last change that it was given */
	int64_t open_until; /* up to this number it gets only batches that are not final */
	uint64_t counted;   /* serial of the last counts that it was given */
};

/* Of the request `rq`; counted among its organization's. RATE_LIMIT with Retry-After in `r`. */
MUST_USE bool listener_new(struct request *rq, struct events *of, enum listener_kind kind,
			   struct http_response *r, struct event_listener **ret, struct error *err);
/* The request is answered by the listener from now on: its stream is begun. Then events_add(). */
MUST_USE bool listener_begin(struct event_listener *l, struct request *rq, struct error *err);
/* Before listener_begin(), or after its stream was closed. */
void listener_free(struct event_listener *l);

/* ---- events thread ---- */

/* Whether it can be given an event: it has none in hand and its stream takes more. */
bool listener_is_free(const struct event_listener *l);
/* The next event; takes a ref of its own. A long poll is answered with it, and ends. */
void listener_give(struct event_listener *l, struct event_text *t);
/* There is room again: goes on with what it has. */
void listener_go_on(struct event_listener *l);
/* A line that clients ignore, and proxies see. */
void listener_comment(struct event_listener *l);
/* The stream ends after what it was given. Again is fine. */
void listener_end(struct event_listener *l);
/* Without an event, where there can be none: an error's answer, or the stream breaks off. */
void listener_fail(struct event_listener *l, const struct error *err);
/* Unlinks it from the list that it is in. */
void listener_unlink(struct event_listener *l);
void listener_link(struct event_listener *l, struct event_listener **list);
