/* log_seen.h: what the log is told meanwhile.
 *
 *	log_seen_begin();
 *	... the work ...
 *	assert_int_equal(log_seen_count("upstream.down", "upstream=a"), 1);
 *	log_seen_end(); */
#pragma once

#include <ctype.h>

#include "unit.h"

#include "base/log.h"

static struct {
	char lines[256][512];
	unsigned n;
} log_seen;

static void log_seen_line(void *ctx, const char *text, size_t n)
{
	(void)ctx;
	assert_true(log_seen.n < sizeof(log_seen.lines) / sizeof(log_seen.lines[0]));
	snprintf(log_seen.lines[log_seen.n++], sizeof(log_seen.lines[0]), "%.*s", (int)n, text);
}

static inline void log_seen_begin(void)
{
	log_seen.n = 0;
	log_divert(log_seen_line, NULL);
}

/* Lines of that event, with `text` in them. */
static inline unsigned log_seen_count(const char *event, const char *text)
{
	unsigned count = 0;

	for (unsigned i = 0; i < log_seen.n; i++) {
		const char *at = strstr(log_seen.lines[i], event);

		count += at != NULL && isspace((unsigned char)at[strlen(event)]) &&
			 strstr(at, text) != NULL;
	}
	return count;
}

static inline void log_seen_end(void)
{
	log_divert(NULL, NULL);
}
