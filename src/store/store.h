/* store.h: metadata: organizations, keys, files, batches. SQLite or PostgreSQL is behind this
 * interface (one connection writes, a few read). Changes that belong together are one call and one transaction;
 * metadata is written a segment at a time, never a line.
 *
 * Threads: any, except dispatch and recorder. Writes queue for one connection and return once they
 * are durable (milliseconds); reads have connections of their own and do not wait for writes.
 * Errors: NOT_FOUND where a row is missing or belongs to another organization (never FORBIDDEN);
 * NO_SPACE when the disk is full; UNAVAILABLE when a write had waited 5 s for another process (or
 * one before it had); else INTERNAL. err->sqlite is SQLite's code. On any failure nothing has
 * changed.
 *
 * `lowtide key|org` open the same database while a server runs: SQLite's own locks suffice. */
#pragma once

#include "base/error.h"
#include "batch/batch.h"
#include "batch/causes.h"

struct store;

/* Opens DATA/meta.db, creating and migrating it; DATA has to be there. A database of a newer
 * version is refused. */
MUST_USE bool store_open(const char *data_dir, struct store **ret, struct error *err);
/* Opens the schema that a PostgreSQL URL (or "key=value ..." of libpq) leads to, creating and migrating
 * its tables. UNAVAILABLE where the server cannot be reached or does not let us in; INVALID where the
 * schema is another program's, or a newer lowtide's with which this one cannot work, or where servers work
 * with it that could not with this one's tables. */
MUST_USE bool store_connect(const char *url, struct store **ret, struct error *err);
/* INVALID where that could not be a URL, or holds a password, which a list of processes would show. */
MUST_USE bool store_url_check(const char *url, struct error *err);

/* Where a store is. */
struct store_place {
	const char *data_dir;
	const char *url; /* NULL: in the data directory */
};
MUST_USE bool store_open_at(const struct store_place *at, struct store **ret, struct error *err);
/* From now on this store is this process's alone to serve from; commands may still change it. INVALID
 * where it is another's. A data directory is claimed by its lock (cli/data_dir.h). */
MUST_USE bool store_claim(struct store *s, struct error *err);
/* Instead of that, for a node: it serves beside others that share the schema, and never beside a server
 * that has claimed it, nor such a one beside it: INVALID. PostgreSQL alone. From now on its writes and
 * those of the others are one after another, so that each sees what those before it wrote. Who stops in
 * the middle of one is given up by the database after 5 s, and it has not happened; meanwhile the writes
 * of others fail, UNAVAILABLE, as behind any other process. */
MUST_USE bool store_share(struct store *s, struct error *err);
bool store_is_shared(const struct store *s);

/* Moves all rows of DATA/meta.db into the schema that `url` leads to, which has none; meta.db keeps its own.
 * INVALID where the schema has other rows. Nobody else uses either. */
struct store_moved {
	uint64_t rows;
	bool again; /* an earlier call had moved them: none were now */
};
MUST_USE bool store_move(const char *data_dir, const char *url, struct store_moved *ret,
			 struct error *err);
void store_close(struct store *s);
/* Its reads wait for a server: no event loop makes one. */
bool store_waits(const struct store *s);
/* Whether that server answers: UNAVAILABLE, which the next call may find otherwise. Waits for it. */
MUST_USE bool store_answers(struct store *s, struct error *err);

/* ---- the data directory (cli/data_dir.h) ---- */

/* What the database and its directory both hold, so that neither is taken for another's or an older
 * one. */
struct store_directory {
	char id[33];    /* random, hex */
	uint64_t turns; /* starts and stops of servers; 0: the directory may have no file yet */
};
/* *ret_found false: the database is new. */
MUST_USE bool store_directory_get(struct store *s, struct store_directory *ret, bool *ret_found,
				  struct error *err);
MUST_USE bool store_directory_put(struct store *s, const struct store_directory *d, int64_t now,
				  struct error *err);
/* Counts a turn, also where others do so at one time, and gives what the row is then. A new database is of
 * the directory `id`. */
MUST_USE bool store_directory_turn(struct store *s, const char *id, int64_t now,
				   struct store_directory *ret, struct error *err);
/* The latest time that any row holds of what has happened, 0: none. At start only: it scans. */
MUST_USE bool store_newest(struct store *s, int64_t *ret, struct error *err);

/* ---- organizations and keys ---- */

