/* trials.h: the attempts at one line, and when it ends: a line ends only on evidence about the line
 * (contract 8.3). Pure.
 *
 * A fault of the server costs an attempt if the server was well meanwhile: answered something else
 * since the attempt was sent. Whether it was may show only later: where one request is in flight at
 * a time nothing else can be answered meanwhile. So an attempt that failed while the server was
 * thought to be up stays open, and is charged when it turns out at the line's next failure that the
 * server was well in between. What failed as a probe of a server that was down is never charged.
 *
 * A line may also be what ends the server's process, for all that are in flight with it. One that
 * was in flight at TRIALS_DEATHS of them goes alone, when nothing else is left to be sent, and ends
 * if that kills the server again. A server that another line has just killed breaks the connections
 * of those that come next: such an end counts only if the server was up when the line was sent.
 * Where that cannot be told (it has no health call), the line ends when its connection has broken
 * TRIALS_DEATHS times, alone, and for as long as patience lasts. */
#pragma once

#include "upstream/breaker.h"
#include "upstream/judge.h"

#define TRIALS_DEATHS 3u
#define TRIALS_REFUSALS 10u     /* in a row at least, before a line ends that is refused for long */
#define TRIALS_MINUTE_MS 60000u /* until it is tried again where only the operator can help */

struct trials {
	uint32_t sent;      /* requests */
	uint32_t spent;     /* that the line has to answer for */
	uint32_t deaths;    /* of the server, while it was in flight */
	uint32_t breaks;    /* of its connection, while it was in flight alone */
	bool open;          /* an attempt that failed, and that is not charged yet */
	unsigned open_lane; /* that it was sent to */
	uint64_t open_sent_ms;
	uint64_t failing_since_ms; /* the server is not well, and fails it; 0: it has not */
	uint64_t refused_since_ms; /* it is refused ("too many") again and again; 0: it is not */
	uint32_t refusals;         /* since then */
	uint64_t failed_on;        /* bits: the lanes that have counted it as a line that fails */
	uint64_t failed_ms;        /* since when these are collected */
	bool fresh;                /* the next attempt goes on a new connection */
	bool stale;          /* one went on a connection that was dead: that is excused once */
	bool broke;          /* its connection broke, with others', when it was no probe */
	uint64_t broke_trip; /* the breaker's trips then */
};

struct trials_limits {
	unsigned attempts_max; /* from 1 */
	uint64_t patience_ms;  /* execution.patience */
};

/* What is known at the end of an attempt. `lane` has learnt of it already. */
struct trials_view {
	uint64_t sent_ms, now_ms;
	unsigned lane_number; /* below 64 */
	const struct breaker *lane;
	bool well_meanwhile; /* the lane was well since sent_ms, before this end was learnt */
	bool probe;          /* it was sent while the lane or its upstream was open */
	bool open;           /* one of them is now: the line waits for it, and not for itself */
	bool broke_alone;    /* it went alone, and its connection broke */
	bool up;             /* the server was, when it was sent (breaker_is_up()) */
	uint32_t random;     /* uniform over 32 bits */
};

/* True: the line ends with the judgement's fault. False: it is tried again, not before
 * *ret_due_ms. */
bool trials_end(struct trials *t, const struct judgement *j, const struct trials_view *v,
		const struct trials_limits *limits, uint64_t *ret_due_ms);
/* Whether a line that fails does so on the lane for the first time since that was well: breakers
 * count lines, wherever these were tried meanwhile. Before the lane learns of it. */
bool trials_fail_anew(struct trials *t, const struct trials_view *v);
/* The lane's breaker opened and closed since the line's connection broke: that was a death. */
void trials_learn_death(struct trials *t, const struct breaker *lane,
			const struct breaker *upstream);

/* About 0.25, 1, 4, 16, 60, 60 s before the attempt after the `spent`th (from 0), a quarter more or
 * less by chance. */
uint64_t trials_backoff_ms(uint32_t spent, uint32_t random);
