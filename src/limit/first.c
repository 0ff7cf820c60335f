/* first.c: what ends in the step or two of a request that does not wait is taken off. */
#include "limit/first.h"

#include <math.h>

#define KNOWN 3u /* requests, before one is judged */
#define LATE 4.0
#define LATE_PART 0.08 /* of what was in flight */

unsigned first_came(struct first *f, double in_flight, double ended)
{
	double usual = f->ended.count > 0 ? recent_median(&f->ended) : 0;
	double waited = ended - usual;

	if (f->ended.count < KNOWN || waited <= fmax(LATE, LATE_PART * in_flight)) {
		recent_add(&f->ended, ended);
		f->late = 0;
		return 0;
	}
	f->slots = fmax(in_flight - waited, f->late > 0 ? f->slots : 1);
	return ++f->late;
}