struct org {
	char id[ID_SIZE];
	char name[128];
	int64_t created_at;
	int64_t suspended_at; /* 0: it is not */
	unsigned weight;      /* 1 to ORG_WEIGHT_MAX: its share while others have work, too */
	uint64_t keys;        /* not revoked */
};
#define ORG_WEIGHT_MAX 1000u
#define OPERATOR_ORG "operator" /* whose the operator's keys are, unless somebody says otherwise */

/* What one organization may have (contract 13.1); 0: any number. LIMIT_AS_CONFIGURED: it has no
 * limit of its own. */
enum org_limit {
	LIMIT_FILES,
	LIMIT_BYTES,
	LIMIT_UPLOADS,
	LIMIT_OPEN_BATCHES,
	LIMIT_ONLINE,
	LIMIT_LISTENERS,
	LIMIT_ENQUEUED_REQUESTS,
	LIMIT_ENQUEUED_TOKENS,
	LIMIT_CALLS_PER_MINUTE,
	LIMIT_TOKENS_PER_DAY,
	ORG_LIMITS
};
extern const char *const org_limit_names[ORG_LIMITS];
#define LIMIT_AS_CONFIGURED (-1)
#define ORG_LIMIT_MOST (INT64_C(1) << 50) /* of each */

struct key {
	char id[ID_SIZE];
	char org[ID_SIZE];
	char org_name[128];
	char hint[16]; /* first characters of the key, to recognise it by: "sk-AbCd…" */
	int64_t created_at;
	int64_t revoked_at;         /* 0: in force */
	bool suspended;             /* its organization is: it may do nothing */
	bool is_operator;           /* looks after all organizations (contract 13.1) */
	int64_t limits[ORG_LIMITS]; /* its organization's own; of a key that store_key_find gave */
};

/* Finds the organization of that name or makes it. */
MUST_USE bool store_org_ensure(struct store *s, const char *name, int64_t now, struct org *ret,
			       struct error *err);
/* INVALID if there is one of that name. */
MUST_USE bool store_org_create(struct store *s, const char *name, int64_t now, struct org *ret,
			       struct error *err);
/* NOT_FOUND if no organization is named so. */
MUST_USE bool store_org_get(struct store *s, const char *name, struct org *ret, struct error *err);
/* A malloc'ed array. */
MUST_USE bool store_org_list(struct store *s, struct org **ret, size_t *ret_n, struct error *err);
/* NOT_FOUND if no organization is named so, INVALID if `weight` is not from 1 to ORG_WEIGHT_MAX. It
 * counts from the organization's next batch on; those under way keep the weight they began with. */
MUST_USE bool store_org_weigh(struct store *s, const char *name, unsigned weight,
			      struct error *err);
/* Asked when a batch begins, so it may be called while `org` is changed by another process. */
MUST_USE bool store_org_weight(struct store *s, const char *org_id, unsigned *ret,
			       struct error *err);
/* From `at` on the organization is suspended: its keys may do nothing, its batches get no new
 * lines; with `cancel` they are cancelled as well, by the pipeline of the process that serves,
 * which learns of it within a tenth of a second. `at` 0: the organization is resumed. NOT_FOUND if
 * none is named so. A repeated call is no error. */
MUST_USE bool store_org_suspend(struct store *s, const char *name, int64_t at, bool cancel,
				struct error *err);
/* Gives the organization of that name a limit of its own, or with LIMIT_AS_CONFIGURED takes it
 * away. Counts at once, in another process 10 ms later. NOT_FOUND if none is named so. */
MUST_USE bool store_org_limit(struct store *s, const char *name, enum org_limit limit,
			      int64_t value, struct error *err);
/* What is changed of an organization; { 0 }: nothing. */
struct org_change {
	unsigned weight; /* 0: it stays */
	struct {
		bool changes;
		int64_t to; /* LIMIT_AS_CONFIGURED: it has none of its own any more */
	} limits[ORG_LIMITS];
};
/* All of it, or nothing; as store_org_weigh() and store_org_limit() say. */
MUST_USE bool store_org_change(struct store *s, const char *name, const struct org_change *change,
			       struct error *err);
/* All of them. */
MUST_USE bool store_org_limits(struct store *s, const char *org_id, int64_t ret[static ORG_LIMITS],
			       struct error *err);
