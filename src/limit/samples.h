/* samples.h: small statistics of answers, which decide nothing. All begin as { 0 }. Private to
 * limit/. Pure. Threads: the owner's. */
#pragma once

#include <stdint.h>

/* The newest SAMPLES of some values. */
#define SAMPLES 256
struct sample {
	unsigned count; /* of all */
	float value[SAMPLES];
};

void sample_add(struct sample *s, double value);
/* The mean, with outliers drawn towards the median, and the error of that mean. At least one
 * value. */
double sample_robust_mean(const struct sample *s, double *ret_error);

/* The newest RECENT. */
#define RECENT 12
struct recent {
	unsigned count; /* of all */
	float value[RECENT];
};

void recent_add(struct recent *r, double value);
/* The k-th least, from 0, of RECENT values. */
double recent_least(const struct recent *r, unsigned k);
/* The median of the values that there are, at least one. */
double recent_median(const struct recent *r);

/* How the time of a unit of work depends on the share of output in an answer: prompt tokens take
 * less or more time than they count for, and every request waits before it begins. Without this
 * correction the speed would seem to change with the lengths that happen to end first. Moving
 * means. */
struct mix {
	double count, share, ln_time, variance, covariance;
};

/* What an answer's ln of time a unit of work would be if as much of its `work` were `output` as of
 * others'. */
double mix_corrected(struct mix *m, double ln_time, double output, double work);
