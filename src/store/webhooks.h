/* webhooks.h: where events of batches are sent, and the outbox (contract 12).
 *
 *	final state of a batch -> a delivery for each endpoint that wants it, in one transaction
 *	delivery: due -> an attempt -> recorded: over, or due again
 *
 * A delivery is due until an attempt at it is recorded, so a crash at any point sends it again and
 * never loses it. What is over stays for the log while it is among the last of its endpoint.
 *
 * Threads and errors as in store.h. Secrets stand in the database as they are: each attempt is
 * signed with them. */
#pragma once

#include "store/store.h"

#define WEBHOOK_NAME_BYTES 1025 /* 256 characters */
#define WEBHOOK_URL_BYTES 2049
#define WEBHOOK_SECRET_BYTES 128
#define WEBHOOK_ERROR_BYTES 200
#define WEBHOOK_LOG 100 /* deliveries that are kept of an endpoint, beside those to come */

/* The final states, which are the types of events. */
#define WEBHOOK_ALL_TYPES \
	(1u << BATCH_COMPLETED | 1u << BATCH_FAILED | 1u << BATCH_EXPIRED | 1u << BATCH_CANCELLED)

struct webhook_endpoint {
	char id[ID_SIZE];
	char org[ID_SIZE];
	char name[WEBHOOK_NAME_BYTES];
	char url[WEBHOOK_URL_BYTES];
	unsigned event_types;              /* 1 << status */
	char secret[WEBHOOK_SECRET_BYTES]; /* "whsec_…" */
	char old_secret[WEBHOOK_SECRET_BYTES];
	int64_t old_until; /* until then the old one signs as well; 0: there is none */
	int64_t created_at, updated_at;
};

/* Wipes the secrets. */
static inline void webhook_endpoint_done(struct webhook_endpoint *e)
{
	explicit_bzero(e->secret, sizeof(e->secret));
	explicit_bzero(e->old_secret, sizeof(e->old_secret));
}

/* ---- endpoints of organizations; NOT_FOUND as in store.h ---- */

/* INVALID webhook_endpoint_quota_exceeded if the organization has `most` (0: any number). */
MUST_USE bool store_webhook_create(struct store *s, const struct webhook_endpoint *e, uint64_t most,
				   struct error *err);
MUST_USE bool store_webhook_get(struct store *s, const char *org, const char *id,
				struct webhook_endpoint *ret, struct error *err);
/* A page, newest first, as a malloc'ed array. INVALID param after for an unknown `after`. */
MUST_USE bool store_webhook_list(struct store *s, const char *org, const char *after,
				 unsigned limit, struct webhook_endpoint **ret, size_t *ret_n,
				 bool *ret_more, struct error *err);
/* With another URL all that is to be sent is due at once. */
struct webhook_change {
	const char *name, *url; /* NULL: as it is */
	unsigned event_types;   /* 0: as they are */
};
MUST_USE bool store_webhook_update(struct store *s, const char *org, const char *id,
				   const struct webhook_change *change, int64_t now,
				   struct webhook_endpoint *ret, struct error *err);
/* `old_until`: when the secret of before ends; 0: at once. */
MUST_USE bool store_webhook_rotate(struct store *s, const char *org, const char *id,
				   const char *secret, int64_t old_until, int64_t now,
				   struct webhook_endpoint *ret, struct error *err);
/* Its deliveries go with it. */
MUST_USE bool store_webhook_delete(struct store *s, const char *org, const char *id,
				   struct error *err);

/* ---- endpoints of the configuration ---- */

/* They are known by `id`. `org` "": events of all organizations. Secrets are not stored. Endpoints
 * of an earlier configuration that are not among them go, with their deliveries. */
MUST_USE bool store_webhook_configure(struct store *s, const struct webhook_endpoint *list,
				      size_t n, int64_t now, struct error *err);

/* ---- the log of deliveries ---- */

struct webhook_delivery {
	char id[ID_SIZE], event[ID_SIZE];
	enum batch_status type;
	int64_t at; /* of the event */
	uint64_t attempts;
	int64_t status;                  /* HTTP; 0: no answer came, or there was no attempt yet */
	int64_t latency_ms;              /* of the last attempt; -1: there was none yet */
	char error[WEBHOOK_ERROR_BYTES]; /* why the last attempt failed; "": it did not */
	int64_t next_at;                 /* 0: it is over */
};
/* Of the last WEBHOOK_LOG of an endpoint, as store_webhook_list(). */
MUST_USE bool store_delivery_list(struct store *s, const char *org, const char *endpoint,
				  const char *after, unsigned limit, struct webhook_delivery **ret,
				  size_t *ret_n, bool *ret_more, struct error *err);
/* It is due now, as if it were new. */
MUST_USE bool store_delivery_replay(struct store *s, const char *org, const char *endpoint,
				    const char *id, int64_t now, struct webhook_delivery *ret,
				    struct error *err);

/* ---- delivering ---- */

/* `filled` is called, in the thread of the commit and inside the store's turn, after each commit
 * that has made something due; and by store_outbox_look(). Set while nothing else writes; NULL: no
 * longer. */
typedef void (*outbox_fn)(void *ctx);
void store_outbox_watch(struct store *s, outbox_fn filled, void *ctx);
/* Another node may have made something due: whoever watches looks. Any thread; waits for nothing. */
void store_outbox_look(struct store *s);

/* Ids of the endpoints that something is to be sent to, sorted. A malloc'ed array. */
MUST_USE bool store_webhooks_pending(struct store *s, char (**ret)[ID_SIZE], size_t *ret_n,
				     struct error *err);

/* A delivery to come, and where it goes. */
struct webhook_due {
	char id[ID_SIZE], event[ID_SIZE], batch[ID_SIZE];
	enum batch_status type;
	int64_t at, began_at, next_at;
	uint64_t attempts; /* since began_at */
	char endpoint[ID_SIZE];
	char url[WEBHOOK_URL_BYTES];
	char secret[WEBHOOK_SECRET_BYTES], old_secret[WEBHOOK_SECRET_BYTES]; /* "": none */
	int64_t old_until;
	bool failing; /* the last attempt at the endpoint failed */
};
/* Wipes the secrets. */
static inline void webhook_due_done(struct webhook_due *d)
{
	explicit_bzero(d->secret, sizeof(d->secret));
	explicit_bzero(d->old_secret, sizeof(d->old_secret));
}
/* The next `most` of an endpoint. A malloc'ed array. */
MUST_USE bool store_webhook_due(struct store *s, const char *endpoint, unsigned most,
				struct webhook_due **ret, size_t *ret_n, struct error *err);

/* What an attempt came to. */
struct webhook_result {
	const char *delivery, *endpoint;
	int64_t status; /* 0: no answer */
	uint64_t latency_ms;
	const char *error; /* NULL: it was taken */
	int64_t next_at;   /* 0: it is over */
	int64_t began_at;  /* the due's; another by now: it was replayed, and stays due */
	bool recorded;     /* set: the delivery is there, and was not replayed */
	bool turned;       /* set: the endpoint fails, or no longer, other than before */
};
/* All of them in one transaction. What was deleted meanwhile is left out. */
MUST_USE bool store_webhook_record(struct store *s, struct webhook_result *list, size_t n,
				   struct error *err);
/* The clock has moved by `off_s`: so does all that is due; nothing is due later than `latest`. */
MUST_USE bool store_outbox_shift(struct store *s, int64_t off_s, int64_t latest, struct error *err);
/* When the oldest event that is still to be sent came to be; 0: there is none. */
MUST_USE bool store_outbox_oldest(struct store *s, int64_t *ret, struct error *err);