/* Ids of the organizations that are suspended, sorted; `org_id` alone, if it is not NULL. A
 * malloc'ed array. */
MUST_USE bool store_orgs_suspended(struct store *s, const char *org_id, char (**ret)[ID_SIZE],
				   size_t *ret_n, struct error *err);
/* Makes the key *k: its organization's id, hint, time and whether it is the operator's are the
 * caller's, the id is set here. `hash` is id_secret_hash() of it. The same hash again is no error
 * and changes nothing (bootstrap key). */
MUST_USE bool store_key_create(struct store *s, struct key *k, const char *hash, struct error *err);
/* `org` NULL: of all. A malloc'ed array. */
MUST_USE bool store_key_list(struct store *s, const char *org, struct key **ret, size_t *ret_n,
			     struct error *err);
/* `id` is a key's id or its hint; NOT_FOUND, or INVALID if a hint names several in force. Revoking
 * again is no error and keeps the time of the first. */
MUST_USE bool store_key_revoke(struct store *s, const char *id, int64_t now, struct error *err);
/* BAD_KEY if unknown or revoked. From memory, or a point read on a connection of its own, as
 * store_uploads_pending() is: fit for an event loop unless store_waits(). What another process
 * revokes counts 10 ms later, of PostgreSQL as soon as it is told, or after 5 s. */
MUST_USE bool store_key_find(struct store *s, const char *hash, struct key *ret, struct error *err);
/* store_key_find() would answer from memory. Fit for an event loop, always. */
bool store_key_known(struct store *s, const char *hash);
/* Another number than before once keys, limits or suspensions may have changed, in whatever process; what
 * another one has changed shows as soon as store_key_find() would see it. It may change for nothing.
 * Does not wait for PostgreSQL, nor for readers that are lent. */
uint64_t store_operator_stamp(struct store *s);
/* The organization's uploads in parts that are pending. */
MUST_USE bool store_uploads_pending(struct store *s, const char *org, uint64_t *ret,
				    struct error *err);
/* Keys in force. */
MUST_USE bool store_key_count(struct store *s, uint64_t *ret, struct error *err);

/* ---- repeated calls (contract 2.4) ---- */

/* What makes two calls the same. `answer` is the object id that the first call made. */
struct call {
	char key[ID_SIZE];         /* API key's id */
	const char *route;         /* "POST /v1/files" … static */
	char idempotency_key[256]; /* "": none given */
	char fingerprint[65];      /* hex of SHA-256 over the content */
	bool resent;               /* x-stainless-retry-count >= 1 */
	bool of_nodes; /* its resend may be another node's, and done before it: that is found, too */
	int64_t resent_from; /* the store's: it has this number or a greater one; 0: none counts */
};
/* *ret_id is the first call's object, or "" when this call is to go on. An idempotency key counts
 * for 24 h: KEY_REUSED when it came with other content. A resend without a key is that of the last
 * plain call with its content within 120 s. The inserts below look again in their own transaction
 * and record the call, so two calls at once cannot both make one; of nodes they find a resend that was
 * entered after this look. */
MUST_USE bool store_call_find(struct store *s, struct call *call, int64_t now,
			      char ret_id[static ID_SIZE], struct error *err);

/* ---- files ---- */

struct file_quota {
	uint64_t files_max, bytes_max; /* an organization's input files; 0: none */
};

/* What an organization has of input files, each pending upload in parts (uploads.h) among them. A
 * row, however many they are. */
struct file_use {
	uint64_t files, bytes;
};
MUST_USE bool store_file_use(struct store *s, const char *org, int64_t now, struct file_use *ret,
			     struct error *err);
/* Whether an organization that has `use` may have `more` as well; INVALID file_quota_exceeded. */
MUST_USE bool file_quota_allows(const struct file_quota *quota, const struct file_use *use,
				const struct file_use *more, struct error *err);
/* Inserts `f` and records `call` (may be NULL); INVALID file_quota_exceeded over the quota. When
 * the call turns out to be a repetition nothing is inserted and *ret_id is the first one's id, else
 * it is f->id. `quota` NULL: none. */
MUST_USE bool store_file_insert(struct store *s, const struct file *f,
				const struct file_quota *quota, const struct call *call,
				char ret_id[static ID_SIZE], struct error *err);
