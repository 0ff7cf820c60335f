/* options.c */
#include "batch/options.h"

#include <stdlib.h>
#include <string.h>

void batch_options_done(struct batch_options *o)
{
	free(o->override);
	o->override = NULL;
}

/* "HH:MM" at `p`. */
static bool read_time(const char *p, unsigned *ret_min)
{
	for (int i = 0; i < 5; i++)
		if (i == 2 ? p[i] != ':' : p[i] < '0' || p[i] > '9')
			return false;
	unsigned hour = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
	unsigned minute = (unsigned)(p[3] - '0') * 10 + (unsigned)(p[4] - '0');
	*ret_min = hour * 60 + minute;
	return hour < 24 && minute < 60;
}

bool batch_hours_read(struct slice text, struct batch_hours *ret)
{
	static const size_t times_bytes = sizeof("22:00-06:00") - 1;

	*ret = (struct batch_hours){ 0 };
	if (text.n < times_bytes || text.n >= HOURS_BYTES || text.p[5] != '-' ||
	    memchr(text.p, '\0', text.n) != NULL || !read_time(text.p, &ret->from_min) ||
	    !read_time(text.p + 6, &ret->to_min) || ret->from_min == ret->to_min)
		return false;
	if (text.n == times_bytes)
		return true;
	struct slice zone = { text.p + times_bytes + 1, text.n - times_bytes - 1 };
	return text.p[times_bytes] == ' ' && zone.n > 0 &&
	       slice_copy(zone, ret->zone, sizeof(ret->zone));
}
