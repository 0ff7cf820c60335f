/* duration.c: durations and sizes as people write them. */
#include "base/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/attr.h"

#define DURATION_MAX_S (UINT64_C(1) << 40)

static const struct {
	char letter;
	uint64_t seconds;
} duration_units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

static const struct {
	const char *name;
	uint64_t bytes;
} size_units[] = {
	{ "TB", UINT64_C(1) << 40 },
	{ "GB", UINT64_C(1) << 30 },
	{ "MB", UINT64_C(1) << 20 },
	{ "KB", UINT64_C(1) << 10 },
	{ "B", 1 },
};

/* Reads the digits that `text` opens with and leaves the rest in *ret_rest; false if there are
 * none or the number does not fit. */
static bool digits_parse(struct slice text, uint64_t *ret, struct slice *ret_rest)
{
	uint64_t value = 0;
	size_t i = 0;

	for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text.p[i] - '0'), &value))
			return false;
	if (i == 0)
		return false;
	*ret = value;
	*ret_rest = (struct slice){ text.p + i, text.n - i };
	return true;
}

bool duration_parse(struct slice text, uint64_t *ret_s)
{
	uint64_t count, seconds;
	struct slice unit;

	if (!digits_parse(text, &count, &unit) || unit.n != 1)
		return false;
	if (text.p[0] == '0' && text.n > 2)
		return false; /* 007d */
	for (size_t i = 0; i < ARRAY_LEN(duration_units); i++) {
		if (unit.p[0] != duration_units[i].letter)
			continue;
		if (__builtin_mul_overflow(count, duration_units[i].seconds, &seconds) ||
		    seconds > DURATION_MAX_S)
			return false;
		*ret_s = seconds;
		return true;
	}
	return false;
}

void duration_format(uint64_t seconds, char ret[static 24])
{
	size_t i = 0;

	/* The largest unit that divides it gives the fewest digits. */
	while (seconds == 0 ? duration_units[i].seconds != 1
			    : seconds % duration_units[i].seconds != 0)
		i++;
	snprintf(ret, 24, "%" PRIu64 "%c", seconds / duration_units[i].seconds,
		 duration_units[i].letter);
}

bool size_parse(struct slice text, uint64_t *ret_bytes)
{
	uint64_t count, bytes;
	struct slice unit;

	if (!digits_parse(text, &count, &unit))
		return false;
	if (unit.n == 0) {
		*ret_bytes = count;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (!slice_is(unit, size_units[i].name))
			continue;
		if (__builtin_mul_overflow(count, size_units[i].bytes, &bytes))
			return false;
		*ret_bytes = bytes;
		return true;
	}
	return false;
}

void size_format(uint64_t bytes, char ret[static 24])
{
	size_t i = 0;

	while (bytes == 0 ? size_units[i].bytes != 1 : bytes % size_units[i].bytes != 0)
		i++;
	snprintf(ret, 24, "%" PRIu64 "%s", bytes / size_units[i].bytes, size_units[i].name);
}

void time_format(int64_t at, char ret[static TIME_TEXT_BYTES])
{
	time_t t = (time_t)at;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(ret, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		ret[0] = '\0';
}
