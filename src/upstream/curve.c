/* curve.c: the curve, time of a unit of work by requests in flight, in bins of a quarter of an
 * octave. */
#include <math.h>

#include "upstream/width_impl.h"

#define BIN_MEMORY 48.0 /* answers over which a bin forgets */
#define BIN_REACH 0.1   /* in ln of requests in flight: how far beside it a bin speaks */

static double bin_ln_n(unsigned i)
{
	return i * (M_LN2 / BINS_PER_OCTAVE);
}

unsigned width_bin_index(double n)
{
	return (unsigned)width_clamp(log(n) * (BINS_PER_OCTAVE / M_LN2) + 0.5, 0, BINS - 1);
}

static bool bin_speaks(const struct width_bin *b)
{
	return b->weight >= BIN_FIRST;
}

bool width_curve_at(const struct width *w, double ln_n, double *ret_ln_time)
{
	double at = ln_n * (BINS_PER_OCTAVE / M_LN2);
	int low = (int)width_clamp(floor(at), 0, BINS - 1), high = low + 1;
	const int reach = 2 * BINS_PER_OCTAVE;
	int from = low;
	while (low >= 0 && low > from - reach && !bin_speaks(&w->bins[low]))
		low--;
	bool low_speaks = low >= 0 && low > from - reach;
	while (high < BINS && high <= from + reach && !bin_speaks(&w->bins[high]))
		high++;
	bool high_speaks = high < BINS && high <= from + reach;

	if (!low_speaks && !high_speaks)
		return false;
	if (!low_speaks || !high_speaks) {
		*ret_ln_time = w->bins[low_speaks ? low : high].ln_time;
		return fabs(bin_ln_n((unsigned)(low_speaks ? low : high)) - ln_n) < BIN_REACH;
	}
	double part = (at - low) / (high - low);
	*ret_ln_time = w->bins[low].ln_time * (1 - part) + w->bins[high].ln_time * part;
	return true;
}

double width_curve_near(const struct width *w, double ln_n)
{
	double ln_time, nearest = INFINITY, at = 0;
	if (width_curve_at(w, ln_n, &ln_time))
		return ln_time;
	for (unsigned i = 0; i < BINS; i++)
		if (bin_speaks(&w->bins[i]) && fabs(bin_ln_n(i) - ln_n) < nearest) {
			nearest = fabs(bin_ln_n(i) - ln_n);
			at = w->bins[i].ln_time;
		}
	return at;
}

static void bin_learn(struct width_bin *b, double ln_time, double clip)
{
	if (b->weight < BIN_FIRST) {
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
	b->ln_time += (float)(width_clamp(ln_time - b->ln_time, -clip, clip) / b->weight);
}

void width_curve_learn(struct width *w, double n, double ln_time)
{
	bin_learn(&w->bins[width_bin_index(n)], ln_time, fmax(0.05, 3 * w->spread));
}

void width_curve_forget(struct width *w, double ln_n)
{
	for (unsigned i = 0; i < BINS; i++)
		if (bin_ln_n(i) > ln_n)
			w->bins[i].weight = 0;
}

void width_curve_shift(struct width *w, double by)
{
	for (unsigned i = 0; i < BINS; i++)
		w->bins[i].ln_time += (float)by;
	w->residual = 0;
}

void width_curve_bend(struct width *w, double low_ln_n, double low_by, double high_ln_n,
		      double high_by)
{
	for (unsigned i = 0; i < BINS; i++) {
		double part = (bin_ln_n(i) - low_ln_n) / fmax(0.1, high_ln_n - low_ln_n);
		w->bins[i].ln_time += (float)(low_by +
					      width_clamp(part, 0, 1) * (high_by - low_by));
	}
	w->residual = 0;
}

bool width_curve_flat(const struct width *w, double *ret_knee)
{
	int top = BINS - 1;
	while (top >= 0 && w->bins[top].weight < 2 * BIN_FIRST)
		top--;
	int low = top - BINS_PER_OCTAVE;
	while (low >= 0 && w->bins[low].weight < 2 * BIN_FIRST)
		low--;
	if (low < 0)
		return false;
	double grown = bin_ln_n((unsigned)top) - bin_ln_n((unsigned)low);
	double more = grown - (w->bins[top].ln_time - w->bins[low].ln_time);
	*ret_knee = exp(bin_ln_n((unsigned)low));
	return more < PAYS_NOT * grown;
}

double width_curve_top(const struct width *w)
{
	int top = BINS - 1;
	while (top >= 0 && !bin_speaks(&w->bins[top]))
		top--;
	return top < 0 ? START : exp(bin_ln_n((unsigned)top));
}

double width_curve_pays(const struct width *w)
{
	unsigned low = 0, top = BINS - 1;
	while (low < top && !bin_speaks(&w->bins[low]))
		low++;
	while (top > low && !bin_speaks(&w->bins[top]))
		top--;
	if (top - low < BINS_PER_OCTAVE)
		return 1;
	double grown = bin_ln_n(top) - bin_ln_n(low);
	return 1 - (w->bins[top].ln_time - w->bins[low].ln_time) / grown;
}