/* NOT_FOUND, too, if deleted or expired at `now`. `org` NULL: any organization (the pipeline). */
MUST_USE bool store_file_get(struct store *s, const char *org, const char *id, int64_t now,
			     struct file *ret, struct error *err);

struct file_query {
	const char *org;
	const char *after;   /* id, or NULL */
	const char *purpose; /* name, or NULL; an unknown one matches nothing */
	unsigned limit;
	bool ascending;
	int64_t now;
};
/* A page, newest first unless `ascending`, as a malloc'ed array; *ret_more: there is a next. Newest
 * means made last (contract 10), whatever the clock said: so what is made while a client pages is
 * on no later page. INVALID param after, code invalid_value for an unknown `after` (a file deleted
 * less than 24 h ago is known). */
MUST_USE bool store_file_list(struct store *s, const struct file_query *q, struct file **ret,
			      size_t *ret_n, bool *ret_more, struct error *err);
MUST_USE bool store_file_delete(struct store *s, const char *org, const char *id, int64_t now,
				struct error *err);
/* Marks what has expired at `now` as deleted, ends pending uploads that have; forgets calls older than
 * 24 h, uploads that ended before that, and tombstones older than 24 h whose blob is gone; *ret_next
 * is the earliest expires_at of a file to come, 0: none. */
MUST_USE bool store_sweep(struct store *s, int64_t now, int64_t *ret_next, struct error *err);
/* Ids of blobs that may go: their file is deleted and no batch that is not final reads or writes
 * them, or they were of an upload that has ended. At most `max`; the caller removes the blobs and
 * then calls store_blobs_gone(). */
MUST_USE bool store_blobs_spare(struct store *s, char (*ids)[ID_SIZE], size_t max, size_t *ret_n,
				struct error *err);
MUST_USE bool store_blobs_gone(struct store *s, const char (*ids)[ID_SIZE], size_t n,
			       struct error *err);
/* *ret_known: a blob of that id belongs to a file whose blob is not gone, to a batch's result files
 * while it is not final, or to a pending upload; or is a part of a finished span (spans.h), whose batch
 * is not final. *ret_deleted: the file is deleted, and its blob was
 * removed; or store_blobs_spare() would name it. For the sweep at start. */
MUST_USE bool store_blob_known(struct store *s, const char *id, bool *ret_known, bool *ret_deleted,
			       struct error *err);

/* ---- batches ---- */

/* Inserts `b` as `validating` and records `call` (may be NULL); *ret_id as in store_file_insert.
 * RATE_LIMIT if the organization has `open_max` (0: any number) batches that are not final.
 * The input file must still be there (INVALID input_file_id) unless `input_may_miss`: then the row
 * notes input_missing. (The note is needed later: a file that was there may be deleted by the time
 * the batch is validated, which disturbs nothing.) */
MUST_USE bool store_batch_insert(struct store *s, const struct batch *b, const struct call *call,
				 bool input_may_miss, uint64_t open_max,
				 char ret_id[static ID_SIZE], struct error *err);
/* The same of a batch on an input that is made for it: both rows, or neither. The file's blob is
 * durable; INVALID file_quota_exceeded as in store_file_insert. */
MUST_USE bool store_batch_insert_with(struct store *s, const struct batch *b,
				      const struct file *input, const struct file_quota *quota,
				      const struct call *call, uint64_t open_max,
				      char ret_id[static ID_SIZE], struct error *err);
/* `org` NULL: any organization. batch_done(ret) is the caller's. */
MUST_USE bool store_batch_get(struct store *s, const char *org, const char *id, struct batch *ret,
			      struct error *err);
/* The traceparent that the batch was inserted with; "": without one. */
MUST_USE bool store_batch_trace(struct store *s, const char *id,
				char ret[static BATCH_TRACEPARENT_SIZE], struct error *err);
/* A pair of `metadata`, UTF-8. */
struct batch_label {
	const char *key, *value;
};
#define BATCH_LABELS_MAX 16u

