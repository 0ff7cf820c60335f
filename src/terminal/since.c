/* since.c: see since.h. */
#include "terminal/since.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "base/duration.h"

#define DIGITS_MAX 12 /* of Unix seconds */

/* strptime() takes 31 February, of which mktime() makes 3 March. An hour that a clock put forward leaves
 * out is a time all the same: in some places midnight is one. */
static bool is_in_calendar(struct tm tm)
{
	struct tm then = tm;

	(void)timegm(&then);
	return then.tm_mday == tm.tm_mday && then.tm_sec == tm.tm_sec;
}

static bool read_date(const char *text, int64_t *ret)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
					     "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S" };

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, forms[i], &tm);
		if (end == NULL || *end != '\0')
			continue;
		if (!is_in_calendar(tm))
			return false;
		*ret = mktime(&tm);
		return true;
	}
	return false;
}

bool since_read(const char *text, int64_t now_s, int64_t *ret)
{
	size_t n = strlen(text);
	uint64_t ago_s;

	if (duration_parse(slice_of(text), &ago_s)) {
		*ret = now_s - (int64_t)ago_s;
		return true;
	}
	if (n > 0 && n <= DIGITS_MAX && strspn(text, "0123456789") == n) {
		*ret = 0;
		for (; *text != '\0'; text++)
			*ret = *ret * 10 + (*text - '0');
		return true;
	}
	return read_date(text, ret);
}
