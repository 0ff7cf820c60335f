/* feeds.h: what there is to tell of batches and organizations, and who listens. No thread, no store:
 * the events thread alone calls, and hands in what it has written.
 *
 * A *feed of a batch* keeps the events that its listeners may not have yet: its last changes of state
 * and behind them its newest counts, with serial numbers. A *feed of an organization* keeps the last
 * changes of state of all its batches: a listener that is behind them catches up from the store. Of
 * counts it keeps for each batch when they changed last; what they are is written anew for a listener
 * that was behind. So nothing grows with a client that does not read. */
#pragma once

#include "api/listener.h"
#include "pipeline/pipeline.h"

#define FEED_BUCKETS 1024u
#define FEED_STATES 9u   /* a batch has no more states, and its newest counts */
#define FEED_CHANGES 64u /* kept of an organization */
#define FEED_CHANGES_BYTES (512u << 10)

struct feed_org;

struct feed_batch {
	struct feed_batch *next;
	char id[ID_SIZE];
	struct event_listener *listeners;
	struct event_text *texts[FEED_STATES];
	uint64_t serials[FEED_STATES];
	unsigned n;
	uint64_t serial;  /* of the last event */
	int64_t changed;  /* number of the last change of state in it */
	uint64_t told_ms; /* clock_ms() of the last event */
	uint64_t looked;  /* the tick that saw it run */
	bool pulsed;      /* `pulse` is what was told last */
	struct batch_pulse pulse;
	bool dirty; /* the tick that goes on has other counts */
	struct feed_batch *next_dirty;

	struct feed_org *org;               /* NULL: nobody listens to its organization */
	struct feed_batch *before, *behind; /* in it, by `counted` */
	uint64_t counted;                   /* the organization's serial of its last counts */
	struct event_text *counts;          /* these, during a tick */
};

struct feed_org {
	struct feed_org *next;
	char id[ID_SIZE];
	struct event_listener *listeners;
	struct event_text *changes[FEED_CHANGES]; /* a ring, the oldest at `first` */
	unsigned first, n;
	size_t bytes;
	int64_t last;                       /* number of the last change that was seen */
	int64_t complete_from;              /* all changes above it stand in the ring */
	struct feed_batch *oldest, *newest; /* by `counted` */
	uint64_t serial;                    /* of the last counts */
};

struct feeds {
	struct feed_batch *batches[FEED_BUCKETS];
	struct feed_org *orgs[FEED_BUCKETS];
	uint64_t ticks;
};

struct feed_batch *feed_batch_find(struct feeds *f, const char *id);
/* NULL: no memory. `org` may be NULL. */
struct feed_batch *feed_batch_get(struct feeds *f, const char *id, struct feed_org *org);
/* Frees it if nobody listens to it or its organization; what only its own listeners need goes with
 * the last of them. */
void feed_batch_tidy(struct feeds *f, struct feed_batch *b);
/* Its next event; takes a ref. */
void feed_batch_push(struct feed_batch *b, struct event_text *t);
/* Gives a listener of it all that it can take now. */
void feed_batch_serve(struct feed_batch *b, struct event_listener *l);
/* It is in no organization's feed any more. */
void feed_batch_leave(struct feed_batch *b);

struct feed_org *feed_org_find(struct feeds *f, const char *id);
/* NULL: no memory. */
struct feed_org *feed_org_get(struct feeds *f, const char *id);
void feed_org_tidy(struct feeds *f, struct feed_org *o);
/* The next change of one of its batches; takes a ref. */
void feed_org_push(struct feed_org *o, struct event_text *t);
/* Changes up to number `last` are in the store, and were not all seen. */
void feed_org_forget(struct feed_org *o, int64_t last);
/* The first change above `after` in the ring; NULL: none. */
struct event_text *feed_org_next(const struct feed_org *o, int64_t after);
/* Batch `b` of it has other counts. */
void feed_org_counted(struct feed_org *o, struct feed_batch *b);

/* Calls `each` for every listener. */
void feeds_each(struct feeds *f, void (*each)(void *ctx, struct event_listener *l), void *ctx);
