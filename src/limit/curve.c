/* curve.c: the curve, time of a unit of work by requests in flight, in bins of a quarter of an
 * octave. */
#include "limit/curve.h"

#include <math.h>

#include "limit/common.h"

#define BIN_MEMORY 48.0 /* answers over which a bin forgets */
#define BIN_REACH 0.1   /* in ln of requests in flight: how far beside it a bin speaks */

static double bin_ln_n(unsigned i)
{
	return i * (M_LN2 / CURVE_BINS_PER_OCTAVE);
}

unsigned curve_bin_index(double n)
{
	return (unsigned)clamp(log(n) * (CURVE_BINS_PER_OCTAVE / M_LN2) + 0.5, 0, CURVE_BINS - 1);
}

static bool bin_speaks(const struct curve_bin *b)
{
	return b->weight >= CURVE_FIRST;
}

bool curve_at(const struct curve *c, double ln_n, double *ret_ln_time)
{
	double at = ln_n * (CURVE_BINS_PER_OCTAVE / M_LN2);
	int low = (int)clamp(floor(at), 0, CURVE_BINS - 1), high = low + 1;
	const int reach = 2 * CURVE_BINS_PER_OCTAVE;
	int from = low;

	while (low >= 0 && low > from - reach && !bin_speaks(&c->bins[low]))
		low--;
	bool low_speaks = low >= 0 && low > from - reach;
	while (high < CURVE_BINS && high <= from + reach && !bin_speaks(&c->bins[high]))
		high++;
	bool high_speaks = high < CURVE_BINS && high <= from + reach;

	if (!low_speaks && !high_speaks)
		return false;
	if (!low_speaks || !high_speaks) {
		*ret_ln_time = c->bins[low_speaks ? low : high].ln_time;
		return fabs(bin_ln_n((unsigned)(low_speaks ? low : high)) - ln_n) < BIN_REACH;
	}
	double part = (at - low) / (high - low);
	*ret_ln_time = c->bins[low].ln_time * (1 - part) + c->bins[high].ln_time * part;
	return true;
}

double curve_near(const struct curve *c, double ln_n)
{
	double ln_time, nearest = INFINITY, at = 0;

	if (curve_at(c, ln_n, &ln_time))
		return ln_time;
	for (unsigned i = 0; i < CURVE_BINS; i++)
		if (bin_speaks(&c->bins[i]) && fabs(bin_ln_n(i) - ln_n) < nearest) {
			nearest = fabs(bin_ln_n(i) - ln_n);
			at = c->bins[i].ln_time;
		}
	return at;
}

static void bin_learn(struct curve_bin *b, double ln_time, double clip)
{
	if (b->weight < CURVE_FIRST) {
		/* Sorted in; its median is where the bin begins. */
		unsigned n = (unsigned)b->weight, i = n;
		for (; i > 0 && b->first[i - 1] > ln_time; i--)
			b->first[i] = b->first[i - 1];
		b->first[i] = (float)ln_time;
		b->weight++;
		b->ln_time = b->first[n / 2];
		return;
	}
	if (b->weight < BIN_MEMORY)
		b->weight++;
	b->ln_time += (float)(clamp(ln_time - b->ln_time, -clip, clip) / b->weight);
}

void curve_learn(struct curve *c, double n, double ln_time, double spread)
{
	bin_learn(&c->bins[curve_bin_index(n)], ln_time, fmax(0.05, 3 * spread));
}

void curve_forget_above(struct curve *c, double ln_n)
{
	for (unsigned i = 0; i < CURVE_BINS; i++)
		if (bin_ln_n(i) > ln_n)
			c->bins[i].weight = 0;
}

void curve_clear(struct curve *c)
{
	*c = (struct curve){ 0 };
}

void curve_shift(struct curve *c, double by)
{
	for (unsigned i = 0; i < CURVE_BINS; i++)
		c->bins[i].ln_time += (float)by;
}

void curve_bend(struct curve *c, double low_ln_n, double low_by, double high_ln_n, double high_by)
{
	for (unsigned i = 0; i < CURVE_BINS; i++) {
		double part = (bin_ln_n(i) - low_ln_n) / fmax(0.1, high_ln_n - low_ln_n);
		c->bins[i].ln_time += (float)(low_by + clamp(part, 0, 1) * (high_by - low_by));
	}
}

bool curve_flat(const struct curve *c, double *ret_knee)
{
	int top = CURVE_BINS - 1;

	while (top >= 0 && c->bins[top].weight < 2 * CURVE_FIRST)
		top--;
	int low = top - CURVE_BINS_PER_OCTAVE;
	while (low >= 0 && c->bins[low].weight < 2 * CURVE_FIRST)
		low--;
	if (low < 0)
		return false;
	double grown = bin_ln_n((unsigned)top) - bin_ln_n((unsigned)low);
	double more = grown - (c->bins[top].ln_time - c->bins[low].ln_time);
	*ret_knee = exp(bin_ln_n((unsigned)low));
	return more < CURVE_PAYS_NOT * grown;
}

double curve_top(const struct curve *c)
{
	int top = CURVE_BINS - 1;

	while (top >= 0 && !bin_speaks(&c->bins[top]))
		top--;
	return top < 0 ? LIMIT_START : exp(bin_ln_n((unsigned)top));
}

double curve_pays(const struct curve *c)
{
	unsigned low = 0, top = CURVE_BINS - 1;

	while (low < top && !bin_speaks(&c->bins[low]))
		low++;
	while (top > low && !bin_speaks(&c->bins[top]))
		top--;
	if (top - low < CURVE_BINS_PER_OCTAVE)
		return 1;
	double grown = bin_ln_n(top) - bin_ln_n(low);
	return 1 - (c->bins[top].ln_time - c->bins[low].ln_time) / grown;
}
