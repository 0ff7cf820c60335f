/* schedule.h: which line next, for one model: all batches that have lines for it, those of several
 * organizations, and all upstreams that pull from it.
 *
 * In this order:
 *
 * 1. Batches that are late: those that only make their window's end if they go first, and still
 *    can. The earliest end first. One turn in LATE_SPARES goes to the others all the same, so that
 *    none starves.
 * 2. Organizations, by deficit round robin: on its turn an organization may send for as many tokens
 *    as its weight says; what a line really took is settled when it has ended. An organization that
 *    comes while others have filled the slots begins with a credit of the tokens that it would have
 *    in flight had it been there. Where lines are quick several rounds are given at once (orgs.c).
 * 3. In an organization, the batch of the earliest effective deadline: the window's end less the
 *    time that the rest is expected to take. A batch that has begun keeps the one that it began
 *    with: two like ones would otherwise take turns and both end last. A small batch overtakes when
 *    that costs no other its deadline: its rest is a fraction of that of the ones before it and
 *    fits in half of their slack. So it is from the next forecast on; until then a batch that comes
 *    stands where its deadline says.
 * 4. In a batch, lines in input order, unless some share a long prefix: then, in a window of a few
 *    segments, the lines of a prefix go to the same upstream, the first of them, its leader, before
 *    the others. By the upstream's cache: where each slot has its own, the others follow one after
 *    another, as many prefixes side by side as there are slots. Where all slots share one, the
 *    others follow all at once when the leader was answered, and no more prefixes are open than
 *    have lines to fill the slots: so a cache with room for a few prefixes is enough. With nothing
 *    else to send lines follow without waiting: a free slot is never left empty.
 *
 * Pure: no I/O, no clock, no randomness. The caller gives the time in. Memory: a cursor for a
 * batch, whatever its size; with prefixes a window as well, about 16 bytes a line of
 * WINDOW_SEGMENTS segments, and 40 more while it is loaded. All windows together hold
 * WINDOW_SEGMENTS_ALL; a batch that finds none left goes in input order until one is. Threads:
 * dispatch alone. */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/id.h"
#include "batch/line.h"
#include "batch/opening.h"
#include "batch/segment.h"

struct schedule;
struct schedule_org;
struct schedule_window;

#define LATE_SPARES 100u /* one turn in so many goes to those that are not late */
#define LANES_MAX 64u    /* upstreams of a model that prefixes are told apart by */
#define WINDOW_SEGMENTS 16u
#define WINDOW_SEGMENTS_ALL 256u

/* Called by the schedule, in the dispatch thread; must not block. `batch` is
 * schedule_batch.batch. */
struct schedule_ops {
	/* Lends the next segment that has lines to send; false: all are lent, or ret->later is set:
	 * the next schedule_look_again() asks again. */
	bool (*segment_next)(void *batch, struct segment_cursor *ret);
	/* False when the line cannot be read: it is then sent as it is, which shows the fault. */
	bool (*look)(void *batch, uint64_t record, struct line_look *ret);
};

/* What is expected of a batch; set by schedule_forecast(). */
struct schedule_forecast {
	int64_t eta_s; /* seconds from now until its last line ends; -1: cannot be told, as
	                          * of one that is suspended, but for its hours */
	bool at_risk;  /* eta_s is after its window's end */
	unsigned queue_position; /* batches that are served before it gets a slot; 0: it has one */
};

/* Embedded in the batch; zeroed at first. The first part is set by the owner before
 * schedule_add(). */
struct schedule_batch {
	void *batch; /* for the ops */
	char org[ID_SIZE];
	unsigned org_weight; /* from 1 */
	int64_t expires_at;  /* Unix s */
	uint64_t rest_lines; /* that have not ended */
	uint64_t rest_bytes; /* of their bodies, about */
	bool prefixes;       /* some lines of its file share a prefix: worth a window */
	uint64_t lines_most; /* of the rest, that will be sent, as far as is known; 0: all */
	bool suspended;      /* no turns for it, whoever says so; then schedule_suspend() */
	const struct opening *opening; /* when it may send; outside, it is suspended. NULL: always */

	/* the schedule's own, readable by dispatch */
	struct schedule_forecast forecast;
	unsigned in_flight; /* lines given by schedule_next() that have not come back */

	/* the schedule's own */
	struct schedule_org *in; /* NULL: not in a schedule */
	bool listed;             /* has a line and is neither held nor suspended */
	bool held, spent;        /* spent: its last line was given */
	bool late, late_before;  /* see above; at the forecast before the last */
	size_t at;               /* place among all batches; after a forecast that is their order */
	size_t queued_at;        /* place in its organization's queue, while it is listed */
	size_t late_at;          /* place among those with precedence, while it is late */
	unsigned late_before_n;  /* of these that have a line, before it, at the last forecast */
	uint64_t serial;         /* the order in which they were added */
	int64_t turn_ms;         /* its turn in its organization: see forecast.c */
	uint64_t rank;           /* and among those of the same */
	struct segment_cursor cursor;
	struct schedule_window *window;
	uint64_t ended; /* lines, since it was added */
	double in_flight_tokens;
	double line_ms;       /* a line's time in flight, lately; 0: not known */
	double output_tokens; /* and its tokens beyond those that its body's size says */
	int64_t effective_deadline_ms;
	/* of the last forecast, see forecast.c */
	double each_ms, alone_ms, finish_ms, slack_ms, virtual_end;
	double left_ms; /* of its window in which it may send */
	struct opening_memo opening_memo;
};

