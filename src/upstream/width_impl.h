/* width_impl.h: how the controller of width.h works, and what its files share.
 *
 * Several limits, of which the least is in force:
 *
 *	aim     what throughput and the engine's queue say; moved by the steps below (aim.c,
 *	        engine.c)
 *	calm    after a refusal: cut, then up again with every answer, slowly above where it was
 *	        refused (refusals.c)
 *	polite  others were noticed in our latency: leaves room for them (others.c)
 *	gate    after a pause (width.c)
 *
 * `aim` is moved by phases. In a phase it stands still while a sample of answers is taken, all of
 * them of requests sent within the phase; phases are compared by robust means of their samples (one
 * line in fifty that takes 60 times longer is not to move anything).
 *
 *	SEARCH  up by a factor a phase, until throughput grows too little or latency leaves the
 *	        line that it kept to so far: then to the knee, where that line meets the ceiling of
 *	        throughput
 *	HOLD    the longer, the more often probes found nothing
 *	PROBE   about a tenth more or less; stays there when that pays, and soon tries the next
 *	DOUBT   latency is far above the curve: less in flight, to see whether that brings it back
 *
 * The curve, time per unit of work by requests in flight, is kept beside that (curve.c): it tells
 * doubts what latency should be at any number in flight, and how far the search may go on the
 * engine's word. */
#pragma once

#include "upstream/width.h"

#define SECOND UINT64_C(1000000)
#define MINUTE (60 * SECOND)
#define NEVER UINT64_MAX

#define START 4.0
#define FLOOR 2.0  /* what the gauges alone can not take away */
#define SMALL 16.0 /* too little in flight for online requests to have a part of it kept free */

/* How much of a relative growth in flight has to come back as throughput (an elasticity; 0.1 is 7 %
 * for a doubling). Between the two, it stays. */
#define PAYS 0.12
#define PAYS_NOT 0.07

#define CURVE_FAR 0.22 /* in ln: latency so far from the curve; below it: the curve is wrong */
#define WAVES 6.0      /* latencies after a pause for which requests sent together say little */
#define HOLD_MIN (4 * SECOND)
#define RESERVE_FOR (10 * MINUTE)
#define SLOTS_WAIT_MIN MINUTE /* between tries for more slots */

enum width_mode { SEARCH, HOLD, PROBE, DOUBT };

#define BINS_PER_OCTAVE 4
#define BINS (BINS_PER_OCTAVE * 16 + 1)
#define BIN_FIRST 3 /* the median of so many is where a bin begins */
struct width_bin {
	float ln_time, first[BIN_FIRST];
	float weight;         /* answers, forgotten over time */
	float tries, refused; /* of requests sent with so many in flight */
};

#define SAMPLES 256
struct width_sample {
	unsigned count; /* of all; the newest SAMPLES are kept */
	float value[SAMPLES];
};

#define RECENT 12
struct width_recent {
	unsigned count; /* of all; the newest RECENT are kept */
	float value[RECENT];
};

/* Answers while the aim stood still. */
struct width_phase {
	uint64_t since_us;
	struct width_sample all;
	struct width_sample
		last; /* those sent when others were in flight already; see search_step() */
	double ln_n;  /* sum over all of ln of requests in flight */
};

/* How the time of a unit of work depends on how much of an answer is output: a prompt is cheaper or
 * dearer than width.c counts it, and all wait for a while before they begin. Without that the
 * chance of which lengths end first would be taken for a change of speed. Moving means. */
struct width_mix {
	double count, share, ln_time, variance, covariance;
};

#define FOUND 12 /* phases of the search that are kept */
/* What a phase found. */
struct width_finding {
	double ln_n, ln_rate; /* requests in flight, work a second */
	double error;         /* of ln_rate */
	double ln_rate_last;  /* by the last sent */
};

struct width {
	struct width_config config;
	enum width_mode mode;
	double aim, calm, polite, gate; /* INFINITY: not in force */