/* What is listed: the organization's batches that are all that is asked for (contract 11.3). */
struct batch_query {
	const char *org;
	const char *after; /* id, or NULL; it need not be one of what is asked for */
	unsigned limit;
	unsigned statuses;                /* one of these: a bit each (1 << status); 0: any */
	int64_t created_after;            /* Unix s, exclusive */
	int64_t created_before;           /* likewise; 0: any time */
	const struct batch_label *labels; /* all of these pairs, exactly */
	unsigned label_count;             /* at most BATCH_LABELS_MAX */
};
/* A page, newest first, in the order of making; batch_done() each and free(). A page ends before
 * `limit` where its batches' `errors` and `metadata` would pass STORE_PAGE_TEXT_BYTES, but has one
 * batch at least; clients page on by *ret_more. (A failed batch may have some 450 KB of errors, 100
 * of them were 434 MiB for one answer; shortening them in lists would make objects that differ.)
 * INVALID param after, code invalid_value for an unknown `after`. */
#define STORE_PAGE_TEXT_BYTES (2u << 20)
MUST_USE bool store_batch_list(struct store *s, const struct batch_query *q, struct batch **ret,
			       size_t *ret_n, bool *ret_more, struct error *err);
/* Ids of all batches that are not final, by expires_at. A malloc'ed array. */
MUST_USE bool store_batches_open(struct store *s, char (**ret)[ID_SIZE], size_t *ret_n,
				 struct error *err);
/* At most `max` batches that are validating and were made at `made_before` (Unix s) or before, the
 * earliest end first: those that a node which is gone may have left so. A malloc'ed array. */
MUST_USE bool store_batches_validating(struct store *s, int64_t made_before, unsigned max,
				       char (**ret)[ID_SIZE], size_t *ret_n, struct error *err);
/* At most `max` batches that the operator has cancelled (store_org_suspend) and that have not begun
 * to be. A malloc'ed array. */
MUST_USE bool store_batches_to_cancel(struct store *s, unsigned max, char (**ret)[ID_SIZE],
				      size_t *ret_n, struct error *err);
/* ---- changes of state ----
 *
 * Each change has a number (batch.changed), greater than those before it in its organization, taken
 * in the transaction of the change. It survives a restart. */

/* Who is told that a batch was made or has moved. Both are called with the store's turn, in the
 * order of the commits, after each: so briefly, without calls of the store. Of others' changes `moved`
 * is told by store_changed_elsewhere(), in its thread, at any time. */
struct batch_watch {
	bool (*wanted)(void *ctx); /* false: `moved` is left out */
	/* `row` as it was right after the change; its texts change hands. NULL: there were changes
	 * without a row; those of this store that could not be read the log says. */
	void (*moved)(void *ctx, struct batch *row);
	void *ctx;
};
/* One at a time; NULL: none from now on, no call is under way on return. May wait for a write. */
void store_watch(struct store *s, const struct batch_watch *watch);
/* Another node may have changed batches (NOTIFY lowtide_batches): tells the watch, without a row. Any
 * thread; waits for nothing. */
void store_changed_elsewhere(struct store *s);

/* The number of the organization's last change; 0: none. */
MUST_USE bool store_changed_last(struct store *s, const char *org, int64_t *ret, struct error *err);
struct changed_query {
	const char *org;
	int64_t after, up_to; /* numbers: above the one, to the other */
	bool open_only;       /* leave out what is final */
	size_t limit;
};
/* The batches whose last change is in that range, in its order, into `to`, which has room for
 * `limit`; batch_done() each. */
MUST_USE bool store_batches_changed(struct store *s, const struct changed_query *asked,
				    struct batch *to, size_t *ret_n, struct error *err);

/* Requests and (estimated) tokens still to do in an organization's batches of `model` that are
 * not final, `except` left out. */
MUST_USE bool store_batches_enqueued(struct store *s, const char *org, const char *model,
				     const char *except, uint64_t *ret_requests,
				     uint64_t *ret_tokens, struct error *err);

/* What an organization has enqueued: open batches, their lines to do, and the estimated tokens of
 * these. As a limit 0 is any number. */
struct org_queue {
	uint64_t batches, requests, tokens;
	uint64_t uploads; /* in parts, pending; no limit is one of these */
};
MUST_USE bool store_org_queue(struct store *s, const char *org, struct org_queue *ret,
			      struct error *err);
/* A batch in progress. It waits if what its organization made before it is as much as the limits of
 * enqueued requests and tokens allow: the organization's own, else the configured ones. */
struct queue_place {
	char id[ID_SIZE];
	bool waits;
};
/* All of them, sorted by id; none where *ret_limited is false: no organization has such a limit. A
 * malloc'ed array, or NULL. */
MUST_USE bool store_queue(struct store *s, const struct org_queue *configured, bool *ret_limited,
			  struct queue_place **ret, size_t *ret_n, struct error *err);

