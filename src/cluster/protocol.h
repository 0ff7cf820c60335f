/* protocol.h: what nodes that share PostgreSQL and an S3 store decide by. ARCHITECTURE.md, "Many
 * machines: the protocol", tells the whole; tests/simulation/ holds it against faults.
 *
 * Two kinds of functions, both pure:
 *
 * - What a node decides by itself. Times are of its own monotonic clock: `mono_us`.
 * - What a transaction decides. The function works on rows as the statement above it does, and
 *   returns whether the statement changed one. Times are of the database's clock: `now_us`.
 *
 * The statements as they are: src/store/sql/postgres/. Below, $me, $epoch are the caller's node and
 * node epoch, now() is when the statement came, not its transaction. Every statement may be asked
 * again when its outcome is not known, and may be carried out late, after a later one: asked twice,
 * it changes nothing the second time, and comes too late, it is refused.
 *
 *	node      one start of the program. Its number is drawn, never used again
 *	epoch     of a node: grows when it is buried. Of a span, an upstream: with each owner
 *	piece     the lines of one span in one chunk; its row is what "finished" means
 *	chunk     an object: the lines of a group commit
 *	part      an object: the output, or the errors, of a finished span
 *	manifest  the parts of a batch in the order of its spans */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_MS INT64_C(1000) /* us */
#define PROTOCOL_S (1000 * PROTOCOL_MS)

#define LEASE_US (15 * PROTOCOL_S)
#define LEASE_RENEW_US (5 * PROTOCOL_S)
#define LEASE_RENEW_TIMEOUT_US PROTOCOL_S        /* then a renewal is given up */
#define LEASE_RENEW_AGAIN_US (500 * PROTOCOL_MS) /* after one that failed */

/* How long before its lease ends a node sends no more. What it has to cover, on top of clocks that
 * run at different rates: a step of the database's clock when a standby takes over. The rest is for
 * a dispatch thread that is late between its look at the clock and its send. */
#define LEASE_MARGIN_US PROTOCOL_S
#define LEASE_STEP_US (500 * PROTOCOL_MS)
#define LEASE_DRIFT_PPM 200 /* of any clock */
#define LEASE_DRIFT_US (2 * LEASE_DRIFT_PPM * LEASE_US / 1000000)
/* A send under a lease that another has ended was checked at least so long before. */
#define LEASE_STALE_US (LEASE_MARGIN_US - LEASE_STEP_US - LEASE_DRIFT_US)

/* Whoever could not renew for so long gives the others a while to renew theirs, before it buries
 * one: perhaps nobody had the database. The gap is shorter than any outage in which a lease can end
 * that was renewed in time before: that is one of 15 - 5 - 1.5 s at least. */
#define LEASE_GRACE_US (6 * PROTOCOL_S)
#define LEASE_GAP_US (7 * PROTOCOL_S)
#define LOOK_US (2 * PROTOCOL_S)          /* for what a missed NOTIFY would have told */
#define UPSTREAM_FREE_US (5 * PROTOCOL_S) /* after which any node may take it */
#define GARBAGE_US (3600 * PROTOCOL_S)    /* that an object stays, once nothing can name it */
#define CHUNKS_MAX 4                      /* that a node puts or settles at a time */
#define LEASE_NONE INT64_MIN              /* '-infinity' */
#define NOBODY 0                          /* owner.node */

/* ---- rows ---- */

struct owner {
	uint64_t node, epoch;
};

/* nodes(id, epoch, lease_until, held_since, ticket, floor, draining, address, version, config) */
struct node_row {
	uint64_t epoch;         /* from 1; 0: no row */
	int64_t lease_until_us; /* LEASE_NONE: buried, left */
	int64_t held_since_us;  /* without a gap */
	uint64_t ticket;        /* of the last claim */
	uint64_t floor;         /* objects of this epoch with smaller numbers are decided */
	bool draining;
};

/* upstream_leases(upstream, node, node_epoch, epoch) */
struct upstream_row {
	struct owner owner;
	uint64_t epoch;
};

/* spans(batch, n, state, node, node_epoch, epoch, counts, output_part, error_part) */
struct span_row {
	struct owner owner;
	uint64_t epoch;
	bool is_finished;
};

/* What an object's name says: whose it is, and its number, counted by that node in that epoch. */
struct object_name {
	struct owner owner;
	uint64_t number;
};

/* ---- a node, by its monotonic clock ---- */

/* Until when a node may send: `asked_mono_us` was taken before the renewal was sent. */
int64_t lease_deadline_us(int64_t asked_mono_us);

