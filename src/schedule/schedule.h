/* schedule.h: which line next, for one upstream: the batches that have lines to send stand in a
 * ring and take turns, line by line, so that a small batch does not wait behind a large one.
 * Deadlines and shares of organizations will decide the turn here.
 *
 * Memory: one lease a batch, whatever its size. Threads: dispatch alone. No I/O, no clock. */
#pragma once

#include "batch/lease.h"

/* Embedded in the batch; zeroed at first. */
struct schedule_entry {
	struct schedule_entry *next, *prev; /* NULL: not in the ring */
	void *batch;
	/* Lends the next segment that has lines to send; false: all are lent. */
	bool (*lease_next)(void *batch, struct lease *ret);
	struct lease lease;
};

struct schedule {
	struct schedule_entry *turn; /* whose turn it is; NULL: the ring is empty */
};

/* Puts the entry in the ring; it is last to have a turn. Nothing if it is in already. */
void schedule_add(struct schedule *s, struct schedule_entry *e);
/* Takes it out, keeping its lease: schedule_add() goes on there. */
void schedule_remove(struct schedule *s, struct schedule_entry *e);
/* The next line to send. False when there is none; a batch that has sent its last line leaves the
 * ring by itself. */
bool schedule_next(struct schedule *s, void **ret_batch, uint64_t *ret_record);
