/* store_priv.h: what the files of store/ share: the connections of a store and how to borrow one,
 * transactions, and the steps that are part of a bigger transaction elsewhere.
 *
 * Reads:   AUTO(reader_return) struct db *db = reader_borrow(s);
 * Writes:  AUTO(txn_end) struct txn t = { 0 };
 *          if (!txn_begin(&t, s, err))
 *                  return false;
 *          ... t.db ...
 *          return txn_commit(&t, err);
 * Any return before the commit rolls back; also one that changes nothing commits, because what it
 * read may be another's that is not durable yet. */
#pragma once

#include <pthread.h>

#include "store/db.h"
#include "store/key_cache.h"
#include "store/store.h"

/* Reads that may run at once. A read takes tens of microseconds, the longest list some 20 ms. */
#define READERS 4

/* Transactions of several threads that are committed together (txn.c). */
struct txn_group {
	struct txn *first, *last;
	unsigned n; /* 0: SQLite has no transaction open, unless the thread that writes has begun it */
};

struct store {
	bool waits;                /* for a server */
	pthread_mutex_t turn_lock; /* for what follows up to `group` */
	pthread_cond_t turn_free;  /* for the next transaction ... */
	pthread_cond_t turn_idle;  /* for turn_take() ... */
	pthread_cond_t group_over; /* and for the members of a group */
	unsigned turns_asked;      /* threads that wait to begin a transaction */
	bool writing; /* a thread uses `writer`: it has what follows, too, and alone changes `group` */
	struct txn_group group;
	struct db *writer;
	uint64_t locked_at_ms;   /* when a writer gave up on another process; 0: the last did not */
	uint64_t locked_told_ms; /* when the log was told of it */
	unsigned write_wait_ms;  /* WRITE_WAIT_MS; tests wait less */
	pthread_mutex_t idle_lock; /* around `idle` */
	pthread_cond_t idle_more;
	struct db *idle; /* idle readers */
	struct db *readers[READERS];
	struct key_cache keys;
	bool outbox_filled;        /* by the transaction that is under way: its thread has it */
	void (*outbox)(void *ctx); /* webhooks.h; NULL: nobody is to be told */
	void *outbox_ctx;
	struct batch_watch watch; /* changed and called by the thread that has the turn */
	pthread_mutex_t
		watch_lock; /* around a change of `watch` or `outbox`, and a call without the turn */
	bool shared;        /* store_share() */
};

/* How long a write waits for another process. */
#define WRITE_WAIT_MS 5000

/* `where` is the kind's (db_open()). */
MUST_USE bool store_open_with(const struct db_kind *kind, const char *where, struct store **ret,
			      struct error *err);

/* Waits for an idle reader. Never while holding one, or inside a transaction. */
struct db *reader_borrow(struct store *s);
void reader_return(struct db **db);

/* After the commit, of the thread that has the turn. */
typedef void (*tell_fn)(struct db *db, const char *batch_id);

/* On the stack of its thread. */
struct txn {
	struct db *db; /* NULL: not begun, as in { 0 }, or ended */
	/* txn.c's */
	struct txn *next;
	char tell[ID_SIZE]; /* "": nobody is to be told of a batch */
	tell_fn tells;
	struct error *err;
	bool further; /* not the first of its group */
	bool outbox, over, durable;
};

/* Waits for the writer, and for other processes' writers; for these WRITE_WAIT_MS, then
 * UNAVAILABLE. */
MUST_USE bool txn_begin(struct txn *t, struct store *s, struct error *err);
/* Before the commit: `tells` is called for the batch, which has changed, once that is durable. */
void txn_tell(struct txn *t, const char *batch_id, tell_fn tells);
/* Durable when true, with what it read; rolled back when false. It is over either way, but for a
 * failure at which txn_end() does that. Nothing is read or written behind it. */
MUST_USE bool txn_commit(struct txn *t, struct error *err);
/* Waits until nobody writes, and ends that: for what is no transaction. */
void turn_take(struct store *s);
void turn_end(struct store *s);
/* Rolls back. True: what it read is durable. */
MUST_USE bool txn_undo(struct txn *t, struct error *err);
/* Rolls back what is not committed. */
void txn_end(struct txn *t);

/* ---- calls.c ---- */

#define CALL_KEPT_S (24 * 3600)
#define UPLOAD_KEPT_S (24 * 3600) /* of uploads.c: from its end on */

/* store_call_find() on a connection; `call` may be NULL, which repeats nothing. */
MUST_USE bool call_find(struct db *db, const struct call *call, int64_t now,
			char ret_id[static ID_SIZE], struct error *err);
/* Records that `call` (or NULL) made `answer`. */
MUST_USE bool call_record(struct db *db, const struct call *call, const char *answer, int64_t now,
			  struct error *err);

/* ---- key_rows.c ---- */

MUST_USE bool org_limits_read(struct db *db, const char *org_id, int64_t ret[static ORG_LIMITS],
			      struct error *err);
/* The columns of key_find and key_list. */
MUST_USE bool key_read(struct query *q, struct key *ret, struct error *err);

/* ---- batches.c ---- */

/* The columns of the view batch_whole. On failure nothing in *ret is left to free. */
MUST_USE bool batch_read(struct query *q, struct batch *ret, struct error *err);

/* Tells the watch what has become of a batch, if it wants to know (tell_fn). */
void batch_tell(struct db *db, const char *id);

/* ---- days.c ---- */

/* m->day_tokens, in the transaction that puts `m`. */
MUST_USE bool day_add_of_batch(struct db *db, const char *batch_id, const struct merge_state *m,
			       struct error *err);

/* ---- files.c ---- */

MUST_USE bool file_insert(struct db *db, const struct file *f, struct error *err);
/* The same, if the organization's quota (NULL: none) has room for it. */
MUST_USE bool file_add(struct db *db, const struct file *f, const struct file_quota *quota,
		       struct error *err);
/* store_file_use() on a connection. */
MUST_USE bool file_use(struct db *db, const char *org, int64_t now, struct file_use *ret,
		       struct error *err);
/* store_file_get() on a connection, but *ret_found false instead of NOT_FOUND. */
MUST_USE bool file_find(struct db *db, const char *org, const char *id, int64_t now,
			struct file *ret, bool *ret_found, struct error *err);

/* ---- webhooks.c, deliveries.c ---- */

/* NOT_FOUND if the endpoint is not, or is another organization's. */
MUST_USE bool webhook_is_there(struct db *db, const char *org, const char *id, struct error *err);
/* The batch has come to the final state `type`: makes a delivery for each endpoint that is to be
 * told. Of the writer, in the transaction that moves the batch. */
MUST_USE bool outbox_fill(struct db *db, const char *batch, enum batch_status type, int64_t now,
			  struct error *err);
