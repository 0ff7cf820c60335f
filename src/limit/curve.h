/* curve.h: the time that a unit of work takes, by requests in flight: a curve in bins of a quarter
 * of an octave, learnt from answers. The curve decides nothing: the limiters draw the conclusions.
 * All times are ln of seconds a unit; `ln_n` is ln of requests in flight, from 0. Begins as { 0 }.
 * Private to limit/. Pure. */
#pragma once

#include <stdbool.h>

#define CURVE_BINS_PER_OCTAVE 4
#define CURVE_BINS (CURVE_BINS_PER_OCTAVE * 16 + 1)
#define CURVE_FIRST 3 /* the median of so many answers is where a bin begins */

/* How much of a relative growth in flight has to come back as throughput (an elasticity; 0.1 is 7 %
 * for a doubling): above the first more pays, below the second less does, and between the two it
 * stays. */
#define CURVE_PAYS 0.12
#define CURVE_PAYS_NOT 0.07

struct curve_bin {
	float ln_time, first[CURVE_FIRST];
	float weight; /* answers, forgotten over time */
};

struct curve {
	struct curve_bin bins[CURVE_BINS];
};

/* The bin for `n` requests in flight, from 1. */
unsigned curve_bin_index(double n);
/* The time at `ln_n`, between the nearest bins that know; false when none is near. */
bool curve_at(const struct curve *c, double ln_n, double *ret_ln_time);
/* ... or what the nearest bin says; 0: none knows. */
double curve_near(const struct curve *c, double ln_n);
/* An answer with `n` in flight took so long a unit of work; `spread`: how far answers scatter. */
void curve_learn(struct curve *c, double n, double ln_time, double spread);
/* Forgets what is known above `ln_n`. */
void curve_forget_above(struct curve *c, double ln_n);
void curve_clear(struct curve *c);
/* The workload changed: moves the whole curve. */
void curve_shift(struct curve *c, double by);
/* ... more at one end than at the other: longer prompts slow answers the more, the more are in
 * flight. */
void curve_bend(struct curve *c, double low_ln_n, double low_by, double high_ln_n, double high_by);
/* Whether answers so far show that throughput does not grow from *ret_knee requests in flight
 * up. */
bool curve_flat(const struct curve *c, double *ret_knee);
/* The most in flight of which answers are known; LIMIT_START: none. */
double curve_top(const struct curve *c);
/* The elasticity over all that is known: how much of the growth in flight came back as throughput;
 * 1: not known. */
double curve_pays(const struct curve *c);