	/* width.c: what is in flight, answers, room */
	unsigned batch, online;
	double area; /* integral of requests in flight, in request-microseconds, until area_us */
	uint64_t area_us;
	uint64_t online_us; /* an online request was last seen; NEVER: none was */
	double allowed;     /* batch lines in flight and held, when room was last asked for */
	unsigned held;      /* then */
	bool full;   /* nearly all that was allowed was taken in the life of the last answer */
	double pace; /* lines that may be sent at once, at pace_us */
	uint64_t pace_us;
	double latency_us; /* of a request, averaged in ln */
	uint64_t answered_us;
	double answer_gap_us;    /* between answers, averaged */
	uint64_t waves_until_us; /* what was sent together still comes together */
	struct width_mix mix;

	/* curve.c */
	struct width_bin bins[BINS];

	/* aim.c */
	struct width_phase phase;
	struct width_finding found[FOUND]; /* of the search, newest first */
	unsigned found_count;
	bool verify;      /* ... what it ended with */
	uint64_t knee_us; /* when it was last seen that more brings nothing; NEVER: not yet */
	struct width_finding base; /* before the probe */
	bool probe_down, probe_next_down;
	double probe_from, probe_step;
	uint64_t hold_us, hold_for_us;

	/* others.c */
	double residual, residual_fast; /* of ln time against the curve: moving means */
	double spread;                  /* how it scatters */
	uint64_t residual_us;           /* when one was last taken for `residuals` */
	struct width_recent residuals, crowds, crowds_sent;
	bool doubt_open;                /* `polite` is that of a doubt */
	bool doubt_eased;               /* what was in flight does not end */
	uint64_t doubted_us;            /* the doubt began */
	double bite;                    /* where it began */
	double polite_before;           /* `polite`, before it */
	double crowd_found, crowd_sent; /* others in flight at most, by answers since it began */
	double crowd;                   /* ... that room is kept for */
	bool crowd_here;                /* they are */
	uint64_t polite_us;             /* its growth is accounted for until then */

	/* refusals.c */
	uint64_t refused_us;  /* of the last cut: what was sent before does not cut again */
	double ceiling;       /* where it was refused */
	unsigned calm_wait_s; /* between steps above the ceiling */
	uint64_t calm_step_us;
	unsigned tries;      /* since those of the bins were halved */
	bool refused_anyhow; /* refusals do not depend on the width */

	/* engine.c */
	struct gauges gauges; /* of the last poll */
	uint64_t gauges_us;   /* NEVER: there are none */
	unsigned polls;
	double others, others_before; /* by the last poll, and the one before */
	double others_most;           /* of the last ten minutes */
	uint64_t others_most_us;
	/* Ours on the same engine, of other lanes: least of these eight polls, of those before. */
	double elsewhere, elsewhere_before;
	double running_most;   /* that ran at once, forgotten over some ten minutes */
	double running_lately; /* the most of the last polls */
	unsigned queue_polls, many_polls, crowd_polls; /* one after another: see engine_full() */
	unsigned idle_polls; /* with none waiting, though all slots are taken */
	double slots;        /* that the engine has, as its queue tells; INFINITY: not known */
	uint64_t slots_us, slots_wait_us; /* when that was last seen or tried; until the next try */
	uint64_t slots_try_us;            /* more is tried since; NEVER: it is not */
	unsigned same_polls, same_answers, floor_answers; /* see gauges_lie() */
	uint64_t floor_since_us;
	uint64_t distrust_until_us, distrust_for_us;
	enum width_reason cut; /* the last that moved aim from outside of the phases */
	uint64_t cut_us;
};

static inline double width_clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* ---- width.c ---- */

/* Accounts for what was in flight until now; before anything changes that. */
void width_advance(struct width *w, uint64_t now_us);
/* Requests in flight: ours, and others that the metrics show. */
double width_in_flight(const struct width *w);
/* What of the width the phases see: all limits but the gate. */
double width_limit(const struct width *w);
/* Whether online requests, or others in the metrics, are there or were in the last ten minutes. */
bool width_online_lately(const struct width *w, uint64_t now_us);