/* To be asked before each send, not before each group of them. */
bool lease_may_send(int64_t deadline_us, int64_t mono_us);

/* What a node has of one upstream. */
struct upstream_account {
	unsigned limit;     /* how many at once */
	unsigned in_flight; /* sent and not answered */
	unsigned answered;  /* and not acknowledged */
};

/* Together under twice the limit: else the answers of those in flight would go over it. */
bool account_may_send(const struct upstream_account *a);

/* A node as all see it in the rows, in regard of one upstream. */
struct upstream_candidate {
	uint64_t node;
	unsigned driven; /* upstreams in its name */
	bool is_able;    /* has a lease, is not draining, has that upstream in its configuration */
};

/* Of an upstream that `node` has seen free for so long: it falls to the able node that drives the
 * fewest; among such, to the smallest number. That one may not be well: then to anybody, later. */
bool upstream_falls_to(uint64_t node, const struct upstream_candidate *c, size_t n,
		       int64_t free_for_us);

/* Of an upstream that `node` drives: another one that drives two fewer is to have it. */
bool upstream_is_to_move(uint64_t node, const struct upstream_candidate *c, size_t n);

/* What a node has of a span it owns. */
struct span_account {
	unsigned lines, done; /* done: acknowledged */
	unsigned in_flight;
	unsigned answered; /* and not acknowledged, perhaps in a chunk whose outcome is unknown */
	bool has_ended;    /* its batch was cancelled, or its window is over */
	bool is_unwanted;  /* the node drains, or drives no upstream that serves it */
};

enum span_step { SPAN_GOES_ON, SPAN_WAITS, SPAN_IS_WRITTEN, SPAN_IS_GIVEN_BACK };

/* Never written nor given back while the outcome of a line is unknown. */
enum span_step span_next_step(const struct span_account *a);

/* ---- transactions, by the database's clock ---- */

/* (Every one begins with the caller's own row, which makes them wait for a burial and it for them;
 * a renewal, which leaves the keys (id) and (id, epoch) as they are, waits for none:)
 * SELECT 1 FROM nodes WHERE id = $me AND epoch = $epoch FOR KEY SHARE */
bool node_is_current(const struct node_row *row, uint64_t epoch);

/* ... AND lease_until > now() */
bool node_is_live(const struct node_row *row, uint64_t epoch, int64_t now_us);

/* INSERT INTO nodes (id, epoch, lease_until, held_since, …)
 * VALUES ($me, 1, now() + '15 s', now(), …)
 * ON CONFLICT (id) DO NOTHING */
bool node_enter(struct node_row *row, int64_t now_us);

/* UPDATE nodes SET lease_until = now() + '15 s', draining = $draining,
 *	floor = greatest(floor, $floor),
 *	held_since = CASE WHEN lease_until < now() + '15 s' - '7 s' THEN now() ELSE held_since END
 * WHERE id = $me AND epoch = $epoch
 *
 * Refused: the node was buried. It drops all it has, and goes on with the epoch of the row. */
bool node_renew(struct node_row *row, uint64_t epoch, uint64_t floor, bool draining,
		int64_t now_us);

/* The one place where a time decides, and the one statement that takes from a node what it has:
 *
 * UPDATE nodes SET epoch = epoch + 1, lease_until = '-infinity', floor = 0, ticket = 0
 * WHERE id <> $me AND lease_until < now() AND lease_until <> '-infinity'
 * AND EXISTS (SELECT 1 FROM nodes WHERE id = $me AND epoch = $epoch
 *	AND lease_until > now() + '15 s' - '7 s' AND held_since < now() - '6 s')
 * (and NOTIFY nodes) */
bool node_may_bury(const struct node_row *mine, uint64_t epoch, int64_t now_us);
bool node_bury(struct node_row *row, int64_t now_us);

/* The same for the row of a node that has left: WHERE id = $me AND epoch = $epoch. Also for the
 * start before this one, where the lock on its directory shows that its process is no more. */
bool node_leave(struct node_row *row, uint64_t epoch);

/* No row, or another epoch: what it owned is free. A statement sees the newest row of a span once
 * it has locked it, but nodes as they were when it began: to it the owner may be of an epoch that
 * is to come. So it asks for a later one, behind which nothing comes back, and no row of nodes is
 * ever deleted:
 * EXISTS (SELECT 1 FROM nodes WHERE id = node AND epoch > node_epoch) */
bool owner_is_gone(const struct owner *owner, const struct node_row *row);

