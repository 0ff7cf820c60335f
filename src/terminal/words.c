/* words.c: see words.h. */
#include "terminal/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "terminal/meter.h"

void words_number(int64_t value, char to[static WORDS_BYTES])
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRId64, value);
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		to[at++] = digits[i];
		if (digits[i] != '-' && i + 1 < n && (n - i - 1) % 3 == 0)
			to[at++] = ',';
	}
	to[at] = '\0';
}

void words_bytes(uint64_t bytes, char to[static WORDS_BYTES])
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB", "EB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1023.95 && unit + 1 < ARRAY_LEN(units); unit++)
		value /= 1024;
	if (unit == 0)
		snprintf(to, WORDS_BYTES, "%" PRIu64 " B", bytes);
	else
		snprintf(to, WORDS_BYTES, "%.1f %s", value, units[unit]);
}

void words_age(int64_t at, int64_t now, char to[static WORDS_BYTES])
{
	int64_t past;
	char span[24];

	if (__builtin_sub_overflow(now, at, &past) || past == INT64_MIN) {
		snprintf(to, WORDS_BYTES, "?"); /* no time of ours */
		return;
	}
	meter_span(past < 0 ? -past : past, span);
	if (past == 0)
		snprintf(to, WORDS_BYTES, "now");
	else
		snprintf(to, WORDS_BYTES, past < 0 ? "in %s" : "%s ago", span);
}

void words_time(int64_t at, char to[static WORDS_BYTES])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || strftime(to, WORDS_BYTES, "%F %T", &tm) == 0)
		snprintf(to, WORDS_BYTES, "%" PRId64, at);
}