/* ---- samples.c ---- */

void width_sample_add(struct width_sample *s, double value);
/* The mean, with what is far from the median drawn near, and the error of that mean. */
double width_robust_mean(const struct width_sample *s, double *ret_error);
void width_recent_add(struct width_recent *r, double value);
/* The k-th least, from 0, of RECENT values. */
double width_recent_least(const struct width_recent *r, unsigned k);
/* Of as many as there are, at least one. */
double width_recent_median(const struct width_recent *r);
/* What an answer's ln of time a unit of work would be if as much of it were output as of others. */
double width_mix_corrected(struct width_mix *m, double ln_time, const struct width_answer *a);

/* ---- curve.c ---- */

/* The bin for `n` requests in flight, from 1. */
unsigned width_bin_index(double n);
/* ln of the time of a unit of work at `ln_n`, between the nearest bins that know; false when none
 * is near. */
bool width_curve_at(const struct width *w, double ln_n, double *ret_ln_time);
/* ... or what the nearest bin says. */
double width_curve_near(const struct width *w, double ln_n);
/* An answer with `n` in flight took so long a unit of work. */
void width_curve_learn(struct width *w, double n, double ln_time);
/* What is known above `ln_n` is to be learnt anew. */
void width_curve_forget(struct width *w, double ln_n);
/* The workload changed: all of the curve moves. */
void width_curve_shift(struct width *w, double by);
/* ... more in one place than in another: prompts that are longer are felt the more, the more there
 * are. */
void width_curve_bend(struct width *w, double low_ln_n, double low_by, double high_ln_n,
		      double high_by);
/* Whether answers so far say that more brings nothing, at less than what is in flight. */
bool width_curve_flat(const struct width *w, double *ret_knee);
/* The most in flight of which answers are known. */
double width_curve_top(const struct width *w);
/* How much of what was added came back as throughput, over all that is known. */
double width_curve_pays(const struct width *w);

/* ---- aim.c ---- */

void width_set_aim(struct width *w, double aim); /* from 1 to max */
/* Begins a sample: what was sent before does not count. */
void width_phase_begin(struct width *w, uint64_t now_us);
/* Holds the aim where it is, at least so long (and no less than 4 s, no more than 2 min). */
void width_hold_for(struct width *w, uint64_t for_us, uint64_t now_us);
/* After an answer: goes on to the next phase when the sample is large enough. */
void width_phase_step(struct width *w, uint64_t now_us);

/* ---- others.c ---- */

/* An answer, outside of the search: how many others were in flight by it, with `n` of ours in
 * flight in its life and `n_sent` when it was sent. */
void width_crowd_look(struct width *w, double n, double n_sent, double ln_time);
/* An answer's ln of time less what the curve says; may begin a doubt. */
void width_residual_learn(struct width *w, double residual, uint64_t now_us);
/* ... of a request that was sent in a doubt; may end it. */
void width_doubt_step(struct width *w, double residual, uint64_t now_us);
/* Time has passed: a doubt is not to last, and room that was kept for others is given up slowly. */
void width_doubt_wait(struct width *w, uint64_t now_us);
void width_polite_grow(struct width *w, uint64_t now_us);

/* ---- refusals.c ---- */

/* A request sent with `n` in flight was refused, or was not. */
void width_refusal_count(struct width *w, double n, bool refused);
/* Less, after a refusal of a request that was sent since the last cut. */
void width_calm_cut(struct width *w, const struct width_mark *m, uint64_t now_us);
/* After an answer: up again, above where it was refused only in steps far apart. */
void width_calm_grow(struct width *w, uint64_t now_us);

/* ---- engine.c ---- */

/* Whether there are metrics, not stale, and believed. */
bool width_gauges_fresh(const struct width *w, uint64_t now_us);
