/* samples.c: rings of the newest values, sorted where they are asked for; a moving regression for
 * the mix. */
#include "limit/samples.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "limit/common.h"

#define MIX_MEMORY 96.0 /* answers */
#define MIX_LEAST 1e-3  /* variance of the share of output below which it tells nothing */

static int float_compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

void sample_add(struct sample *s, double value)
{
	s->value[s->count++ % SAMPLES] = (float)value;
}

/* Not the median itself: where a few of many wait in the engine, those few tell that it is full. */
double sample_robust_mean(const struct sample *s, double *ret_error)
{
	unsigned n = s->count < SAMPLES ? s->count : SAMPLES;
	float sorted[SAMPLES];

	assert(n > 0);
	memcpy(sorted, s->value, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), float_compare);

	double median = sorted[n / 2], quartiles = sorted[n - 1 - n / 4] - sorted[n / 4];
	double far = fmax(0.5, 2 * quartiles), sum = 0, squares = 0;
	for (unsigned i = 0; i < n; i++) {
		double x = clamp(sorted[i] - median, -far, far);
		sum += x;
		squares += x * x;
	}
	*ret_error = sqrt(fmax(0, squares / n - (sum / n) * (sum / n)) / n);
	return median + sum / n;
}

void recent_add(struct recent *r, double value)
{
	r->value[r->count++ % RECENT] = (float)value;
}

double recent_least(const struct recent *r, unsigned k)
{
	float sorted[RECENT];

	assert(r->count >= RECENT && k < RECENT);
	memcpy(sorted, r->value, sizeof(sorted));
	qsort(sorted, RECENT, sizeof(sorted[0]), float_compare);
	return sorted[k];
}

double recent_median(const struct recent *r)
{
	float sorted[RECENT];
	unsigned n = r->count < RECENT ? r->count : RECENT;

	assert(n > 0);
	memcpy(sorted, r->value, n * sizeof(sorted[0]));
	qsort(sorted, n, sizeof(sorted[0]), float_compare);
	return sorted[n / 2];
}

double mix_corrected(struct mix *m, double ln_time, double output, double work)
{
	if (work <= 0)
		return ln_time;
	double share = output / work;
	m->count++;
	double gain = 1 / fmin(m->count, MIX_MEMORY);
	double share_off = share - m->share;
	double time_off = clamp(ln_time - m->ln_time, -0.7, 0.7);
	if (m->count <= 1) {
		*m = (struct mix){ .count = 1, .share = share, .ln_time = ln_time };
		return ln_time;
	}
	m->share += gain / 2 * share_off;
	m->ln_time += gain * time_off;
	m->variance += gain * (share_off * share_off - m->variance);
	m->covariance += gain * (share_off * time_off - m->covariance);
	double slope = clamp(m->covariance / (m->variance + MIX_LEAST), -3, 3);
	double most = 2.5 * sqrt(m->variance); /* further away it is another workload */
	return ln_time - slope * clamp(share - m->share, -most, most);
}
