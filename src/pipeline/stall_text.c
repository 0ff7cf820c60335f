/* stall_text.c: see stall_text.h. */
#include "pipeline/stall_text.h"

#include <stdio.h>

#include "base/duration.h"
#include "base/sys.h"

bool stall_text_hold(const struct batch *row, char message[static STALL_TEXT_BYTES])
{
	char since[TIME_TEXT_BYTES];

	if (row->hold == BATCH_GOES_ON)
		return false;
	time_format(row->held_at, since);
	if (row->hold == BATCH_CANARY)
		snprintf(message, STALL_TEXT_BYTES,
			 "its canary of %llu lines has ended: held since %s, until it is resumed",
			 (unsigned long long)row->options.canary, since);
	else
		snprintf(message, STALL_TEXT_BYTES, "held since %s, until it is resumed", since);
	return true;
}

/* The contract has no word of its own for it: `held`, and until when. */
void stall_text_hours(const struct batch *row, const struct opening *opening,
		      char message[static STALL_TEXT_BYTES])
{
	char next[TIME_TEXT_BYTES];
	int64_t now = sys.now_s();

	if (opening == NULL) {
		snprintf(message, STALL_TEXT_BYTES,
			 "the zone of its hours, %s, is not known to this server: see to its tz "
			 "database, and start it again",
			 row->options.hours);
		return;
	}
	time_format(opening_next(opening, now), next);
	if (now < row->options.not_before)
		snprintf(message, STALL_TEXT_BYTES, "no line is sent before %s", next);
	else
		snprintf(message, STALL_TEXT_BYTES, "lines are sent at its hours, %s: from %s on",
			 row->options.hours, next);
}
