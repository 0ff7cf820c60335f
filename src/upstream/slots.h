/* slots.h: the one account of requests in flight.
 *
 * A slot is a unit of a concurrency limit. A line takes it while it is in flight; when the upstream
 * has answered, the slot is free for the next line, and the account keeps the line as one that is
 * not durable yet:
 *
 *	         slot_take()          slot_answered()            slot_durable()
 *	SLOT_FREE ---------> SLOT_SENT ------------> SLOT_ANSWERED ----------> free
 *	    ^                    |                        |
 *	    +----- slot_drop() --+------------------------+
 *
 * What is answered and not durable is bounded by itself, at the level of dispatch, because there is
 * one recorder: at UNSYNCED_MAX nothing more is sent (slots_unsynced_full()). So a kill at any
 * instant makes at most as many lines run again as the limits allow in flight and UNSYNCED_MAX,
 * usually those in flight and those of one or two syncs; and while the disk refuses sending stops.
 *
 * Beside requests the units of their bodies are counted (batch/weight.h): what an engine's gauges
 * show of them.
 *
 * The account is kept at every level that asks: of a lane, of its upstream, of dispatch (`of` leads
 * from one to the next), and of the batch that the line is of. Each call moves all of them, so they
 * agree; slots_agree() asserts it. Online requests hold a slot of their upstream alone, from take
 * to drop.
 *
 * Threads: dispatch, but slot_durable() and slots_held(), which any thread may call. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

#define UNSYNCED_MAX 1024u /* answered lines that are not durable, in all of dispatch */

/* The account of one level. Zeroed at first, but for `of`. */
struct slots {
	struct slots *of; /* of the level above; NULL: there is none */

	/* its own; to be read */
	unsigned sent;         /* lines in flight */
	_Atomic unsigned held; /* `sent`, and those answered and not durable: slots_held() */
	unsigned probes;       /* of `sent`, those that find out whether there is an answer again */
	uint64_t probed_at_ms; /* when the last of them was sent */
	unsigned alone; /* of `sent`, those beside which no line may be in flight on the upstream */
	unsigned online;                   /* online requests in flight */
	unsigned sent_units, online_units; /* of `sent`, of `online`: at least one each */
};

enum slot_state { SLOT_FREE, SLOT_SENT, SLOT_ANSWERED };

/* The slot of one line. Zeroed at first. */
struct slot {
	/* set before slot_take() */
	struct slots *lane, *batch;
	bool probe, alone;
	unsigned units; /* of its body, from 1 */

	enum slot_state state; /* its own */
};

/* The request goes out. `alone` only where the lane's upstream has no line in flight, and then no
 * other until it has ended. */
void slot_take(struct slot *s, uint64_t now_ms);
/* The request has ended, whichever way: the upstream is done with it and takes another, but the
 * line is not durable. */
void slot_answered(struct slot *s);
/* The line goes on to the thread that makes it durable: `s` is free for another, and the returned
 * lane keeps what the line held, for slot_durable(). */
MUST_USE struct slots *slot_hand_on(struct slot *s);
/* A line that was handed on is durable. Any thread. This is the last touch of the lane: a lane that
 * holds nothing may be freed. */
void slot_durable(struct slots *lane, struct slots *batch);
/* The line is dropped, or will be sent again: sent or answered, it holds nothing any more. */
void slot_drop(struct slot *s);

void slot_online_take(struct slots *upstream, unsigned units);
/* With the units with which it was taken. */
void slot_online_drop(struct slots *upstream, unsigned units);

/* Lines that were sent and are not durable. */
static inline unsigned slots_held(const struct slots *s)
{
	return s->held;
}

/* Lines that were answered and are not durable. */
static inline unsigned slots_unrecorded(const struct slots *s)
{
	return s->held - s->sent;
}

/* Requests in flight, lines and online: what counts against the limit of an upstream. */
static inline unsigned slots_in_flight(const struct slots *s)
{
	return s->sent + s->online;
}

/* Whether so many lines wait to become durable, at the level above all others, that no line may be
 * sent. */
bool slots_unsynced_full(const struct slots *s);

/* Asserts that what the levels below say, added up in `sum` by slots_add(), is what `s` says; of
 * online requests, which lanes have none of, slots_agree_online(). */
void slots_add(struct slots *sum, const struct slots *below);
void slots_agree(const struct slots *s, const struct slots *sum);
void slots_agree_online(const struct slots *s, const struct slots *sum);
