/* samples.c: small statistics of answers: the sample of a phase, the last few, and what is output
 * of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "upstream/width_impl.h"

#define MIX_MEMORY 96.0 /* answers */
#define MIX_DOUBT 1e-3  /* variance of the share of output below which it tells nothing */

static int float_compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

void width_sample_add(struct width_sample *s, double value)
{
	s->value[s->count++ % SAMPLES] = (float)value;
}

/* Not the median itself: where a few of many wait in the engine, those few tell that it is full. */
double width_robust_mean(const struct width_sample *s, double *ret_error)
{
	unsigned n = s->count < SAMPLES ? s->count : SAMPLES;
	float sorted[SAMPLES];
	memcpy(sorted, s->value, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), float_compare);

	double median = sorted[n / 2], quartiles = sorted[n - 1 - n / 4] - sorted[n / 4];
	double far = fmax(0.5, 2 * quartiles), sum = 0, squares = 0;
	for (unsigned i = 0; i < n; i++) {
		double x = width_clamp(sorted[i] - median, -far, far);
		sum += x;
		squares += x * x;
	}
	*ret_error = sqrt(fmax(0, squares / n - (sum / n) * (sum / n)) / n);
	return median + sum / n;
}

void width_recent_add(struct width_recent *r, double value)
{
	r->value[r->count++ % RECENT] = (float)value;
}

double width_recent_least(const struct width_recent *r, unsigned k)
{
	float sorted[RECENT];
	memcpy(sorted, r->value, sizeof(sorted));
	qsort(sorted, RECENT, sizeof(sorted[0]), float_compare);
	return sorted[k];
}

double width_recent_median(const struct width_recent *r)
{
	float sorted[RECENT];
	unsigned n = r->count < RECENT ? r->count : RECENT;
	memcpy(sorted, r->value, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), float_compare);
	return sorted[n / 2];
}

double width_mix_corrected(struct width_mix *m, double ln_time, const struct width_answer *a)
{
	double output = (double)a->output_tokens, work = output + (double)a->prompt_tokens / 10;
	if (work <= 0)
		return ln_time;
	double share = output / work;
	m->count++;
	double gain = 1 / fmin(m->count, MIX_MEMORY);
	double share_off = share - m->share,
	       time_off = width_clamp(ln_time - m->ln_time, -0.7, 0.7);
	if (m->count <= 1) {
		*m = (struct width_mix){ .count = 1, .share = share, .ln_time = ln_time };
		return ln_time;
	}
	m->share += gain / 2 * share_off;
	m->ln_time += gain * time_off;
	m->variance += gain * (share_off * share_off - m->variance);
	m->covariance += gain * (share_off * time_off - m->covariance);
	double slope = width_clamp(m->covariance / (m->variance + MIX_DOUBT), -3, 3);
	double most = 2.5 * sqrt(m->variance); /* further away it is another workload */
	return ln_time - slope * width_clamp(share - m->share, -most, most);
}
