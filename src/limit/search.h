/* search.h: the limiter by throughput: the least cap that gives nearly all of the throughput. The
 * cap is moved by phases. In a phase the cap stands still while a sample of answers is taken, all
 * of them of requests sent within the phase; phases are compared by robust means of their samples
 * (one line in fifty that takes 60 times longer must not move the cap).
 *
 *	GROWS      up by a factor a phase, until throughput grows too little or latency leaves the
 *	           line that it kept to so far: then to the knee, where that line meets the ceiling
 *	           of throughput
 *	HOLDS      the longer, the more often probes found nothing
 *	PROBES     about a tenth more or less; stays there when that pays, and soon tries the next
 *	SUSPENDED  another limiter tests a suspicion (yield.h): nothing is learnt
 *
 *	GROWS -> HOLDS <-> PROBES;  HOLDS, PROBES -> SUSPENDED -> HOLDS
 *	any -> GROWS (search_restart)
 *
 * Private to limit/. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "limit/curve.h"
#include "limit/samples.h"

#define SEARCH_HOLD_MIN (4 * UINT64_C(1000000)) /* us */
#define SEARCH_SETTLES 2.5 /* latencies after the knee was found for which answers come in waves */
#define SEARCH_FOUND 12    /* phases that are kept */

enum search_mode { SEARCH_GROWS, SEARCH_HOLDS, SEARCH_PROBES, SEARCH_SUSPENDED };

/* Answers while the cap stood still. */
struct search_phase {
	uint64_t since_us;
	struct sample all;
	struct sample last; /* those sent when others were in flight already */
	double ln_n;        /* sum over all of ln of requests in flight */
};

/* What a phase found. */
struct search_finding {
	double ln_n, ln_rate; /* requests in flight, work a second */
	double error;         /* of ln_rate */
	double ln_rate_last;  /* by the last sent */
};

struct search {
	enum search_mode mode;
	double cap;    /* from 1 to max */
	double max;    /* by configuration */
	unsigned kept; /* for online requests, by configuration: it comes on top */
	struct search_phase phase;
	struct search_finding found[SEARCH_FOUND]; /* while it grew, newest first */
	unsigned found_count;
	bool verify;      /* what that ended with */
	uint64_t knee_us; /* when it was last seen that more brings nothing; NEVER: not yet */
	struct search_finding base; /* before the probe */
	bool probe_down, probe_next_down;
	double probe_from, probe_step;
	uint64_t hold_us, hold_for_us;
};

/* What the limiter must know of the others. */
struct search_view {
	uint64_t now_us;
	double latency_us;
	bool busy;          /* latency is our own doing: no sign of a queue */
	bool may_probe;     /* its cap is the one in force */
	bool few;           /* so few requests that they take turns */
	bool online_lately; /* a part is kept free: less is in flight than the cap says */
};

/* An answer's place in the phase. */
struct search_answer {
	uint64_t sent_us;
	double ln_n;      /* requests in flight in its life */
	double ln_time;   /* of a unit of work */
	bool sent_beside; /* nearly as many were in flight already when it was sent */
};

void search_init(struct search *s, uint64_t now_us);
void search_configure(struct search *s, double max, unsigned kept, uint64_t now_us);

/* What max allows is more or less than it was, in units. */
void search_bound(struct search *s, double max);

/* Whether a request that was sent then belongs to the phase. */
bool search_in_phase(const struct search *s, uint64_t sent_us);
void search_sample(struct search *s, const struct search_answer *a);
/* After an answer: goes on to the next phase when the sample is large enough. True: the knee is
 * found, and the curve above it shows only the queue that formed. */
MUST_USE bool search_step(struct search *s, const struct search_view *v);

/* The cap when no probe is under way. */
double search_goal(const struct search *s);
bool search_is_steady(const struct search *s); /* it holds or probes */
bool search_probes_up(const struct search *s);

/* ---- what other limiters ask of it ---- */

/* The sample begins anew: the limit in force has changed. */
void search_phase_again(struct search *s, uint64_t now_us);
/* Holds, at least so long (and no less than 4 s, no more than 2 min). */
void search_hold(struct search *s, uint64_t for_us, uint64_t now_us);
/* Starts over: what search knows was learnt beside other clients that are gone. */
void search_restart(struct search *s, uint64_t now_us);
/* Stops growing, or probing, and holds. */
void search_settle_at(struct search *s, double cap, uint64_t now_us);
/* More than `cap` only waits: the search, or what it found, went too far. */
void search_overrun(struct search *s, double cap, uint64_t now_us);
/* Holds a cap that another gives, until that one gives another or search_hold() is called. */
void search_follow(struct search *s, double cap, uint64_t now_us);
/* Goes back from a probe and learns nothing until search_hold(). */
void search_suspend(struct search *s, uint64_t now_us);
/* After an outage: goes back from a probe, and holds unless it grows. */
void search_reopened(struct search *s, uint64_t now_us);
