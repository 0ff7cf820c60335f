/* recorder.h: the thread that makes finished lines durable: takes outcomes, formats them, appends
 * them to their batches' journals, syncs once a group, and then acknowledges.
 *
 * A group is what came while the one before was being synced. While the disk refuses (full,
 * failing) the recorder keeps the group, says so once in the log and tries again every half second;
 * of a batch that is to end anyway only a few times, so that a journal on a bad sector does not
 * hold up its own batch's end, and all others, for ever. What waits here is bounded by dispatch,
 * which sends nothing while UNSYNCED_MAX answered lines are not durable (upstream/slots.h); a group
 * has no bound of its own. The owners of a group are synced one after another.
 *
 * Where outcomes are published (recorder_ops.publish), a group costs an object and a transaction: it may
 * also take in what comes for GATHER_MS after its first, as recorder_gather() says. */
#pragma once

#include "base/error.h"
#include "batch/outcome.h"
#include "journal/journal.h"

struct recorder;

#define RECORDED_MAX 32u /* owners whose files are open at once for it */
#define GATHER_MS 200u   /* counts that clients are shown are so old, and a second at most */

/* Outcomes of one owner, linked by `next`, whose records stand one behind the other in its journal. */
struct recorded {
	void *owner;
	const struct outcome *first;
	const struct journal *journal;
	uint64_t at, end;
	bool is_lost; /* the answer; false before it */
};

struct recorder_ops {
	/* The journal of outcome.owner, open until `durable`; NULL: it cannot be opened now. And
	 * its batch's id for the log. */
	struct journal *(*journal)(void *owner, struct error *err);
	const char *(*name)(void *owner);
	/* These outcomes of one owner, linked by `next`, are durable. Recorder thread; they are
	 * freed afterwards. */
	void (*durable)(void *ctx, void *owner, const struct outcome *first);
	/* Whether `owner`'s batch is to end: cancelled, its window over. Asked while the disk
	 * refuses. */
	bool (*ends)(void *owner);
	/* These outcomes of one owner, linked by `next`, were given up: none is durable. Recorder
	 * thread; they are freed afterwards. */
	void (*given_up)(void *ctx, void *owner, const struct outcome *first);
	/* All that was pushed for `owner` before recorder_flush() is durable, or given up. Recorder
	 * thread. */
	void (*flushed)(void *ctx, void *owner);
	/* NULL: what a journal has synced is durable. Else it is once this has returned true: the
	 * journals of `parts`, up to RECORDED_MAX of different owners, are synced as far as `end`,
	 * and are scratch. Sets is_lost of those that no longer count, which are given up. After a
	 * failure nobody may know whether it has happened, or some have: the same parts are given
	 * again, as they were left, until it returns true or the recorder closes. Recorder
	 * thread. */
	bool (*publish)(void *ctx, struct recorded *parts, size_t n, struct error *err);
};

MUST_USE bool recorder_open(const struct recorder_ops *ops, void *ctx, struct recorder **ret,
			    struct error *err);
/* Makes durable what was pushed (unless the disk refuses), then ends the thread. NULL is fine. */
void recorder_close(struct recorder *r);

/* Hands over `o`. Never blocks. Any thread. */
void recorder_push(struct recorder *r, struct outcome *o);
/* How the next groups are gathered, at first GATHER_NOT: BRIEFLY for half as long as it took to publish
 * lately. A flush, a wait or the end is not kept waiting by either. Of no effect where nothing is
 * published. Cheap; any thread. */
void recorder_gather(struct recorder *r, enum outcome_gather how);
/* Asks for ops->flushed(owner). Any thread. */
void recorder_flush(struct recorder *r, void *owner);
/* Returns once everything pushed so far is durable, or false after `timeout_ms`. */
bool recorder_wait(struct recorder *r, uint64_t timeout_ms);
/* True while the disk refuses. Any thread. */
bool recorder_stalled(const struct recorder *r);
/* True while it is full. Any thread. */
bool recorder_has_no_room(const struct recorder *r);