/* UPDATE upstream_leases SET node = $me, node_epoch = $epoch, epoch = epoch + 1
 * WHERE upstream = $u AND (node IS NULL OR <owner is gone>) AND <caller is live>
 * (what is in the caller's name already is answered as it stands) */
bool upstream_take(struct upstream_row *row, struct owner me, const struct node_row *mine,
		   const struct node_row *owners, int64_t now_us);

/* UPDATE upstream_leases SET node = NULL WHERE upstream = $u AND node = $me AND node_epoch = $epoch
 * AND epoch = $u_epoch     -- nothing is in flight there any more; NOTIFY upstreams */
bool upstream_release(struct upstream_row *row, struct owner me, uint64_t epoch);

/* UPDATE nodes SET ticket = $ticket WHERE id = $me AND epoch = $epoch AND ticket < $ticket
 * AND lease_until > now()
 * An older claim, whose outcome was given up, is refused from here on. */
bool ticket_take(struct node_row *mine, uint64_t epoch, uint64_t ticket, int64_t now_us);

/* A claim, in one transaction after its ticket:
 *
 * UPDATE spans SET node = $me, node_epoch = $epoch, epoch = epoch + 1 WHERE (batch, n) =
 *	(SELECT batch, n FROM spans WHERE state = 'open'
 *	AND <the batch has ended, or a model I drive>
 *	AND (node IS NULL OR <owner is gone>
 *		OR node = $me AND node_epoch = $epoch AND <not in $held>)
 *	ORDER BY <mine first, ended first, then the global order> LIMIT 1 FOR UPDATE SKIP LOCKED)
 * RETURNING …;
 * SELECT chunk, at, length FROM journal_pieces WHERE (batch, span) = …   -- after, never before
 *
 * In its own name, but not held: a claim whose answer was lost. */
bool span_claim(struct span_row *span, struct owner me, const struct node_row *owners,
		bool is_held);

/* state = 'open' AND node = $me AND node_epoch = $epoch AND epoch = $span_epoch AND <caller is
 * current>: what every write of a span's owner asks.
 *
 * To settle a chunk, which S3 has acknowledged, in one transaction for all its spans:
 *
 * WITH held AS (SELECT … FROM spans WHERE <as above, for each of $pieces>
 *	ORDER BY batch, n FOR UPDATE),
 * new AS (INSERT INTO journal_pieces SELECT … FROM held
 *	ON CONFLICT (batch, span, chunk) DO NOTHING RETURNING …)
 * UPDATE spans SET completed = completed + new.completed, … FROM new WHERE …
 * -- answers which of $pieces are held: the others are lost. This commit is "finished" */
bool span_is_held(const struct span_row *span, struct owner me, uint64_t epoch,
		  const struct node_row *mine);

/* UPDATE spans SET node = NULL WHERE <is held>   (and NOTIFY spans) */
bool span_give_back(struct span_row *span, struct owner me, uint64_t epoch,
		    const struct node_row *mine);

/* SELECT 1 FROM batches WHERE id = $batch FOR UPDATE;   -- two last spans wait for one another
 * UPDATE spans SET state = 'finished', output_part = $o, error_part = $e, … WHERE <is held>;
 * DELETE FROM journal_pieces WHERE (batch, span) = …;
 * UPDATE batches SET state = … WHERE id = $batch AND NOT EXISTS (SELECT 1 FROM spans WHERE
 *	batch = $batch AND state = 'open')
 * -- the manifest: SELECT output_part FROM spans WHERE batch = $batch ORDER BY n */
bool span_finish(struct span_row *span, struct owner me, uint64_t epoch,
		 const struct node_row *mine);

/* ---- garbage ---- */

/* No transaction can come that names this object and is not refused: its node is in another epoch,
 * or has decided it. What is out of reach stays so. */
bool object_is_out_of_reach(const struct object_name *name, const struct node_row *row);

/* One by one, of the objects that S3 lists, whoever made them:
 *
 * INSERT INTO garbage (name, seen) SELECT … WHERE <out of reach> AND <no row names it>
 *	ON CONFLICT (name) DO NOTHING;
 * SELECT name FROM garbage WHERE seen < now() - '1 h'    -- to be deleted
 *
 * `seen_us`: LEASE_NONE while the row is not there. */
enum object_fate { OBJECT_STAYS, OBJECT_IS_MARKED, OBJECT_GOES };
enum object_fate object_fate(const struct object_name *name, const struct node_row *row,
			     bool is_named, int64_t seen_us, int64_t now_us, int64_t age_us);