enum schedule_cache {
	SCHEDULE_CACHE_SHARED,   /* one for all slots (vLLM, SGLang, most services) */
	SCHEDULE_CACHE_OF_SLOTS, /* each slot has its own (llama.cpp) */
};

/* Who asks for a line. */
struct schedule_lane {
	unsigned number; /* 0..LANES_MAX-1, the same for the same upstream */
	unsigned slots;  /* lines that it has in flight or may have */
	enum schedule_cache cache;
	unsigned prefixes; /* that may be open in a shared cache, at most; 0 is as 1 */
};
#define SCHEDULE_PREFIXES_ANY UINT_MAX

/* A line that is to be sent, and what came along for its way back. */
struct schedule_line {
	struct schedule_batch *batch;
	uint64_t record;
	uint32_t tokens;       /* that its organization was charged */
	uint32_t input_tokens; /* of these, what the size of its body says */
	/* Of these, at least so many should be in the upstream's cache, for a line with the same
	 * prefix was answered there. 0: none, or not known. */
	uint32_t cached_tokens;
	uint32_t group;  /* its prefix in the window; SCHEDULE_NO_GROUP: none. Opaque */
	uint32_t window; /* serial number of that window. Opaque */
};
#define SCHEDULE_NO_GROUP UINT32_MAX

/* NULL: no memory. */
MUST_USE struct schedule *schedule_open(const struct schedule_ops *ops);
/* Every batch has been removed before. NULL is fine. */
void schedule_close(struct schedule *s);

/* Adds the batch; it gets its first turn like any other of its organization. The weight of an
 * organization is that of the batch added last. Leases the batch's first segment. */
void schedule_add(struct schedule *s, struct schedule_batch *b);
/* Takes the batch out for good. Lines that it gave may still be in flight: the schedule is not told
 * of their end. */
void schedule_remove(struct schedule *s, struct schedule_batch *b);
/* A batch that is held gets no turns until it is released; it keeps everything else. */
void schedule_hold(struct schedule *s, struct schedule_batch *b, bool held);
/* The same, for another reason: the batch gets turns when both are over. */
void schedule_suspend(struct schedule *s, struct schedule_batch *b, bool suspended);

/* The next line for the lane. False when no batch has a line to send. */
bool schedule_next(struct schedule *s, const struct schedule_lane *lane, int64_t now_s,
		   struct schedule_line *ret);
/* Whether schedule_next() would find one. */
bool schedule_has_line(const struct schedule *s);
/* Whether some of its batches have lines that share a prefix. */
bool schedule_has_prefixes(const struct schedule *s);

/* Of what segment_next() could not lend for the moment it is asked again. */
void schedule_look_again(struct schedule *s);

/* The line has ended for good after `took_ms` in flight (of its last attempt; 0: it never was),
 * having used `tokens` (prompt and answer; 0: not known). For every line that schedule_next()
 * gave, once, unless its batch was removed first. */
void schedule_ended(struct schedule *s, const struct schedule_line *l, double took_ms,
		    uint64_t tokens);
/* The line was not answered and will be sent again later (from a queue of the caller's): the lines
 * of its prefix no longer wait for it, another one leads, and `l` forgets its prefix
 * (what should have been cached, too: by then others may have pushed it out).
 * schedule_ended() still follows when the line ends; a further call changes nothing. */
void schedule_put_off(struct schedule *s, struct schedule_line *l);

/* Renews every batch's forecast and whether it is late: to be called about once a second, and
 * after a batch was added. `slots`: lines of this model that are in flight at once, lately, all
 * upstreams together; 0: nothing moves. Organizations share them by weight, batches of one in
 * their order. */
void schedule_forecast(struct schedule *s, double slots, int64_t now_s);

/* Tokens of an answer to a line of the batch, beyond those of its prompt that its body's size says:
 * by those that ended lately. False: nothing is known of the model. */
bool schedule_expects(const struct schedule *s, const struct schedule_batch *b, double *ret);

/* A batch that could be added now. */
struct schedule_asked {
	const char *org;
	unsigned org_weight;
	int64_t expires_at; /* Unix s */
	uint64_t lines, bytes;
};
/* What would become of it: when its first line is sent and its last one ends, in seconds from now.
 * False: it cannot be told, since no line of the model has ended yet. `slots` as for
 * schedule_forecast(), not 0. */
MUST_USE bool schedule_foresee(const struct schedule *s, const struct schedule_asked *asked,
			       double slots, double *ret_start_s, double *ret_end_s);
/* The slots that end so many lines a second, at what a line of the model takes; 0: not known. */
double schedule_slots_of(const struct schedule *s, double lines_per_s);
/* Lines that have ended, since the schedule was made. */
uint64_t schedule_lines_ended(const struct schedule *s);

/* Batches of the organization that are in. */
size_t schedule_batches_of(const struct schedule *s, const char *org);
/* Calls `each` for every batch that is in. */
void schedule_each(struct schedule *s, void (*each)(void *ctx, struct schedule_batch *b),
		   void *ctx);