/* ---- tokens of a day (contract 13.1); `day`: UTC, days since 1970 ----
 *
 * A day's tokens are those that store_merge_put() and store_batch_finish() added, and these: */
struct token_count {
	char id[ID_SIZE]; /* of an organization, or of a batch */
	uint64_t tokens;
};
/* Organizations took these. */
MUST_USE bool store_day_add(struct store *s, int64_t day, const struct token_count *list, size_t n,
			    struct error *err);
/* Of these batches so many tokens count for earlier days, and none of them for `day`. With `forget`
 * days long past go. */
MUST_USE bool store_day_begin(struct store *s, int64_t day, bool forget,
			      const struct token_count *list, size_t n, struct error *err);
MUST_USE bool store_day_get(struct store *s, const char *org, int64_t day, uint64_t *ret,
			    struct error *err);
struct org_day {
	char org[ID_SIZE];
	uint64_t tokens;
	int64_t own; /* its own limit tokens_per_day, or LIMIT_AS_CONFIGURED */
};
/* A row of each organization that took any, and one of each that has a limit of its own; none where *ret_limited is false: no
 * organization has one, nor are they `configured`. A malloc'ed array, or NULL. */
MUST_USE bool store_day_list(struct store *s, int64_t day, bool configured, bool *ret_limited,
			     struct org_day **ret, size_t *ret_n, struct error *err);

/* How far the result files of a running batch are: what recovery starts from. */
struct merge_state {
	uint64_t segments; /* merged: the first that many */
	uint64_t output_bytes, error_bytes;
	uint64_t output_lines, error_lines;
	uint64_t journal_from; /* below it no record of an unmerged segment stands */
	struct counts counts;  /* of the merged segments; total is not looked at */
	struct usage usage;
	struct causes causes;
	/* tokens, input and output, that its organization's days have of it; a put does not lower it */
	uint64_t counted_tokens;
	/* of a put alone: what it adds to which UTC day, in days since 1970 */
	int64_t day;
	uint64_t day_tokens;
};
MUST_USE bool store_merge_get(struct store *s, const char *batch_id, struct merge_state *ret,
			      struct error *err);
MUST_USE bool store_merge_put(struct store *s, const char *batch_id, const struct merge_state *m,
			      struct error *err);

/* Moves the batch along one edge of contract 6 and stamps the state with `now`; *ret_moved false
 * (and nothing changed) if it is not in one of the states of the mask `from` (1 << status). */
MUST_USE bool store_batch_move(struct store *s, const char *id, unsigned from, enum batch_status to,
			       int64_t now, bool *ret_moved, struct error *err);
/* validating -> in_progress with what validation found. The ids of the result files to come are
 * kept hidden until the state is final. `tokens` is the estimate for store_batches_enqueued. */
MUST_USE bool store_batch_start(struct store *s, const char *id, uint64_t total, uint64_t tokens,
				const char *model, const char *output_file_id,
				const char *error_file_id, int64_t now, bool *ret_moved,
				struct error *err);
/* -> failed with `errors` (JSON text of the array); from validating, in_progress or finalizing. */
MUST_USE bool store_batch_fail(struct store *s, const char *id, const char *errors, int64_t now,
			       bool *ret_moved, struct error *err);
/* validating -> cancelled, both timestamps; no files. */
MUST_USE bool store_batch_cancel_early(struct store *s, const char *id, int64_t now,
				       bool *ret_moved, struct error *err);
/* Holds the batch, or lets it go on, durably. *ret_changed false: it is so already, or past the
 * states in which lines are sent; or there is none. */
MUST_USE bool store_batch_hold(struct store *s, const char *id, enum batch_hold hold, int64_t now,
			       bool *ret_changed, struct error *err);
/* The end of a batch that ran, in one transaction: state `to` (completed, expired, cancelled, or
 * failed by a fault of the service; from the states that may), final counts and usage, and the rows
 * of the result files; a file with 0 bytes is NULL here and its id in the batch becomes null.
 * `errors`: JSON text of the array for `failed`, else NULL. */
MUST_USE bool store_batch_finish(struct store *s, const char *id, enum batch_status to,
				 const struct merge_state *m, const struct file *output,
				 const struct file *error, const char *errors, int64_t now,
				 bool *ret_moved, struct error *err);
